// SPDX-License-Identifier: MPL-2.0

//! The seams of a server and its connections: the places at which the door asks if it has
//! to do something unusual.
//!
//! The methods of both traits answer "as usual" by default, and [`Plain`] keeps all of these
//! answers. They allocate nothing and take no lock for a message. With the feature `fault`,
//! `fault` answers for the connections that have a fault. Only the configuration names that
//! module, so the service is the same without it.

use crate::outbox::{Frame, Outbox};
use axum::extract::ws::Message;
use axum::response::Response;
use futures_util::future::BoxFuture;
use std::fmt::Debug;
use std::future::{pending, ready};
use std::io::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// The seams of the listening socket.
pub(crate) trait ServerSeams: Debug + Send + Sync {
    /// Returns `true` if [`ServerSeams::closes`] may ever close the port. Then the listener
    /// keeps another program from taking it meanwhile.
    fn may_close(&self) -> bool {
        false
    }

    /// Returns what is done while the port is closed, if it is closed before the next
    /// connection. `bind` makes a socket for an address.
    fn closes(
        &self,
        _address: SocketAddr,
        _bind: fn(SocketAddr) -> Result<TcpSocket>,
    ) -> Option<BoxFuture<'static, Result<()>>> {
        None
    }

    /// Returns the seams of a connection that was just accepted.
    fn accepted(&self) -> Arc<dyn ConnectionSeams> {
        Arc::new(Plain)
    }
}

/// The seams of one connection, in the order in which the door comes to them.
pub(crate) trait ConnectionSeams: Debug + Send + Sync {
    /// Returns what carries the bytes of the connection below TLS. May wait first.
    fn opened(self: Arc<Self>, tcp: TcpStream) -> BoxFuture<'static, AnyStream> {
        Box::pin(ready(Box::new(tcp) as AnyStream))
    }

    /// Returns what carries the bytes of the connection above TLS.
    fn secured(self: Arc<Self>, stream: AnyStream) -> AnyStream {
        stream
    }

    /// Returns how long the client may take for this stage; `None` means without a limit.
    fn limit(&self, _stage: Stage, usual: Duration) -> Option<Duration> {
        Some(usual)
    }

    /// Returns the response in place of the upgrade, if there is one. May wait first.
    fn before_upgrade(&self) -> BoxFuture<'_, Option<Response>> {
        Box::pin(ready(None))
    }

    /// Changes the upgrade's response.
    fn upgraded(&self, _response: &mut Response) {}

    /// Returns `true` if the connection begins a conversation of its own.
    fn splits(&self) -> bool {
        false
    }

    /// Receives each message of the client. Returns `false` if the session must not see it.
    fn read(&self, _message: &Message, _outbox: &Outbox) -> bool {
        true
    }

    /// Returns the frames to write, given those of the outbox.
    fn writing(self: Arc<Self>, frames: mpsc::Receiver<Frame>) -> mpsc::Receiver<Frame> {
        frames
    }

    /// Receives each text message after it was written.
    fn wrote(&self, _text: &str, _outbox: &Outbox) {}

    /// Waits until the socket is to be closed, and returns the close code.
    fn closes(&self) -> BoxFuture<'_, u16> {
        Box::pin(pending())
    }
}

/// What a client may take a limited time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The TLS handshake.
    Handshake,
    /// A request, its head and its body.
    Request,
    /// The answer to a close frame.
    Farewell,
}

/// The bytes of a connection, with or without TLS.
pub(crate) type AnyStream = Box<dyn Carries>;

/// Carries the bytes of a connection.
pub(crate) trait Carries: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carries for T {}

/// Does the usual at every seam.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl ServerSeams for Plain {}

impl ConnectionSeams for Plain {}
