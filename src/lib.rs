// Copyright (C) 2026 The gst-plugin-symbl authors
//
// This Source Code Form is subject to the terms of the Mozilla Public License, v2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Live transcription for GStreamer through the Symbl Streaming API.
//!
//! The house has four floors, and each knows only the ones below it:
//! `sink` (GStreamer) → `transport` (tokio, sockets) → [`session`] → [`protocol`].
//! The two lower floors are pure: no socket, no clock, no thread, and the time
//! is an argument. `docs/architecture.md` shows the whole on one page.

pub mod protocol;
pub mod session;
#[cfg(feature = "plugin")]
pub mod sink;
#[cfg(feature = "transport")]
pub mod transport;

#[cfg(feature = "plugin")]
pub use plugin::plugin_register_static;

/// What GStreamer looks for in the library.
#[cfg(feature = "plugin")]
#[allow(missing_docs)] // made by the macro
mod plugin {
    fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
        crate::sink::register(plugin)
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
