// SPDX-License-Identifier: MPL-2.0

//! The store in an embedded database: SQLite in write-ahead mode, in a directory of the
//! user or in memory.
//!
//! One thread writes, in batches. [`Store::write`] returns when the transaction is
//! committed and the file is still in its place. A client must not be sent an entry before
//! that. With `synchronous=NORMAL`, a commit survives the end of the process. If the
//! machine fails, the last commits may be lost. A few threads read, each for a short time
//! (`listing`). Calls that are not `async` block, so they must come from threads that may
//! wait, and never from an async task.
//!
//! A store in memory keeps the newest conversations and messages, within [`Limits`]. A
//! store in a directory keeps everything until it is deleted.

pub(crate) mod backup;
pub(in crate::store) mod bookmarks;
pub(in crate::store) mod comprehensive;
pub(in crate::store) mod corrections;
pub(in crate::store) mod entries;
pub(in crate::store) mod files;
mod filter;
mod groups;
mod health;
pub(in crate::store) mod jobs;
pub(in crate::store) mod labels;
pub(in crate::store) mod listing;
mod log;
mod migrate;
mod open;
pub(in crate::store) mod parts;
mod presence;
mod probe;
mod purge;
pub(in crate::store) mod query;
mod readers;
pub(in crate::store) mod record;
mod records;
mod retention;
pub(in crate::store) mod schema;
mod search;
pub(in crate::store) mod speakers;
mod spoken;
mod topics;
mod trackers;
mod writer;

use crate::clock::{now, stamp, stamped};
use crate::limits::Limits;
use crate::metrics::Counts;
use crate::store::StoreError;
use health::Health;
use purge::{Attempts, Purge};
use readers::Readers;
use record::{Outcome, Record};
use rusqlite::Connection;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use writer::{Bound, Changed, Job, StoreWriter, Tell};

/// What a method of the store returns.
type Stored<T> = Result<T, StoreError>;

/// Name of the database in its directory.
pub(in crate::store) const FILE: &str = "symbl.db";

/// How long a commit may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the answer to [`Store::probe`] may take.
const LONGEST_PROBE: Duration = Duration::from_secs(5);

/// How long the connections may take to be closed.
const LONGEST_END: Duration = Duration::from_secs(5);

/// Threads that read for the Conversation API.
const READERS: usize = 4;

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    /// To the thread that writes. `None` once the store is dropped.
    jobs: Option<Sender<Job>>,
    /// For reading. A store in memory has only one connection.
    reader: Arc<Mutex<Connection>>,
    /// The threads that read. They end with this, after the reads that run.
    readers: Option<Arc<Readers>>,
    health: Arc<Health>,
    purge: Arc<Purge>,
    pub(crate) counts: Counts,
    /// Disconnected when all threads have closed their connections.
    ended: Mutex<Receiver<()>>,
    /// The lock of the directory.
    _lock: Option<Arc<File>>,
}

/// What each thread holds until its connection is closed.
#[derive(Debug, Clone)]
struct Held {
    _lock: Option<Arc<File>>,
    _alive: Sender<()>,
}

/// The parts of a store, in a directory or in memory.
struct Parts {
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
    /// One connection for each thread that reads.
    readers: Vec<Arc<Mutex<Connection>>>,
    lock: Option<Arc<File>>,
    bound: Option<Bound>,
    files: Option<files::OpenFiles>,
}

impl Parts {
    fn in_directory(directory: &Path) -> Result<Self, StoreError> {
        let lock = files::lock(directory)?;
        let file = directory.join(FILE);
        files::create(&file)?;
        let writer = open::writer(&file)?;
        let readers = (0..READERS).map(|_| open::reader(&file));
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            reader: open::reader(&file)?,
            readers: readers.collect::<Result<_, _>>()?,
            lock: Some(Arc::new(lock)),
            bound: None,
            files: Some(files::OpenFiles::of(&file)?),
        })
    }

    fn in_memory(limits: &Limits) -> Result<Self, StoreError> {
        let connection = Connection::open_in_memory().map_err(refused)?;
        schema::prepare(&connection).map_err(refused)?;
        let connection = Arc::new(Mutex::new(connection));
        Ok(Self {
            writer: Arc::clone(&connection),
            reader: Arc::clone(&connection),
            readers: vec![connection],
            lock: None,
            bound: Some(Bound {
                messages: limits.kept_messages,
                conversations: limits.kept_conversations,
            }),
            files: None,
        })
    }
}

impl Store {
    /// Opens the database of this directory, or creates it. Without a directory, the
    /// database is in memory.
    ///
    /// # Errors
    ///
    /// The directory is in use, cannot be used, or is of another version.
    pub(crate) fn open(directory: Option<&Path>, limits: &Limits) -> Result<Self, StoreError> {
        let parts = match directory {
            Some(directory) => Parts::in_directory(directory)?,
            None => Parts::in_memory(limits)?,
        };
        let thread = |reason| StoreError::File {
            path: "a thread".into(),
            reason,
        };
        let (alive, ended) = channel();
        let held = Held {
            _lock: parts.lock.clone(),
            _alive: alive,
        };
        // The index lists messages by their stamps, so no stamp may come again.
        let last = search::last(&lock(&parts.reader)).map_err(refused)?;
        stamped(last.unwrap_or(0));
        let (counts, health) = (Counts::default(), Arc::new(Health::default()));
        let readers = Readers::start(parts.readers, &held, counts.clone()).map_err(thread)?;
        let (jobs, waiting) = channel();
        let purge = Arc::new(Purge::default());
        // The store counts as healthy until the first write fails.
        counts.healthy.set(1);
        let writer = StoreWriter {
            connection: parts.writer,
            bound: parts.bound,
            changed: parts.files.is_some().then(Instant::now),
            files: parts.files,
            counts: counts.clone(),
            health: Arc::clone(&health),
            purge: Arc::clone(&purge),
            attempts: Attempts::default(),
        };
        std::thread::Builder::new()
            .name("symbl-store".to_owned())
            .spawn(move || {
                writer.run(&waiting);
                drop(held);
            })
            .map_err(thread)?;
        Ok(Self {
            jobs: Some(jobs),
            reader: parts.reader,
            readers: Some(Arc::new(readers)),
            health,
            purge,
            counts,
            ended: Mutex::new(ended),
            _lock: parts.lock,
        })
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        if job.is_waited_for() {
            self.purge.waiting.fetch_add(1, Ordering::AcqRel);
        }
        jobs.send(job).map_err(|_| gone())
    }

    /// Gives a job to the writer and waits for its answer.
    fn wait<T: Send + 'static>(&self, job: impl FnOnce(Tell<T>) -> Job) -> Result<T, StoreError> {
        let (done, answer) = sync_channel(1);
        // The caller may have stopped waiting.
        let tell: Tell<T> = Box::new(move |result| drop(done.try_send(result)));
        self.send(job(tell))?;
        answer
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| match error {
                RecvTimeoutError::Timeout => Err(too_long()),
                RecvTimeoutError::Disconnected => Err(gone()),
            })
    }

    /// Works like [`wait`](Self::wait), without blocking.
    async fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        job: impl FnOnce(Tell<T>) -> Job,
    ) -> Result<T, StoreError> {
        let (done, answer) = tokio::sync::oneshot::channel();
        let tell: Tell<T> = Box::new(move |result| drop(done.send(result)));
        self.send(job(tell))?;
        let answer = tokio::time::timeout(patience, answer).await;
        answer.map_err(|_| too_long())?.map_err(|_| gone())?
    }

    /// Writes records and waits until they are committed.
    pub(crate) fn write(&self, records: Vec<Record>) -> Result<Vec<Outcome>, StoreError> {
        self.wait(|tell| write(records, Some(tell)))
    }

    /// Makes a change on the thread that writes, in a transaction of its own, and waits for
    /// it.
    pub(crate) fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.wait(|tell| changing(change, tell))
    }

    /// Works like [`change`](Self::change), without blocking.
    pub(crate) async fn alter<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(PATIENCE, |tell| changing(change, tell)).await
    }

    /// Makes the database file whole, with an empty write-ahead log beside it. Returns
    /// `false` if another program prevents that, because it reads.
    pub(crate) async fn settle(&self) -> Result<bool, StoreError> {
        self.ask(PATIENCE, Job::Settle).await
    }

    /// Removes the traces of deleted words from the files. Returns `false` if that has to
    /// wait until no speaker is active, or until another program has read.
    pub(crate) async fn purge(&self) -> Result<bool, StoreError> {
        self.ask(PATIENCE, Job::Purge).await
    }

    /// Checks that new entries can be stored.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        // During a purge the writer does not answer, and it is as healthy as before.
        let rests = self.purge.is_running() && !self.health.is_failing();
        if rests || self.health.is_fresh(Instant::now()) {
            return Ok(());
        }
        self.ask(LONGEST_PROBE, |tell| write(Vec::new(), Some(tell)))
            .await
            .map(drop)
    }

    /// Reads with the connection of this store, on the calling thread.
    pub(crate) fn with<T>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        look(&lock(&self.reader)).map_err(refused)
    }

    /// Reads on one of the threads that read. Waits for a free one for `patience` at most.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        patience: Duration,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.readers {
            Some(readers) => readers.look(patience, look).await,
            None => Err(gone()),
        }
    }
}

impl Drop for Store {
    /// Waits until the connections are closed, so that the files are whole and the
    /// directory is free.
    fn drop(&mut self) {
        self.jobs = None;
        self.readers = None;
        // A thread that does not end in time keeps the directory locked until it does.
        let _ = lock(&self.ended).recv_timeout(LONGEST_END);
    }
}

fn write(records: Vec<Record>, done: Option<Tell<Vec<Outcome>>>) -> Job {
    Job::Write {
        records,
        since: Some(Instant::now()),
        done,
    }
}

/// Writes a record without an answer to a caller, however late, and then calls `told`.
fn posting(record: Record, told: Tell<Vec<Outcome>>) -> Job {
    Job::Write {
        records: vec![record],
        since: None,
        done: Some(told),
    }
}

fn changing<T: Send + 'static>(
    change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    tell: Tell<T>,
) -> Job {
    Job::Change(Box::new(move |connection| match change(connection) {
        Ok(value) => Changed {
            error: None,
            tell: Box::new(move |kept| tell(kept.map(|()| value))),
        },
        Err(error) => {
            let told = error.to_string();
            Changed {
                error: Some(error),
                tell: Box::new(move |_| tell(Err(StoreError::Commit(told)))),
            }
        }
    }))
}

/// Returns an error of the database.
fn refused(error: rusqlite::Error) -> StoreError {
    StoreError::Database(error.into())
}

fn gone() -> StoreError {
    StoreError::Commit("the writer is gone".to_owned())
}

fn too_long() -> StoreError {
    StoreError::Commit("it takes too long".to_owned())
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrade;
