// SPDX-License-Identifier: MPL-2.0
//! Turns the engine's segments into words with times of the stream.
//!
//! Fillers (`<s>`, `<sil>`, `[NOISE]`, `++BREATH++`) and the numbers of alternative
//! pronunciations (`the(2)`) are dropped. Pure.

use std::time::Duration;

use super::ffi::{FRAMES_PER_SECOND, Segment};
use crate::hearing::recognizer::{RecognisedWord, time_of};
use crate::hearing::segmenter::Utterance;

/// Returns the words of `utterance`, in order. None of them ends after the utterance.
pub(super) fn words(utterance: &Utterance, segments: &[Segment]) -> Vec<RecognisedWord> {
    let start = time_of(utterance.start);
    let end = time_of(utterance.start + utterance.samples.len() as u64);
    let frame = Duration::from_secs(1) / FRAMES_PER_SECOND;
    segments
        .iter()
        .filter_map(|segment| {
            let text = spoken(&segment.word)?;
            let word_start = (start + frame * segment.first_frame).min(end);
            let word_end = start + frame * segment.last_frame.saturating_add(1);
            Some(RecognisedWord {
                text: text.to_owned(),
                start: word_start,
                end: word_end.clamp(word_start, end),
                confidence: segment.posterior,
            })
        })
        .collect()
}

/// Returns the word without the number of its pronunciation, or `None` for a filler.
fn spoken(word: &str) -> Option<&str> {
    if word.starts_with(['<', '[']) || word.starts_with("++") {
        return None;
    }
    let word = match word
        .strip_suffix(')')
        .and_then(|word| word.rsplit_once('('))
    {
        Some((word, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => word,
        _ => word,
    };
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(word: &str, first_frame: u32, last_frame: u32) -> Segment {
        Segment {
            word: word.to_owned(),
            first_frame,
            last_frame,
            posterior: 0.75,
        }
    }

    #[test]
    fn fillers_and_pronunciation_numbers_are_no_words() {
        for filler in ["<s>", "</s>", "<sil>", "[NOISE]", "++BREATH++", ""] {
            assert_eq!(spoken(filler), None, "{filler}");
        }
        assert_eq!(spoken("the(2)"), Some("the"));
        assert_eq!(spoken("i'm"), Some("i'm"));
        assert_eq!(spoken("a(b)"), Some("a(b)"));
    }

    #[test]
    fn times_count_from_the_start_of_the_stream() {
        let utterance = Utterance {
            start: 48_000,
            onset: 48_000,
            samples: vec![0; 16_000],
            voiced: Vec::new(),
        };
        let segments = [segment("<s>", 0, 9), segment("hello(2)", 10, 59)];
        assert_eq!(
            words(&utterance, &segments),
            [RecognisedWord {
                text: "hello".to_owned(),
                start: Duration::from_millis(3_100),
                end: Duration::from_millis(3_600),
                confidence: 0.75,
            }]
        );
    }

    #[test]
    fn no_word_ends_after_its_utterance() {
        let utterance = Utterance {
            start: 0,
            onset: 0,
            samples: vec![0; 1_600],
            voiced: Vec::new(),
        };
        let words = words(
            &utterance,
            &[segment("late", 8, 30), segment("later", 40, 50)],
        );
        for word in words {
            assert!(word.start <= word.end && word.end <= Duration::from_millis(100));
        }
    }

    #[test]
    fn a_sample_a_year_into_the_stream_still_has_its_time() {
        let year = 365 * 24 * 3600;
        assert_eq!(time_of(year * 16_000 + 8), Duration::new(year, 500_000));
    }
}
