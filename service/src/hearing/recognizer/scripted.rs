// SPDX-License-Identifier: MPL-2.0

//! A deterministic recogniser for tests: it recognises the numbers that [`speech`] speaks
//! and nothing else.
//!
//! The words depend on the samples alone. This engine must never look at a clock, at how
//! the audio was cut into calls, or at other streams. So a test knows which words come out
//! of which audio, even if the audio was cut, replayed, resampled or re-encoded on the way.
//!
//! A word counts once 100 ms of it have come. An interim follows each new word. A final
//! follows the tenth word, or 300 ms without a word.

use super::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use crate::hearing::capacity::Capacity;
use std::time::Duration;
use symbl_tones::{Decoder, Event};

pub use symbl_tones::{VOCABULARY, WORD_LENGTH, silence, speech};

/// An utterance ends when no word has come for this long.
pub const UTTERANCE_GAP: Duration = Duration::from_millis(300);

/// An utterance ends after this many words at the latest.
pub const UTTERANCE_WORDS: usize = 10;

/// The scripted recogniser.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scripted;

impl Recognizer for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn capacity(&self) -> Capacity {
        Capacity::Here { cost: 0.001 }
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(ScriptedStream {
            decoder: Decoder::new(UTTERANCE_GAP),
            heard: Vec::new(),
            interim: options.interim,
            words: Vec::new(),
        }))
    }
}

struct ScriptedStream {
    decoder: Decoder,
    heard: Vec<Event>,
    interim: bool,
    /// The utterance in progress.
    words: Vec<RecognisedWord>,
}

impl ScriptedStream {
    fn take_heard(&mut self, out: &mut Vec<Recognition>) {
        for heard in self.heard.drain(..) {
            match heard {
                Event::Word { code, start } => {
                    self.words.push(RecognisedWord {
                        text: format!("w{code}"),
                        start,
                        end: start,
                        confidence: 1.0,
                    });
                    if self.interim {
                        out.push(Recognition::Interim {
                            words: self.words.clone(),
                            // This engine never takes back a word.
                            stable: self.words.len(),
                        });
                    }
                }
                Event::EndOfWord { end } => {
                    if let Some(word) = self.words.last_mut() {
                        word.end = end.max(word.start);
                    }
                    if self.words.len() >= UTTERANCE_WORDS {
                        finalise(&mut self.words, out);
                    }
                }
                Event::Quiet => finalise(&mut self.words, out),
            }
        }
    }
}

fn finalise(words: &mut Vec<RecognisedWord>, out: &mut Vec<Recognition>) {
    if !words.is_empty() {
        let words = std::mem::take(words);
        out.push(Recognition::bare(words));
    }
}

impl RecognizerStream for ScriptedStream {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.decoder.push(samples, &mut self.heard);
        self.take_heard(out);
        Ok(())
    }

    fn settled(&self) -> Option<Duration> {
        let first = self.words.first();
        Some(first.map_or_else(|| self.decoder.settled(), |word| word.start))
    }

    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.decoder.finish(&mut self.heard);
        self.take_heard(out);
        finalise(&mut self.words, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hearing::recognizer::text_of;

    fn hear(samples: &[i16], chunk: usize) -> Vec<Recognition> {
        let options = StreamOptions {
            interim: true,
            ..StreamOptions::default()
        };
        let mut stream = Scripted.open(&options).unwrap();
        let mut out = Vec::new();
        for piece in samples.chunks(chunk) {
            stream.push(piece, &mut out).unwrap();
        }
        stream.finish(&mut out).unwrap();
        out
    }

    fn words(heard: &[Recognition]) -> Vec<RecognisedWord> {
        let mut all = Vec::new();
        for recognition in heard {
            if let Recognition::Final { words, .. } = recognition {
                all.extend(words.iter().cloned());
            }
        }
        all
    }

    fn texts(heard: &[Recognition]) -> Vec<String> {
        words(heard).into_iter().map(|w| w.text).collect()
    }

    fn close(a: Duration, millis: u64, within: u64) -> bool {
        a.abs_diff(Duration::from_millis(millis)) <= Duration::from_millis(within)
    }

    #[test]
    fn each_word_comes_out_once_in_order_and_at_its_time() {
        let heard = words(&hear(&speech(1000..1064, 16_000), 1600));
        assert_eq!(heard.len(), 64);
        for (k, word) in (0u64..).zip(&heard) {
            assert_eq!(word.text, format!("w{}", 1000 + k));
            assert!(close(word.start, 200 * k, 3), "{word:?}");
            assert!(close(word.end, 200 * k + 200, 3), "{word:?}");
        }
    }

    #[test]
    fn how_audio_is_cut_into_calls_does_not_matter() {
        let mut samples = speech(7..20, 16_000);
        samples.extend(silence(Duration::from_millis(450), 16_000));
        samples.extend(speech([4095, 0, 4095, 2048], 16_000));
        let whole = hear(&samples, samples.len());
        for chunk in [1, 79, 80, 333, 5000] {
            assert_eq!(hear(&samples, chunk), whole);
        }
    }

    #[test]
    fn silence_noise_and_single_tones_are_no_words() {
        let rate = 16_000;
        assert!(hear(&silence(Duration::from_secs(2), rate), 160).is_empty());
        let mut seed = 1u32;
        let noise: Vec<i16> = (0..32_000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((seed >> 16) as i16) / 4
            })
            .collect();
        assert!(hear(&noise, 160).is_empty());
        let tone: Vec<i16> = (0..32_000)
            .map(|i| (9000.0 * (i as f64 * 0.3).sin()) as i16)
            .collect();
        assert!(hear(&tone, 160).is_empty());
    }

    #[test]
    fn soft_speech_is_heard_like_loud_speech() {
        let soft: Vec<i16> = speech(30..40, 16_000).iter().map(|s| s / 30).collect();
        let expected: Vec<String> = (30..40).map(|n| format!("w{n}")).collect();
        assert_eq!(texts(&hear(&soft, 160)), expected);
    }

    #[test]
    fn the_two_parts_of_a_cut_word_give_it_once() {
        let samples = speech(50..53, 16_000);
        for cut in (3200..6400).step_by(160) {
            let mut both = texts(&hear(&samples[..cut], 160));
            both.extend(texts(&hear(&samples[cut..], 160)));
            // At exactly one half each part holds the 100 ms that a word needs.
            if (4790..=4810).contains(&cut) {
                both.dedup();
            }
            assert_eq!(both, ["w50", "w51", "w52"], "cut at {cut}");
        }
    }

    #[test]
    fn an_interim_follows_each_word_and_repeats_the_utterance_so_far() {
        let interims: Vec<String> = hear(&speech(3..6, 16_000), 160)
            .into_iter()
            .filter_map(|r| match r {
                Recognition::Interim { words, .. } => Some(text_of(&words)),
                _ => None,
            })
            .collect();
        assert_eq!(interims, ["w3", "w3 w4", "w3 w4 w5"]);
    }

    #[test]
    fn a_final_comes_after_ten_words_or_three_hundred_milliseconds_of_silence() {
        let mut samples = speech(0..12, 16_000);
        samples.extend(silence(Duration::from_millis(290), 16_000));
        samples.extend(speech(100..102, 16_000));
        samples.extend(silence(Duration::from_millis(320), 16_000));
        samples.extend(speech(200..201, 16_000));
        let lengths: Vec<usize> = hear(&samples, 160)
            .iter()
            .filter_map(|r| match r {
                Recognition::Final { words, .. } => Some(words.len()),
                _ => None,
            })
            .collect();
        assert_eq!(lengths, [10, 4, 1]);
    }

    #[test]
    fn results_come_while_the_audio_runs() {
        let options = StreamOptions::default();
        let mut stream = Scripted.open(&options).unwrap();
        let mut out = Vec::new();
        let mut samples = speech(0..1, 16_000);
        samples.extend(silence(Duration::from_millis(330), 16_000));
        stream.push(&samples, &mut out).unwrap();
        assert!(
            matches!(out.as_slice(), [Recognition::Final { .. }]),
            "{out:?}"
        );
    }

    #[test]
    fn without_interims_there_are_only_finals() {
        let mut stream = Scripted.open(&StreamOptions::default()).unwrap();
        let mut out = Vec::new();
        stream.push(&speech(0..3, 16_000), &mut out).unwrap();
        stream.finish(&mut out).unwrap();
        assert_eq!(out.len(), 1);
    }
}
