// SPDX-License-Identifier: MPL-2.0

//! `symblsink`: a GstBaseSink that transcribes.
//!
//! - `imp`: the calls of GObject, GstElement and GstBaseSink, handed on to
//!   [`crate::element`]
//! - `gate`: where the streaming thread waits, with GstBaseSink in mind
//! - `ending`: an EOS that GstBin would swallow

mod ending;
mod gate;
mod imp;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element: audio in, transcripts and insights out as bus messages.
    pub struct SymblSink(ObjectSubclass<imp::SymblSink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

/// Registers the element.
///
/// # Errors
///
/// GStreamer refused the element's type or name.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "symblsink",
        gst::Rank::NONE,
        SymblSink::static_type(),
    )
}
