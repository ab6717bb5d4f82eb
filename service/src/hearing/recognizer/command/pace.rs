// SPDX-License-Identifier: MPL-2.0

//! Decides if a process keeps up, and if it is alive at all.
//!
//! A process is *behind* by the time that has passed while audio waited for it, less the
//! audio that it took in that time. So a client that sends faster than real time does not
//! put it behind, and audio that is given again does not count as taken. Pure: the time is
//! an argument.

use super::CommandLimits;
use std::time::{Duration, Instant};

/// The speed of one stream's processes.
#[derive(Debug)]
pub(super) struct ProcessPace {
    behind: Duration,
    /// For how long audio has waited without the process taking any.
    untaken: Duration,
    last: Instant,
    /// Speech that was given since the last line of the process.
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

    /// Records the time since the last call. `waited` is `true` if audio waited for the
    /// process meanwhile.
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

    /// Records that the process took audio, of which `new` was never taken before.
    pub(super) fn taken(&mut self, new: Duration) {
        self.behind = self.behind.saturating_sub(new);
        self.untaken = Duration::ZERO;
    }

    /// Records speech in the audio that came.
    pub(super) fn spoken(&mut self, speech: Duration) {
        self.unanswered += speech;
    }

    /// Records a line of the process, or the start of a new process.
    pub(super) fn answered(&mut self, now: Instant) {
        self.unanswered = Duration::ZERO;
        self.answered = now;
        self.untaken = Duration::ZERO;
    }

    /// Returns how far the process is behind real time.
    pub(super) fn behind(&self) -> Duration {
        self.behind
    }

    /// Returns when the process will be too far behind or count as dead if nothing
    /// happens until then. `waits` is `true` if audio waits for it.
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

    /// Returns why the process counts as dead, if it does.
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
