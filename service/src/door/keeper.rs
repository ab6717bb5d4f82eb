// SPDX-License-Identifier: MPL-2.0

//! Accepts the connections of one socket, and does the TLS handshake.

use crate::door::listener::{Accepted, Peer, Welcome};
use crate::logging;
use crate::seams::{AnyStream, Plain, Stage};
use futures_util::future::BoxFuture;
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

/// Maximum number of connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Answer to a connection above the limit. It is written before the request is read.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Length: 71\r\n\r\n\
    {\"message\":\"Too many connections are being opened; try again later.\"}\r\n";

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

/// Accepts the connections of one socket.
#[derive(Clone)]
pub(super) struct Keeper {
    pub(super) welcome: Welcome,
    pub(super) accepted: mpsc::Sender<Accepted>,
}

impl Keeper {
    /// Binds an address and starts to accept there. Returns the address and the task.
    pub(super) fn at(self, address: SocketAddr) -> Result<(SocketAddr, JoinHandle<()>)> {
        let seams = &self.welcome.seams;
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
        let task = tokio::spawn(async move {
            if let Err(error) = self.keep(address, listener, closed).await {
                tracing::error!(%error, "no longer accepting connections");
            }
            drop(place);
        });
        Ok((address, task))
    }

    /// Accepts connections, at first when `closed` is over.
    async fn keep(
        self,
        address: SocketAddr,
        mut listener: Option<TcpListener>,
        mut closed: Option<BoxFuture<'static, Result<()>>>,
    ) -> Result<()> {
        loop {
            while let Some(closed) = closed
                .take()
                .or_else(|| self.welcome.seams.closes(address, bind))
            {
                drop(listener.take());
                closed.await?;
            }
            let open = match listener.take() {
                Some(open) => open,
                None => bind(address)?.listen(BACKLOG)?,
            };
            self.take_tcp(listener.insert(open)).await;
        }
    }

    /// Accepts connections of a socket that stays open.
    pub(super) async fn accept_tcp(self, listener: &TcpListener) {
        loop {
            self.take_tcp(listener).await;
        }
    }

    async fn take_tcp(&self, listener: &TcpListener) {
        match listener.accept().await {
            Ok((tcp, from)) => self.tcp(tcp, from),
            Err(error) => pause(error).await,
        }
    }

    /// Accepts connections of a socket in the file system. They come from this machine.
    pub(super) async fn accept_unix(self, listener: &UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.unix(stream),
                Err(error) => pause(error).await,
            }
        }
    }

    /// Reserves a place for a connection. Returns `None` if there are too many.
    fn place(&self, from: IpAddr) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.welcome.places).try_acquire_owned().ok();
        if place.is_none() {
            logging::span(from).in_scope(|| {
                tracing::info!("refused: too many connections are being opened");
            });
            self.welcome.refused.count("busy");
        }
        place
    }

    fn unix(&self, stream: UnixStream) {
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let Some(place) = self.place(address) else {
            let mut unread = [0; 4096];
            let _ = stream.try_read(&mut unread);
            let _ = stream.try_write(BUSY);
            return;
        };
        let peer = Peer {
            address,
            span: logging::span(address),
            seams: Arc::new(Plain),
        };
        let accepted = self.accepted.clone();
        let stream: AnyStream = Box::new(stream);
        tokio::spawn(async move {
            let connection = Accepted {
                stream,
                peer,
                place,
            };
            // Fails if the server was stopped meanwhile.
            let _ = accepted.send(connection).await;
        });
    }

    fn tcp(&self, tcp: TcpStream, from: SocketAddr) {
        let Some(place) = self.place(from.ip()) else {
            if self.welcome.tls.is_none() {
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
            seams: self.welcome.seams.accepted(),
        };
        let opened = Arc::clone(&peer.seams).opened(tcp);
        let Welcome {
            tls,
            patience,
            refused,
            ..
        } = self.welcome.clone();
        let accepted = self.accepted.clone();
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

/// Waits after a failed accept, unless it is an error of the connection and not of the port.
async fn pause(error: Error) {
    match error.kind() {
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
        _ => {
            tracing::error!(%error, "cannot accept a connection; trying again");
            sleep(Duration::from_secs(1)).await;
        }
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
