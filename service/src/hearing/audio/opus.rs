// SPDX-License-Identifier: MPL-2.0

//! Raw Opus packets, one per message, decoded straight to 16 kHz.
//!
//! Without a container the encoder's look-ahead (pre-skip, usually 6.5 ms) is
//! not known, so time counts from the first decoded sample.

use super::{AudioError, Decoded};
use crate::hearing::recognizer::SAMPLE_RATE;
use opus::{Channels, Decoder};

/// The longest packet, 120 ms.
const LONGEST: usize = SAMPLE_RATE as usize * 120 / 1000;

/// How long a packet is taken to be that cannot be read at all, 20 ms.
const USUAL: usize = SAMPLE_RATE as usize * 20 / 1000;

/// So many packets in a row that cannot be read are no accident of the network.
const NONSENSE: u32 = 10;

/// A stretch of packets.
pub(super) struct Packets {
    decoder: Decoder,
    /// Length of the packet before, in samples.
    last: usize,
    in_ogg: bool,
    unread: u32,
}

impl Packets {
    pub(super) fn new() -> Result<Self, AudioError> {
        // A mono decoder mixes stereo packets down by itself.
        let decoder =
            Decoder::new(SAMPLE_RATE, Channels::Mono).map_err(|error| AudioError::Decoder {
                what: "Opus",
                reason: error.to_string(),
            })?;
        Ok(Self {
            decoder,
            last: USUAL,
            in_ogg: false,
            unread: 0,
        })
    }

    pub(super) fn push(&mut self, packet: &[u8], out: &mut Decoded) {
        if packet.starts_with(b"OggS") {
            if !std::mem::replace(&mut self.in_ogg, true) {
                out.complaints.push(AudioError::Ogg);
            }
            return;
        }
        self.in_ogg = false;
        let mut samples = [0i16; LONGEST];
        let decoded = match self.decoder.decode(packet, &mut samples, false) {
            Ok(length) => {
                (self.last, self.unread) = (length, 0);
                length
            }
            Err(error) => {
                self.unread = self.unread.saturating_add(1);
                if self.unread == 1 {
                    tracing::warn!(%error, bytes = packet.len(), "Opus packet concealed");
                }
                if self.unread == NONSENSE {
                    out.complaints.push(AudioError::Decoder {
                        what: "Opus",
                        reason: format!(
                            "{NONSENSE} messages in a row are no Opus packets ({error}); send raw \
                             packets, one per message, or start with the encoding that it is"
                        ),
                    });
                }
                let gap = samples.get_mut(..self.last).unwrap_or_default();
                self.decoder.decode(&[], gap, false).unwrap_or_else(|_| {
                    gap.fill(0);
                    gap.len()
                })
            }
        };
        out.samples
            .extend_from_slice(samples.get(..decoded).unwrap_or_default());
    }
}
