// SPDX-License-Identifier: MPL-2.0

//! The listening server: binds, accepts, and ends within a bound.

use crate::config::ServerConfig;
use crate::fault::{Door, OnLine};
use crate::http::{self, Shared};
use crate::hub::Hub;
use crate::token::Tokens;
use axum::serve::Listener;
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
    /// Closes when the last socket is gone.
    sockets: mpsc::Receiver<()>,
    patience: Duration,
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}; choose another address, or port 0 for any free one")]
pub struct BindError {
    /// What was asked for.
    pub address: SocketAddr,
    /// The system's complaint.
    #[source]
    pub reason: std::io::Error,
}

impl Server {
    /// Listens, and serves on the tokio runtime that this is called on.
    ///
    /// # Errors
    ///
    /// The address cannot be bound.
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let failed = |reason| BindError {
            address: config.listen,
            reason,
        };
        let door = Door::bind(config.listen, config.tls.clone(), config.faults.clone());
        let door = door.map_err(failed)?;
        let address = door.local_addr().map_err(failed)?;
        let (stop, mut stopped) = watch::channel(false);
        let (alive, sockets) = mpsc::channel(1);
        let patience = config.limits.shutdown;
        let router = http::router(Shared {
            hub: Arc::new(Hub::new(&config.limits)),
            tokens: Arc::new(Tokens::new(config.auth.clone(), config.limits.token)),
            places: Arc::new(Semaphore::new(config.limits.connections)),
            listeners: Arc::new(Semaphore::new(config.limits.subscribers)),
            config: Arc::new(config),
            shutdown: stopped.clone(),
            alive,
        });
        let accepting = tokio::spawn(async move {
            let until = async move {
                // An error means that the server itself is gone.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let service = router.into_make_service_with_connect_info::<OnLine>();
            let serving = axum::serve(door, service).with_graceful_shutdown(until);
            if let Err(error) = serving.await {
                tracing::error!(%error, "no longer accepting connections");
            }
        });
        Ok(Self {
            address,
            stop,
            accepting,
            sockets,
            patience,
        })
    }

    /// Where it listens.
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
            // Nobody sends: this waits for all senders to be gone.
            let _ = self.sockets.recv().await;
        };
        if timeout(patience, done).await.is_err() {
            tracing::warn!("some sockets did not close in time");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.accepting.abort();
    }
}
