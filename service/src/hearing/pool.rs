// SPDX-License-Identifier: MPL-2.0

//! The threads that recognise, shared by all streams.
//!
//! A stream is a [`Job`] that works in turns. To wake a job is to put it into a queue. A
//! worker takes the job with the earliest deadline, runs one turn, and puts the job back
//! if it has more to do. A job never runs on two workers at once. A job that panics is
//! over, and the other jobs are not affected.
//!
//! As many jobs run at once as there are workers, one for each processor core. A turn is
//! short and only computes. What has to wait (for the database, or for an engine that
//! blocks) waits within [`blocking`], which gives the worker's place to one of [`SPARE`]
//! further threads meanwhile. Only while all of those wait too is a place lost. All
//! threads are started with the service, so that none is asked for while a client waits.
//! The thread that rested last is woken first, because its caches are warm. So the other
//! threads, each of which has memory of its own, work only when there is much to do.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Threads beside the workers. This many jobs may wait at once without delaying others.
const SPARE: usize = 30;

/// What a job needs after a turn.
#[derive(Debug)]
pub(crate) enum Next {
    /// Another turn. Its work has waited since `since`.
    Again { since: Instant },
    /// Nothing until it is woken or the time `until` comes.
    Wait {
        until: Option<Instant>,
        /// Work that comes earlier counts as waiting from this time on.
        not_before: Instant,
    },
    /// Nothing: it is done.
    Over,
}

/// Work in turns.
pub(crate) trait Turns: Send {
    /// Works for a bounded time. To be called again, wake `waker`.
    fn turn(&mut self, waker: &Waker) -> Next;
}

/// The pool of threads. They end when the last clone is dropped and all jobs are over.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Owner>);

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.call_all(&mut state);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let workers = self.0.0.workers;
        f.debug_struct("Pool")
            .field("workers", &workers)
            .finish_non_exhaustive()
    }
}

/// What the threads share. While `state` is locked, only a job's state may be locked, and
/// nothing may be called that could wake a job.
struct Shared {
    workers: usize,
    state: Mutex<State>,
    /// Notified when the earliest of the times has changed.
    times: Condvar,
}

#[derive(Default)]
struct State {
    ready: BinaryHeap<Reverse<Queued>>,
    times: BinaryHeap<Reverse<Queued>>,
    /// All jobs that are not over. They are held here so that no job is dropped while the
    /// state is locked.
    jobs: HashMap<u64, Arc<Job>>,
    /// Number of queued entries and jobs so far.
    count: u64,
    /// Threads that run a turn and do not wait in it.
    running: usize,
    /// Threads that have nothing to do. The one that rested last is at the end.
    resting: Vec<Arc<Resting>>,
    /// Threads that were woken and have not taken a job yet.
    called: usize,
    closed: bool,
}

/// A thread that has nothing to do.
struct Resting {
    thread: Thread,
    called: AtomicBool,
}

impl Resting {
    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Waits to be called. Only the thread itself calls this.
    fn rest(&self) {
        while !self.called.swap(false, Ordering::Acquire) {
            std::thread::park();
        }
    }
}

/// A job in a queue.
struct Queued {
    at: Instant,
    /// Orders the jobs of one time: first in, first out.
    count: u64,
    job: Arc<Job>,
}

impl Queued {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.count)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// A job: its work and its state.
struct Job {
    id: u64,
    shared: Arc<Shared>,
    span: tracing::Span,
    /// A turn is due this long after the job became ready.
    lag: Duration,
    state: Mutex<JobState>,
    /// `None` once the job is over.
    turns: Mutex<Option<Box<dyn Turns>>>,
}

struct JobState {
    at: At,
    not_before: Instant,
    /// The earliest time at which the queue of times wakes the job.
    time: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum At {
    Idle,
    Ready,
    Running,
    /// Running, and woken since.
    Woken,
    Over,
}

impl Job {
    fn state(&self) -> MutexGuard<'_, JobState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one turn. A job that panics is over.
    fn turn(self: &Arc<Self>) -> Next {
        let waker = Waker::from(Arc::clone(self));
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let _about = self.span.enter();
        let next = match turns.as_mut() {
            Some(turns) => catch_unwind(AssertUnwindSafe(|| turns.turn(&waker))),
            None => Ok(Next::Over),
        };
        match next {
            Ok(next @ (Next::Again { .. } | Next::Wait { .. })) => next,
            Ok(Next::Over) | Err(_) => {
                let over = turns.take();
                drop(turns);
                // Dropping the work may panic too.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(over)));
                Next::Over
            }
        }
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.shared.lock();
        state.wake(self);
        self.shared.call(&mut state);
    }
}

impl State {
    fn push(&mut self, job: &Arc<Job>, at: Instant) {
        self.count += 1;
        self.ready.push(Reverse(Queued {
            at,
            count: self.count,
            job: Arc::clone(job),
        }));
    }

    /// Puts a job into the queue, unless it is there or over.
    fn wake(&mut self, job: &Arc<Job>) {
        let mut job_state = job.state();
        match job_state.at {
            At::Idle => {
                job_state.at = At::Ready;
                let since = job_state.not_before.max(Instant::now());
                self.push(job, since + job.lag);
            }
            At::Running => job_state.at = At::Woken,
            At::Ready | At::Woken | At::Over => {}
        }
    }

    /// Returns the job whose turn it is, if a worker may take it.
    fn next(&mut self, workers: usize) -> Option<Arc<Job>> {
        if self.running >= workers {
            return None;
        }
        let Reverse(entry) = self.ready.pop()?;
        entry.job.state().at = At::Running;
        self.running += 1;
        Some(entry.job)
    }

    /// Records how a turn of a job ended. Returns `true` if the job has set the earliest
    /// of the times.
    fn settle(&mut self, job: &Arc<Job>, next: &Next) -> bool {
        self.running = self.running.saturating_sub(1);
        let mut job_state = job.state();
        let was_woken = job_state.at == At::Woken;
        match *next {
            Next::Again { since } => {
                job_state.at = At::Ready;
                self.push(job, since + job.lag);
            }
            Next::Wait { not_before, .. } if was_woken => {
                job_state.at = At::Ready;
                let since = not_before.max(Instant::now());
                self.push(job, since + job.lag);
            }
            Next::Wait { until, not_before } => {
                job_state.at = At::Idle;
                job_state.not_before = not_before;
                let is_new = |at: &Instant| job_state.time.is_none_or(|known| *at < known);
                if let Some(at) = until.filter(is_new) {
                    job_state.time = Some(at);
                    self.count += 1;
                    let is_next = self.times.peek().is_none_or(|Reverse(next)| at < next.at);
                    self.times.push(Reverse(Queued {
                        at,
                        count: self.count,
                        job: Arc::clone(job),
                    }));
                    return is_next;
                }
            }
            Next::Over => {
                job_state.at = At::Over;
                self.jobs.remove(&job.id);
            }
        }
        false
    }

    fn is_over(&self) -> bool {
        self.closed && self.jobs.is_empty()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes a resting thread if it may take a job from the queue.
    fn call(&self, state: &mut State) {
        let has_place = state.running + state.called < self.workers;
        if has_place
            && state.called < state.ready.len()
            && let Some(resting) = state.resting.pop()
        {
            state.called += 1;
            resting.call();
        }
    }

    /// Wakes all threads, so that they see that the pool is over.
    fn call_all(&self, state: &mut State) {
        let resting = std::mem::take(&mut state.resting);
        state.called += resting.len();
        resting.iter().for_each(|resting| resting.call());
        self.times.notify_all();
    }

    /// Runs turns of jobs until the pool is over.
    fn work(self: &Arc<Self>) {
        HERE.set(Some(Arc::clone(self)));
        let own = Arc::new(Resting {
            thread: std::thread::current(),
            called: AtomicBool::new(false),
        });
        let mut state = self.lock();
        while !state.is_over() {
            let Some(job) = state.next(self.workers) else {
                state.resting.push(Arc::clone(&own));
                drop(state);
                own.rest();
                state = self.lock();
                state.called = state.called.saturating_sub(1);
                continue;
            };
            // Another job may be ready, and another worker free.
            self.call(&mut state);
            drop(state);
            let next = job.turn();
            state = self.lock();
            if state.settle(&job, &next) {
                self.times.notify_one();
            }
        }
        self.call_all(&mut state);
    }

    /// Wakes jobs whose time has come, until the pool is over.
    fn watch(&self) {
        let mut state = self.lock();
        while !state.is_over() {
            let now = Instant::now();
            let next = state.times.peek().map(|Reverse(entry)| entry.at);
            state = match next {
                Some(at) if at <= now => {
                    if let Some(Reverse(entry)) = state.times.pop() {
                        entry.job.state().time = None;
                        state.wake(&entry.job);
                        self.call(&mut state);
                    }
                    state
                }
                Some(at) => {
                    let waited = self.times.wait_timeout(state, at - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.times.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        // The entries hold their jobs, and the jobs hold `self`.
        state.times.clear();
    }
}

impl Pool {
    /// Starts the threads for this number of workers, at least one.
    ///
    /// # Errors
    ///
    /// The system refuses a thread.
    pub(crate) fn start(workers: usize) -> std::io::Result<Self> {
        let workers = workers.max(1);
        let shared = Arc::new(Shared {
            workers,
            state: Mutex::default(),
            times: Condvar::new(),
        });
        // If a thread cannot be started, dropping the pool ends the others.
        let pool = Self(Arc::new(Owner(Arc::clone(&shared))));
        for _ in 0..workers + SPARE {
            let shared = Arc::clone(&shared);
            thread("symbl-hearing", move || shared.work())?;
        }
        thread("symbl-times", move || shared.watch())?;
        Ok(pool)
    }

    /// Starts a job and returns its waker. Its first turn comes within `lag` if the
    /// workers keep up.
    pub(crate) fn spawn(&self, turns: Box<dyn Turns>, lag: Duration) -> Waker {
        let shared = &self.0.0;
        let mut state = shared.lock();
        state.count += 1;
        let job = Arc::new(Job {
            id: state.count,
            shared: Arc::clone(shared),
            span: tracing::Span::current(),
            lag,
            state: Mutex::new(JobState {
                at: At::Idle,
                not_before: Instant::now(),
                time: None,
            }),
            turns: Mutex::new(Some(turns)),
        });
        state.jobs.insert(job.id, Arc::clone(&job));
        state.wake(&job);
        shared.call(&mut state);
        drop(state);
        Waker::from(job)
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}

thread_local! {
    /// The pool of this thread, while the thread counts as one of its workers.
    static HERE: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// Runs work that may wait for something other than a processor: the database, a lock or
/// another program. Meanwhile another thread takes the worker's place. An engine whose
/// calls may wait calls this.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    let _outside = HERE.take().map(Outside::enter);
    work()
}

/// A worker that has given its place to another thread until this is dropped.
struct Outside(Arc<Shared>);

impl Outside {
    fn enter(shared: Arc<Shared>) -> Self {
        let mut state = shared.lock();
        state.running = state.running.saturating_sub(1);
        shared.call(&mut state);
        drop(state);
        Self(shared)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // For a moment more threads may run than there are workers. No job is taken until
        // enough of them have ended their turns.
        self.0.lock().running += 1;
        HERE.set(Some(Arc::clone(&self.0)));
    }
}

#[cfg(test)]
#[path = "pool/tests.rs"]
mod tests;
