// SPDX-License-Identifier: MPL-2.0

//! Raw Opus packets, one per message, decoded straight to 16 kHz.
//!
//! Without a container the encoder's look-ahead (pre-skip, usually 6.5 ms) is
//! not known, so time counts from the first decoded sample.

use super::{AudioError, Listener, Queue, StreamError};
use crate::hearing::recognizer::SAMPLE_RATE;
use opus::{Channels, Decoder};

/// The longest packet, 120 ms.
const LONGEST: usize = SAMPLE_RATE as usize * 120 / 1000;

/// How long a packet is taken to be that cannot be read at all, 20 ms.
const USUAL: usize = SAMPLE_RATE as usize * 20 / 1000;

/// So many packets in a row that cannot be read are no accident of the network.
const NONSENSE: u32 = 10;

pub(super) fn packets(queue: &mut Queue, listener: &mut dyn Listener) -> Result<(), StreamError> {
    // A mono decoder mixes stereo packets down by itself.
    let mut decoder =
        Decoder::new(SAMPLE_RATE, Channels::Mono).map_err(|error| AudioError::Decoder {
            what: "Opus",
            reason: error.to_string(),
        })?;
    let mut samples = [0i16; LONGEST];
    let mut last = USUAL;
    let mut in_ogg = false;
    let mut unread = 0u32;
    while let Some(packet) = queue.chunk(listener) {
        if packet.starts_with(b"OggS") {
            if !std::mem::replace(&mut in_ogg, true) {
                listener.complain(AudioError::Ogg);
            }
            continue;
        }
        in_ogg = false;
        let decoded = match decoder.decode(&packet, &mut samples, false) {
            Ok(length) => {
                (last, unread) = (length, 0);
                length
            }
            Err(error) => {
                unread = unread.saturating_add(1);
                if unread == 1 {
                    tracing::warn!(%error, bytes = packet.len(), "Opus packet concealed");
                }
                if unread == NONSENSE {
                    listener.complain(AudioError::Decoder {
                        what: "Opus",
                        reason: format!(
                            "{NONSENSE} messages in a row are no Opus packets ({error}); send raw \
                             packets, one per message, or start with the encoding that it is"
                        ),
                    });
                }
                let gap = samples.get_mut(..last).unwrap_or_default();
                decoder.decode(&[], gap, false).unwrap_or_else(|_| {
                    gap.fill(0);
                    gap.len()
                })
            }
        };
        listener.hear(samples.get(..decoded).unwrap_or_default())?;
    }
    Ok(())
}
