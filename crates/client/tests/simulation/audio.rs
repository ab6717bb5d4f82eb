// SPDX-License-Identifier: MPL-2.0

//! Encodes words as audio, and decodes them again.
//!
//! A word is a stretch of one code that no other word of the run has. Code 0 is silence.
//! Each encoding writes codes in a form of its own, so that audio under the wrong label is
//! never taken for a word.

use bytes::Bytes;
use std::sync::LazyLock;
use symbl_client::session::AudioFormat;
use symbl_protocol::{Encoding, MAX_AUDIO_MESSAGE, StreamFormat};

/// Milliseconds, the unit of schedules.
pub type Ms = u32;

/// Duration of a word.
pub const WORD: Ms = 200;

/// Most words in a run. Each has a code of its own.
pub const MAX_WORDS: u16 = 200;

/// Duration of a packet.
const PACKET: Ms = 20;

/// One of this many FLAC frames is too large for a message.
const LARGE_EVERY: u32 = 13;

/// The format of the audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Linear8k,
    Linear16k,
    Linear48k,
    Mulaw,
    /// Stand-in packets of 20 ms with a valid table-of-contents byte.
    Opus,
    /// Stand-in frames of 20 ms with a valid frame header, after this stream header.
    Flac(u8),
}

/// Returns the low byte of raw samples at this rate. No code has the same value.
fn tag(rate: u32) -> u8 {
    match rate {
        8_000 => 0x11,
        16_000 => 0x22,
        _ => 0x33,
    }
}

/// Returns the code of a word, which is loud in every encoding.
pub fn code_of(word: u16) -> u8 {
    LOUD[usize::from(word)]
}

/// Returns the word of a code.
pub fn word_of(code: u8) -> Option<u16> {
    let at = LOUD.iter().position(|c| *c == code);
    at.and_then(|at| u16::try_from(at).ok())
}

/// The codes that are loud as µ-law and as the high byte of a sample.
static LOUD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (1..=0x6f)
        .chain(0x80..=0xef)
        .filter(|code| ![0x11, 0x22, 0x33].contains(code))
        .collect()
});

impl Format {
    /// Returns the format of the wire.
    pub fn wire(self) -> StreamFormat {
        let (encoding, rate) = match self {
            Self::Linear8k => (Encoding::Linear16, 8_000),
            Self::Linear16k => (Encoding::Linear16, 16_000),
            Self::Linear48k => (Encoding::Linear16, 48_000),
            Self::Mulaw => (Encoding::Mulaw, 8_000),
            Self::Opus => (Encoding::Opus, 48_000),
            Self::Flac(_) => (Encoding::Flac, 16_000),
        };
        StreamFormat::new(encoding, rate).unwrap()
    }

    /// Returns the format for the session.
    pub fn session(self) -> AudioFormat {
        let header = match self {
            Self::Flac(id) => flac_header(id),
            _ => Bytes::new(),
        };
        AudioFormat {
            header,
            ..AudioFormat::new(self.wire())
        }
    }

    /// Returns the duration of its packets, if it has packets.
    pub fn packet(self) -> Option<Ms> {
        matches!(self, Self::Opus | Self::Flac(_)).then_some(PACKET)
    }

    /// Appends raw audio, or one packet.
    pub fn write(self, out: &mut Vec<u8>, code: u8, length: Ms, serial: u32) {
        let wire = self.wire();
        let samples = (length * (wire.sample_rate() / 1000)) as usize;
        match self {
            Self::Linear8k | Self::Linear16k | Self::Linear48k => {
                let sample = if code == 0 {
                    [0, 0]
                } else {
                    [tag(wire.sample_rate()), code]
                };
                out.extend(sample.repeat(samples));
            }
            Self::Mulaw => out.resize(out.len() + samples, if code == 0 { 0xff } else { code }),
            Self::Opus => out.extend([0xf8, code, 0x5a]),
            Self::Flac(id) => {
                let size: u16 = if serial.is_multiple_of(LARGE_EVERY) {
                    9000
                } else {
                    40
                };
                let start = out.len();
                out.extend([0xff, 0xf8, 0x70, 0x08, 0, 1, 0x3f, id, code]);
                out.extend(size.to_be_bytes());
                out.resize(start + usize::from(size), code);
            }
        }
    }
}

fn flac_header(id: u8) -> Bytes {
    let mut header = b"fLaC".to_vec();
    header.resize(38, id);
    Bytes::from(header)
}

/// Decodes audio under a label, and fails if the audio does not match the label.
pub struct Decoder {
    label: StreamFormat,
    /// The stream header that came under this label.
    header: Option<u8>,
    /// The code of the FLAC frame in progress, and how many of its bytes are still to come.
    frame: Option<(u8, usize)>,
}

impl Decoder {
    pub fn new(label: StreamFormat) -> Self {
        Self {
            label,
            header: None,
            frame: None,
        }
    }

    pub fn label(&self) -> StreamFormat {
        self.label
    }

    /// Sets the label of the audio that follows.
    pub fn relabel(&mut self, label: StreamFormat) -> Result<(), String> {
        if self.frame.is_some() {
            return Err("a change of format within a frame".into());
        }
        *self = Self::new(label);
        Ok(())
    }

    /// Appends stretches of one code, each with its number of samples, to `out`.
    pub fn decode(&mut self, data: &[u8], out: &mut Vec<(u8, u64)>) -> Result<(), String> {
        if data.is_empty() || data.len() > MAX_AUDIO_MESSAGE {
            return Err(format!("a message of {} bytes", data.len()));
        }
        match self.label.encoding() {
            Encoding::Linear16 => raw(data, 2, out, |unit| match unit {
                [0, 0] => Some(0),
                [low, code] if *low == tag(self.label.sample_rate()) => Some(*code),
                _ => None,
            }),
            Encoding::Mulaw => raw(data, 1, out, |unit| match unit {
                [0xff] => Some(0),
                [0x11 | 0x22 | 0x33] => None,
                unit => Some(unit[0]),
            }),
            Encoding::Opus => match data {
                [0xf8, code, 0x5a] => {
                    out.push((*code, 960));
                    Ok(())
                }
                _ => Err("audio that is no packet under the label Opus".into()),
            },
            Encoding::Flac => self.flac(data, out),
        }
    }

    fn flac(&mut self, data: &[u8], out: &mut Vec<(u8, u64)>) -> Result<(), String> {
        if let Some((code, left)) = self.frame.take() {
            if data.len() > left || data.iter().any(|byte| *byte != code) {
                return Err("a FLAC frame that is not gone on with".into());
            }
            return self.flac_rest(code, left - data.len(), out);
        }
        match data {
            [b'f', b'L', b'a', b'C', id, ..] if data.len() == 38 => {
                self.header = Some(*id);
                Ok(())
            }
            [0xff, 0xf8, 0x70, 0x08, 0, 1, 0x3f, id, code, high, low, ..] => {
                if self.header != Some(*id) {
                    return Err(format!(
                        "a FLAC frame of stream {id} after the header {:?}",
                        self.header
                    ));
                }
                let size = usize::from(u16::from_be_bytes([*high, *low]));
                let left = size
                    .checked_sub(data.len())
                    .ok_or("two FLAC frames in a message")?;
                self.flac_rest(*code, left, out)
            }
            _ => Err("audio that is no frame under the label FLAC".into()),
        }
    }

    fn flac_rest(&mut self, code: u8, left: usize, out: &mut Vec<(u8, u64)>) -> Result<(), String> {
        if left > 0 {
            self.frame = Some((code, left));
        } else {
            out.push((code, 320));
        }
        Ok(())
    }
}

/// Splits raw audio into stretches of equal samples.
fn raw(
    mut data: &[u8],
    width: usize,
    out: &mut Vec<(u8, u64)>,
    code: impl Fn(&[u8]) -> Option<u8>,
) -> Result<(), String> {
    if !data.len().is_multiple_of(width) {
        return Err("half a sample".into());
    }
    while !data.is_empty() {
        // The comparison of whole stretches is cheap also in an unoptimised build.
        let (mut same, mut other) = (width, data.len() + width);
        while other - same > width {
            let middle = (same + other) / 2 / width * width;
            if data[..middle - width] == data[width..middle] {
                same = middle;
            } else {
                other = middle;
            }
        }
        let code = code(&data[..width]).ok_or("audio that is not what its label says")?;
        out.push((code, (same / width) as u64));
        data = &data[same..];
    }
    Ok(())
}
