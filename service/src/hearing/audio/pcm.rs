// SPDX-License-Identifier: MPL-2.0

//! Headerless PCM: LINEAR16 (little-endian) and G.711 µ-law.

use super::{AudioError, Resampler};
use audio_codec_algorithms::decode_ulaw;

/// How samples are written.
enum Form {
    /// Two bytes each; the first one of a sample that was cut by the end of a message.
    Linear16(Option<u8>),
    Mulaw,
}

/// A stretch of PCM on its way to 16 kHz.
pub(super) struct Pcm {
    form: Form,
    resampler: Resampler,
    samples: Vec<i16>,
}

impl Pcm {
    pub(super) fn linear16(rate: u32) -> Result<Self, AudioError> {
        Self::new(Form::Linear16(None), rate)
    }

    pub(super) fn mulaw(rate: u32) -> Result<Self, AudioError> {
        Self::new(Form::Mulaw, rate)
    }

    fn new(form: Form, rate: u32) -> Result<Self, AudioError> {
        Ok(Self {
            form,
            resampler: Resampler::new(rate)?,
            samples: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, message: &[u8], out: &mut Vec<i16>) -> Result<(), AudioError> {
        self.samples.clear();
        match &mut self.form {
            Form::Linear16(odd) => {
                let mut bytes = message;
                if let (Some(low), [high, rest @ ..]) = (*odd, bytes) {
                    self.samples.push(i16::from_le_bytes([low, *high]));
                    (*odd, bytes) = (None, rest);
                }
                let (whole, half) = bytes.as_chunks();
                self.samples
                    .extend(whole.iter().copied().map(i16::from_le_bytes));
                *odd = half.first().copied().or(*odd);
            }
            Form::Mulaw => self
                .samples
                .extend(message.iter().map(|&byte| decode_ulaw(byte))),
        }
        out.extend_from_slice(self.resampler.push(&self.samples)?);
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<i16>) -> Result<(), AudioError> {
        out.extend_from_slice(self.resampler.finish()?);
        Ok(())
    }
}
