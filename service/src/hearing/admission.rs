// SPDX-License-Identifier: MPL-2.0

//! Admits no more streams than the engines recognise as fast as their speakers speak.
//!
//! A service that is full refuses a new stream, whose client can wait and dial again. It
//! never slows down the streams that it has admitted. Two signs tell that it is full:
//!
//! - **Reservations.** Each admitted stream reserves as much of the processor as speech
//!   costs, even while its speaker is silent, because the speaker may go on. The cost is
//!   that of its engine (`capacity`), with interim results or without: what the engine
//!   declares at first, and what each final result adds to the measurement. What a stream
//!   asks for is known when it starts. Until then it counts as one of the first engine with
//!   interim results. A
//!   conversation that waits for a lost speaker reserves nothing: it takes no processor
//!   time, and its speaker is admitted in any case.
//! - **Lag.** While recognition is behind the audio of any stream, no other stream is
//!   admitted. That also covers engines that work elsewhere, whose cost cannot be
//!   measured here.
//!
//! A socket that joins a conversation is admitted in spite of both, while that
//! conversation has few sockets (`ConversationState::joins_past_admission`): a speaker
//! that lost its connection was admitted before, the service may not know yet that the
//! old socket is dead, and half a conversation is worth little. With more sockets than
//! that, one connection id would be a way around admission. The first stream is always
//! admitted.
//!
//! [`Admission`] decides, and has no clock, thread or lock. The service's threads share
//! it as [`SharedAdmission`].

use crate::hearing::capacity::{Capacity, Costs, Effort};
use crate::hearing::engines::Engines;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A full service admits another stream without one having left when the costs have
/// fallen to this part. So an estimate that varies a little does not admit and refuse by
/// turns.
const RELIEF: f64 = 0.9;

/// A stream lags when it is this far behind its audio.
const BEHIND: Duration = Duration::from_secs(2);

/// How long a lag counts after it was seen.
const LAGGED: Duration = Duration::from_secs(10);

/// Why no other stream is admitted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The admitted streams leave too little of the processor.
    Capacity,
    /// Recognition is behind the audio of the admitted streams.
    Lag,
}

/// What a stream asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The number of its engine.
    pub engine: usize,
    /// Interim results, which cost more than finals with some engines.
    pub interim: bool,
}

impl Demand {
    /// What a stream counts for until its start request says more.
    pub(crate) const UNKNOWN: Self = Self {
        engine: Engines::FIRST,
        interim: true,
    };
}

/// The streams of an engine with interim results, or those without.
#[derive(Debug)]
struct Kind {
    costs: Costs,
    /// `true` if such a stream was measured.
    is_measured: bool,
    /// How many are admitted.
    streams: usize,
}

/// One engine of the service.
#[derive(Debug)]
struct Engine {
    with_interims: Kind,
    finals_only: Kind,
}

impl Engine {
    fn new(capacity: Capacity) -> Self {
        let kind = |interim| Kind {
            costs: Costs::of(capacity, interim),
            is_measured: false,
            streams: 0,
        };
        Self {
            with_interims: kind(true),
            finals_only: kind(false),
        }
    }

    fn cost(&self, interim: bool) -> f64 {
        match interim {
            true => self.with_interims.costs.cost(),
            false => self.finals_only.costs.cost(),
        }
    }
}

/// Compares the capacity of the engines with the load of the admitted streams. Times are
/// of any clock.
#[derive(Debug)]
pub struct Admission {
    /// Cores that recognition may take.
    cores: f64,
    engines: Vec<Engine>,
    /// All admitted streams.
    streams: usize,
    /// The time until which recognition counts as lagging.
    lags_until: Duration,
    /// Number of streams at the first refusal, until the next stream is admitted.
    closed_at: Option<usize>,
}

impl Admission {
    /// Returns the admission to `cores` cores with these engines, in the order of their
    /// numbers. Without an engine nothing counts but the lag.
    pub fn new(cores: f64, engines: &[Capacity]) -> Self {
        Self {
            cores,
            engines: engines.iter().copied().map(Engine::new).collect(),
            streams: 0,
            lags_until: Duration::ZERO,
            closed_at: None,
        }
    }

    fn kind(&mut self, demand: Demand) -> Option<&mut Kind> {
        let engine = self.engines.get_mut(demand.engine)?;
        Some(match demand.interim {
            true => &mut engine.with_interims,
            false => &mut engine.finals_only,
        })
    }

    /// Returns how many cores speech in such a stream takes, as far as is known.
    pub fn cost(&self, demand: Demand) -> f64 {
        let engine = self.engines.get(demand.engine);
        engine.map_or(0.0, |engine| engine.cost(demand.interim))
    }

    /// Returns how many cores the admitted streams would take if all their speakers
    /// spoke.
    fn taken(&self) -> f64 {
        let engines = self.engines.iter();
        engines
            .map(|engine| {
                engine.with_interims.streams as f64 * engine.cost(true)
                    + engine.finals_only.streams as f64 * engine.cost(false)
            })
            .sum()
    }

    /// Returns the part of the cores that the admitted streams would take if all their
    /// speakers spoke. 1 is a full service. It is more if speakers rejoined a full one.
    pub fn load(&self) -> f64 {
        self.taken() / self.cores
    }

    /// Admits a stream. With `returns`, it belongs to a conversation that takes it past
    /// admission.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn enter(&mut self, demand: Demand, now: Duration, returns: bool) -> Result<(), Full> {
        if !returns && self.streams > 0 {
            let verdict = self.admits(demand, now);
            match verdict {
                Ok(()) => self.closed_at = None,
                Err(Full::Capacity) => {
                    self.closed_at.get_or_insert(self.streams);
                }
                Err(Full::Lag) => {}
            }
            verdict?;
        }
        self.streams += 1;
        if let Some(kind) = self.kind(demand) {
            kind.streams += 1;
        }
        Ok(())
    }

    /// Returns what [`Admission::enter`] would, for a stream that does not return.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn admits(&self, demand: Demand, now: Duration) -> Result<(), Full> {
        if self.streams == 0 {
            return Ok(());
        }
        if now < self.lags_until {
            return Err(Full::Lag);
        }
        let closed = self
            .closed_at
            .is_some_and(|streams| self.streams >= streams);
        let bound = if closed { RELIEF } else { 1.0 };
        match self.taken() + self.cost(demand) > self.cores * bound {
            true => Err(Full::Capacity),
            false => Ok(()),
        }
    }

    /// Sets the number of cores that recognition may take. Admitted streams go on.
    pub fn limit(&mut self, cores: f64) {
        self.cores = cores;
        self.closed_at = None;
    }

    /// Counts an admitted stream for what it asks for now, in place of what it counted for.
    /// `returns` is as for [`Admission::enter`].
    ///
    /// # Errors
    ///
    /// That takes more, and there is no room for it. The stream counts as before.
    pub fn choose(&mut self, was: Demand, demand: Demand, returns: bool) -> Result<(), Full> {
        let more = self.cost(demand) - self.cost(was);
        if !returns && self.streams > 1 && more > 0.0 && self.taken() + more > self.cores {
            return Err(Full::Capacity);
        }
        if let Some(was) = self.kind(was) {
            was.streams = was.streams.saturating_sub(1);
        }
        if let Some(kind) = self.kind(demand) {
            kind.streams += 1;
        }
        Ok(())
    }

    /// Removes an admitted stream that counted for this.
    pub fn leave(&mut self, demand: Demand) {
        self.streams = self.streams.saturating_sub(1);
        if let Some(kind) = self.kind(demand) {
            kind.streams = kind.streams.saturating_sub(1);
        }
    }

    /// Records that such a stream took this processor time for this much speech. Callers leave
    /// out silence, which would make speech look cheap. Of the streams of the other kind it is
    /// believed until one of them was measured.
    pub fn measured(&mut self, demand: Demand, spent: Duration, spoken: Duration) {
        let Some(engine) = self.engines.get_mut(demand.engine) else {
            return;
        };
        let kinds = (&mut engine.with_interims, &mut engine.finals_only);
        let (kind, other) = match demand.interim {
            true => kinds,
            false => (kinds.1, kinds.0),
        };
        kind.is_measured = true;
        kind.costs.measured(spent, spoken);
        if !other.is_measured {
            other.costs.measured(spent, spoken);
        }
    }

    /// Records what an engine reports.
    pub fn reported(&mut self, engine: usize, capacity: Capacity) {
        if let Some(engine) = self.engines.get_mut(engine) {
            engine.with_interims.costs.reported(capacity, true);
            engine.finals_only.costs.reported(capacity, false);
        }
    }

    /// Records how far a stream is behind its audio.
    pub fn behind(&mut self, now: Duration, behind: Duration) {
        if behind >= BEHIND {
            self.lags_until = now + LAGGED;
        }
    }
}

/// The admission that all threads of the service share.
#[derive(Debug, Clone)]
pub(crate) struct SharedAdmission {
    /// `None` if every stream is admitted.
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

    /// Returns the meter of work that counts for nothing: it takes what live streams leave.
    pub(crate) fn unmetered() -> Effort {
        Self::new(None).effort(Demand::UNKNOWN)
    }

    /// Returns [`Admission::load`], or 0 if every stream is admitted.
    pub(crate) fn load(&self) -> f64 {
        self.lock().map_or(0.0, |admission| admission.load())
    }

    /// Returns `true` if another stream would be admitted now.
    pub(crate) fn admits(&self) -> bool {
        let now = self.epoch.elapsed();
        let admission = self.lock();
        admission.is_none_or(|admission| admission.admits(Demand::UNKNOWN, now).is_ok())
    }

    /// Returns `true` if not every stream is admitted.
    pub(crate) fn is_limited(&self) -> bool {
        self.admission.is_some()
    }

    /// Sets the number of cores, see [`Admission::limit`].
    pub(crate) fn limit(&self, cores: f64) {
        if let Some(mut admission) = self.lock() {
            admission.limit(cores);
        }
    }

    /// Returns a time on the admission's clock.
    pub(super) fn since_epoch(&self, time: Instant) -> Duration {
        time.saturating_duration_since(self.epoch)
    }

    /// Admits a stream, see [`Admission::enter`]. The stream holds what this returns.
    pub(crate) fn enter(&self, demand: Demand, returns: bool) -> Result<Admitted, Full> {
        let now = self.epoch.elapsed();
        if let Some(mut admission) = self.lock() {
            admission.enter(demand, now, returns)?;
        }
        Ok(Admitted {
            admission: self.clone(),
            demand,
            returns,
        })
    }

    /// Returns the meter for the work for an admitted stream.
    pub(crate) fn effort(&self, demand: Demand) -> Effort {
        Effort::new(self.clone(), demand)
    }
}

/// The reservation of an admitted stream. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: SharedAdmission,
    /// What the stream counts for.
    demand: Demand,
    /// `true` if the stream was admitted past admission.
    returns: bool,
}

impl Admitted {
    /// Counts the stream for what it asks for, see [`Admission::choose`].
    pub(crate) fn choose(&mut self, demand: Demand) -> Result<(), Full> {
        if demand != self.demand {
            if let Some(mut admission) = self.admission.lock() {
                admission.choose(self.demand, demand, self.returns)?;
            }
            self.demand = demand;
        }
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(mut admission) = self.admission.lock() {
            admission.leave(self.demand);
        }
    }
}

#[cfg(test)]
#[path = "admission/tests.rs"]
mod tests;
