// SPDX-License-Identifier: MPL-2.0

//! A native FLAC stream, decoded while it arrives.
//!
//! The decoder reads from the queue as from a file and waits there; the end of
//! the format or of the audio is its end of file.

use super::{AudioError, Listener, Queue, Resampler, StreamError};
use bytes::{Buf, Bytes};
use claxon::{Block, FlacReader};
use std::cell::RefCell;
use std::io::Read;

/// Sample rates that a header may claim: wider than what may be declared, but a
/// header must not make seconds of audio out of bytes.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

struct Chunks<'a, 'l> {
    queue: &'a mut Queue,
    listener: &'a RefCell<&'l mut dyn Listener>,
    current: Bytes,
    over: bool,
}

impl Read for Chunks<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() && !self.over {
            match self.queue.chunk(&mut **self.listener.borrow_mut()) {
                Some(chunk) => self.current = chunk,
                None => self.over = true,
            }
        }
        let length = out.len().min(self.current.len());
        if let Some(out) = out.get_mut(..length) {
            self.current.copy_to_slice(out);
        }
        Ok(length)
    }
}

pub(super) fn stream(
    queue: &mut Queue,
    declared_rate: u32,
    listener: &mut dyn Listener,
) -> Result<(), StreamError> {
    // Lent to the reader while it waits, and taken back between its blocks.
    let listener = RefCell::new(listener);
    let mut chunks = Chunks {
        queue,
        listener: &listener,
        current: Bytes::new(),
        over: false,
    };
    let mut reader = match FlacReader::new(&mut chunks) {
        Ok(reader) => reader,
        Err(error) => return at_end_or(&chunks, error),
    };
    let info = reader.streaminfo();
    let rate = match info.sample_rate {
        0 => declared_rate,
        rate => rate,
    };
    if !RATES.contains(&rate) {
        let reason = format!("its header says {rate} Hz");
        return Err(AudioError::Flac { reason }.into());
    }
    let mut resampler = Resampler::new(rate)?;
    let mut samples = Vec::new();
    let mut buffer = Vec::new();
    let failure = loop {
        match reader.blocks().read_next_or_eof(buffer) {
            Ok(Some(block)) => {
                mix_down(&block, info.bits_per_sample, &mut samples);
                listener.borrow_mut().hear(resampler.push(&samples)?)?;
                buffer = block.into_buffer();
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    drop(reader);
    if let Some(error) = failure {
        at_end_or(&chunks, error)?;
    }
    listener.borrow_mut().hear(resampler.finish()?)
}

/// A stream that is cut by the end of its audio is no error.
fn at_end_or(chunks: &Chunks<'_, '_>, error: claxon::Error) -> Result<(), StreamError> {
    if chunks.over {
        return Ok(());
    }
    let reason = error.to_string();
    Err(AudioError::Flac { reason }.into())
}

fn mix_down(block: &Block, bits_per_sample: u32, out: &mut Vec<i16>) {
    out.clear();
    let channels = block.channels().max(1);
    for frame in 0..block.duration() {
        let sum: i64 = (0..channels)
            .map(|channel| i64::from(block.sample(channel, frame)))
            .sum();
        let sample = sum / i64::from(channels);
        let scaled = match bits_per_sample.checked_sub(16) {
            Some(surplus) => sample >> surplus,
            None => sample << (16 - bits_per_sample),
        };
        out.push(scaled.clamp(i16::MIN.into(), i16::MAX.into()) as i16);
    }
}
