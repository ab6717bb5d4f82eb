// SPDX-License-Identifier: MPL-2.0

//! An open WebSocket: one frame on its way out, everything that comes in, and
//! what its errors mean.

use super::connect::{Socket, redacted};
use super::secret::Secret;
use crate::session::{Failure, Reason};
use futures_util::{Sink, Stream};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

/// An open socket. One frame at a time is on its way out; meanwhile it reads.
pub(super) struct Link {
    pub(super) socket: Socket,
    /// A frame has not left completely.
    pub(super) flushing: bool,
    /// The service sent a close frame.
    pub(super) closed: Option<Failure>,
    /// What the service was told and must not tell anybody.
    pub(super) token: Option<Secret>,
}

/// What happened on a socket.
pub(super) enum Step {
    Flushed,
    Message(Message),
    Ended(Failure),
}

impl Link {
    pub(super) fn new(socket: Socket, token: Option<Secret>) -> Self {
        Self {
            socket,
            flushing: false,
            closed: None,
            token,
        }
    }

    /// Drops the socket with what the system holds of it. It would go on for
    /// minutes to bring that home, and a service that can be reached again would
    /// hear audio on the old socket which it is given anew on the next.
    pub(super) fn reset(self) {
        // Fails for a socket that is broken already.
        let _ = self.socket.get_ref().tcp().set_zero_linger();
    }

    /// The service sent a close frame. Reading on answers it; the stream ends
    /// when that is done.
    pub(super) fn closing(&mut self, frame: Option<&CloseFrame>) {
        self.closed = Some(match frame {
            Some(frame) => {
                let reason = redacted(frame.reason.to_string(), self.token.as_ref());
                Failure::closed(frame.code.into(), reason)
            }
            None => closed_without_a_word(),
        });
    }

    pub(super) fn send(&mut self, message: Message) -> Result<(), Failure> {
        self.flushing = true;
        let sent = Pin::new(&mut self.socket).start_send(message);
        sent.map_err(|error| self.ended(write_failure(&error)))
    }

    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if self.flushing {
            let flushed = poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await;
            flushed.map_err(|error| self.ended(write_failure(&error)))?;
            self.flushing = false;
        }
        Ok(())
    }

    /// Why the socket ended: a close frame says more than the `error` after it.
    fn ended(&mut self, error: Failure) -> Failure {
        self.closed.take().unwrap_or(error)
    }

    /// The next thing that happens on the socket. Cancel-safe.
    pub(super) async fn step(link: &mut Option<Self>) -> Step {
        let Some(link) = link else {
            return std::future::pending().await;
        };
        poll_fn(|cx| {
            if link.flushing
                && let Poll::Ready(flushed) = Pin::new(&mut link.socket).poll_flush(cx)
            {
                link.flushing = false;
                return Poll::Ready(match flushed {
                    Ok(()) => Step::Flushed,
                    Err(error) => Step::Ended(link.ended(write_failure(&error))),
                });
            }
            Pin::new(&mut link.socket)
                .poll_next(cx)
                .map(|next| match next {
                    Some(Ok(message)) => Step::Message(message),
                    Some(Err(error)) => Step::Ended(link.ended(read_failure(&error))),
                    None => Step::Ended(link.ended(closed_without_a_word())),
                })
        })
        .await
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
    use super::Link;
    use crate::transport::connect::Stream;
    use std::io::ErrorKind;
    use std::net::Ipv4Addr;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    #[tokio::test]
    async fn a_link_that_is_given_up_is_reset_and_not_closed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream: Box<dyn Stream> = Box::new(TcpStream::connect(address).await.unwrap());
        let (mut service, _) = listener.accept().await.unwrap();
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        Link::new(socket, None).reset();
        let error = service.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
