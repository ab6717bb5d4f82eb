// SPDX-License-Identifier: MPL-2.0

//! Finds the post codes of Britain and Canada: `SW1A 1AA`, `k one a oh b one`.

use super::code::{Code, has_shape};
use super::cue;
use super::word::{Word, bare, ends_with};
use std::ops::Range;

const BRITAIN: &[&str] = &["a99aa", "a999aa", "aa99aa", "aa999aa", "a9a9aa", "aa9a9aa"];

const CANADA: &str = "a9a9a9";

/// What is said before a post code.
const CUES: &[&str] = &[
    "postcode",
    "post code",
    "postal code",
    "zip",
    "zip code",
    "postcode's",
];

/// How many words before a post code say that it is one.
const REACH: usize = 6;

fn is_canadian(text: &str) -> bool {
    let known = text.starts_with(|c: char| "abceghjklmnprstvxy".contains(c));
    known && has_shape(text, CANADA)
}

fn is_british(text: &str) -> bool {
    // The last two letters are none of these, so that they are not taken for others.
    let inward = text.get(text.len().saturating_sub(2)..).unwrap_or_default();
    let known = !inward.contains(|c: char| "cikmv".contains(c));
    known && BRITAIN.iter().any(|shape| has_shape(text, shape))
}

/// Returns where the post code ends that begins at this word, where one is expected.
pub(super) fn end(words: &[Word<'_>], at: usize) -> Option<usize> {
    let code = Code::at(words, at, 8);
    let found = code.longest(|text| is_canadian(text) || is_british(text))?;
    Some(found.end)
}

/// Appends the words of all post codes.
pub(super) fn find(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while at < words.len() {
        match one(words, at) {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
}

fn one(words: &[Word<'_>], at: usize) -> Option<usize> {
    let word = words.get(at)?;
    let begins =
        word.is_letter() || word.bare.len() <= 7 && word.raw.starts_with(char::is_uppercase);
    if !begins || words.get(at.wrapping_sub(1)).is_some_and(Word::is_letter) && !is_cued(words, at)
    {
        return None;
    }
    let end = end(words, at)?;
    let is_written = end - at == 2 && words.get(at..end)?.iter().all(is_capital);
    let spoken = Code::at(words, at, 6).longest(is_canadian).is_some();
    let sure = is_cued(words, at) || (is_written || spoken) && !cue::is_other(words, at);
    sure.then_some(end)
}

fn is_capital(word: &Word<'_>) -> bool {
    word.raw.chars().all(|c| !c.is_lowercase())
}

fn is_cued(words: &[Word<'_>], at: usize) -> bool {
    let from = at.saturating_sub(REACH);
    (from..at).any(|last| CUES.iter().any(|cue| ends_with(words, last, cue)))
}

/// Returns where a post code may begin that is not complete at the end of the words.
pub(super) fn begun(words: &[Word<'_>]) -> Option<usize> {
    let from = words.len().saturating_sub(8);
    (from..words.len()).find(|at| {
        let code = Code::at(words, *at, 8);
        let whole = code.longest(|_| true);
        let is_open = whole.is_some_and(|span| span.end == words.len());
        is_open && !matches!(bare(words, *at), "a" | "i")
    })
}
