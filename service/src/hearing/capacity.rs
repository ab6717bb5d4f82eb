// SPDX-License-Identifier: MPL-2.0

//! What the engines can take: declared by each of them, measured around its work.
//!
//! An engine says with [`Capacity`] where it works. For one that works where it is called,
//! [`Effort`] measures the processor time of its work, and [`Costs`] is what a second of
//! speech takes by that. For one that works elsewhere only its lag tells that it has
//! enough: [`Pace`] finds it from outside, and the engine may know more by itself.
//! `admission` decides with these figures and has no others.

use crate::hearing::admission::SharedAdmission;
use crate::hearing::recognizer::{Recognition, SAMPLE_RATE};
use std::time::{Duration, Instant};

/// For how much speech stands what an engine says of itself, in seconds.
const PRIOR: f64 = 60.0;

/// How much speech is remembered, in seconds: what was measured before it fades.
const MEMORY: f64 = 600.0;

/// A stream without audio for so long was not behind: its client had nothing to send.
const PAUSE: Duration = Duration::from_millis(250);

/// So much audio without any result was no speech.
const SILENCE: Duration = Duration::from_secs(5);

/// Where an engine works, and what that takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Capacity {
    /// The engine works on the thread that calls it, and is measured there.
    Here {
        /// Seconds of processor time for a second of speech, before that was measured:
        /// 0.5 is half a core for a stream in which somebody speaks.
        cost: f64,
    },
    /// The engine works on threads of its own on this machine, and measures by itself.
    Reported {
        /// Seconds of processor time for a second of speech, as far as it knows by now.
        cost: f64,
    },
    /// The engine works elsewhere: what the calling thread takes says nothing about it.
    Elsewhere,
}

/// What speech costs with one engine.
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
    pub(super) fn of(capacity: Capacity) -> Self {
        match capacity {
            Capacity::Here { cost } => Self::Measured {
                spent: PRIOR * cost,
                spoken: PRIOR,
            },
            Capacity::Reported { cost } => Self::Reported(cost),
            Capacity::Elsewhere => Self::Elsewhere,
        }
    }

    /// Returns what a stream takes of a core while somebody speaks, as far as is known.
    pub(super) fn cost(&self) -> f64 {
        match self {
            Self::Measured { spent, spoken } => spent / spoken,
            Self::Reported(cost) => *cost,
            Self::Elsewhere => 0.0,
        }
    }

    /// Takes down that the recognition of so much speech took so much of a processor.
    /// Silence is never told: it would make speech look cheap.
    pub(super) fn measured(&mut self, of: Duration, speech: Duration) {
        if let Self::Measured { spent, spoken } = self {
            *spent += of.as_secs_f64();
            *spoken += speech.as_secs_f64();
            let fades = (MEMORY / *spoken).min(1.0);
            *spent *= fades;
            *spoken *= fades;
        }
    }

    /// Takes down what the engine says by now, if it is one that measures by itself.
    pub(super) fn reported(&mut self, capacity: Capacity) {
        if let (Self::Reported(known), Capacity::Reported { cost }) = (self, capacity) {
            *known = cost;
        }
    }
}

/// How far the recognition of one stream is behind its audio.
///
/// A stream that is never without audio to hear, and hears less of it than time goes by,
/// falls behind by the difference. One that is sent faster than real time does not,
/// though its queue is always full.
#[derive(Debug, Default)]
pub struct Pace {
    /// Since when the stream has been busy, and up to when.
    busy: Option<(Duration, Duration)>,
    /// How much audio it has heard since.
    heard: Duration,
}

impl Pace {
    /// Takes down that from `begin` to `end`, times of any clock, `audio` was heard or
    /// waited to be heard, and returns how far behind the stream is now.
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
            // Ahead of its time: what comes is measured from here.
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
    /// Number of the engine among those of the service.
    engine: usize,
    pace: Pace,
    /// Processor time since the last final result.
    spent: Duration,
    /// Audio since anything was heard in it.
    unanswered: Duration,
}

/// The beginning of a piece of work.
pub(crate) struct Begun {
    at: Duration,
    processor: Duration,
}

impl Effort {
    pub(super) fn new(admission: SharedAdmission, engine: usize) -> Self {
        Self {
            admission,
            engine,
            pace: Pace::default(),
            spent: Duration::ZERO,
            unanswered: Duration::ZERO,
        }
    }

    /// The engine is about to be given audio that has waited `since` then, or to be asked
    /// for what it owes.
    pub(crate) fn begin(&self, since: Instant) -> Begun {
        Begun {
            at: self.admission.since_epoch(since),
            processor: processor_time(),
        }
    }

    /// It has heard so many samples and said this; by its own account it is `behind`, and
    /// can take so much.
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
            admission.reported(self.engine, capacity);
        }
    }

    /// Tells that the engine is `behind` by its own account, though it was given no audio.
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
            admission.measured(self.engine, std::mem::take(&mut self.spent), spoken);
        }
    }
}

/// Returns how long the words of a final result last, with what is between them.
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

/// Returns what this thread has taken of a processor.
fn processor_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        // A system without that clock measures nothing.
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_reports_counts_at_once_and_only_if_it_is_one_that_reports() {
        let mut reports = Costs::of(Capacity::Reported { cost: 0.5 });
        reports.measured(Duration::from_secs(600), Duration::from_secs(600));
        assert_eq!(reports.cost(), 0.5);
        reports.reported(Capacity::Reported { cost: 0.25 });
        assert_eq!(reports.cost(), 0.25);
        let mut here = Costs::of(Capacity::Here { cost: 0.5 });
        here.reported(Capacity::Reported { cost: 0.25 });
        assert_eq!(here.cost(), 0.5);
        here.measured(Duration::from_secs(60), Duration::from_secs(60));
        assert_eq!(here.cost(), 0.75);
        let mut elsewhere = Costs::of(Capacity::Elsewhere);
        elsewhere.measured(Duration::from_secs(60), Duration::from_secs(60));
        assert_eq!(elsewhere.cost(), 0.0);
    }
}
