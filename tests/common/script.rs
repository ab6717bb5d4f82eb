// SPDX-License-Identifier: MPL-2.0

//! Speech for the scripted recogniser, drawn from a seed.

use super::feed::MS;
use symbl_service::recognizer::scripted;

/// A word, and its start in nanoseconds.
pub type Said = (String, u64);

/// Audio at 16 kHz and the words in it.
pub struct Talk {
    pub samples: Vec<i16>,
    pub words: Vec<Said>,
    /// The ends of the utterances, in nanoseconds, and the number of words up to each.
    ends: Vec<(u64, usize)>,
}

/// The choice of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// A few words, again and again. A client that takes equal text for the same utterance
    /// loses some.
    Few,
    /// Each word once. If audio between two equal words is lost, the recogniser hears one word.
    Distinct,
}

/// The number of words of [`Choice::Few`].
const FEW: u16 = 40;

/// Most words in an utterance, 200 ms each.
const LONGEST: u64 = 14;

impl Talk {
    /// Draws `millis` of utterances with silence between them, on a grid of `grid` ms.
    pub fn new(seed: u64, millis: u64, grid: u64, choice: Choice) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let few: Vec<_> = (0..FEW).map(|w| scripted::speech([w], 16_000)).collect();
        let mut talk = Self {
            samples: Vec::new(),
            words: Vec::new(),
            ends: Vec::new(),
        };
        loop {
            // An utterance is over after 300 ms of silence.
            let pause = random.u64(400 / grid..=4500 / grid) * grid;
            if talk.millis() + pause + LONGEST * 200 + 1000 > millis {
                break;
            }
            talk.hush(pause);
            for _ in 0..random.u64(1..=LONGEST) {
                match choice {
                    Choice::Few => {
                        let word = talk.another(&mut random);
                        talk.utter(word, &few[usize::from(word)]);
                    }
                    Choice::Distinct => {
                        let word = u16::try_from(talk.words.len()).expect("not so many");
                        talk.utter(word, &scripted::speech([word], 16_000));
                    }
                }
            }
            talk.ends.push((talk.millis() * MS, talk.words.len()));
        }
        talk.hush(millis - talk.millis());
        talk
    }

    pub fn millis(&self) -> u64 {
        self.samples.len() as u64 / 16
    }

    fn hush(&mut self, millis: u64) {
        let length = self.samples.len() + millis as usize * 16;
        self.samples.resize(length, 0);
    }

    /// Draws one of the few words, but not the last one: two equal words without a pause sound
    /// like one.
    fn another(&self, random: &mut fastrand::Rng) -> u16 {
        let last = self.words.last().map(|(word, _)| word.as_str());
        let mut words = std::iter::repeat_with(|| random.u16(..FEW));
        let other = words.find(|word| last != Some(&format!("w{word}")));
        other.expect("there are others")
    }

    fn utter(&mut self, word: u16, sound: &[i16]) {
        self.words.push((format!("w{word}"), self.millis() * MS));
        self.samples.extend(sound);
    }

    /// Returns the end of the last utterance that ends in this stretch, in nanoseconds.
    pub fn last_end(&self, stretch: std::ops::Range<u64>) -> Option<u64> {
        let ends = self.ends.iter().map(|(end, _)| *end);
        ends.rev().find(|end| stretch.contains(end))
    }

    /// Returns the number of words in utterances that end before `position`.
    pub fn over(&self, position: u64) -> usize {
        let ends = self.ends.partition_point(|(end, _)| *end < position);
        ends.checked_sub(1).map_or(0, |last| self.ends[last].1)
    }
}
