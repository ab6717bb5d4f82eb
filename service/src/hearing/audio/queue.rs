// SPDX-License-Identifier: MPL-2.0

//! The bounded way from a socket task to its stream's thread.

use super::{Listener, StreamError};
use crate::hearing::parked;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use symbl_protocol::StreamFormat;
use tokio::sync::mpsc;

/// What a socket passes on, in the order in which it came.
#[derive(Debug)]
pub enum Input {
    /// One binary message.
    Audio(Bytes),
    /// All audio that follows is in this format.
    Format(StreamFormat),
    /// No more audio.
    Stop,
}

/// How the audio of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// On request: what was heard is still owed.
    Stopped,
    /// The socket was lost: what is not yet final will be sent again.
    Abandoned,
}

/// The stream's side of the channel.
///
/// Gives the chunks of one format until the format changes or the audio ends;
/// [`Queue::end`] tells which of the two it was.
#[derive(Debug)]
pub struct Queue {
    input: mpsc::Receiver<Input>,
    abandoned: Arc<AtomicBool>,
    format: StreamFormat,
    end: Option<End>,
    /// What the listener said while it waited.
    failure: Option<StreamError>,
}

impl Queue {
    /// A queue whose first audio is in `format`. Once `abandoned` is true, or
    /// the sender is gone without a stop, nothing more comes out.
    pub fn new(
        input: mpsc::Receiver<Input>,
        abandoned: Arc<AtomicBool>,
        format: StreamFormat,
    ) -> Self {
        Self {
            input,
            abandoned,
            format,
            end: None,
            failure: None,
        }
    }

    /// The format of the chunks to come.
    pub fn format(&self) -> StreamFormat {
        self.format
    }

    /// How the audio ended, once it did.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Why the listener cannot go on, if that is what ended the audio.
    pub fn take_failure(&mut self) -> Option<StreamError> {
        self.failure.take()
    }

    /// Returns the next chunk of the current format, or `None` when the format changed or
    /// the audio ended. Waits for it, and calls the listener's [`Listener::idle`] whenever
    /// the thread is woken meanwhile.
    pub fn chunk(&mut self, listener: &mut dyn Listener) -> Option<Bytes> {
        if self.end.is_some() {
            return None;
        }
        let waker = parked::waker();
        listener.wake_with(&waker);
        let mut context = Context::from_waker(&waker);
        let input = loop {
            if listener.is_ready()
                && let Poll::Ready(input) = self.input.poll_recv(&mut context)
            {
                break input;
            }
            parked::until(listener.idle_by());
            if let Err(error) = listener.idle() {
                self.failure = Some(error);
                self.end = Some(End::Abandoned);
                return None;
            }
        };
        if self.abandoned.load(Ordering::Acquire) {
            self.end = Some(End::Abandoned);
            return None;
        }
        match input {
            Some(Input::Audio(bytes)) => Some(bytes),
            Some(Input::Format(format)) => {
                self.format = format;
                None
            }
            Some(Input::Stop) => {
                self.end = Some(End::Stopped);
                None
            }
            None => {
                self.end = Some(End::Abandoned);
                None
            }
        }
    }
}
