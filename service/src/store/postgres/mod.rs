// SPDX-License-Identifier: MPL-2.0

//! The store in PostgreSQL, which several nodes share.
//!
//! One task writes ([`writer`]), in batches that are one statement each: functions of the
//! database (`functions.sql`) number entries and check the fences, because only there the
//! nodes meet. A few connections read ([`readers`]). All I/O is done on one thread of this
//! store. Calls that return no future block, unless they say otherwise, so they must come from
//! threads that may wait.
//!
//! A commit that was answered is durable if the database is set up to be: see
//! docs/cluster.md.

mod bookmarks;
mod bus;
mod comprehensive;
mod conversations;
pub(crate) mod copy;
#[cfg(test)]
mod differential;
mod fill;
mod filter;
mod form;
#[cfg(test)]
mod frozen;
mod groups;
mod hooks;
mod jobs;
#[cfg(test)]
mod joining;
mod labels;
mod line;
mod link;
mod listing;
mod log;
mod parts;
mod places;
mod readers;
mod records;
mod registry;
mod schema;
mod search;
mod speakers;
mod spoken;
mod text;
mod tls;
mod topics;
mod trackers;
#[cfg(debug_assertions)]
pub(crate) mod trial;
mod words;
mod writer;

use crate::conversation::bus::exchange::Exchange;
use crate::conversation::registry::Memory;
use crate::metrics::{ClusterCounts, Counts};
use crate::store::StoreError;
use crate::store::redis::{Redis, Running};
use crate::store::sqlite::record::{Outcome, Record};
use link::{Address, Link, gone};
use readers::{Looking, Readers};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use writer::{Ask, Job, LONGEST_OUTAGE, Reply, Tell, Writer};

/// How long the answer to a job may take: longer than the database may be away.
const PATIENCE: Duration = LONGEST_OUTAGE.saturating_add(Duration::from_secs(5));

/// How long the answer to [`Store::check`] may take.
const LONGEST_PROBE: Duration = Duration::from_secs(5);

/// How long the connections may take to be closed.
const LONGEST_END: Duration = Duration::from_secs(5);

/// The database of a cluster.
#[derive(Debug)]
pub(crate) struct Store {
    /// To the task that writes. `None` once the store is dropped.
    jobs: Option<UnboundedSender<Job>>,
    /// Lists that are being read do not keep them open.
    readers: Option<Arc<Readers>>,
    runtime: Handle,
    pub(crate) counts: Counts,
    cluster: ClusterCounts,
    /// The id of this node.
    node: Arc<Mutex<String>>,
    /// How often this node was declared gone.
    times_gone: Arc<AtomicU64>,
    /// Tells other nodes what is new.
    bus: Arc<Exchange>,
    /// The thread of the bus, if it is not the database.
    redis: Option<Running>,
    /// What this node remembers of the logs, once that is known.
    memory: Arc<OnceLock<Weak<dyn Memory>>>,
    /// Sockets that count for their accounts still, because the database was away.
    unfreed: Arc<Mutex<Vec<String>>>,
    /// Disconnected when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

impl Store {
    /// Opens the database at this URL and brings it to this version. Nodes tell each other by
    /// the database what is new.
    ///
    /// # Errors
    ///
    /// The URL is none, or the database cannot be reached or used.
    pub(crate) fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, None)
    }

    /// Opens the database likewise. Nodes tell each other by the Redis at the URL `bus` what is
    /// new.
    ///
    /// # Errors
    ///
    /// A URL is none, or the database cannot be reached or used.
    pub(crate) fn with_bus(url: &str, bus: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Some(Redis::parse(bus)?))
    }

    fn open_with(url: &str, redis: Option<Redis>) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let thread = |reason| StoreError::File {
            path: "a thread".into(),
            reason,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(thread)?;
        let handle = runtime.handle().clone();
        let node = Arc::new(Mutex::new(uuid::Uuid::new_v4().to_string()));
        let (counts, cluster) = (Counts::default(), ClusterCounts::default());
        let readers = Readers::new(address.clone(), handle.clone(), counts.clone());
        let (jobs, waiting) = unbounded_channel();
        let (alive, ended) = channel::<()>();
        let (tell, opened) = sync_channel(1);
        let exchange = Arc::new(Exchange::new());
        let others = redis.is_none().then(|| Arc::clone(&exchange));
        let times_gone = Arc::new(AtomicU64::new(0));
        let memory: Arc<OnceLock<Weak<dyn Memory>>> = Arc::default();
        let mut writer = Writer {
            server: None,
            is_unsettled: false,
            memory: Arc::clone(&memory),
            times_gone: Arc::clone(&times_gone),
            connected: Arc::new(Mutex::new(Instant::now())),
            address,
            runtime: handle.clone(),
            link: None,
            beaten: Instant::now(),
            node: Arc::clone(&node),
            counts: counts.clone(),
            cluster: cluster.clone(),
            is_failing: false,
            bus: Arc::clone(&exchange) as _,
        };
        std::thread::Builder::new()
            .name("symbl-store".to_owned())
            .spawn(move || {
                let _alive = alive;
                runtime.block_on(async {
                    let prepared = prepare(&writer).await;
                    let is_open = prepared.is_ok();
                    let link = prepared.map(|(link, server)| {
                        (writer.link, writer.server) = (Some(link), Some(server));
                    });
                    let _ = tell.send(link);
                    if is_open {
                        tokio::spawn(registry::watch_others(&writer));
                        if let Some(exchange) = others {
                            let (address, runtime) = (&writer.address, &writer.runtime);
                            tokio::spawn(bus::run(exchange, address.clone(), runtime.clone()));
                        }
                        writer.run(waiting).await;
                    }
                });
            })
            .map_err(thread)?;
        match opened.recv_timeout(PATIENCE) {
            Ok(opened) => opened?,
            Err(_) => return Err(too_long()),
        }
        counts.healthy.set(1);
        let mut store = Self {
            jobs: Some(jobs),
            readers: Some(Arc::new(readers)),
            runtime: handle,
            counts,
            cluster,
            node,
            times_gone,
            bus: exchange,
            redis: None,
            memory,
            unfreed: Arc::default(),
            ended: Mutex::new(ended),
        };
        if let Some(redis) = redis {
            let (exchange, key) = (Arc::clone(&store.bus), store.key()?);
            store.redis = Some(redis.start(exchange, &key).map_err(thread)?);
        }
        Ok(store)
    }

    fn send(&self, ask: Ask, done: Option<Tell<Reply>>) -> Result<(), StoreError> {
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        if matches!(ask, Ask::Record(Record::Said { .. })) {
            self.cluster.given();
        }
        let job = Job {
            ask,
            since: Instant::now(),
            done,
            again: false,
        };
        jobs.send(job).map_err(|_| gone())
    }

    /// Writes a record and waits until it is committed. `told` is called before that.
    fn write(
        &self,
        record: Record,
        told: impl FnOnce(&Outcome) + Send + 'static,
    ) -> Result<Outcome, StoreError> {
        let (done, answer) = sync_channel(1);
        let tell: Tell<Reply> = Box::new(move |reply| {
            if let Ok(Reply::Outcome(outcome)) = &reply {
                told(outcome);
            }
            // The caller may have stopped waiting.
            drop(done.try_send(reply));
        });
        self.send(Ask::Record(record), Some(tell))?;
        match wait(&answer)? {
            Reply::Outcome(outcome) => Ok(outcome),
            Reply::Answer(_) => Err(gone()),
        }
    }

    /// Asks the database after all earlier writes of this node. It is asked whether the answer
    /// is waited for or not. `note` is called with the answer in any case.
    fn answer<N: FnOnce(&Result<Reply, StoreError>) + Send + 'static>(
        &self,
        ask: Ask,
        patience: Duration,
        note: N,
    ) -> impl Future<Output = Result<Value, StoreError>> + Send + use<N> {
        let (done, answer) = oneshot::channel();
        let tell: Tell<Reply> = Box::new(move |reply| {
            note(&reply);
            // The caller may have stopped waiting.
            drop(done.send(reply));
        });
        let sent = self.send(ask, Some(tell));
        async move {
            sent?;
            let answer = tokio::time::timeout(patience, answer).await;
            let answer = answer.map_err(|_| too_long())?;
            match answer.map_err(|_| gone())?? {
                Reply::Answer(answer) => Ok(answer),
                Reply::Outcome(_) => Err(gone()),
            }
        }
    }

    /// Asks the database after all earlier writes of this node, and waits for the answer.
    fn ask(&self, ask: Ask) -> Result<Value, StoreError> {
        let (done, answer) = sync_channel(1);
        let tell: Tell<Reply> = Box::new(move |reply| drop(done.try_send(reply)));
        self.send(ask, Some(tell))?;
        match wait(&answer)? {
            Reply::Answer(answer) => Ok(answer),
            Reply::Outcome(_) => Err(gone()),
        }
    }

    /// Reads on the thread of this store, and waits for it. Must not be called on that
    /// thread.
    fn look<T: Send + 'static>(
        &self,
        look: impl for<'a> FnOnce(&'a mut Link) -> Looking<'a, T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers()?;
        let (done, answer) = sync_channel(1);
        self.runtime.spawn(async move {
            let looked = readers.look(look).await;
            // The caller may have stopped waiting.
            drop(done.try_send(looked));
        });
        wait(&answer)
    }

    /// Makes a change in one transaction. What is not to `stay` is undone.
    async fn change<T: Send + 'static>(
        &self,
        stay: impl Fn(&T) -> bool + Send + 'static,
        change: impl for<'a> FnOnce(&'a mut Link) -> Looking<'a, T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers()?;
        readers
            .look(|link| {
                Box::pin(async move {
                    // After an error the connection is closed, and nothing stays.
                    link.batch("BEGIN").await?;
                    let done = change(link).await?;
                    let end = if stay(&done) { "COMMIT" } else { "ROLLBACK" };
                    link.batch(end).await?;
                    Ok(done)
                })
            })
            .await
    }

    /// Returns the id of this node.
    fn node(&self) -> String {
        let node = self.node.lock();
        node.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn readers(&self) -> Result<Arc<Readers>, StoreError> {
        self.readers.clone().ok_or_else(gone)
    }

    /// Waits until all earlier jobs are done, for `patience` at most.
    async fn settle_within(&self, patience: Duration) -> Result<(), StoreError> {
        let alive = Ask::Look(json!({"k": "alive"}));
        self.answer(alive, patience, |_| {}).await.map(drop)
    }

    /// Checks that this is the URL of a database, without connecting to it.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(crate) fn check_address(url: &str) -> Result<(), StoreError> {
        Address::parse(url).map(drop)
    }

    /// Checks that new entries can be stored.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        self.settle_within(LONGEST_PROBE).await
    }

    /// Waits until all earlier writes are done.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        self.settle_within(PATIENCE).await
    }

    /// Returns the key that tokens are signed with, the same for all nodes.
    pub(crate) fn key(&self) -> Result<Vec<u8>, StoreError> {
        self.look(|link| {
            Box::pin(async move {
                let parts = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
                let key = parts.map(uuid::Uuid::into_bytes).concat();
                let sql = "INSERT INTO meta (key, bytes) VALUES ('key', $1) ON CONFLICT DO NOTHING";
                link.execute(sql, &[&key]).await?;
                let sql = "SELECT bytes FROM meta WHERE key = 'key'";
                let row = link.query_one(sql, &[]).await?;
                row.try_get(0).map_err(link::refused)
            })
        })
    }
}

/// Opens the first connection, brings the database to this version and makes this node known.
async fn prepare(writer: &Writer) -> Result<(Link, i64), StoreError> {
    let node = writer.node();
    let address = &writer.address;
    let mut link = address.connect_as(&node, &writer.runtime).await?;
    schema::prepare(&mut link, writer.address.place()).await?;
    writer::enter(&mut link, &node).await?;
    log::bury(&mut link).await?;
    let as_of = log::time(&mut link).await?;
    log::sweep(&mut link, &node, as_of).await?;
    registry::look_at_all(&mut link, &writer.cluster).await?;
    let server = fill::server(&mut link).await?;
    Ok((link, server))
}

fn wait<T>(answer: &Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(too_long()),
            RecvTimeoutError::Disconnected => Err(gone()),
        })
}

fn too_long() -> StoreError {
    StoreError::Commit("it takes too long".to_owned())
}

impl Drop for Store {
    /// Waits until what was given to the store is written and the connections are closed.
    fn drop(&mut self) {
        self.jobs = None;
        self.readers = None;
        self.redis = None;
        let ended = self.ended.lock();
        let ended = ended.unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(LONGEST_END);
    }
}
