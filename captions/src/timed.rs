// SPDX-License-Identifier: MPL-2.0

//! Splits a text into pieces between which a line may break, each with its times.
//!
//! The times come from the words. Their spelling may differ from that of the text
//! (`I'm` became `I am`). Then the time of a place in the text is that of the same
//! share of the words. All times are milliseconds, as in all caption formats.

use crate::order::LEAP;
use crate::{TimedWord, Utterance, visible};
use std::time::Duration;
use textwrap::WordSeparator;
use textwrap::core::{Fragment, break_words, display_width};

/// Speaking rate in characters per second, for text without times.
const SPOKEN_PER_SECOND: u64 = 15;

/// A piece of text in which no line breaks, at most as wide as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// `true` if white space follows it.
    pub(crate) spaced: bool,
    /// Start in milliseconds.
    pub(crate) start: u64,
    /// End in milliseconds, not before `start`.
    pub(crate) end: u64,
    columns: usize,
}

impl Piece {
    /// Creates the piece with the speaker's name that stands before the words said
    /// from `start` on.
    pub(crate) fn name(text: &str, start: u64) -> Self {
        Self {
            text: text.to_owned(),
            spaced: true,
            start,
            end: start,
            columns: display_width(text),
        }
    }
}

impl Fragment for Piece {
    fn width(&self) -> f64 {
        self.columns as f64
    }

    fn whitespace_width(&self) -> f64 {
        f64::from(u8::from(self.spaced))
    }

    fn penalty_width(&self) -> f64 {
        0.0
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns `true` if `utterance` has any time.
pub(crate) fn is_timed(utterance: &Utterance<'_>) -> bool {
    let has_words = utterance.words.iter().any(|word| signs(&word.text) > 0);
    has_words || utterance.start.is_some() || utterance.end.is_some()
}

/// Returns the pieces of `utterance`, none wider than `columns`. Their times never
/// decrease. They count from 0 if `utterance` has no times.
pub(crate) fn pieces(utterance: &Utterance<'_>, columns: usize) -> Vec<Piece> {
    let text = visible(utterance.text);
    let clock = WordClock::of(utterance, &text);
    let words = WordSeparator::UnicodeBreakProperties.find_words(&text);
    let all = signs(&text);
    let mut at = 0;
    let mut pieces: Vec<Piece> = Vec::new();
    for word in break_words(words, columns) {
        // Some characters forbid a break at the space before them: "a /b" is one
        // word. If it is too wide for a line, it is cut at that space.
        let text = word.word.trim();
        if word.word.starts_with(' ')
            && let Some(last) = pieces.last_mut()
        {
            last.spaced = true;
        }
        if text.is_empty() {
            continue;
        }
        let begin = at;
        at += signs(text);
        pieces.push(Piece {
            text: text.to_owned(),
            spaced: !word.whitespace.is_empty() || word.word.ends_with(' '),
            start: clock.at(begin, all, Side::Behind),
            end: clock.at(at, all, Side::Before),
            columns: display_width(text),
        });
    }
    pieces
}

/// Returns the times of the words, in order. A word that is far from both its
/// neighbours has a wrong time and gets the time of the word before it.
fn believed(utterance: &Utterance<'_>) -> Vec<(u64, u64)> {
    let start_of = |index: usize| {
        utterance
            .words
            .get(index)
            .map(|word: &TimedWord| millis(word.start))
    };
    let mut before: Option<u64> = None;
    let mut times = Vec::with_capacity(utterance.words.len());
    for (index, word) in utterance.words.iter().enumerate() {
        let start = millis(word.start);
        let end_of_all = utterance.end.map(millis);
        // The next word, or the end of the utterance, confirms a time that is far
        // ahead.
        let confirmed = |time: u64| {
            let next = start_of(index + 1).or(end_of_all);
            next.is_some_and(|next| next.saturating_add(LEAP) >= time)
        };
        let (start, right) = match before {
            Some(before) if start < before => (before, false),
            Some(before) if start > before.saturating_add(LEAP) && !confirmed(start) => {
                (before, false)
            }
            None if start_of(index + 1).is_some() && !confirmed(start) => {
                (start_of(index + 1).unwrap_or(start), false)
            }
            _ => (start, true),
        };
        before = Some(start);
        let end = millis(word.end);
        let end = match right {
            true => end.clamp(start, start.saturating_add(LEAP)),
            false => start,
        };
        times.push((start, end));
    }
    times
}

/// Returns the number of visible characters.
fn signs(text: &str) -> u64 {
    text.chars().filter(|c| !c.is_whitespace()).count() as u64
}

/// The word to which a place between two words belongs.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Before,
    Behind,
}

struct Span {
    /// Number of characters up to the end of this word.
    until: u64,
    signs: u64,
    start: u64,
    end: u64,
}

/// Maps places in a text to times.
struct WordClock {
    spans: Vec<Span>,
    /// Number of characters of all words.
    signs: u64,
}

impl WordClock {
    fn of(utterance: &Utterance<'_>, text: &str) -> Self {
        let mut clock = Self {
            spans: Vec::with_capacity(utterance.words.len().max(1)),
            signs: 0,
        };
        let shown: Vec<&str> = text.split(' ').collect();
        let alike = shown.len() == utterance.words.len();
        for (index, (start, end)) in believed(utterance).into_iter().enumerate() {
            let spelt = shown.get(index).filter(|_| alike).copied();
            let heard = utterance.words.get(index).map(|word| word.text.as_str());
            clock.push(signs(spelt.or(heard).unwrap_or_default()), start, end);
        }
        if clock.signs == 0 {
            let signs = signs(text);
            let read = signs.saturating_mul(1000) / SPOKEN_PER_SECOND;
            let (start, end) = match (utterance.start.map(millis), utterance.end.map(millis)) {
                // No speaker is slower than one character per second.
                (Some(start), Some(end)) if end.saturating_sub(start) <= LEAP + signs * 1000 => {
                    (start, end.max(start))
                }
                (None, Some(end)) => (end.saturating_sub(read), end),
                (start, _) => {
                    let start = start.unwrap_or(0);
                    (start, start.saturating_add(read))
                }
            };
            clock.push(signs, start, end);
        }
        clock
    }

    fn push(&mut self, signs: u64, start: u64, end: u64) {
        if signs > 0 {
            self.signs += signs;
            let until = self.signs;
            self.spans.push(Span {
                until,
                signs,
                start,
                end,
            });
        }
    }

    /// Returns the time of the place after `at` of `all` characters, in milliseconds.
    fn at(&self, at: u64, all: u64, side: Side) -> u64 {
        // Integers, so that the edges of a word are exact to the millisecond.
        let (at, all) = (u128::from(at), u128::from(all.max(1)));
        let place = at * u128::from(self.signs);
        let found = self.spans.partition_point(|span| match side {
            Side::Behind => u128::from(span.until) * all <= place,
            Side::Before => u128::from(span.until) * all < place,
        });
        let Some(span) = self.spans.get(found).or(self.spans.last()) else {
            return 0;
        };
        let begin = u128::from(span.until - span.signs) * all;
        let share = place
            .saturating_sub(begin)
            .min(u128::from(span.signs) * all);
        let length = u128::from(span.end - span.start);
        let into = length * share / (u128::from(span.signs) * all);
        span.start
            .saturating_add(u64::try_from(into).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, pieces};
    use crate::{TimedWord, Utterance};
    use std::time::Duration;

    fn word(text: &str, start: u64, end: u64) -> TimedWord {
        TimedWord {
            text: text.to_owned(),
            start: Duration::from_millis(start),
            end: Duration::from_millis(end),
        }
    }

    fn times(utterance: &Utterance<'_>) -> Vec<(String, u64, u64)> {
        let of = |piece: Piece| (piece.text, piece.start, piece.end);
        pieces(utterance, 42).into_iter().map(of).collect()
    }

    #[test]
    fn words_keep_their_times_however_they_are_spelt() {
        let words = [word("hello", 1000, 1400), word("world", 1500, 2000)];
        for text in ["hello world", "Hello, world!!", "a  b"] {
            let utterance = Utterance {
                text,
                words: &words,
                ..Utterance::default()
            };
            let times = times(&utterance);
            assert_eq!((times[0].1, times[0].2), (1000, 1400), "{text}");
            assert_eq!((times[1].1, times[1].2), (1500, 2000), "{text}");
        }
    }

    #[test]
    fn other_words_than_those_timed_share_their_time() {
        let words = [word("I'm", 1000, 2000), word("fine", 2000, 3000)];
        let utterance = Utterance {
            text: "I am fine",
            words: &words,
            ..Utterance::default()
        };
        let found = times(&utterance);
        assert_eq!(found[0].1, 1000);
        assert_eq!(found[2].2, 3000);
        assert!(found.is_sorted_by_key(|piece| piece.1), "{found:?}");
    }

    #[test]
    fn without_words_the_time_is_shared_and_without_an_end_it_is_guessed() {
        let utterance = Utterance {
            text: "aaaa bbbb",
            start: Some(Duration::from_secs(1)),
            end: Some(Duration::from_secs(3)),
            ..Utterance::default()
        };
        let halves = [("aaaa", 1000, 2000), ("bbbb", 2000, 3000)];
        assert_eq!(
            times(&utterance),
            halves.map(|(t, a, b)| (t.to_owned(), a, b))
        );
        let unknown = Utterance {
            start: None,
            end: None,
            ..utterance
        };
        assert_eq!(times(&unknown)[0].1, 0);
        assert_eq!(times(&unknown)[1].2, 533);
    }

    #[test]
    fn text_in_a_script_without_spaces_is_in_pieces_too() {
        let text = "これは字幕です".repeat(20);
        let utterance = Utterance {
            text: &text,
            ..Utterance::default()
        };
        let pieces = pieces(&utterance, 42);
        assert!(pieces.len() > 20);
        let whole: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(whole, text);
    }

    #[test]
    fn a_wide_word_with_a_space_in_it_is_cut_without_the_space() {
        let text = format!("{} :aaa {}/ b", "a".repeat(42), "b".repeat(41));
        let utterance = Utterance {
            text: &text,
            ..Utterance::default()
        };
        let pieces = pieces(&utterance, 42);
        for piece in &pieces {
            assert_eq!(piece.text, piece.text.trim(), "{pieces:?}");
        }
        assert!(
            pieces[0].spaced && pieces[1].text.starts_with(':'),
            "{pieces:?}"
        );
    }
}
