// SPDX-License-Identifier: MPL-2.0

//! An open WebSocket: sends frames, receives messages, and turns errors into
//! failures.
//!
//! Frames that are ready together leave in one write. The socket is read only when
//! there is something to read, so a wake-up for audio does not cost a read.

use super::connect::{Socket, redacted};
use super::secret::Secret;
use crate::session::{Failure, Output, Reason};
use futures_util::{Sink, Stream};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

/// Number of unsent bytes above which no more frames are accepted. The session counts
/// what is held here as sent, so the limit is small: one message of the largest size
/// and some of the usual one.
const BATCH: usize = 16 << 10;

/// An open socket. It keeps reading while frames are on their way out.
pub(super) struct Link {
    pub(super) socket: Socket,
    /// Bytes of frames that have not been sent completely.
    unsent: usize,
    /// `true` while the system takes no more bytes.
    blocked: bool,
    /// `true` if a frame was refused because of unsent ones.
    held_up: bool,
    /// `true` if the socket's own read buffer is empty.
    drained: bool,
    /// The error of a write, after which nothing can be sent.
    broken: Option<Failure>,
    /// The close frame of the service, as a failure.
    closed: Option<Failure>,
    /// The token that the socket was opened with. It is removed from everything the
    /// service says.
    pub(super) token: Option<Secret>,
}

/// What happened on a socket.
pub(super) enum Step {
    /// The socket accepts frames again.
    Flushed,
    Message(Message),
    Ended(Failure),
}

impl Link {
    pub(super) fn new(socket: Socket, token: Option<Secret>) -> Self {
        Self {
            socket,
            unsent: 0,
            blocked: false,
            held_up: false,
            drained: false,
            broken: None,
            closed: None,
            token,
        }
    }

    /// Drops the socket and the bytes that the system still holds. Otherwise the
    /// system would go on sending them for minutes. A service that can be reached
    /// again would then get audio on the old socket that it also gets on the next
    /// one.
    pub(super) fn reset(self) {
        // Fails if the socket is broken already.
        let _ = self.socket.get_ref().tcp().set_zero_linger();
    }

    /// Notes a close frame of the service. Reading on answers it, and then the stream
    /// ends.
    fn closing(&mut self, frame: Option<&CloseFrame>) {
        self.closed = Some(match frame {
            Some(frame) => {
                let reason = redacted(frame.reason.to_string(), self.token.as_ref());
                Failure::closed(frame.code.into(), reason)
            }
            None => closed_without_a_word(),
        });
    }

    /// Returns `true` if it accepts another frame now. If not, [`Step::Flushed`]
    /// reports when it does, or [`Step::Ended`] that it never will.
    pub(super) fn is_writable(&mut self) -> bool {
        self.held_up = self.blocked || self.unsent >= BATCH;
        !self.held_up && self.broken.is_none()
    }

    /// Starts to send a frame. If that fails, the next flush or step reports the end
    /// of the socket.
    pub(super) fn send(&mut self, message: Message) {
        if self.broken.is_some() {
            return;
        }
        self.unsent += message.len().max(1);
        if let Err(error) = Pin::new(&mut self.socket).start_send(message) {
            self.broken = Some(self.ended(write_failure(&error)));
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Writes what the system takes at once. Returns `true` if that was everything;
    /// if not, the caller has to go on with [`Link::step`].
    pub(super) fn try_flush(&mut self) -> bool {
        let flushed = self.poll_flush(&mut Context::from_waker(Waker::noop()));
        let all = matches!(flushed, Poll::Ready(Ok(())));
        if all {
            self.held_up = false;
        }
        all
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let Some(failure) = &self.broken {
            return Poll::Ready(Err(failure.clone()));
        }
        if self.unsent == 0 {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.blocked = flushed.is_pending();
        flushed.map(|flushed| {
            self.unsent = 0;
            flushed.map_err(|error| {
                let failure = self.ended(write_failure(&error));
                self.broken = Some(failure.clone());
                failure
            })
        })
    }

    /// Returns why the socket ended. A close frame says more than the `error` after
    /// it.
    fn ended(&mut self, error: Failure) -> Failure {
        self.closed.take().unwrap_or(error)
    }

    /// Waits for the next event on the socket. Cancel-safe.
    pub(super) async fn step(link: &mut Option<Self>) -> Step {
        poll_fn(|cx| Self::poll_step(link, cx)).await
    }

    /// Polls for the next event on the socket.
    pub(super) fn poll_step(link: &mut Option<Self>, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(link) = link else {
            return Poll::Pending;
        };
        match link.poll_flush(cx) {
            Poll::Ready(Err(failure)) => return Poll::Ready(Step::Ended(failure)),
            Poll::Ready(Ok(())) if std::mem::take(&mut link.held_up) => {
                return Poll::Ready(Step::Flushed);
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        let tcp = link.socket.get_ref().tcp();
        if link.drained && tcp.poll_read_ready(cx).is_pending() {
            return Poll::Pending;
        }
        let next = Pin::new(&mut link.socket).poll_next(cx);
        link.drained = next.is_pending();
        next.map(|next| match next {
            Some(Ok(message)) => {
                match &message {
                    Message::Ping(_) => link.unsent += 1, // the pong
                    Message::Close(frame) => link.closing(frame.as_ref()),
                    _ => {}
                }
                Step::Message(message)
            }
            Some(Err(error)) => Step::Ended(link.ended(read_failure(&error))),
            None => Step::Ended(link.ended(closed_without_a_word())),
        })
    }
}

/// Returns the WebSocket message for an output, or the output itself if it is not a
/// frame.
pub(super) fn frame(output: Output) -> Result<Message, Output> {
    match output {
        Output::Text(text) => Ok(Message::text(text)),
        Output::Binary(data) => Ok(Message::Binary(data)),
        Output::Ping => Ok(Message::Ping(tungstenite::Bytes::new())),
        other => Err(other),
    }
}

fn closed_without_a_word() -> Failure {
    Failure::closed(1005, "")
}

fn read_failure(error: &tungstenite::Error) -> Failure {
    match error {
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )
        | tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed => Failure::closed(1006, ""),
        tungstenite::Error::Capacity(error) => Failure::retryable(
            Reason::Protocol,
            format!("the service sent a message that is too large to be a result: {error}"),
        ),
        tungstenite::Error::Protocol(error) => Failure::retryable(
            Reason::Protocol,
            format!("the service broke the WebSocket protocol: {error}"),
        ),
        tungstenite::Error::Utf8(_) => Failure::retryable(
            Reason::Protocol,
            "the service sent a text message that is not UTF-8",
        ),
        other => Failure {
            close_code: Some(1006),
            ..Failure::retryable(
                Reason::Read,
                format!("the connection to the service was lost: {other}"),
            )
        },
    }
}

fn write_failure(error: &tungstenite::Error) -> Failure {
    Failure {
        close_code: Some(1006),
        ..Failure::retryable(
            Reason::Write,
            format!("the service could not be written to: {error}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Link, Step};
    use crate::transport::connect::{ByteStream, Tcp};
    use futures_util::StreamExt;
    use std::io::ErrorKind;
    use std::net::Ipv4Addr;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    #[tokio::test]
    async fn an_abandoned_link_is_reset_and_not_closed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = Tcp::from(TcpStream::connect(address).await.unwrap());
        let stream: Box<dyn ByteStream> = Box::new(stream);
        let (mut service, _) = listener.accept().await.unwrap();
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        Link::new(socket, None).reset();
        let error = service.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn bytes_that_the_system_does_not_take_at_once_are_left_to_a_step() {
        const FRAME: usize = 8192;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = Tcp::from(TcpStream::connect(address).await.unwrap());
        let stream: Box<dyn ByteStream> = Box::new(stream);
        let (service, _) = listener.accept().await.unwrap();
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        let mut link = Some(Link::new(socket, None));
        let mut frames = 0;
        while let Some(link) = &mut link
            && link.is_writable()
        {
            link.send(Message::binary(vec![frames as u8; FRAME]));
            frames += 1;
            link.try_flush();
        }
        let all = tokio::spawn(async move {
            let mut socket = WebSocketStream::from_raw_socket(service, Role::Server, None).await;
            for number in 0..frames {
                let frame = socket.next().await.unwrap().unwrap();
                assert_eq!(frame, Message::binary(vec![number as u8; FRAME]));
            }
        });
        assert!(matches!(Link::step(&mut link).await, Step::Flushed));
        all.await.unwrap();
    }
}
