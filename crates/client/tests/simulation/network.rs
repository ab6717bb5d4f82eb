// SPDX-License-Identifier: MPL-2.0

//! One link between session and service: what is under way on it, and what
//! becomes of that.

use crate::service::Service;
use bytes::Bytes;
use symbl_client::session::Time;

/// What travels.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
pub enum Frame {
    Text(String),
    Binary(Bytes),
    Ping,
    Pong,
    /// A close frame, in its turn.
    Closed(u16),
    /// The client learns that the link is no more.
    Broken,
}

/// One socket, from both sides.
pub struct Link {
    pub number: u64,
    pub service: Service,
    /// When the last frame of each direction arrives: frames keep their order.
    pub up: Time,
    pub down: Time,
    /// When the service says the last of what it has to say so far.
    pub said: Time,
    /// The same of what it heard, which keeps its order.
    pub heard: Time,
    /// The same of what it thinks of that.
    pub thought: Time,
    /// Nothing gets to the service any more.
    pub deaf: bool,
    /// Nothing gets to us any more from then on.
    pub mute_from: Option<Time>,
    /// The service has sent its close frame and hears nothing any more.
    pub closing: bool,
    /// The service ignored a start or a stop, and ignores what follows.
    pub ignoring: bool,
    /// The service ended its processing by itself: it hears nothing but pings.
    pub terminated: bool,
    /// The client will be told that the link is broken.
    pub breaking: bool,
    /// The start acknowledgement reached the client.
    pub acknowledged: bool,
}

impl Link {
    pub fn new(number: u64, service: Service, now: Time) -> Self {
        Self {
            number,
            service,
            up: now,
            down: now,
            said: now,
            heard: now,
            thought: now,
            deaf: false,
            mute_from: None,
            closing: false,
            ignoring: false,
            terminated: false,
            breaking: false,
            acknowledged: false,
        }
    }

    /// Nothing gets to us any more from `at` on.
    pub fn mute(&mut self, at: Time) {
        self.mute_from = Some(self.mute_from.map_or(at, |from| from.min(at)));
    }

    /// Whether what arrives now arrives.
    pub fn is_mute(&self, now: Time) -> bool {
        self.mute_from.is_some_and(|from| from <= now)
    }
}
