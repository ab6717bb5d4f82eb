// SPDX-License-Identifier: MPL-2.0

//! What a service that announces itself is told of a stream of audio, so that it stores
//! replayed audio once.
//!
//! A stream begins with the session and after a flush. Each of its start requests states how
//! much of the stream's audio came before, and counts as one more attempt. The service counts
//! on from there. So within a start audio must have the order that it had when it was sent
//! first, and no holes that it did not have then. Audio that cannot be sent like that needs a
//! start of its own: see [`Session::is_misplaced`].

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
    /// The stream's id, from its first start request on.
    id: Option<String>,
    /// Start requests of this stream.
    attempts: u64,
    /// The stream was flushed. The next start that replays nothing begins another stream.
    flushed: bool,
    /// How much of the stream came before this start, in nanoseconds, if the service was
    /// told.
    began: Option<u64>,
}

impl Identity {
    /// Notes a new connection. `announced`: its service announced itself.
    pub(super) fn connected(&mut self, announced: bool) {
        self.announced = announced;
    }

    /// Notes a flush: the audio that follows is another stream.
    pub(super) fn flush(&mut self) {
        self.flushed = true;
    }
}

impl Session {
    /// Returns `true` if the service of this connection announced itself.
    pub(super) fn is_announced(&self) -> bool {
        self.identity.announced
    }

    /// Counts a start request and returns what it says of the stream. The spool must stand at
    /// the first audio that this start sends.
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
    /// stream, as after a flush during a replay.
    pub(super) fn is_misplaced(&self) -> bool {
        let expected = self.identity.began.map(|at| at + self.generation.given());
        !self.spool.is_drained()
            && expected.is_some_and(|expected| expected != self.spool.next_place())
    }

    /// Drops a chunk to make room and returns where it stood. Within a start whose audio the
    /// service counts, audio that was sent before is not dropped: the audio behind it would
    /// move.
    pub(super) fn drop_oldest(&mut self) -> Option<Range<Position>> {
        let runs = matches!(self.phase, Phase::Starting { .. } | Phase::Listening);
        match runs && self.identity.began.is_some() {
            true => self.spool.drop_oldest_never_sent(),
            false => self.spool.drop_oldest_unsent(),
        }
    }
}
