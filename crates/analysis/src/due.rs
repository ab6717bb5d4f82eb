// SPDX-License-Identifier: MPL-2.0

//! Finds the words that say when something is due: `by friday`, `tomorrow morning`,
//! `in two weeks`.
//!
//! It finds only clear times in the future. It returns the words and not a date,
//! because this module does not know what day it is; [`super::due_time`] does the
//! conversion.

use super::pattern::{Pattern, Subject};
use std::ops::Range;
use std::sync::LazyLock;

/// Patterns of future times, the clearest limits first. The first pattern that
/// matches counts, so a longer pattern stands before a shorter one that begins with
/// the same word.
const TIMES: &[&str] = &[
    "no later than DAY|tomorrow|noon|today ?morning|noon|afternoon|evening|night",
    "by|before|until DAY|tomorrow|tonight|today|noon|midnight ?morning|noon|afternoon|evening|night",
    "by|before|until ?the end of ?the|this|next ?business day|week|month|quarter|year",
    "by|before|until next|this DAY|week|month|quarter|year|weekend",
    "by|before|until close of business",
    "by|before|until this afternoon|evening|morning",
    "by|before|until NUMBER ?NUMBER ?o'clock|pm|am",
    "at|until ?the end of ?the|this|next ?business day|week|month|quarter|year",
    "within|in ?the ?next NUMBER|a|an|few|couple ?few|couple|of ?of ?business|working \
     minute|minutes|hour|hours|day|days|week|weeks|month|months",
    "first thing tomorrow|DAY ?morning|afternoon",
    "?later tomorrow|today|tonight ?morning|noon|afternoon|evening|night",
    "on|this|next DAY ?morning|afternoon|evening|night",
    "this afternoon|evening|morning|week|month|weekend",
    "next week|month|quarter|year|weekend ?DAY",
    "DAY ?morning|afternoon|evening",
];

/// A time after one of these words is past or recurs.
const NOT_AFTER: &[&str] = &[
    "last", "every", "since", "from", "for", "each", "past", "of", "was", "were", "sent",
];

static PATTERNS: LazyLock<Vec<Pattern>> =
    LazyLock::new(|| TIMES.iter().map(|time| Pattern::new(time)).collect());

/// Returns the tokens of the first future time. Limits (`by`, `before`) come first.
pub(super) fn find(subject: Subject) -> Option<Range<usize>> {
    let to_come = |place: &Range<usize>| {
        let before = place
            .start
            .checked_sub(1)
            .and_then(|at| subject.tokens.get(at));
        !before.is_some_and(|token| NOT_AFTER.contains(&token.text.as_str()))
    };
    PATTERNS
        .iter()
        .find_map(|pattern| pattern.places(subject).find(to_come))
}

/// Returns all patterns, for a test that checks their words.
#[cfg(test)]
pub(super) fn sources() -> impl Iterator<Item = &'static str> {
    TIMES.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::super::{question, token::tokens};
    use super::*;

    fn due(text: &str) -> Option<String> {
        let tokens = tokens(text);
        let found = find(question::subject(&tokens))?;
        let words: Vec<&str> = tokens[found].iter().map(|t| t.text.as_str()).collect();
        Some(words.join(" "))
    }

    #[test]
    fn clear_times_are_found_whole() {
        for (text, time) in [
            ("i will send it by friday", "by friday"),
            ("i'll call you tomorrow morning", "tomorrow morning"),
            (
                "we need it before the end of the month",
                "before the end of the month",
            ),
            ("within two business days", "within two business days"),
            ("in a couple of weeks", "in a couple of weeks"),
            ("in an hour", "in an hour"),
            ("let's meet on tuesday afternoon", "on tuesday afternoon"),
            ("call me monday", "monday"),
            ("i will do it tomorrow but you need it by noon", "by noon"),
        ] {
            assert_eq!(due(text).as_deref(), Some(time), "{text}");
        }
    }

    #[test]
    fn doubtful_times_are_left_alone() {
        for text in [
            "we met last friday",
            "we meet every monday",
            "the minutes of friday",
            "i'll send it soon",
            "at three",
        ] {
            assert_eq!(due(text), None, "{text}");
        }
    }
}
