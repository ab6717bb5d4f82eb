// SPDX-License-Identifier: MPL-2.0

//! What a service that announces itself is told of a stream of audio, so that it stores
//! audio once that it is sent again.
//!
//! A stream begins with the session and after a flush. Each start request of it says how
//! much of its audio came before, and counts as one more attempt. The service adds what it
//! is given to that: within a start, audio must follow in the order and without the holes
//! of the time when it was sent first. Audio for which that cannot be so needs a start of
//! its own: see [`Session::is_misplaced`].

use super::super::Position;
use super::super::planted::{Bug, planted};
use super::{Phase, Session};
use std::ops::Range;
use symbl_protocol::StreamPlace;

/// The stream as the service knows it.
#[derive(Debug, Default)]
pub(super) struct Identity {
    /// The service of this connection announced itself.
    announced: bool,
    /// Names the stream, from its first start request on.
    id: Option<String>,
    /// Start requests of this stream.
    attempts: u64,
    /// The stream was flushed: with the next start that sends nothing again, another begins.
    flushed: bool,
    /// How much of the stream came before this start, if the service was told so, in
    /// nanoseconds.
    began: Option<u64>,
}

impl Identity {
    /// There is a new connection. `announced`: the service on it announced itself.
    pub(super) fn connected(&mut self, announced: bool) {
        self.announced = announced;
    }

    /// What follows is another stream.
    pub(super) fn flush(&mut self) {
        self.flushed = true;
    }
}

impl Session {
    /// Returns what the next start request says of the stream, and counts it. The spool
    /// stands at the first audio that this start sends.
    pub(super) fn next_attempt(&mut self) -> Option<StreamPlace> {
        let identity = &mut self.identity;
        if identity.flushed && !self.spool.replays() {
            self.spool.begin_stream();
            *identity = Identity {
                announced: identity.announced,
                ..Identity::default()
            };
        }
        if !identity.announced {
            identity.began = None;
            return None;
        }
        if identity.attempts == 0 || !planted(Bug::AttemptNotRaised) {
            identity.attempts += 1;
        }
        let position = self.spool.next_place();
        identity.began = Some(position);
        let id = identity
            .id
            .get_or_insert_with(|| uuid::Uuid::new_v4().to_string());
        Some(StreamPlace {
            id: id.clone(),
            attempt: identity.attempts,
            position,
        })
    }

    /// Returns `true` if the service would take the next audio for another part of the
    /// stream than it is, as after a flush while audio was being sent again.
    pub(super) fn is_misplaced(&self) -> bool {
        let expected = self.identity.began.map(|at| at + self.generation.given());
        !self.spool.is_drained()
            && expected.is_some_and(|expected| expected != self.spool.next_place())
    }

    /// Drops audio to make room. Within a start whose audio the service counts, none that was
    /// sent before: the audio behind it would move. Returns where it stood.
    pub(super) fn drop_oldest(&mut self) -> Option<Range<Position>> {
        let runs = matches!(self.phase, Phase::Starting { .. } | Phase::Listening);
        match runs && self.identity.began.is_some() {
            true => self.spool.drop_oldest_never_sent(),
            false => self.spool.drop_oldest_unsent(),
        }
    }
}
