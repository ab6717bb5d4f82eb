// SPDX-License-Identifier: MPL-2.0

//! Listens on the port: accepts connections within bounds, and does the TLS handshake.
//!
//! Any number of clients may open connections. The service handles only
//! [`Limits::handshakes`] of them at a time before their request, and answers the
//! others with 503 and `Retry-After`.

use crate::limits::Limits;
use crate::logging;
use crate::metrics::Refused;
use crate::seams::{AnyStream, ConnectionSeams, ServerSeams, Stage};
use futures_util::future::BoxFuture;
use std::io::{ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::{Instrument, Span};

/// Maximum number of connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Answer to a connection above the limit. It is written before the request is read.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Length: 71\r\n\r\n\
    {\"message\":\"Too many connections are being opened; try again later.\"}\r\n";

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

/// The listening socket and its task.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    accepted: mpsc::Receiver<Accepted>,
    accepting: JoinHandle<()>,
}

impl Listener {
    /// Binds the address and starts to accept.
    pub(crate) fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        seams: Arc<dyn ServerSeams>,
        limits: &Limits,
        refused: Refused,
    ) -> Result<Self> {
        // Keeps the port bound while it is closed, so that no other program gets it.
        let place = seams.may_close().then(|| bind(address)).transpose()?;
        let address = match &place {
            Some(place) => place.local_addr()?,
            None => address,
        };
        let listener = bind(address)?.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        // The port may be closed from the beginning.
        let closed = seams.closes(address, bind);
        let listener = Some(listener).filter(|_| closed.is_none());
        let (accepted, waiting) = mpsc::channel(1);
        let keeper = Keeper {
            address,
            tls: tls.map(TlsAcceptor::from),
            seams,
            places: Arc::new(Semaphore::new(limits.handshakes)),
            patience: limits.handshake,
            refused,
            accepted,
        };
        let accepting = tokio::spawn(async move {
            if let Err(error) = keeper.keep(listener, closed).await {
                tracing::error!(%error, "no longer accepting connections");
            }
            drop(place);
        });
        Ok(Self {
            address,
            accepted: waiting,
            accepting,
        })
    }
}

impl Listener {
    /// Returns the next connection.
    pub(crate) async fn accept(&mut self) -> Accepted {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // The error was logged when it occurred. The server waits here until it
            // is stopped.
            None => std::future::pending().await,
        }
    }

    /// Returns the address that the server listens on.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn bind(address: SocketAddr) -> Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // As in any server: connections that have just ended do not block the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

struct Keeper {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    seams: Arc<dyn ServerSeams>,
    /// One permit for each connection that may be accepted before its request.
    places: Arc<Semaphore>,
    /// Maximum duration of the TLS handshake.
    patience: Duration,
    refused: Refused,
    accepted: mpsc::Sender<Accepted>,
}

impl Keeper {
    /// Accepts connections, at first when `closed` is over.
    async fn keep(
        self,
        mut listener: Option<TcpListener>,
        mut closed: Option<BoxFuture<'static, Result<()>>>,
    ) -> Result<()> {
        loop {
            while let Some(closed) = closed
                .take()
                .or_else(|| self.seams.closes(self.address, bind))
            {
                drop(listener.take());
                closed.await?;
            }
            let open = match listener.take() {
                Some(open) => open,
                None => bind(self.address)?.listen(BACKLOG)?,
            };
            match TcpListener::accept(listener.insert(open)).await {
                Ok((tcp, from)) => self.accepted(tcp, from),
                Err(error) => match error.kind() {
                    // This is an error of the connection and not of the port.
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                    _ => {
                        tracing::error!(%error, "cannot accept a connection; trying again");
                        sleep(Duration::from_secs(1)).await;
                    }
                },
            }
        }
    }

    fn accepted(&self, tcp: TcpStream, from: SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            logging::span(from.ip()).in_scope(|| {
                tracing::info!("refused: too many connections are being opened");
            });
            self.refused.count("busy");
            if self.tls.is_none() {
                refuse(&tcp);
            }
            return;
        };
        // Captions are small, and must not wait for Nagle's algorithm.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let peer = Peer {
            address: from.ip(),
            span: logging::span(from.ip()),
            seams: self.seams.accepted(),
        };
        let opened = Arc::clone(&peer.seams).opened(tcp);
        let refused = self.refused.clone();
        let (tls, accepted, patience) = (self.tls.clone(), self.accepted.clone(), self.patience);
        let span = peer.span.clone();
        // A slow handshake delays no other client.
        let opening = async move {
            let stream = opened.await;
            let longest = peer.seams.limit(Stage::Handshake, patience);
            let longest = longest.unwrap_or(Duration::MAX);
            let stream: AnyStream = match tls {
                None => stream,
                Some(tls) => match timeout(longest, tls.accept(stream)).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    Ok(Err(error)) => {
                        tracing::info!(%error, "the TLS handshake failed");
                        refused.count("tls");
                        return;
                    }
                    Err(_) => {
                        tracing::info!("the TLS handshake takes too long");
                        refused.count("tls");
                        return;
                    }
                },
            };
            let connection = Accepted {
                stream: Arc::clone(&peer.seams).secured(stream),
                peer,
                place,
            };
            // Fails if the server was stopped meanwhile.
            let _ = accepted.send(connection).await;
        };
        tokio::spawn(opening.instrument(span));
    }
}

/// Writes the refusal without waiting. It first reads what has come: closing a socket
/// with unread bytes resets it, and then the client may not see the answer.
fn refuse(tcp: &TcpStream) {
    let mut unread = [0; 4096];
    let _ = tcp.try_read(&mut unread);
    // A client that cannot take a hundred bytes does not get the answer.
    let _ = tcp.try_write(BUSY);
}

#[cfg(test)]
mod tests {
    use super::BUSY;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = std::str::from_utf8(BUSY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap();
        assert_eq!(length.parse(), Ok(body.len()));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(body["message"].is_string());
    }
}
