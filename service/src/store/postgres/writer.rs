// SPDX-License-Identifier: MPL-2.0

//! The task that writes.
//!
//! It takes what waits as one batch, sorted by conversation, and gives it to the database
//! as one statement. Joins are a statement each, of which it sends several at once
//! ([`super::line`]). If the database is away, the batch waits and is repeated: a record may
//! be written again, because the database knows what it has of it. Nothing is told before
//! the commit.

use super::fill;
use super::form::{asked, conversation_of, outcome};
use super::line::{Part, parts};
use super::link::{Address, Link, Trouble, gone, said, trouble};
use crate::clock::now;
use crate::conversation::bus::Bus;
use crate::conversation::log::Verdict;
use crate::conversation::registry::Memory;
use crate::metrics::{ClusterCounts, Counts};
use crate::store::StoreError;
use crate::store::sqlite::record::{Outcome, Record};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};
use tokio_postgres::Statement;

/// Most records that are committed together.
const BATCH: usize = 64;

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a record waits for a database that is away.
pub(super) const LONGEST_OUTAGE: Duration = Duration::from_secs(45);

/// Time between two attempts at a database that is away.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a node that was declared gone stores nothing more.
const FENCED: &str = "this node was not heard of for too long";

/// Takes the result of a job.
pub(super) type Tell<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// What the database is asked.
pub(super) enum Ask {
    Record(Record),
    /// The end of a conversation, unless it waits for a speaker.
    End(Record),
    /// Another question to `symbl_write`, which changes rows of unknown conversations.
    Join(Value),
    /// Another question that changes rows of this conversation.
    Change(i64, Value),
    /// A question after which no conversation is another one.
    Look(Value),
}

/// The answer.
pub(super) enum Reply {
    Outcome(Outcome),
    Answer(Value),
}

/// A question, and who waits for the answer.
pub(super) struct Job {
    pub(super) ask: Ask,
    pub(super) since: Instant,
    pub(super) done: Option<Tell<Reply>>,
    /// `true` if it was given to the database before.
    pub(super) again: bool,
}

/// The state of the task.
pub(super) struct Writer {
    pub(super) address: Address,
    pub(super) runtime: Handle,
    pub(super) link: Option<Link>,
    /// When it last told the others that it lives.
    pub(super) beaten: Instant,
    /// The id of this node. It has another one after it was declared gone.
    pub(super) node: Arc<Mutex<String>>,
    pub(super) times_gone: Arc<AtomicU64>,
    /// Since when the database answers without a break.
    pub(super) connected: Arc<Mutex<Instant>>,
    pub(super) counts: Counts,
    pub(super) cluster: ClusterCounts,
    pub(super) is_failing: bool,
    /// The server that was written to last, and since when it runs.
    pub(super) server: Option<i64>,
    /// `true` while that misses entries which other nodes may fill in.
    pub(super) is_unsettled: bool,
    /// What this node remembers of the logs.
    pub(super) memory: Arc<OnceLock<Weak<dyn Memory>>>,
    /// Announces new entries.
    pub(super) bus: Arc<dyn Bus>,
}

/// Why a batch was not written: see [`Trouble`].
#[derive(Debug, Clone)]
enum Failure {
    Again(String),
    Undone(String),
    Early,
    Fenced,
    Refused(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Again(reason) | Self::Undone(reason) | Self::Refused(reason) => {
                f.write_str(reason)
            }
            Self::Early => f.write_str("other nodes still compare their logs"),
            Self::Fenced => f.write_str(FENCED),
        }
    }
}

impl Writer {
    /// Runs jobs until the store is dropped.
    pub(super) async fn run(mut self, mut waiting: UnboundedReceiver<Job>) {
        loop {
            let first = match timeout(HEARTBEAT, waiting.recv()).await {
                Ok(Some(job)) => Some(job),
                Ok(None) => break,
                Err(_) => None,
            };
            let mut batch: Vec<Job> = first.into_iter().collect();
            while !batch.is_empty() && batch.len() < BATCH {
                let Ok(job) = waiting.try_recv() else { break };
                batch.push(job);
            }
            for part in parts(batch) {
                let Part { together, joins } = part;
                if !together.is_empty() {
                    self.write_all(vec![together]).await;
                    self.beat_in_time().await;
                }
                if !joins.is_empty() {
                    let each = joins.into_iter().map(|join| vec![join]);
                    self.write_all(each.collect()).await;
                    self.beat_in_time().await;
                }
            }
            self.beat_in_time().await;
        }
        self.leave().await;
    }

    /// Writes batches, however often that takes, and answers their jobs. The batches are sent at
    /// once, and no job of one may depend on those of another: one may be written again when
    /// the next ones are written already.
    async fn write_all(&mut self, mut batches: Vec<Vec<Job>>) {
        while !batches.is_empty() {
            let node = self.node();
            let (mut left, mut is_fenced, mut is_lost) = (Vec::new(), false, false);
            for (batch, failure) in self.write(batches).await {
                match failure {
                    Failure::Refused(reason) if batch.len() > 1 => {
                        tracing::debug!(reason, "a batch is written one by one");
                        for job in batch {
                            Box::pin(self.write_all(vec![vec![job]])).await;
                            self.beat_in_time().await;
                        }
                    }
                    Failure::Refused(reason) => self.fail(batch, &reason),
                    Failure::Fenced => {
                        self.fail(batch, FENCED);
                        is_fenced = true;
                    }
                    // Nothing was written, and the other nodes need a moment.
                    Failure::Early => left.push(batch),
                    // Others go on, and the database is not away.
                    Failure::Undone(reason) => {
                        tracing::debug!(reason, "what the database has undone is written again");
                        left.push(self.without_late(batch, &reason));
                    }
                    Failure::Again(reason) => {
                        self.note(Some(&reason));
                        is_lost = true;
                        let mut batch = self.without_late(batch, &reason);
                        batch.iter_mut().for_each(|job| job.again = true);
                        left.push(batch);
                    }
                }
            }
            if is_lost {
                // The next attempt has a new connection, which may lead to another host.
                self.link = None;
            }
            if is_fenced {
                tracing::error!("{FENCED}; what was said on it meanwhile is not stored");
                self.enter_anew().await;
            }
            left.retain(|batch| !batch.is_empty());
            if !left.is_empty() && !is_fenced {
                sleep(PAUSE).await;
                if !is_lost {
                    self.beat_in_time().await;
                }
            }
            if is_fenced || self.node() != node {
                // What is left was asked by the node that is gone.
                for batch in std::mem::take(&mut left) {
                    self.fail(batch, FENCED);
                }
            }
            batches = left;
        }
    }

    /// Fails the jobs of a batch that have waited for too long, and returns the others.
    fn without_late(&self, batch: Vec<Job>, reason: &str) -> Vec<Job> {
        let is_late = |job: &Job| job.since.elapsed() >= LONGEST_OUTAGE;
        let (late, rest): (Vec<Job>, Vec<Job>) = batch.into_iter().partition(is_late);
        self.fail(late, reason);
        rest
    }

    /// Gives each batch to the database as one statement, without waiting for the answers in
    /// between, and answers the jobs of each as soon as it is written. Returns those that were
    /// not, and why.
    async fn write(&mut self, batches: Vec<Vec<Job>>) -> Vec<(Vec<Job>, Failure)> {
        let (link, statement) = match self.ready().await {
            Ok(ready) => ready,
            Err(failure) => {
                let all = batches.into_iter().map(|batch| (batch, failure.clone()));
                return all.collect();
            }
        };
        let (at, node) = (now(), self.node());
        let runs = batches.into_iter().map(async |batch| {
            let records = text_of(&batch, at);
            // A statement waits for rows that others have locked, and for the disk.
            let rows = answered_in_time(link.run_prepared(&statement, &[&node, &records])).await;
            let answers = rows.and_then(|rows| {
                let answers = rows
                    .first()
                    .and_then(|row| row.try_get::<_, String>(0).ok());
                let answers = answers.and_then(|text| serde_json::from_str(&text).ok());
                answers.ok_or_else(|| Failure::Refused("no answer".to_owned()))
            });
            (batch, answers)
        });
        let mut runs: FuturesUnordered<_> = runs.collect();
        let mut failed = Vec::new();
        while let Some((batch, answers)) = runs.next().await {
            let answers: Vec<Value> = match answers {
                Ok(answers) => answers,
                Err(failure) => {
                    failed.push((batch, failure));
                    continue;
                }
            };
            self.note(None);
            let answers = answers.into_iter().map(Some);
            let answers = answers.chain(std::iter::repeat(None));
            for (job, answer) in batch.into_iter().zip(answers) {
                self.finish(job, answer);
            }
        }
        drop(runs);
        self.link = Some(link);
        failed
    }

    /// Takes the connection, and the statement that writes a batch.
    async fn ready(&mut self) -> Result<(Link, Statement), Failure> {
        match self.settle().await {
            Ok(true) => {}
            Ok(false) => return Err(Failure::Early),
            Err(error) => return Err(Failure::Again(error.to_string())),
        }
        let link = match self.connected().await {
            Ok(link) => link,
            Err(error) => return Err(Failure::Again(error.to_string())),
        };
        let sql = "SELECT symbl_write_1($1, $2::text::jsonb)::text";
        let statement = answered_in_time(link.prepared(sql)).await?;
        let link = self.link.take();
        let link = link.ok_or_else(|| Failure::Again(gone().to_string()))?;
        Ok((link, statement))
    }

    fn finish(&mut self, job: Job, answer: Option<Value>) {
        let reply = match (&job.ask, answer) {
            (_, None) => Err(StoreError::Commit("no answer".to_owned())),
            (Ask::Record(record) | Ask::End(record), Some(answer)) => {
                outcome(record, answer).map(Reply::Outcome)
            }
            (Ask::Join(_) | Ask::Change(..) | Ask::Look(_), Some(answer)) => {
                Ok(Reply::Answer(answer))
            }
        };
        if matches!(job.ask, Ask::Record(Record::Said { .. })) {
            self.cluster.appended(verdict(&reply), job.since.elapsed());
        }
        if let Ok(Reply::Outcome(outcome)) = &reply {
            self.counts.written.inc();
            if let Ask::Record(record) | Ask::End(record) = &job.ask {
                for entry in outcome.entries() {
                    self.bus.announce(conversation_of(record), entry);
                }
            }
        }
        if let Some(done) = job.done {
            done(reply);
        }
    }

    fn fail(&self, batch: Vec<Job>, reason: &str) {
        for job in batch {
            self.counts.failed.inc();
            if matches!(job.ask, Ask::Record(Record::Said { .. })) {
                self.cluster.appended("failed", job.since.elapsed());
            }
            match job.done {
                Some(done) => done(Err(StoreError::Commit(reason.to_owned()))),
                None => tracing::error!(error = reason, "not stored"),
            }
        }
    }

    /// Tells the other nodes that this one lives, if that is due. It must be asked for between
    /// two statements, because many of them may take as long as a lease.
    async fn beat_in_time(&mut self) {
        if self.beaten.elapsed() >= HEARTBEAT {
            self.beat().await;
            self.beaten = Instant::now();
        }
    }

    /// Tells the other nodes that this one lives.
    async fn beat(&mut self) {
        let node = self.node();
        let sql = "UPDATE node SET beats = symbl_now_1() WHERE id = $1 AND NOT gone";
        let beaten = match self.connected().await {
            Ok(link) => answered_in_time(link.change(sql, &[&node])).await,
            Err(error) => return self.note(Some(&error.to_string())),
        };
        match beaten {
            Ok(0) => {
                tracing::error!("this node was not heard of for too long, and begins anew");
                self.enter_anew().await;
            }
            Ok(_) => self.note(None),
            // The next beat is soon.
            Err(Failure::Undone(reason)) => tracing::debug!(reason, "a beat is left out"),
            Err(failure) => {
                self.link = None;
                self.note(Some(&failure.to_string()));
            }
        }
    }

    /// Enters the cluster as a new node, after the old one was declared gone.
    async fn enter_anew(&mut self) {
        let node = uuid::Uuid::new_v4().to_string();
        let entered = async {
            let mut link = self.address.connect_as(&node, &self.runtime).await?;
            let server = self.compare(&mut link, &node).await?;
            enter(&mut link, &node).await?;
            Ok::<_, StoreError>((link, server))
        };
        match entered.await {
            Ok((link, server)) => {
                (self.link, self.server) = (Some(link), Some(server));
                *self.node.lock().unwrap_or_else(PoisonError::into_inner) = node;
                self.times_gone.fetch_add(1, Ordering::AcqRel);
                self.cluster.fenced();
            }
            Err(error) => tracing::warn!(%error, "this node cannot enter the cluster yet"),
        }
    }

    /// Frees what this node holds, at its end.
    async fn leave(&mut self) {
        let node = self.node();
        if let Some(link) = self.link.as_mut().filter(|link| !link.is_lost()) {
            let sql = "UPDATE node SET gone = true, beats = symbl_now_1() WHERE id = $1";
            let _ = timeout(HEARTBEAT, link.execute(sql, &[&node])).await;
        }
    }

    pub(super) fn node(&self) -> String {
        let node = self.node.lock();
        node.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn connected(&mut self) -> Result<&mut Link, StoreError> {
        let node = self.node();
        if self.link.as_ref().is_none_or(Link::is_lost) {
            self.link = None;
            let mut link = self.address.connect_as(&node, &self.runtime).await?;
            self.server = Some(self.compare(&mut link, &node).await?);
            let connected = self.connected.lock();
            *connected.unwrap_or_else(PoisonError::into_inner) = Instant::now();
            self.link = Some(link);
        }
        self.link.as_mut().ok_or_else(gone)
    }

    /// Fills in what a server has lost, if it is another one than before. Returns which it is.
    async fn compare(&mut self, link: &mut Link, node: &str) -> Result<i64, StoreError> {
        let server = fill::server(link).await?;
        if self.server.is_some_and(|before| before != server) {
            let memory = self.memory.get().and_then(Weak::upgrade);
            let memory = memory.as_deref();
            self.is_unsettled = fill::compare(link, node, memory, &self.cluster, false).await?;
            let sql = "UPDATE node SET server = $2, compared = symbl_now_1() WHERE id = $1";
            link.execute(sql, &[&node, &server]).await?;
        }
        Ok(server)
    }

    /// Looks again for what the server missed, once other nodes have had the time to fill it in.
    /// Returns `false` until then.
    async fn settle(&mut self) -> Result<bool, StoreError> {
        let (node, counts) = (self.node(), self.cluster.clone());
        let memory = self.memory.get().and_then(Weak::upgrade);
        self.connected().await?;
        if !self.is_unsettled {
            return Ok(true);
        }
        let Some(link) = &mut self.link else {
            return Ok(true);
        };
        if fill::is_early(link, &node).await? {
            return Ok(false);
        }
        fill::compare(link, &node, memory.as_deref(), &counts, true).await?;
        self.is_unsettled = false;
        Ok(true)
    }

    /// Notes whether the database takes writes, and says so where that changes.
    fn note(&mut self, trouble: Option<&str>) {
        self.counts.healthy.set(i64::from(trouble.is_none()));
        let was_failing = std::mem::replace(&mut self.is_failing, trouble.is_some());
        match trouble {
            None if was_failing => tracing::info!("what is said is stored again"),
            Some(reason) if !was_failing => tracing::error!(
                reason,
                "what is said cannot be stored and waits; /healthz says 503 until it can"
            ),
            _ => {}
        }
    }
}

/// Waits for the answer to a statement, as long as a record may wait.
async fn answered_in_time<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    let Ok(answer) = timeout(LONGEST_OUTAGE, answer).await else {
        return Err(Failure::Again("it takes too long".to_owned()));
    };
    answer.map_err(|error| match trouble(&error) {
        Trouble::Fenced => Failure::Fenced,
        Trouble::Early => Failure::Early,
        Trouble::Undone => Failure::Undone(said(&error)),
        Trouble::Refused => Failure::Refused(said(&error)),
        Trouble::Again => Failure::Again(said(&error)),
    })
}

/// Returns a batch as the parameter of the statement that writes it.
fn text_of(batch: &[Job], at: i64) -> String {
    let records = batch.iter().map(|job| match &job.ask {
        Ask::Record(record) => asked(record, at, job.again),
        Ask::End(record) => {
            let mut asked = asked(record, at, job.again);
            asked["asks"] = true.into();
            asked
        }
        Ask::Join(asked) | Ask::Change(_, asked) | Ask::Look(asked) => asked.clone(),
    });
    Value::Array(records.collect()).to_string()
}

/// Returns what became of a final, as it is counted.
fn verdict(reply: &Result<Reply, StoreError>) -> &'static str {
    match reply {
        Ok(Reply::Outcome(Outcome::Said(verdict, _))) => match verdict {
            Verdict::Stored(_) => "stored",
            Verdict::Already => "already",
            Verdict::Superseded => "superseded",
            Verdict::Over => "over",
        },
        _ => "failed",
    }
}

/// Makes a node known to the others.
pub(super) async fn enter(link: &mut Link, node: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO node (id, version, begun, beats, server)
               VALUES ($1, $2, symbl_now_1(), symbl_now_1(), symbl_server_1())";
    let version = env!("CARGO_PKG_VERSION");
    link.execute(sql, &[&node, &version]).await.map(drop)
}
