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

/// Few words, so that the same is said again and again: who takes equal text
/// for the same utterance loses some.
const WORDS: u16 = 40;

/// An utterance ends at the latest after as many words, 200 ms each.
const LONGEST: u64 = 14;

impl Talk {
    /// `millis` of utterances with silence between them, on a grid of `grid` ms.
    pub fn new(seed: u64, millis: u64, grid: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let sounds: Vec<_> = (0..WORDS).map(|w| scripted::speech([w], 16_000)).collect();
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
            talk.utter(random.u64(1..=LONGEST), &sounds, &mut random);
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

    fn utter(&mut self, count: u64, sounds: &[Vec<i16>], random: &mut fastrand::Rng) {
        let mut last = None;
        for _ in 0..count {
            // Two equal words without a pause sound like one.
            let mut words = std::iter::repeat_with(|| random.u16(..WORDS));
            let word = words.find(|word| last != Some(*word));
            let word = word.expect("there are others");
            last = Some(word);
            self.words.push((format!("w{word}"), self.millis() * MS));
            self.samples.extend(&sounds[usize::from(word)]);
        }
        self.ends.push((self.millis() * MS, self.words.len()));
    }

    /// How many words of utterances are over that end before `position`.
    pub fn over(&self, position: u64) -> usize {
        let ends = self.ends.partition_point(|(end, _)| *end < position);
        ends.checked_sub(1).map_or(0, |last| self.ends[last].1)
    }
}
