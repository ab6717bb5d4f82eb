// SPDX-License-Identifier: MPL-2.0

//! Reads digits that were said or written: `four one one one`, `double five`, `oh`,
//! `eight hundred`, `4111-1111`. Digits that follow each other are one [`Run`].

use super::word::{Word, bare};
use crate::token::NUMBERS;
use std::ops::Range;

const TENS: &[&str] = &[
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

/// What recognisers write for a digit in the middle of others.
const HOMOPHONES: &[(&str, u8)] = &[
    ("to", 2),
    ("too", 2),
    ("for", 4),
    ("won", 1),
    ("ate", 8),
    ("o", 0),
];

const REPEATS: &[(&str, usize)] = &[
    ("double", 2),
    ("triple", 3),
    ("treble", 3),
    ("quadruple", 4),
];

/// Most digits that are read of one run; a longer run is cut.
const MOST: usize = 64;

/// One or more words that stand for digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) words: Range<usize>,
    pub(super) digits: String,
    /// The lengths of the groups that a written element has: `555-1234` has 3 and 4.
    pub(super) groups: Vec<usize>,
    /// `true` if it is written in digits.
    pub(super) written: bool,
    /// `true` if it begins with `+` or `plus`, or its first group is in brackets.
    pub(super) led: bool,
    /// `true` if it was said as a cardinal number with `hundred` or `thousand`.
    pub(super) cardinal: bool,
    /// `true` if a mark, a filler or `then` is between it and the next one.
    pub(super) bounded: bool,
}

/// Elements that follow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) elements: Vec<Element>,
}

impl Run {
    pub(super) fn start(&self) -> usize {
        self.elements.first().map_or(0, |first| first.words.start)
    }

    pub(super) fn end(&self) -> usize {
        self.elements.last().map_or(0, |last| last.words.end)
    }
}

/// Returns the number, up to twenty, that a word says.
fn number(word: &str) -> Option<usize> {
    NUMBERS.iter().position(|known| *known == word)
}

/// Returns the digit that a word says by itself.
pub(super) fn digit(word: &str) -> Option<u8> {
    let at = match word {
        "oh" => Some(0),
        _ => number(word).filter(|number| *number < 10),
    };
    at.and_then(|at| u8::try_from(at).ok())
}

fn small(word: &str) -> Option<String> {
    if let Some(digit) = digit(word) {
        return Some(digit.to_string());
    }
    if let Some(number) = number(word) {
        return Some(number.to_string());
    }
    if let Some(at) = TENS.iter().position(|tens| *tens == word) {
        return Some(((at + 2) * 10).to_string());
    }
    let (tens, unit) = word.split_once('-')?;
    let tens = TENS.iter().position(|known| *known == tens)?;
    let unit = number(unit).filter(|unit| *unit < 10)?;
    Some(((tens + 2) * 10 + unit).to_string())
}

fn spoken(words: Range<usize>, digits: String) -> Element {
    let length = digits.len();
    Element {
        words,
        digits,
        groups: vec![length],
        written: false,
        led: false,
        cardinal: false,
        bounded: false,
    }
}

/// Reads the element that begins at an index. `inside` says that digits are before it.
pub(super) fn element(words: &[Word<'_>], at: usize, inside: bool) -> Option<Element> {
    let word = words.get(at)?;
    if let Some(element) = written(word, at) {
        return Some(element);
    }
    let next = bare(words, at + 1);
    let text = word.bare.as_str();
    if let Some((_, times)) = REPEATS.iter().find(|(name, _)| *name == text) {
        let repeated = digit(next).or_else(|| (next == "o").then_some(0));
        let repeated = repeated.or_else(|| {
            let written = next.parse::<u8>().ok();
            written.filter(|digit| *digit < 10)
        })?;
        return Some(spoken(at..at + 2, repeated.to_string().repeat(*times)));
    }
    let is_next = || {
        digit(next).is_some()
            || small(next).is_some()
            || next.parse::<u64>().is_ok()
            || REPEATS.iter().any(|(name, _)| *name == next)
    };
    if text == "plus" && !inside && is_next() {
        let mut element = element(words, at + 1, true)?;
        element.words.start = at;
        element.led = true;
        return Some(element);
    }
    let homophone = HOMOPHONES.iter().find(|(word, _)| *word == text);
    if let Some((_, digit)) = homophone.filter(|_| (inside || text == "o") && is_next()) {
        return Some(spoken(at..at + 1, digit.to_string()));
    }
    if text == "oh" && !inside && !is_next() && next != "o" && next != "oh" {
        return None;
    }
    let mut digits = small(text)?;
    let mut end = at + 1;
    if TENS.contains(&text)
        && let Some(unit) = digit(next).filter(|unit| *unit > 0 && next != "oh")
    {
        digits.pop();
        digits.push_str(&unit.to_string());
        end += 1;
    }
    let multiple = match bare(words, end) {
        "hundred" => "00",
        "thousand" if digits.len() < 3 => "000",
        _ => return Some(spoken(at..end, digits)),
    };
    digits.push_str(multiple);
    let mut element = spoken(at..end + 1, digits);
    element.cardinal = true;
    Some(element)
}

/// Reads a word that is written in digits, with the marks of a number.
fn written(word: &Word<'_>, at: usize) -> Option<Element> {
    let raw = word.raw.trim_start_matches(['"', '\'', '\u{201c}']);
    if raw.starts_with('#') {
        return None;
    }
    let text = raw.trim_end_matches([
        ',', '.', '?', '!', ':', ';', '"', '\'', '\u{201d}', '-', '\u{2013}', '…',
    ]);
    let is_part = |c: char| c.is_ascii_digit() || "+-().\u{2011}\u{2013}".contains(c);
    if !text.contains(|c: char| c.is_ascii_digit()) || !text.chars().all(is_part) {
        return None;
    }
    let groups: Vec<&str> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    if text.contains('.') && !matches!(lengths[..], [3, 3, 4] | [1, 3, 3, 4]) {
        return None;
    }
    Some(Element {
        words: at..at + 1,
        digits: groups.concat(),
        led: text.starts_with('+') || text.starts_with('('),
        groups: lengths,
        written: true,
        cardinal: false,
        bounded: false,
    })
}

/// Returns how many words after an element join it to the next one, and if they are to be
/// hidden with it.
fn joint(words: &[Word<'_>], at: usize) -> usize {
    let mut end = at;
    while words.get(end).is_some_and(Word::is_filler) {
        end += 1;
    }
    if bare(words, end) == "and" && bare(words, end + 1) == "then" {
        return end + 2 - at;
    }
    if bare(words, end) == "then" {
        return end + 1 - at;
    }
    end - at
}

/// Returns all runs, in order.
pub(super) fn runs(words: &[Word<'_>]) -> Vec<Run> {
    let mut out = Vec::new();
    let mut run = Run::default();
    let mut at = 0;
    let mut count = 0;
    while at < words.len() {
        let inside = !run.elements.is_empty();
        let joined = match inside {
            true => joint(words, at),
            false => 0,
        };
        let next = element(words, at + joined, inside).filter(|_| count < MOST);
        let Some(mut element) = next else {
            at += usize::from(!inside);
            count = 0;
            if inside {
                out.push(std::mem::take(&mut run));
            }
            continue;
        };
        if let Some(last) = run.elements.last_mut() {
            last.bounded |= joined > 0;
        }
        at = element.words.end;
        count += element.digits.len();
        element.bounded = words.get(at - 1).is_some_and(|word| word.marked);
        run.elements.push(element);
    }
    if !run.elements.is_empty() {
        out.push(run);
    }
    out
}

/// Returns `true` if the check digit of a card number is right (ISO/IEC 7812, Luhn).
pub(super) fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte.saturating_sub(b'0'));
            match index % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}
