// SPDX-License-Identifier: MPL-2.0

//! Finds what follows a street or a post box: the apartment, the town, the state and the
//! zip or post code.

use super::address::{DIRECTIONS, UNITS, is_lettered};
use super::digits::element;
use super::known::{self, is_common};
use super::lists::{CITIES, REGIONS, STATES, TOWNS};
use super::postcode;
use super::word::{Word, bare};

/// The states whose two letters are a word.
const ABBREVIATIONS: &[&str] = &[
    "ID", "IN", "OR", "ME", "HI", "OH", "OK", "LA", "DE", "CO", "ON",
];

/// Returns where the address ends of which the street ends here.
pub(super) fn tail(words: &[Word<'_>], street: usize) -> usize {
    let ends_at = |end: usize| {
        words
            .get(end.wrapping_sub(1))
            .is_some_and(|word| word.ends && word.bare.len() > 4)
    };
    let mut end = street;
    if ends_at(end) {
        return end;
    }
    // `county road nine`
    if matches!(bare(words, street - 1), "road" | "highway" | "route")
        && matches!(
            bare(words, street.wrapping_sub(2)),
            "county" | "state" | "rural" | "old"
        )
        && let Some(number) = element(words, end, false)
    {
        end = number.words.end;
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
                    let mut end = first.words.end;
                    let mut digits = first.digits.len();
                    while let Some(more) = element(words, end, true)
                        .filter(|more| digits + more.digits.len() <= 4)
                        .filter(|_| !words.get(end - 1).is_some_and(|word| word.marked))
                    {
                        digits += more.digits.len();
                        end = more.words.end;
                    }
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
    if let Some(end) = code(words, start) {
        return end;
    }
    for length in 1..=3 {
        let Some(name) = words.get(from..from + length) else {
            break;
        };
        if !name.iter().all(is_in_town) || name.iter().rev().skip(1).any(|word| word.ends) {
            break;
        }
        if let Some(end) = state_at(words, from + length) {
            return code(words, end).unwrap_or(end);
        }
        if let Some(end) = postcode::end(words, from + length) {
            return end;
        }
    }
    for length in (1..=2).rev() {
        let name: Vec<&str> = (from..from + length).map(|at| bare(words, at)).collect();
        if is_town(&name.join(" ")) {
            let end = from + length;
            // `dublin four`
            let district = element(words, end, false)
                .filter(|one| name.join(" ") == "dublin" && one.digits.len() <= 2);
            let end = district.map_or(end, |one| one.words.end);
            return code(words, end).unwrap_or(end);
        }
    }
    let is_capital = |at: usize| {
        words
            .get(at)
            .is_some_and(|word| word.capital && word.is_alphabetic() && !is_common(&word.bare))
    };
    let after_mark = |at: usize| {
        at.checked_sub(1)
            .and_then(|last| words.get(last))
            .is_some_and(|word| word.raw.ends_with(','))
    };
    if after_mark(start) && from == start && is_capital(from) {
        let goes_on = |at: usize| {
            let last = words.get(at - 1);
            last.is_some_and(|word| !word.marked) && is_capital(at)
        };
        return match goes_on(from + 1) {
            true => from + 2,
            false => from + 1,
        };
    }
    // A word that is in no list of words, behind a street: its town.
    let unknown = words
        .get(from)
        .filter(|word| known::is_unknown(word) && !word.capital && from == start);
    match unknown {
        Some(_) if is_town(bare(words, from + 1)) => code(words, from + 2).unwrap_or(from + 2),
        Some(_) => from + 1,
        None => start,
    }
}

/// Returns `true` if a town with its state or its code begins here.
pub(super) fn is_sure(words: &[Word<'_>], start: usize) -> bool {
    (1..=3).any(|length| {
        let name = words.get(start..start + length).unwrap_or_default();
        let end = start + length;
        !name.is_empty()
            && name.iter().all(is_in_town)
            && (state_at(words, end).is_some() || code(words, end).is_some())
    })
}

/// Returns `true` if the word may be in the name of a town that a state or a code follows.
fn is_in_town(word: &Word<'_>) -> bool {
    let known = word.capital || is_town(&word.bare) || !is_common(&word.bare);
    word.is_alphabetic()
        && word.bare.len() > 1
        && (known
            || matches!(
                word.bare.as_str(),
                "new"
                    | "san"
                    | "los"
                    | "las"
                    | "view"
                    | "mountain"
                    | "little"
                    | "great"
                    | "st"
                    | "saint"
                    | "west"
                    | "east"
                    | "north"
                    | "south"
                    | "green"
                    | "bay"
                    | "city"
                    | "park"
                    | "spring"
                    | "springs"
                    | "falls"
                    | "long"
                    | "beach"
            ))
}

/// Returns where a zip or post code ends that begins here.
fn code(words: &[Word<'_>], at: usize) -> Option<usize> {
    zip(words, at).or_else(|| postcode::end(words, at))
}

/// Returns `true` for the name of a town that is in a list.
pub(super) fn is_town(name: &str) -> bool {
    CITIES.contains(&name) || TOWNS.contains(&name)
}

/// Returns `true` for a state, a province or a county.
pub(super) fn is_state(name: &str) -> bool {
    STATES.contains(&name) || REGIONS.contains(&name)
}

/// Returns where the state, province or county ends that begins at this index.
pub(super) fn state_at(words: &[Word<'_>], at: usize) -> Option<usize> {
    let two = format!("{} {}", bare(words, at), bare(words, at + 1));
    if is_state(&two) {
        return Some(at + 2);
    }
    // `DE`, `ID`: in capitals they are no words.
    let is_short = words.get(at).is_some_and(|word| {
        ABBREVIATIONS.contains(&word.raw.trim_end_matches(['.', ',', '?', ';']))
    });
    (is_short || is_state(bare(words, at))).then_some(at + 1)
}

/// Returns where the five digits of a zip code end, if they begin here.
pub(super) fn zip(words: &[Word<'_>], start: usize) -> Option<usize> {
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

/// Returns `true` if the words behind an address may still be its town.
pub(super) fn is_open(words: &[Word<'_>], end: usize) -> bool {
    let rest = words.get(end..).unwrap_or_default();
    let mut rest = rest.iter().skip(usize::from(bare(words, end) == "in"));
    rest.len() <= 4 && rest.all(is_in_town)
}
