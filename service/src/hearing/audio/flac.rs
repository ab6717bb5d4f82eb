// SPDX-License-Identifier: MPL-2.0

//! A native FLAC stream, decoded while it arrives.
//!
//! The decoder of `claxon` reads whole frames only. This module keeps the bytes of a frame
//! and tries to decode them again whenever they have grown by an eighth. So a frame is
//! decoded soon after its last byte, and a frame that never ends costs time in proportion
//! to its bytes.

use super::{AudioError, Resampler};
use claxon::frame::FrameReader;
use claxon::{Block, FlacReader};
use std::io::{Cursor, ErrorKind};

/// Sample rates that a header may claim: wider than what may be declared, but a
/// header must not make seconds of audio out of bytes.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// Most bytes of a frame. The largest frame that an encoder makes of stereo has 400,000.
const LARGEST_FRAME: usize = 1 << 20;

const MAGIC: &[u8] = b"fLaC";

/// Bytes in front of a metadata block: its type, with a bit for the last block, and its
/// length.
const BLOCK_HEADER: usize = 4;

const LAST: u8 = 0x80;

/// Bytes of the STREAMINFO block.
const STREAMINFO: usize = 34;

/// A stream, from its magic on.
pub(super) struct Flac {
    declared_rate: u32,
    stage: Stage,
    /// The bytes that are not decoded yet.
    bytes: Vec<u8>,
    /// How many of them the last attempt had, which found no whole frame.
    tried: usize,
    samples: Vec<i16>,
}

enum Stage {
    /// Waits for the magic and the first block.
    Beginning,
    /// Passes over other blocks. `skip` bytes of this one are to come; `last` is `true`
    /// for the last block.
    Metadata {
        skip: usize,
        last: bool,
        made: Made,
    },
    Frames(Made),
}

/// What STREAMINFO says about the stream.
struct Made {
    bits_per_sample: u32,
    resampler: Resampler,
}

impl Flac {
    pub(super) fn new(declared_rate: u32) -> Self {
        Self {
            declared_rate,
            stage: Stage::Beginning,
            bytes: Vec::new(),
            tried: 0,
            samples: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, message: &[u8], out: &mut Vec<i16>) -> Result<(), AudioError> {
        self.bytes.extend_from_slice(message);
        loop {
            let goes_on = match std::mem::replace(&mut self.stage, Stage::Beginning) {
                Stage::Beginning => self.begin()?,
                Stage::Metadata { skip, last, made } => self.skip(skip, last, made)?,
                Stage::Frames(mut made) => {
                    let result = self.frames(&mut made, out);
                    self.stage = Stage::Frames(made);
                    result?;
                    false
                }
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Appends what the resampler still has. A frame that the end of the audio cuts is no
    /// error.
    pub(super) fn finish(&mut self, out: &mut Vec<i16>) -> Result<(), AudioError> {
        if let Stage::Frames(made) = &mut self.stage {
            out.extend_from_slice(made.resampler.finish()?);
        }
        Ok(())
    }

    /// Reads the magic and the first block. Returns `true` if they are whole.
    fn begin(&mut self) -> Result<bool, AudioError> {
        let magic = self.bytes.len().min(MAGIC.len());
        let is_flac = self.bytes.get(..magic) == MAGIC.get(..magic);
        let header = self.bytes.get(MAGIC.len()..MAGIC.len() + BLOCK_HEADER);
        let (kind, length) = match (is_flac, header) {
            (false, _) => return self.read_header(magic).map(|_| false),
            (true, None) => return Ok(false),
            (true, Some(header)) => block(header),
        };
        let head = MAGIC.len() + BLOCK_HEADER + STREAMINFO;
        if kind & !LAST == 0 && length == STREAMINFO && self.bytes.len() < head {
            return Ok(false);
        }
        // With the bit for the last block the decoder asks for no other block.
        if let Some(kind) = self.bytes.get_mut(MAGIC.len()) {
            *kind |= LAST;
        }
        let made = self.read_header(head)?;
        self.bytes.drain(..head.min(self.bytes.len()));
        self.stage = match kind & LAST {
            0 => Stage::Metadata {
                skip: 0,
                last: false,
                made,
            },
            _ => Stage::Frames(made),
        };
        Ok(true)
    }

    /// Lets the decoder read the first `length` bytes.
    fn read_header(&self, length: usize) -> Result<Made, AudioError> {
        let head = self.bytes.get(..length).unwrap_or(&self.bytes);
        let info = FlacReader::new(head)
            .map_err(|error| failed(&error.to_string()))?
            .streaminfo();
        let rate = match info.sample_rate {
            0 => self.declared_rate,
            rate => rate,
        };
        if !RATES.contains(&rate) {
            return Err(failed(&format!("its header says {rate} Hz")));
        }
        Ok(Made {
            bits_per_sample: info.bits_per_sample,
            resampler: Resampler::new(rate)?,
        })
    }

    /// Passes over blocks that say nothing about the audio. Returns `true` if the stage
    /// has changed and bytes may be left for it.
    fn skip(&mut self, skip: usize, last: bool, made: Made) -> Result<bool, AudioError> {
        let passed = skip.min(self.bytes.len());
        self.bytes.drain(..passed);
        let skip = skip - passed;
        if skip == 0 && last {
            self.stage = Stage::Frames(made);
            return Ok(true);
        }
        let header = self.bytes.get(..BLOCK_HEADER).filter(|_| skip == 0);
        let (stage, goes_on) = match header.map(block) {
            None => (Stage::Metadata { skip, last, made }, false),
            // RFC 9639, 8.1: this type is forbidden, so that it is not taken for a frame.
            Some((kind, _)) if kind & !LAST == 0x7f => {
                return Err(failed("invalid metadata block type"));
            }
            Some((kind, length)) => {
                self.bytes.drain(..BLOCK_HEADER);
                let stage = Stage::Metadata {
                    skip: length,
                    last: kind & LAST != 0,
                    made,
                };
                (stage, true)
            }
        };
        self.stage = stage;
        Ok(goes_on)
    }

    /// Decodes all frames that are whole.
    fn frames(&mut self, made: &mut Made, out: &mut Vec<i16>) -> Result<(), AudioError> {
        let mut at = 0;
        let mut buffer = Vec::new();
        let result = loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            if rest.len() <= self.tried + self.tried / 8 {
                break Ok(());
            }
            let mut reader = FrameReader::new(Cursor::new(rest));
            match reader.read_next_or_eof(buffer) {
                Ok(Some(block)) => {
                    let position = reader.into_inner().position();
                    at += usize::try_from(position).unwrap_or(rest.len());
                    self.tried = 0;
                    mix_down(&block, made.bits_per_sample, &mut self.samples);
                    match made.resampler.push(&self.samples) {
                        Ok(samples) => out.extend_from_slice(samples),
                        Err(error) => break Err(error),
                    }
                    buffer = block.into_buffer();
                }
                Err(error) if !is_cut(&error) => break Err(failed(&error.to_string())),
                Ok(None) | Err(_) if rest.len() > LARGEST_FRAME => {
                    let reason = format!("a frame has more than {LARGEST_FRAME} bytes");
                    break Err(failed(&reason));
                }
                Ok(None) | Err(_) => {
                    self.tried = rest.len();
                    break Ok(());
                }
            }
        };
        self.bytes.drain(..at.min(self.bytes.len()));
        result
    }
}

/// Returns the type of a block, with the bit for the last one, and its length.
fn block(header: &[u8]) -> (u8, usize) {
    match header {
        [kind, high, middle, low] => {
            let length = u32::from_be_bytes([0, *high, *middle, *low]);
            (*kind, usize::try_from(length).unwrap_or(usize::MAX))
        }
        _ => (LAST, 0),
    }
}

/// Returns `true` if the rest of the frame has not come yet.
fn is_cut(error: &claxon::Error) -> bool {
    matches!(error, claxon::Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof)
}

fn failed(reason: &str) -> AudioError {
    AudioError::Flac {
        reason: reason.to_owned(),
    }
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
