// SPDX-License-Identifier: MPL-2.0

//! Finds the place of each result in the audio, and drops results that were delivered
//! before.
//!
//! A live result carries the service's audio time, which the generation turns into
//! positions. A message carries the service's wall clock. It is tied to the final whose
//! words it repeats, and takes their exact places. If there is no such final, the wall
//! clock places it, with the offset that earlier messages have shown. Insights, trackers,
//! topics and entities have the place of the message that they refer to.
//!
//! Delivered results are recognised by their place in the audio and by ids, never by their
//! text: "Yes." and "Yes." are two.

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

/// Most finals whose messages are waited for.
const MAX_FINALS: usize = 64;
/// How much audio behind a final may be finalised before its message is given up, in
/// nanoseconds.
const MAX_OWED: u64 = 10_000_000_000;
/// Silence that is sent again before a word, in nanoseconds, so that the recogniser hears
/// the beginning of the word.
const LEAD: u64 = 500_000_000;
/// How far the wall clock may place a message from its words, in nanoseconds. It is less
/// than a word is long, because the word beside it may be the same.
const NEAR: u64 = 60_000_000;
/// Longest time between the sending of the first audio of a start and its arrival at the
/// service, in nanoseconds of the wall clock.
const LATE: i64 = 1_000_000_000;
/// Most earlier starts whose wall clock is remembered.
const MAX_BEFORE: usize = 8;
/// Finals without any message after which no message is waited for before another start.
const ENOUGH_FINALS: usize = 8;

/// A live result with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedResult {
    /// The id that interims, their final and its messages share.
    pub utterance_id: String,
    /// The result's text without words that were delivered before.
    pub text: String,
    /// Its place in the audio, as exactly as it is known.
    pub span: Range<Position>,
    /// The words that were not delivered before.
    pub words: Vec<(String, Range<Position>)>,
    /// How many of the first words are settled; 0 if nothing is promised.
    pub stable: usize,
}

#[derive(Debug)]
struct Final {
    /// Number of the start in which it came.
    generation: u64,
    /// The speaker.
    by: Option<Participant>,
    words: Vec<FinalWord>,
    /// The index of the first word that no message has repeated.
    next: usize,
    /// Where a replay has to begin for the service to send the message again.
    from: Position,
    /// A later final got its message first, so that this one will get none.
    passed_over: bool,
}

#[derive(Debug)]
struct FinalWord {
    key: String,
    span: Range<Position>,
    /// The utterance with which the word was delivered.
    utterance: Arc<str>,
}

/// Returns `true` if `a` and `b` may be the same participant: they do not differ in the first
/// member that both have.
fn same_speaker(a: &Participant, b: &Participant) -> bool {
    let same = |a: &Option<String>, b: &Option<String>| Some(a.as_ref()? == b.as_ref()?);
    same(&a.user_id, &b.user_id)
        .or_else(|| same(&a.id, &b.id))
        .or_else(|| same(&a.name, &b.name))
        .unwrap_or(true)
}

/// The results that have been delivered, and their places.
#[derive(Debug)]
pub struct Delivery {
    /// All words before this were delivered in finals.
    delivered: Position,
    /// All words before this were delivered in messages.
    delivered_in_messages: Position,
    /// The end of the last message of this start. Messages come in the order of the audio, so
    /// that the next message does not repeat words before this.
    matched: Position,
    /// The service sends messages. It is taken to do so until it has sent two finals and no
    /// message.
    sends_messages: bool,
    utterance: u64,
    finals: VecDeque<Final>,
    known: VecDeque<KnownItem>,
    /// The participants that stand for this client, the latest first.
    own: VecDeque<Participant>,
    /// Wall clock of the service at its time zero, in nanoseconds since the Unix epoch.
    wall_zero: Option<i64>,
    /// The wall clock at the time zero of earlier starts, with the audio of each.
    before: VecDeque<(Option<i64>, Generation)>,
    /// Start of the latest message that is no longer known, by the service's wall clock.
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

/// Returns the letters and digits of a word in lower case. Composed and decomposed accents
/// (NFC and NFD) give the same key.
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

/// A word and its place in the audio.
type SpannedWord = (String, Range<Position>);

/// Returns the text of a result with these words, of which `fresh` were not delivered before.
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
    /// Returns the position before which all words were delivered in finals.
    pub fn delivered(&self) -> Position {
        self.delivered
    }

    /// Returns the position before which no replay is needed: all words before it were
    /// delivered in finals, and in messages too if the service sends any.
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

    /// Returns `true` if there are finals whose messages may still come.
    pub fn owes_messages(&self) -> bool {
        let never = self.delivered_in_messages == 0 && self.finals.len() < ENOUGH_FINALS;
        never && !self.finals.is_empty() || self.settled() < self.delivered
    }

    /// Begins a start after `ended`. The service's clocks start over.
    pub fn begin_generation(&mut self, ended: Generation) {
        if ended.has_audio() {
            if self.before.len() == MAX_BEFORE {
                self.before.pop_front();
            }
            self.before.push_back((self.wall_zero.take(), ended));
        }
        self.matched = 0;
    }

    /// Places a live result. Returns `None` if it is empty, was delivered before, or its audio
    /// is too old to be placed.
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
                let span = self.heard(nanos(word.start), nanos(word.end), generation)?;
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
                stable: self.stable(result, &fresh, generation),
                words: fresh,
            });
        }
        if spans.is_empty() && !result.words.is_empty() {
            return None; // The spans of its audio are forgotten.
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
            stable: 0,
        })
    }

    /// Returns the positions of a word. Of audio that is not sent again after all, because a
    /// flush or another format comes first, the service tells the finals that it has stored
    /// all the same: they stand where an earlier start was given their audio.
    fn heard(&self, start: u64, end: u64, generation: &Generation) -> Option<Range<Position>> {
        let place = generation.behind(start, end);
        let mut before = self.before.iter().rev();
        place
            .and_then(|place| before.find_map(|(_, start)| start.place(&place)))
            .or_else(|| generation.heard(start, end))
    }

    /// Gives up the words before `until`, because their final could not be read.
    pub fn pass_over(&mut self, until: Position) {
        self.delivered = self.delivered.max(until);
    }

    /// Returns `true` if a final has delivered the word at `span`.
    fn was_delivered(&self, span: &Range<Position>) -> bool {
        middle(span) < self.delivered && !planted(Bug::RepeatedWordsTold)
    }

    /// Returns the words that no final has delivered.
    fn fresh(&self, words: &[SpannedWord]) -> Vec<SpannedWord> {
        let fresh = words.iter().filter(|(_, span)| !self.was_delivered(span));
        fresh.cloned().collect()
    }

    /// Returns how many of the `fresh` words of an interim are stable. Without word times,
    /// nothing was left out, so the service's number stands.
    fn stable(
        &self,
        result: &RecognitionResult,
        fresh: &[SpannedWord],
        generation: &Generation,
    ) -> usize {
        let stable = result.stable_words.unwrap_or(0);
        if fresh.is_empty() {
            return stable;
        }
        let stable = result.words.iter().take(stable);
        let spans = stable.filter_map(|word| generation.heard(nanos(word.start), nanos(word.end)));
        spans.filter(|span| !self.was_delivered(span)).count()
    }

    /// Returns where a replay has to begin for these words to be finalised again: in the
    /// silence before them.
    fn replay_start(&self, words: &[SpannedWord]) -> Position {
        let first = words.first().map_or(self.delivered, |word| word.1.start);
        let ends = self.finals.iter().rev();
        let before = ends
            .filter_map(|record| Some(record.words.last()?.span.end))
            .find(|end| *end <= first);
        before.unwrap_or(0).max(first.saturating_sub(LEAD))
    }

    /// Returns the audio that the service was given and has not finalised.
    fn open_span(&self, generation: &Generation) -> Range<Position> {
        let end = generation.end();
        self.delivered.max(generation.start()).min(end)..end
    }

    /// Places a final of a service that sends no word times. It covers the audio that was
    /// given since the last final.
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
            stable: 0,
        })
    }

    fn remember(&mut self, record: Final) {
        // This is the second final, and no message came for the first.
        self.sends_messages &= self.finals.is_empty() || self.delivered_in_messages > 0;
        if self.finals.len() == MAX_FINALS {
            self.finals.pop_front();
        }
        self.finals.push_back(record);
    }

    /// Returns the utterance with which the word at this place was delivered.
    fn utterance_at(&self, place: Position) -> Option<Arc<str>> {
        let mut words = self.finals.iter().rev().flat_map(|record| &record.words);
        let told = words.find(|word| word.span.contains(&place))?;
        Some(Arc::clone(&told.utterance))
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
