// SPDX-License-Identifier: MPL-2.0

//! Finds street addresses: a house number, a street, and the apartment, town, state and
//! zip code that follow. Post boxes too.

use super::digits::{Element, Run, element};
use super::lists::{CITIES, STATES, STREETS, STREETS_BY_CUE};
use super::name::is_common;
use super::word::{Word, bare};
use std::ops::Range;

const DIRECTIONS: &[&str] = &[
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

const UNITS: &[&str] = &[
    "apartment",
    "apt",
    "unit",
    "suite",
    "ste",
    "flat",
    "floor",
    "room",
];

/// Words that are in no street's name, beside the common ones.
const NO_STREET: &[&str] = &[
    "way",
    "lane",
    "lanes",
    "minute",
    "minutes",
    "hour",
    "hours",
    "day",
    "days",
    "dollar",
    "dollars",
    "people",
    "times",
    "percent",
    "miles",
    "blocks",
    "years",
    "weeks",
    "months",
    "star",
    "point",
    "more",
    "other",
    "different",
    "new",
    "big",
    "major",
    "cars",
    "houses",
    "main roads",
];

/// Most words between the house number and the word for the street.
const LONGEST: usize = 4;

/// Appends the words of all addresses.
pub(super) fn find(words: &[Word<'_>], runs: &[Run], found: &mut Vec<Range<usize>>) {
    for run in runs {
        if let Some(start) = post_box(words, run.start()) {
            found.push(start..run.end());
            continue;
        }
        if let Some((first, end)) = street(words, run) {
            found.push(first..tail(words, end));
        }
    }
    // `221B Baker Street`: digits with a letter are no digits.
    for (at, word) in words.iter().enumerate() {
        if is_lettered(&word.bare)
            && !word.marked
            && let Some(end) = name_of_street(words, at + 1, true)
        {
            found.push(at..tail(words, end));
        }
    }
}

fn is_lettered(word: &str) -> bool {
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
    let cue = is_cued(words, run.start());
    let end = name_of_street(words, run.end(), cue || last.written)?;
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

fn before_and(words: &[Word<'_>], and: usize) -> Option<Element> {
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
}

/// Returns where the street ends whose name begins at this index.
fn name_of_street(words: &[Word<'_>], from: usize, cued: bool) -> Option<usize> {
    let mut found = None;
    for length in 1..=LONGEST {
        let at = from + length;
        let name = words.get(from..at)?;
        let is_last = |word: &Word<'_>| word.marked && !is_abbreviation(word);
        if name.iter().any(is_last) || !name.iter().all(is_in_name) {
            break;
        }
        let only_directions = name
            .iter()
            .all(|word| DIRECTIONS.contains(&word.bare.as_str()));
        let word = bare(words, at);
        let is_street = STREETS.contains(&word);
        let known = is_street || STREETS_BY_CUE.contains(&word) && cued && found.is_none();
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
                "second" | "first" | "third" | "park" | "main" | "mill" | "church" | "oak" | "hill"
            ))
}

fn is_abbreviation(word: &Word<'_>) -> bool {
    word.raw.ends_with('.') && word.bare.len() <= 2
}

/// Returns where the address ends of which the street ends here.
fn tail(words: &[Word<'_>], street: usize) -> usize {
    let ends_at = |end: usize| {
        words
            .get(end.wrapping_sub(1))
            .is_some_and(|word| word.ends && word.bare.len() > 4)
    };
    let mut end = street;
    if ends_at(end) {
        return end;
    }
    if DIRECTIONS.contains(&bare(words, end)) && !["s"].contains(&bare(words, end)) {
        end += 1;
    }
    let unit = bare(words, end);
    let is_unit =
        UNITS.contains(&unit) || words.get(end).is_some_and(|word| word.raw.starts_with('#'));
    if is_unit {
        let number = end
            + usize::from(UNITS.contains(&unit))
            + usize::from(bare(words, end + 1) == "number");
        end =
            match element(words, number, false) {
                Some(first) => {
                    let more = element(words, first.words.end, true).filter(|_| {
                        !words
                            .get(first.words.end - 1)
                            .is_some_and(|word| word.marked)
                    });
                    let end = more.map_or(first.words.end, |more| more.words.end);
                    end + usize::from(words.get(end).is_some_and(|word| {
                        word.is_letter() && word.bare != "i" && word.bare != "a"
                    }))
                }
                None if words
                    .get(number)
                    .is_some_and(|word| word.is_letter() || is_lettered(&word.bare)) =>
                {
                    number + 1
                }
                None => end,
            };
    }
    if ends_at(end) {
        return end;
    }
    town(words, end)
}

/// Returns where the town, the state and the zip code end, if they begin here.
fn town(words: &[Word<'_>], start: usize) -> usize {
    let from = start + usize::from(bare(words, start) == "in");
    for length in 1..=3 {
        let Some(name) = words.get(from..from + length) else {
            break;
        };
        if !name.iter().all(|word| word.is_alphabetic()) {
            break;
        }
        if name.iter().any(|word| {
            is_common(&word.bare)
                && !word.capital
                && !["new", "san", "los", "las", "view", "mountain"].contains(&word.bare.as_str())
        }) {
            break;
        }
        let state = from + length;
        if let Some(end) = state_at(words, state) {
            return zip(words, end).unwrap_or(end);
        }
    }
    for length in (1..=2).rev() {
        let name: Vec<&str> = (from..from + length).map(|at| bare(words, at)).collect();
        if CITIES.contains(&name.join(" ").as_str()) {
            let end = from + length;
            return zip(words, end).unwrap_or(end);
        }
    }
    let after_mark = words
        .get(start.wrapping_sub(1))
        .is_some_and(|word| word.raw.ends_with(','));
    let is_town = |word: &Word<'_>| word.capital && word.is_alphabetic() && !is_common(&word.bare);
    if after_mark && from == start && words.get(from).is_some_and(is_town) {
        return from + 1;
    }
    zip(words, start).unwrap_or(start)
}

fn state_at(words: &[Word<'_>], at: usize) -> Option<usize> {
    let two = format!("{} {}", bare(words, at), bare(words, at + 1));
    if STATES.contains(&two.as_str()) {
        return Some(at + 2);
    }
    STATES.contains(&bare(words, at)).then_some(at + 1)
}

/// Returns where the five digits of a zip code end, if they begin here.
fn zip(words: &[Word<'_>], start: usize) -> Option<usize> {
    let mut end = start;
    let mut digits = 0;
    while let Some(one) =
        element(words, end, digits > 0).filter(|one| digits + one.digits.len() <= 9)
    {
        digits += one.digits.len();
        end = one.words.end;
        if matches!(digits, 5 | 9) {
            return Some(end);
        }
    }
    None
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
    let lettered = words.iter().rposition(|word| is_lettered(&word.bare));
    let lettered = lettered.map(|at| (at, at + 1));
    let numbered = runs.last().map(|run| (run.start(), run.end()));
    let (mut start, end) = lettered.max(numbered)?;
    if bare(words, start.wrapping_sub(1)) == "and"
        && let Some(before) = before_and(words, start - 1)
    {
        start = before.words.start;
    }
    let after = words.get(end..)?;
    let open = after.len() <= LONGEST && after.iter().all(is_in_name);
    open.then_some(start)
}
