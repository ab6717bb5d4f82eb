// SPDX-License-Identifier: MPL-2.0

//! Makes texts for the pad out of finals and interims.

use super::{PACE, SECOND};
use crate::session::Position;
use crate::session::event::{PlacedWord, Placement};
use std::ops::Range;

/// How much text one buffer of the pad holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextUnit {
    /// One word.
    #[default]
    Word,
    /// All of a final.
    Sentence,
}

/// How far the last committed word may have moved in its final, in words.
const MOST_MOVED: usize = 3;

/// A text and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    text: String,
    audio: Range<Position>,
    /// Running time of the start, in nanoseconds.
    start: Option<u64>,
    duration: u64,
    words: u64,
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
        Some(self.start?.saturating_add(self.duration))
    }

    /// Returns the number of words.
    pub(super) fn words(&self) -> u64 {
        self.words
    }

    /// Returns the time that captions take to carry the text, in nanoseconds.
    pub(super) fn show_time(&self) -> u64 {
        (self.text.chars().count() as u64 + 1) * SECOND / PACE
    }

    fn key(&self) -> String {
        let letters = self.text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    }
}

/// Makes the texts of one conversation.
#[derive(Debug)]
pub(super) struct Reader {
    unit: TextUnit,
    /// Words of the last interim, without the committed ones.
    interim: Vec<Piece>,
    /// How many of them may be committed.
    settled: usize,
    speaker: Option<String>,
    /// Number of committed words of this utterance.
    committed: usize,
    /// The last of them.
    last: Option<Piece>,
}

impl Reader {
    pub(super) fn new(unit: TextUnit) -> Self {
        Self {
            unit,
            interim: Vec::new(),
            settled: 0,
            speaker: None,
            committed: 0,
            last: None,
        }
    }

    /// Returns the texts of a final, without the words that were committed.
    pub(super) fn final_text(
        &self,
        text: &str,
        words: &[PlacedWord],
        place: &Placement,
    ) -> Vec<Piece> {
        let whole = pieces(text, words, place);
        let told = self.told(&whole);
        let words = whole.get(told..).unwrap_or_default();
        match self.unit {
            TextUnit::Word => words.to_vec(),
            TextUnit::Sentence => {
                let text = match told {
                    0 => visible(text),
                    _ => joined(words),
                };
                sentence(text, words).into_iter().collect()
            }
        }
    }

    /// Returns how many of the words of a final were committed.
    fn told(&self, words: &[Piece]) -> usize {
        let Some(last) = &self.last else {
            return 0;
        };
        let key = last.key();
        // The service promises that stable words stay; it may still join or part two of them.
        let near = (0..=MOST_MOVED).flat_map(|off| {
            let n = self.committed;
            [n.checked_add(off), n.checked_sub(off)]
        });
        let same = |n: &usize| {
            let word = n.checked_sub(1).and_then(|at| words.get(at));
            word.is_some_and(|word| word.key() == key)
        };
        near.flatten().find(same).unwrap_or_else(|| {
            let end = last.audio.end;
            words.iter().take_while(|word| word.middle() < end).count()
        })
    }

    /// Takes an interim, of which the first `stable` words are settled. If the service
    /// promises nothing, those are settled that the interim before had as well.
    pub(super) fn interim(&mut self, words: &[PlacedWord], stable: usize, speaker: Option<String>) {
        let place = Placement::default();
        let whole = pieces("", words, &place);
        let told = self.told(&whole);
        // Marks alone are joined to the word before, so that there may be fewer.
        let stable = stable.min(whole.len());
        let words = whole.get(told..).unwrap_or_default().to_vec();
        self.settled = match stable {
            0 => {
                let pairs = words.iter().zip(&self.interim);
                pairs.take_while(|(a, b)| a.text == b.text).count()
            }
            stable => stable.saturating_sub(told),
        };
        self.interim = words;
        self.speaker = speaker;
    }

    /// Takes the settled words of the interim that begin before the running time `deadline`,
    /// in nanoseconds, as told. Returns them.
    pub(super) fn commit(&mut self, deadline: u64) -> Vec<(Piece, Option<String>)> {
        let due = |word: &&Piece| word.start.is_some_and(|start| start < deadline);
        let settled = self.interim.iter().take(self.settled);
        let count = settled.take_while(due).count();
        let words: Vec<Piece> = self.interim.drain(..count).collect();
        self.settled -= count;
        self.committed += count;
        if let Some(word) = words.last() {
            self.last = Some(word.clone());
        }
        let speaker = self.speaker.clone();
        words
            .into_iter()
            .map(|word| (word, speaker.clone()))
            .collect()
    }

    /// Returns `true` if words of this utterance were committed.
    pub(super) fn has_committed(&self) -> bool {
        self.committed > 0
    }

    /// Forgets the interims of the utterance before.
    pub(super) fn begin_utterance(&mut self) {
        *self = Self::new(self.unit);
    }
}

/// Returns the words of a result as pieces. Words without letters are joined to the word
/// before them. A final without words has its text's words, evenly.
fn pieces(text: &str, words: &[PlacedWord], place: &Placement) -> Vec<Piece> {
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
            }
        })
        .collect()
}

fn joined(words: &[Piece]) -> String {
    let words: Vec<&str> = words.iter().map(Piece::text).collect();
    words.join(" ")
}

/// Returns one piece of these words, if there are any.
fn sentence(text: String, words: &[Piece]) -> Option<Piece> {
    let (first, last) = (words.first()?, words.last()?);
    let end = last.end().unwrap_or_default();
    Some(Piece {
        text,
        audio: first.audio.start..last.audio.end,
        start: first.start,
        duration: end.saturating_sub(first.start.unwrap_or(end)),
        words: words.len() as u64,
    })
}

/// Returns a text without control characters and without space around it.
fn visible(text: &str) -> String {
    let spaced = text.replace(|c: char| c.is_control() || c.is_whitespace(), " ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ")
}
