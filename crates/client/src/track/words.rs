// SPDX-License-Identifier: MPL-2.0

//! Words and their places, as the service gives them.

use super::{PACE, SECOND};
use crate::session::Position;
use crate::session::event::{PlacedWord, Placement};
use std::ops::Range;

/// A text and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) audio: Range<Position>,
    /// Running time of the start, in nanoseconds.
    pub(super) start: Option<u64>,
    pub(super) duration: u64,
    pub(super) words: u64,
    /// What only a cue has.
    pub(super) cue: Option<CueTimes>,
}

/// The times of a cue, which need not be those of its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CueTimes {
    /// Running time of its first word, in nanoseconds.
    pub(super) spoken: u64,
    /// Its first word came too late.
    pub(super) late: bool,
}

impl Piece {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the middle of its audio.
    pub(super) fn middle(&self) -> Position {
        self.audio.start + (self.audio.end.saturating_sub(self.audio.start)) / 2
    }

    /// Returns the running time of the start, in nanoseconds.
    pub(super) fn start(&self) -> Option<u64> {
        self.start
    }

    /// Returns the running time of the end, in nanoseconds.
    pub(super) fn end(&self) -> Option<u64> {
        // The last word of an interim may have no duration yet.
        Some(self.start?.saturating_add(self.duration.max(1)))
    }

    /// Returns the number of words.
    pub(super) fn words(&self) -> u64 {
        self.words
    }

    /// Returns the running time at which it was said, in nanoseconds.
    pub(super) fn spoken(&self) -> Option<u64> {
        self.cue.map_or(self.start, |cue| Some(cue.spoken))
    }

    /// Returns `true` if its time has passed when the pad is covered up to `cursor`.
    pub(super) fn is_late(&self, cursor: u64) -> bool {
        match self.cue {
            Some(cue) => cue.late,
            None => self.end().is_some_and(|end| end <= cursor),
        }
    }

    /// Returns the time that viewers need for a cue, and captions to carry a word, in
    /// nanoseconds.
    pub(super) fn show_time(&self) -> u64 {
        match self.cue {
            Some(_) => self.duration,
            None => (self.text.chars().count() as u64 + 1) * SECOND / PACE,
        }
    }

    pub(super) fn key(&self) -> String {
        let letters = self.text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    }
}

/// Returns the words of a result as pieces. Words without letters are joined to the word
/// before them. A final without words has its text's words, evenly.
pub(super) fn pieces(text: &str, words: &[PlacedWord], place: &Placement) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(words.len());
    let spread = match words {
        [] => spread(text, place),
        words => words.iter().map(placed).collect(),
    };
    for piece in spread {
        if piece.text.is_empty() {
            continue;
        }
        match pieces.last_mut() {
            Some(before)
                if !piece.text.chars().any(char::is_alphanumeric) && is_mark(&piece.text) =>
            {
                before.text.push_str(&piece.text);
            }
            _ => pieces.push(piece),
        }
    }
    pieces
}

/// Returns `true` if this is nothing but marks that belong to the word before.
fn is_mark(text: &str) -> bool {
    text.chars()
        .all(|c| ".,;:!?…%)]}»”’'\"。，、！？：；）」』".contains(c))
}

fn placed(word: &PlacedWord) -> Piece {
    Piece {
        text: visible(&word.word),
        audio: word.audio.clone(),
        start: word.running_time,
        duration: word.duration.unwrap_or_default(),
        words: 1,
        cue: None,
    }
}

/// Returns the words of a text, spread over its place by their length.
fn spread(text: &str, place: &Placement) -> Vec<Piece> {
    let words: Vec<String> = text.split_whitespace().map(visible).collect();
    let length = |word: &str| word.chars().count() as u64 + 1;
    let all = words.iter().map(|word| length(word)).sum::<u64>().max(1);
    let share =
        |whole: u64, part: u64| (u128::from(whole) * u128::from(part) / u128::from(all)) as u64;
    let audio = place.until.saturating_sub(place.from);
    let duration = place.duration.unwrap_or_default();
    let mut done = 0;
    words
        .into_iter()
        .map(|text| {
            let (from, until) = (done, done + length(&text));
            done = until;
            Piece {
                text,
                audio: place.from + share(audio, from)..place.from + share(audio, until),
                start: place
                    .running_time
                    .map(|start| start.saturating_add(share(duration, from))),
                duration: share(duration, until) - share(duration, from),
                words: 1,
                cue: None,
            }
        })
        .collect()
}

pub(super) fn joined(words: &[Piece]) -> String {
    let words: Vec<&str> = words.iter().map(Piece::text).collect();
    words.join(" ")
}

/// Returns one piece of these words, if there are any.
pub(super) fn sentence(text: String, words: &[Piece]) -> Option<Piece> {
    let (first, last) = (words.first()?, words.last()?);
    let end = last.end().unwrap_or_default();
    Some(Piece {
        text,
        audio: first.audio.start..last.audio.end,
        start: first.start,
        duration: end.saturating_sub(first.start.unwrap_or(end)),
        words: words.len() as u64,
        cue: None,
    })
}

/// Returns a text without control characters and without space around it.
pub(super) fn visible(text: &str) -> String {
    let spaced = text.replace(|c: char| c.is_control() || c.is_whitespace(), " ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ")
}
