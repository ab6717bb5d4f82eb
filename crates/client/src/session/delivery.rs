// SPDX-License-Identifier: MPL-2.0

//! Finds the place in the audio that a result belongs to, and tells what was
//! delivered before.
//!
//! A live result carries the service's audio time, which the generation turns
//! into positions. A message does not: its clock is the service's wall clock.
//! It is tied to the final whose words it repeats, and takes their exact
//! places; only where that fails, the wall clock is used, with the offset that
//! the messages before it have shown. Insights, trackers, topics and entities
//! stand where the message stands that they refer to.
//!
//! What was delivered is known by its place in the audio and by ids, never by
//! its text: "Yes." "Yes." are two.

mod history;
mod messages;

use super::Position;
use super::generation::Generation;
use super::planted::{Bug, planted};
use messages::KnownItem;
pub use messages::PlacedMessage;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use symbl_protocol::response::{Participant, RecognitionResult};
use unicode_normalization::UnicodeNormalization;

/// Finals whose messages may still come.
const MAX_FINALS: usize = 64;
/// How much audio may be finalised behind a final whose message has not come
/// before it is not waited for any more, in nanoseconds.
const MAX_OWED: u64 = 10_000_000_000;
/// Silence sent again in front of a word, so that it is heard from its beginning.
const LEAD: u64 = 500_000_000;
/// How far from its words a message may stand by the wall clock, in nanoseconds:
/// less than a word is long, for the one beside it may be the same.
const NEAR: u64 = 60_000_000;
/// How much later than it was sent the first audio of a start may come to the
/// service, by the wall clock.
const LATE: i64 = 1_000_000_000;
/// Earlier starts of which the wall clock is remembered.
const MAX_BEFORE: usize = 8;
/// Finals without any message after which none is waited for before another start.
const ENOUGH_FINALS: usize = 8;

/// A live result with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedResult {
    /// Ties interims, their final and its messages together.
    pub utterance_id: String,
    /// What to show: the result's text, without words delivered before.
    pub text: String,
    /// Where it was said, as far as that is known.
    pub span: Range<Position>,
    /// The words that were not delivered before.
    pub words: Vec<(String, Range<Position>)>,
}

#[derive(Debug)]
struct Final {
    /// Number of the start in which it came.
    generation: u64,
    /// Who said it.
    by: Option<Participant>,
    words: Vec<FinalWord>,
    /// Words before this one have been found in messages.
    next: usize,
    /// Where a replay has to begin for the service to say its message again.
    from: Position,
    /// Whether a later final had its message first: this one has none.
    passed_over: bool,
}

#[derive(Debug)]
struct FinalWord {
    key: String,
    span: Range<Position>,
    /// In which it was told.
    utterance: Arc<str>,
}

/// Whether two may be one: as far as both say who they are.
fn same_speaker(a: &Participant, b: &Participant) -> bool {
    let same = |a: &Option<String>, b: &Option<String>| Some(a.as_ref()? == b.as_ref()?);
    same(&a.user_id, &b.user_id)
        .or_else(|| same(&a.id, &b.id))
        .or_else(|| same(&a.name, &b.name))
        .unwrap_or(true)
}

/// What has been delivered, and where it stood.
#[derive(Debug)]
pub struct Delivery {
    /// Everything before this was delivered in finals.
    delivered: Position,
    /// Everything before this was delivered in messages.
    delivered_in_messages: Position,
    /// Where the last message of this start ended. Messages come in the order of
    /// what was said, so that equal words before it are not those of the next.
    matched: Position,
    /// Whether this service sends messages. Taken for granted until it has sent
    /// two finals and no message.
    sends_messages: bool,
    utterance: u64,
    finals: VecDeque<Final>,
    known: VecDeque<KnownItem>,
    /// Who the service takes us for, and took us for.
    own: VecDeque<Participant>,
    /// Wall clock of the service at its time zero, in nanoseconds.
    wall_zero: Option<i64>,
    /// The same in earlier starts, with what was given then.
    before: VecDeque<(Option<i64>, Generation)>,
    /// Wall clock of the latest message that is no longer known.
    forgotten: Option<i64>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            delivered: 0,
            delivered_in_messages: 0,
            matched: 0,
            sends_messages: true,
            utterance: 1,
            finals: VecDeque::new(),
            known: VecDeque::new(),
            own: VecDeque::new(),
            wall_zero: None,
            before: VecDeque::new(),
            forgotten: None,
        }
    }
}

/// What two spellings of one word have in common, also if one of them has its accents
/// behind the letters (NFD).
fn key(word: &str) -> String {
    match word.is_ascii() {
        true => letters(word.chars()),
        false => letters(word.nfc()),
    }
}

fn letters(word: impl Iterator<Item = char>) -> String {
    word.filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// A word and where it stands.
type SpannedWord = (String, Range<Position>);

/// What to show of a result with these words, of which those are `fresh`.
fn text_of(result: &RecognitionResult, words: &[SpannedWord], fresh: &[SpannedWord]) -> String {
    if fresh.len() == words.len() {
        result.text.clone()
    } else {
        joined(fresh)
    }
}

fn joined(words: &[SpannedWord]) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
    words.join(" ")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn middle(span: &Range<Position>) -> Position {
    span.start + (span.end - span.start) / 2
}

impl Delivery {
    /// Everything before this was delivered in finals.
    pub fn delivered(&self) -> Position {
        self.delivered
    }

    /// Everything before this was delivered in finals and in messages too, as
    /// far as messages come: a replay need not begin earlier.
    pub fn settled(&self) -> Position {
        let owed = self.finals.iter().find(|record| {
            let open = record.words.get(record.next..).unwrap_or_default();
            !record.passed_over
                && record.from + MAX_OWED > self.delivered
                && open
                    .iter()
                    .any(|word| middle(&word.span) >= self.delivered_in_messages)
        });
        match owed {
            Some(record) if self.sends_messages => record.from,
            _ => self.delivered,
        }
    }

    /// Whether there are finals whose messages have not come, and may.
    pub fn owes_messages(&self) -> bool {
        let never = self.delivered_in_messages == 0 && self.finals.len() < ENOUGH_FINALS;
        never && !self.finals.is_empty() || self.settled() < self.delivered
    }

    /// A new start after `ended`: the service's clocks begin anew.
    pub fn begin_generation(&mut self, ended: Generation) {
        if ended.has_audio() {
            if self.before.len() == MAX_BEFORE {
                self.before.pop_front();
            }
            self.before.push_back((self.wall_zero.take(), ended));
        }
        self.matched = 0;
    }

    /// A live result. `None`: it is not for this place, or was delivered before.
    pub fn place_result(
        &mut self,
        result: &RecognitionResult,
        generation: &Generation,
    ) -> Option<PlacedResult> {
        if let Some(user) = &result.user {
            self.speaks_as(user);
        }
        let spans: Vec<SpannedWord> = result
            .words
            .iter()
            .filter_map(|word| {
                let span = generation.heard(nanos(word.start), nanos(word.end))?;
                Some((word.word.clone(), span))
            })
            .collect();
        let utterance_id = format!("u{}", self.utterance);
        if !result.is_final {
            if result.text.is_empty() {
                return None;
            }
            let fresh = self.fresh(&spans);
            if fresh.is_empty() && !spans.is_empty() {
                return None;
            }
            let span = match (fresh.first(), fresh.last()) {
                (Some(first), Some(last)) => first.1.start..last.1.end,
                _ => {
                    let open = self.open_span(generation);
                    let start = result.start.and_then(|s| generation.position(nanos(s)));
                    start.map_or(open.start, |s| s.clamp(open.start, open.end))..open.end
                }
            };
            return Some(PlacedResult {
                utterance_id,
                text: text_of(result, &spans, &fresh),
                span,
                words: fresh,
            });
        }
        if spans.is_empty() && !result.words.is_empty() {
            return None; // Its audio is long forgotten.
        }
        if spans.is_empty() {
            return self.place_without_words(result, generation, utterance_id);
        }
        let this: Arc<str> = Arc::from(utterance_id.as_str());
        let told_in = |span: &Range<Position>| {
            let before = Some(span).filter(|span| self.was_delivered(span));
            before.and_then(|span| self.utterance_at(middle(span)))
        };
        let record = Final {
            generation: generation.number,
            by: result.user.clone(),
            words: spans
                .iter()
                .map(|(word, span)| FinalWord {
                    key: key(word),
                    span: span.clone(),
                    utterance: told_in(span).unwrap_or_else(|| Arc::clone(&this)),
                })
                .collect(),
            next: 0,
            from: self.replay_start(&spans),
            passed_over: false,
        };
        let fresh = self.fresh(&spans);
        self.remember(record);
        let (first, last) = (fresh.first()?, fresh.last()?);
        let span = first.1.start..last.1.end;
        self.delivered = self.delivered.max(span.end);
        self.utterance += 1;
        Some(PlacedResult {
            utterance_id,
            text: text_of(result, &spans, &fresh),
            span,
            words: fresh,
        })
    }

    /// Nothing before `until` is waited for any more: the final that was about it could
    /// not be read.
    pub fn pass_over(&mut self, until: Position) {
        self.delivered = self.delivered.max(until);
    }

    /// Whether a final has told what stands there.
    fn was_delivered(&self, span: &Range<Position>) -> bool {
        middle(span) < self.delivered && !planted(Bug::RepeatedWordsTold)
    }

    /// The words that no final has told.
    fn fresh(&self, words: &[SpannedWord]) -> Vec<SpannedWord> {
        let fresh = words.iter().filter(|(_, span)| !self.was_delivered(span));
        fresh.cloned().collect()
    }

    /// Where a replay has to begin for these words to be finalised again: in the
    /// silence before them.
    fn replay_start(&self, words: &[SpannedWord]) -> Position {
        let first = words.first().map_or(self.delivered, |word| word.1.start);
        let ends = self.finals.iter().rev();
        let before = ends
            .filter_map(|record| Some(record.words.last()?.span.end))
            .find(|end| *end <= first);
        before.unwrap_or(0).max(first.saturating_sub(LEAD))
    }

    /// What the service was given and has not finalised.
    fn open_span(&self, generation: &Generation) -> Range<Position> {
        let end = generation.end();
        self.delivered.max(generation.start()).min(end)..end
    }

    /// A final of a service that gives no word times: it covers what was given
    /// since the last one.
    fn place_without_words(
        &mut self,
        result: &RecognitionResult,
        generation: &Generation,
        utterance_id: String,
    ) -> Option<PlacedResult> {
        if result.text.is_empty() {
            return None;
        }
        let span = self.open_span(generation);
        self.remember(Final {
            generation: generation.number,
            by: result.user.clone(),
            words: result
                .text
                .split_whitespace()
                .map(|word| FinalWord {
                    key: key(word),
                    span: span.clone(),
                    utterance: Arc::from(utterance_id.as_str()),
                })
                .collect(),
            next: 0,
            from: span.start,
            passed_over: false,
        });
        self.delivered = self.delivered.max(span.end);
        self.utterance += 1;
        Some(PlacedResult {
            utterance_id,
            text: result.text.clone(),
            span,
            words: Vec::new(),
        })
    }

    fn remember(&mut self, record: Final) {
        // The second final, and no message for the first.
        self.sends_messages &= self.finals.is_empty() || self.delivered_in_messages > 0;
        if self.finals.len() == MAX_FINALS {
            self.finals.pop_front();
        }
        self.finals.push_back(record);
    }

    /// The utterance in which this place was told.
    fn utterance_at(&self, place: Position) -> Option<Arc<str>> {
        let mut words = self.finals.iter().rev().flat_map(|record| &record.words);
        let told = words.find(|word| word.span.contains(&place))?;
        Some(Arc::clone(&told.utterance))
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
