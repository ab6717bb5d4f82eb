// SPDX-License-Identifier: MPL-2.0

//! The clock of a conversation: it reads the wall clock once, and then counts with a clock
//! that is never set.
//!
//! So a wall clock that is set, or that NTP corrects, changes no time in a conversation that
//! runs. Only after a restart of the service are its times those of the wall clock again.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the wall clock's time, in nanoseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

/// Returns the time that the wall clock showed when the process first called this, plus the
/// time since then. It does not change if the wall clock is set.
pub(crate) fn steady() -> i64 {
    static BEGUN: LazyLock<(Instant, i64)> = LazyLock::new(|| (Instant::now(), now()));
    let (begun, wall) = &*BEGUN;
    let since = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
    wall.saturating_add(since)
}

/// Returns a duration as the difference of two such times.
pub(crate) fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// The greatest stamp so far.
static STAMP: AtomicI64 = AtomicI64::new(0);

/// Returns the time for a new stamp, which is greater than all stamps before. Messages are
/// listed in the order of their stamps, whatever their own times are.
pub(crate) fn stamp() -> i64 {
    let now = steady();
    let later = |last: i64| last.saturating_add(1).max(now);
    let update = |last| Some(later(last));
    let before = STAMP.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    // The update is never refused. Either way, this is the stamp before it.
    later(before.unwrap_or_else(|before| before))
}

/// Makes all stamps greater than this one of before a restart. The wall clock may have been
/// set back meanwhile.
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

/// The clock of one conversation. It never goes back and never jumps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConversationClock {
    begun: Instant,
    /// What the wall clock showed then.
    wall: i64,
}

impl ConversationClock {
    /// Returns a clock that begins now, when the wall clock shows `wall`.
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

/// The time at which a stream's first audio came, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub(crate) struct AudioClock {
    first: Arc<OnceLock<i64>>,
    clock: ConversationClock,
}

impl AudioClock {
    /// Returns the audio clock of a stream in the conversation that has this clock.
    pub(crate) fn of(clock: ConversationClock) -> Self {
        Self {
            first: Arc::default(),
            clock,
        }
    }

    /// Returns the clock of a recording whose first audio counts as come at `zero`.
    pub(crate) fn fixed(clock: ConversationClock, zero: i64) -> Self {
        Self {
            first: Arc::new(OnceLock::from(zero)),
            clock,
        }
    }

    /// Records that audio came. Only the first call counts.
    pub(crate) fn start(&self) {
        self.zero();
    }

    /// Returns when the first audio came, if it has.
    pub(crate) fn begun(&self) -> Option<i64> {
        self.first.get().copied()
    }

    /// Returns when the first audio came, which is now if none has come.
    pub(crate) fn zero(&self) -> i64 {
        *self.first.get_or_init(|| self.clock.now())
    }
}
