// SPDX-License-Identifier: MPL-2.0

//! The outbox of one socket: the messages that wait to be written to it.
//!
//! Several sources put messages in: the socket itself, its stream and the other sockets of
//! the conversation. One task writes them, in order. A source never waits, because a client
//! that does not read its messages must not delay the others. Instead, its queue overflows
//! and its socket is closed.

pub(crate) use axum::extract::ws::Utf8Bytes as Text;
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;

/// A frame to write.
#[derive(Debug)]
pub(crate) enum Frame {
    /// A text message; one copy for all sockets that it goes to.
    Text(Text),
    /// A binary message. Only a fault sends one.
    #[cfg_attr(not(feature = "fault"), expect(dead_code))]
    Binary(Bytes),
    /// The last frame.
    Close {
        /// The status code (RFC 6455). 1005 stands for none.
        code: u16,
        /// The reason, which the client gets.
        reason: &'static str,
    },
}

/// What [`Outbox::room`] returns.
pub(crate) type Room = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Number of free slots that a stream waits for.
const HEADROOM: usize = 16;

/// The sources' end of the queue.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    frames: mpsc::Sender<Frame>,
    overflow: Arc<watch::Sender<bool>>,
}

impl Outbox {
    /// Returns an outbox and the receiver of its frames.
    pub(crate) fn new(capacity: usize) -> (Self, mpsc::Receiver<Frame>) {
        let (frames, receiver) = mpsc::channel(capacity.max(2 * HEADROOM));
        let overflow = Arc::new(watch::Sender::new(false));
        (Self { frames, overflow }, receiver)
    }

    /// Waits for room and puts a message in. Returns `false` if the socket is gone.
    pub(crate) async fn send_in_turn(&self, text: impl Into<Text>) -> bool {
        self.frames.send(Frame::Text(text.into())).await.is_ok()
    }

    /// Puts a message in.
    pub(crate) fn send(&self, text: impl Into<Text>) {
        self.put(Frame::Text(text.into()));
    }

    /// Puts the last frame in.
    pub(crate) fn close(&self, code: u16, reason: &'static str) {
        self.put(Frame::Close { code, reason });
    }

    /// Puts a frame in.
    pub(crate) fn put(&self, frame: Frame) {
        if let Err(TrySendError::Full(_)) = self.frames.try_send(frame) {
            self.overflow.send_replace(true);
        }
    }

    /// Waits until messages were lost because the client reads none.
    pub(crate) async fn overflown(&self) {
        // The sender is held by `self`: the wait cannot fail.
        let _ = self.overflow.subscribe().wait_for(|over| *over).await;
    }

    /// Returns a future that is done when the client has read enough messages or its socket
    /// is gone. Returns `None` if there is enough room now.
    pub(crate) fn room(&self) -> Option<Room> {
        (self.frames.capacity() < HEADROOM).then(|| {
            let frames = self.frames.clone();
            let room = async move {
                // The slots are given back at once: other sources may use them.
                drop(frames.reserve_many(HEADROOM).await);
            };
            Box::pin(room) as Room
        })
    }
}
