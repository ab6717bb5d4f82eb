// SPDX-License-Identifier: MPL-2.0

//! Listens at the endpoints: accepts connections within bounds, and does the TLS handshake.
//!
//! Any number of clients may open connections. The service handles only
//! [`Limits::handshakes`] of them at a time before their request, and answers the
//! others with 503 and `Retry-After`.

use crate::config::endpoint::{Bound, Endpoint};
use crate::door::keeper::Keeper;
use crate::door::unix::{self, SocketFile};
use crate::limits::Limits;
use crate::metrics::Refused;
use crate::seams::{AnyStream, ConnectionSeams, ServerSeams};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::Span;

/// Stands for an address that is not known.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The client at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The span for everything that is done for this client.
    pub(crate) span: Span,
    /// What else is done on this connection.
    pub(crate) seams: Arc<dyn ConnectionSeams>,
}

/// A connection on which a request may come.
pub(crate) struct Accepted {
    pub(crate) stream: AnyStream,
    pub(crate) peer: Peer,
    /// Limits the connections without a request. Held until the connection is a
    /// WebSocket or has ended.
    pub(crate) place: OwnedSemaphorePermit,
}

/// The listening sockets and their tasks.
#[derive(Debug)]
pub(crate) struct Listener {
    bound: Vec<Bound>,
    accepted: mpsc::Receiver<Accepted>,
    accepting: Vec<JoinHandle<()>>,
    /// Removes the files of sockets at the end.
    _files: Vec<SocketFile>,
}

/// What all sockets of a listener have in common.
#[derive(Clone)]
pub(crate) struct Welcome {
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) seams: Arc<dyn ServerSeams>,
    /// One permit for each connection that may be accepted before its request.
    pub(super) places: Arc<Semaphore>,
    /// Maximum duration of the TLS handshake.
    pub(super) patience: Duration,
    pub(super) refused: Refused,
}

impl Welcome {
    pub(crate) fn new(
        tls: Option<Arc<ServerConfig>>,
        seams: Arc<dyn ServerSeams>,
        limits: &Limits,
        refused: Refused,
    ) -> Self {
        Self {
            tls: tls.map(TlsAcceptor::from),
            seams,
            places: Arc::new(Semaphore::new(limits.handshakes)),
            patience: limits.handshake,
            refused,
        }
    }
}

impl Listener {
    /// Binds the endpoints and starts to accept.
    pub(crate) fn bind(
        endpoints: &[Endpoint],
        welcome: &Welcome,
    ) -> std::result::Result<Self, ListenError> {
        let (accepted, waiting) = mpsc::channel(1);
        let mut listener = Self {
            bound: Vec::new(),
            accepted: waiting,
            accepting: Vec::new(),
            _files: Vec::new(),
        };
        for endpoint in endpoints {
            let keeper = Keeper {
                welcome: welcome.clone(),
                accepted: accepted.clone(),
            };
            listener.add(endpoint, keeper)?;
        }
        Ok(listener)
    }

    fn add(&mut self, endpoint: &Endpoint, keeper: Keeper) -> std::result::Result<(), ListenError> {
        match endpoint {
            Endpoint::Addresses(addresses) => {
                let mut refused = None;
                for &address in addresses {
                    match keeper.clone().at(address) {
                        Ok((address, task)) => {
                            self.bound.push(Bound::Tcp(address));
                            self.accepting.push(task);
                            return Ok(());
                        }
                        Err(reason) => refused = Some((Bound::Tcp(address), reason)),
                    }
                }
                let (bound, reason) = refused.unwrap_or_else(|| {
                    let reason = Error::new(ErrorKind::InvalidInput, "there is no address");
                    (Bound::Tcp(NOWHERE), reason)
                });
                Err(ListenError { bound, reason })
            }
            Endpoint::Tcp(open) => {
                let opened = open.local_addr().and_then(|address| {
                    open.set_nonblocking(true)?;
                    Ok((address, TcpListener::from_std(open.try_clone()?)?))
                });
                let failed = |reason| ListenError {
                    bound: Bound::Tcp(NOWHERE),
                    reason,
                };
                let (address, open) = opened.map_err(failed)?;
                self.bound.push(Bound::Tcp(address));
                // Its port stays open, whatever the faults are.
                self.accepting
                    .push(tokio::spawn(async move { keeper.accept_tcp(&open).await }));
                Ok(())
            }
            Endpoint::Unix(path) => {
                let failed = |reason| ListenError {
                    bound: Bound::Unix(path.clone()),
                    reason,
                };
                let (open, file) = unix::bind(path).map_err(failed)?;
                self._files.push(file);
                self.add_unix(open, keeper).map_err(failed)
            }
            Endpoint::UnixListener(open) => {
                let cloned = open.try_clone();
                let added = cloned.and_then(|open| self.add_unix(open, keeper));
                added.map_err(|reason| ListenError {
                    bound: Bound::Unix(PathBuf::new()),
                    reason,
                })
            }
        }
    }

    fn add_unix(&mut self, open: std::os::unix::net::UnixListener, keeper: Keeper) -> Result<()> {
        let address = open.local_addr()?;
        let path = address.as_pathname().unwrap_or(Path::new("")).to_owned();
        open.set_nonblocking(true)?;
        let open = UnixListener::from_std(open)?;
        self.bound.push(Bound::Unix(path));
        self.accepting
            .push(tokio::spawn(async move { keeper.accept_unix(&open).await }));
        Ok(())
    }

    /// Returns the next connection.
    pub(crate) async fn accept(&mut self) -> Accepted {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // The error was logged when it occurred. The server waits here until it
            // is stopped.
            None => std::future::pending().await,
        }
    }

    /// Returns where the server listens, in the order of the endpoints.
    pub(crate) fn bound(&self) -> &[Bound] {
        &self.bound
    }
}

/// An endpoint that cannot be had.
#[derive(Debug)]
pub(crate) struct ListenError {
    pub(crate) bound: Bound,
    pub(crate) reason: Error,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
    }
}
