// SPDX-License-Identifier: MPL-2.0

//! Takes what the session tells and puts it on the bus.
//!
//! Runs on the transport's task, in order, with no lock held while it posts:
//! an application's sync handler may call back into the element.

use super::errors::Report;
use super::{OnFatal, State, imp, messages};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering;
use symbl_client::session::{Event, EventKind, Failure};
use symbl_client::transport::{Host, Secret};

/// The element, as its connection knows it: it does not keep it alive.
pub struct BusHost {
    sink: glib::WeakRef<super::SymblSink>,
}

impl BusHost {
    /// For a sink.
    pub fn new(sink: &super::SymblSink) -> Self {
        Self {
            sink: sink.downgrade(),
        }
    }
}

impl BusHost {
    /// Connecting is no longer in progress, though it goes on.
    pub fn end_progress(&self, text: &str) {
        if let Some(sink) = self.sink.upgrade() {
            sink.imp().end_progress(gst::ProgressType::Canceled, text);
        }
    }
}

impl Host for BusHost {
    fn event(&self, event: Event) {
        let Some(sink) = self.sink.upgrade() else {
            return;
        };
        let imp = sink.imp();
        match &event.kind {
            EventKind::Warning(failure) => {
                gst::warning!(imp::CAT, obj = sink, "{}", failure.message);
                post(&sink, Report::new(failure).into_warning(&sink));
            }
            EventKind::Failed(failure) => failed(&sink, failure),
            EventKind::State { state, failure, .. } => {
                let state = State::from(*state);
                gst::info!(imp::CAT, obj = sink, "State is {}", state.as_str());
                imp.state_changed(state);
                progress(&sink, state, failure.as_ref());
                element_message(&sink, &event);
            }
            EventKind::Session { .. } => {
                if let Some(id) = &event.conversation_id {
                    gst::info!(imp::CAT, obj = sink, "Conversation is {id}");
                    imp.conversation_changed(id);
                }
                element_message(&sink, &event);
            }
            _ => element_message(&sink, &event),
        }
    }

    fn request_token(&self) -> Option<Secret> {
        let sink = self.sink.upgrade()?;
        let token: Option<String> = sink.emit_by_name(imp::REQUEST_TOKEN, &[]);
        token.map(Secret::new)
    }
}

fn element_message(sink: &super::SymblSink, event: &Event) {
    let (seq, connection_id) = sink.imp().next_message();
    if let Some(structure) = messages::structure(event, seq, &connection_id) {
        gst::log!(
            imp::CAT,
            obj = sink,
            "Message {} number {seq}",
            structure.name()
        );
        post(
            sink,
            gst::message::Element::builder(structure).src(sink).build(),
        );
    }
}

/// The session cannot go on.
fn failed(sink: &super::SymblSink, failure: &Failure) {
    let report = Report::new(failure);
    match sink.imp().on_fatal() {
        OnFatal::Error => {
            gst::error!(imp::CAT, obj = sink, "{}", failure.message);
            post(sink, report.into_error(sink));
            sink.imp().error_posted.store(true, Ordering::Release);
        }
        OnFatal::Warning => {
            gst::warning!(
                imp::CAT,
                obj = sink,
                "Goes on without captions: {}",
                failure.message
            );
            post(sink, report.into_warning(sink));
        }
    }
    sink.imp()
        .end_progress(gst::ProgressType::Error, &failure.message);
}

/// PROGRESS messages of connecting and disconnecting.
///
/// Connecting is in progress only until the first dial has had its answer:
/// applications may hold a pipeline in PAUSED while something is in progress,
/// and captions are not worth that. Later attempts are told by `symbl/state`.
fn progress(sink: &super::SymblSink, state: State, failure: Option<&Failure>) {
    let imp = sink.imp();
    match (state, failure) {
        (State::Starting | State::Listening, _) => {
            imp.end_progress(gst::ProgressType::Complete, "Connected to the service");
        }
        (State::Connecting | State::Reconnecting, Some(failure)) => {
            let text = format!("Goes on connecting in the background: {}", failure.message);
            imp.end_progress(gst::ProgressType::Canceled, &text);
        }
        (State::Idle, _) => imp.end_progress(gst::ProgressType::Complete, "Paused"),
        (State::Stopping, _) => imp.begin_progress("disconnect", "Waiting for the last results"),
        (State::Drained, _) => {
            imp.end_progress(gst::ProgressType::Complete, "The conversation is over")
        }
        _ => {}
    }
}

/// Posts without a lock held; a refusal means that the element has no bus.
pub fn post(sink: &super::SymblSink, message: gst::Message) {
    if sink.post_message(message).is_err() {
        gst::debug!(imp::CAT, obj = sink, "There is no bus to post to");
    }
}

/// Posts in the name of a pipeline that plays that it does, from PLAYING to PLAYING.
///
/// GstBin posts the EOS of its sinks only while the last state that it has told of is
/// PLAYING, and notes that state after it has posted it. Where a thread of another element
/// (`decodebin`) completes the change to PAUSED, and the application answers the message
/// by a change to PLAYING at once, the note of PAUSED can be the later one: all sinks
/// have posted EOS then, and the pipeline never does. The message corrects the note. If
/// the note was right, GstBin has posted EOS already and does not do it again.
pub fn tell_again_that_it_plays(sink: &super::SymblSink) {
    let Some(mut top) = sink.parent() else {
        return;
    };
    while let Some(parent) = top.parent() {
        top = parent;
    }
    let Ok(pipeline) = top.downcast::<gst::Bin>() else {
        return;
    };
    // In a change of state the pipeline tells of its end by itself.
    if pipeline.current_state() != gst::State::Playing
        || pipeline.pending_state() != gst::State::VoidPending
    {
        return;
    }
    let (plays, none) = (gst::State::Playing, gst::State::VoidPending);
    let message = gst::message::StateChanged::builder(plays, plays, none)
        .src(&pipeline)
        .build();
    if pipeline.post_message(message).is_err() {
        gst::debug!(imp::CAT, obj = sink, "The pipeline has no bus to post to");
    }
}
