// SPDX-License-Identifier: MPL-2.0

//! Finds numbers, percentages and amounts of money.

use super::piece::{Piece, word};
use text2num::lang::English;
use text2num::text2digits;

/// Maximum number of words in a number: `nine hundred and ninety nine thousand nine
/// hundred …`.
const LONGEST: usize = 14;

const CURRENCIES: &[&str] = &[
    "dollar", "dollars", "buck", "bucks", "euro", "euros", "pound", "pounds", "cent", "cents",
    "pence", "penny", "yen", "franc", "francs", "rupee", "rupees", "usd", "eur", "gbp", "€", "$",
    "£",
];

const SMALL_CHANGE: &[&str] = &["cent", "cents", "pence", "penny"];

const SIGNS: &[char] = &['$', '€', '£', '¥'];

/// Words that multiply the number in digits before them.
const MULTIPLES: &[&str] = &["hundred", "thousand", "million", "billion"];

/// Words that a number never begins with, although `text2num` reads them.
const NEVER: &[&str] = &["oh", "o", "and", "point"];

/// Returns the longest number in words or digits from `at` on: how many pieces it
/// takes, and its value as digits. An ordinal keeps its ending.
pub(super) fn numeral(pieces: &[Piece], at: usize) -> Option<(usize, String)> {
    let first = word(pieces, at);
    if let Some(value) = digits(first) {
        let multiple = MULTIPLES.contains(&word(pieces, at + 1));
        return Some((1 + usize::from(multiple), value));
    }
    if NEVER.contains(&first) {
        return None;
    }
    if first == "a" {
        // `a hundred`, `a thousand` and the like are read as `one hundred`.
        let multiple = MULTIPLES.contains(&word(pieces, at + 1));
        return multiple.then(|| (2, "100".to_owned()));
    }
    let language = English::new();
    let mut best = None;
    let mut text = String::new();
    for (index, piece) in pieces.iter().skip(at).take(LONGEST).enumerate() {
        if !piece.text.bytes().all(|b| b.is_ascii_alphabetic()) {
            break;
        }
        text.push_str(&piece.text);
        if let Ok(value) = text2digits(&text, &language) {
            best = Some((index + 1, value));
        }
        if piece.marked {
            break;
        }
        text.push(' ');
    }
    let (length, value) = best?;
    // `three point five`: the point and the digits after it.
    let mut end = at + length;
    if word(pieces, end) == "point" && text2digits(word(pieces, end + 1), &language).is_ok() {
        end += 2;
        while text2digits(word(pieces, end), &language).is_ok_and(|v| v.len() == 1) {
            end += 1;
        }
        if MULTIPLES.contains(&word(pieces, end)) {
            end += 1;
        }
        return Some((end - at, format!("{value}.")));
    }
    Some((length, value))
}

/// Returns a number in digits without its commas: `1,500`, `4.5`.
fn digits(word: &str) -> Option<String> {
    let plain = word.replace(',', "");
    let is_number = plain.starts_with(|c: char| c.is_ascii_digit())
        && plain.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && plain.parse::<f64>().is_ok();
    is_number.then_some(plain)
}

fn is_cardinal(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

pub(super) fn cardinal(pieces: &[Piece], at: usize) -> Option<usize> {
    numeral(pieces, at)
        .filter(|(_, value)| is_cardinal(value))
        .map(|(length, _)| length)
}

pub(super) fn number(pieces: &[Piece], at: usize) -> usize {
    match cardinal(pieces, at) {
        // `one` alone is usually a pronoun.
        Some(1) if word(pieces, at) == "one" => 0,
        length => length.unwrap_or(0),
    }
}

pub(super) fn percent(pieces: &[Piece], at: usize) -> usize {
    let first = word(pieces, at);
    if first
        .strip_suffix('%')
        .is_some_and(|number| digits(number).is_some())
    {
        return 1;
    }
    let Some(length) = cardinal(pieces, at) else {
        return 0;
    };
    match (word(pieces, at + length), word(pieces, at + length + 1)) {
        ("percent" | "%", _) => length + 1,
        ("per", "cent") => length + 2,
        _ => 0,
    }
}

pub(super) fn money(pieces: &[Piece], at: usize) -> usize {
    let first = word(pieces, at);
    if let Some(amount) = first.strip_prefix(SIGNS) {
        let multiple = MULTIPLES.contains(&word(pieces, at + 1));
        return match digits(amount) {
            Some(_) => 1 + usize::from(multiple),
            None => 0,
        };
    }
    if first
        .strip_suffix(SIGNS)
        .is_some_and(|amount| digits(amount).is_some())
    {
        return 1;
    }
    let length = match cardinal(pieces, at) {
        Some(length) => length,
        None if first == "a" && ["dollar", "buck", "euro"].contains(&word(pieces, at + 1)) => 1,
        None => return 0,
    };
    if !CURRENCIES.contains(&word(pieces, at + length)) {
        return 0;
    }
    let end = at + length + 1;
    // `… and fifty cents`
    let and = usize::from(word(pieces, end) == "and");
    match cardinal(pieces, end + and) {
        Some(more) if SMALL_CHANGE.contains(&word(pieces, end + and + more)) => {
            length + 1 + and + more + 1
        }
        _ => length + 1,
    }
}
