// SPDX-License-Identifier: MPL-2.0

//! The time of a conversation: read from the wall once, and counted from there by a
//! clock that is never set.
//!
//! A wall clock that somebody sets, or that NTP corrects, moves nobody in a conversation
//! that runs. Over a restart of the service the wall clock is all there is.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

/// Returns the time since the process began, counted from what the wall clock showed
/// then: a wall clock that is set does not move it.
pub(crate) fn steady() -> i64 {
    static BEGUN: LazyLock<(Instant, i64)> = LazyLock::new(|| (Instant::now(), now()));
    let (begun, wall) = &*BEGUN;
    let since = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
    wall.saturating_add(since)
}

/// The greatest stamp so far.
static STAMP: AtomicI64 = AtomicI64::new(0);

/// Returns when something is written, greater than any such time before: in this order
/// what was said is told, whatever its own times are.
pub(crate) fn stamp() -> i64 {
    let now = steady();
    let later = |last: i64| last.saturating_add(1).max(now);
    let update = |last| Some(later(last));
    let before = STAMP.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    // Both are what there was before: the update is never refused.
    later(before.unwrap_or_else(|before| before))
}

/// Makes all stamps greater than one of before a restart. The wall clock may have gone
/// back meanwhile.
pub(crate) fn stamped(last: i64) {
    STAMP.fetch_max(last, Ordering::Relaxed);
}

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
        Self(Arc::new(now))
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WallClock").finish_non_exhaustive()
    }
}

/// The clock of one conversation. It never goes back, and never jumps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConversationClock {
    begun: Instant,
    /// What the wall clock showed then.
    wall: i64,
}

impl ConversationClock {
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
    clock: ConversationClock,
}

impl AudioClock {
    /// Belongs to a stream of the conversation that has this clock.
    pub(crate) fn of(clock: ConversationClock) -> Self {
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
