// SPDX-License-Identifier: MPL-2.0

//! What a service that announces itself stores, and the two fences by which it stores
//! nothing twice.
//!
//! *Superseded*: a start request whose attempt is not higher than the last one of its stream
//! is refused, and an attempt stores nothing any more once a higher one has begun. *Already*:
//! a word whose middle lies before the end of the last word that was stored is not stored.

use std::collections::HashMap;
use symbl_protocol::StreamPlace;

/// How far off a word may be in a replay, in nanoseconds: times are rounded.
const ROUNDING: u64 = 1_000_000;

/// One stream of audio, in nanoseconds of that stream.
#[derive(Debug, Default, Clone)]
struct Stream {
    attempt: u64,
    said_until: u64,
    /// Where each word was heard first.
    heard: HashMap<u16, (u64, u64)>,
}

/// What is stored of a run.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    streams: HashMap<String, Stream>,
    stored: HashMap<u16, u32>,
    moved: Option<String>,
}

impl Ledger {
    /// A start request came. Returns `false` if it is refused.
    pub fn begin(&mut self, place: &StreamPlace) -> bool {
        let stream = self.streams.entry(place.id.clone()).or_default();
        let is_newer = place.attempt > stream.attempt;
        stream.attempt = stream.attempt.max(place.attempt);
        is_newer
    }

    /// This attempt heard a word from `start` to `end` of its own time, and stores it if
    /// the fences let it.
    pub fn say(&mut self, place: &StreamPlace, word: u16, start: u64, end: u64) {
        let Some(stream) = self.streams.get_mut(&place.id) else {
            return;
        };
        let (start, end) = (place.position + start, place.position + end);
        let (first_start, first_end) = *stream.heard.entry(word).or_insert((start, end));
        // Of a word that is sent again in part, one edge stays, or what is left of it lies
        // within the whole.
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
        let superseded = place.attempt < stream.attempt;
        let already = start + (end - start) / 2 < stream.said_until;
        if !superseded && !already {
            *self.stored.entry(word).or_default() += 1;
            stream.said_until = end;
        }
    }

    /// How often a word is stored.
    pub fn count(&self, word: u16) -> u32 {
        self.stored.get(&word).copied().unwrap_or(0)
    }

    /// Words that are stored, and how often.
    pub fn stored(&self) -> impl Iterator<Item = (u16, u32)> {
        self.stored.iter().map(|(word, count)| (*word, *count))
    }

    /// A word that was heard at two places of one stream.
    pub fn moved(&self) -> Option<&str> {
        self.moved.as_deref()
    }
}
