// SPDX-License-Identifier: MPL-2.0

//! The log-mel spectrogram that Whisper listens to.

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlannerScalar};
use std::sync::Arc;

/// Sample rate of all audio, in hertz.
pub const SAMPLE_RATE: u32 = 16_000;
/// Samples from one frame to the next: 10 ms.
pub(crate) const HOP: usize = 160;
/// Samples of a frame: 25 ms.
const WINDOW: usize = 400;
/// Frequencies of a frame, 40 Hz apart.
const BINS: usize = WINDOW / 2 + 1;
/// What the smallest power counts as, in bels.
const FLOOR: f32 = -10.0;

/// Turns samples into log-mel frames.
pub(crate) struct Mel {
    fft: Arc<dyn Fft<f32>>,
    window: Vec<f32>,
    /// For each band: its first frequency and the weights from there on.
    bands: Vec<(usize, Vec<f32>)>,
}

/// Returns a frequency on Slaney's mel scale: linear below 1 kHz, logarithmic above.
fn mel_of_hertz(hertz: f64) -> f64 {
    if hertz < 1000.0 {
        hertz * 3.0 / 200.0
    } else {
        15.0 + (hertz / 1000.0).ln() / (6.4_f64.ln() / 27.0)
    }
}

/// Returns the frequency of a place on Slaney's mel scale.
fn hertz_of_mel(mel: f64) -> f64 {
    if mel < 15.0 {
        mel * 200.0 / 3.0
    } else {
        1000.0 * ((mel - 15.0) * (6.4_f64.ln() / 27.0)).exp()
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
impl Mel {
    /// Makes a filter bank of `bands` bands up to 8 kHz.
    pub(crate) fn new(bands: usize) -> Self {
        let window = (0..WINDOW)
            .map(|i| 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / WINDOW as f64).cos())
            .map(|w| w as f32)
            .collect();
        let top = mel_of_hertz(8000.0);
        let edge = |i: usize| hertz_of_mel(top * i as f64 / (bands + 1) as f64);
        let bands = (0..bands)
            .map(|band| {
                let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
                let weight = |bin: usize| {
                    let hertz = bin as f64 * f64::from(SAMPLE_RATE) / WINDOW as f64;
                    let up = (hertz - low) / (middle - low);
                    let down = (high - hertz) / (high - middle);
                    (up.min(down).max(0.0) * 2.0 / (high - low)) as f32
                };
                let mut bins = (0..BINS).filter(|&bin| weight(bin) > 0.0);
                let first = bins.next().unwrap_or(0);
                let last = bins.next_back().unwrap_or(first);
                (first, (first..=last).map(weight).collect())
            })
            .collect();
        // The planner that looks for instructions of the processor would round
        // differently from machine to machine.
        let fft = FftPlannerScalar::new().plan_fft_forward(WINDOW);
        Self { fft, window, bands }
    }

    /// Returns how many bands a frame has.
    pub(crate) fn bands(&self) -> usize {
        self.bands.len()
    }

    /// Returns `frames` frames `[frame][band]` of samples that are followed by silence.
    pub(crate) fn frames(&self, samples: &[f32], frames: usize) -> Vec<f32> {
        let length = frames * HOP;
        // The first and last half window are mirrored.
        let at = |i: isize| {
            let mirrored = i.unsigned_abs();
            let i = if mirrored >= length {
                2 * (length - 1) - mirrored
            } else {
                mirrored
            };
            samples.get(i).copied().unwrap_or(0.0)
        };
        let bands = self.bands.len();
        let mut mel = vec![FLOOR; frames * bands];
        let mut scratch = vec![Complex::default(); self.fft.get_inplace_scratch_len()];
        let mut buffer = vec![Complex::default(); WINDOW];
        let mut most = FLOOR;
        let heard = frames.min((samples.len() + WINDOW / 2).div_ceil(HOP));
        // Two real frames make one complex transform.
        for pair in (0..heard).step_by(2) {
            for (i, (value, &w)) in buffer.iter_mut().zip(&self.window).enumerate() {
                let place = (pair * HOP + i).cast_signed() - (WINDOW / 2).cast_signed();
                let second = if pair + 1 < heard {
                    at(place + HOP.cast_signed())
                } else {
                    0.0
                };
                *value = Complex::new(w * at(place), w * second);
            }
            self.fft.process_with_scratch(&mut buffer, &mut scratch);
            let mut powers = [[0.0_f32; BINS]; 2];
            for bin in 0..BINS {
                let (a, b) = (buffer[bin], buffer[(WINDOW - bin) % WINDOW].conj());
                powers[0][bin] = ((a + b) * 0.5).norm_sqr();
                powers[1][bin] = ((a - b) * 0.5).norm_sqr();
            }
            for (frame, powers) in (pair..heard).zip(&powers) {
                for (band, (first, weights)) in self.bands.iter().enumerate() {
                    let power: f32 = weights
                        .iter()
                        .zip(&powers[*first..])
                        .map(|(w, p)| w * p)
                        .sum();
                    let level = power.max(1e-10).log10();
                    most = most.max(level);
                    mel[frame * bands + band] = level;
                }
            }
        }
        for level in &mut mel {
            *level = (level.max(most - 8.0) + 4.0) / 4.0;
        }
        mel
    }
}
