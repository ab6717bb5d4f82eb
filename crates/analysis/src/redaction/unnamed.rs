// SPDX-License-Identifier: MPL-2.0

//! Finds the end of a street without a word for one behind its name: `rue saint denis`, `i
//! live at forty two the willows`.

use super::address::{DIRECTIONS, UNITS, before_and, is_in_name};
use super::digits::element;
use super::known;
use super::lists::STREETS_BY_CUE;
use super::town::{self, is_state, is_town, state_at, zip};
use super::word::{Word, bare, ends_with};
use crate::number::ORDINALS;

/// Returns where a street ends whose kind is said before its name: `rue saint denis`.
pub(super) fn foreign(words: &[Word<'_>], from: usize) -> Option<usize> {
    const KINDS: &[&str] = &[
        "rue",
        "avenue",
        "via",
        "calle",
        "chemin",
        "avenida",
        "boulevard",
        "place",
    ];
    if matches!(bare(words, from), "route" | "highway") {
        let number = element(words, from + 1, false)?;
        return town::is_sure(words, number.words.end).then_some(number.words.end);
    }
    if !KINDS.contains(&bare(words, from)) {
        return None;
    }
    let small = |at: &usize| {
        matches!(
            bare(words, *at),
            "de" | "la" | "le" | "du" | "des" | "saint" | "sainte" | "st"
        )
    };
    let mut end = from + 1;
    while small(&end) && end < from + 4 {
        end += 1;
    }
    let name = words.get(end).filter(|word| is_in_name(word))?;
    (name.capital || end > from + 1 || known::is_unknown(name)).then_some(end + 1)
}

/// What is said before an address, so that no word for a street has to be in it.
#[rustfmt::skip]
const SURE: &[&str] = &[
    "live at", "lives at", "living at", "address is", "address", "address was", "ship to", "ship it to",
    "deliver to", "deliver it to", "delivered to", "send it to", "address it's", "mail it to", "moved to",
    "address that's", "address would be", "go to", "house is at", "place is at", "home is at",
];

/// Returns where a street ends that no word for a street is in: where an address is
/// expected, with a direction, or before a town with its state and zip code.
pub(super) fn nameless(words: &[Word<'_>], number: usize, from: usize) -> Option<usize> {
    // `two hundred and twelve`
    let number = match bare(words, number.wrapping_sub(1)) {
        "and" => before_and(words, number - 1).map_or(number, |before| before.words.start),
        _ => number,
    };
    let first = number.checked_sub(1)?;
    let sure = SURE.iter().any(|cue| ends_with(words, first, cue));
    let at_office = ["we're at", "we are at", "i'm at"]
        .iter()
        .any(|cue| ends_with(words, first, cue));
    let start = from + usize::from(sure && bare(words, from) == "the");
    let is_name = |at: usize| words.get(at).is_some_and(is_in_name) && !is_unit_of(bare(words, at));
    if !is_name(start) {
        return None;
    }
    let directed = DIRECTIONS.contains(&bare(words, from)) && bare(words, from).len() > 2;
    let unknown = |at: usize| words.get(at).is_some_and(known::is_unknown);
    let ordinal = || ORDINALS.contains(&bare(words, from + 1));
    let is_at = bare(words, first) == "at";
    if directed && (unknown(from + 1) || is_at && ordinal()) {
        return Some(from + 2);
    }
    // `drop it at eleven kilmarnock`
    let sent = bare(words, first) == "to"
        && (first.saturating_sub(5)..first).any(|at| {
            matches!(
                bare(words, at),
                "send" | "ship" | "deliver" | "mail" | "sent" | "bring" | "post"
            )
        });
    if (is_at || sent) && unknown(from) && bare(words, from).len() > 4 {
        return Some(from + 1);
    }
    if at_office && STREETS_BY_CUE.contains(&bare(words, from)) {
        return Some(from + 1);
    }
    let marked = |at: usize| words.get(at).is_some_and(|word| word.marked);
    let mut end = start + 1;
    while end < start + 3 && !marked(end - 1) && is_name(end) && !is_unit_word(bare(words, end)) {
        // `peachtree atlanta georgia`: a town is no part of the street.
        if town_at(words, end) {
            break;
        }
        end += 1;
    }
    // `ship it to three stores` is no address.
    let lives = [
        "live at",
        "lives at",
        "living at",
        "address is",
        "address was",
        "address it's",
    ];
    let named =
        (start..end).any(|at| unknown(at) || words.get(at).is_some_and(|word| word.capital));
    if sure && (named || start > from || lives.iter().any(|cue| ends_with(words, first, cue))) {
        return Some(end);
    }
    let written = words.get(from).is_some_and(|word| word.capital);
    let whole = |length: usize| {
        let state = state_at(words, end + length)?;
        zip(words, state)
    };
    let in_house = written && marked(end - 1) && UNITS.contains(&bare(words, end));
    (in_house || written && marked(end - 1) && (1..=3).any(|length| whole(length).is_some()))
        .then_some(end)
}

fn is_unit_word(word: &str) -> bool {
    UNITS.contains(&word) || is_state(word)
}

fn town_at(words: &[Word<'_>], at: usize) -> bool {
    is_town(bare(words, at)) || (1..=2).any(|length| state_at(words, at + length).is_some())
}

/// Returns `true` for what is counted or measured behind a number.
fn is_unit_of(word: &str) -> bool {
    word.ends_with("am")
        || word.ends_with("pm")
        || matches!(
            word,
            "o'clock"
                | "noon"
                | "degrees"
                | "pounds"
                | "euros"
                | "points"
                | "million"
                | "billion"
                | "words"
                | "characters"
                | "digits"
                | "feet"
                | "inches"
                | "meters"
                | "metres"
                | "acres"
                | "kilometers"
                | "gigabytes"
                | "seconds"
                | "khz"
                | "mhz"
                | "kilohertz"
                | "mph"
                | "kbps"
                | "fps"
                | "eastern"
                | "pacific"
                | "central"
                | "lines"
                | "pages"
                | "tonight"
                | "midnight"
        )
}
