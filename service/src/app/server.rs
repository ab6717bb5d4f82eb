// SPDX-License-Identifier: MPL-2.0

//! The listening server: binds, accepts, and ends within a bound.

use crate::app::collectors::{LogLines, Restarts};
use crate::clock::WallClock;
use crate::config::{Auth, ServerConfig};
use crate::conversation::hub::{Hub, Services};
use crate::conversation::log::{Log, LogError};
use crate::conversation::session::Sessions;
use crate::door::connection;
use crate::door::http::{self, Shared};
use crate::door::listener::Listener;
use crate::door::token::{TokenError, Tokens};
use crate::hearing::Hearing;
use crate::hearing::admission::{Admission, SharedAdmission};
use crate::hearing::engines::Engines;
use crate::hearing::pool::Pool;
use crate::jobs::scheduler::{self, Tools};
use crate::jobs::spool::Spool;
use crate::jobs::{Jobs, webhook};
use crate::metrics::{Kept, Metrics, Refused};
use crate::store::StoreError;
use crate::store::jobs::JobStore;
use crate::store::sqlite::Store;
use crate::workers::Workers;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A server that is listening. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    /// The tasks of the jobs and of their webhooks.
    working: Vec<JoinHandle<()>>,
    /// Closes when the last socket is gone.
    sockets: mpsc::Receiver<()>,
    patience: Duration,
    store: Arc<Store>,
}

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It cannot listen.
    #[error(
        "cannot listen on {address}: {reason}; choose another address, or port 0 for any free one"
    )]
    Listen {
        /// What was asked for.
        address: SocketAddr,
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
    /// It cannot sign tokens.
    #[error("tokens cannot be signed: {0}")]
    Tokens(String),
}

impl Server {
    /// Starts a server on the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or the data directory cannot be used.
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        check_credentials(&config.auth)?;
        let failed = |reason| BindError::Listen {
            address: config.listen,
            reason,
        };
        let (tls, seams) = (config.tls.clone(), config.seams());
        let refused = Refused::default();
        let listener = Listener::bind(config.listen, tls, seams, &config.limits, refused.clone());
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr();
        let workers = Arc::new(Workers::start().map_err(BindError::Thread)?);
        let store = Arc::new(Store::open(config.data.as_deref(), &config.limits)?);
        let engines = Engines::new(&config.recognizer, &config.more_recognizers);
        let metrics = Arc::new(Metrics::new(Kept {
            recognizers: engines.all().map(|engine| engine.name()).collect(),
            refused,
            counts: store.counts.clone(),
            collectors: vec![
                Box::new(Restarts(engines.clone())),
                Box::new(LogLines(config.lost_log_lines.clone())),
            ],
        }));
        let key = store.key()?;
        if matches!(config.auth, Auth::None) && !address.ip().to_canonical().is_loopback() {
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
                trackers: config.trackers.clone().unwrap_or_else(|| store.clone()),
                workers,
                wall: WallClock::default(),
            },
        )?;
        let hearing = Hearing {
            admission: SharedAdmission::new(admission(&config, &engines)),
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
        };
        let working = vec![
            tokio::spawn(scheduler::run(tools, stopped.clone())),
            tokio::spawn(webhook::run(Arc::clone(&jobs), stopped.clone())),
        ];
        let router = http::router(Shared {
            sessions: Sessions::new(Arc::clone(&hub), &config.limits),
            jobs,
            hub,
            tokens: Arc::new(Tokens::new(config.auth.clone(), config.limits.token, &key)?),
            guesses: Arc::default(),
            records: store.clone(),
            places: Arc::new(Semaphore::new(config.limits.connections)),
            listeners: Arc::new(Semaphore::new(config.limits.subscribers)),
            hearing,
            config: Arc::new(config),
            shutdown: stopped.clone(),
            alive,
        });
        let accepting = tokio::spawn(connection::accept_all(listener, router, limits, stopped));
        Ok(Self {
            address,
            stop,
            accepting,
            working,
            sockets,
            patience,
            store,
        })
    }

    /// Returns the address that the server listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, closes all sockets with 1001 and waits for
    /// them, at most [`crate::Limits::shutdown`].
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let patience = self.patience;
        let done = async {
            let _ = (&mut self.accepting).await;
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
    }
}

/// Refuses credentials with an empty part, which any client could guess.
fn check_credentials(auth: &Auth) -> Result<(), BindError> {
    let Auth::App { id, secret } = auth else {
        return Ok(());
    };
    let parts = [("id", id), ("secret", secret)];
    match parts.iter().find(|(_, text)| text.trim().is_empty()) {
        Some((what, _)) => Err(BindError::Credentials { what }),
        None => Ok(()),
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
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let cores = cores * config.max_load?;
    Some(Admission::new(cores, &engines.capacities()))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.accepting.abort();
        self.working.iter().for_each(JoinHandle::abort);
    }
}
