// SPDX-License-Identifier: MPL-2.0

//! Says which runs of digits are to be hidden: by what is said before them, by their
//! length and groups, and by the check digit of cards.

use super::Kind;
use super::cue::{Cue, cue, said_after};
use super::digits::{Element, Run, luhn};
use super::gap;
use super::word::{Word, bare, ends_with};
use std::ops::Range;

/// How many words behind an area code its phone number may be.
const AREA_REACH: usize = 24;

/// Returns the words of all runs that are to be hidden, with their kinds.
pub(super) fn find(words: &[Word<'_>], runs: &[Run], found: &mut Vec<(Range<usize>, Kind)>) {
    for run in &gap::joined(words, runs) {
        let mut at = 0;
        while at < run.elements.len() {
            let rest = run.elements.get(at..).unwrap_or_default();
            let (length, kind) = longest(words, rest);
            if let Some(kind) = kind {
                let hidden = rest.get(..length).unwrap_or_default();
                spans(words, hidden, kind, found);
            }
            at += length.max(1);
        }
    }
    corrected(words, runs, found);
}

/// Appends the runs that are a part of a hidden number, as it was first said, and area codes
/// of phone numbers that are said far behind them.
fn corrected(words: &[Word<'_>], runs: &[Run], found: &mut Vec<(Range<usize>, Kind)>) {
    let mut kinds: Vec<Option<Kind>> = runs
        .iter()
        .map(|run| {
            let mut of = found.iter().rev();
            let hidden = of.find(|(span, _)| span.start < run.end() && run.start() < span.end);
            hidden.map(|(_, kind)| *kind)
        })
        .collect();
    let is_part = |run: &Run| {
        let digits: usize = run.elements.iter().map(|one| one.digits.len()).sum();
        matches!(digits, 2..=19) && run.elements.iter().all(|one| !one.cardinal)
    };
    // Backwards, so that a number that is corrected twice is hidden twice.
    for (at, run) in runs.iter().enumerate().rev() {
        if kinds.get(at).is_none_or(Option::is_some) || !is_part(run) {
            continue;
        }
        let behind = runs.get(at + 1).zip(kinds.get(at + 1).copied().flatten());
        let mut kind = behind
            .and_then(|(next, kind)| gap::between(words, run.end(), next.start()).map(|_| kind));
        if kind.is_none() && is_area_code(words, run) {
            let mut later = runs.iter().zip(&kinds).skip(at + 1);
            let near = |next: &Run| next.start() < run.end() + AREA_REACH;
            let is_phone = later.any(|(next, kind)| *kind == Some(Kind::Phone) && near(next));
            kind = is_phone.then_some(Kind::Phone);
        }
        if let Some(kind) = kind {
            spans(words, &run.elements, kind, found);
            if let Some(place) = kinds.get_mut(at) {
                *place = Some(kind);
            }
        }
    }
    // What is said again, or goes on, behind the number.
    for at in 1..runs.len() {
        let (Some(before), Some(run)) = (runs.get(at - 1), runs.get(at)) else {
            continue;
        };
        let first = kinds.get(at - 1).copied().flatten();
        let gap = gap::between(words, before.end(), run.start());
        let is_open = kinds.get(at).is_some_and(Option::is_none) && is_part(run);
        let digits: usize = run.elements.iter().map(|one| one.digits.len()).sum();
        let expiry = first == Some(Kind::Card) && gap.is_some() && matches!(digits, 3..=6);
        let goes_on = expiry || gap == Some(gap::Gap::Correction);
        if let Some(kind) = first.filter(|_| is_open && goes_on) {
            spans(words, &run.elements, kind, found);
            if let Some(place) = kinds.get_mut(at) {
                *place = Some(kind);
            }
        }
    }
}

/// Returns `true` if the digits are said to be an area code.
pub(super) fn is_area_code(words: &[Word<'_>], run: &Run) -> bool {
    let (start, end) = (run.start(), run.end());
    let from = start.saturating_sub(3);
    let is_after =
        matches!(bare(words, end), "is" | "that's") && ends_with(words, end + 3, "the area code");
    is_after
        || (from..start).any(|last| {
            [
                "area code",
                "country code",
                "dialing code",
                "dialling code",
                "area code's",
            ]
            .iter()
            .any(|cue| ends_with(words, last, cue))
        })
}

/// Returns how many of the elements are one number, and what it is.
fn longest(words: &[Word<'_>], elements: &[Element]) -> (usize, Option<Kind>) {
    let Some(first) = elements.first() else {
        return (1, None);
    };
    let cue = cue(words, first.words.start);
    let last = elements.last().map_or(0, |last| last.words.end);
    let cue = match cue {
        Some(Cue::Other | Cue::Phone) | None => said_after(words, last).or(cue),
        _ => cue,
    };
    for length in (1..=elements.len()).rev() {
        let part = elements.get(..length).unwrap_or_default();
        let may_end = length == elements.len()
            || part.last().is_some_and(|last| last.bounded || last.written);
        if may_end && let Some(kind) = kind(words, part, cue) {
            return (length, Some(kind));
        }
    }
    // The digits up to the next mark are no number, and none begins inside of them.
    let next = elements.iter().position(|one| one.bounded || one.written);
    (next.map_or(elements.len(), |at| at + 1), None)
}

/// Appends the words of a number; what only joins its parts, as `and then`, stays.
pub(super) fn spans(
    words: &[Word<'_>],
    elements: &[Element],
    kind: Kind,
    found: &mut Vec<(Range<usize>, Kind)>,
) {
    let mut span: Option<Range<usize>> = None;
    for element in elements {
        span = match span {
            Some(before) if is_joined(words, before.end, element.words.start) => {
                Some(before.start..element.words.end)
            }
            Some(before) => {
                found.push((before, kind));
                Some(element.words.clone())
            }
            None => Some(element.words.clone()),
        };
    }
    found.extend(span.map(|span| (span, kind)));
}

fn is_joined(words: &[Word<'_>], end: usize, start: usize) -> bool {
    let between = words.get(end..start).unwrap_or_default();
    between.iter().all(Word::is_filler)
}

/// Returns what these elements are, taken as one number.
fn kind(words: &[Word<'_>], elements: &[Element], cue: Option<Cue>) -> Option<Kind> {
    let digits: String = elements.iter().map(|one| one.digits.as_str()).collect();
    let count = digits.len();
    let groups: Vec<usize> = elements.iter().flat_map(|e| e.groups.clone()).collect();
    if matches!(count, 13..=19) && luhn(&digits) && cue != Some(Cue::Other) {
        return Some(Kind::Card);
    }
    match cue {
        Some(Cue::Other) => {
            let is_card = matches!(count, 15 | 16) && digits.starts_with(['3', '4', '5', '6']);
            return (is_card && luhn(&digits)).then_some(Kind::Card);
        }
        Some(Cue::Code) if matches!(count, 3..=6) => return Some(Kind::Card),
        Some(Cue::Expiry) if matches!(count, 3..=6) => return Some(Kind::Card),
        Some(Cue::Ssn) if matches!(count, 4 | 9) => return Some(Kind::Ssn),
        Some(Cue::Ssn) if matches!(count, 5..=8) => return Some(Kind::Ssn),
        Some(Cue::Zip) if matches!(count, 5 | 9) => return Some(Kind::Address),
        Some(Cue::Phone) if matches!(count, 3 | 4) && is_end(words, elements) => {
            return Some(Kind::Phone);
        }
        Some(Cue::House) if matches!(count, 1..=5) => return Some(Kind::Address),
        Some(Cue::Account) if is_account(words, elements, count) => return Some(Kind::Account),
        Some(Cue::Card) if matches!(count, 4..=19) && !is_year(elements) => {
            return Some(Kind::Card);
        }
        _ => {}
    }
    if is_amount(words, elements) {
        return None;
    }
    if matches!(groups[..], [3, 2, 4]) {
        return Some(Kind::Ssn);
    }
    // A digit may be misheard, so that the check digit is wrong.
    let read_out = matches!(count, 15 | 16)
        && spelled(elements)
        && digits.starts_with(['2', '3', '4', '5', '6']);
    if matches!(groups[..], [4, 4, 4, 4] | [4, 6, 5]) || read_out {
        return Some(Kind::Card);
    }
    if count == 9 && spelled(elements) && split_as_ssn(elements) {
        return Some(Kind::Ssn);
    }
    is_phone(elements, &digits, &groups, cue == Some(Cue::Phone)).then_some(Kind::Phone)
}

/// Returns `true` for the number of an account or a bank, or the end of one.
fn is_account(words: &[Word<'_>], elements: &[Element], count: usize) -> bool {
    if elements.iter().any(|one| one.cardinal) || is_amount(words, elements) {
        return false;
    }
    matches!(count, 5..=20) || matches!(count, 3..=4) && is_end(words, elements)
}

/// Returns `true` if the digits are said to be the last ones of a number, or are the short
/// number of a bank.
fn is_end(words: &[Word<'_>], elements: &[Element]) -> bool {
    let start = elements.first().map_or(0, |first| first.words.start);
    (start.saturating_sub(7)..start).any(|at| {
        matches!(
            bare(words, at),
            "ending" | "ends" | "end" | "institution" | "last"
        )
    })
}

/// Returns `true` for a written group that may be a year.
fn is_year(elements: &[Element]) -> bool {
    matches!(elements, [one] if one.written && one.digits.len() == 4
        && (one.digits.starts_with("19") || one.digits.starts_with("20")))
}

/// Returns `true` if digits that were said one by one have pauses where a social security
/// number has its dashes.
fn split_as_ssn(elements: &[Element]) -> bool {
    let mut count = 0;
    let ends = elements.iter().filter_map(|element| {
        count += element.digits.len();
        element.bounded.then_some(count)
    });
    let ends: Vec<usize> = ends.filter(|end| *end < 9).collect();
    ends == [3, 5]
}

/// Returns `true` if the digits are said one by one.
pub(super) fn spelled(elements: &[Element]) -> bool {
    elements.iter().all(|one| one.digits.len() == 1)
}

/// Returns `true` if what follows says that this is an amount.
fn is_amount(words: &[Word<'_>], elements: &[Element]) -> bool {
    const UNITS: &[&str] = &[
        "dollars",
        "dollar",
        "euros",
        "pounds",
        "percent",
        "people",
        "users",
        "units",
        "million",
        "billion",
        "thousand",
        "cents",
        "bucks",
        "miles",
        "kilometers",
        "degrees",
    ];
    let end = elements.last().map_or(0, |last| last.words.end);
    UNITS.contains(&bare(words, end))
}

fn is_phone(elements: &[Element], digits: &str, groups: &[usize], cued: bool) -> bool {
    let count = digits.len();
    if !matches!(count, 7..=15) || is_counting(elements) {
        return false;
    }
    let led = elements.first().is_some_and(|first| first.led);
    if elements.iter().all(|element| element.written) {
        let known = matches!(
            groups,
            [3, 4] | [3, 3, 4] | [1, 3, 3, 4] | [1, 10] | [2, 4, 4] | [3, 8] | [10]
        );
        let leading_zero = digits.starts_with('0') && matches!(count, 9..=12) && groups.len() <= 5;
        let one_by_one = groups.iter().all(|group| *group == 1);
        return known
            || led && count >= 8
            || leading_zero
            || one_by_one
            || cued && !is_date(groups);
    }
    cued || led || most_in_a_row(elements) >= 3 && !is_rounded(elements)
}

fn is_date(groups: &[usize]) -> bool {
    matches!(groups, [4, 2, 2])
}

/// Returns how many digits in a row are said one by one.
fn most_in_a_row(elements: &[Element]) -> usize {
    let mut best = 0;
    let mut now = 0;
    for element in elements {
        let is_repeat = element.words.len() == 2 && !element.cardinal && {
            let mut digits = element.digits.chars();
            let first = digits.next();
            digits.all(|digit| Some(digit) == first)
        };
        now = match element.digits.len() == 1 || is_repeat {
            true => now + element.digits.len(),
            false => 0,
        };
        best = best.max(now);
    }
    best
}

/// Returns `true` if a cardinal number is among the elements that is no `eight hundred` at
/// their beginning.
fn is_rounded(elements: &[Element]) -> bool {
    let others = elements.iter().skip(2);
    let mut thousands = others.filter(|one| one.cardinal && one.digits.len() > 3);
    thousands.next().is_some()
}

/// Returns `true` for `one two three four five …`, up or down.
pub(super) fn is_counting(elements: &[Element]) -> bool {
    let values: Option<Vec<i64>> = elements.iter().map(|one| one.digits.parse().ok()).collect();
    let Some(values) = values.filter(|values| values.len() >= 6) else {
        return false;
    };
    let mut steps = values.windows(2).map(|pair| match pair {
        [first, second] => second - first,
        _ => 0,
    });
    let Some(step) = steps.next() else {
        return false;
    };
    (step == 1 || step == -1)
        && steps.all(|next| next == step)
        && elements.iter().any(|e| e.digits.len() > 1)
}
