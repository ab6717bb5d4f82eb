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

use super::Position;
use super::generation::Generation;
use super::planted::{Bug, planted};
use crate::protocol::response::{Message, RecognitionResult, Speaker};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Finals whose messages may still come.
const MAX_FINALS: usize = 64;
/// How much audio may be finalised behind a final whose message has not come
/// before it is not waited for any more, in nanoseconds.
const MAX_OWED: u64 = 10_000_000_000;
/// Wall-clock times are printed in milliseconds, rounded by whoever prints them.
const SAME_TIME: u64 = 1_000_000;
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
/// Speakers that we may have been when something was said that is still to come.
const MAX_OWN: usize = 8;
/// Messages and insights that may still be referred to.
const MAX_MESSAGES: usize = 256;

/// A live result with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Ties interims, their final and its messages together.
    pub utterance_id: String,
    /// What to show: the result's text, without words delivered before.
    pub text: String,
    /// Where it was said, as far as that is known.
    pub span: Range<Position>,
    /// The words that were not delivered before.
    pub words: Vec<(String, Range<Position>)>,
}

/// A message with its place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    /// What to show, where that is less than its text: a part of it was delivered before.
    pub text: Option<String>,
    /// The utterance it was cut from.
    pub utterance_id: Option<String>,
    /// Where it was said.
    pub span: Option<Range<Position>>,
    /// Its words.
    pub words: Vec<(String, Range<Position>)>,
}

impl Said {
    /// What of it stands there, as far as its words have places.
    fn within(mut self, place: &Range<Position>) -> Self {
        let all = self.words.len();
        self.words.retain(|(_, span)| {
            place.contains(&middle(span)) || planted(Bug::RepeatedMessagesTold)
        });
        if self.words.len() < all {
            self.text = Some(joined(&self.words));
            let ends = self.words.first().zip(self.words.last());
            self.span = ends.map(|(first, last)| first.1.start..last.1.end);
        }
        self
    }
}

#[derive(Debug)]
struct Final {
    /// Number of the start in which it came.
    generation: u64,
    /// Who said it.
    by: Option<Speaker>,
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

/// A message whose words were found in a final.
struct Tied {
    said: Said,
    /// Where all of its words stand, told before or not.
    span: Range<Position>,
    /// Number of the start of that final.
    generation: u64,
}

#[derive(Debug)]
struct Known {
    id: Option<String>,
    span: Option<Range<Position>>,
    /// Whether it repeats what was delivered before.
    repeated: bool,
    /// Who said it and when, by the service's wall clock.
    said: Option<(Option<Speaker>, i64)>,
}

impl Known {
    /// Whether this is the same message, whatever its id: the Conversation API
    /// has ids of its own.
    fn was_said(&self, by: Option<&Speaker>, at: i64) -> bool {
        self.said.as_ref().is_some_and(|(speaker, start)| {
            start.abs_diff(at) <= SAME_TIME
                && (speaker.as_ref().zip(by)).is_none_or(|(a, b)| same_speaker(a, b))
        })
    }
}

/// Whether two may be one: as far as both say who they are.
fn same_speaker(a: &Speaker, b: &Speaker) -> bool {
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
    said: Position,
    /// Where the last message of this start ended. Messages come in the order of
    /// what was said, so that equal words before it are not those of the next.
    matched: Position,
    /// Whether this service sends messages. Taken for granted until it has sent
    /// two finals and no message.
    sends_messages: bool,
    utterance: u64,
    finals: VecDeque<Final>,
    known: VecDeque<Known>,
    /// Who the service takes us for, and took us for.
    own: VecDeque<Speaker>,
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
            said: 0,
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

/// What two spellings of one word have in common.
fn key(word: &str) -> String {
    word.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// The words of a message that are more than punctuation.
fn spellings(message: &Message) -> Vec<&str> {
    let spoken = message.original_text.as_deref().unwrap_or(&message.text);
    let words = spoken.split_whitespace();
    words.filter(|word| !key(word).is_empty()).collect()
}

/// A word and where it stands.
type PlacedWord = (String, Range<Position>);

/// What to show of a result with these words, of which those are `fresh`.
fn text_of(result: &RecognitionResult, words: &[PlacedWord], fresh: &[PlacedWord]) -> String {
    if fresh.len() == words.len() {
        result.text.clone()
    } else {
        joined(fresh)
    }
}

fn joined(words: &[PlacedWord]) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
    words.join(" ")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Places the message by the wall clock, which read `zero` at the time zero of
/// `generation`; where it has no such times, by `offset`.
fn placed(
    message: &Message,
    zero: Option<i64>,
    generation: &Generation,
    offset: impl Fn(Option<Duration>) -> Option<Position>,
) -> Said {
    let wall = |time: Option<i64>| u64::try_from(time?.saturating_sub(zero?)).ok();
    let place = |start: Option<i64>, end: Option<i64>, time_offset, duration: Option<Duration>| {
        let length = match (start, end) {
            (Some(start), Some(end)) => u64::try_from(end.saturating_sub(start)).unwrap_or(0),
            _ => duration.map(nanos).unwrap_or(0),
        };
        if let Some(from) = wall(start) {
            return generation.extrapolate_span(from, from.saturating_add(length));
        }
        let from = offset(time_offset)?;
        Some(from..from.saturating_add(length))
    };
    Said {
        text: None,
        utterance_id: None,
        span: place(
            message.start_time,
            message.end_time,
            message.time_offset,
            message.duration,
        ),
        words: message
            .words
            .iter()
            .filter_map(|w| {
                let span = place(w.start_time, w.end_time, w.time_offset, w.duration)?;
                Some((w.word.clone(), span))
            })
            .collect(),
    }
}

/// What the words of a message are compared by.
fn keys(message: &Message) -> Vec<String> {
    spellings(message).into_iter().map(key).collect()
}

/// Whether these are the words.
fn says(words: &[FinalWord], keys: &[String]) -> bool {
    words.iter().map(|word| &word.key).eq(keys)
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
                && open.iter().any(|word| middle(&word.span) >= self.said)
        });
        match owed {
            Some(record) if self.sends_messages => record.from,
            _ => self.delivered,
        }
    }

    /// Whether there are finals whose messages have not come, and may.
    pub fn owes_messages(&self) -> bool {
        let never = self.said == 0 && self.finals.len() < ENOUGH_FINALS;
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
    pub fn heard(&mut self, result: &RecognitionResult, generation: &Generation) -> Option<Heard> {
        if let Some(user) = &result.user {
            self.speaks_as(user);
        }
        let spans: Vec<PlacedWord> = result
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
            return Some(Heard {
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
            return self.heard_without_words(result, generation, utterance_id);
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
        Some(Heard {
            utterance_id,
            text: text_of(result, &spans, &fresh),
            span,
            words: fresh,
        })
    }

    /// Whether a final has told what stands there.
    fn was_delivered(&self, span: &Range<Position>) -> bool {
        middle(span) < self.delivered && !planted(Bug::RepeatedWordsTold)
    }

    /// The words that no final has told.
    fn fresh(&self, words: &[PlacedWord]) -> Vec<PlacedWord> {
        let fresh = words.iter().filter(|(_, span)| !self.was_delivered(span));
        fresh.cloned().collect()
    }

    /// Where a replay has to begin for these words to be finalised again: in the
    /// silence before them.
    fn replay_start(&self, words: &[PlacedWord]) -> Position {
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
    fn heard_without_words(
        &mut self,
        result: &RecognitionResult,
        generation: &Generation,
        utterance_id: String,
    ) -> Option<Heard> {
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
        Some(Heard {
            utterance_id,
            text: result.text.clone(),
            span,
            words: Vec::new(),
        })
    }

    fn remember(&mut self, record: Final) {
        // The second final, and no message for the first.
        self.sends_messages &= self.finals.is_empty() || self.said > 0;
        if self.finals.len() == MAX_FINALS {
            self.finals.pop_front();
        }
        self.finals.push_back(record);
    }

    /// A message. `None`: it was delivered before.
    pub fn said(&mut self, message: &Message, generation: &Generation) -> Option<Said> {
        if self.known_as(message.id.as_deref()).is_some() {
            return None;
        }
        let by = message.from.as_ref();
        let own = self.is_own(by);
        if !own && message.start_time.is_some_and(|at| self.was_said(by, at)) {
            return None;
        }
        self.sends_messages |= own;
        let (said, repeated) = match own.then(|| self.match_final(message, generation)).flatten() {
            Some(found) => found,
            None => (self.place_by_clock(message, generation, own), false),
        };
        self.know_message(message, said.span.clone(), repeated);
        (!repeated).then_some(said)
    }

    /// The service takes us for `speaker`, or will.
    pub fn speaks_as(&mut self, speaker: &Speaker) {
        if !self.own.contains(speaker) {
            self.own.push_front(speaker.clone());
            self.own.truncate(MAX_OWN);
        }
    }

    /// Whether it can be our own speaker's.
    fn is_own(&self, from: Option<&Speaker>) -> bool {
        let is_ours = |theirs| self.own.iter().any(|own| same_speaker(theirs, own));
        self.own.is_empty() || from.is_none_or(is_ours)
    }

    /// Finds the words of the message in the finals that wait for theirs.
    fn match_final(&mut self, message: &Message, generation: &Generation) -> Option<(Said, bool)> {
        let keys = keys(message);
        let by = |record: &Final| {
            let both = message.from.as_ref().zip(record.by.as_ref());
            both.is_none_or(|(theirs, ours)| same_speaker(theirs, ours))
        };
        let next = |record: &Final, word: &FinalWord| {
            let now = record.generation == generation.number && by(record);
            now && middle(&word.span) >= self.matched
        };
        let found = self
            .find_words(&keys, next)
            .or_else(|| self.find_words(&keys, |record, _| by(record)))?;
        let tied = self.tie_to(message, found)?;
        self.matched = tied.span.end;
        let start = generation.time_of(tied.span.start);
        let start = start.and_then(|start| i64::try_from(start).ok());
        if let (Some(wall), Some(start)) = (message.start_time, start)
            && tied.generation == generation.number
        {
            self.wall_zero = Some(wall.saturating_sub(start));
        }
        let repeated = tied.said.words.is_empty();
        Some((tied.said, repeated))
    }

    /// Ties the message to the words that were found.
    fn tie_to(&mut self, message: &Message, (index, from): (usize, usize)) -> Option<Tied> {
        let spellings = spellings(message);
        let to = from + spellings.len();
        let record = self.finals.get_mut(index)?;
        let found = record.words.get(from..to)?;
        let (first, last) = (found.first()?, found.last()?);
        let span = first.span.start..last.span.end;
        let words = spellings.into_iter().zip(found);
        let words = words.map(|(word, place)| (word.to_owned(), place.span.clone()));
        let said = Said {
            text: None,
            utterance_id: Some(last.utterance.to_string()),
            span: Some(span.clone()),
            words: words.collect(),
        };
        let said = said.within(&(self.said..Position::MAX));
        let generation = record.generation;
        record.next = to;
        self.said = self.said.max(span.end);
        let before = self.finals.iter_mut().take(index);
        before.for_each(|record| record.passed_over = true);
        Some(Tied {
            said,
            span,
            generation,
        })
    }

    /// Which final has these words next, and from which of its words on; `fits`:
    /// whether it may be that final and that word.
    fn find_words(
        &self,
        keys: &[String],
        fits: impl Fn(&Final, &FinalWord) -> bool,
    ) -> Option<(usize, usize)> {
        if keys.is_empty() {
            return None;
        }
        self.finals.iter().enumerate().find_map(|(index, record)| {
            let open = record.words.get(record.next..)?;
            let skip = open.windows(keys.len()).position(|window| {
                says(window, keys) && window.first().is_some_and(|w| fits(record, w))
            })?;
            Some((index, record.next + skip))
        })
    }

    /// The utterance in which this place was told.
    fn utterance_at(&self, place: Position) -> Option<Arc<str>> {
        let mut words = self.finals.iter().rev().flat_map(|record| &record.words);
        let told = words.find(|word| word.span.contains(&place))?;
        Some(Arc::clone(&told.utterance))
    }

    /// Places the message by the service's wall clock, or in the first start
    /// by the time since the conversation began.
    fn place_by_clock(&self, message: &Message, generation: &Generation, own: bool) -> Said {
        placed(message, self.wall_zero, generation, |time| {
            let time = time.filter(|_| own && generation.number == 1)?;
            generation.position(nanos(time))
        })
    }

    fn know_message(&mut self, message: &Message, span: Option<Range<Position>>, repeated: bool) {
        let said = message.start_time.map(|at| (message.from.clone(), at));
        self.know(Known {
            id: message.id.clone(),
            span,
            repeated,
            said,
        });
    }

    fn know(&mut self, known: Known) {
        if self.known.len() == MAX_MESSAGES {
            let oldest = self.known.pop_front();
            let at = oldest.and_then(|oldest| oldest.said).map(|(_, at)| at);
            self.forgotten = self.forgotten.max(at);
        }
        self.known.push_back(known);
    }

    /// What has this id, if it has one.
    fn known_as(&self, id: Option<&str>) -> Option<&Known> {
        id?;
        self.known
            .iter()
            .rev()
            .find(|known| known.id.as_deref() == id)
    }

    /// Whether something was said by the same at that time, by the wall clock.
    fn was_said(&self, by: Option<&Speaker>, at: i64) -> bool {
        self.known.iter().any(|known| known.was_said(by, at))
    }

    /// Something that refers to a message: where that stands. `None`: the
    /// message repeats what was delivered before, and so does this.
    pub fn referring(&self, message_id: Option<&str>) -> Option<Option<Range<Position>>> {
        match self.known_as(message_id) {
            Some(known) if known.repeated => None,
            Some(known) => Some(known.span.clone()),
            None => Some(None),
        }
    }

    /// An insight: where it stands. `None`: it was delivered before.
    pub fn insight(
        &mut self,
        id: Option<&str>,
        message_id: Option<&str>,
    ) -> Option<Option<Range<Position>>> {
        let span = self.referring(message_id)?;
        if let Some(id) = id.filter(|id| Some(*id) != message_id) {
            if self.known_as(Some(id)).is_some() {
                return None;
            }
            self.know(Known {
                id: Some(id.to_owned()),
                span: span.clone(),
                repeated: false,
                said: None,
            });
        }
        Some(span)
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
