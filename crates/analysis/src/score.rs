// SPDX-License-Identifier: MPL-2.0

//! Scores a call by a checklist of weighted criteria. There is no model: a criterion is met
//! or not by what was said, and says by which words.
//!
//! | `type` | met if |
//! |---|---|
//! | `phrase` | one of `phrases` was said |
//! | `absence` | none of `phrases` was said |
//! | `order` | a phrase of each list of `steps` was said, in their order |
//! | `timing` | one of `phrases` was said from `after` to `before` seconds after the start |
//! | `talk_ratio` | the `speaker` had from `min` to `max` of the talk time of all |
//!
//! Phrases are found as those of trackers are: in any inflection, and slightly misheard. A
//! [`Checklist`] is read from JSON; a [`Scorer`] takes the messages in their order, and
//! [`Scorer::finish`] gives the score.

mod checklist;

use super::tracker::Phrases;
pub use checklist::{Check, Checklist, Criterion};
use symbl_protocol::Tracker;

/// Most quotes of a criterion.
const MOST_QUOTES: usize = 5;

/// A message of the call.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Its id.
    pub message: i64,
    /// What was said.
    pub text: &'a str,
    /// The id, the name and the `userId` of the speaker, as far as they are known.
    pub speaker: &'a [&'a str],
    /// Nanoseconds since the start of the conversation.
    pub at: i64,
    /// How long it was, in nanoseconds.
    pub length: i64,
}

/// The words by which a criterion is met or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The message.
    pub message: i64,
    /// Its text.
    pub text: String,
    /// The phrase of the checklist. Empty for a talk ratio.
    pub phrase: String,
    /// Characters from the start of the text; −1 if the words are only similar.
    pub offset: i64,
    /// Nanoseconds since the start of the conversation.
    pub at: i64,
}

/// What became of a criterion.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// `true` if it is met.
    pub met: bool,
    /// The words that decided it, in their order. None if what should have been said was not.
    pub quotes: Vec<Quote>,
    /// The speaker's part of the talk time, for a talk ratio.
    pub ratio: Option<f64>,
}

/// The score of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Of the weights of all criteria, the part of those that are met, in percent.
    pub percent: f64,
    /// One for each criterion, in the order of the checklist.
    pub verdicts: Vec<Verdict>,
}

/// Scores a call, message by message.
#[derive(Debug)]
pub struct Scorer<'a> {
    checklist: &'a Checklist,
    /// All phrases of each criterion; a name is the criterion and the step.
    phrases: Vec<Phrases>,
    kept: Vec<Kept>,
}

/// What is kept of the call for a criterion.
#[derive(Debug, Default)]
struct Kept {
    quotes: Vec<Quote>,
    /// How many steps of an order were said.
    steps: usize,
    /// The longest message of the speaker.
    longest: Option<(i64, Quote)>,
}

impl<'a> Scorer<'a> {
    /// Begins to score a call.
    pub fn new(checklist: &'a Checklist) -> Self {
        let compiled = checklist.criteria.iter().map(|criterion| {
            let lists = criterion.check.lists().into_iter().enumerate();
            let steps = lists.map(|(step, phrases)| Tracker {
                name: step.to_string(),
                vocabulary: phrases.to_vec(),
            });
            Phrases::new(&steps.collect::<Vec<_>>())
        });
        let kept = checklist.criteria.iter().map(|_| Kept::default());
        Self {
            checklist,
            phrases: compiled.collect(),
            kept: kept.collect(),
        }
    }

    /// Takes the next message. Returns `true` if it may be quoted.
    pub fn take(&mut self, heard: Heard<'_>) -> bool {
        let mut quoted = false;
        let criteria = self.checklist.criteria.iter().zip(&self.phrases);
        for ((criterion, phrases), kept) in criteria.zip(&mut self.kept) {
            if criterion
                .speaker
                .as_deref()
                .is_some_and(|wanted| !is_called(wanted, heard.speaker))
            {
                continue;
            }
            let quote = |phrase: String, offset: i64| Quote {
                message: heard.message,
                text: heard.text.to_owned(),
                phrase,
                offset,
                at: heard.at,
            };
            if let Check::TalkRatio { .. } = criterion.check {
                if kept
                    .longest
                    .as_ref()
                    .is_none_or(|(length, _)| heard.length > *length)
                {
                    kept.longest = Some((heard.length, quote(String::new(), 0)));
                    quoted = true;
                }
                continue;
            }
            if kept.quotes.len() >= MOST_QUOTES && !matches!(criterion.check, Check::Order { .. }) {
                continue;
            }
            let mut found = phrases.find(heard.text);
            // The same words, and then those that are only similar.
            found.sort_by_key(|found| (found.offset < 0, found.offset));
            for found in found {
                let step: usize = found.name.parse().unwrap_or_default();
                let counts = match &criterion.check {
                    Check::Order { .. } => step == kept.steps,
                    Check::Timing { after, before, .. } => {
                        let seconds = heard.at as f64 / 1e9;
                        after.is_none_or(|after| seconds >= after)
                            && before.is_none_or(|before| seconds <= before)
                    }
                    _ => true,
                };
                if counts {
                    kept.steps = step + 1;
                    kept.quotes.push(quote(found.value, found.offset));
                    quoted = true;
                    // One quote of a message is enough, but it may have several steps.
                    if !matches!(criterion.check, Check::Order { .. }) {
                        break;
                    }
                }
            }
        }
        quoted
    }

    /// Returns the score. `talk` is how long each speaker spoke, in nanoseconds, with the id,
    /// the name and the `userId`; `total` is how long at least one speaker spoke.
    pub fn finish(self, talk: &[(Vec<&str>, i64)], total: i64) -> Score {
        let mut verdicts = Vec::with_capacity(self.kept.len());
        let (mut sum, mut weights) = (0.0, 0.0);
        for (criterion, kept) in self.checklist.criteria.iter().zip(self.kept) {
            let said = !kept.quotes.is_empty();
            let wanted = criterion.speaker.as_deref().unwrap_or_default();
            let own = talk.iter().filter(|(names, _)| is_called(wanted, names));
            let own: i64 = own.map(|(_, time)| *time).fold(0, i64::saturating_add);
            let ratio = (own as f64 / total.max(1) as f64).min(1.0);
            let mut verdict = Verdict {
                met: false,
                quotes: kept.quotes,
                ratio: None,
            };
            verdict.met = match &criterion.check {
                Check::Phrase { .. } | Check::Timing { .. } => said,
                Check::Absence { .. } => !said,
                Check::Order { steps } => kept.steps == steps.len(),
                Check::TalkRatio { min, max } => {
                    verdict.ratio = Some(ratio);
                    verdict.quotes.extend(kept.longest.map(|(_, quote)| quote));
                    min.is_none_or(|min| ratio >= min) && max.is_none_or(|max| ratio <= max)
                }
            };
            weights += criterion.weight;
            sum += if verdict.met { criterion.weight } else { 0.0 };
            verdicts.push(verdict);
        }
        Score {
            percent: sum * 100.0 / weights.max(f64::MIN_POSITIVE),
            verdicts,
        }
    }
}

/// Returns `true` if one of the names is the wanted one, in any case.
fn is_called(wanted: &str, names: &[&str]) -> bool {
    let wanted = wanted.trim().to_lowercase();
    let (from_any, rest) = match wanted.strip_prefix('*') {
        Some(rest) => (true, rest),
        None => (false, wanted.as_str()),
    };
    let (to_any, inner) = match rest.strip_suffix('*') {
        Some(inner) => (true, inner),
        None => (false, rest),
    };
    names.iter().any(|name| {
        let name = name.trim().to_lowercase();
        match (from_any, to_any) {
            (false, false) => name == inner,
            (true, false) => name.ends_with(inner),
            (false, true) => name.starts_with(inner),
            (true, true) => name.contains(inner),
        }
    })
}

#[cfg(test)]
mod tests;
