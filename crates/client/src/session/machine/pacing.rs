// SPDX-License-Identifier: MPL-2.0

//! The rate at which a backlog is sent.
//!
//! After an outage the spool may hold a minute of live audio. Sent at once it would overrun a
//! recogniser that works in real time, so it is held back to `catch-up-rate`.

use super::super::{Position, Time};
use std::time::Duration;

/// Audio that may be sent ahead of the catch-up rate, in nanoseconds.
const BURST: u64 = 1_000_000_000;

/// Holds the backlog back, if there is one.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    catch_up: Option<CatchUp>,
    /// The next chunk is held back until then. Set only while the connection takes frames:
    /// on one that takes none, no time makes a difference.
    held_until: Option<Time>,
}

#[derive(Debug)]
struct CatchUp {
    since: Time,
    from: Position,
    /// Audio seconds per second.
    rate: f64,
}

impl CatchUp {
    /// Returns the time at which audio at `position` may leave.
    fn ready_at(&self, position: Position) -> Time {
        let ahead = position.saturating_sub(self.from).saturating_sub(BURST);
        self.since + Duration::from_nanos((ahead as f64 / self.rate) as u64)
    }
}

impl Pacing {
    /// Begins at a start: holds the backlog that begins at `backlog` back to `rate` times
    /// real time, or nothing if there is no backlog.
    pub(super) fn begin(&mut self, now: Time, backlog: Option<Position>, rate: f64) {
        self.catch_up = backlog.map(|from| CatchUp {
            since: now,
            from,
            rate: rate.max(1.0),
        });
    }

    /// Returns `true` if the chunk at `position`, the next one, must not leave yet.
    pub(super) fn holds_back(&mut self, now: Time, position: Position) -> bool {
        let ready = self.catch_up.as_ref().map(|c| c.ready_at(position));
        self.held_until = ready.filter(|at| *at > now);
        self.held_until.is_some()
    }

    /// Returns the time until which the next chunk is held back.
    pub(super) fn held_until(&self) -> Option<Time> {
        self.held_until
    }

    /// Forgets the time of the next chunk if it has come.
    pub(super) fn release(&mut self, now: Time) {
        self.held_until = self.held_until.filter(|at| *at > now);
    }

    /// Ends the catching up: the backlog has been sent.
    pub(super) fn end(&mut self) {
        self.catch_up = None;
    }

    /// Forgets the backlog, which was flushed.
    pub(super) fn flush(&mut self) {
        *self = Self::default();
    }
}
