// SPDX-License-Identifier: MPL-2.0

//! From what a socket sends to what a recogniser hears: 16 kHz mono samples.
//!
//! A stream *pulls* its audio: the socket task puts chunks into a bounded
//! [`Queue`] and stops reading its socket while that is full; the stream's own
//! thread takes them out, blocking. Nothing here may run on a tokio worker, and
//! no bytes of a client may make it panic.
//!
//! Framing of the four encodings is that of the Symbl Streaming API reference:
//! LINEAR16 is little-endian without a header, MULAW is G.711, Opus is one raw
//! packet per message, FLAC is a native stream that starts with its marker.

mod flac;
mod opus;
mod pcm;
mod queue;
mod resample;

use crate::hearing::recognizer::RecognizerError;
use crate::store::StoreError;
use std::task::Waker;
use std::time::Instant;
use symbl_protocol::Encoding;

pub use queue::{End, Input, Queue};
pub use resample::Resampler;

/// Audio that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// An Ogg page where a raw Opus packet belongs.
    #[error(
        "audio message starts with `OggS`: Opus is taken as raw packets, one per message, \
         without a container; send the packets of the Ogg stream instead"
    )]
    Ogg,
    /// The FLAC stream is damaged or does not start with its header.
    #[error(
        "FLAC stream cannot be decoded: {reason}; a native FLAC stream is expected, \
         beginning with `fLaC` after every start and every format change"
    )]
    Flac {
        /// The decoder's complaint.
        reason: String,
    },
    /// The decoder itself could not be made.
    #[error("cannot decode {what}: {reason}")]
    Decoder {
        /// What was to be decoded.
        what: &'static str,
        /// The library's complaint.
        reason: String,
    },
}

/// Why a stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Its audio is at fault.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// Its recogniser is at fault.
    #[error(transparent)]
    Recognizer(#[from] RecognizerError),
    /// What was said could not be stored, so it is not told.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The service ends it: no word was heard for too long.
    #[error("nothing was said for {0} s")]
    Silence(u64),
}

/// Takes the decoded audio.
pub trait Listener {
    /// The next 16 kHz mono samples.
    ///
    /// # Errors
    ///
    /// The stream cannot go on.
    fn hear(&mut self, samples: &[i16]) -> Result<(), StreamError>;

    /// Gives what [`Listener::idle`] is asked for with.
    fn wake_with(&mut self, waker: &Waker) {
        let _ = waker;
    }

    /// Returns `true` if the listener takes audio now.
    fn is_ready(&self) -> bool {
        true
    }

    /// Returns when [`Listener::idle`] is due even if nobody asks for it.
    fn idle_by(&self) -> Option<Instant> {
        None
    }

    /// Does what there is to do without audio.
    ///
    /// # Errors
    ///
    /// The stream cannot go on.
    fn idle(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    /// Something was wrong with the audio, but the stream goes on.
    fn complain(&mut self, error: AudioError);
}

/// Decodes all audio of a stream, whatever formats it runs through.
///
/// # Errors
///
/// Audio that cannot be decoded any further, or what the listener says.
pub fn decode(queue: &mut Queue, listener: &mut dyn Listener) -> Result<End, StreamError> {
    loop {
        let format = queue.format();
        match format.encoding() {
            Encoding::Linear16 => pcm::linear16(queue, format.sample_rate(), listener)?,
            Encoding::Mulaw => pcm::mulaw(queue, format.sample_rate(), listener)?,
            Encoding::Opus => opus::packets(queue, listener)?,
            Encoding::Flac => flac::stream(queue, format.sample_rate(), listener)?,
        }
        if let Some(error) = queue.take_failure() {
            return Err(error);
        }
        if let Some(end) = queue.end() {
            return Ok(end);
        }
    }
}

#[cfg(test)]
mod tests;
