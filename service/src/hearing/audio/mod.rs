// SPDX-License-Identifier: MPL-2.0

//! From what a socket sends to what a recogniser hears: 16 kHz mono samples.
//!
//! The socket task puts messages into a bounded [`Queue`] and stops reading its socket
//! while that is full; the stream takes them out in its turns, decoded. Nothing here waits,
//! nothing may run on a tokio worker, and no bytes of a client may make it panic.
//!
//! Framing of the four encodings is that of the Symbl Streaming API reference:
//! LINEAR16 is little-endian without a header, MULAW is G.711, Opus is one raw
//! packet per message, FLAC is a native stream that starts with its marker.

mod flac;
mod opus;
mod pcm;
mod queue;
mod resample;

use crate::conversation::log::LogError;
use crate::hearing::recognizer::RecognizerError;
use symbl_protocol::{Encoding, StreamFormat};

pub use queue::{End, Input, Queue, Taken};
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
    Log(#[from] LogError),
    /// Its client has begun it again.
    #[error("this stream goes on with another start_request")]
    Superseded,
    /// It came too late.
    #[error("the conversation is over")]
    Over,
    /// The service ends it: no word was heard for too long.
    #[error("nothing was said for {0} s")]
    Silence(u64),
}

/// What a decoder made of its input.
#[derive(Debug, Default)]
pub struct Decoded {
    /// 16 kHz mono.
    pub samples: Vec<i16>,
    /// What was wrong with the audio, though the stream goes on.
    pub complaints: Vec<AudioError>,
}

/// Decodes a stretch of audio in one format, message by message.
pub struct Decoder(Kind);

enum Kind {
    Pcm(Box<pcm::Pcm>),
    Opus(Box<opus::Packets>),
    Flac(Box<flac::Flac>),
}

impl Decoder {
    /// Returns a decoder for a stretch that has not begun.
    ///
    /// # Errors
    ///
    /// It cannot be made for this format.
    pub fn new(format: StreamFormat) -> Result<Self, AudioError> {
        let rate = format.sample_rate();
        Ok(Self(match format.encoding() {
            Encoding::Linear16 => Kind::Pcm(Box::new(pcm::Pcm::linear16(rate)?)),
            Encoding::Mulaw => Kind::Pcm(Box::new(pcm::Pcm::mulaw(rate)?)),
            Encoding::Opus => Kind::Opus(Box::new(opus::Packets::new()?)),
            Encoding::Flac => Kind::Flac(Box::new(flac::Flac::new(rate))),
        }))
    }

    /// Decodes the next message and appends what it makes to `out`.
    ///
    /// # Errors
    ///
    /// The audio cannot be decoded any further. What was decoded before is in `out`.
    pub fn push(&mut self, message: &[u8], out: &mut Decoded) -> Result<(), AudioError> {
        match &mut self.0 {
            Kind::Pcm(pcm) => pcm.push(message, &mut out.samples),
            Kind::Opus(packets) => {
                packets.push(message, out);
                Ok(())
            }
            Kind::Flac(flac) => flac.push(message, &mut out.samples),
        }
    }

    /// Ends the stretch: appends what the decoder still has.
    ///
    /// # Errors
    ///
    /// The audio cannot be decoded.
    pub fn finish(&mut self, out: &mut Decoded) -> Result<(), AudioError> {
        match &mut self.0 {
            Kind::Pcm(pcm) => pcm.finish(&mut out.samples),
            Kind::Opus(_) => Ok(()),
            Kind::Flac(flac) => flac.finish(&mut out.samples),
        }
    }
}

#[cfg(test)]
mod tests;
