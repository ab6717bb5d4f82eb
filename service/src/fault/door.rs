// SPDX-License-Identifier: MPL-2.0

//! The listening socket: accepts, does the TLS handshake, and closes the port
//! where a fault says so.

use super::line::{Fate, Line};
use super::wire::{Carrier, Stream, Wire};
use super::{Faults, Kind, When};
use axum::serve::Listener;
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where connections come in.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    accepted: mpsc::Receiver<(Stream, SocketAddr)>,
    accepting: JoinHandle<()>,
}

impl Door {
    /// Listens.
    pub(crate) fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        faults: Faults,
    ) -> Result<Self> {
        // While the port is closed nobody else is to get it.
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
        // A script may begin with a port that is closed.
        let listener = Some(listener).filter(|_| !faults.next_closes());
        let (accepted, waiting) = mpsc::channel(1);
        let keeper = Keeper {
            address,
            tls: tls.map(TlsAcceptor::from),
            faults,
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

impl Listener for Door {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // It was logged why. The server still ends in due form.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.address)
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
    // As any server: connections that ended a moment ago do not hold the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

struct Keeper {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    faults: Faults,
    accepted: mpsc::Sender<(Stream, SocketAddr)>,
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
                    // Of the connection, not of the port.
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                    _ => {
                        tracing::error!(%error, "cannot accept a connection; trying again");
                        sleep(Duration::from_secs(1)).await;
                    }
                },
            }
        }
    }

    /// The port is closed in this way.
    async fn closed(&self, closing: Kind) -> Result<()> {
        tracing::info!(fault = %closing, "a fault on purpose");
        match closing {
            Kind::BlackHole(time) => {
                // One connection fills a backlog of 0; the kernel drops who knocks then.
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
        // Captions are small and late enough.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let line = Arc::new(Line::new(self.faults.accepted()));
        let wire = Wire::new(tcp, Arc::clone(&line));
        let (tls, accepted) = (self.tls.clone(), self.accepted.clone());
        // A client that takes its time over the handshake holds up nobody else.
        tokio::spawn(async move {
            if let Some(time) = line.late(When::Accept) {
                sleep(time).await;
            }
            let longest = match line.fate() {
                Fate::Frozen => Duration::MAX,
                _ => HANDSHAKE,
            };
            let carrier: Carrier = match tls {
                None => Box::new(wire),
                Some(tls) => match timeout(longest, tls.accept(wire)).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    Ok(Err(error)) => {
                        tracing::info!(%error, %from, "no TLS");
                        return;
                    }
                    Err(_) => {
                        tracing::info!(%from, "the TLS handshake takes too long");
                        return;
                    }
                },
            };
            // The server may have stopped meanwhile.
            let _ = accepted.send((Stream::new(carrier, line), from)).await;
        });
    }
}
