// SPDX-License-Identifier: MPL-2.0

//! Finds IBANs, written or spelled: `DE89 3704 0044 …`, `d e eight nine three seven …`.
//! Other numbers of accounts are known by what is said before them (`number`).

use super::code::Code;
use super::word::Word;
use std::ops::Range;

/// Most characters of an IBAN (ISO 13616).
const LONGEST: usize = 34;

/// Returns `true` for two letters and two digits.
fn is_begun(text: &str) -> bool {
    let mut bytes = text.bytes();
    let mut is = |what: fn(&u8) -> bool| bytes.next().is_none_or(|byte| what(&byte));
    let country = is(u8::is_ascii_alphabetic) && is(u8::is_ascii_alphabetic);
    country && is(u8::is_ascii_digit) && is(u8::is_ascii_digit)
}

fn is_whole(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    matches!(text.len(), 15..=LONGEST) && is_begun(text) && digits >= 8
}

/// Returns `true` if an IBAN may begin with this word.
fn begins(word: &Word<'_>) -> bool {
    word.is_letter()
        || matches!(word.bare.len(), 2..=LONGEST)
            && !word.raw.contains(char::is_lowercase)
            && word.bare.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Appends the words of all IBANs.
pub(super) fn find(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut from = 0;
    for (at, word) in words.iter().enumerate() {
        if at < from || !begins(word) {
            continue;
        }
        if let Some(span) = Code::at(words, at, LONGEST).longest(is_whole) {
            from = span.end;
            found.push(span);
        }
    }
}

/// Returns where an IBAN may begin that is not complete at the end of the words.
pub(super) fn begun(words: &[Word<'_>]) -> Option<usize> {
    let mut starts = words.len().saturating_sub(LONGEST)..words.len();
    starts.find(|at| {
        let code = Code::at(words, *at, LONGEST).longest(is_begun);
        words.get(*at).is_some_and(begins) && code.is_some_and(|span| span.end == words.len())
    })
}
