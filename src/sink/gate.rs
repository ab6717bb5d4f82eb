// SPDX-License-Identifier: MPL-2.0

//! Holds the streaming thread up in probes of the pad in front of GstBaseSink.
//!
//! A wait in `render` would not do: GstBaseSink holds its preroll lock there. It takes this
//! lock for a change to PLAYING as well as to PAUSED, but ends waits (`unlock`) only for a
//! change to PAUSED. In a probe, a wait blocks no state change, and a pause need not end it.

use super::SymblSink;
use crate::element::{SymblElement, caps, feed, gate};
use gst::prelude::*;
use gst_base::prelude::*;

/// Lets buffers wait until there is room. The probe is installed only while room is scarce,
/// because it costs time for each buffer.
pub(super) fn close(sink: &SymblSink) {
    if !sink.feed().begin_gating() {
        return;
    }
    let buffers = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    sink.sink_pad().add_probe(buffers, |pad, _| {
        let sink = pad.parent().and_downcast::<SymblSink>();
        match sink.is_some_and(|sink| gate::wait_for_room(&sink, |_| true)) {
            true => gst::PadProbeReturn::Ok,
            false => gst::PadProbeReturn::Remove,
        }
    });
}

/// Watches the events in front of GstBaseSink, for as long as the sink exists.
pub(super) fn watch_events(sink: &SymblSink) {
    let events = gst::PadProbeType::EVENT_DOWNSTREAM;
    sink.sink_pad().add_probe(events, |pad, info| {
        if let Some(sink) = pad.parent().and_downcast::<SymblSink>() {
            before_base_sink(&sink, info);
        }
        gst::PadProbeReturn::Ok
    });
}

fn before_base_sink(sink: &SymblSink, info: &gst::PadProbeInfo) {
    match info.event().map(|event| event.view()) {
        // Caps outside the template never reach set_caps.
        Some(gst::EventView::Caps(caps)) => {
            if let Err(problem) = caps::format_from_caps(caps.caps()) {
                feed::refuse(sink, problem);
            }
        }
        Some(gst::EventView::Eos(_)) => gate::drain(sink),
        _ => {}
    }
}
