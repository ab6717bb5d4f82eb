// SPDX-License-Identifier: MPL-2.0

//! The pad that gives text.

use super::SymblTranscriber;
use super::imp::{self, CAT};
use crate::element::SymblElement;
use gst::prelude::*;
use gst::subclass::prelude::*;

/// Returns the caps of the text.
pub(super) fn caps() -> gst::Caps {
    gst::Caps::builder("text/x-raw")
        .field("format", "utf8")
        .build()
}

/// Returns the pad.
pub(super) fn pad(template: &gst::PadTemplate) -> gst::Pad {
    gst::Pad::builder_from_template(template)
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
        .activatemode_function(|pad, parent, _, active| {
            imp::SymblTranscriber::catch_panic_pad_function(
                parent,
                || Err(gst::loggable_error!(CAT, "The element has panicked")),
                |imp| match active {
                    true => Ok(()), // The task starts with the stream.
                    false => imp.output.stop(pad),
                },
            )
        })
        .flags(gst::PadFlags::FIXED_CAPS)
        .build()
}

fn take_event(element: &SymblTranscriber, pad: &gst::Pad, event: gst::Event) -> bool {
    match event.view() {
        // No quality of service makes text from less audio.
        gst::EventView::Qos(_) => true,
        gst::EventView::Latency(_) => {
            element.imp().output.ask_upstream(element);
            gst::Pad::event_default(pad, Some(element), event)
        }
        _ => gst::Pad::event_default(pad, Some(element), event),
    }
}

fn answer(element: &SymblTranscriber, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
    let gst::QueryViewMut::Latency(latency) = query.view_mut() else {
        return gst::Pad::query_default(pad, Some(element), query);
    };
    let Some((live, min, max)) = upstream_latency(element) else {
        return false;
    };
    element.imp().output.set_upstream(live.then_some(min));
    if live {
        let own = element.life().settings().latency;
        let own = gst::ClockTime::from_mseconds(own.into());
        // No audio is held back, so that there is no longest latency.
        latency.set(true, min + own, gst::ClockTime::NONE);
    } else {
        latency.set(false, min, max);
    }
    true
}

/// Returns what upstream answers to a LATENCY query: whether it is live, and its least and
/// greatest latency.
pub(super) fn upstream_latency(
    element: &SymblTranscriber,
) -> Option<(bool, gst::ClockTime, Option<gst::ClockTime>)> {
    let mut query = gst::query::Latency::new();
    let answered = element.audio_pad().peer_query(&mut query);
    answered.then(|| query.result())
}
