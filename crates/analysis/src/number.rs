// SPDX-License-Identifier: MPL-2.0

//! Gives numbers, amounts and times of day one form, however they are said or written,
//! so that phrases can be compared word by word: `$5` becomes `five dollar`, `twenty one`
//! becomes `21`, `4 p.m.` and `four p m` become `four pm`.
//!
//! Numbers up to twenty are words and larger ones are digits. `hundred`, `thousand` and
//! `million` stay words where nothing follows them in the number: `200` becomes `two
//! hundred`. So a phrase such as `million dollars` is found in `five million dollars`.
//!
//! A text comes in, and its tokens come out. Places are those in the text. This module
//! never changes the text.

use super::token::{NUMBERS, Token, is_number, tokens};
use std::sync::LazyLock;
use text2num::lang::English;
use text2num::text2digits;

/// Maximum number of words in a number.
const LONGEST: usize = 10;

/// Words that multiply the number before them.
pub(super) const MULTIPLES: &[&str] = &["hundred", "thousand", "million", "billion"];

/// Ordinal number words; the index is the value.
pub(super) const ORDINALS: &[&str] = &[
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
];

/// Signs beside a number, and the words for them.
const SIGNS: &[(char, &str)] = &[
    ('$', "dollar"),
    ('€', "euro"),
    ('£', "pound"),
    ('¥', "yen"),
    ('%', "percent"),
];

static ENGLISH: LazyLock<English> = LazyLock::new(English::new);

/// Returns the tokens of a text with numbers in one form.
pub(super) fn in_one_form(text: &str) -> Vec<Token> {
    let tokens = tokens(text);
    let characters: Vec<char> = text.chars().collect();
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(rest) = tokens.get(at..).filter(|rest| !rest.is_empty()) {
        at += match number(rest, &characters) {
            Some((length, value)) => {
                let (words, more) = amount(rest, length, value, &characters);
                out.extend(words);
                more
            }
            None => other(rest, &mut out),
        };
    }
    out
}

/// Returns `true` if the number that ends with `last` goes on with `next`, as `one` does
/// in `one hundred`.
pub(super) fn goes_on(last: &str, next: &str) -> bool {
    MULTIPLES.contains(&next) && (is_number(last) || MULTIPLES.contains(&last))
}

/// Appends the first token, which begins no number, and returns how many were taken.
fn other(rest: &[Token], out: &mut Vec<Token>) -> usize {
    let [first, others @ ..] = rest else {
        return 0;
    };
    let next = others.first().filter(|next| follows(first, next));
    let after_number = out.last().is_some_and(|last| is_number(&last.text));
    let joined = match (first.text.as_str(), next.map(|next| next.text.as_str())) {
        ("a", Some("m")) if after_number => Some("am"),
        ("p", Some("m")) if after_number => Some("pm"),
        ("per", Some("cent")) => Some("percent"),
        _ => None,
    };
    let mut token = first.clone();
    if is_acronym(&token.text) {
        token.text = token.text.replace('.', "");
    }
    if let (Some(word), Some(next)) = (joined, next) {
        token.text = word.to_owned();
        token.end = next.end;
        out.push(token);
        return 2;
    }
    out.push(token);
    1
}

/// Returns `true` for `u.s.a`. Shorter ones (`u.s`) without their full stops are words.
fn is_acronym(word: &str) -> bool {
    word.len() >= "u.s.a".len() && word.split('.').all(|part| part.len() == 1)
}

/// Returns `true` if nothing but a space or a hyphen is between two tokens.
fn follows(first: &Token, next: &Token) -> bool {
    next.start <= first.end + 1
}

/// Reads a number at the beginning of the tokens. Returns how many tokens it takes and its
/// value in digits, with its ending if it is an ordinal.
fn number(rest: &[Token], characters: &[char]) -> Option<(usize, String)> {
    let first = rest.first()?;
    let is_written = |token: &Token| {
        characters
            .get(token.start)
            .is_some_and(char::is_ascii_digit)
    };
    let (length, value) = match is_written(first) {
        true => (1, written(first)?),
        false => spoken(rest, &is_written)?,
    };
    let point = rest.get(length).filter(|point| point.text == "point");
    if point.is_none() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Some((length, value));
    }
    let decimals = rest.iter().skip(length + 1).map_while(|token| {
        let digit = NUMBERS.iter().position(|word| *word == token.text);
        digit.filter(|digit| *digit < 10)
    });
    let decimals: Vec<String> = decimals.map(|digit| digit.to_string()).collect();
    match decimals.len() {
        0 => Some((length, value)),
        count => Some((length + 1 + count, format!("{value}.{}", decimals.concat()))),
    }
}

/// Returns the value of a token that is written in digits: `1,000`, `3.5`, `21st`.
fn written(token: &Token) -> Option<String> {
    if let Some(small) = NUMBERS.iter().position(|word| *word == token.text) {
        return Some(small.to_string());
    }
    let plain = token.text.replace(',', "");
    let digits = plain.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_known = ["", "st", "nd", "rd", "th"].contains(&plain.get(digits.len()..)?);
    let is_number = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (is_known && is_number).then_some(plain)
}

/// Reads a number in words. Returns how many tokens it takes and its value in digits.
fn spoken(rest: &[Token], is_written: &dyn Fn(&Token) -> bool) -> Option<(usize, String)> {
    let first = rest.first()?.text.as_str();
    let begins =
        is_number(first) && first != "oh" && !MULTIPLES.contains(&first) || first.ends_with("ieth");
    if !begins {
        return None;
    }
    let mut best = None;
    let mut text = String::new();
    let mut last: Option<&Token> = None;
    for (index, token) in rest.iter().take(LONGEST).enumerate() {
        let word = token.text.as_str();
        let belongs = word == "and" || text2digits(word, &*ENGLISH).is_ok();
        let is_near = last.is_none_or(|last| follows(last, token));
        if !belongs || !is_near || is_written(token) || ["million", "billion"].contains(&word) {
            break;
        }
        text.push_str(word);
        if let Ok(value) = text2digits(&text, &*ENGLISH) {
            best = Some((index + 1, value));
        }
        text.push(' ');
        last = Some(token);
    }
    best
}

/// Returns the words of a number with those of the sign beside it, and how many tokens
/// they stand for.
fn amount(
    rest: &[Token],
    length: usize,
    value: String,
    characters: &[char],
) -> (Vec<Token>, usize) {
    let sign = |at: Option<usize>| {
        let character = at.and_then(|at| characters.get(at))?;
        let known = SIGNS.iter().find(|(sign, _)| sign == character)?;
        Some(known.1)
    };
    let (Some(first), Some(last)) = (rest.first(), rest.get(length - 1)) else {
        return (Vec::new(), length.max(1));
    };
    let before = sign(first.start.checked_sub(1)).filter(|word| *word != "percent");
    let start = first.start - usize::from(before.is_some());
    let token = |text: String, end| Token {
        text,
        start,
        end,
        capital: first.capital,
    };
    let mut out: Vec<Token> = Vec::new();
    for word in words_of(value) {
        out.push(token(word, last.end));
    }
    let multiple = rest.get(length).filter(|next| {
        before.is_some() && follows(last, next) && MULTIPLES.contains(&next.text.as_str())
    });
    out.extend(multiple.cloned());
    let end = multiple.unwrap_or(last).end;
    let spaced = usize::from(characters.get(end) == Some(&' '));
    if let Some(word) = before.or_else(|| sign(Some(end + spaced))) {
        out.push(token(word.to_owned(), end));
    }
    (out, length + usize::from(multiple.is_some()))
}

/// Returns the words for a value in digits.
fn words_of(value: String) -> Vec<String> {
    let small = |number: usize| match NUMBERS.get(number) {
        Some(word) => (*word).to_owned(),
        None => number.to_string(),
    };
    if let Ok(number) = value.parse::<usize>() {
        return match number {
            1_000..1_000_000 if number % 1_000 == 0 => [
                words_of((number / 1_000).to_string()),
                vec!["thousand".to_owned()],
            ]
            .concat(),
            100..1_000 if number % 100 == 0 => vec![small(number / 100), "hundred".to_owned()],
            _ => vec![small(number)],
        };
    }
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let ordinal = digits.parse().ok().filter(|_| digits.len() < value.len());
    match ordinal.and_then(|number: usize| ORDINALS.get(number)) {
        Some(word) => vec![(*word).to_owned()],
        None => vec![value],
    }
}
