// SPDX-License-Identifier: MPL-2.0

//! `symbltranscriber`: audio in, text out, for captions.
//!
//! - `imp` hands the calls of GObject and GstElement on to [`crate::element`]
//! - `input` is the pad that takes audio; `text` the pad that gives text
//! - `output` is what waits between them, and the task that pushes it
//!
//! What goes on the text pad, and when, is decided by [`symbl_client::track`].

mod imp;
mod input;
mod output;
mod text;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element: audio in, text out, and all that `symblsink` posts as bus messages.
    pub struct SymblTranscriber(ObjectSubclass<imp::SymblTranscriber>) @extends gst::Element, gst::Object;
}

/// Registers the element.
///
/// # Errors
///
/// Returns an error if GStreamer refuses the element's type or name.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "symbltranscriber",
        gst::Rank::NONE,
        SymblTranscriber::static_type(),
    )
}
