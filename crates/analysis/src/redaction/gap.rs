// SPDX-License-Identifier: MPL-2.0

//! Joins the digits of a number that is said with words between them: `four one five, okay,
//! five five five`, `oh seven nine one one no sorry oh seven nine one two`.

use super::digits::Run;
use super::word::{Word, bare};

/// What the listener says between the parts of a number, or the speaker to win time.
#[rustfmt::skip]
const PAUSES: &[&str] = &[
    "uh", "um", "er", "erm", "hm", "hmm", "mhm", "okay", "ok", "yes", "yeah", "yep", "yup", "right", "sure",
    "got", "it", "that", "and", "then", "rest", "is", "the", "you", "uh-huh", "next", "alright", "let", "me",
    "see", "think", "followed", "by",
];

/// What a speaker says who corrects a number.
#[rustfmt::skip]
const CORRECTIONS: &[&str] = &[
    "sorry", "no", "wait", "i", "mean", "actually", "correction", "pardon", "oops", "rather", "make", "not",
    "hang", "on", "scratch", "hold", "that's", "wrong", "it's", "again",
];

/// Most words between two parts.
const WIDEST: usize = 5;

/// What is between two runs of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// Only words that say nothing.
    Pause,
    /// Words that may take back what was said.
    Correction,
}

/// Returns what the words from `end` to `start` say, or `None` if they are no such words.
pub(super) fn between(words: &[Word<'_>], end: usize, start: usize) -> Option<Gap> {
    let gap = words.get(end..start)?;
    let is_pause = |word: &Word<'_>| PAUSES.contains(&word.bare.as_str()) || word.is_filler();
    if gap.len() > WIDEST {
        return None;
    }
    if gap.iter().all(is_pause) {
        return Some(Gap::Pause);
    }
    let is_known = |word: &Word<'_>| is_pause(word) || CORRECTIONS.contains(&word.bare.as_str());
    let is_taken_back = gap.iter().any(|word| {
        matches!(
            word.bare.as_str(),
            "sorry"
                | "no"
                | "wait"
                | "mean"
                | "correction"
                | "actually"
                | "oops"
                | "scratch"
                | "hold"
                | "hang"
        )
    });
    (is_taken_back && gap.iter().all(is_known)).then_some(Gap::Correction)
}

/// Returns the runs with those joined that only pauses are between. No amount joins another
/// one.
pub(super) fn joined(words: &[Word<'_>], runs: &[Run]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for run in runs {
        match out.last_mut() {
            Some(last) if is_split(words, last, run) => {
                if let Some(end) = last.elements.last_mut() {
                    end.bounded = true;
                }
                last.elements.extend(run.elements.iter().cloned());
            }
            _ => out.push(run.clone()),
        }
    }
    out
}

/// Returns `true` if the two runs may be parts of one number.
fn is_split(words: &[Word<'_>], one: &Run, next: &Run) -> bool {
    let is_part = |run: &Run| {
        let digits: usize = run.elements.iter().map(|one| one.digits.len()).sum();
        let is_short = run.elements.iter().all(|one| !one.cardinal);
        is_short && digits >= 2
    };
    is_part(one) && is_part(next) && between(words, one.end(), next.start()) == Some(Gap::Pause)
}

/// Returns where a number begins that may go on behind the last words: digits, and pauses or
/// corrections between them.
pub(super) fn begun(words: &[Word<'_>], runs: &[Run], last: usize) -> Option<usize> {
    let mut start = runs.get(last)?.start();
    let earlier = runs.get(..last).unwrap_or_default();
    for run in earlier.iter().rev() {
        if between(words, run.end(), start).is_none() {
            break;
        }
        start = run.start();
    }
    Some(start)
}

/// Words behind a number that may end in what the number is: `is my pin`.
#[rustfmt::skip]
const AFTER: &[&str] = &[
    "is", "are", "was", "that's", "for", "my", "the", "our", "his", "her", "their", "your", "last", "four",
    "of", "digits", "on", "security", "account", "routing", "sort", "zip", "phone", "home", "social", "work",
    "cell", "mobile", "card", "area",
];

/// Returns where the words end in front of pauses, corrections and the beginning of what the
/// number in front of them is.
pub(super) fn before_pauses(words: &[Word<'_>]) -> usize {
    let mut end = words.len();
    let lowest = words.len().saturating_sub(WIDEST + 3);
    while end > lowest {
        let word = bare(words, end - 1);
        let is_pause = PAUSES.contains(&word)
            || CORRECTIONS.contains(&word)
            || AFTER.contains(&word)
            || words.get(end - 1).is_some_and(Word::is_filler);
        if !is_pause {
            break;
        }
        end -= 1;
    }
    end
}
