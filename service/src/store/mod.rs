// SPDX-License-Identifier: MPL-2.0

//! What was said, kept in an embedded database: SQLite in write-ahead mode, in a
//! directory of the user's or in memory.
//!
//! One thread writes, in batches: whoever waits in [`Store::write`] goes on when
//! the transaction is committed, and only then may anything of it go out. With
//! `synchronous=NORMAL` a commit survives the death of the process; the death of
//! the machine may take the last ones. Waits block, so they belong on the
//! streams' own threads and never on the runtime's workers.
//!
//! In memory the newest are kept, within [`Limits`]; in a directory everything,
//! until it is deleted.

mod filter;
mod open;
mod query;
mod record;
mod schema;

use crate::config::Limits;
pub(crate) use filter::Filter;
pub(crate) use open::Open;
use prometheus_client::metrics::counter::Counter;
pub(crate) use query::{Found, Insights, List, Sort, find, list};
pub(crate) use record::{Entity, Insight, Match, Message, Record, Topic, Utterance, new_id};
use rusqlite::{Connection, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Name of the database in its directory.
const FILE: &str = "symbl.db";

/// Jobs that are committed together.
const BATCH: usize = 64;

/// How long a commit may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a service in which nothing is said leaves a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Why something is not stored, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory.
    #[error("{0} is in use by another service")]
    InUse(PathBuf),
    /// Made by another version.
    #[error("{file} has version {found}; this service knows version {known}")]
    Version {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The directory or a file in it cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's complaint.
        reason: std::io::Error,
    },
    /// The database's complaint.
    #[error("the database refuses: {0}")]
    Database(#[from] rusqlite::Error),
    /// A commit failed with others, or took too long.
    #[error("nothing could be stored: {0}")]
    Commit(String),
}

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    jobs: Sender<Job>,
    /// For reading; in memory there is but one connection.
    reader: Arc<Mutex<Connection>>,
    pub(crate) counts: Counts,
    /// Held while the directory is ours.
    _lock: Option<File>,
}

/// How many jobs were written, and how many were not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) written: Counter,
    pub(crate) failed: Counter,
}

#[derive(Debug)]
struct Job {
    records: Vec<Record>,
    done: Option<SyncSender<Result<(), StoreError>>>,
}

/// What is kept where memory is the bound.
#[derive(Debug, Clone, Copy)]
struct Bound {
    messages: usize,
    conversations: usize,
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

/// Returns the time since the process began, counted from what the wall clock showed
/// then: a wall clock that is set does not move it.
pub(crate) fn steady() -> i64 {
    static BEGUN: LazyLock<(Instant, i64)> = LazyLock::new(|| (Instant::now(), now()));
    let (begun, wall) = &*BEGUN;
    let since = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
    wall.saturating_add(since)
}

/// The greatest stamp so far.
static STAMP: AtomicI64 = AtomicI64::new(0);

/// Returns when something is written, greater than any such time before: in this order
/// what was said is told, whatever its own times are.
pub(crate) fn stamp() -> i64 {
    let now = steady();
    let later = |last: i64| last.saturating_add(1).max(now);
    let update = |last| Some(later(last));
    let before = STAMP.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    // Both are what there was before: the update is never refused.
    later(before.unwrap_or_else(|before| before))
}

/// Makes all stamps greater than one of before a restart. The wall clock may have gone
/// back meanwhile.
fn stamped(last: i64) {
    STAMP.fetch_max(last, Ordering::Relaxed);
}

impl Store {
    /// The database of this directory, which is made if need be; without one, in memory.
    ///
    /// # Errors
    ///
    /// The directory is in use, cannot be used, or is of another version.
    pub(crate) fn open(directory: Option<&Path>, limits: &Limits) -> Result<Self, StoreError> {
        let (writer, reader, lock, bound) = match directory {
            Some(directory) => {
                let lock = open::lock(directory)?;
                let file = directory.join(FILE);
                let writer = open::private(&file)?;
                let reader = Arc::new(Mutex::new(open::private(&file)?));
                (Arc::new(Mutex::new(writer)), reader, Some(lock), None)
            }
            None => {
                let connection = Connection::open_in_memory()?;
                schema::prepare(&connection)?;
                let connection = Arc::new(Mutex::new(connection));
                let bound = Bound {
                    messages: limits.kept_messages,
                    conversations: limits.kept_conversations,
                };
                (Arc::clone(&connection), connection, None, Some(bound))
            }
        };
        let (jobs, waiting) = channel();
        let counts = Counts::default();
        let counted = counts.clone();
        std::thread::Builder::new()
            .name("symbl-store".to_owned())
            .spawn(move || write_all(&writer, &waiting, bound, &counted))
            .map_err(|reason| StoreError::File {
                path: "a thread".into(),
                reason,
            })?;
        Ok(Self {
            jobs,
            reader,
            counts,
            _lock: lock,
        })
    }

    /// Writes, and waits until it is committed.
    pub(crate) fn write(&self, records: Vec<Record>) -> Result<(), StoreError> {
        let (done, answer) = sync_channel(1);
        let job = Job {
            records,
            done: Some(done),
        };
        let gone = || StoreError::Commit("the writer is gone".to_owned());
        self.jobs.send(job).map_err(|_| gone())?;
        answer
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| match error {
                RecvTimeoutError::Timeout => {
                    Err(StoreError::Commit("it takes too long".to_owned()))
                }
                RecvTimeoutError::Disconnected => Err(gone()),
            })
    }

    /// Writes some time soon, in order.
    pub(crate) fn post(&self, record: Record) {
        // A writer that is gone was complained about by who waits for it.
        let _ = self.jobs.send(Job {
            records: vec![record],
            done: None,
        });
    }

    /// Looks something up, or changes what no stream changes; blocks.
    pub(crate) fn with<T>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        Ok(look(&lock(&self.reader))?)
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writer's thread: ends when nobody can send a job any more.
fn write_all(
    connection: &Mutex<Connection>,
    waiting: &Receiver<Job>,
    bound: Option<Bound>,
    counts: &Counts,
) {
    loop {
        let mut batch = Vec::new();
        match waiting.recv_timeout(HEARTBEAT) {
            Ok(job) => batch.push(job),
            Err(RecvTimeoutError::Disconnected) => return,
            // Nothing outlives the process in memory.
            Err(RecvTimeoutError::Timeout) if bound.is_some() => continue,
            Err(RecvTimeoutError::Timeout) => {}
        }
        batch.extend(waiting.try_iter().take(BATCH - 1));
        let connection = &mut *lock(connection);
        let results = commit(connection, &batch, bound);
        for (k, job) in batch.into_iter().enumerate() {
            let result = match &results {
                Ok(failures) => failures.iter().find(|(failed, _)| *failed == k),
                Err(_) => None,
            };
            let result = match (&results, result) {
                (Err(error), _) => Err(StoreError::Commit(error.to_string())),
                (Ok(_), Some((_, error))) => Err(StoreError::Commit(error.clone())),
                (Ok(_), None) => Ok(()),
            };
            match &result {
                Ok(()) => counts.written.inc(),
                Err(_) => counts.failed.inc(),
            };
            match (job.done, result) {
                // Whoever asked may have given up.
                (Some(done), result) => drop(done.try_send(result)),
                (None, Err(error)) => tracing::error!(%error, "not stored"),
                (None, Ok(())) => {}
            }
        }
    }
}

/// Writes all jobs of a batch in one transaction; those that failed alone, with
/// the reason.
fn commit(
    connection: &mut Connection,
    batch: &[Job],
    bound: Option<Bound>,
) -> rusqlite::Result<Vec<(usize, String)>> {
    let mut transaction = connection.transaction()?;
    let mut failures = Vec::new();
    for (k, job) in batch.iter().enumerate() {
        let point = transaction.savepoint()?;
        match job
            .records
            .iter()
            .try_for_each(|record| record.write(&point))
        {
            Ok(()) => point.commit()?,
            // The savepoint is rolled back when it is dropped.
            Err(error) => failures.push((k, error.to_string())),
        }
    }
    if let Some(bound) = bound {
        for record in batch.iter().flat_map(|job| &job.records) {
            bound.keep_to(&transaction, record)?;
        }
    } else {
        Record::Alive { at: now() }.write(&transaction)?;
    }
    transaction.commit()?;
    Ok(failures)
}

impl Bound {
    /// Forgets the oldest for what came.
    fn keep_to(self, in_: &Connection, record: &Record) -> rusqlite::Result<()> {
        let as_sql = |bound: usize| i64::try_from(bound).unwrap_or(i64::MAX);
        match record {
            Record::Said(said) => in_
                .prepare_cached(
                    "DELETE FROM message WHERE id IN (SELECT id FROM message
                     WHERE conversation = ?1 ORDER BY stored DESC LIMIT -1 OFFSET ?2)",
                )?
                .execute(params![said.conversation, as_sql(self.messages)])?,
            Record::Finished { .. } => in_
                .prepare_cached(
                    "DELETE FROM conversation WHERE id IN (SELECT id FROM conversation
                     WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT -1 OFFSET ?1)",
                )?
                .execute(params![as_sql(self.conversations)])?,
            _ => 0,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
