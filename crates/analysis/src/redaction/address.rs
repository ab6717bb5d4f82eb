// SPDX-License-Identifier: MPL-2.0

//! Finds street addresses: a house number, a street, and the apartment, town, state and
//! zip code that follow. Post boxes too.

use super::digits::{Element, Run, element};
use super::known::{self, is_common};
use super::lists::{STREETS, STREETS_BY_CUE};
use super::town::{self, tail};
use super::unnamed;
use super::word::{Word, bare, ends_with};
use std::ops::Range;

pub(super) const DIRECTIONS: &[&str] = &[
    "n",
    "s",
    "e",
    "w",
    "nw",
    "ne",
    "sw",
    "se",
    "north",
    "south",
    "east",
    "west",
    "northwest",
    "northeast",
    "southwest",
    "southeast",
];

pub(super) const UNITS: &[&str] = &[
    "apartment",
    "apt",
    "unit",
    "suite",
    "ste",
    "flat",
    "floor",
    "room",
    "building",
];

/// Words that are in no street's name, beside the common ones.
#[rustfmt::skip]
const NO_STREET: &[&str] = &[
    "way", "lane", "lanes", "minute", "minutes", "hour", "hours", "day", "days", "dollar", "dollars", "people",
    "times", "percent", "miles", "blocks", "years", "weeks", "months", "star", "point", "more", "other",
    "different", "new", "big", "major", "cars", "houses", "main roads",
];

/// Most words between the house number and the word for the street.
const LONGEST: usize = 4;

/// Appends the words of all addresses.
pub(super) fn find(words: &[Word<'_>], runs: &[Run], found: &mut Vec<Range<usize>>) {
    for run in runs {
        if let Some(start) = post_box(words, run.start()) {
            found.push(start..tail(words, run.end()));
            continue;
        }
        if let Some((first, end)) = street(words, run) {
            found.push(unit(words, first)..tail(words, end));
        }
    }
    // `221B Baker Street`: digits with a letter are no digits.
    for (at, word) in words.iter().enumerate() {
        if is_lettered(&word.bare)
            && !word.marked
            && let Some(end) = name_of_street(words, at + 1, true)
        {
            found.push(unit(words, at)..tail(words, end));
        }
    }
    // `the street is ashgrove road`
    for at in 1..words.len() {
        if is_asked(words, at - 1)
            && let Some(end) = name_of_street(words, at, true)
        {
            found.push(at..tail(words, end));
        }
    }
}

/// Returns `true` if the word at this index ends `the street is`.
fn is_asked(words: &[Word<'_>], at: usize) -> bool {
    ["street is", "road is", "street's"]
        .iter()
        .any(|cue| ends_with(words, at, cue))
}

/// Returns where the apartment begins that is said before the number of a house.
pub(super) fn unit(words: &[Word<'_>], house: usize) -> usize {
    let number = (house.saturating_sub(2)..house).rev().find(|at| {
        let is_number = words.get(*at).is_some_and(|word| {
            element(words, *at, false).is_some_and(|one| one.words.end == house)
                || *at + 1 == house && (is_lettered(&word.bare) || word.is_letter())
        });
        is_number && UNITS.contains(&bare(words, at.wrapping_sub(1)))
    });
    match number {
        Some(number) => number - 1,
        None if UNITS.contains(&bare(words, house.wrapping_sub(1))) => house - 1,
        None => house,
    }
}

pub(super) fn is_lettered(word: &str) -> bool {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    matches!(digits.len(), 1..=5)
        && word.len() == digits.len() + 1
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns where the words of a post box begin whose number is at this index.
fn post_box(words: &[Word<'_>], number: usize) -> Option<usize> {
    let last = number.checked_sub(1)?;
    if bare(words, last) != "box" {
        return None;
    }
    let before = last.checked_sub(1)?;
    match bare(words, before) {
        "po" | "p.o" | "post" | "postal" => Some(before),
        "o" if before > 0 && bare(words, before - 1) == "p" => Some(before - 1),
        "office" if before > 0 => Some(before - 1),
        _ => None,
    }
}

/// Returns where the house number begins and the street ends, if the run ends with one.
fn street(words: &[Word<'_>], run: &Run) -> Option<(usize, usize)> {
    let last = run.elements.last()?;
    if last.groups.len() > 1 || last.led || words.get(run.end() - 1)?.marked {
        return None;
    }
    let cue = is_cued(words, run.start()) || unit(words, run.start()) < run.start();
    let from = run.end() + usize::from(is_suffix(words, run.end()));
    let end = name_of_street(words, from, cue || last.written)
        .or_else(|| unnamed::foreign(words, from))
        .or_else(|| unnamed::nameless(words, run.start(), from))?;
    let mut first = run.start();
    // A phone number before the house number: only its last digits are the house's.
    let mut digits = 0;
    for element in run.elements.iter().rev() {
        if digits + element.digits.len() > 6 || element.bounded && element != last {
            break;
        }
        digits += element.digits.len();
        first = element.words.start;
    }
    // `one hundred and twelve`
    if bare(words, first.wrapping_sub(1)) == "and"
        && let Some(before) = before_and(words, first - 1)
    {
        first = before.words.start;
    }
    (digits > 0).then_some((first, end))
}

/// Returns `true` for the letter in `twenty one b larch close`.
fn is_suffix(words: &[Word<'_>], at: usize) -> bool {
    let letter = words
        .get(at)
        .is_some_and(|word| word.is_letter() && !word.marked);
    letter && !matches!(bare(words, at), "i" | "o" | "n" | "s" | "e" | "w" | "p")
}

pub(super) fn before_and(words: &[Word<'_>], and: usize) -> Option<Element> {
    (and.saturating_sub(3)..and).find_map(|at| {
        let one = element(words, at, false)?;
        (one.words.end == and && one.cardinal).then_some(one)
    })
}

fn is_cued(words: &[Word<'_>], at: usize) -> bool {
    const CUES: &[&str] = &[
        "address", "live", "lives", "house", "office", "deliver", "moved", "ship",
    ];
    (at.saturating_sub(6)..at).any(|at| CUES.contains(&bare(words, at)))
        || matches!(bare(words, at.wrapping_sub(1)), "from" | "at") && at > 0
}

/// Returns where the street ends whose name begins at this index.
fn name_of_street(words: &[Word<'_>], from: usize, cued: bool) -> Option<usize> {
    let mut found = None;
    for length in 1..=LONGEST {
        let at = from + length;
        let Some(name) = words.get(from..at) else {
            break;
        };
        let is_last = |word: &Word<'_>| word.marked && !is_abbreviation(word);
        // `cedar point road`
        let is_inner = |word: &Word<'_>| length > 1 && STREETS_BY_CUE.contains(&word.bare.as_str());
        if name.iter().any(is_last) || !name.iter().all(|word| is_in_name(word) || is_inner(word)) {
            break;
        }
        let only_directions = name
            .iter()
            .all(|word| DIRECTIONS.contains(&word.bare.as_str()));
        let word = bare(words, at);
        let is_street = STREETS.contains(&word);
        let unknown = || name.iter().all(|word| known::is_unknown(word));
        let by_cue = STREETS_BY_CUE.contains(&word)
            && found.is_none()
            && (cued || unknown() || town::is_sure(words, at + 1));
        let known = is_street || by_cue;
        if known && (!only_directions || name.iter().any(|word| word.bare.len() > 2)) {
            found = Some(at + 1);
        }
        if is_street && found.is_some() || words.get(at).is_some_and(|word| word.marked) {
            break;
        }
    }
    found
}

/// Returns `true` if the word may be in the name of a street.
pub(super) fn is_in_name(word: &Word<'_>) -> bool {
    let bare = word.bare.as_str();
    let ordinal = ["st", "nd", "rd", "th"].iter().any(|end| {
        let number = bare.strip_suffix(end).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    (word.is_alphabetic() || ordinal)
        && !NO_STREET.contains(&bare)
        && (!is_common(bare)
            || matches!(
                bare,
                "second"
                    | "first"
                    | "third"
                    | "park"
                    | "main"
                    | "mill"
                    | "church"
                    | "oak"
                    | "hill"
                    | "old"
                    | "high"
                    | "long"
                    | "station"
                    | "school"
                    | "market"
                    | "bridge"
                    | "spring"
                    | "river"
                    | "lake"
                    | "valley"
                    | "green"
            ))
}

fn is_abbreviation(word: &Word<'_>) -> bool {
    word.raw.ends_with('.') && word.bare.len() <= 2
}

/// Returns where an address may begin that is not complete at the end of the words.
pub(super) fn begun(words: &[Word<'_>], runs: &[Run]) -> Option<usize> {
    // `p o box`, and all that may become it.
    let boxed = (words.len().saturating_sub(4)..words.len()).find(|at| {
        let rest: Vec<&str> = (*at..words.len()).map(|at| bare(words, at)).collect();
        let known = [
            &["p", "o", "box"][..],
            &["po", "box"],
            &["p.o", "box"],
            &["post", "office", "box"],
            &["post", "box"],
        ];
        known.iter().any(|phrase| phrase.starts_with(&rest))
    });
    let boxed = boxed.or_else(|| {
        let start = runs.last().filter(|run| run.end() == words.len())?.start();
        post_box(words, start)
    });
    if boxed.is_some() {
        return boxed;
    }
    let asked =
        (words.len().saturating_sub(LONGEST + 1)..words.len()).find(|at| is_asked(words, *at));
    if let Some(last) = asked.filter(|last| last + 1 < words.len()) {
        return Some(last + 1);
    }
    let lettered = words.iter().rposition(|word| is_lettered(&word.bare));
    let lettered = lettered.map(|at| (at, at + 1));
    let numbered = runs.last().map(|run| (run.start(), run.end()));
    let (mut start, end) = lettered.max(numbered)?;
    // `nine eight seven route nine`
    let way = start.wrapping_sub(1);
    if matches!(bare(words, way), "route" | "highway")
        && let Some(house) = runs.iter().rev().find(|run| run.end() == way)
    {
        start = house.start();
    }
    if bare(words, start.wrapping_sub(1)) == "and"
        && let Some(before) = before_and(words, start - 1)
    {
        start = before.words.start;
    }
    let end = end + usize::from(is_suffix(words, end));
    let after = words.get(end..)?;
    let small = |word: &Word<'_>| {
        matches!(
            word.bare.as_str(),
            "the" | "de" | "la" | "saint" | "new" | "san" | "los" | "las" | "st"
        )
    };
    let open = after.len() <= LONGEST + 5
        && after.iter().all(|word| {
            is_in_name(word) || small(word) || STREETS_BY_CUE.contains(&word.bare.as_str())
        });
    open.then_some(unit(words, start))
}
