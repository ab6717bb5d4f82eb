// SPDX-License-Identifier: MPL-2.0

//! The words that a service that announces itself stores, and the two fences that keep it
//! from storing a word twice.
//!
//! *Superseded*: a start request is refused if its attempt is not higher than the last one
//! of its stream, and an attempt stores nothing once a higher one has begun. *Already*: a
//! word is not stored if its middle lies before the end of the last word that was stored.

use std::collections::HashMap;
use symbl_protocol::StreamPlace;

/// How far off a word may be in a replay because times are rounded, in nanoseconds.
const ROUNDING: u64 = 1_000_000;

/// One stream of audio. Its times are in nanoseconds of the stream.
#[derive(Debug, Default, Clone)]
struct Stream {
    attempt: u64,
    said_until: u64,
    /// The place at which each word was heard first.
    heard: HashMap<u16, (u64, u64)>,
}

/// The words of a run that are stored.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    streams: HashMap<String, Stream>,
    stored: HashMap<u16, u32>,
    moved: Option<String>,
}

impl Ledger {
    /// Takes a start request. Returns `false` if it is refused.
    pub fn begin(&mut self, place: &StreamPlace) -> bool {
        let stream = self.streams.entry(place.id.clone()).or_default();
        let is_newer = place.attempt > stream.attempt;
        stream.attempt = stream.attempt.max(place.attempt);
        is_newer
    }

    /// Stores a word if the fences allow it. The attempt heard it from `start` to `end` of its
    /// own time.
    pub fn say(&mut self, place: &StreamPlace, word: u16, start: u64, end: u64) {
        if !self.streams.contains_key(&place.id) {
            return;
        }
        self.hear(place, word, start, end);
        let Some(stream) = self.streams.get_mut(&place.id) else {
            return;
        };
        let (start, end) = (place.position + start, place.position + end);
        let superseded = place.attempt < stream.attempt;
        let already = start + (end - start) / 2 < stream.said_until;
        if !superseded && !already {
            *self.stored.entry(word).or_default() += 1;
            stream.said_until = end;
        }
    }

    /// Notes that another log has stored a word.
    pub fn store(&mut self, word: u16) {
        self.stored.insert(word, 1);
    }

    /// Notes where an attempt heard a word.
    pub fn hear(&mut self, place: &StreamPlace, word: u16, start: u64, end: u64) {
        let stream = self.streams.entry(place.id.clone()).or_default();
        let (start, end) = (place.position + start, place.position + end);
        let (first_start, first_end) = *stream.heard.entry(word).or_insert((start, end));
        // If a part of a word is sent again, one edge of the word stays, or the part lies within
        // the whole.
        let edge_stays =
            start.abs_diff(first_start) <= ROUNDING || end.abs_diff(first_end) <= ROUNDING;
        let lies_within =
            start >= first_start && end <= first_end || start <= first_start && end >= first_end;
        if !edge_stays && !lies_within {
            let attempt = place.attempt;
            self.moved.get_or_insert(format!(
                "word {word} at {start}..{end} of the stream in attempt {attempt}, \
                 and at {first_start}..{first_end} before"
            ));
        }
    }

    /// Returns how often a word is stored.
    pub fn count(&self, word: u16) -> u32 {
        self.stored.get(&word).copied().unwrap_or(0)
    }

    /// Returns the words that are stored, and how often each is.
    pub fn stored(&self) -> impl Iterator<Item = (u16, u32)> {
        self.stored.iter().map(|(word, count)| (*word, *count))
    }

    /// Returns a report of the first word that was heard at two places of one stream.
    pub fn moved(&self) -> Option<&str> {
        self.moved.as_deref()
    }
}
