// SPDX-License-Identifier: MPL-2.0

//! The time of a conversation: read from the wall once, and counted from there by a
//! clock that is never set.
//!
//! A wall clock that somebody sets, or that NTP corrects, moves nobody in a conversation
//! that runs. Over a restart of the service the wall clock is all there is.

use crate::store;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Reads the wall clock, in nanoseconds since the Unix epoch. A test has its own.
#[derive(Clone)]
pub(crate) struct WallClock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl WallClock {
    #[cfg(test)]
    pub(crate) fn new(read: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn now(&self) -> i64 {
        (self.0)()
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self(Arc::new(store::now))
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WallClock").finish_non_exhaustive()
    }
}

/// The clock of one conversation. It never goes back, and never jumps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    begun: Instant,
    /// What the wall clock showed then.
    wall: i64,
}

impl Clock {
    /// Begins now, when the wall clock shows this.
    pub(crate) fn begin(wall: i64) -> Self {
        Self {
            begun: Instant::now(),
            wall,
        }
    }

    /// Returns the time, in nanoseconds since the Unix epoch.
    pub(crate) fn now(&self) -> i64 {
        let since = i64::try_from(self.begun.elapsed().as_nanos());
        self.wall.saturating_add(since.unwrap_or(i64::MAX))
    }
}

/// When a stream's first audio came, nanoseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub(crate) struct AudioClock {
    first: Arc<OnceLock<i64>>,
    clock: Clock,
}

impl AudioClock {
    /// Belongs to a stream of the conversation that has this clock.
    pub(crate) fn of(clock: Clock) -> Self {
        Self {
            first: Arc::default(),
            clock,
        }
    }

    /// Is called with every chunk; the first one counts.
    pub(crate) fn start(&self) {
        self.zero();
    }

    /// Returns when the first audio came; now, if none did.
    pub(crate) fn zero(&self) -> i64 {
        *self.first.get_or_init(|| self.clock.now())
    }
}
