// SPDX-License-Identifier: MPL-2.0

//! Headerless PCM: LINEAR16 (little-endian) and G.711 µ-law.

use super::{Listener, Queue, Resampler, StreamError};
use audio_codec_algorithms::decode_ulaw;

pub(super) fn linear16(
    queue: &mut Queue,
    rate: u32,
    listener: &mut dyn Listener,
) -> Result<(), StreamError> {
    let mut resampler = Resampler::new(rate)?;
    let mut samples = Vec::new();
    // First half of a sample that was cut by the end of a chunk.
    let mut odd: Option<u8> = None;
    while let Some(chunk) = queue.chunk(listener) {
        samples.clear();
        let mut bytes = &*chunk;
        if let (Some(low), [high, rest @ ..]) = (odd, bytes) {
            samples.push(i16::from_le_bytes([low, *high]));
            (odd, bytes) = (None, rest);
        }
        let (whole, half) = bytes.as_chunks();
        samples.extend(whole.iter().copied().map(i16::from_le_bytes));
        odd = half.first().copied().or(odd);
        listener.hear(resampler.push(&samples)?)?;
    }
    listener.hear(resampler.finish()?)
}

pub(super) fn mulaw(
    queue: &mut Queue,
    rate: u32,
    listener: &mut dyn Listener,
) -> Result<(), StreamError> {
    let mut resampler = Resampler::new(rate)?;
    let mut samples = Vec::new();
    while let Some(chunk) = queue.chunk(listener) {
        samples.clear();
        samples.extend(chunk.iter().map(|&byte| decode_ulaw(byte)));
        listener.hear(resampler.push(&samples)?)?;
    }
    listener.hear(resampler.finish()?)
}
