// SPDX-License-Identifier: MPL-2.0

//! Whether a process keeps up, and whether it is alive at all.
//!
//! *Behind* is how much longer it has taken, while audio waited for it, than the
//! audio itself: a client that sends faster than real time does not put it
//! behind, and audio that is given again does not bring it forward. Pure: the
//! time is an argument.

use super::CommandLimits;
use std::time::{Duration, Instant};

/// The speed of one stream's processes.
#[derive(Debug)]
pub(super) struct ProcessPace {
    behind: Duration,
    /// For how long audio waited and none was taken.
    untaken: Duration,
    last: Instant,
    /// Speech that was given since the process last said anything.
    unanswered: Duration,
    answered: Instant,
}

impl ProcessPace {
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

    /// Returns when it is too far behind or must be taken for dead, if nothing happens
    /// until then while audio `waits` for it or does not.
    pub(super) fn due(&self, limits: &CommandLimits, waits: bool) -> Option<Instant> {
        let beyond = |limit: Duration, passed: Duration| {
            self.last + limit.saturating_sub(passed) + Duration::from_millis(1)
        };
        let waiting = waits.then(|| {
            let hangs = beyond(limits.hang, self.untaken);
            hangs.min(beyond(limits.behind, self.behind))
        });
        let mute = (self.unanswered >= limits.speech)
            .then(|| self.answered + limits.silent + Duration::from_millis(1));
        waiting.into_iter().chain(mute).min()
    }

    /// Why it must be taken for dead, if it must.
    pub(super) fn hangs(&self, now: Instant, limits: &CommandLimits) -> Option<String> {
        let silent = now.saturating_duration_since(self.answered);
        if self.untaken > limits.hang {
            return Some(format!("it took no audio for {:?}", limits.hang));
        }
        let mute = self.unanswered >= limits.speech && silent > limits.silent;
        mute.then(|| format!("it said nothing to speech for {:?}", limits.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hangs(pace: &ProcessPace, now: Instant) -> bool {
        let limits = CommandLimits {
            hang: SECOND,
            silent: 2 * SECOND,
            speech: SECOND,
            ..CommandLimits::default()
        };
        pace.hangs(now, &limits).is_some()
    }

    #[test]
    fn one_that_takes_audio_in_real_time_is_never_behind() {
        let mut now = Instant::now();
        let mut pace = ProcessPace::new(now);
        for _ in 0..100 {
            now += SECOND;
            pace.tick(now, true);
            pace.taken(SECOND);
        }
        assert_eq!(pace.behind(), Duration::ZERO);
        assert!(!hangs(&pace, now));
        pace.tick(now + 2 * SECOND, true);
        assert!(hangs(&pace, now), "nothing was taken for two seconds");
    }

    #[test]
    fn one_at_half_the_speed_falls_behind_by_half_the_time() {
        let mut now = Instant::now();
        let mut pace = ProcessPace::new(now);
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
        let mut pace = ProcessPace::new(now - SECOND);
        pace.tick(now, true);
        pace.taken(Duration::ZERO);
        assert_eq!(pace.behind(), SECOND);
    }

    #[test]
    fn it_is_due_when_it_hangs_or_is_too_far_behind_and_never_in_silence() {
        let start = Instant::now();
        let mut pace = ProcessPace::new(start);
        let limits = CommandLimits {
            hang: 2 * SECOND,
            behind: 3 * SECOND,
            silent: 4 * SECOND,
            speech: SECOND,
            ..CommandLimits::default()
        };
        assert_eq!(pace.due(&limits, false), None);
        let due = pace.due(&limits, true).expect("a time");
        pace.tick(due - Duration::from_millis(2), true);
        assert_eq!(pace.hangs(due, &limits), None);
        pace.tick(due, true);
        assert!(pace.hangs(due, &limits).is_some(), "it took nothing");
        pace.taken(Duration::ZERO);
        let due = pace.due(&limits, true).expect("a time");
        pace.tick(due, true);
        assert!(pace.behind() > limits.behind && pace.hangs(due, &limits).is_none());
        pace.answered(start);
        pace.spoken(SECOND);
        let due = pace.due(&limits, false).expect("a time");
        assert!(pace.hangs(due, &limits).is_some(), "it said nothing");
    }

    #[test]
    fn silence_is_answered_by_silence() {
        let start = Instant::now();
        let mut pace = ProcessPace::new(start);
        let late = start + 100 * SECOND;
        pace.tick(late, false);
        assert!(!hangs(&pace, late));
        pace.spoken(SECOND);
        assert!(hangs(&pace, late));
        pace.answered(late);
        assert!(!hangs(&pace, late + 50 * SECOND));
    }
}
