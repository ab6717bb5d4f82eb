// SPDX-License-Identifier: MPL-2.0

//! Talk for the scripted recogniser, from a seed: what is said, and when.

use super::feed::MS;
use symbl_service::recognizer::scripted;

/// A word, and where it begins in nanoseconds.
pub type Said = (String, u64);

/// Audio at 16 kHz and the words in it.
pub struct Talk {
    pub samples: Vec<i16>,
    pub words: Vec<Said>,
    /// Where the utterances end, in nanoseconds, and how many words were said by then.
    ends: Vec<(u64, usize)>,
}

/// Which words are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Few, again and again: who takes equal text for the same utterance loses some.
    Few,
    /// Each once: who has lost audio between two equal words hears one.
    Distinct,
}

/// How many are few.
const FEW: u16 = 40;

/// An utterance ends at the latest after as many words, 200 ms each.
const LONGEST: u64 = 14;

impl Talk {
    /// `millis` of utterances with silence between them, on a grid of `grid` ms.
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

    /// Any of the few words, but not the last one: two equal words without a
    /// pause sound like one.
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

    /// Where the last utterance ends of those that end in this stretch, in nanoseconds.
    pub fn last_end(&self, stretch: std::ops::Range<u64>) -> Option<u64> {
        let ends = self.ends.iter().map(|(end, _)| *end);
        ends.rev().find(|end| stretch.contains(end))
    }

    /// How many words of utterances are over that end before `position`.
    pub fn over(&self, position: u64) -> usize {
        let ends = self.ends.partition_point(|(end, _)| *end < position);
        ends.checked_sub(1).map_or(0, |last| self.ends[last].1)
    }
}
