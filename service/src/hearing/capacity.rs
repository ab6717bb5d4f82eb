// SPDX-License-Identifier: MPL-2.0

//! The capacity of the engines, as each engine declares it and as it is measured.
//!
//! An engine says with [`Capacity`] where it works. For an engine that works on the
//! calling thread, [`Effort`] measures the processor time, and [`Costs`] has the result:
//! what a second of speech takes. An engine that works elsewhere shows only by its lag
//! that it has too much to do. [`Pace`] measures that lag from outside, and the engine may
//! report a greater one. `admission` decides by these figures alone.

use crate::hearing::admission::{Demand, SharedAdmission};
use crate::hearing::recognizer::{Recognition, SAMPLE_RATE};
use std::time::{Duration, Instant};

/// How much measured speech the engine's own figure counts for, in seconds.
const PRIOR: f64 = 60.0;

/// How much measured speech counts, in seconds. Older measurements fade.
const MEMORY: f64 = 600.0;

/// A stream that had no audio for this long is not behind: its client sent nothing.
const PAUSE: Duration = Duration::from_millis(250);

/// This much audio without a result was not speech.
const SILENCE: Duration = Duration::from_secs(5);

/// Where an engine works, and what its work costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Capacity {
    /// The engine works on the thread that calls it, where its work is measured.
    Here {
        /// Seconds of processor time for a second of speech, until it is measured: 0.5 is
        /// half a core for a stream while its speaker speaks.
        cost: f64,
    },
    /// The engine works on threads of its own on this machine, and measures by itself.
    Reported {
        /// Seconds of processor time for a second of speech, as far as the engine knows.
        cost: f64,
        /// The same for a stream without interim results.
        finals_only: f64,
    },
    /// The engine works elsewhere. The time of the calling thread says nothing about it.
    Elsewhere,
}

/// What speech costs with one engine, with interim results or without.
#[derive(Debug, Clone, Copy)]
pub(super) enum Costs {
    /// Seconds of processor time, and of the speech that they were for.
    Measured { spent: f64, spoken: f64 },
    /// Seconds of processor time for a second of speech.
    Reported(f64),
    /// Nothing of this machine's processor.
    Elsewhere,
}

impl Costs {
    pub(super) fn of(capacity: Capacity, interim: bool) -> Self {
        match capacity {
            Capacity::Here { cost } => Self::Measured {
                spent: PRIOR * cost,
                spoken: PRIOR,
            },
            Capacity::Reported { cost, .. } if interim => Self::Reported(cost),
            Capacity::Reported { finals_only, .. } => Self::Reported(finals_only),
            Capacity::Elsewhere => Self::Elsewhere,
        }
    }

    /// Returns how many cores speech in a stream takes, as far as is known.
    pub(super) fn cost(&self) -> f64 {
        match self {
            Self::Measured { spent, spoken } => spent / spoken,
            Self::Reported(cost) => *cost,
            Self::Elsewhere => 0.0,
        }
    }

    /// Records that this much speech took this processor time. Callers leave out silence,
    /// which would make speech look cheap.
    pub(super) fn measured(&mut self, of: Duration, speech: Duration) {
        if let Self::Measured { spent, spoken } = self {
            *spent += of.as_secs_f64();
            *spoken += speech.as_secs_f64();
            let fades = (MEMORY / *spoken).min(1.0);
            *spent *= fades;
            *spoken *= fades;
        }
    }

    /// Records what the engine reports, if it measures by itself.
    pub(super) fn reported(&mut self, capacity: Capacity, interim: bool) {
        if let (Self::Reported(_), Capacity::Reported { .. }) = (&self, capacity) {
            *self = Self::of(capacity, interim);
        }
    }
}

/// How far the recognition of one stream is behind its audio.
///
/// While audio always waits, a stream falls behind by the time that passes less the audio
/// that is recognised in it. A stream whose client sends faster than real time is not
/// behind, although its queue is always full.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the stream became busy, and until when it was.
    busy: Option<(Duration, Duration)>,
    /// How much audio was recognised since then.
    heard: Duration,
}

impl Pace {
    /// Records that `audio` waited and was recognised from `begin` to `end`, which are
    /// times of any clock. Returns how far the stream is behind.
    pub fn heard(&mut self, begin: Duration, end: Duration, audio: Duration) -> Duration {
        let since = match self.busy {
            Some((since, until)) if begin.saturating_sub(until) < PAUSE => since,
            _ => {
                self.heard = Duration::ZERO;
                begin
            }
        };
        self.busy = Some((since, end));
        self.heard += audio;
        let behind = end.saturating_sub(since).saturating_sub(self.heard);
        if behind.is_zero() {
            // The stream has caught up, so the measurement begins anew.
            self.busy = Some((end, end));
            self.heard = Duration::ZERO;
        }
        behind
    }
}

/// The meter around the work of an engine for one stream.
#[derive(Debug)]
pub(crate) struct Effort {
    admission: SharedAdmission,
    demand: Demand,
    pace: Pace,
    /// Processor time since the last final result.
    spent: Duration,
    /// Audio since the last result.
    unanswered: Duration,
}

/// The beginning of a piece of work.
pub(crate) struct Begun {
    at: Duration,
    processor: Duration,
}

impl Effort {
    pub(super) fn new(admission: SharedAdmission, demand: Demand) -> Self {
        Self {
            admission,
            demand,
            pace: Pace::default(),
            spent: Duration::ZERO,
            unanswered: Duration::ZERO,
        }
    }

    /// Begins to measure a call of the engine. Its audio has waited since `since`.
    pub(crate) fn begin(&self, since: Instant) -> Begun {
        Begun {
            at: self.admission.since_epoch(since),
            processor: processor_time(),
        }
    }

    /// Ends the measurement of a call that took these samples and returned these results.
    /// The engine reports `behind` and `capacity`.
    pub(crate) fn end(
        &mut self,
        begun: &Begun,
        samples: usize,
        said: &[Recognition],
        (behind, capacity): (Duration, Capacity),
    ) {
        let now = self.admission.since_epoch(Instant::now());
        let spent = processor_time().saturating_sub(begun.processor);
        self.account(begun.at, now, samples, said, (spent, behind));
        if let Some(mut admission) = self.admission.lock() {
            admission.reported(self.demand.engine, capacity);
        }
    }

    /// Records how far the engine says that it is behind, outside of a call with audio.
    pub(crate) fn behind(&self, behind: Duration) {
        let now = self.admission.since_epoch(Instant::now());
        if let Some(mut admission) = self.admission.lock() {
            admission.behind(now, behind);
        }
    }

    pub(super) fn account(
        &mut self,
        begin: Duration,
        now: Duration,
        samples: usize,
        said: &[Recognition],
        (spent, behind): (Duration, Duration),
    ) {
        let audio = Duration::from_secs(samples as u64) / SAMPLE_RATE;
        let behind = self.pace.heard(begin, now, audio).max(behind);
        self.spent += spent;
        self.unanswered += audio;
        if !said.is_empty() {
            self.unanswered = Duration::ZERO;
        } else if self.unanswered >= SILENCE {
            self.spent = Duration::ZERO;
        }
        let spoken: Duration = said.iter().map(spoken).sum();
        let Some(mut admission) = self.admission.lock() else {
            return;
        };
        admission.behind(now, behind);
        if !spoken.is_zero() {
            admission.measured(self.demand, std::mem::take(&mut self.spent), spoken);
        }
    }
}

/// Returns the duration of a final result, from its first word to its last.
fn spoken(said: &Recognition) -> Duration {
    match said {
        Recognition::Final { words, .. } => {
            let ends = words.first().zip(words.last());
            ends.map_or(Duration::ZERO, |(first, last)| {
                last.end.saturating_sub(first.start)
            })
        }
        Recognition::Interim { .. } | Recognition::Gap { .. } => Duration::ZERO,
    }
}

/// Returns the processor time of this thread.
pub(super) fn processor_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        // Where the system has no such clock, nothing is measured.
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_reports_counts_at_once_and_only_if_it_is_one_that_reports() {
        let told = |cost| Capacity::Reported {
            cost,
            finals_only: cost / 4.0,
        };
        let mut reports = Costs::of(told(0.5), true);
        let mut finals = Costs::of(told(0.5), false);
        for costs in [&mut reports, &mut finals] {
            costs.measured(Duration::from_secs(600), Duration::from_secs(600));
        }
        assert_eq!((reports.cost(), finals.cost()), (0.5, 0.125));
        reports.reported(told(0.25), true);
        finals.reported(told(0.25), false);
        assert_eq!((reports.cost(), finals.cost()), (0.25, 0.0625));
        let mut here = Costs::of(Capacity::Here { cost: 0.5 }, true);
        here.reported(told(0.25), true);
        assert_eq!(here.cost(), 0.5);
        here.measured(Duration::from_secs(60), Duration::from_secs(60));
        assert_eq!(here.cost(), 0.75);
        let mut elsewhere = Costs::of(Capacity::Elsewhere, false);
        elsewhere.measured(Duration::from_secs(60), Duration::from_secs(60));
        assert_eq!(elsewhere.cost(), 0.0);
    }
}
