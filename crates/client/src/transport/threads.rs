// SPDX-License-Identifier: MPL-2.0

//! Threads for work that may block: calls to the application, look-ups of names,
//! reads of files.
//!
//! A [`ThreadPool`] takes jobs and runs each on a thread of its own. Three limits bound it
//! (see [`Rule`]): few jobs begin at the same time, a job that takes long no longer
//! delays the next one, and there is a maximum number of threads. A job without a
//! thread waits.
//!
//! A pool must never panic if the system refuses a thread, as tokio's
//! `spawn_blocking` does: at its limit of threads, a host would lose the task of a
//! sink, and the audio with it. Instead, the job waits, and the caller that waits for
//! the job tries again.
//!
//! [`Rota`] decides when a job may begin. It knows no thread and no clock.

use crate::session::{Failure, Reason};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a thread without a job waits for one before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Interval at which a caller checks if its waiting job can begin now.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Maximum time that a job waits for the first thread of its pool.
const NO_THREAD_BOUND: Duration = Duration::from_secs(1);

/// The limits of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Name of its threads in `top -H` and debuggers.
    pub(super) name: &'static str,
    /// Maximum number of running jobs that began less than `patience` ago.
    pub(super) prompt: usize,
    /// Time after which a running job no longer delays the next one.
    pub(super) patience: Duration,
    /// Maximum number of threads.
    pub(super) most: usize,
    /// Begin with the job that came last. The one that came first has nearly used up
    /// the time of its dial.
    pub(super) newest_first: bool,
    /// Keep one thread forever, so that a job can be done at any time.
    pub(super) keeps_one: bool,
}

type Job = Box<dyn FnOnce() + Send>;

/// Starts a thread with this name that runs the job.
type Spawn = Box<dyn Fn(&'static str, Job) -> io::Result<()> + Send + Sync>;

/// A job that has not begun.
struct Waiting<J> {
    number: u64,
    /// `true` if the same job took long the last time.
    slow: bool,
    job: J,
}

/// A job that runs.
struct Running {
    number: u64,
    slow: bool,
    since: Instant,
}

/// The jobs that wait and those that run. Decides which one may begin.
struct Rota<J> {
    rule: Rule,
    count: u64,
    waiting: VecDeque<Waiting<J>>,
    running: Vec<Running>,
}

impl<J> Rota<J> {
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            count: 0,
            waiting: VecDeque::new(),
            running: Vec::new(),
        }
    }

    /// Adds a job and returns its number. `slow` is set if the same job took long the
    /// last time.
    fn add(&mut self, slow: bool, job: J) -> u64 {
        self.count += 1;
        self.waiting.push_back(Waiting {
            number: self.count,
            slow,
            job,
        });
        self.count
    }

    /// Removes a job that has not begun.
    fn withdraw(&mut self, number: u64) -> Option<J> {
        let place = self.waiting.iter().position(|job| job.number == number)?;
        self.waiting.remove(place).map(|job| job.job)
    }

    fn is_waiting(&self, number: u64) -> bool {
        self.waiting.iter().any(|job| job.number == number)
    }

    /// Returns the place in the queue of a job that may begin at `now`, if there is
    /// one. Jobs that took long the last time wait behind all others, and take up at
    /// most half of the threads.
    fn next(&self, now: Instant) -> Option<usize> {
        let prompt = |job: &&Running| now.saturating_duration_since(job.since) < self.rule.patience;
        if self.running.len() >= self.rule.most
            || self.running.iter().filter(prompt).count() >= self.rule.prompt
        {
            return None;
        }
        let mut waiting = self.waiting.iter();
        let is_quick = |job: &Waiting<J>| !job.slow;
        let quick = match self.rule.newest_first {
            true => waiting.rposition(is_quick),
            false => waiting.position(is_quick),
        };
        let slow = self.running.iter().filter(|job| job.slow).count();
        quick.or_else(|| (slow < self.rule.most / 2 && !self.waiting.is_empty()).then_some(0))
    }

    /// Begins the job at this place in the queue.
    fn begin(&mut self, place: usize, now: Instant) -> Option<(u64, J)> {
        let Waiting { number, slow, job } = self.waiting.remove(place)?;
        self.running.push(Running {
            number,
            slow,
            since: now,
        });
        Some((number, job))
    }

    fn ended(&mut self, number: u64) {
        self.running.retain(|job| job.number != number);
    }
}

struct Inner {
    rota: Rota<Job>,
    /// Jobs that have a thread, which is about to take them.
    ready: VecDeque<(u64, Job)>,
    threads: usize,
    /// Number of threads that wait for a job and have not been given one.
    idle: usize,
}

struct Shared {
    spawn: Spawn,
    inner: Mutex<Inner>,
    given: Condvar,
}

/// A pool of threads. Clones share it.
#[derive(Clone)]
pub(super) struct ThreadPool(Arc<Shared>);

/// Why a job was not done.
pub(super) enum Undone {
    /// The system gave no thread, and the caller stopped waiting for one.
    NoThread(io::Error),
    /// The job panicked.
    Panicked(Box<dyn Any + Send>),
}

/// Returns the failure of a dial for which the system gave no thread `to` do
/// something.
pub(super) fn no_thread(to: &str, error: &io::Error) -> Failure {
    Failure::retryable(
        Reason::Internal,
        format!(
            "no thread can be had to {to}: {error}; raise the limit on threads of this process \
             (ulimit -u) or of its container or unit (pids.max, TasksMax)"
        ),
    )
}

impl fmt::Debug for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThread(error) => write!(f, "NoThread({error})"),
            Self::Panicked(_) => write!(f, "Panicked"),
        }
    }
}

impl ThreadPool {
    /// Creates a pool with the system's threads.
    pub(super) fn new(rule: Rule) -> Self {
        Self::with_spawn(rule, |name, job| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(job).map(drop)
        })
    }

    /// Creates a pool whose threads `spawn` starts.
    pub(super) fn with_spawn(
        rule: Rule,
        spawn: impl Fn(&'static str, Job) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            spawn: Box::new(spawn),
            inner: Mutex::new(Inner {
                rota: Rota::new(rule),
                ready: VecDeque::new(),
                threads: 0,
                idle: 0,
            }),
            given: Condvar::new(),
        }))
    }

    /// Starts the first thread, unless there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the system gives no thread.
    pub(super) fn prepare(&self) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.threads == 0 {
            self.start_thread(&mut inner)?;
            inner.idle += 1;
        }
        Ok(())
    }

    /// Runs `work` and returns its result. If the caller drops the future before the
    /// job begins, the job is not done.
    ///
    /// # Errors
    ///
    /// Returns [`Undone`]. A pool that keeps a thread waits for it as long as it
    /// takes.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let (done, mut result) = oneshot::channel();
        let job = move || {
            if !done.is_closed() {
                let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
            }
        };
        if let Err(number) = self.submit(false, Box::new(job)) {
            let _waits = Withdrawn { pool: self, number };
            let mut patience = Patience::default();
            loop {
                match tokio::time::timeout(LOOK_AGAIN, &mut result).await {
                    Ok(result) => return outcome(result),
                    Err(_) => patience.spend(self)?,
                }
            }
        }
        outcome(result.await)
    }

    /// Adds a job. `slow` is set if the same job took long the last time.
    ///
    /// # Errors
    ///
    /// Returns the number of the job in the queue, for [`ThreadPool::look_again`], if no
    /// thread runs it yet.
    pub(super) fn submit(&self, slow: bool, job: Job) -> Result<(), u64> {
        let mut inner = self.lock();
        let number = inner.rota.add(slow, job);
        // The caller that waits for the job gets the error again.
        let _ = self.advance(&mut inner);
        match inner.rota.is_waiting(number) {
            true => Err(number),
            false => Ok(()),
        }
    }

    /// Begins the jobs that may begin.
    ///
    /// # Errors
    ///
    /// Returns an error if there is a job and no thread at all, and the system gives
    /// none.
    pub(super) fn look_again(&self) -> io::Result<()> {
        let mut inner = self.lock();
        match self.advance(&mut inner) {
            Err(error) if inner.threads == 0 => Err(error),
            _ => Ok(()),
        }
    }

    fn rule(&self) -> Rule {
        self.lock().rota.rule
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, inner: &mut Inner) -> io::Result<()> {
        let now = Instant::now();
        while let Some(place) = inner.rota.next(now) {
            match inner.idle.checked_sub(1) {
                Some(idle) => inner.idle = idle,
                None => self.start_thread(inner)?,
            }
            inner.ready.extend(inner.rota.begin(place, now));
            self.0.given.notify_one();
        }
        Ok(())
    }

    fn start_thread(&self, inner: &mut Inner) -> io::Result<()> {
        let pool = self.clone();
        (self.0.spawn)(inner.rota.rule.name, Box::new(move || pool.work()))?;
        inner.threads += 1;
        Ok(())
    }

    /// Runs jobs until the thread ends.
    fn work(&self) {
        while let Some((number, job)) = self.take() {
            // A job whose caller waits catches its own panic.
            let _ = catch_unwind(AssertUnwindSafe(job));
            let mut inner = self.lock();
            inner.rota.ended(number);
            inner.idle += 1;
            let _ = self.advance(&mut inner);
        }
    }

    /// Waits for a job. Returns `None` if none came for [`KEEP_ALIVE`], so that the
    /// thread ends.
    fn take(&self) -> Option<(u64, Job)> {
        let mut inner = self.lock();
        loop {
            if let Some(job) = inner.ready.pop_front() {
                return Some(job);
            }
            let given = &self.0.given;
            if inner.rota.rule.keeps_one && inner.threads == 1 {
                inner = given.wait(inner).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, wait) = given
                .wait_timeout(inner, KEEP_ALIVE)
                .unwrap_or_else(PoisonError::into_inner);
            inner = woken;
            let stays = inner.rota.rule.keeps_one && inner.threads == 1;
            if wait.timed_out() && inner.ready.is_empty() && !stays {
                inner.idle = inner.idle.saturating_sub(1);
                inner.threads = inner.threads.saturating_sub(1);
                return None;
            }
        }
    }
}

/// Removes a job from the queue when its caller stops waiting. That frees what the
/// job holds, such as the right of a sink to ask for a token.
struct Withdrawn<'a> {
    pool: &'a ThreadPool,
    number: u64,
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        let job = self.pool.lock().rota.withdraw(self.number);
        drop(job); // without holding the lock
    }
}

/// How long a caller has seen a pool without any thread.
#[derive(Default)]
pub(super) struct Patience(Option<Instant>);

impl Patience {
    /// Checks again if the pool can do its jobs.
    ///
    /// # Errors
    ///
    /// Returns an error if the pool has had no thread for too long.
    pub(super) fn spend(&mut self, pool: &ThreadPool) -> Result<(), Undone> {
        match pool.look_again() {
            Ok(()) => self.0 = None,
            Err(error) => {
                let since = *self.0.get_or_insert_with(Instant::now);
                if since.elapsed() >= NO_THREAD_BOUND && !pool.rule().keeps_one {
                    return Err(Undone::NoThread(error));
                }
            }
        }
        Ok(())
    }
}

fn outcome<T>(
    result: Result<std::thread::Result<T>, oneshot::error::RecvError>,
) -> Result<T, Undone> {
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => Err(Undone::Panicked(panic)),
        Err(_) => Err(Undone::NoThread(io::Error::other("its thread ended"))),
    }
}

#[cfg(test)]
mod tests;
