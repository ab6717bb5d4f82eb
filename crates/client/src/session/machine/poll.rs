// SPDX-License-Identifier: MPL-2.0

//! The way out: [`Session::poll`], and what waits for it.
//!
//! Actions come before events, and events before frames. Audio is taken from the spool at
//! the last moment, so that it leaves in the format that the service was told.

use super::super::Time;
use super::super::config::FormatChangePolicy;
use super::super::event::{Event, State};
use super::super::planted::{Bug, planted};
use super::{Output, Phase, Session};
use std::collections::VecDeque;
use std::sync::Arc;
use symbl_protocol::ModifyRequest;
use symbl_protocol::request::STOP_REQUEST;

/// What waits to be given out.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The state that the application was last told.
    pub(super) state: State,
    /// The owner takes no more events.
    pub(super) abandoned: bool,
    pub(super) events: VecDeque<Event>,
    /// Dials, closes, aborts and fetches.
    pub(super) actions: VecDeque<Output>,
    /// Requests and control frames. They need a connection that takes them.
    pub(super) frames: VecDeque<Output>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            state: State::Idle,
            abandoned: false,
            events: VecDeque::new(),
            actions: VecDeque::new(),
            frames: VecDeque::new(),
        }
    }
}

impl Outbox {
    /// Returns `true` if no event and no action waits.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.actions.is_empty()
    }

    /// Drops everything that waits.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.actions.clear();
        self.frames.clear();
    }

    /// Returns `true` if a request has not left yet, as on a connection that takes nothing.
    pub(super) fn holds_request(&self) -> bool {
        self.frames.iter().any(|f| matches!(f, Output::Text(_)))
    }

    /// Drops the requests that have not left yet. Returns `true` if there were any.
    pub(super) fn take_back_requests(&mut self) -> bool {
        let before = self.frames.len();
        self.frames.retain(|f| !matches!(f, Output::Text(_)));
        self.frames.len() < before
    }

    /// Queues a stop request.
    pub(super) fn request_stop(&mut self) {
        self.frames.push_back(Output::Text(STOP_REQUEST.to_owned()));
    }
}

impl Session {
    /// Returns `true` if [`Session::poll`] may have something to give. Audio that is held
    /// back has a time of its own: see [`Session::next_timeout`].
    pub fn needs_poll(&self, writable: bool) -> bool {
        let audio = self.phase == Phase::Listening && self.pacing.held_until().is_none();
        !self.outbox.is_empty()
            || writable && (!self.outbox.frames.is_empty() || audio && !self.spool.is_drained())
    }

    /// Returns the next task for the owner, or `None` if there is none. Frames are given out
    /// only if the connection takes one now (`writable`).
    pub fn poll(&mut self, now: Time, writable: bool) -> Option<Output> {
        // Actions first: a close frame must not wait for an application that takes long
        // over an event.
        if let Some(action) = self.outbox.actions.pop_front() {
            return Some(action);
        }
        if let Some(event) = self.outbox.events.pop_front() {
            return Some(Output::Event(Box::new(event)));
        }
        if !writable {
            return None;
        }
        // The search for a frame may have queued an action, such as a close.
        self.next_frame(now)
            .or_else(|| self.outbox.actions.pop_front())
    }

    /// Returns the next frame, unless an action or an event comes before it. For a caller
    /// that can only send. The connection must take the frame.
    pub fn poll_frame(&mut self, now: Time) -> Option<Output> {
        match self.outbox.is_empty() {
            true => self.next_frame(now),
            false => None,
        }
    }

    /// Returns the events behind an [`Output::Event`], for a caller that posts them together.
    pub fn more_events(&mut self) -> impl Iterator<Item = Event> {
        self.outbox.events.drain(..)
    }

    fn next_frame(&mut self, now: Time) -> Option<Output> {
        if let Some(frame) = self.outbox.frames.pop_front() {
            return Some(frame);
        }
        match self.phase {
            Phase::Starting { .. } if planted(Bug::AudioBeforeTheAcknowledgement) => {
                self.poll_audio(now)
            }
            Phase::Listening => {
                let audio = self.poll_audio(now);
                if audio.is_none() {
                    self.stop_when_paused(now);
                    self.stop_when_drained(now);
                    return self.outbox.frames.pop_front();
                }
                audio
            }
            _ => None,
        }
    }

    /// Returns the next frame of audio: the change of format, then the stream header, then
    /// the chunk.
    fn poll_audio(&mut self, now: Time) -> Option<Output> {
        let chunk = self.spool.peek()?;
        if self.pacing.holds_back(now, chunk.start) {
            return None;
        }
        if self.is_misplaced() {
            return self.stop_and_restart(now);
        }
        if self.terms.format.as_ref() != Some(&chunk.format) {
            let format = Arc::clone(&chunk.format);
            let told = self.terms.format.as_ref();
            let changes = told.is_none_or(|told| told.wire != format.wire)
                && !planted(Bug::ModifyRequestNotSent);
            let another_speaker = told.is_some_and(|told| told.speaker != format.speaker)
                && !planted(Bug::SpeakerNotTold);
            if another_speaker || changes && self.config.format_change != FormatChangePolicy::Modify
            {
                return self.stop_and_restart(now);
            }
            let start = chunk.start;
            let wire = format.wire;
            self.terms.tell(format, true);
            if changes {
                self.terms.modified_at.get_or_insert(start);
                return Some(Output::Text(ModifyRequest { format: wire }.to_json()));
            }
        }
        if let Some(part) = self.terms.next_header_part() {
            self.counters.stats.bytes_sent += part.len() as u64;
            return Some(Output::Binary(part));
        }
        let chunk = self.spool.peek()?.clone();
        self.tell_gap_before(chunk.start);
        let (fresh, replayed) = self.spool.advance();
        self.generation.began.get_or_insert(now);
        self.generation.give(&chunk);
        self.stall.gave(now, &chunk);
        self.counters.sent(&chunk, fresh, replayed);
        self.stops.progress(now);
        if self.spool.is_drained() {
            self.pacing.end();
        }
        Some(Output::Binary(chunk.data))
    }
}
