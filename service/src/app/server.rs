// SPDX-License-Identifier: MPL-2.0

//! The listening server: binds, accepts, and ends within a bound.

use crate::app::collectors::{LogLines, Restarts};
use crate::app::drain::Drainer;
use crate::app::reload::{Adjust, Places, Reload, ReloadError, cores};
use crate::app::retention::Keeper;
use crate::clock::WallClock;
use crate::config::endpoint::{Bound, Endpoint};
use crate::config::{Auth, ServerConfig};
use crate::conversation::hub::{Hub, Services};
use crate::conversation::log::{Log, LogError};
use crate::conversation::session::Sessions;
use crate::door::http::{self, Shared};
use crate::door::listener::{ListenError, Listener, Welcome};
use crate::door::token::{TokenError, Tokens};
use crate::door::{connection, probes};
use crate::hearing::Hearing;
use crate::hearing::admission::{Admission, SharedAdmission};
use crate::hearing::engines::Engines;
use crate::hearing::pool::Pool;
use crate::jobs::scheduler::{self, Tools};
use crate::jobs::spool::Spool;
use crate::jobs::{Jobs, webhook};
use crate::metrics::{Kept, Metrics, Refused};
use crate::seams::Plain;
use crate::store::{Store, StoreError, sqlite};
use crate::traces::Traces;
use crate::workers::Workers;
use prometheus_client::collector::Collector;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A server that is listening. It stops when it is dropped.
pub struct Server {
    bound: Vec<Bound>,
    metrics: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    accepting: Vec<JoinHandle<()>>,
    /// The tasks of the jobs and of their webhooks.
    working: Vec<JoinHandle<()>>,
    /// Closes when the last socket is gone.
    sockets: mpsc::Receiver<()>,
    patience: Duration,
    store: Arc<dyn Store>,
    adjust: Adjust,
    drainer: Drainer,
    #[cfg_attr(not(feature = "otlp"), allow(dead_code))]
    traces: Traces,
}

/// Asks a server if it is healthy.
#[derive(Debug, Clone)]
pub struct Health(Arc<dyn Store>);

impl Health {
    /// Checks that new entries can be stored, as `/healthz` does.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.0.probe().await
    }
}

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It cannot listen.
    #[error(
        "cannot listen on {bound}: {reason}; choose another address, or port 0 for any free one"
    )]
    Listen {
        /// What was asked for.
        bound: Bound,
        /// The system's complaint.
        #[source]
        reason: std::io::Error,
    },
    /// The system has no thread for it.
    #[error("the service has no thread: {0}; raise the limit of threads (`ulimit -u`)")]
    Thread(#[source] std::io::Error),
    /// The directory for recordings cannot be made.
    #[error("the directory for recordings cannot be used: {0}")]
    Spool(#[source] std::io::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The logs of conversations cannot be read.
    #[error("what was said before cannot be read: {0}")]
    Log(#[from] LogError),
    /// A part of its credentials is empty, so any client could guess it.
    #[error(
        "the {what} of the application is empty, so anybody could guess it; set one, or ask for \
         no credentials (--auth none)"
    )]
    Credentials {
        /// `id` or `secret`.
        what: &'static str,
    },
    /// Traces cannot be sent.
    #[error("traces cannot be sent (--otlp): {0}")]
    Traces(String),
    /// It cannot sign tokens.
    #[error("tokens cannot be signed: {0}")]
    Tokens(String),
}

impl Server {
    /// Checks what can be checked of a configuration without a place to listen at or a
    /// directory to write to.
    ///
    /// # Errors
    ///
    /// [`Server::bind`] would refuse it.
    pub fn check(config: &ServerConfig) -> Result<(), BindError> {
        check_credentials(&config.auth)?;
        #[cfg(feature = "otlp")]
        if let Some(url) = &config.otlp {
            crate::app::otlp::base(url.secret()).map_err(BindError::Traces)?;
        }
        #[cfg(feature = "cluster")]
        if let Some(url) = &config.cluster {
            crate::store::postgres::Store::check_address(url.secret())?;
            if let Some(bus) = &config.bus {
                crate::store::redis::check_address(bus.secret())?;
            }
        }
        Ok(())
    }

    /// Starts a server on the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or the data directory cannot be used.
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        Self::check(&config)?;
        let refused = Refused::default();
        let (tls, seams) = (config.tls.clone(), config.seams());
        let welcome = Welcome::new(tls, seams, &config.limits, refused.clone());
        let mut endpoints = config.endpoints.clone();
        if endpoints.is_empty() {
            endpoints.push(Endpoint::Addresses(vec![config.listen]));
        }
        let listener = Listener::bind(&endpoints, &welcome)?;
        let bound = listener.bound().to_owned();
        let watched = config.metrics_listen.map(|address| {
            let welcome = Welcome::new(None, Arc::new(Plain), &config.limits, refused.clone());
            Listener::bind(&[Endpoint::Addresses(vec![address])], &welcome)
        });
        let watched = watched.transpose()?;
        let workers = Arc::new(Workers::start().map_err(BindError::Thread)?);
        let store = open(&config)?;
        let engines = Engines::new(&config.recognizer, &config.more_recognizers);
        let mut collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(Restarts(engines.clone())),
            Box::new(LogLines(config.lost_log_lines.clone())),
        ];
        if let Some(registry) = store.registry() {
            collectors.push(Box::new(registry.bus().counts().clone()));
        }
        let traces = traces(&config)?;
        let metrics = Arc::new(Metrics::new(Kept {
            traces: traces.clone(),
            recognizers: engines.all().map(|engine| engine.name()).collect(),
            refused,
            counts: store.counts(),
            cluster: store.cluster_counts(),
            collectors,
        }));
        let key = store.key()?;
        let open = bound.iter().filter(|bound| !bound.is_local());
        for address in open.filter(|_| matches!(config.auth, Auth::None)) {
            tracing::warn!(
                %address,
                "anybody who reaches this address can speak, listen and read everything that \
                 was said: no credentials are set (SYMBL_APP_ID and SYMBL_APP_SECRET)"
            );
        }
        let (stop, stopped) = watch::channel(false);
        let (alive, sockets) = mpsc::channel(1);
        let patience = config.limits.shutdown;
        let limits = config.limits.clone();
        let hub = Hub::open(
            &config.limits,
            Services {
                log: Arc::clone(&store) as Arc<dyn Log>,
                metrics: Arc::clone(&metrics),
                trackers: config
                    .trackers
                    .clone()
                    .unwrap_or_else(|| Arc::clone(&store) as _),
                workers,
                wall: WallClock::default(),
            },
        )?;
        let tokens = Tokens::new(config.auth.clone(), config.limits.token, &key)?;
        let adjust = Adjust {
            tokens: Arc::new(tokens),
            admission: SharedAdmission::new(admission(&config, &engines)),
            connections: Places::new(config.limits.connections),
            subscribers: Places::new(config.limits.subscribers),
        };
        let hearing = Hearing {
            admission: adjust.admission.clone(),
            engines,
            pool: Pool::start(threads(&config)).map_err(BindError::Thread)?,
        };
        // Threads of their own: a slow disk or name server delays no other request.
        let threads = Arc::new(Workers::start().map_err(BindError::Thread)?);
        let spool = Spool::open(config.data.as_deref(), threads, config.jobs.reserve);
        let spool = spool.map_err(BindError::Spool)?;
        // Before the first recording comes: from then on the spool has files without a job.
        spool.sweep(store.unfinished().await?, true).await;
        let jobs = Jobs::new(store.clone(), config.jobs.clone(), spool);
        let tools = Tools {
            jobs: Arc::clone(&jobs),
            hub: Arc::clone(&hub),
            hearing: hearing.clone(),
            limits: config.limits.clone(),
            redaction: config.redaction.clone(),
            records: store.clone(),
        };
        let working = vec![
            tokio::spawn(scheduler::run(tools, stopped.clone())),
            tokio::spawn(webhook::run(Arc::clone(&jobs), stopped.clone())),
        ];
        let keeper = Keeper {
            keep: config.keep,
            retention: store.clone(),
            records: store.clone(),
            hub: Arc::clone(&hub),
            audit: config.audit.clone(),
        };
        tokio::spawn(keeper.run(stopped.clone()));
        let drainer = Drainer::new(&hub.sockets, &config);
        let shared = Shared {
            sessions: Sessions::new(Arc::clone(&hub), &config.limits),
            jobs,
            hub,
            tokens: Arc::clone(&adjust.tokens),
            guesses: Arc::default(),
            records: store.clone(),
            notes: store.clone(),
            retention: store.clone(),
            places: adjust.connections.free(),
            listeners: adjust.subscribers.free(),
            hearing,
            config: Arc::new(config),
            shutdown: stopped.clone(),
            alive,
        };
        let metrics = watched.as_ref().map(Listener::bound);
        let metrics = metrics.and_then(|bound| bound.first()?.address());
        let mut served = vec![];
        if let Some(watched) = watched {
            served.push((watched, probes::router(shared.clone())));
        }
        served.push((listener, http::router(shared)));
        let accept = |(listener, router)| {
            let (limits, stopped) = (limits.clone(), stopped.clone());
            tokio::spawn(connection::accept_all(listener, router, limits, stopped))
        };
        Ok(Self {
            bound,
            metrics,
            stop,
            accepting: served.into_iter().map(accept).collect(),
            working,
            sockets,
            patience,
            store,
            adjust,
            drainer,
            traces,
        })
    }

    /// Returns the first address that the server listens on, or `0.0.0.0:0` if it has only
    /// sockets in the file system.
    pub fn local_addr(&self) -> SocketAddr {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let first = self.bound.iter().find_map(Bound::address);
        first.unwrap_or(nowhere)
    }

    /// Returns all places where the server listens, in the order of the configuration.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// Returns the address for metrics and probes, if they have one of their own.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Returns what asks if this server is healthy.
    pub fn health(&self) -> Health {
        Health(Arc::clone(&self.store))
    }

    /// Changes what can be changed while the server runs. No open connection notices.
    ///
    /// # Errors
    ///
    /// Something of it cannot be used. Nothing is changed then.
    pub fn reload(&self, reload: Reload) -> Result<(), ReloadError> {
        self.adjust.apply(reload)
    }

    /// Lets the clients go one after the other, each at a good time, before
    /// [`Server::shutdown`]: for [`ServerConfig::drain_wait`] only `/readyz` says that the
    /// service is about to end. Then, over [`ServerConfig::drain_time`], each speaker is
    /// closed with 1012 in its next pause, and subscribers and sessions follow. New ones are
    /// refused (503). Returns when no socket is left, or the time is over. It may be dropped
    /// at any time.
    pub async fn drain(&self) {
        self.drainer.run().await;
    }

    /// Takes no more connections, closes all sockets with 1001 and waits for
    /// them, at most [`crate::Limits::shutdown`].
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let patience = self.patience;
        let done = async {
            for accepting in &mut self.accepting {
                let _ = accepting.await;
            }
            // Jobs that run are left as they are, and go on after the next start.
            for working in &mut self.working {
                let _ = working.await;
            }
            // This waits until all senders are gone. Nothing is ever sent.
            let _ = self.sockets.recv().await;
        };
        if timeout(patience, done).await.is_err() {
            tracing::warn!("some sockets did not close in time");
        }
        // The store does its jobs in order, so all earlier writes are done first. Then the
        // database file alone is whole.
        match timeout(patience, self.store.settle()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                tracing::warn!("another program reads the database: a copy needs symbl.db-wal too")
            }
            _ => tracing::warn!("the last changes may not be stored"),
        }
        #[cfg(feature = "otlp")]
        if self.traces.are_wanted() {
            let traces = std::mem::take(&mut self.traces);
            let ended = tokio::task::spawn_blocking(move || traces.end(patience));
            // There may be no thread for it.
            if timeout(patience, ended).await.is_err() {
                tracing::warn!("the last traces may not have been sent");
            }
        }
    }
}

/// Returns what sends traces, if they are wanted.
#[cfg(feature = "otlp")]
fn traces(config: &ServerConfig) -> Result<Traces, BindError> {
    let Some(url) = &config.otlp else {
        return Ok(Traces::default());
    };
    // A thread of its own looks names up: a slow name server delays nothing else.
    let workers = Arc::new(Workers::start().map_err(BindError::Thread)?);
    let base = crate::app::otlp::base(url.secret()).map_err(BindError::Traces)?;
    crate::app::otlp::traces(&base, workers).map_err(BindError::Traces)
}

/// Returns what sends no traces.
#[cfg(not(feature = "otlp"))]
fn traces(_: &ServerConfig) -> Result<Traces, BindError> {
    Ok(Traces::default())
}

/// Opens the store: the cluster's, in a directory, or in memory.
fn open(config: &ServerConfig) -> Result<Arc<dyn Store>, StoreError> {
    #[cfg(feature = "cluster")]
    if let Some(url) = &config.cluster {
        let store = match &config.bus {
            None => crate::store::postgres::Store::open(url.secret()),
            Some(bus) => crate::store::postgres::Store::with_bus(url.secret(), bus.secret()),
        };
        return Ok(Arc::new(store?));
    }
    #[cfg(all(feature = "cluster", debug_assertions))]
    if let Some(store) = crate::store::postgres::trial::open(config.data.as_deref()) {
        return Ok(Arc::new(store?));
    }
    let store = sqlite::Store::open(config.data.as_deref(), &config.limits)?;
    Ok(Arc::new(store))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}

/// Refuses credentials with an empty part, which any client could guess.
pub(crate) fn check_credentials(auth: &Auth) -> Result<(), BindError> {
    let parts = match auth {
        Auth::None => vec![],
        Auth::App { id, secret } => vec![("id", id), ("secret", secret)],
        // An empty secret has a hash too.
        Auth::Accounts(accounts) => accounts.iter().map(|a| ("id", &a.id)).collect(),
    };
    match parts.iter().find(|(_, text)| text.trim().is_empty()) {
        Some((what, _)) => Err(BindError::Credentials { what }),
        None => Ok(()),
    }
}

impl From<ListenError> for BindError {
    fn from(ListenError { bound, reason }: ListenError) -> Self {
        Self::Listen { bound, reason }
    }
}

impl From<TokenError> for BindError {
    fn from(error: TokenError) -> Self {
        Self::Tokens(error.to_string())
    }
}

/// Returns the number of workers.
fn threads(config: &ServerConfig) -> usize {
    match config.limits.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

/// Returns the admission to the cores that recognition may take, if it has a limit.
fn admission(config: &ServerConfig, engines: &Engines) -> Option<Admission> {
    let cores = cores(config.max_load?);
    Some(Admission::new(cores, &engines.capacities()))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let tasks = self.accepting.iter().chain(&self.working);
        tasks.for_each(JoinHandle::abort);
    }
}
