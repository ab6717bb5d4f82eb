// SPDX-License-Identifier: MPL-2.0

//! Who may come in: no more streams than are recognised as fast as they speak.
//!
//! Overload is refused at the door, where a client can wait and dial again, and
//! never shared out among those that are in. Two signs of it are heeded:
//!
//! - **Reservations.** Each stream that is in holds as much of the processor as
//!   speech costs, whether somebody speaks or not: who is silent now may speak.
//!   The cost is measured with each final result, and before the first it is what the
//!   engine says of itself. A conversation that waits for a speaker who was lost holds
//!   no place: it takes nothing of the processor, and its speaker is let in all the same.
//! - **Lag.** While recognition is behind the audio of any stream, nobody else
//!   comes in. That also serves engines that do their work elsewhere, whose cost
//!   cannot be measured here.
//!
//! A socket that joins a conversation that goes on is let in past both, while that
//! conversation has few sockets (`RoomState::joins_past_admission`): a speaker whose link
//! was lost was admitted before, its old socket may not be known to be dead, and half a
//! conversation is worth little. Beyond that few, one connection id would be a way around
//! the door. One stream may always come in where there is none.
//!
//! [`Admission`] decides, and has no clock, thread or lock; [`Entrance`] is what the
//! service's threads hold.

use crate::hearing::recognizer::{Recognition, SAMPLE_RATE};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how much speech stands what an engine says of itself, in seconds.
const PRIOR: f64 = 60.0;

/// How much speech is remembered, in seconds: what was measured before it fades.
const MEMORY: f64 = 600.0;

/// A full house opens again without anybody leaving when the costs have fallen by
/// this part: an estimate that trembles is not to open and close the door.
const RELIEF: f64 = 0.9;

/// A stream that is so far behind its audio lags.
const BEHIND: Duration = Duration::from_secs(2);

/// How long that is remembered.
const LAGGED: Duration = Duration::from_secs(10);

/// A stream without audio for so long was not behind: its client had nothing to send.
const PAUSE: Duration = Duration::from_millis(250);

/// So much audio without any result was no speech.
const SILENCE: Duration = Duration::from_secs(5);

/// Why somebody cannot come in now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// What is left of the processor is too little for another stream.
    Capacity,
    /// Recognition is behind the audio of those that are in.
    Lag,
}

/// What the streams take, and whether there is room for one more. Times are of any clock.
#[derive(Debug)]
pub struct Admission {
    /// Cores that recognition may take.
    capacity: f64,
    /// Seconds of processor time, and of the speech that they were for.
    costs: Option<(f64, f64)>,
    /// Streams that are in.
    streams: usize,
    /// Until then somebody counts as lagging.
    lags_until: Duration,
    /// How many there were when the door closed, while it is closed.
    closed_at: Option<usize>,
}

impl Admission {
    /// For `capacity` cores, and an engine of which a stream takes `cost` of a core
    /// while somebody speaks; none if it does its work elsewhere.
    pub fn new(capacity: f64, cost: Option<f64>) -> Self {
        Self {
            capacity,
            costs: cost.map(|cost| (PRIOR * cost, PRIOR)),
            streams: 0,
            lags_until: Duration::ZERO,
            closed_at: None,
        }
    }

    /// What a stream takes of a core while somebody speaks, as far as is known.
    pub fn cost(&self) -> f64 {
        self.costs.map_or(0.0, |(spent, spoken)| spent / spoken)
    }

    /// Returns what all streams that are in would take if all spoke, of what they may: 1
    /// is a full house. It is more where speakers came back into a full one.
    pub fn load(&self) -> f64 {
        self.streams as f64 * self.cost() / self.capacity
    }

    /// A stream wants to come in; `returns`: into a conversation that goes on, in
    /// which it is let in past admission.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn enter(&mut self, now: Duration, returns: bool) -> Result<(), Full> {
        let taken = self.streams;
        if !returns && taken > 0 {
            if now < self.lags_until {
                return Err(Full::Lag);
            }
            let closed = self.closed_at.is_some_and(|streams| taken >= streams);
            let bound = if closed { RELIEF } else { 1.0 };
            let needed = (taken + 1) as f64 * self.cost();
            if needed > self.capacity * bound {
                self.closed_at.get_or_insert(taken);
                return Err(Full::Capacity);
            }
            self.closed_at = None;
        }
        self.streams += 1;
        Ok(())
    }

    /// A stream that was let in is gone.
    pub fn leave(&mut self) {
        self.streams = self.streams.saturating_sub(1);
    }

    /// The recognition of so much speech took so much of a processor. Silence is
    /// never told: it would make speech look cheap.
    pub fn measured(&mut self, spent: Duration, spoken: Duration) {
        if let Some((all_spent, all_spoken)) = &mut self.costs {
            *all_spent += spent.as_secs_f64();
            *all_spoken += spoken.as_secs_f64();
            let fades = (MEMORY / *all_spoken).min(1.0);
            *all_spent *= fades;
            *all_spoken *= fades;
        }
    }

    /// A stream is so far behind its audio.
    pub fn behind(&mut self, now: Duration, behind: Duration) {
        if behind >= BEHIND {
            self.lags_until = now + LAGGED;
        }
    }
}

/// How far the recognition of one stream is behind its audio.
///
/// A stream whose thread never rests and that hears less audio than time goes by
/// falls behind by the difference. One that is sent faster than real time does not,
/// though its queue is always full.
#[derive(Debug, Default)]
pub struct Pace {
    /// Since when the thread has been busy, and up to when.
    busy: Option<(Duration, Duration)>,
    /// How much audio it has heard since.
    heard: Duration,
}

impl Pace {
    /// From `begin` to `end`, times of any clock, `audio` was heard. How far behind it
    /// is now.
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

/// The door, for all threads of the service.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    /// None: nobody is refused.
    admission: Option<Arc<Mutex<Admission>>>,
    epoch: Instant,
}

impl Entrance {
    pub(crate) fn new(admission: Option<Admission>) -> Self {
        Self {
            admission: admission.map(|admission| Arc::new(Mutex::new(admission))),
            epoch: Instant::now(),
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Admission>> {
        let admission = self.admission.as_ref()?;
        Some(admission.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// See [`Admission::load`]; 0 where nobody is refused.
    pub(crate) fn load(&self) -> f64 {
        self.lock().map_or(0.0, |admission| admission.load())
    }

    /// See [`Admission::enter`]. Who is in holds what this gives.
    pub(crate) fn enter(&self, returns: bool) -> Result<Place, Full> {
        let now = self.epoch.elapsed();
        if let Some(mut admission) = self.lock() {
            admission.enter(now, returns)?;
        }
        Ok(Place(self.clone()))
    }

    /// Returns what the thread of a stream that was let in tells of its work with.
    pub(crate) fn effort(&self) -> Effort {
        Effort {
            entrance: self.clone(),
            pace: Pace::default(),
            spent: Duration::ZERO,
            unanswered: Duration::ZERO,
        }
    }
}

/// The place of a stream that was let in; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place(Entrance);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut admission) = self.0.lock() {
            admission.leave();
        }
    }
}

/// What the thread of a stream tells of its work.
#[derive(Debug)]
pub(crate) struct Effort {
    entrance: Entrance,
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
    /// The engine is about to be given audio, or to be asked for what it owes.
    pub(crate) fn begin(&self) -> Begun {
        Begun {
            at: self.entrance.epoch.elapsed(),
            processor: processor_time(),
        }
    }

    /// Tells that the engine is `behind` by its own account, though it was given no audio.
    pub(crate) fn behind(&self, behind: Duration) {
        let now = self.entrance.epoch.elapsed();
        if let Some(mut admission) = self.entrance.lock() {
            admission.behind(now, behind);
        }
    }

    /// It has heard so many samples and said this; by its own account it is `behind`.
    pub(crate) fn end(
        &mut self,
        begun: &Begun,
        samples: usize,
        said: &[Recognition],
        behind: Duration,
    ) {
        let now = self.entrance.epoch.elapsed();
        let spent = processor_time().saturating_sub(begun.processor);
        self.account(begun.at, now, samples, said, (spent, behind));
    }

    fn account(
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
        let Some(mut admission) = self.entrance.lock() else {
            return;
        };
        admission.behind(now, behind);
        if !spoken.is_zero() {
            admission.measured(std::mem::take(&mut self.spent), spoken);
        }
    }
}

/// How long the words of a final result last, with what is between them.
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

/// What this thread has taken of a processor.
fn processor_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        // A system without that clock measures nothing.
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "admission/tests.rs"]
mod tests;
