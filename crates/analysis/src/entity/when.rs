// SPDX-License-Identifier: MPL-2.0

//! Finds dates and times of day.

use super::piece::{Piece, before, word};
use super::quantity::numeral;
use crate::calendar::MONTHS;

const DAYS: &[&str] = &[
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

const SEASONS: &[&str] = &["spring", "summer", "autumn", "fall", "winter"];

/// Words that are more often something else than a month or a season.
const DOUBTFUL: &[&str] = &["may", "march", "spring", "fall"];

/// Words that stand before a month, season or year that has no day.
const INTRODUCE: &[&str] = &[
    "in", "since", "until", "till", "by", "of", "from", "during", "before", "after",
];

const SPANS: &[&str] = &["week", "month", "year", "weekend", "quarter"];

const WHICH: &[&str] = &["next", "last", "this"];

/// Words that stand before a time without `a m` or the like.
const AT: &[&str] = &[
    "at", "by", "until", "till", "before", "after", "around", "from", "about",
];

/// Returns `true` for a weekday or a month.
pub(super) fn is_calendar(word: &str) -> bool {
    DAYS.contains(&word) || MONTHS.contains(&word)
}

/// Reads a date such as `2024-03-05`, `3/5/2024` or `05.03.2024`. Returns how many
/// pieces it takes.
pub(super) fn written_date(pieces: &[Piece], at: usize) -> usize {
    let is_date = |separator: char| {
        let parts: Vec<&str> = word(pieces, at).split(separator).collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        parts
            .iter()
            .all(|part| part.bytes().all(|b| b.is_ascii_digit()))
            && matches!(lengths[..], [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 2 | 4])
    };
    usize::from(['-', '/', '.'].into_iter().any(is_date))
}

pub(super) fn date(pieces: &[Piece], at: usize) -> usize {
    let first = word(pieces, at);
    if WHICH.contains(&first) {
        let next = word(pieces, at + 1);
        let known = DAYS.contains(&next)
            || SPANS.contains(&next)
            || SEASONS.contains(&next)
            || MONTHS.contains(&next);
        return if known { 2 } else { 0 };
    }
    match first {
        "today" | "tomorrow" | "yesterday" | "tonight" => return 1,
        "the" => return with_article(pieces, at),
        _ => {}
    }
    if DAYS.contains(&first) {
        return usize::from(!["every", "each"].contains(&before(pieces, at)));
    }
    if MONTHS.contains(&first) {
        return from_month(pieces, at);
    }
    let introduced = INTRODUCE.contains(&before(pieces, at));
    if SEASONS.contains(&first) && (introduced || !DOUBTFUL.contains(&first)) {
        return usize::from(before(pieces, at) != "every");
    }
    // 12 May 2023
    if let Some((length, _)) = day_of_month(pieces, at)
        && MONTHS.contains(&word(pieces, at + length))
        && (word(pieces, at + length) != "may" || year(pieces, at + length + 1) > 0)
    {
        return length + 1 + year(pieces, at + length + 1);
    }
    if introduced { year(pieces, at) } else { 0 }
}

/// Reads a date such as `the fifth of june 2024` or `the day after tomorrow`. Returns
/// how many pieces it takes.
fn with_article(pieces: &[Piece], at: usize) -> usize {
    if let ("day", "after", "tomorrow") | ("day", "before", "yesterday") = (
        word(pieces, at + 1),
        word(pieces, at + 2),
        word(pieces, at + 3),
    ) {
        return 4;
    }
    match day_of_month(pieces, at + 1) {
        Some((length, true))
            if word(pieces, at + 1 + length) == "of"
                && MONTHS.contains(&word(pieces, at + 2 + length)) =>
        {
            length + 3 + year(pieces, at + 3 + length)
        }
        _ => 0,
    }
}

/// Reads a date that begins with a month: `march third`, `march 3, 2024`, `march
/// 2024`, `march`. Returns how many pieces it takes.
fn from_month(pieces: &[Piece], at: usize) -> usize {
    let with_year = year(pieces, at + 1);
    if with_year > 0 {
        return 1 + with_year;
    }
    if let Some((length, ordinal)) = day_of_month(pieces, at + 1)
        && (ordinal || word(pieces, at) != "may")
    {
        return 1 + length + year(pieces, at + 1 + length);
    }
    let alone = !DOUBTFUL.contains(&word(pieces, at)) || INTRODUCE.contains(&before(pieces, at));
    usize::from(alone)
}

/// Returns how many pieces a day of a month takes, and `true` if it is an ordinal:
/// `third`, `3rd`, `3`.
fn day_of_month(pieces: &[Piece], at: usize) -> Option<(usize, bool)> {
    // In `twenty fifth twenty twenty three`, the shortest ordinal is the day.
    let value_of = |text: &str| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let day = digits
            .parse::<u32>()
            .ok()
            .filter(|day| (1..=31).contains(day))?;
        Some((day, digits.len() < text.len()))
    };
    if let Some((_, ordinal)) = value_of(word(pieces, at)) {
        return Some((1, ordinal));
    }
    for length in 1..=2 {
        let some = pieces.get(at..at + length)?;
        let (read, value) = numeral(some, 0)?;
        if let Some((_, true)) = value_of(&value).filter(|_| read == length) {
            return Some((length, true));
        }
    }
    let (length, value) = numeral(pieces, at)?;
    value_of(&value).map(|(_, ordinal)| (length, ordinal))
}

/// Reads a year such as `2024`, `nineteen ninety nine`, `twenty twenty three` or `two
/// thousand and five`. Returns how many pieces it takes.
fn year(pieces: &[Piece], at: usize) -> usize {
    let is_year = |value: &str| {
        value.len() == 4
            && value
                .parse()
                .is_ok_and(|year: u32| (1900..2100).contains(&year))
    };
    if is_year(word(pieces, at)) {
        return 1;
    }
    if let Some((length, value)) = numeral(pieces, at)
        && length > 1
        && is_year(&value)
    {
        return length;
    }
    if !["nineteen", "twenty"].contains(&word(pieces, at)) {
        return 0;
    }
    if ["oh", "o"].contains(&word(pieces, at + 1)) {
        let digit = numeral(pieces, at + 2).is_some_and(|(_, value)| value.len() == 1);
        return if digit { 3 } else { 0 };
    }
    let rest = pieces
        .get(at + 1..(at + 3).min(pieces.len()))
        .unwrap_or_default();
    match numeral(rest, 0) {
        Some((length, value)) if value.len() == 2 => 1 + length,
        _ => 0,
    }
}

pub(super) fn time(pieces: &[Piece], at: usize) -> usize {
    let first = word(pieces, at);
    match first {
        "noon" | "midnight" => return 1,
        "half" if word(pieces, at + 1) == "past" => return past(pieces, at, 1),
        "quarter" if ["past", "to"].contains(&word(pieces, at + 1)) => return past(pieces, at, 1),
        _ => {}
    }
    let number = hour_or_minute(pieces, at);
    if number > 0 && ["past", "to"].contains(&word(pieces, at + number)) {
        let minutes = ["five", "ten", "twenty", "twenty-five"].contains(&first);
        if minutes && word(pieces, at + number) == "past" {
            return past(pieces, at, number);
        }
    }
    if let Some((hour, minute)) = first.split_once(':') {
        let number = |text: &str, below: u32| text.parse().is_ok_and(|value: u32| value < below);
        let attached = minute
            .strip_suffix("am")
            .or_else(|| minute.strip_suffix("pm"));
        if let Some(minute) = attached
            && number(hour, 13)
            && minute.len() == 2
            && number(minute, 60)
        {
            return 1;
        }
        if number(hour, 24) && minute.len() == 2 && number(minute, 60) {
            return 1 + meridiem(pieces, at + 1);
        }
    }
    let attached = first
        .strip_suffix("am")
        .or_else(|| first.strip_suffix("pm"));
    if attached.is_some_and(|hour| hour.parse().is_ok_and(|hour: u32| (1..=12).contains(&hour))) {
        return 1;
    }
    let hour = hour(pieces, at);
    if hour == 0 {
        return 0;
    }
    let minutes = minutes(pieces, at + hour);
    let end = at + hour + minutes;
    let suffix = meridiem(pieces, end);
    let said_at = minutes > 0 && AT.contains(&before(pieces, at));
    if suffix > 0 || said_at {
        hour + minutes + suffix
    } else {
        0
    }
}

/// Reads a time such as `half past six`, with `words` pieces before the `past` or
/// `to`. Returns how many pieces it takes.
fn past(pieces: &[Piece], at: usize, words: usize) -> usize {
    match hour(pieces, at + words + 1) {
        0 => 0,
        hour => {
            let length = words + 1 + hour;
            length + meridiem(pieces, at + length)
        }
    }
}

fn hour_or_minute(pieces: &[Piece], at: usize) -> usize {
    usize::from(small(pieces, at).is_some())
}

/// Returns the value of a number of one word.
fn small(pieces: &[Piece], at: usize) -> Option<u32> {
    let (_, value) = numeral(pieces.get(at..=at)?, 0)?;
    value.parse().ok()
}

fn hour(pieces: &[Piece], at: usize) -> usize {
    usize::from(small(pieces, at).is_some_and(|hour| (1..=12).contains(&hour)))
}

/// Reads minutes such as `thirty`, `forty five` or `oh five`. Returns how many pieces
/// they take.
fn minutes(pieces: &[Piece], at: usize) -> usize {
    if word(pieces, at) == "oh" {
        return if small(pieces, at + 1).is_some_and(|m| m < 10) {
            2
        } else {
            0
        };
    }
    match small(pieces, at) {
        Some(tens @ (20 | 30 | 40 | 50)) if tens > 0 => {
            let ones = small(pieces, at + 1).is_some_and(|ones| (1..10).contains(&ones));
            1 + usize::from(ones)
        }
        Some(10..=19) => 1,
        _ => 0,
    }
}

/// Reads `a m`, `pm`, `o'clock` or `in the morning`. Returns how many pieces it
/// takes.
fn meridiem(pieces: &[Piece], at: usize) -> usize {
    let rest = [0, 1, 2].map(|offset| word(pieces, at + offset));
    match rest {
        ["am" | "pm" | "a.m" | "p.m" | "a.m." | "p.m.", ..] => 1,
        ["a" | "p" | "a." | "p.", "m", _] => 2,
        ["o'clock", "in", "the"] | ["in", "the", _] => {
            let clock = usize::from(rest[0] == "o'clock");
            let part = word(pieces, at + clock + 2);
            match ["morning", "afternoon", "evening"].contains(&part) {
                true => clock + 3,
                false => clock,
            }
        }
        ["o'clock", ..] => 1,
        ["at", "night", _] => 2,
        _ => 0,
    }
}
