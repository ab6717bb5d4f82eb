// SPDX-License-Identifier: MPL-2.0

//! Splits a sentence into the pieces that entities consist of: words as they are
//! written, without the punctuation around them. So `$25.50,` keeps its currency sign
//! and its decimal point.

use linkify::{LinkFinder, LinkKind};

/// Characters around a word that do not belong to it.
const AROUND: &[char] = &[
    ',', '.', '?', '!', ':', ';', '"', '\'', '\u{2019}', '\u{201c}', '\u{201d}', ')', ']', '(',
    '[', '…', '-', '\u{2013}', '\u{2014}',
];

/// Maximum number of pieces that are read from a sentence.
const MOST: usize = 400;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The word in lower case.
    pub(super) text: String,
    /// Position of the first character, in characters of the text.
    pub(super) start: usize,
    /// Position after the last character, in characters of the text.
    pub(super) end: usize,
    /// `true` if the word begins with a capital letter.
    pub(super) capital: bool,
    /// `true` if punctuation follows the word.
    pub(super) marked: bool,
    /// `true` if the word is an e-mail address.
    pub(super) email: bool,
}

/// Returns the pieces of a text, in order.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Email]);
    let emails: Vec<(usize, usize)> = finder.links(text).map(|l| (l.start(), l.end())).collect();
    let mut out = Vec::new();
    let mut characters = 0;
    let mut bytes = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let email = emails
            .iter()
            .find(|(start, _)| (bytes..bytes + word.len()).contains(start));
        let (from, to) = match email {
            Some((start, end)) => (start - bytes, (end - bytes).min(word.len())),
            None => core(word),
        };
        if from < to {
            let before = word.get(..from).unwrap_or_default();
            let behind = word.get(to..).unwrap_or_default();
            let inner = word.get(from..to).unwrap_or_default();
            let start = characters + before.chars().count();
            let marked = behind.contains(|c: char| !c.is_whitespace());
            push(&mut out, inner, start, marked, email.is_some());
        }
        characters += word.chars().count();
        bytes += word.len();
        if out.len() >= MOST {
            break;
        }
    }
    out
}

/// Returns the byte range of a word without the punctuation around it.
fn core(word: &str) -> (usize, usize) {
    let word_end = word.trim_end().len();
    let trimmed = word.get(..word_end).unwrap_or_default();
    // A number in brackets is the beginning of a phone number.
    let phone = trimmed.starts_with('(') && trimmed.contains(|c: char| c.is_ascii_digit());
    let inner = match phone {
        true => trimmed,
        false => trimmed.trim_start_matches(AROUND),
    };
    let from = trimmed.len() - inner.len();
    let keep_bracket = phone && trimmed.ends_with(')');
    let to = match keep_bracket {
        true => trimmed.len(),
        false => trimmed.trim_end_matches(AROUND).len(),
    };
    // The last full stop of `p.m.` belongs to the word.
    let is_meridiem = |word: &str| ["a.m", "p.m"].iter().any(|m| word.eq_ignore_ascii_case(m));
    let keep_stop = trimmed.get(from..to).is_some_and(is_meridiem)
        && trimmed.get(to..).is_some_and(|rest| rest.starts_with('.'));
    let to = to + usize::from(keep_stop);
    let has_content = trimmed
        .get(from..to)
        .is_some_and(|w| w.contains(|c: char| c.is_alphanumeric() || "$€£¥%".contains(c)));
    if has_content { (from, to) } else { (0, 0) }
}

/// Appends a word. Hyphens between letters split it: `twenty-five` becomes two
/// pieces.
fn push(out: &mut Vec<Piece>, inner: &str, start: usize, marked: bool, email: bool) {
    let split = !email && !inner.contains(|c: char| c.is_ascii_digit());
    let parts: Vec<&str> = match split {
        true => inner.split('-').collect(),
        false => vec![inner],
    };
    let last = parts.len().saturating_sub(1);
    let mut at = start;
    for (index, part) in parts.iter().enumerate() {
        let length = part.chars().count();
        if length > 0 {
            out.push(Piece {
                text: part.to_lowercase().replace('\u{2019}', "'"),
                start: at,
                end: at + length,
                capital: part.chars().next().is_some_and(char::is_uppercase),
                marked: marked && index == last,
                email,
            });
        }
        at += length + 1;
    }
}

/// Returns the word at an index, or an empty string.
pub(super) fn word(pieces: &[Piece], at: usize) -> &str {
    pieces.get(at).map_or("", |piece| piece.text.as_str())
}

/// Returns the word before an index, or an empty string.
pub(super) fn before(pieces: &[Piece], at: usize) -> &str {
    at.checked_sub(1).map_or("", |at| word(pieces, at))
}
