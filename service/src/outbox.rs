// SPDX-License-Identifier: MPL-2.0

//! What waits to be written to one socket.
//!
//! Many sources put messages in (its session, its stream, the other
//! sockets of the conversation); one task writes them, in order. Putting never
//! waits: a client that does not read its messages must not hold up the others,
//! so its queue overflows and its socket is closed.

pub(crate) use axum::extract::ws::Utf8Bytes as Text;
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;

/// One thing to write.
#[derive(Debug)]
pub(crate) enum Frame {
    /// A text message; one copy for all sockets that it goes to.
    Text(Text),
    /// A binary message; no service sends one but by a fault.
    #[cfg_attr(not(feature = "fault"), expect(dead_code))]
    Binary(Bytes),
    /// The last frame.
    Close {
        /// RFC 6455 status code; 1005: none.
        code: u16,
        /// Shown to the client.
        reason: &'static str,
    },
}

/// What [`Outbox::room`] returns.
pub(crate) type Room = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Slots that a stream wants to see free before it goes on.
const HEADROOM: usize = 16;

/// The sources' end.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    frames: mpsc::Sender<Frame>,
    overflow: Arc<watch::Sender<bool>>,
}

impl Outbox {
    /// An outbox and the end that is written from.
    pub(crate) fn new(capacity: usize) -> (Self, mpsc::Receiver<Frame>) {
        let (frames, receiver) = mpsc::channel(capacity.max(2 * HEADROOM));
        let overflow = Arc::new(watch::Sender::new(false));
        (Self { frames, overflow }, receiver)
    }

    /// Puts a message in when there is room for it; returns `false` if the socket is gone.
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

    /// Puts anything in.
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

    /// Returns a future that is done when the client has read enough to go on, or its
    /// socket is gone; nothing if it has by now.
    pub(crate) fn room(&self) -> Option<Room> {
        (self.frames.capacity() < HEADROOM).then(|| {
            let frames = self.frames.clone();
            let room = async move {
                // Taken only to be given back: others may put messages in.
                drop(frames.reserve_many(HEADROOM).await);
            };
            Box::pin(room) as Room
        })
    }
}
