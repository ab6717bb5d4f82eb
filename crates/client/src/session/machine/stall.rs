// SPDX-License-Identifier: MPL-2.0

//! The watchdog over a service that lives, takes speech and says nothing.
//!
//! It is gated by what was sent: only audible audio counts, so silence, however
//! long, trips nothing.

use super::super::Time;
use super::super::chunker::Chunk;
use super::super::config::StallAction;
use super::super::event::{EventKind, Failure, Reason};
use super::{Phase, Session};

/// Audible audio without a result, in nanoseconds, below which nothing is
/// expected: a cough is no speech.
const ENOUGH: u64 = 5_000_000_000;

/// What the service was given since it last said something.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Audible audio, in nanoseconds.
    audible: u64,
    /// When the first of it was sent.
    since: Option<Time>,
    /// Whether it was told.
    told: bool,
}

impl Stall {
    /// The service was given a chunk.
    pub(super) fn gave(&mut self, now: Time, chunk: &Chunk) {
        if chunk.loud {
            self.audible += chunk.end - chunk.start;
            self.since.get_or_insert(now);
        }
    }

    /// The service said something about what it heard, or begins anew.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }
}

impl Session {
    /// When the stall is to be told.
    pub(super) fn stall_deadline(&self) -> Option<Time> {
        let timeout = self.config.stall_timeout;
        let due = self.phase == Phase::Listening
            && !timeout.is_zero()
            && !self.stall.told
            && self.stall.audible >= ENOUGH;
        self.stall
            .since
            .filter(|_| due)
            .map(|since| since + timeout)
    }

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
