// SPDX-License-Identifier: MPL-2.0

//! The thread that writes.
//!
//! It takes the waiting jobs as one batch and answers them after the commit, if the files
//! are still in their place. While no speaker is active, it writes a heartbeat once a
//! second, which also shows if the disk can be written. And it moves the write-ahead log
//! into the database, so that the one file is whole. It never waits for a client or for a
//! lock of a conversation.

use super::files::OpenFiles;
use super::health::{Health, is_damage, is_of_storage};
use super::open::WAIT_FOR_OTHERS;
use super::purge::{Attempts, Purge, purge};
use super::record::Outcome;
use super::{Counts, Record, StoreError, lock, now, probe, refused};
use rusqlite::{Connection, TransactionBehavior, params};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Most jobs that are committed together.
const BATCH: usize = 64;

/// Time between two heartbeats while no speaker is active.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The log is moved into the database when nothing was written for this long.
const REST: Duration = Duration::from_secs(1);

/// How long that may wait for readers of the log. The next words wait as long.
const WAIT_FOR_READERS: Duration = Duration::from_millis(100);

/// Longest time that a job may have waited when it is begun, so that its caller still
/// waits for the answer.
const LONGEST_QUEUE: Duration = Duration::from_secs(14);

/// After a write has failed, this many bytes must fit. A heartbeat may fit where words do
/// not.
const PROBE: i64 = 64 << 10;

/// Takes the result of a job.
pub(super) type Tell<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// The result of a change, before the files are checked.
pub(super) struct Changed {
    /// The error of the database, if the change failed.
    pub(super) error: Option<rusqlite::Error>,
    /// Answers the caller, given the result of the check of the files.
    pub(super) tell: Tell<()>,
}

pub(super) enum Job {
    /// Records that are committed with others.
    Write {
        records: Vec<Record>,
        /// Since when the caller waits, if one does.
        since: Option<Instant>,
        done: Option<Tell<Vec<Outcome>>>,
    },
    /// Anything else that changes the database, in a transaction of its own.
    Change(Box<dyn FnOnce(&Connection) -> Changed + Send>),
    /// Moves the write-ahead log into the database. The result is `true` if nothing is left
    /// in it.
    Settle(Tell<bool>),
    /// Removes the traces of deleted words, and then does the same.
    Purge(Tell<bool>),
}

impl Job {
    /// Returns `true` for jobs for which a purge stops: words, and changes of clients.
    pub(super) fn is_waited_for(&self) -> bool {
        match self {
            Self::Write { records, .. } => !records.is_empty(),
            Self::Change(_) => true,
            Self::Settle(_) | Self::Purge(_) => false,
        }
    }
}

struct Write {
    records: Vec<Record>,
    done: Option<Tell<Vec<Outcome>>>,
}

/// The outcome of each job of a batch.
type Outcomes = Vec<Result<Vec<Outcome>, rusqlite::Error>>;

/// How much a store in memory keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) messages: usize,
    pub(super) conversations: usize,
}

/// The state of the thread that writes.
pub(super) struct StoreWriter {
    pub(super) connection: Arc<Mutex<Connection>>,
    /// In memory only.
    pub(super) bound: Option<Bound>,
    /// In a directory only.
    pub(super) files: Option<OpenFiles>,
    pub(super) counts: Counts,
    pub(super) health: Arc<Health>,
    /// When something other than a heartbeat was last written, while the write-ahead log
    /// may have it.
    pub(super) changed: Option<Instant>,
    pub(super) purge: Arc<Purge>,
    pub(super) attempts: Attempts,
}

impl StoreWriter {
    /// Runs jobs until the store is dropped.
    pub(super) fn run(mut self, waiting: &Receiver<Job>) {
        loop {
            let first = match waiting.recv_timeout(HEARTBEAT) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let idle = first.is_none();
            let mut writes = Vec::new();
            let more = if idle { 0 } else { BATCH - 1 };
            let purge = Arc::clone(&self.purge);
            for job in first.into_iter().chain(waiting.try_iter().take(more)) {
                if job.is_waited_for() {
                    purge.waiting.fetch_sub(1, Ordering::AcqRel);
                }
                match job {
                    // Its caller would stop waiting before the answer.
                    Job::Write {
                        since: Some(since),
                        done: Some(done),
                        ..
                    } if since.elapsed() > LONGEST_QUEUE => {
                        let (records, done) = (Vec::new(), Some(done));
                        let late = "the database is too slow".to_owned();
                        self.answer(Write { records, done }, Err(late));
                    }
                    Job::Write { records, done, .. } => writes.push(Write { records, done }),
                    Job::Change(change) => {
                        self.write(std::mem::take(&mut writes), false);
                        self.change(change);
                    }
                    Job::Settle(tell) => {
                        self.write(std::mem::take(&mut writes), false);
                        tell(self.settle());
                    }
                    Job::Purge(tell) => {
                        self.write(std::mem::take(&mut writes), false);
                        tell(self.purge(false));
                    }
                }
            }
            self.write(writes, idle);
            self.rest();
        }
        let _ = self.settle();
    }

    /// Commits the jobs and answers them. Without any, writes a heartbeat if `sign` is
    /// set.
    fn write(&mut self, writes: Vec<Write>, sign: bool) {
        if writes.is_empty() && (!sign || self.files.is_none()) {
            return;
        }
        let failing = self.health.is_failing();
        // The check comes before the commit too, because a commit may move the log into a
        // file that was emptied.
        let committed = self.check().and_then(|()| {
            let committed = commit(&mut lock(&self.connection), &writes, self.bound, failing);
            self.inspect(committed.as_ref().err());
            let outcomes = committed.map_err(refused)?;
            let failures = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            failures.for_each(|error| self.inspect(Some(error)));
            self.check_files().map(|()| outcomes)
        });
        if writes.iter().any(|write| !write.records.is_empty()) {
            self.changed = Some(Instant::now());
        }
        match committed {
            Ok(outcomes) => {
                let mut failures = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
                let trouble = failures.find(|error| is_of_storage(error));
                self.note(trouble.map(ToString::to_string));
                for (write, outcome) in writes.into_iter().zip(outcomes) {
                    self.answer(write, outcome.map_err(|error| error.to_string()));
                }
            }
            Err(error) => {
                let reason = error.reason();
                self.note(Some(reason.clone()));
                for write in writes {
                    self.answer(write, Err(reason.clone()));
                }
            }
        }
    }

    fn answer(&self, write: Write, result: Result<Vec<Outcome>, String>) {
        match &result {
            Ok(_) => self.counts.written.inc(),
            Err(_) => self.counts.failed.inc(),
        };
        match (write.done, result) {
            (Some(done), result) => done(result.map_err(StoreError::Commit)),
            (None, Err(error)) => tracing::error!(%error, "not stored"),
            (None, Ok(_)) => {}
        }
    }

    fn change(&mut self, change: Box<dyn FnOnce(&Connection) -> Changed + Send>) {
        let connection = Arc::clone(&self.connection);
        // A database that was emptied must be noticed before the change may fill it again.
        if let Err(error) = self.check() {
            self.note(Some(error.reason()));
        }
        // If the change panics, its caller gets no answer, and the writer goes on.
        let changed = catch_unwind(AssertUnwindSafe(|| change(&lock(&connection))));
        let Ok(Changed { error, tell }) = changed else {
            return;
        };
        self.changed = Some(Instant::now());
        self.inspect(error.as_ref());
        let kept = self.check();
        match (&error, &kept) {
            (Some(error), _) if is_of_storage(error) => self.note(Some(error.to_string())),
            (Some(_), Ok(())) => {}
            (_, Err(error)) => self.note(Some(error.reason())),
            (None, Ok(())) if self.health.is_failing() => {}
            (None, Ok(())) => self.note(None),
        }
        tell(kept);
    }

    /// Tidies up if nothing was written for a while.
    fn rest(&mut self) {
        if self.changed.is_some_and(|at| at.elapsed() >= REST)
            && let Err(error) = self.purge(true)
        {
            tracing::debug!(%error, "the database cannot be tidied up");
        }
    }

    /// Removes the traces of deleted words, and empties the write-ahead log.
    fn purge(&mut self, at_rest: bool) -> Result<bool, StoreError> {
        if self.files.is_none() {
            return Ok(true);
        }
        self.check()?;
        let mut connection = lock(&self.connection);
        let purged = purge(&mut connection, &self.purge, &mut self.attempts, at_rest);
        drop(connection);
        let settled = self.settle()?;
        let purged = purged.map_err(refused)?;
        if settled && !purged {
            // The next attempt comes when nothing was written for a while.
            self.changed = Some(Instant::now());
        }
        Ok(purged && settled)
    }

    /// Moves the write-ahead log into the database file and makes it empty.
    fn settle(&mut self) -> Result<bool, StoreError> {
        if self.files.is_none() {
            return Ok(true);
        }
        self.check()?;
        let connection = lock(&self.connection);
        connection.busy_timeout(WAIT_FOR_READERS).map_err(refused)?;
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = connection.query_row(sql, [], |row| row.get::<_, bool>(0));
        connection.busy_timeout(WAIT_FOR_OTHERS).map_err(refused)?;
        let whole = !busy.map_err(refused)?;
        drop(connection);
        if whole {
            self.changed = None;
        }
        Ok(whole)
    }

    /// Checks that no damage of the database is known and that it is in its place.
    fn check(&self) -> Result<(), StoreError> {
        match self.health.damage() {
            Some(reason) => Err(StoreError::Damaged(reason.to_owned())),
            None => self.check_files(),
        }
    }

    fn check_files(&self) -> Result<(), StoreError> {
        let checked = self.files.as_ref().map_or(Ok(()), OpenFiles::check);
        if let Err(error @ StoreError::Emptied(_)) = &checked {
            self.health.damaged(error.reason());
        }
        checked
    }

    /// Records damage of the database, if the error says so.
    fn inspect(&self, error: Option<&rusqlite::Error>) {
        if let Some(error) = error.filter(|error| is_damage(error)) {
            self.health.damaged(error.to_string());
        }
    }

    /// Notes whether something was stored, and says so where that changes.
    fn note(&self, trouble: Option<String>) {
        self.counts.healthy.set(i64::from(trouble.is_none()));
        match trouble {
            None if self.health.stored(Instant::now()) => {
                tracing::info!("what is said is stored again");
            }
            Some(reason) if self.health.failed() => {
                tracing::error!(
                    reason,
                    "what is said cannot be stored; /healthz says 503 until it can"
                );
            }
            _ => {}
        }
    }
}

/// Writes all jobs of a batch in one transaction; one that fails alone leaves the others.
fn commit(
    connection: &mut Connection,
    batch: &[Write],
    bound: Option<Bound>,
    failing: bool,
) -> rusqlite::Result<Outcomes> {
    // An immediate transaction waits for other writers. One that has read before would
    // fail instead.
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut outcomes = Outcomes::with_capacity(batch.len());
    for job in batch {
        let point = transaction.savepoint()?;
        let written = job.records.iter().map(|record| record.write(&point));
        let written: Result<Vec<Outcome>, _> = written.collect();
        match written {
            Ok(written) => {
                point.commit()?;
                outcomes.push(Ok(written));
            }
            // On a full disk SQLite rolls the whole transaction back, with the earlier jobs.
            Err(error) if point.is_autocommit() => return Err(error),
            // The savepoint is rolled back when it is dropped.
            Err(error) => outcomes.push(Err(error)),
        }
    }
    if let Some(bound) = bound {
        for record in batch.iter().flat_map(|job| &job.records) {
            bound.keep_to(&transaction, record)?;
        }
        transaction.commit()?;
        return Ok(outcomes);
    }
    Record::Alive { at: now() }.write(&transaction)?;
    if failing {
        // The database must take what a stream would write. Then it is rolled back.
        let point = transaction.savepoint()?;
        for record in probe::records() {
            record.write(&point)?;
        }
        point.finish()?;
        let sql = "INSERT OR REPLACE INTO meta VALUES ('probe', zeroblob(?1))";
        transaction.execute(sql, [PROBE])?;
    }
    transaction.commit()?;
    if failing {
        connection.execute("DELETE FROM meta WHERE key = 'probe'", [])?;
    }
    Ok(outcomes)
}

impl Bound {
    /// Forgets the oldest for what came.
    fn keep_to(self, in_: &Connection, record: &Record) -> rusqlite::Result<()> {
        let as_sql = |bound: usize| i64::try_from(bound).unwrap_or(i64::MAX);
        match record {
            Record::Said { conversation, .. } => {
                let newest = params![conversation, as_sql(self.messages)];
                // The last correction of a message stays as long as the message.
                in_.prepare_cached(
                    "DELETE FROM entry AS e WHERE conversation = ?1 AND seq <=
                     (SELECT head FROM conversation WHERE id = ?1) - ?2
                     AND NOT (kind = 'sent' AND EXISTS (SELECT 1 FROM message
                     WHERE id = json_extract(e.body, '$.entry.sent.corrects'))
                     AND NOT EXISTS (SELECT 1 FROM entry l WHERE l.kind = 'sent'
                     AND l.conversation = e.conversation
                     AND json_extract(l.body, '$.entry.sent.corrects')
                     = json_extract(e.body, '$.entry.sent.corrects') AND l.seq > e.seq))",
                )?
                .execute(newest)?;
                in_.prepare_cached(
                    "DELETE FROM message WHERE id IN (SELECT id FROM message
                     WHERE conversation = ?1 ORDER BY stored DESC LIMIT -1 OFFSET ?2)",
                )?
                .execute(newest)?
            }
            Record::Over { .. } => in_
                .prepare_cached(
                    "DELETE FROM conversation WHERE id IN (SELECT id FROM conversation
                     WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT -1 OFFSET ?1)
                     AND id NOT IN (SELECT conversation FROM job
                     WHERE status IN ('scheduled', 'in_progress'))",
                )?
                .execute(params![as_sql(self.conversations)])?,
            _ => 0,
        };
        Ok(())
    }
}
