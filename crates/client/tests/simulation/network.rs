// SPDX-License-Identifier: MPL-2.0

//! One link between session and service, and the frames on it.

use crate::audio::Ms;
use crate::service::{Answer, Service};
use bytes::Bytes;
use std::collections::VecDeque;
use symbl_client::session::Time;

/// A frame on a link.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
pub enum Frame {
    Text(String),
    Binary(Bytes),
    Ping,
    Pong,
    /// A close frame with this code, after the frames before it.
    Closed(u16),
    /// The client learns that the link is broken.
    Broken,
}

/// One socket, from both sides.
pub struct Link {
    pub number: u64,
    pub service: Service,
    /// When the last frame of each direction arrives. Frames keep their order.
    pub up: Time,
    pub down: Time,
    /// When the service sends the last of the texts that it has decided to send.
    pub said: Time,
    /// When the service has processed the last frame that it received. Frames keep their order.
    pub heard: Time,
    /// When the service sends the last of its delayed texts. They keep their order.
    pub thought: Time,
    /// No frame reaches the service any more.
    pub deaf: bool,
    /// From then on no frame reaches the client.
    pub mute_from: Option<Time>,
    /// The service has sent its close frame and takes no frame any more.
    pub closing: bool,
    /// The service ignored a start or a stop, and ignores all texts that follow.
    pub ignoring: bool,
    /// The service ended its processing by itself and takes only pings.
    pub terminated: bool,
    /// The client will learn that the link is broken.
    pub breaking: bool,
    /// The start acknowledgement reached the client.
    pub acknowledged: bool,
    /// Where its socket is, if there are several nodes.
    pub seat: Seat,
}

/// The socket of a link on one of several nodes.
#[derive(Debug, Default)]
pub struct Seat {
    pub node: usize,
    /// The process of the node.
    pub process: u32,
    /// The shared log was asked, and has not answered yet.
    pub asking: bool,
    /// What is to be done after the answer.
    pub rest: VecDeque<(Ms, Answer)>,
    /// Frames that wait for the answer, or for a frozen node.
    pub backlog: VecDeque<Frame>,
    /// The service knows that the client is gone, and leaves after the answer.
    pub leaving: bool,
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
            seat: Seat::default(),
        }
    }

    /// Lets no frame reach the client from `at` on.
    pub fn mute(&mut self, at: Time) {
        self.mute_from = Some(self.mute_from.map_or(at, |from| from.min(at)));
    }

    /// Returns `true` if a frame that would arrive now does not reach the client.
    pub fn is_mute(&self, now: Time) -> bool {
        self.mute_from.is_some_and(|from| from <= now)
    }
}
