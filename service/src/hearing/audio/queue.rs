// SPDX-License-Identifier: MPL-2.0

//! The bounded way from a socket task to its stream.

use super::{AudioError, Decoded, Decoder};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;
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

/// What [`Queue::poll_next`] took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Something that came then.
    Input(Instant),
    /// There will be nothing more.
    End(End),
}

/// The stream's side of the channel, with the decoder.
pub struct Queue {
    input: mpsc::Receiver<(Instant, Input)>,
    abandoned: Arc<AtomicBool>,
    format: StreamFormat,
    /// Made when there is something to decode.
    decoder: Option<Decoder>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format = &self.format;
        f.debug_struct("Queue")
            .field("format", format)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// Returns a queue whose first audio is in `format`. Once `abandoned` is true, or
    /// the sender is gone without a stop, nothing more comes out.
    pub fn new(
        input: mpsc::Receiver<(Instant, Input)>,
        abandoned: Arc<AtomicBool>,
        format: StreamFormat,
    ) -> Self {
        Self {
            input,
            abandoned,
            format,
            decoder: None,
        }
    }

    /// Returns `true` once nothing more is wanted.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Returns `true` if nothing waits to be taken out.
    pub fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// Takes the next input out, and appends what it decodes to. `Pending` if nothing has
    /// come; the context is woken when something does.
    ///
    /// # Errors
    ///
    /// The audio cannot be decoded any further. What was decoded before is in `out`.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        out: &mut Decoded,
    ) -> Poll<Result<Taken, AudioError>> {
        if self.is_abandoned() {
            return Poll::Ready(Ok(Taken::End(End::Abandoned)));
        }
        match self.input.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Ok(Taken::End(End::Abandoned))),
            Poll::Ready(Some((at, input))) => Poll::Ready(self.take(at, input, out)),
        }
    }

    fn take(&mut self, at: Instant, input: Input, out: &mut Decoded) -> Result<Taken, AudioError> {
        match input {
            Input::Audio(bytes) => {
                let decoder = match &mut self.decoder {
                    Some(decoder) => decoder,
                    none => none.insert(Decoder::new(self.format)?),
                };
                decoder.push(&bytes, out)?;
            }
            Input::Format(format) => {
                self.format = format;
                self.finish(out)?;
            }
            Input::Stop => {
                self.finish(out)?;
                return Ok(Taken::End(End::Stopped));
            }
        }
        Ok(Taken::Input(at))
    }

    fn finish(&mut self, out: &mut Decoded) -> Result<(), AudioError> {
        match self.decoder.take() {
            Some(mut decoder) => decoder.finish(out),
            None => Ok(()),
        }
    }
}
