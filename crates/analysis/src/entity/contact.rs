// SPDX-License-Identifier: MPL-2.0

//! Finds e-mail addresses and phone numbers, spoken or written.

use super::piece::{Piece, word};

/// Top-level domains that are recognised after a spoken `dot`.
const DOMAINS: &[&str] = &[
    "com", "org", "net", "edu", "gov", "io", "uk", "de", "eu", "us", "ca", "info", "biz", "fr",
    "in", "au", "app", "dev", "ai", "tv",
];

/// Spoken words that join the parts of the name before the `at`.
const JOINTS: &[&str] = &["dot", "underscore", "dash", "hyphen", "minus", "point"];

/// Words that are not a name before an `at`: `look at example dot com`.
pub(crate) const NO_NAME: &[&str] = &[
    "is",
    "are",
    "was",
    "me",
    "us",
    "it",
    "him",
    "her",
    "them",
    "look",
    "us",
    "be",
    "here",
    "there",
    "available",
    "online",
    "found",
    "visit",
    "address",
];

const DIGITS: &[&str] = &[
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh", "o",
];

const TENS: &[&str] = &[
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
];

/// Number of digits of a phone number (E.164).
const PHONE: std::ops::RangeInclusive<usize> = 7..=15;

fn is_part(word: &str) -> bool {
    !word.is_empty() && word.chars().all(char::is_alphanumeric)
}

pub(super) fn email(pieces: &[Piece], at: usize) -> usize {
    if pieces.get(at).is_some_and(|piece| piece.email) {
        return 1;
    }
    let part = |at: usize| is_part(word(pieces, at)) && word(pieces, at) != "at";
    if !part(at) || NO_NAME.contains(&word(pieces, at)) {
        return 0;
    }
    let mut end = at + 1;
    while JOINTS.contains(&word(pieces, end)) && part(end + 1) {
        end += 2;
    }
    if word(pieces, end) != "at" || !part(end + 1) {
        return 0;
    }
    end += 2;
    let mut last = "";
    while word(pieces, end) == "dot" && part(end + 1) {
        last = word(pieces, end + 1);
        end += 2;
    }
    if DOMAINS.contains(&last) { end - at } else { 0 }
}

pub(super) fn phone(pieces: &[Piece], at: usize) -> usize {
    match written(pieces, at) {
        0 => spoken(pieces, at),
        length => length,
    }
}

/// Reads a number such as `+1 555 123 4567` or `(555) 123-4567`. Returns how many
/// pieces it takes.
fn written(pieces: &[Piece], at: usize) -> usize {
    let is_group = |word: &str| {
        word.contains(|c: char| c.is_ascii_digit())
            && word
                .chars()
                .all(|c| c.is_ascii_digit() || "+()-.".contains(c))
    };
    let (mut length, mut digits, mut joined) = (0, 0, false);
    for piece in pieces.iter().skip(at) {
        if !is_group(&piece.text) || (length > 0 && piece.text.starts_with('+')) {
            break;
        }
        length += 1;
        digits += piece.text.bytes().filter(u8::is_ascii_digit).count();
        joined |= piece.text.contains(['+', '(', '-']);
        if piece.marked {
            break;
        }
    }
    if joined && PHONE.contains(&digits) {
        length
    } else {
        0
    }
}

/// Reads a number such as `five five five one two three four`, with `double five` or
/// `eight hundred` in it. Returns how many pieces it takes.
fn spoken(pieces: &[Piece], at: usize) -> usize {
    let (mut end, mut digits, mut single) = (at, 0, 0);
    loop {
        let (length, worth) = match (word(pieces, end), word(pieces, end + 1)) {
            ("double", digit) if DIGITS.contains(&digit) => (2, 2),
            ("triple", digit) if DIGITS.contains(&digit) => (2, 3),
            (digit, "hundred") if DIGITS.contains(&digit) => (2, 3),
            (digit, _) if DIGITS.contains(&digit) => (1, 1),
            (tens, _) if TENS.contains(&tens) => (1, 2),
            (group, _) if !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()) => {
                (1, group.len())
            }
            _ => break,
        };
        end += length;
        digits += worth;
        single += usize::from(worth == 1);
    }
    if PHONE.contains(&digits) && single * 2 >= digits {
        end - at
    } else {
        0
    }
}
