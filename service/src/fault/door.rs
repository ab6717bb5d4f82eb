// SPDX-License-Identifier: MPL-2.0

//! Listens on the port: accepts connections within bounds, does the TLS handshake,
//! and closes the port while a fault requires it.
//!
//! Any number of clients may open connections. The service handles only
//! [`Limits::handshakes`] of them at a time before their request, and answers the
//! others with 503 and `Retry-After`.

use super::line::{Fate, Line};
use super::wire::{Carrier, Stream, Wire};
use super::{Faults, Kind, When};
use crate::limits::Limits;
use crate::logging;
use crate::metrics::Refused;
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::Instrument;

/// Maximum number of connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Answer to a connection above the limit. It is written before the request is read.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Length: 71\r\n\r\n\
    {\"message\":\"Too many connections are being opened; try again later.\"}\r\n";

/// A connection on which a request may come.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    /// Limits the connections without a request. Held until the connection is a
    /// WebSocket or has ended.
    pub(crate) place: OwnedSemaphorePermit,
}

/// The listening socket and its task.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    accepted: mpsc::Receiver<Accepted>,
    accepting: JoinHandle<()>,
}

impl Door {
    /// Binds the address and starts to accept.
    pub(crate) fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        faults: Faults,
        limits: &Limits,
        refused: Refused,
    ) -> Result<Self> {
        // Keeps the port bound while a fault closes it, so that no other program gets
        // it.
        let place = faults
            .closes_the_port()
            .then(|| bind(address))
            .transpose()?;
        let address = match &place {
            Some(place) => place.local_addr()?,
            None => address,
        };
        let listener = bind(address)?.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        // The first fault of a script may close the port.
        let listener = Some(listener).filter(|_| !faults.next_closes());
        let (accepted, waiting) = mpsc::channel(1);
        let keeper = Keeper {
            address,
            tls: tls.map(TlsAcceptor::from),
            faults,
            places: Arc::new(Semaphore::new(limits.handshakes)),
            patience: limits.handshake,
            refused,
            accepted,
        };
        let accepting = tokio::spawn(async move {
            if let Err(error) = keeper.keep(listener).await {
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

impl Door {
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

impl Drop for Door {
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
    faults: Faults,
    /// One permit for each connection that may be accepted before its request.
    places: Arc<Semaphore>,
    /// Maximum duration of the TLS handshake.
    patience: Duration,
    refused: Refused,
    accepted: mpsc::Sender<Accepted>,
}

impl Keeper {
    async fn keep(self, mut listener: Option<TcpListener>) -> Result<()> {
        loop {
            while let Some(closing) = self.faults.next_closing() {
                drop(listener.take());
                self.closed(closing).await?;
            }
            let open = match listener.take() {
                Some(open) => open,
                None => bind(self.address)?.listen(BACKLOG)?,
            };
            match TcpListener::accept(listener.insert(open)).await {
                Ok((tcp, from)) => self.accepted(tcp, from),
                Err(error) => match error.kind() {
                    // An error of the connection, not of the port.
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                    _ => {
                        tracing::error!(%error, "cannot accept a connection; trying again");
                        sleep(Duration::from_secs(1)).await;
                    }
                },
            }
        }
    }

    /// Applies a fault that closes the port.
    async fn closed(&self, closing: Kind) -> Result<()> {
        tracing::info!(fault = %closing, "a fault on purpose");
        match closing {
            Kind::BlackHole(time) => {
                // One connection fills a backlog of 0, and the kernel then drops the
                // packets of others.
                let _deaf = bind(self.address)?.listen(0)?;
                let _fills = timeout(time, TcpStream::connect(self.address)).await;
                sleep(time).await;
            }
            Kind::Refuse(time) => sleep(time).await,
            _ => {}
        }
        Ok(())
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
        let line = Arc::new(Line::new(self.faults.accepted(), from.ip()));
        let wire = Wire::new(tcp, Arc::clone(&line));
        let refused = self.refused.clone();
        let (tls, accepted, patience) = (self.tls.clone(), self.accepted.clone(), self.patience);
        let span = line.span().clone();
        // A slow handshake delays no other client.
        let opening = async move {
            if let Some(time) = line.late(When::Accept) {
                sleep(time).await;
            }
            let longest = match line.fate() {
                Fate::Frozen => Duration::MAX,
                _ => patience,
            };
            let carrier: Carrier = match tls {
                None => Box::new(wire),
                Some(tls) => match timeout(longest, tls.accept(wire)).await {
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
            // Fails if the server was stopped meanwhile.
            let stream = Stream::new(carrier, line);
            let _ = accepted.send(Accepted { stream, place }).await;
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
