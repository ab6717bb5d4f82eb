// SPDX-License-Identifier: MPL-2.0

//! Any sample rate to the recogniser's 16 kHz, without moving a word in time.
//!
//! The filter's delay is cut off at the start and made up for at the end, so
//! that sample `n` of the input is heard at `n / rate` seconds and the length
//! is kept to the sample. The result depends on the samples alone, not on how
//! they were cut into calls.

use super::AudioError;
use crate::hearing::recognizer::SAMPLE_RATE;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

/// Converts one stretch of mono audio.
pub struct Resampler {
    rate: u32,
    /// `None` at 16 kHz: nothing to do.
    filter: Option<Filter>,
    taken: u64,
    given: u64,
    out: Vec<i16>,
}

struct Filter {
    inner: Async<f32>,
    /// Input that does not fill a block yet.
    pending: Vec<f32>,
    block: Vec<f32>,
    /// Output frames still to be cut off at the start.
    delay: usize,
}

impl Resampler {
    /// Returns a resampler from `rate` hertz to [`SAMPLE_RATE`].
    ///
    /// # Errors
    ///
    /// The filter cannot be made for this rate.
    pub fn new(rate: u32) -> Result<Self, AudioError> {
        let filter = if rate == SAMPLE_RATE {
            None
        } else {
            Some(Filter::new(rate)?)
        };
        Ok(Self {
            rate,
            filter,
            taken: 0,
            given: 0,
            out: Vec::new(),
        })
    }

    /// Takes samples and returns those that the filter has finished.
    ///
    /// # Errors
    ///
    /// The filter refused its input.
    pub fn push(&mut self, samples: &[i16]) -> Result<&[i16], AudioError> {
        self.out.clear();
        self.taken += samples.len() as u64;
        match &mut self.filter {
            None => self.out.extend_from_slice(samples),
            Some(filter) => filter.push(samples.iter().copied(), &mut self.out)?,
        }
        self.given += self.out.len() as u64;
        Ok(&self.out)
    }

    /// Ends the audio and returns what is still in the filter.
    ///
    /// # Errors
    ///
    /// The filter refused its input.
    pub fn finish(&mut self) -> Result<&[i16], AudioError> {
        self.out.clear();
        let rate = u64::from(self.rate.max(1));
        let owed = (self.taken * u64::from(SAMPLE_RATE) + rate / 2) / rate;
        let missing = owed.saturating_sub(self.given) as usize;
        if let Some(filter) = &mut self.filter {
            while self.out.len() < missing {
                let block = filter.block.len();
                filter.push(std::iter::repeat_n(0, block), &mut self.out)?;
            }
            self.out.truncate(missing);
        }
        self.given += self.out.len() as u64;
        Ok(&self.out)
    }
}

impl Filter {
    fn new(rate: u32) -> Result<Self, AudioError> {
        // 10 ms, so that little waits for the rest of its block.
        let block = (rate as usize / 100).max(1);
        let parameters = SincInterpolationParameters::new(128, WindowFunction::BlackmanHarris2)
            .oversampling_factor(256)
            .interpolation(SincInterpolationType::Linear);
        let ratio = f64::from(SAMPLE_RATE) / f64::from(rate);
        let inner = Async::new_sinc(ratio, 1.0, &parameters, block, 1, FixedAsync::Input)
            .map_err(|error| failed(rate, &error))?;
        Ok(Self {
            delay: inner.output_delay(),
            inner,
            pending: Vec::with_capacity(block),
            block: vec![0.0; block],
        })
    }

    fn push(
        &mut self,
        samples: impl Iterator<Item = i16>,
        out: &mut Vec<i16>,
    ) -> Result<(), AudioError> {
        for sample in samples {
            self.pending.push(f32::from(sample));
            if self.pending.len() == self.block.len() {
                std::mem::swap(&mut self.pending, &mut self.block);
                self.pending.clear();
                self.process(out)?;
            }
        }
        Ok(())
    }

    fn process(&mut self, out: &mut Vec<i16>) -> Result<(), AudioError> {
        let frames = self.block.len();
        let rate = (frames * 100) as u32;
        let input = InterleavedSlice::new(self.block.as_slice(), 1, frames)
            .map_err(|error| failed(rate, &error))?;
        let output = self
            .inner
            .process(&input, None)
            .map_err(|error| failed(rate, &error))?
            .take_data();
        let cut = self.delay.min(output.len());
        self.delay -= cut;
        out.extend(output.iter().skip(cut).map(|&s| s.round() as i16));
        Ok(())
    }
}

fn failed(rate: u32, error: &dyn std::fmt::Display) -> AudioError {
    AudioError::Decoder {
        what: "audio to 16 kHz",
        reason: format!("{error} (from {rate} Hz)"),
    }
}
