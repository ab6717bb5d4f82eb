// SPDX-License-Identifier: MPL-2.0

//! Who may come in: no more streams than are recognised as fast as they speak.
//!
//! Overload is refused at the door, where a client can wait and dial again, and
//! never shared out among those that are in. Two signs of it are heeded:
//!
//! - **Reservations.** Each stream that is in holds as much of the processor as
//!   speech costs, whether somebody speaks or not: who is silent now may speak.
//!   The cost is that of its engine (`capacity`): measured with each final result, and
//!   before the first what the engine says of itself. Which engine a stream will have is
//!   known when it starts; until then it counts as one of the first. A conversation that waits for a speaker who was lost holds
//!   no place: it takes nothing of the processor, and its speaker is let in all the same.
//! - **Lag.** While recognition is behind the audio of any stream, nobody else
//!   comes in. That also serves engines that do their work elsewhere, whose cost
//!   cannot be measured here.
//!
//! A socket that joins a conversation that goes on is let in past both, while that
//! conversation has few sockets (`ConversationState::joins_past_admission`): a speaker whose link
//! was lost was admitted before, its old socket may not be known to be dead, and half a
//! conversation is worth little. Beyond that few, one connection id would be a way around
//! the door. One stream may always come in where there is none.
//!
//! [`Admission`] decides, and has no clock, thread or lock; [`SharedAdmission`] is what the
//! service's threads hold.

use crate::hearing::capacity::{Capacity, Costs, Effort};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A full house opens again without anybody leaving when the costs have fallen by
/// this part: an estimate that trembles is not to open and close the door.
const RELIEF: f64 = 0.9;

/// A stream that is so far behind its audio lags.
const BEHIND: Duration = Duration::from_secs(2);

/// How long that is remembered.
const LAGGED: Duration = Duration::from_secs(10);

/// Why somebody cannot come in now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// What is left of the processor is too little for another stream.
    Capacity,
    /// Recognition is behind the audio of those that are in.
    Lag,
}

/// One engine of the service.
#[derive(Debug)]
struct Engine {
    costs: Costs,
    /// Streams of it that are in.
    streams: usize,
}

/// What the streams take, and whether there is room for one more. Times are of any clock.
#[derive(Debug)]
pub struct Admission {
    /// Cores that recognition may take.
    cores: f64,
    engines: Vec<Engine>,
    /// Streams that are in.
    streams: usize,
    /// Until then somebody counts as lagging.
    lags_until: Duration,
    /// How many there were when the door closed, while it is closed.
    closed_at: Option<usize>,
}

impl Admission {
    /// Returns the admission to `cores` cores with these engines, in the order of their
    /// numbers. Without an engine nothing counts but the lag.
    pub fn new(cores: f64, engines: &[Capacity]) -> Self {
        let engine = |capacity: &Capacity| Engine {
            costs: Costs::of(*capacity),
            streams: 0,
        };
        Self {
            cores,
            engines: engines.iter().map(engine).collect(),
            streams: 0,
            lags_until: Duration::ZERO,
            closed_at: None,
        }
    }

    /// Returns what a stream of an engine takes of a core while somebody speaks, as far as
    /// is known.
    pub fn cost(&self, engine: usize) -> f64 {
        let engine = self.engines.get(engine);
        engine.map_or(0.0, |engine| engine.costs.cost())
    }

    /// Returns the cores that all streams that are in would take if all spoke.
    fn taken(&self) -> f64 {
        let engines = self.engines.iter();
        engines
            .map(|engine| engine.streams as f64 * engine.costs.cost())
            .sum()
    }

    /// Returns what all streams that are in would take if all spoke, of what they may: 1
    /// is a full house. It is more where speakers came back into a full one.
    pub fn load(&self) -> f64 {
        self.taken() / self.cores
    }

    /// Lets a stream of an engine come in; `returns`: into a conversation that goes on, in
    /// which it is let in past admission.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn enter(&mut self, engine: usize, now: Duration, returns: bool) -> Result<(), Full> {
        let taken = self.streams;
        if !returns && taken > 0 {
            if now < self.lags_until {
                return Err(Full::Lag);
            }
            let closed = self.closed_at.is_some_and(|streams| taken >= streams);
            let bound = if closed { RELIEF } else { 1.0 };
            let needed = self.taken() + self.cost(engine);
            if needed > self.cores * bound {
                self.closed_at.get_or_insert(taken);
                return Err(Full::Capacity);
            }
            self.closed_at = None;
        }
        self.streams += 1;
        if let Some(engine) = self.engines.get_mut(engine) {
            engine.streams += 1;
        }
        Ok(())
    }

    /// Takes down that a stream that is in has another engine than it was taken for;
    /// `returns` as for [`Admission::enter`].
    ///
    /// # Errors
    ///
    /// That engine takes more, and there is no room for that. The stream is in as before.
    pub fn choose(&mut self, was: usize, engine: usize, returns: bool) -> Result<(), Full> {
        let more = self.cost(engine) - self.cost(was);
        if !returns && self.streams > 1 && more > 0.0 && self.taken() + more > self.cores {
            return Err(Full::Capacity);
        }
        if let Some(was) = self.engines.get_mut(was) {
            was.streams = was.streams.saturating_sub(1);
        }
        if let Some(engine) = self.engines.get_mut(engine) {
            engine.streams += 1;
        }
        Ok(())
    }

    /// Takes down that a stream of an engine that was let in is gone.
    pub fn leave(&mut self, engine: usize) {
        self.streams = self.streams.saturating_sub(1);
        if let Some(engine) = self.engines.get_mut(engine) {
            engine.streams = engine.streams.saturating_sub(1);
        }
    }

    /// Takes down that an engine took so much of a processor for so much speech. Silence is
    /// never told: it would make speech look cheap.
    pub fn measured(&mut self, engine: usize, spent: Duration, spoken: Duration) {
        if let Some(engine) = self.engines.get_mut(engine) {
            engine.costs.measured(spent, spoken);
        }
    }

    /// Takes down what an engine says of itself by now.
    pub fn reported(&mut self, engine: usize, capacity: Capacity) {
        if let Some(engine) = self.engines.get_mut(engine) {
            engine.costs.reported(capacity);
        }
    }

    /// A stream is so far behind its audio.
    pub fn behind(&mut self, now: Duration, behind: Duration) {
        if behind >= BEHIND {
            self.lags_until = now + LAGGED;
        }
    }
}

/// The door, for all threads of the service.
#[derive(Debug, Clone)]
pub(crate) struct SharedAdmission {
    /// None: nobody is refused.
    admission: Option<Arc<Mutex<Admission>>>,
    epoch: Instant,
}

impl SharedAdmission {
    pub(crate) fn new(admission: Option<Admission>) -> Self {
        Self {
            admission: admission.map(|admission| Arc::new(Mutex::new(admission))),
            epoch: Instant::now(),
        }
    }

    pub(super) fn lock(&self) -> Option<MutexGuard<'_, Admission>> {
        let admission = self.admission.as_ref()?;
        Some(admission.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// See [`Admission::load`]; 0 where nobody is refused.
    pub(crate) fn load(&self) -> f64 {
        self.lock().map_or(0.0, |admission| admission.load())
    }

    /// Returns a time as the admission knows it.
    pub(super) fn since_epoch(&self, time: Instant) -> Duration {
        time.saturating_duration_since(self.epoch)
    }

    /// See [`Admission::enter`]. A stream that is in holds what this returns.
    pub(crate) fn enter(&self, engine: usize, returns: bool) -> Result<Admitted, Full> {
        let now = self.epoch.elapsed();
        if let Some(mut admission) = self.lock() {
            admission.enter(engine, now, returns)?;
        }
        Ok(Admitted {
            admission: self.clone(),
            engine,
            returns,
        })
    }

    /// Returns the meter for the work of an engine for a stream that was let in.
    pub(crate) fn effort(&self, engine: usize) -> Effort {
        Effort::new(self.clone(), engine)
    }
}

/// The place of a stream that was let in; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: SharedAdmission,
    /// The engine that it is for, or is taken to be for.
    engine: usize,
    /// It was given past admission.
    returns: bool,
}

impl Admitted {
    /// See [`Admission::choose`].
    pub(crate) fn choose(&mut self, engine: usize) -> Result<(), Full> {
        if engine != self.engine {
            if let Some(mut admission) = self.admission.lock() {
                admission.choose(self.engine, engine, self.returns)?;
            }
            self.engine = engine;
        }
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(mut admission) = self.admission.lock() {
            admission.leave(self.engine);
        }
    }
}

#[cfg(test)]
#[path = "admission/tests.rs"]
mod tests;
