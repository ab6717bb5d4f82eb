// SPDX-License-Identifier: MPL-2.0

//! The task that writes.
//!
//! It takes what waits as one batch, sorted by conversation, and gives it to the database
//! as one statement. If the database is away, the batch waits and is repeated: a record may
//! be written again, because the database knows what it has of it. Nothing is told before
//! the commit.

use super::fill;
use super::form::{asked, conversation_of, outcome};
use super::link::{Address, Link, Trouble, gone, said, trouble};
use crate::clock::now;
use crate::conversation::bus::Bus;
use crate::conversation::log::Verdict;
use crate::conversation::registry::Memory;
use crate::metrics::{ClusterCounts, Counts};
use crate::store::StoreError;
use crate::store::sqlite::record::{Outcome, Record};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

/// Most records that are committed together.
const BATCH: usize = 64;

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a record waits for a database that is away.
pub(super) const LONGEST_OUTAGE: Duration = Duration::from_secs(45);

/// Time between two attempts at a database that is away.
const PAUSE: Duration = Duration::from_millis(200);

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
    /// A question that changes nothing.
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

/// Why a batch was not written.
enum Failure {
    Again(String),
    Early,
    Fenced,
    Refused(String),
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
            // A join is alone, because its conversation is not known yet.
            let is_join = |job: &Job| matches!(job.ask, Ask::Join(_));
            let mut rest = batch.into_iter().peekable();
            while rest.peek().is_some() {
                let mut part: Vec<Job> = Vec::new();
                while let Some(job) = rest.next_if(|job| part.is_empty() || !is_join(job)) {
                    let alone = is_join(&job);
                    part.push(job);
                    if alone {
                        break;
                    }
                }
                // Two nodes that lock conversations in different orders would wait for
                // each other.
                part.sort_by_key(|job| match &job.ask {
                    Ask::Record(record) | Ask::End(record) => conversation_of(record),
                    Ask::Change(conversation, _) => *conversation,
                    // It sees what was written before it was asked.
                    Ask::Join(_) | Ask::Look(_) => i64::MAX,
                });
                self.write_all(part).await;
                self.beat_in_time().await;
            }
            self.beat_in_time().await;
        }
        self.leave().await;
    }

    /// Writes a batch, however often that takes, and answers its jobs.
    async fn write_all(&mut self, mut batch: Vec<Job>) {
        loop {
            let failure = match self.write(&batch).await {
                Ok(answers) => {
                    self.note(None);
                    let answers = answers.into_iter().map(Some).chain(std::iter::repeat(None));
                    for (job, answer) in batch.into_iter().zip(answers) {
                        self.finish(job, answer);
                    }
                    return;
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Refused(reason) if batch.len() > 1 => {
                    tracing::debug!(reason, "a batch is written one by one");
                    for job in batch {
                        Box::pin(self.write_all(vec![job])).await;
                        self.beat_in_time().await;
                    }
                    return;
                }
                Failure::Refused(reason) => return self.fail(batch, &reason),
                Failure::Fenced => {
                    let reason = "this node was not heard of for too long";
                    tracing::error!("{reason}; what was said on it meanwhile is not stored");
                    self.fail(batch, reason);
                    return self.enter_anew().await;
                }
                // Nothing was written, and the other nodes need a moment.
                Failure::Early => sleep(PAUSE).await,
                Failure::Again(reason) => {
                    self.note(Some(&reason));
                    let is_late = |job: &Job| job.since.elapsed() >= LONGEST_OUTAGE;
                    let (late, rest): (Vec<Job>, Vec<Job>) = batch.into_iter().partition(is_late);
                    self.fail(late, &reason);
                    batch = rest;
                    if batch.is_empty() {
                        return;
                    }
                    batch.iter_mut().for_each(|job| job.again = true);
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Gives a batch to the database as one statement.
    async fn write(&mut self, batch: &[Job]) -> Result<Vec<Value>, Failure> {
        let at = now();
        let records = batch.iter().map(|job| match &job.ask {
            Ask::Record(record) => asked(record, at, job.again),
            Ask::End(record) => {
                let mut asked = asked(record, at, job.again);
                asked["asks"] = true.into();
                asked
            }
            Ask::Join(asked) | Ask::Change(_, asked) | Ask::Look(asked) => asked.clone(),
        });
        let records = Value::Array(records.collect()).to_string();
        let node = self.node();
        match self.settle().await {
            Ok(true) => {}
            Ok(false) => return Err(Failure::Early),
            Err(error) => return Err(Failure::Again(error.to_string())),
        }
        let link = match self.connected().await {
            Ok(link) => link,
            Err(error) => return Err(Failure::Again(error.to_string())),
        };
        // The statement waits for rows that others have locked, and for the disk.
        let sql = "SELECT symbl_write_1($1, $2::text::jsonb)::text";
        let written = timeout(LONGEST_OUTAGE, link.run(sql, &[&node, &records])).await;
        let failure = match written {
            Ok(Ok(rows)) => {
                let answers = rows
                    .first()
                    .and_then(|row| row.try_get::<_, String>(0).ok());
                let answers = answers.and_then(|text| serde_json::from_str(&text).ok());
                return answers.ok_or_else(|| Failure::Refused("no answer".to_owned()));
            }
            Ok(Err(error)) => match trouble(&error) {
                Trouble::Fenced => return Err(Failure::Fenced),
                Trouble::Early => return Err(Failure::Early),
                Trouble::Refused => return Err(Failure::Refused(said(&error))),
                Trouble::Again => Failure::Again(said(&error)),
            },
            Err(_) => Failure::Again("it takes too long".to_owned()),
        };
        // The next attempt has a new connection, which may lead to another host.
        self.link = None;
        Err(failure)
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
            Ok(link) => timeout(LONGEST_OUTAGE, link.execute(sql, &[&node])).await,
            Err(error) => return self.note(Some(&error.to_string())),
        };
        match beaten {
            Ok(Ok(0)) => {
                tracing::error!("this node was not heard of for too long, and begins anew");
                self.enter_anew().await;
            }
            Ok(Ok(_)) => self.note(None),
            Ok(Err(error)) => {
                self.link = None;
                self.note(Some(&error.to_string()));
            }
            Err(_) => {
                self.link = None;
                self.note(Some("it takes too long"));
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
