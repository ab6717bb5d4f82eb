// SPDX-License-Identifier: MPL-2.0

//! Finds the numbers with letters in them by which a state knows a person: of the national
//! insurance, of passports and of driving licences.

use super::code::{Code, has_shape};
use super::word::{Word, bare, ends_with};
use std::ops::Range;

/// The number of the British national insurance.
const INSURANCE: &str = "aa999999a";

const CUES: &[&str] = &[
    "passport",
    "national insurance",
    "ni",
    "n i",
    "driver's license",
    "drivers license",
    "driver license",
    "driving licence",
    "driving license",
    "driver's licence",
    "license number",
    "licence number",
    "passport's",
];

/// Words between the cue and the number.
#[rustfmt::skip]
const BETWEEN: &[&str] = &[
    "number", "is", "it's", "its", "the", "um", "uh", "that's", "sure", "yes", "okay", "would", "be", "reads",
    "no", "my", "and", "was", "number's", "so",
];

/// Most words between the cue and the number.
const WIDEST: usize = 6;

/// Appends the words of all such numbers.
pub(super) fn find(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut from = 0;
    for at in 0..words.len() {
        if at < from || !begins(words, at) {
            continue;
        }
        let insured = Code::at(words, at, 9).longest(is_insurance);
        let number = insured.or_else(|| {
            let code = Code::at(words, at, 18);
            cued(words, at).then(|| code.longest(is_number)).flatten()
        });
        if let Some(span) = number {
            from = span.end;
            found.push(span);
        }
    }
}

fn is_insurance(text: &str) -> bool {
    has_shape(text, INSURANCE) && text.ends_with(['a', 'b', 'c', 'd'])
}

fn is_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    matches!(text.len(), 6..=18) && digits >= 4
}

fn begins(words: &[Word<'_>], at: usize) -> bool {
    words.get(at).is_some_and(|word| {
        word.is_letter() || word.bare.len() > 1 && !word.raw.contains(char::is_lowercase)
    })
}

fn cued(words: &[Word<'_>], at: usize) -> bool {
    let mut before = at;
    while before > 0 && at - before < WIDEST {
        if CUES.iter().any(|cue| ends_with(words, before - 1, cue)) {
            return true;
        }
        if !BETWEEN.contains(&bare(words, before - 1)) {
            return false;
        }
        before -= 1;
    }
    false
}

/// Returns where such a number may begin that is not complete at the end of the words.
pub(super) fn begun(words: &[Word<'_>]) -> Option<usize> {
    let from = words.len().saturating_sub(20);
    (from..words.len()).find(|at| {
        let whole = Code::at(words, *at, 18).longest(|_| true);
        let is_open = whole.is_some_and(|span| span.end == words.len());
        is_open && begins(words, *at) && !matches!(bare(words, *at), "a" | "i")
    })
}
