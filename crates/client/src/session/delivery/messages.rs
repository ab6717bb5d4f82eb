// SPDX-License-Identifier: MPL-2.0

//! Messages, and the findings that refer to them.
//!
//! A message repeats words of a final, and stands where they stand.

use super::super::Position;
use super::super::generation::Generation;
use super::super::planted::{Bug, planted};
use super::{Delivery, Final, FinalWord, joined, key, middle, nanos, same_speaker};
use std::ops::Range;
use std::time::Duration;
use symbl_protocol::response::{AudioPlace, Message, Participant};

/// Wall-clock times are the same if they differ by no more than this, in nanoseconds. The
/// Streaming API and the Conversation API print milliseconds and may round differently.
const SAME_TIME: u64 = 1_000_000;
/// Most earlier identities of this client's speaker whose messages may still come.
const MAX_OWN: usize = 8;
/// Most messages and insights that are remembered because others may refer to them.
pub(super) const MAX_MESSAGES: usize = 256;

/// A message with its place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlacedMessage {
    /// The text without the words that were delivered before, if there are such words.
    pub text: Option<String>,
    /// The utterance that it belongs to.
    pub utterance_id: Option<String>,
    /// Its place in the audio.
    pub span: Option<Range<Position>>,
    /// Its words and their places.
    pub words: Vec<(String, Range<Position>)>,
}

impl PlacedMessage {
    /// Returns the part of the message whose words stand in `place`.
    pub(super) fn within(mut self, place: &Range<Position>) -> Self {
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

/// A message whose words were found in a final.
pub(super) struct Tied {
    pub(super) said: PlacedMessage,
    /// The place of all of its words, delivered before or not.
    span: Range<Position>,
    /// Number of the start of that final.
    generation: u64,
}

/// A message or an insight that was delivered, or dropped as a repetition.
#[derive(Debug)]
pub(super) struct KnownItem {
    id: Option<String>,
    span: Option<Range<Position>>,
    /// All its words were delivered before.
    repeated: bool,
    /// The speaker, and the start by the service's wall clock.
    said: Option<(Option<Participant>, i64)>,
}

impl KnownItem {
    /// Returns its start, by the service's wall clock.
    pub(super) fn start(&self) -> Option<i64> {
        self.said.as_ref().map(|(_, start)| *start)
    }

    /// Returns `true` if a message by this speaker at this time is the same message. Ids do
    /// not help, because the Conversation API has ids of its own.
    fn was_said(&self, by: Option<&Participant>, at: i64) -> bool {
        self.said.as_ref().is_some_and(|(speaker, start)| {
            start.abs_diff(at) <= SAME_TIME
                && (speaker.as_ref().zip(by)).is_none_or(|(a, b)| same_speaker(a, b))
        })
    }
}

/// Returns the words of a message that are more than punctuation.
pub(super) fn spellings(message: &Message) -> Vec<&str> {
    let spoken = message.original_text.as_deref().unwrap_or(&message.text);
    let words = spoken.split_whitespace();
    words.filter(|word| !key(word).is_empty()).collect()
}

/// Places the message by the wall clock, which read `zero` at the time zero of `generation`.
/// Times that the message does not have by the wall clock come from `offset`.
pub(super) fn placed(
    message: &Message,
    zero: Option<i64>,
    generation: &Generation,
    offset: impl Fn(Option<Duration>) -> Option<Position>,
) -> PlacedMessage {
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
    PlacedMessage {
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

/// Returns the keys by which the words of a message are compared.
pub(super) fn keys(message: &Message) -> Vec<String> {
    spellings(message).into_iter().map(key).collect()
}

/// Returns `true` if `words` have these keys.
pub(super) fn says(words: &[FinalWord], keys: &[String]) -> bool {
    words.iter().map(|word| &word.key).eq(keys)
}

impl Delivery {
    /// Places a message. Returns `None` if it was delivered before.
    pub fn place_message(
        &mut self,
        message: &Message,
        generation: &Generation,
    ) -> Option<PlacedMessage> {
        if self.known_as(message.id.as_deref()).is_some() {
            return None;
        }
        let by = message.from.as_ref();
        let own = self.is_of_us(message, generation);
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

    /// Adds `speaker` to the participants that stand for this client.
    pub fn speaks_as(&mut self, speaker: &Participant) {
        if !self.own.contains(speaker) {
            self.own.push_front(speaker.clone());
            self.own.truncate(MAX_OWN);
        }
    }

    /// Returns `true` if a message from this participant may be from this client's speaker.
    pub(super) fn is_own(&self, from: Option<&Participant>) -> bool {
        let is_ours = |theirs| self.own.iter().any(|own| same_speaker(theirs, own));
        self.own.is_empty() || from.is_none_or(is_ours)
    }

    /// Returns `true` if the message may be from this client's speaker. Where the service says
    /// of which stream it is, another client may have a speaker of the same name.
    fn is_of_us(&self, message: &Message, generation: &Generation) -> bool {
        match &message.place {
            Some(place) if generation.is_told() => {
                let mut starts = self.starts(generation);
                starts.any(|start| start.is_of(&place.stream))
            }
            _ => self.is_own(message.from.as_ref()),
        }
    }

    /// Returns the starts that are remembered, the latest first.
    fn starts<'a>(&'a self, now: &'a Generation) -> impl Iterator<Item = &'a Generation> {
        let before = self.before.iter().rev().map(|(_, start)| start);
        std::iter::once(now).chain(before)
    }

    /// Returns the positions of a part of this client's stream.
    fn locate(&self, place: &AudioPlace, generation: &Generation) -> Option<Range<Position>> {
        self.starts(generation).find_map(|start| start.place(place))
    }

    /// Places a message whose audio stands at `span`, of which no final is known: it has not
    /// come yet, or has other words.
    fn place_at(
        &mut self,
        message: &Message,
        place: &AudioPlace,
        span: Range<Position>,
        generation: &Generation,
    ) -> (PlacedMessage, bool) {
        let since = |time: Option<i64>| u64::try_from(time? - message.start_time?).ok();
        let words = message.words.iter().filter_map(|word| {
            let place = AudioPlace {
                stream: place.stream.clone(),
                from: place.from.saturating_add(since(word.start_time)?),
                until: place.from.saturating_add(since(word.end_time)?),
            };
            Some((word.word.clone(), self.locate(&place, generation)?))
        });
        let said = PlacedMessage {
            text: None,
            utterance_id: self.utterance_at(span.start).map(|id| id.to_string()),
            span: Some(span.clone()),
            words: words.collect(),
        };
        let is_before = middle(&span) < self.delivered_in_messages;
        let knows_words = !said.words.is_empty();
        let said = said.within(&(self.delivered_in_messages..Position::MAX));
        self.delivered_in_messages = self.delivered_in_messages.max(span.end);
        self.matched = span.end;
        let repeated = match knows_words {
            true => said.words.is_empty(),
            false => is_before && !planted(Bug::RepeatedMessagesTold),
        };
        (said, repeated)
    }

    /// Finds the words of the message in the finals: those at its place, if the service says
    /// it, or else those that wait for their messages. Also returns `true` if all of them were
    /// delivered before.
    fn match_final(
        &mut self,
        message: &Message,
        generation: &Generation,
    ) -> Option<(PlacedMessage, bool)> {
        let keys = keys(message);
        let by = |record: &Final| {
            let both = message.from.as_ref().zip(record.by.as_ref());
            both.is_none_or(|(theirs, ours)| same_speaker(theirs, ours))
        };
        let next = |record: &Final, word: &FinalWord| {
            let now = record.generation == generation.number && by(record);
            now && middle(&word.span) >= self.matched
        };
        let place = message.place.as_ref();
        let place = place.filter(|place| place.from < place.until);
        let stands = place.and_then(|place| Some((place, self.locate(place, generation)?)));
        let found = match stands {
            Some((place, span)) => match self.find_at(&keys, &span) {
                Some(found) => found,
                None => return Some(self.place_at(message, place, span, generation)),
            },
            None => self
                .find_words(&keys, next)
                .or_else(|| self.find_words(&keys, |record, _| by(record)))?,
        };
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
    pub(super) fn tie_to(
        &mut self,
        message: &Message,
        (index, from): (usize, usize),
    ) -> Option<Tied> {
        let spellings = spellings(message);
        let to = from + spellings.len();
        let record = self.finals.get_mut(index)?;
        let found = record.words.get(from..to)?;
        let (first, last) = (found.first()?, found.last()?);
        let span = first.span.start..last.span.end;
        let words = spellings.into_iter().zip(found);
        let words = words.map(|(word, place)| (word.to_owned(), place.span.clone()));
        let said = PlacedMessage {
            text: None,
            utterance_id: Some(last.utterance.to_string()),
            span: Some(span.clone()),
            words: words.collect(),
        };
        let said = said.within(&(self.delivered_in_messages..Position::MAX));
        let generation = record.generation;
        record.next = record.next.max(to);
        self.delivered_in_messages = self.delivered_in_messages.max(span.end);
        let before = self.finals.iter_mut().take(index);
        before.for_each(|record| record.passed_over = true);
        Some(Tied {
            said,
            span,
            generation,
        })
    }

    /// Returns the index of the latest final that has these words at `span`, and the index of
    /// the first of the words in it.
    fn find_at(&self, keys: &[String], span: &Range<Position>) -> Option<(usize, usize)> {
        let stands = |word: &FinalWord| span.contains(&middle(&word.span));
        let mut finals = self.finals.iter().enumerate().rev();
        finals.find_map(|(index, record)| {
            let from = record.words.iter().position(stands)?;
            let words = record.words.get(from..)?;
            let words = words.split(|word| !stands(word)).next()?;
            says(words, keys).then_some((index, from))
        })
    }

    /// Returns the index of the first final that has these words among those that no message
    /// has repeated, and the index of the first of the words in it. `fits` returns `true` if
    /// this may be that final and that word.
    pub(super) fn find_words(
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

    /// Places the message by the service's wall clock, or, in the first start, by the time
    /// since the beginning of the conversation.
    fn place_by_clock(
        &self,
        message: &Message,
        generation: &Generation,
        own: bool,
    ) -> PlacedMessage {
        placed(message, self.wall_zero, generation, |time| {
            let time = time.filter(|_| own && generation.number == 1)?;
            generation.position(nanos(time))
        })
    }

    pub(super) fn know_message(
        &mut self,
        message: &Message,
        span: Option<Range<Position>>,
        repeated: bool,
    ) {
        let said = message.start_time.map(|at| (message.from.clone(), at));
        self.know(KnownItem {
            id: message.id.clone(),
            span,
            repeated,
            said,
        });
    }

    fn know(&mut self, known: KnownItem) {
        if self.known.len() == MAX_MESSAGES {
            let oldest = self.known.pop_front();
            let at = oldest.and_then(|oldest| oldest.said).map(|(_, at)| at);
            self.forgotten = self.forgotten.max(at);
        }
        self.known.push_back(known);
    }

    /// Returns the item with this id, if it is known.
    fn known_as(&self, id: Option<&str>) -> Option<&KnownItem> {
        id?;
        self.known
            .iter()
            .rev()
            .find(|known| known.id.as_deref() == id)
    }

    /// Returns `true` if a known message is by this speaker and at this time, by the service's
    /// wall clock.
    pub(super) fn was_said(&self, by: Option<&Participant>, at: i64) -> bool {
        self.known.iter().any(|known| known.was_said(by, at))
    }

    /// Returns the place of the message that a finding refers to, `Some(None)` if it is not
    /// known. Returns `None` if that message was delivered before, and so the finding too.
    pub fn referring(&self, message_id: Option<&str>) -> Option<Option<Range<Position>>> {
        match self.known_as(message_id) {
            Some(known) if known.repeated => None,
            Some(known) => Some(known.span.clone()),
            None => Some(None),
        }
    }

    /// Returns the place of an insight, `Some(None)` if it is not known. Returns `None` if it
    /// was delivered before.
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
            self.know(KnownItem {
                id: Some(id.to_owned()),
                span: span.clone(),
                repeated: false,
                said: None,
            });
        }
        Some(span)
    }
}
