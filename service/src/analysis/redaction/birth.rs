// SPDX-License-Identifier: MPL-2.0

//! Finds the dates of births, and the dates when cards expire.

use super::digits::element;
use super::word::{Word, bare, ends_with};
use crate::analysis::calendar::MONTHS;
use crate::analysis::number::ORDINALS;
use std::ops::Range;

const BIRTH: &[&str] = &[
    "born",
    "birthday",
    "date of birth",
    "birth date",
    "birthdate",
    "dob",
    "d o b",
    "birthday's",
];

const EXPIRY: &[&str] = &[
    "expires",
    "expiration",
    "expiration date",
    "expiry",
    "expiry date",
    "exp",
    "expiring",
];

/// Words between the cue and the date.
const BETWEEN: &[&str] = &[
    "is", "on", "in", "it's", "its", "was", "the", "at", "um", "uh", "it", "date", "would", "be",
    "of", "please", "yes", "yeah", "sure", "okay", "ok", "that's", "and", "so", "again",
];

const SHORT_MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
];

fn is_month(word: &str) -> bool {
    MONTHS.contains(&word) || SHORT_MONTHS.contains(&word)
}

/// Returns `true` for the ordinals of days.
fn is_ordinal(word: &str) -> bool {
    word == "thirtieth" || ORDINALS.iter().skip(1).any(|known| *known == word)
}

/// Words that a card's expiry follows: `and it expires`.
const OF_CARD: &[&str] = &[
    "it", "that", "and", "card", "which", "the", "my", "", "with", "exp", "also", "visa",
];

/// Appends the words of all dates of births.
pub(super) fn births(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    dates(words, BIRTH, found);
}

/// Appends the words of all dates when a card expires.
pub(super) fn expiries(words: &[Word<'_>], found: &mut Vec<Range<usize>>) {
    let mut dates_of = Vec::new();
    dates(words, EXPIRY, &mut dates_of);
    let is_year = |span: &Range<usize>| {
        let length = words.get(span.clone()).unwrap_or_default();
        let digits: usize = span
            .clone()
            .filter_map(|at| element(words, at, at > span.start))
            .map(|one| one.digits.len())
            .sum();
        digits >= 2 || length.iter().any(|word| word.raw.contains('/'))
    };
    found.extend(dates_of.into_iter().filter(is_year));
}

fn dates(words: &[Word<'_>], cues: &[&str], found: &mut Vec<Range<usize>>) {
    for last in 0..words.len() {
        let Some(cue) = cues.iter().find(|cue| ends_with(words, last, cue)) else {
            continue;
        };
        let first = last + 1 - cue.split(' ').count();
        if cues == EXPIRY
            && !OF_CARD.contains(&first.checked_sub(1).map_or("", |at| bare(words, at)))
            && !words
                .get(first.wrapping_sub(1))
                .is_some_and(|word| word.marked)
        {
            continue;
        }
        let mut start = last + 1;
        while start < last + 7 && BETWEEN.contains(&bare(words, start)) {
            // `the twelfth of june` begins with its article.
            if bare(words, start) == "the" && date_word(words, start + 1).is_some() {
                break;
            }
            start += 1;
        }
        if let Some(end) = date(words, start) {
            found.push(start..end);
        }
    }
}

/// Returns how many words from here on are a part of a date, and if it is a number or a month.
fn date_word(words: &[Word<'_>], at: usize) -> Option<usize> {
    let word = words.get(at)?;
    let bare = word.bare.as_str();
    let digits = bare.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let ordinal = !digits.is_empty()
        && digits.len() <= 2
        && ["st", "nd", "rd", "th"].contains(&bare.get(digits.len()..)?)
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_written = bare.contains(|c: char| c.is_ascii_digit())
        && bare
            .chars()
            .all(|c| c.is_ascii_digit() || "/-.".contains(c));
    if is_month(bare) || is_ordinal(bare) || ordinal || is_written {
        return Some(1);
    }
    let hyphened = bare
        .split_once('-')
        .is_some_and(|(_, unit)| is_ordinal(unit));
    if hyphened {
        return Some(1);
    }
    element(words, at, true).map(|one| one.words.len())
}

/// Returns where the date ends that begins here.
fn date(words: &[Word<'_>], start: usize) -> Option<usize> {
    let mut end = start;
    let mut parts = 0;
    let mut known = start;
    while end < start + 12 {
        if let Some(length) = date_word(words, end) {
            end += length;
            parts += 1;
            known = end;
            if words
                .get(end - 1)
                .is_some_and(|word| word.ends && word.bare.len() > 3 && !is_month(&word.bare))
            {
                break;
            }
        } else if matches!(bare(words, end), "of" | "the" | "and")
            || words.get(end).is_some_and(Word::is_filler)
        {
            end += 1;
        } else {
            break;
        }
    }
    let is_whole = || {
        let only = words.get(start..known).unwrap_or_default();
        let number = element(words, start, false).map_or(0, |one| one.digits.len());
        only.iter()
            .any(|word| word.bare.contains(['/', '-']) || is_month(&word.bare))
            || number == 4
    };
    (known > start && (parts >= 2 || is_whole())).then_some(known)
}

/// Returns where a date may begin that is not complete at the end of the words.
pub(super) fn begun(words: &[Word<'_>]) -> Option<usize> {
    (words.len().saturating_sub(16)..words.len()).find_map(|last| {
        let cues = BIRTH.iter().chain(EXPIRY);
        let mut cues = cues.filter(|cue| ends_with(words, last, cue));
        cues.next()?;
        let mut start = last + 1;
        while BETWEEN.contains(&bare(words, start))
            && !(bare(words, start) == "the" && date_word(words, start + 1).is_some())
        {
            start += 1;
        }
        let mut at = start;
        while at < words.len() {
            match date_word(words, at) {
                Some(length) => at += length,
                None if matches!(bare(words, at), "of" | "the" | "and") => at += 1,
                None => return None,
            }
        }
        (start < words.len()).then_some(start)
    })
}
