// SPDX-License-Identifier: MPL-2.0

//! Finds what an operator's own patterns match.
//!
//! Each pattern is tried on the words as they were recognised, and on the same words with
//! spoken digits in digits and letters joined: `m one two three` as `m123`.

use super::digits::element;
use super::word::Word;
use regex::{Regex, RegexBuilder};
use std::ops::Range;

/// Most bytes that a compiled pattern may take: 1 MiB.
const SIZE: usize = 1 << 20;

/// Compiles a pattern, in which the case of letters does not matter.
///
/// # Errors
///
/// The pattern is no regular expression, or a too large one.
pub(super) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(SIZE)
        .build()
}

/// A text that was made of words.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    /// For each piece of the text: where it begins and ends, and of which words it is.
    pieces: Vec<(Range<usize>, Range<usize>)>,
}

impl Text {
    /// Returns the words as they were recognised.
    pub(super) fn recognised(words: &[Word<'_>]) -> Self {
        let mut text = Self::default();
        for (at, word) in words.iter().enumerate() {
            text.push(word.raw, at..at + 1, true);
        }
        text
    }

    /// Returns the words with digits in digits, and spelled letters and digits joined.
    pub(super) fn joined(words: &[Word<'_>]) -> Self {
        let mut text = Self::default();
        let mut at = 0;
        let mut spelled = false;
        while let Some(word) = words.get(at) {
            let number = element(words, at, spelled);
            let joins = number.is_some() || word.is_letter();
            let (piece, end) = match &number {
                Some(number) => (number.digits.as_str(), number.words.end),
                None => (word.bare.as_str(), at + 1),
            };
            text.push(piece, at..end, !(joins && spelled));
            spelled = joins;
            at = end;
        }
        text
    }

    fn push(&mut self, piece: &str, words: Range<usize>, spaced: bool) {
        if spaced && !self.text.is_empty() {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(piece);
        self.pieces.push((start..self.text.len(), words));
    }

    /// Appends the words of all matches.
    pub(super) fn matches(&self, pattern: &Regex, found: &mut Vec<Range<usize>>) {
        for hit in pattern.find_iter(&self.text).filter(|hit| !hit.is_empty()) {
            let mut touched = self
                .pieces
                .iter()
                .filter(|(piece, _)| piece.start < hit.end() && hit.start() < piece.end);
            let first = touched.next().map(|(_, words)| words);
            let last = touched.next_back().map(|(_, words)| words).or(first);
            if let (Some(first), Some(last)) = (first, last) {
                found.push(first.start..last.end);
            }
        }
    }
}
