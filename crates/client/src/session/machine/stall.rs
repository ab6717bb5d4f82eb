// SPDX-License-Identifier: MPL-2.0

//! The watchdog over a service that is alive, takes speech and returns no result.
//!
//! Only audible audio counts, so that silence, however long, is no stall.

use super::super::Time;
use super::super::chunker::Chunk;
use super::super::config::StallAction;
use super::super::event::{EventKind, Failure, Reason};
use super::{Phase, Session};

/// Audible audio after which a result is expected, in nanoseconds. A cough is less.
const ENOUGH: u64 = 5_000_000_000;

/// The same where the service is asked for finals only: more than an utterance has with the
/// recognisers of `symbl-service`, which end one after 25 s.
const ENOUGH_FOR_FINALS: u64 = 30_000_000_000;

/// The audible audio that the service was given since its last result.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Audible audio, in nanoseconds.
    audible: u64,
    /// When the first of it was sent.
    since: Option<Time>,
    /// The stall was reported.
    told: bool,
}

impl Stall {
    /// Notes a chunk that was sent.
    pub(super) fn gave(&mut self, now: Time, chunk: &Chunk) {
        if chunk.loud {
            self.audible += chunk.end - chunk.start;
            self.since.get_or_insert(now);
        }
    }

    /// Starts over: the service returned a result, or a new start begins.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }
}

impl Session {
    /// Returns the time at which the stall is reported, if there is one.
    pub(super) fn stall_deadline(&self) -> Option<Time> {
        let timeout = self.config.stall_timeout;
        let enough = match self.takes_finals_only() {
            true => ENOUGH_FOR_FINALS,
            false => ENOUGH,
        };
        let due = self.phase == Phase::Listening
            && !timeout.is_zero()
            && !self.stall.told
            && self.stall.audible >= enough;
        self.stall
            .since
            .filter(|_| due)
            .map(|since| since + timeout)
    }

    /// Reports the stall if that is due, and reconnects if the stall action asks for it.
    pub(super) fn stall_timeout(&mut self, now: Time) {
        if self.stall_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        self.stall.told = true;
        let silent_for = now.saturating_sub(self.stall.since.unwrap_or(now));
        self.emit(EventKind::Stall { silent_for }, None, None);
        if self.config.stall_action == StallAction::Reconnect {
            self.cut(
                now,
                Failure::retryable(
                    Reason::Stall,
                    format!(
                        "the service was given speech for {} ms and said nothing (stall-timeout)",
                        silent_for.as_millis()
                    ),
                ),
            );
        }
    }
}
