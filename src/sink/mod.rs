// SPDX-License-Identifier: MPL-2.0

//! `symblsink`: a GstBaseSink that transcribes.
//!
//! - `imp` hands the calls of GObject, GstElement and GstBaseSink on to [`crate::element`]
//! - `gate` lets the streaming thread wait where GstBaseSink holds no lock
//! - `ending` makes GstBin post an EOS that it would swallow

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
/// Returns an error if GStreamer refuses the element's type or name.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "symblsink",
        gst::Rank::NONE,
        SymblSink::static_type(),
    )
}
