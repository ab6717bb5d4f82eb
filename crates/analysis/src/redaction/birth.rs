// SPDX-License-Identifier: MPL-2.0

//! Finds the dates of births, and the dates when cards expire.

use super::digits::{self, element};
use super::gap;
use super::word::{Word, bare, ends_with};
use crate::calendar::MONTHS;
use crate::number::ORDINALS;
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
    "d.o.b",
    "year of birth",
    "month of birth",
    "day of birth",
    "birth year",
    "birth's",
];

const EXPIRY: &[&str] = &[
    "expires",
    "expiration",
    "expiration date",
    "expiry",
    "expiry date",
    "exp",
    "expiring",
    "expiration month",
    "expiration year",
    "exp date",
    "valid through",
    "valid thru",
    "valid until",
    "good through",
    "good thru",
];

/// Words between the cue and the date.
#[rustfmt::skip]
const BETWEEN: &[&str] = &[
    "is", "on", "in", "it's", "its", "was", "the", "at", "um", "uh", "it", "date", "would", "be", "of",
    "please", "yes", "yeah", "sure", "okay", "ok", "that's", "and", "so", "again", "end", "month", "year",
    "that'd", "they", "i", "think", "to",
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
#[rustfmt::skip]
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
                .is_some_and(|word| word.marked || digits::digit(&word.bare).is_some())
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
            if let Some(again) = corrected(words, end) {
                found.push(again);
            }
        } else if cues == BIRTH
            && let Some(far) = far(words, last + 1)
        {
            found.push(far);
        }
    }
    if cues == BIRTH {
        found.extend((1..words.len()).filter_map(|at| before_birthday(words, at)));
    }
}

/// Words between `born` and a date that is not the one of the birth.
#[rustfmt::skip]
const OTHER_DATE: &[&str] = &[
    "moved", "came", "started", "joined", "married", "graduated", "since", "until", "opened", "appointment",
    "meeting", "delivery", "contract", "party", "but", "then", "expires", "due", "ago", "later", "left",
];

/// Most words between the cue and a date that is surely one.
const FARTHEST: usize = 12;

/// Returns the date that is said some words behind the cue: `born in leeds on the third of
/// may`, `date of birth on the account let me see`.
fn far(words: &[Word<'_>], from: usize) -> Option<Range<usize>> {
    for start in from..(from + FARTHEST).min(words.len()) {
        if OTHER_DATE.contains(&bare(words, start)) {
            return None;
        }
        if date_word(words, start).is_some()
            && let Some(end) = date(words, start)
        {
            let start = start - usize::from(bare(words, start.wrapping_sub(1)) == "the");
            return is_sure(words, start..end).then_some(start..end);
        }
    }
    None
}

/// Returns `true` for a month with a day or a year, and for a date in digits.
fn is_sure(words: &[Word<'_>], date: Range<usize>) -> bool {
    let date = words.get(date).unwrap_or_default();
    let has_month = date.iter().any(|word| is_month(&word.bare));
    let in_digits = date
        .iter()
        .any(|word| word.bare.contains(['/', '-']) && word.bare.len() >= 6);
    has_month && date.len() > 1 || in_digits
}

/// Returns the date that is said behind a correction of one that ends here.
fn corrected(words: &[Word<'_>], end: usize) -> Option<Range<usize>> {
    let start = (end + 1..end + 5).find(|at| date_word(words, *at).is_some())?;
    let start = start - usize::from(bare(words, start - 1) == "the");
    let is_correction = gap::between(words, end, start) == Some(gap::Gap::Correction);
    let end = date(words, start).filter(|_| is_correction)?;
    Some(start..end)
}

/// Returns the date in front of `is my birthday`, if these words begin here.
fn before_birthday(words: &[Word<'_>], at: usize) -> Option<Range<usize>> {
    let whose = |at: usize| {
        matches!(
            bare(words, at),
            "my" | "his" | "her" | "their" | "our" | "the"
        )
    };
    let birth = |at: usize| {
        bare(words, at) == "birthday"
            || bare(words, at) == "date"
                && bare(words, at + 1) == "of"
                && bare(words, at + 2) == "birth"
    };
    let said = matches!(bare(words, at), "is" | "was" | "that's")
        && whose(at + 1)
        && (birth(at + 2) || bare(words, at + 2).ends_with("'s") && birth(at + 3));
    if !said {
        return None;
    }
    let from = at.saturating_sub(9);
    let start = (from..at).find(|start| {
        let begins = date_word(words, *start).is_some()
            || bare(words, *start) == "the" && date_word(words, start + 1).is_some();
        begins && date(words, *start) == Some(at)
    })?;
    is_sure(words, start..at).then_some(start..at)
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
    // `03-Mar-1958`
    let mut parts = bare.split(['-', '/']);
    let is_mixed = bare.contains(['-', '/'])
        && parts.all(|part| {
            is_month(part) || !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit())
        });
    if is_month(bare) || is_ordinal(bare) || ordinal || is_written || is_mixed {
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
        } else if matches!(
            bare(words, end),
            "of" | "the" | "and" | "slash" | "year" | "stroke"
        ) || words.get(end).is_some_and(Word::is_filler)
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

/// Returns where a date may begin that is not complete at the end of the words, or that the
/// next words may say to be the one of a birth.
pub(super) fn begun(words: &[Word<'_>]) -> Option<usize> {
    let joins = |at: usize| {
        matches!(
            bare(words, at),
            "of" | "the" | "and" | "slash" | "year" | "stroke"
        ) || words.get(at).is_some_and(Word::is_filler)
    };
    // The last words may begin `is my birthday`, or take back what was said.
    let after = |at: usize| {
        matches!(
            bare(words, at),
            "is" | "was"
                | "that's"
                | "my"
                | "his"
                | "her"
                | "their"
                | "our"
                | "date"
                | "of"
                | "sorry"
                | "no"
                | "wait"
                | "i"
                | "mean"
                | "actually"
                | "the"
        ) || bare(words, at).ends_with("'s")
    };
    let mut end = words.len();
    while end > 0 && words.len() - end < 4 && after(end - 1) {
        end -= 1;
    }
    // The first place from which on there are only words of dates.
    let from = end.saturating_sub(14);
    let start = (from..end).find(|start| {
        let mut at = *start;
        while at < end {
            match date_word(words, at) {
                Some(length) => at += length,
                None if joins(at) => at += 1,
                None => return false,
            }
        }
        true
    })?;
    let cued = (start.saturating_sub(FARTHEST + 5)..start).any(|last| {
        let mut cues = BIRTH.iter().chain(EXPIRY);
        cues.any(|cue| ends_with(words, last, cue))
    });
    let has_month = words
        .get(start..end)?
        .iter()
        .any(|word| is_month(&word.bare));
    (cued || has_month).then_some(start)
}
