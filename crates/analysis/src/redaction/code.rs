// SPDX-License-Identifier: MPL-2.0

//! Reads letters and digits that were said or written one after the other: `k one a oh b
//! one`, `AB 12 34 56 C`. Post codes, national numbers and spoken IBANs are made of them.

use super::digits::element;
use super::word::{Word, bare};
use std::ops::Range;

/// Letters and digits that follow each other.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// The text in lower case, and where the word ends behind each piece of it.
    pieces: Vec<(usize, usize)>,
    text: String,
    start: usize,
}

impl Code {
    /// Reads at most `most` characters that begin at this word.
    pub(super) fn at(words: &[Word<'_>], start: usize, most: usize) -> Self {
        let mut code = Self {
            start,
            ..Self::default()
        };
        let mut at = start;
        while let Some((piece, end)) = piece(words, at) {
            if code.text.len() + piece.len() > most {
                break;
            }
            code.text.push_str(&piece);
            code.pieces.push((code.text.len(), end));
            at = end;
            if words.get(end - 1).is_some_and(|word| word.ends) {
                break;
            }
            while words.get(at).is_some_and(Word::is_filler) {
                at += 1;
            }
        }
        code
    }

    /// Returns the longest beginning of the code that `is_right`, with its words.
    pub(super) fn longest(&self, is_right: impl Fn(&str) -> bool) -> Option<Range<usize>> {
        let mut pieces = self.pieces.iter().rev();
        let (_, end) =
            pieces.find(|(length, _)| self.text.get(..*length).is_some_and(&is_right))?;
        Some(self.start..*end)
    }
}

/// Returns the characters that the word at an index stands for, and where they end.
fn piece(words: &[Word<'_>], at: usize) -> Option<(String, usize)> {
    let word = words.get(at)?;
    if word.is_letter() {
        return Some((word.bare.clone(), at + 1));
    }
    if word.bare == "oh" {
        return Some(("0".to_owned(), at + 1));
    }
    if bare(words, at) == "double" && words.get(at + 1).is_some_and(Word::is_letter) {
        return Some((bare(words, at + 1).repeat(2), at + 2));
    }
    if let Some(one) = element(words, at, false).filter(|one| !one.cardinal) {
        return Some((one.digits, one.words.end));
    }
    let text: String = word.bare.chars().filter(|c| *c != '-').collect();
    let has_digit = text.contains(|c: char| c.is_ascii_digit());
    let is_upper = word
        .raw
        .chars()
        .all(|c| !c.is_lowercase() && (c.is_alphanumeric() || ".,-?!:;".contains(c)));
    let is_code = text.bytes().all(|c| c.is_ascii_alphanumeric()) && (has_digit || is_upper);
    (is_code && !text.is_empty() && text.len() <= 34).then_some((text, at + 1))
}

/// Returns `true` if the text has this shape: `a` for a letter, `9` for a digit. The letter
/// O and zero sound alike.
pub(super) fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(c, shape): (char, char)| match shape {
        'a' => c.is_ascii_alphabetic() || c == '0',
        _ => c.is_ascii_digit() || c == 'o',
    };
    text.len() == shape.len() && text.chars().zip(shape.chars()).all(fits)
}
