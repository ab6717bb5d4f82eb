// SPDX-License-Identifier: MPL-2.0

//! Whether a process keeps up, and whether it is alive at all.
//!
//! *Behind* is how much longer it has taken, while audio waited for it, than the
//! audio itself: a client that sends faster than real time does not put it
//! behind, and audio that is given again does not bring it forward. Pure: the
//! time is an argument.

use std::time::{Duration, Instant};

/// The speed of one stream's processes.
#[derive(Debug)]
pub(super) struct Pace {
    behind: Duration,
    /// For how long audio waited and none was taken.
    untaken: Duration,
    last: Instant,
    /// Speech that was given since the process last said anything.
    unanswered: Duration,
    answered: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            behind: Duration::ZERO,
            untaken: Duration::ZERO,
            last: now,
            unanswered: Duration::ZERO,
            answered: now,
        }
    }

    /// Time passed, in which audio `waited` for the process or did not.
    pub(super) fn tick(&mut self, now: Instant, waited: bool) {
        let passed = now.saturating_duration_since(self.last);
        self.last = now;
        if waited {
            self.behind += passed;
            self.untaken += passed;
        } else {
            self.behind = Duration::ZERO;
            self.untaken = Duration::ZERO;
        }
    }

    /// The process took audio; `new` is how much of it was never taken before.
    pub(super) fn taken(&mut self, new: Duration) {
        self.behind = self.behind.saturating_sub(new);
        self.untaken = Duration::ZERO;
    }

    /// Speech came.
    pub(super) fn spoken(&mut self, speech: Duration) {
        self.unanswered += speech;
    }

    /// The process said something, or is a new one.
    pub(super) fn answered(&mut self, now: Instant) {
        self.unanswered = Duration::ZERO;
        self.answered = now;
        self.untaken = Duration::ZERO;
    }

    /// How far it is behind real time.
    pub(super) fn behind(&self) -> Duration {
        self.behind
    }

    /// Whether it hangs: for so long it took nothing of what waits, or said
    /// nothing though it was given as much speech as `speech`.
    pub(super) fn hangs(&self, now: Instant, bound: Duration, speech: Duration) -> bool {
        let silent = now.saturating_duration_since(self.answered);
        self.untaken > bound || (self.unanswered >= speech && silent > bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_that_takes_audio_in_real_time_is_never_behind() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            now += SECOND;
            pace.tick(now, true);
            pace.taken(SECOND);
        }
        assert_eq!(pace.behind(), Duration::ZERO);
        assert!(!pace.hangs(now, SECOND, SECOND));
    }

    #[test]
    fn one_at_half_the_speed_falls_behind_by_half_the_time() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            now += 2 * SECOND;
            pace.tick(now, true);
            pace.taken(SECOND);
        }
        assert_eq!(pace.behind(), 100 * SECOND);
        pace.tick(now + SECOND, false);
        assert_eq!(pace.behind(), Duration::ZERO, "nothing waits any more");
    }

    #[test]
    fn audio_given_again_does_not_catch_up() {
        let now = Instant::now() + SECOND;
        let mut pace = Pace::new(now - SECOND);
        pace.tick(now, true);
        pace.taken(Duration::ZERO);
        assert_eq!(pace.behind(), SECOND);
    }

    #[test]
    fn silence_is_answered_by_silence() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let late = start + 100 * SECOND;
        pace.tick(late, false);
        assert!(!pace.hangs(late, SECOND, SECOND));
        pace.spoken(SECOND);
        assert!(pace.hangs(late, SECOND, SECOND));
        pace.answered(late);
        assert!(!pace.hangs(late + 50 * SECOND, SECOND, SECOND));
    }
}
