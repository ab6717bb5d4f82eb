// SPDX-License-Identifier: MPL-2.0

//! The socket of a subscriber: the Subscribe API.
//!
//! There is no session behind it. Nothing is sent but pings. The owner decides when to
//! ping, to give up and to dial again, and from where on it wants the messages then.
//!
//! Sources: Symbl Subscribe API reference. A subscriber sends nothing, and gets what
//! all participants of the connection get.

use super::connect;
use super::endpoint::{Endpoint, TokenSource};
use super::files::read_token;
use super::link::{Link, Step};
use crate::session::Failure;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// An open socket. Dropping it ends the connection.
pub struct Listener {
    link: Option<Link>,
}

/// What comes over a [`Listener`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A text message. If it contained the token, the token is removed.
    Text(String),
    /// Anything else, which shows that the service is alive.
    Life,
    /// The end of the connection. The service closed in order if the failure has the
    /// close code 1000.
    End(Failure),
}

impl Listener {
    /// Dials `endpoint`, whose `streaming_path` is that of the Subscribe API. Has no
    /// deadline; dropping the future cancels the dial.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect::connect`].
    pub async fn open(endpoint: &Endpoint) -> Result<Self, Failure> {
        Self::open_after(endpoint, None).await
    }

    /// Dials as [`Listener::open`] does. A service of our own sends first what came after
    /// the final with the sequence number `after`; -1 asks for everything. Other services
    /// ignore it.
    ///
    /// # Errors
    ///
    /// As [`Listener::open`].
    pub async fn open_after(endpoint: &Endpoint, after: Option<i64>) -> Result<Self, Failure> {
        let token = read_token(&endpoint.token).await?;
        let shown = token.clone().map_or(TokenSource::None, TokenSource::Value);
        let endpoint = Endpoint {
            token: shown,
            ..endpoint.clone()
        };
        let socket = connect::connect_after(&endpoint, after).await?;
        Ok(Self {
            link: Some(Link::new(socket, token)),
        })
    }

    /// Waits for the next message or the end. Cancel-safe. Nothing comes after
    /// [`Received::End`].
    pub async fn next(&mut self) -> Received {
        loop {
            match Link::step(&mut self.link).await {
                Step::Flushed | Step::Message(Message::Frame(_) | Message::Close(_)) => {}
                Step::Message(Message::Text(text)) => {
                    let token = self.link.as_ref().and_then(|link| link.token.as_ref());
                    let harmless = token.and_then(|token| token.cut_out_of(&text));
                    return Received::Text(harmless.unwrap_or_else(|| text.to_string()));
                }
                Step::Message(_) => return Received::Life,
                Step::Ended(failure) => {
                    self.link = None;
                    return Received::End(failure);
                }
            }
        }
    }

    /// Sends a ping. It leaves while [`Listener::next`] is awaited, which also
    /// reports an error if it cannot.
    pub fn ping(&mut self) {
        if let Some(link) = &mut self.link {
            link.send(Message::Ping(Bytes::new()));
        }
    }

    /// Sends a close frame and waits for the answer. Has no deadline.
    pub async fn close(mut self) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        if link.flush().await.is_ok() {
            link.send(Message::Close(Some(frame)));
            let mut link = Some(link);
            while !matches!(Link::step(&mut link).await, Step::Ended(_)) {}
        }
    }
}
