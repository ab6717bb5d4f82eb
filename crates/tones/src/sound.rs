// SPDX-License-Identifier: MPL-2.0

//! Turns numbers into sound, and a window of sound into a number.
//!
//! A word carries twelve bits as six base-4 digits. Digit `g` with value `d` is a sine of
//! 350 + 125·(4g + d) Hz. So all 24 tones lie between 350 and 3,225 Hz. They survive
//! µ-law, an 8 kHz band and Opus from 32 kbit/s for one channel; below that, the codec
//! loses or bends some. Both directions are in this module, because a change of one is a
//! change of the other.

use std::array::from_fn;
use std::f64::consts::{PI, TAU};
use std::sync::LazyLock;
use std::time::Duration;

/// Six digits of four values each.
const GROUPS: usize = 6;
const VALUES: usize = 4;
pub(crate) const TONES: usize = GROUPS * VALUES;

/// Number of different words.
pub const VOCABULARY: u16 = 4096;

/// Words per second; each is exactly a fifth of a second long.
const WORDS_PER_SECOND: u64 = 5;

/// How long a word sounds.
pub const WORD_LENGTH: Duration = Duration::from_millis(1000 / WORDS_PER_SECOND);

/// Amplitude of each tone; six of them stay 3 dB below full scale.
const AMPLITUDE: f64 = 3800.0;

/// Rise and fall at the edges of a word, against clicks.
const EDGE_SECONDS: f64 = 0.002;

/// 24 ms at 16 kHz: wide enough to tell neighbouring tones apart.
pub(crate) const WINDOW: usize = 384;

/// 5 ms at 16 kHz.
pub(crate) const HOP: usize = 80;

/// Below this a tone counts as silence (−60 dB of full scale).
const FLOOR: f32 = 32.0;

/// How far the strongest value of a digit must stand out from the next.
const DOMINANCE: f32 = 2.0;

/// How different the loudest and the softest digit may be.
const BALANCE: f32 = 4.0;

/// Least part of the window's energy that the six tones hold.
const PURITY: f64 = 0.5;

fn frequency(tone: usize) -> f64 {
    350.0 + 125.0 * tone as f64
}

/// Returns the tone of each digit of a word.
fn tones_of(code: u16) -> impl Iterator<Item = usize> {
    (0..GROUPS).map(move |group| group * VALUES + usize::from(code >> (2 * group)) % VALUES)
}

/// Speaks words: 200 ms of mono audio for each number, back to back.
///
/// Word `k` of the sequence occupies the samples from `k·rate/5` to
/// `(k+1)·rate/5`, so it is exact at every rate divisible by five and never
/// drifts at the others. Numbers above 4,095 wrap around.
pub fn speech(words: impl IntoIterator<Item = u16>, sample_rate: u32) -> Vec<i16> {
    let rate = f64::from(sample_rate);
    let boundary = |k: u64| k * u64::from(sample_rate) / WORDS_PER_SECOND;
    let mut out = Vec::new();
    for (k, word) in (0u64..).zip(words) {
        let length = boundary(k + 1) - boundary(k);
        for i in 0..length {
            let at = i as f64 / rate;
            let to_edge = (i.min(length - 1 - i) as f64 + 0.5) / rate;
            let gain = if to_edge < EDGE_SECONDS {
                (1.0 - (PI * to_edge / EDGE_SECONDS).cos()) / 2.0
            } else {
                1.0
            };
            // Phases that grow with the square keep the six from peaking together.
            let sum: f64 = tones_of(word % VOCABULARY)
                .enumerate()
                .map(|(g, tone)| (TAU * frequency(tone) * at + PI * (g * g) as f64 / 6.0).sin())
                .sum();
            out.push((AMPLITUDE * gain * sum).round() as i16);
        }
    }
    out
}

/// Returns digital silence of the given length, rounded down to whole samples.
pub fn silence(length: Duration, sample_rate: u32) -> Vec<i16> {
    vec![0; (length.as_nanos() * u128::from(sample_rate) / 1_000_000_000) as usize]
}

/// How loud each tone is in one window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spectrum {
    amplitudes: [f32; TONES],
    /// Part of the window's energy that pure tones would need to hold.
    energy: f64,
}

impl Spectrum {
    /// Returns the amplitude of the softest tone of this word.
    pub(crate) fn level(&self, code: u16) -> f32 {
        tones_of(code)
            .filter_map(|tone| self.amplitudes.get(tone))
            .fold(f32::INFINITY, |least, &a| least.min(a))
    }

    /// Returns the word of this window, if a word and nothing else sounds in it.
    pub(crate) fn code(&self) -> Option<u16> {
        let mut code = 0;
        let (mut softest, mut loudest) = (f32::INFINITY, 0.0f32);
        let mut tone_energy = 0.0;
        for (group, values) in self.amplitudes.chunks_exact(VALUES).enumerate() {
            let (mut best, mut second, mut value) = (0.0f32, 0.0f32, 0);
            for (v, &amplitude) in values.iter().enumerate() {
                if amplitude > best {
                    (second, best, value) = (best, amplitude, v);
                } else {
                    second = second.max(amplitude);
                }
            }
            if best < FLOOR || best < DOMINANCE * second {
                return None;
            }
            softest = softest.min(best);
            loudest = loudest.max(best);
            tone_energy += f64::from(best) * f64::from(best) / 2.0;
            code |= (value as u16) << (2 * group);
        }
        (loudest <= BALANCE * softest && tone_energy >= PURITY * self.energy).then_some(code)
    }
}

/// Half a window: what lies as far before its middle as behind it is taken together.
const HALF: usize = WINDOW / 2;

/// Sums that grow side by side.
const LANES: usize = 8;

/// What a window is multiplied with: the same for all streams.
///
/// A Hann window is the same to both sides of its middle, a cosine too, and a sine
/// is its opposite. So the sum of two samples as far from the middle goes with the
/// cosines and their difference with the sines, which halves the work; the tones lie
/// side by side, so that the processor does several at once.
#[derive(Debug)]
struct Table {
    /// By distance from the middle, then by tone.
    cosines: [[f32; TONES]; HALF],
    sines: [[f32; TONES]; HALF],
    /// Half the squares of the window.
    squares: [f32; HALF],
    /// From the length of a tone's vector to its amplitude.
    scale: f32,
    window_energy: f64,
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

impl Table {
    fn new() -> Self {
        let rate = f64::from(crate::SAMPLE_RATE);
        let window = |i: usize| 0.5 + 0.5 * (TAU * (i as f64 + 0.5) / WINDOW as f64).cos();
        let phase = |i: usize, tone| TAU * frequency(tone) * (i as f64 + 0.5) / rate;
        let sum: f64 = (0..HALF).map(window).sum();
        let energy: f64 = (0..HALF).map(|i| window(i).powi(2)).sum();
        Self {
            cosines: from_fn(|i| from_fn(|tone| (window(i) * phase(i, tone).cos()) as f32)),
            sines: from_fn(|i| from_fn(|tone| (window(i) * phase(i, tone).sin()) as f32)),
            squares: from_fn(|i| (window(i).powi(2) / 2.0) as f32),
            scale: (1.0 / sum) as f32,
            window_energy: 2.0 * energy,
        }
    }
}

/// Measures the 24 tones in a Hann window.
pub(crate) fn measure(samples: &[i16; WINDOW]) -> Spectrum {
    let table = &*TABLE;
    let (before, after) = samples.split_at(HALF);
    let (mut sums, mut differences) = ([0.0f32; HALF], [0.0f32; HALF]);
    let pairs = before.iter().rev().zip(after);
    for ((sum, difference), (&before, &after)) in sums.iter_mut().zip(&mut differences).zip(pairs) {
        let (before, after) = (f32::from(before), f32::from(after));
        (*sum, *difference) = (after + before, after - before);
    }
    let mut energies = [0.0f32; LANES];
    let eights = sums
        .chunks_exact(LANES)
        .zip(differences.chunks_exact(LANES));
    for ((sums, differences), squares) in eights.zip(table.squares.chunks_exact(LANES)) {
        let pairs = sums.iter().zip(differences).zip(squares);
        for (energy, ((sum, difference), square)) in energies.iter_mut().zip(pairs) {
            *energy += (sum * sum + difference * difference) * square;
        }
    }
    let energy: f64 = energies.iter().copied().map(f64::from).sum();
    let mut amplitudes = [0.0; TONES];
    // Digital silence is common and needs no arithmetic.
    if energy > 0.0 {
        let (mut real, mut imaginary) = ([0.0f32; TONES], [0.0f32; TONES]);
        let tables = table.cosines.iter().zip(&table.sines);
        for ((&sum, &difference), (cosines, sines)) in sums.iter().zip(&differences).zip(tables) {
            for (real, cosine) in real.iter_mut().zip(cosines) {
                *real += sum * cosine;
            }
            for (imaginary, sine) in imaginary.iter_mut().zip(sines) {
                *imaginary += difference * sine;
            }
        }
        for (amplitude, (re, im)) in amplitudes.iter_mut().zip(real.iter().zip(&imaginary)) {
            *amplitude = (re * re + im * im).sqrt() * table.scale;
        }
    }
    Spectrum {
        amplitudes,
        energy: energy / table.window_energy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sample_exact_at_every_rate() {
        for rate in [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000] {
            assert_eq!(speech(0..10, rate).len() as u32, 2 * rate);
        }
        // A rate that does not divide does not drift either.
        assert_eq!(speech(0..5, 12_346).len(), 12_346);
    }

    #[test]
    fn no_word_comes_near_clipping() {
        let loudest = speech(0..VOCABULARY, 8_000)
            .iter()
            .map(|s| i32::from(*s).abs())
            .max();
        assert!(loudest < Some(24_000), "{loudest:?}");
    }

    #[test]
    fn every_word_is_read_back() {
        for word in 0..VOCABULARY {
            let samples = speech([word], 16_000);
            let spectrum = measure(samples[1400..].first_chunk().unwrap());
            assert_eq!(spectrum.code(), Some(word));
        }
    }

    #[test]
    fn silence_is_as_long_as_asked_for() {
        assert_eq!(silence(Duration::from_millis(300), 44_100).len(), 13_230);
    }
}
