// SPDX-License-Identifier: MPL-2.0

//! The pad that takes audio.
//!
//! Its thread hands buffers to the session and events to the text pad, and waits for
//! nothing but room, and at the end for the last results. A flush or a deactivated pad ends
//! both waits.

use super::SymblTranscriber;
use super::imp::{self, CAT};
use crate::element::{SymblElement, caps, feed, gate, life};
use gst::prelude::*;
use gst::subclass::prelude::*;

/// Returns the pad.
pub(super) fn pad(template: &gst::PadTemplate) -> gst::Pad {
    let pad = gst::Pad::builder_from_template(template)
        .chain_function(|_, parent, buffer| {
            imp::SymblTranscriber::catch_panic_pad_function(
                parent,
                || Err(gst::FlowError::Error),
                |imp| chain(&imp.obj(), &buffer),
            )
        })
        .event_function(|pad, parent, event| {
            imp::SymblTranscriber::catch_panic_pad_function(
                parent,
                || false,
                |imp| take_event(&imp.obj(), pad, event),
            )
        })
        .query_function(|pad, parent, query| {
            imp::SymblTranscriber::catch_panic_pad_function(
                parent,
                || false,
                |imp| answer(&imp.obj(), pad, query),
            )
        })
        .activatemode_function(|_, parent, _, active| {
            imp::SymblTranscriber::catch_panic_pad_function(
                parent,
                || Err(gst::loggable_error!(CAT, "The element has panicked")),
                |imp| {
                    if !active {
                        interrupt(&imp.obj());
                    }
                    Ok(())
                },
            )
        })
        .build();
    // Caps outside the template never reach the event function.
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            && let Err(problem) = caps::format_from_caps(caps.caps())
            && let Some(element) = pad.parent().and_downcast::<SymblTranscriber>()
        {
            feed::refuse(&element, problem);
        }
        gst::PadProbeReturn::Ok
    });
    // A thread that no upstream owns any more must not wait for the service.
    pad.connect_unlinked(|pad, _| {
        if let Some(element) = pad.parent().and_downcast::<SymblTranscriber>() {
            interrupt(&element);
        }
    });
    pad
}

/// Ends the waits of the thread that brings audio. The pad is flushing or unlinked by now.
fn interrupt(element: &SymblTranscriber) {
    if let Some(connection) = element.life().connection() {
        connection.interrupt();
    }
}

fn chain(
    element: &SymblTranscriber,
    buffer: &gst::Buffer,
) -> Result<gst::FlowSuccess, gst::FlowError> {
    let (life, feed) = (element.life(), element.feed());
    let output = &element.imp().output;
    if feed.is_gated() {
        gate::wait_for_room(element, gst::Pad::is_linked);
        if gate::is_flushing(element.audio_pad()) {
            return Err(gst::FlowError::Flushing);
        }
    }
    output.take_flow_error()?;
    let has_room = match feed.take_steady(life, buffer)? {
        Some(has_room) => has_room,
        None => feed::take(element, buffer, || output.audio_segment())?,
    };
    if !has_room {
        feed.begin_gating();
    }
    Ok(gst::FlowSuccess::Ok)
}

fn take_event(element: &SymblTranscriber, pad: &gst::Pad, event: gst::Event) -> bool {
    let output = &element.imp().output;
    match event.view() {
        gst::EventView::StreamStart(start) => output.begin_stream(element, Some(start)),
        gst::EventView::Caps(caps) => take_caps(element, caps.caps()),
        gst::EventView::Segment(segment) => {
            let segment = segment.segment();
            if !feed::set_segment(element, segment) {
                return false;
            }
            output.begin_stream(element, None);
            output.segment(element, segment, &event);
            true
        }
        gst::EventView::Gap(gap) => {
            element.feed().place_anew();
            let (start, duration) = gap.get();
            if let Some(duration) = duration {
                feed::take_gap(element, &output.audio_segment(), start, duration);
            }
            true // The text pad has gaps of its own.
        }
        gst::EventView::Tag(tag) if tag.tag().scope() == gst::TagScope::Stream => {
            true // It is about the audio.
        }
        gst::EventView::FlushStart(_) => {
            interrupt(element);
            output.flush_start(element, event)
        }
        gst::EventView::FlushStop(_) => {
            feed::flush(element);
            output.flush_stop(element, event)
        }
        gst::EventView::Eos(_) => {
            gate::drain(element);
            if gate::is_flushing(pad) {
                return false; // The stream was flushed or stopped before its end.
            }
            output.end(element, event);
            true
        }
        _ if event.is_serialized() => {
            output.mark(element, event);
            true
        }
        _ => gst::Pad::event_default(pad, Some(element), event),
    }
}

/// Takes new caps, with the first of which the session begins. The element is asked for its
/// latency, and set to PAUSED for it, by bins that then set it back to NULL.
fn take_caps(element: &SymblTranscriber, caps: &gst::CapsRef) -> bool {
    if let Err(problem) = caps::format_from_caps(caps) {
        feed::refuse(element, problem);
        return false;
    }
    if element.life().connection().is_none() {
        if life::open(element).is_err() {
            return false;
        }
        if element.imp().output.is_playing() {
            life::resume(element);
        }
    }
    element.imp().output.ask_upstream(element);
    match feed::set_caps(element, caps) {
        Ok(()) => true,
        Err(problem) => {
            feed::refuse(element, problem);
            false
        }
    }
}

fn answer(element: &SymblTranscriber, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
    match query.view_mut() {
        gst::QueryViewMut::Caps(query) => {
            let mut takes = caps::at_rate(element.life().settings().sample_rate);
            if let Some(filter) = query.filter() {
                takes = filter.intersect_with_mode(&takes, gst::CapsIntersectMode::First);
            }
            query.set_result(&takes);
            true
        }
        // The caps of `rtpopusdepay` have no rate if the sender did not state one.
        gst::QueryViewMut::AcceptCaps(query) => {
            let takes = query.caps().can_intersect(&caps::template());
            query.set_result(takes);
            true
        }
        // What downstream offers is for text.
        gst::QueryViewMut::Allocation(_) => false,
        _ => gst::Pad::query_default(pad, Some(element), query),
    }
}
