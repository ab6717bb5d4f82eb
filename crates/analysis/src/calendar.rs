// SPDX-License-Identifier: MPL-2.0

//! Converts spoken dates and times to calendar dates and times of day: `tomorrow`,
//! `by friday`, `in two weeks`, `march third`.
//!
//! The functions take the words and the local time at which they were said. A weekday
//! is the next one to come. With `this` it is today, if today is that weekday. With
//! `next` it is that of the next week; weeks begin on Monday. A day without a year is
//! the nearest one. A span longer than a day has no date, except as a due date, where
//! it stands for its first day. The same words at the same time always give the same
//! result.

use std::ops::Range;
use text2num::lang::English;
use text2num::text2digits;
use time::{Date, Duration, Month, PrimitiveDateTime, Time, Weekday};

/// The months, from January on.
pub(crate) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Hours that mean the afternoon if neither `am` nor `pm` is said: few people work at
/// three in the morning.
const AFTER_NOON: Range<u8> = 1..8;

/// Words before a time that do not change it.
const BEFORE: &[&str] = &["by", "before", "until", "on", "at", "later", "the"];

/// Returns when something is due: the time of day that `words` name, or the beginning
/// of the day. `said` and the result are local time. Returns `None` if the words are
/// not clear.
pub fn due_time(words: &str, said: PrimitiveDateTime) -> Option<PrimitiveDateTime> {
    let words: Vec<String> = plain(words).iter().flat_map(|word| clock(word)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = match words.as_slice() {
        ["no", "later", "than", rest @ ..] | ["first", "thing", rest @ ..] => rest,
        all => all,
    };
    let skipped = words
        .iter()
        .take_while(|word| BEFORE.contains(word))
        .count();
    let words = words.get(skipped..)?;
    let today = said.date();
    if let ["within" | "in", rest @ ..] = words {
        return after(rest, said);
    }
    if let Some(time) = hour(words) {
        let at = today.with_time(time);
        return match at > said {
            true => Some(at),
            false => at.checked_add(Duration::DAY),
        };
    }
    let day = match words {
        ["noon" | "midnight", ..] => today,
        ["close", "of", "business"] => today,
        ["end", "of", rest @ ..] => end_of(rest, today)?,
        _ => day(words, today).or_else(|| first_day(words, today))?,
    };
    match words.last() {
        Some(&"noon") => Some(day.with_time(Time::from_hms(12, 0, 0).ok()?)),
        Some(&"midnight") => day.next_day().map(Date::midnight),
        _ => Some(day.midnight()),
    }
}

/// Returns the day that `words` name, if they name a single day.
pub fn date_of(words: &str, today: Date) -> Option<Date> {
    let words = plain(words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [one] if one.starts_with(|c: char| c.is_ascii_digit()) => written(one),
        ["the", "day", "after", "tomorrow"] => today.checked_add(Duration::days(2)),
        ["the", "day", "before", "yesterday"] => today.checked_sub(Duration::days(2)),
        ["yesterday"] => today.previous_day(),
        words => day(words, today).or_else(|| of_month(words, today)),
    }
}

/// Splits a text into lower-case words without punctuation around them.
fn plain(text: &str) -> Vec<String> {
    let words = text.split_whitespace();
    let bare = words.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let bare = bare.filter(|word| !word.is_empty());
    bare.map(str::to_lowercase).collect()
}

/// Takes a time of day apart: `4:30pm` becomes `4`, `30` and `pm`, and `p.m` becomes `pm`.
fn clock(word: &str) -> Vec<String> {
    let word = match word {
        "a.m" => "am",
        "p.m" => "pm",
        word => word,
    };
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let half = word.get(digits.len()..).unwrap_or_default();
    let is_time = digits.bytes().all(|b| b.is_ascii_digit() || b == b':');
    match digits.is_empty() || !is_time || !["", "am", "pm"].contains(&half) {
        true => vec![word.to_owned()],
        false => digits
            .split(':')
            .chain([half])
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect(),
    }
}

fn number(word: &str) -> Option<u32> {
    match word {
        "a" | "an" => Some(1),
        "few" => Some(3),
        "couple" => Some(2),
        _ => word
            .parse()
            .ok()
            .or_else(|| text2digits(word, &English::new()).ok()?.parse().ok()),
    }
}

fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

/// Returns a weekday of the week that is `weeks` weeks after that of `today`.
fn of_week(today: Date, weeks: i64, day: Weekday) -> Option<Date> {
    let from_monday = i64::from(day.number_days_from_monday())
        - i64::from(today.weekday().number_days_from_monday());
    today.checked_add(Duration::days(7 * weeks + from_monday))
}

/// Returns the next such weekday after `today`.
fn coming(today: Date, day: Weekday) -> Option<Date> {
    let in_week = of_week(today, 0, day)?;
    match in_week > today {
        true => Some(in_week),
        false => of_week(today, 1, day),
    }
}

/// Returns the day that the words name, whether or not they name a part of it.
fn day(words: &[&str], today: Date) -> Option<Date> {
    match words {
        ["today" | "tonight", ..] => Some(today),
        ["this", "morning" | "afternoon" | "evening"] => Some(today),
        ["tomorrow", ..] => today.next_day(),
        ["this", name, ..] => {
            let day = weekday(name)?;
            match today.weekday() == day {
                true => Some(today),
                false => coming(today, day),
            }
        }
        ["next", "week", name] | ["next", name] if weekday(name).is_some() => {
            of_week(today, 1, weekday(name)?)
        }
        [
            "next",
            name,
            "morning" | "noon" | "afternoon" | "evening" | "night",
        ] => of_week(today, 1, weekday(name)?),
        ["last", name] => {
            let in_week = of_week(today, 0, weekday(name)?)?;
            match in_week < today {
                true => Some(in_week),
                false => in_week.checked_sub(Duration::WEEK),
            }
        }
        [name, ..] => coming(today, weekday(name)?),
        [] => None,
    }
}

/// Returns the first day of a span that is longer than a day.
fn first_day(words: &[&str], today: Date) -> Option<Date> {
    let first_of_month = |months: i32| {
        let from_zero = today.year() * 12 + i32::from(u8::from(today.month())) - 1 + months;
        let month = u8::try_from(from_zero.rem_euclid(12) + 1).ok()?;
        let month = Month::try_from(month).ok()?;
        Date::from_calendar_date(from_zero.div_euclid(12), month, 1).ok()
    };
    let weekend = [Weekday::Saturday, Weekday::Sunday].contains(&today.weekday());
    let in_quarter = i32::from((u8::from(today.month()) - 1) % 3);
    match words {
        ["next", "week", ..] => of_week(today, 1, Weekday::Monday),
        ["next", "weekend"] => of_week(today, 1, Weekday::Saturday),
        ["next", "month"] => first_of_month(1),
        ["next", "quarter"] => first_of_month(3 - in_quarter),
        ["next", "year"] => Date::from_calendar_date(today.year() + 1, Month::January, 1).ok(),
        ["this", "weekend"] if weekend => Some(today),
        ["this", "weekend"] => of_week(today, 0, Weekday::Saturday),
        ["this", "week" | "month" | "quarter" | "year"] => end_of(words, today),
        _ => None,
    }
}

/// Returns the last day of a span.
fn end_of(words: &[&str], today: Date) -> Option<Date> {
    let words: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !["the", "this"].contains(word))
        .collect();
    let before = |first: Date| first.previous_day();
    match words.as_slice() {
        ["day"] | ["business", "day"] => Some(today),
        ["next", "day"] => today.next_day(),
        ["next", "business", "day"] => business_days(today, 1),
        ["week"] => of_week(today, 0, Weekday::Friday).map(|friday| friday.max(today)),
        ["next", "week"] => of_week(today, 1, Weekday::Friday),
        [span @ ("month" | "quarter" | "year")] => {
            first_day(&["next", span], today).and_then(before)
        }
        ["next", span @ ("month" | "quarter" | "year")] => {
            let next = first_day(&["next", span], today)?;
            first_day(&["next", span], next).and_then(before)
        }
        _ => None,
    }
}

fn business_days(from: Date, days: u32) -> Option<Date> {
    let mut day = from;
    for _ in 0..days {
        day = day.next_day()?;
        while [Weekday::Saturday, Weekday::Sunday].contains(&day.weekday()) {
            day = day.next_day()?;
        }
    }
    Some(day)
}

/// Returns the time after a span such as `the next two business days`, `an hour` or
/// `a couple of weeks`.
fn after(words: &[&str], said: PrimitiveDateTime) -> Option<PrimitiveDateTime> {
    let business = words.iter().any(|w| ["business", "working"].contains(w));
    let words: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !["the", "next", "of", "business", "working"].contains(word))
        .collect();
    let (count, unit) = match words.as_slice() {
        // `a few`, `a couple`
        ["a", count, unit] | [count, unit] => (number(count)?, *unit),
        _ => return None,
    };
    // No speaker plans further ahead, and larger numbers could overflow.
    let count = Some(count).filter(|count| *count <= 10_000)?;
    let day = said.date();
    let many = i64::from(count);
    match unit {
        "minute" | "minutes" => said.checked_add(Duration::minutes(many)),
        "hour" | "hours" => said.checked_add(Duration::hours(many)),
        "day" | "days" if business => business_days(day, count).map(Date::midnight),
        "day" | "days" => day.checked_add(Duration::days(many)).map(Date::midnight),
        "week" | "weeks" => day.checked_add(Duration::weeks(many)).map(Date::midnight),
        "month" | "months" => months_after(day, count).map(Date::midnight),
        _ => None,
    }
}

/// Returns the same day of a later month, or the last day of that month.
fn months_after(from: Date, months: u32) -> Option<Date> {
    let from_zero = from.year() * 12 + i32::from(u8::from(from.month())) - 1;
    let later = from_zero.checked_add(i32::try_from(months).ok()?)?;
    let month = Month::try_from(u8::try_from(later.rem_euclid(12) + 1).ok()?).ok()?;
    let year = later.div_euclid(12);
    Date::from_calendar_date(year, month, from.day().min(month.length(year))).ok()
}

/// Returns a time of day such as `five`, `five thirty`, `5 pm` or `three o'clock`.
fn hour(words: &[&str]) -> Option<Time> {
    let (first, rest) = words.split_first()?;
    let hour = u8::try_from(number(first)?).ok()?;
    let minute = rest.first().and_then(|word| number(word));
    let minute = u8::try_from(minute.unwrap_or(0)).ok()?;
    let hour = match rest.last() {
        _ if !(1..=12).contains(&hour) => return None,
        Some(&"am") => hour % 12,
        Some(&"pm") => hour % 12 + 12,
        _ if AFTER_NOON.contains(&hour) => hour + 12,
        _ => hour,
    };
    Time::from_hms(hour, minute, 0).ok()
}

/// Reads a date such as `2024-03-05`, `3/5/2024` or `05.03.2024`.
fn written(text: &str) -> Option<Date> {
    let separator = text.chars().find(|c| !c.is_ascii_digit())?;
    let parts: Vec<i32> = text
        .split(separator)
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [first, second, third] = parts[..] else {
        return None;
    };
    let (year, month, day) = match separator {
        _ if first > 31 => (first, second, third),
        '/' if first <= 12 => (third, first, second),
        _ => (third, second, first),
    };
    let year = if year < 100 { 2000 + year } else { year };
    calendar_day(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
}

fn calendar_day(year: i32, month: u8, day: u8) -> Option<Date> {
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

/// Returns a date such as `march third`, `march 3rd 2024`, `the fifth of june` or `12
/// may 2023`.
fn of_month(words: &[&str], today: Date) -> Option<Date> {
    let at = words.iter().position(|word| MONTHS.contains(word))?;
    let month = MONTHS.iter().position(|m| Some(m) == words.get(at))?;
    let month = u8::try_from(month + 1).ok()?;
    let before = words.get(..at)?.iter().copied();
    let before: Vec<&str> = before.filter(|w| !["the", "of"].contains(w)).collect();
    let behind = words.get(at + 1..)?;
    let (behind, year) = match behind.split_last() {
        Some((last, rest)) if last.len() == 4 && last.parse::<u16>().is_ok() => {
            (rest, last.parse::<i32>().ok())
        }
        _ => (behind, None),
    };
    let said = [before.as_slice(), behind].concat();
    if said.is_empty() {
        return None;
    }
    let joined = said.join(" ");
    let digits = text2digits(&joined, &English::new()).unwrap_or(joined);
    let digits = digits.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let day: u8 = digits.parse().ok()?;
    if let Some(year) = year {
        return calendar_day(year, month, day);
    }
    // Takes the nearest one. The 29th of February may not exist in any of these
    // years.
    let years = [today.year(), today.year() + 1, today.year() - 1];
    let days = years
        .iter()
        .filter_map(|year| calendar_day(*year, month, day));
    days.min_by_key(|day| (*day - today).whole_days().abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns Tuesday, 5 March 2024, three in the afternoon.
    fn said() -> PrimitiveDateTime {
        let day = calendar_day(2024, 3, 5).unwrap();
        day.with_time(Time::from_hms(15, 0, 0).unwrap())
    }

    #[test]
    fn a_due_time_in_digits_is_read_with_its_marks() {
        for (words, due) in [
            ("by 4 p.m.", "2024-03-05 16:00"),
            ("by 4 P.M.", "2024-03-05 16:00"),
            ("by 4pm", "2024-03-05 16:00"),
            ("by 4 PM,", "2024-03-05 16:00"),
            ("by 4:30 p.m.", "2024-03-05 16:30"),
            ("by 4:30", "2024-03-05 16:30"),
            ("by 4:45pm", "2024-03-05 16:45"),
            ("before 9 a.m.", "2024-03-06 9:00"),
            ("by 12 p.m.", "2024-03-06 12:00"),
        ] {
            let found = due_time(words, said()).map(|due| {
                let (day, hour) = (due.date(), due.hour());
                format!("{day} {hour}:{:02}", due.minute())
            });
            assert_eq!(found.as_deref(), Some(due), "{words}");
        }
        for unclear in ["by 4:75", "by 25:00"] {
            assert_eq!(due_time(unclear, said()), None, "{unclear}");
        }
    }

    #[test]
    fn words_for_a_due_date_give_the_right_time() {
        for (words, due) in [
            ("tomorrow", "2024-03-06 0:00"),
            ("tomorrow morning", "2024-03-06 0:00"),
            ("by noon", "2024-03-05 12:00"),
            ("by tomorrow noon", "2024-03-06 12:00"),
            ("by midnight", "2024-03-06 0:00"),
            ("later today", "2024-03-05 0:00"),
            ("by Friday", "2024-03-08 0:00"),
            ("by Tuesday", "2024-03-12 0:00"),
            ("this Tuesday", "2024-03-05 0:00"),
            ("by next Tuesday", "2024-03-12 0:00"),
            ("next week", "2024-03-11 0:00"),
            ("next week Friday", "2024-03-15 0:00"),
            ("next Friday afternoon", "2024-03-15 0:00"),
            ("this week", "2024-03-08 0:00"),
            ("this weekend", "2024-03-09 0:00"),
            ("by next month", "2024-04-01 0:00"),
            ("by next quarter", "2024-04-01 0:00"),
            ("until the end of the month", "2024-03-31 0:00"),
            ("before the end of next quarter", "2024-06-30 0:00"),
            ("by the end of the year", "2024-12-31 0:00"),
            ("by the end of the day", "2024-03-05 0:00"),
            ("by close of business", "2024-03-05 0:00"),
            ("in an hour", "2024-03-05 16:00"),
            ("within 30 minutes", "2024-03-05 15:30"),
            ("in two weeks", "2024-03-19 0:00"),
            ("in a couple of weeks", "2024-03-19 0:00"),
            ("in the next few days", "2024-03-08 0:00"),
            ("within five business days", "2024-03-12 0:00"),
            ("in three months", "2024-06-05 0:00"),
            ("by five", "2024-03-05 17:00"),
            ("by five thirty pm", "2024-03-05 17:30"),
            ("by nine", "2024-03-06 9:00"),
            ("by 3 o'clock", "2024-03-06 15:00"),
            ("no later than Friday", "2024-03-08 0:00"),
            ("first thing Monday morning", "2024-03-11 0:00"),
        ] {
            let found = due_time(words, said()).map(|due| {
                let (day, time) = (due.date(), due.time());
                format!("{day} {}:{:02}", time.hour(), time.minute())
            });
            assert_eq!(found.as_deref(), Some(due), "{words}");
        }
    }

    #[test]
    fn only_words_for_a_single_day_have_a_date() {
        for (words, day) in [
            ("tomorrow", Some("2024-03-06")),
            ("yesterday", Some("2024-03-04")),
            ("the day after tomorrow", Some("2024-03-07")),
            ("Friday", Some("2024-03-08")),
            ("last Friday", Some("2024-03-01")),
            ("March third", Some("2024-03-03")),
            ("March 3, 2021", Some("2021-03-03")),
            ("the fifth of June", Some("2024-06-05")),
            ("December twenty fifth", Some("2023-12-25")),
            ("12 May 2023", Some("2023-05-12")),
            ("2024-03-07", Some("2024-03-07")),
            ("3/7/2024", Some("2024-03-07")),
            ("07.03.2024", Some("2024-03-07")),
            ("2/30/2024", None),
            ("March", None),
            ("March 2024", None),
            ("next week", None),
            ("this year", None),
            ("summer", None),
            ("2024", None),
            ("", None),
        ] {
            let found = date_of(words, said().date()).map(|day| day.to_string());
            assert_eq!(found.as_deref(), day, "{words}");
        }
    }

    #[test]
    fn no_words_at_any_time_cause_a_panic() {
        for said in [PrimitiveDateTime::MIN, said(), PrimitiveDateTime::MAX] {
            for words in [
                "in 4294967295 months",
                "in 10000 months",
                "within 10000 business days",
                "next year",
                "last monday",
                "by midnight",
                "by nine",
                "in",
                "by",
                "1/2",
                "1-",
                "the day before yesterday",
                "ümläut 99",
            ] {
                let _ = due_time(words, said);
                let _ = date_of(words, said.date());
            }
        }
    }
}
