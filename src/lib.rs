// Copyright (C) 2026 The gst-plugin-symbl authors
//
// This Source Code Form is subject to the terms of the Mozilla Public License, v2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Live transcription for GStreamer through the Symbl Streaming API.
//!
//! Of the three crates of the sink, only this one knows GStreamer. Below it are
//! `symbl_client`, which decides and talks to the service, and `symbl_protocol`, which
//! reads and writes the messages. `docs/architecture.md` shows them on one page.

pub mod element;
pub mod sink;
pub mod transcriber;

pub use plugin::plugin_register_static;

/// The plugin descriptor that GStreamer looks for in the library.
#[allow(missing_docs)] // made by the macro
mod plugin {
    fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
        #[cfg(feature = "doc")]
        crate::element::document_types();
        crate::sink::register(plugin)?;
        crate::transcriber::register(plugin)
    }

    gst::plugin_define!(
        symbl,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MPL-2.0",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        "unknown origin",
        env!("BUILD_REL_DATE")
    );
}
