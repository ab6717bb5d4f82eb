// SPDX-License-Identifier: MPL-2.0

//! The threads that decode, shared by all streams.

use super::queue::{Queue, Ticket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

/// Something to compute.
type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when the last clone is dropped or [`Workers::close`] was called.
#[derive(Clone)]
pub(super) struct Workers(Arc<Owner>);

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue<Job>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        // Dropped behind the lock: a job holds the end of its stream's slot.
        let jobs = state.queue.drain();
        drop(state);
        drop(jobs);
        self.work.notify_all();
    }

    fn work(&self) {
        loop {
            let mut state = self.lock();
            let job = loop {
                if state.closed {
                    return;
                }
                if let Some(job) = state.queue.take() {
                    break job;
                }
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            // A job that panics has not filled its slot: its stream fails, no other does.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(super) fn start(count: usize) -> std::io::Result<Self> {
        let workers = Self(Arc::new(Owner(Arc::default())));
        for number in 0..count.max(1) {
            let shared = Arc::clone(&workers.0.0);
            std::thread::Builder::new()
                .name(format!("whisper-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(workers)
    }

    /// Queues a job that decodes a final by `deadline`, if the workers keep up. The slot of
    /// a job that is dropped before it begins is lost, see [`Slot::take`].
    pub(super) fn final_by(&self, deadline: Instant, job: Job) -> Ticket {
        let mut state = self.0.0.lock();
        if state.closed {
            drop(state);
            drop(job);
            return Queue::<Job>::default().push_final(deadline, Box::new(|| ()));
        }
        let ticket = state.queue.push_final(deadline, job);
        drop(state);
        self.0.0.work.notify_one();
        ticket
    }

    /// Queues a job that takes a look, which has been due since `due`.
    pub(super) fn look(&self, due: Instant, job: Job) -> Ticket {
        let mut state = self.0.0.lock();
        if state.closed {
            drop(state);
            drop(job);
            return Queue::<Job>::default().push_look(due, Box::new(|| ()));
        }
        let ticket = state.queue.push_look(due, job);
        drop(state);
        self.0.0.work.notify_one();
        ticket
    }

    /// Takes back a job that no thread has begun. Returns `true` if there was one.
    pub(super) fn take_back(&self, ticket: Ticket) -> bool {
        let job = self.0.0.lock().queue.remove(ticket);
        job.is_some()
    }

    /// Ends the threads after what they do now. Does not wait.
    pub(super) fn close(&self) {
        self.0.0.close();
    }
}

/// Where the result of a job appears.
#[derive(Debug)]
pub(super) struct Slot<T>(Arc<SlotShared<T>>);

/// The job's end of a [`Slot`]. Dropped unfilled, the result is lost.
#[derive(Debug)]
pub(super) struct Filler<T> {
    shared: Arc<SlotShared<T>>,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct SlotShared<T>(Mutex<SlotState<T>>);

#[derive(Debug)]
enum SlotState<T> {
    Empty,
    Filled(T),
    Lost,
}

/// What a slot has.
#[derive(Debug)]
pub(super) enum Taken<T> {
    /// The job is not done.
    Nothing,
    /// Its result.
    Result(T),
    /// The job panicked, or the engine was closed.
    Lost,
}

/// Makes a slot; `bell` is rung when it is filled or lost.
pub(super) fn slot<T>(bell: &Arc<Bell>) -> (Slot<T>, Filler<T>) {
    let shared = Arc::new(SlotShared(Mutex::new(SlotState::Empty)));
    let filler = Filler {
        shared: Arc::clone(&shared),
        bell: Arc::clone(bell),
    };
    (Slot(shared), filler)
}

impl<T> Slot<T> {
    /// Takes the result, if it is there.
    pub(super) fn take(&self) -> Taken<T> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, SlotState::Empty) {
            SlotState::Empty => Taken::Nothing,
            SlotState::Filled(result) => Taken::Result(result),
            SlotState::Lost => Taken::Lost,
        }
    }
}

impl<T> Filler<T> {
    /// Gives the result and wakes the stream.
    pub(super) fn fill(self, result: T) {
        self.set(SlotState::Filled(result));
    }

    fn set(&self, new: SlotState<T>) {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

impl<T> Drop for Filler<T> {
    fn drop(&mut self) {
        let mut state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, SlotState::Empty) {
            *state = SlotState::Lost;
        }
        drop(state);
        self.bell.ring();
    }
}

/// Wakes a stream, once it has said how, and whatever waits for it.
#[derive(Debug, Default)]
pub(super) struct Bell {
    waker: Mutex<Option<Waker>>,
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    /// Wakes `waker` from now on.
    pub(super) fn set(&self, waker: Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ringing.notify_all();
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until the bell was rung since the last call.
    pub(super) fn wait(&self) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            rung = self
                .ringing
                .wait(rung)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *rung = false;
    }
}
