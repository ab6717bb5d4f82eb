// SPDX-License-Identifier: MPL-2.0

//! Posts the events of the session on the bus.
//!
//! It posts them in the session's order, on threads of the transport, and holds no lock
//! while it posts: a sync handler of the application may call back into the element.

use super::errors::Report;
use super::{OnFatal, State, SymblElement, messages};
use gst::glib;
use gst::prelude::*;
use std::ops::ControlFlow;
use symbl_client::session::{Event, EventKind, Failure};
use symbl_client::transport::{Host, Secret};

/// Signal that asks the application for a token.
const REQUEST_TOKEN: &str = "request-token";

/// The element as its connection knows it. It does not keep the element alive.
pub(crate) struct BusHost<T: SymblElement> {
    element: glib::WeakRef<T>,
}

impl<T: SymblElement> BusHost<T> {
    /// Returns the host of an element.
    pub(super) fn new(element: &T) -> Self {
        Self {
            element: element.downgrade(),
        }
    }

    /// Ends the PROGRESS of connecting, although connecting goes on.
    pub(super) fn end_progress(&self, text: &str) {
        if let Some(element) = self.element.upgrade() {
            end_progress(&element, gst::ProgressType::Canceled, text);
        }
    }
}

impl<T: SymblElement> Host for BusHost<T> {
    fn event(&self, event: Event) {
        let Some(element) = self.element.upgrade() else {
            return;
        };
        element.take_event(&event);
        match &event.kind {
            EventKind::Heard => {} // only a text pad needs it
            EventKind::Warning(failure) => {
                gst::warning!(T::category(), obj = element, "{}", failure.message);
                post(&element, Report::new(failure).into_warning(&element));
            }
            EventKind::Failed(failure) => failed(&element, failure),
            EventKind::State { state, failure, .. } => {
                let state = State::from(*state);
                gst::info!(T::category(), obj = element, "State is {}", state.as_str());
                state_changed(&element, state);
                progress(&element, state, failure.as_ref());
                element_message(&element, &event);
            }
            EventKind::Session { .. } => {
                if let Some(id) = &event.conversation_id {
                    gst::info!(T::category(), obj = element, "Conversation is {id}");
                    if element.life().enter_conversation(id) {
                        element.notify("conversation-id");
                    }
                }
                element_message(&element, &event);
            }
            _ => element_message(&element, &event),
        }
    }

    fn request_token(&self) -> Option<Secret> {
        let element = self.element.upgrade()?;
        let token: Option<String> = element.emit_by_name(REQUEST_TOKEN, &[]);
        token.map(Secret::new)
    }
}

/// Returns the signals of an element.
pub(crate) fn signals() -> Vec<glib::subclass::Signal> {
    let signal = glib::subclass::Signal::builder(REQUEST_TOKEN)
        .return_type::<Option<String>>()
        .run_last()
        .action()
        // No handler is asked after one that returned a token.
        .accumulator(|_, _, answer| match answer.get::<Option<&str>>() {
            Ok(Some(token)) if !token.trim().is_empty() => ControlFlow::Break(answer.clone()),
            _ => ControlFlow::Continue(answer.clone()),
        });
    vec![signal.build()]
}

/// Notes the state and notifies the application of the property `state`.
pub(super) fn state_changed(element: &impl SymblElement, state: State) {
    element.life().enter(state);
    element.notify("state");
}

fn element_message<T: SymblElement>(element: &T, event: &Event) {
    let (seq, connection_id) = element.life().next_message();
    if let Some(structure) = messages::structure(event, seq, &connection_id) {
        gst::log!(
            T::category(),
            obj = element,
            "Message {} number {seq}",
            structure.name()
        );
        let message = gst::message::Element::builder(structure).src(element);
        post(element, message.build());
    }
}

/// Posts that the session cannot go on.
fn failed<T: SymblElement>(element: &T, failure: &Failure) {
    let report = Report::new(failure);
    match element.life().on_fatal() {
        OnFatal::Error => {
            gst::error!(T::category(), obj = element, "{}", failure.message);
            post(element, report.into_error(element));
            element.life().error_is_posted();
        }
        OnFatal::Warning => {
            gst::warning!(
                T::category(),
                obj = element,
                "Goes on without captions: {}",
                failure.message
            );
            post(element, report.into_warning(element));
        }
    }
    end_progress(element, gst::ProgressType::Error, &failure.message);
}

/// Posts PROGRESS messages of connecting and disconnecting.
///
/// Connecting is in progress only until the first dial has an answer. Applications may hold
/// a pipeline in PAUSED while something is in progress, and captions are not worth that.
/// `symbl/state` reports later dials.
fn progress(element: &impl SymblElement, state: State, failure: Option<&Failure>) {
    let end = |how, text: &str| end_progress(element, how, text);
    match (state, failure) {
        (State::Starting | State::Listening, _) => {
            end(gst::ProgressType::Complete, "Connected to the service");
        }
        (State::Connecting | State::Reconnecting, Some(failure)) => {
            let text = format!("Goes on connecting in the background: {}", failure.message);
            end(gst::ProgressType::Canceled, &text);
        }
        (State::Idle, _) => end(gst::ProgressType::Complete, "Paused"),
        (State::Stopping, _) => {
            begin_progress(element, "disconnect", "Waiting for the last results");
        }
        (State::Drained, _) => end(gst::ProgressType::Complete, "The conversation is over"),
        _ => {}
    }
}

/// Posts that the progress with this code has begun.
pub(super) fn begin_progress(element: &impl SymblElement, code: &'static str, text: &str) {
    element.life().begin_progress(code);
    post_progress(element, gst::ProgressType::Start, code, text);
}

/// Posts how the progress that has begun has ended. Posts nothing if none has begun.
pub(super) fn end_progress(element: &impl SymblElement, how: gst::ProgressType, text: &str) {
    if let Some(code) = element.life().end_progress() {
        post_progress(element, how, code, text);
    }
}

fn post_progress(element: &impl SymblElement, how: gst::ProgressType, code: &str, text: &str) {
    let message = gst::message::Progress::builder(how, code, text).src(element);
    post(element, message.build());
}

/// Posts a message. Call it without a lock held. A refusal means that there is no bus.
pub(super) fn post<T: SymblElement>(element: &T, message: gst::Message) {
    if element.post_message(message).is_err() {
        gst::debug!(T::category(), obj = element, "There is no bus to post to");
    }
}
