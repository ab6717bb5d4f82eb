// SPDX-License-Identifier: MPL-2.0

//! Captions that can be read: how much text stands together, and how long.
//!
//! A cue has at most two lines of 42 columns and stays for one to seven seconds.
//! No word is dropped. Where two people speak at once, the later cue waits for the
//! earlier one. It gives the time that it lost back by staying no longer than it
//! must; where remarks follow each other faster than a cue a second, a cue stays for
//! less than a second ([`HURRIED`] at least), so that the captions keep up.
//!
//! A cue appears at most [`LATEST`] after its words. Where that leaves no other way,
//! it overlaps with those before it, which players show one above the other. Cues
//! are in the order of their starts. [`crate::order`] decides which times are believed.

use crate::order::{Order, Utterance};
use crate::timed::{Piece, is_timed, millis, pieces};
use crate::{Said, visible};
use std::time::Duration;
use textwrap::core::display_width;
use textwrap::wrap_algorithms::wrap_first_fit;

/// Most lines of a cue.
pub const LINES: usize = 2;
/// Most columns of a line; a wide character takes two.
pub const LINE_COLUMNS: usize = 42;
/// A cue stays at least this long, if the captions are in time.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// A cue stays at least this long, however late the captions are.
pub const HURRIED: Duration = Duration::from_millis(300);
/// A cue stays no longer.
pub const LONGEST: Duration = Duration::from_secs(7);
/// A cue appears no later after its words, or after those of an earlier utterance
/// where its own were said before them.
pub const LATEST: Duration = Duration::from_secs(5);

const SHORTEST_MS: u64 = SHORTEST.as_millis() as u64;
const HURRIED_MS: u64 = HURRIED.as_millis() as u64;
const LONGEST_MS: u64 = LONGEST.as_millis() as u64;
const LATEST_MS: u64 = LATEST.as_millis() as u64;
/// Captions that are this many milliseconds late are in as much of a hurry as they can be.
const MOST_HURRIED: u64 = 2000;

/// Whoever has time to read reads so many characters in a second.
const READ_PER_SECOND: u64 = 20;
/// A pause of so many milliseconds ends a cue.
const PAUSE: u64 = 2000;
/// More of a speaker's name is not shown, in columns.
const NAME_COLUMNS: usize = 24;
/// A cue of its own should have more, in columns.
const FEW_COLUMNS: usize = LINE_COLUMNS / 2;
/// Pieces without width would go on for ever.
const MOST_PIECES: usize = 200;

/// One caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it appears; not before the start of the one before.
    pub start: Duration,
    /// When it goes, [`HURRIED`] to [`LONGEST`] after its start.
    pub end: Duration,
    /// Who speaks.
    pub speaker: Option<String>,
    /// One to [`LINES`] lines of at most [`LINE_COLUMNS`] columns; none is empty.
    pub lines: Vec<String>,
}

/// Cuts what is said into cues, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Cues {
    order: Order,
    /// Start of the last cue, in milliseconds.
    start: u64,
    /// Latest end of a cue.
    end: u64,
    /// Latest start of words that were shown.
    spoken: u64,
    /// Latest end of words that were shown.
    spoken_until: u64,
    /// Whether a change of speaker is told in the text: `Anna: Hello.`
    names: bool,
    speaker: Option<String>,
}

impl Cues {
    /// Cues whose text is what was said and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cues whose text begins with the name of who speaks, whenever that is another one.
    pub fn with_names() -> Self {
        Self {
            names: true,
            ..Self::default()
        }
    }

    /// Returns the cues that are ready once `said` is known; none of an interim or
    /// of silence. If `said` is far ahead of what was said before, its cues come
    /// with those of the next utterance, which shows whether there was a pause or
    /// its time is wrong. [`Cues::finish`] returns them where there is no next one.
    pub fn cut(&mut self, said: &Said<'_>) -> Vec<Cue> {
        let pieces = pieces(said, LINE_COLUMNS);
        if !said.is_final || pieces.is_empty() {
            return Vec::new();
        }
        let ready = self.order.next(Utterance {
            pieces,
            speaker: said.speaker.map(visible).filter(|name| !name.is_empty()),
            timed: is_timed(said),
            heard_at: said.heard_at.map(millis),
        });
        self.lay_all(ready)
    }

    /// Returns the cues that still wait for another utterance.
    pub fn finish(&mut self) -> Vec<Cue> {
        let ready = self.order.finish();
        self.lay_all(ready)
    }

    fn lay_all(&mut self, ready: Vec<Utterance>) -> Vec<Cue> {
        let mut cues = Vec::new();
        for utterance in ready {
            self.lay(utterance, &mut cues);
        }
        cues
    }

    /// Lays one utterance out as cues.
    fn lay(&mut self, utterance: Utterance, cues: &mut Vec<Cue>) {
        let utterance = match utterance.timed {
            true => utterance,
            false => utterance.later(self.end),
        };
        let (mut pieces, speaker) = (utterance.pieces, utterance.speaker);
        if self.names && speaker.is_some() && speaker != self.speaker {
            let name = speaker.as_deref().map_or_else(String::new, short);
            let at = pieces.first().map_or(0, |piece| piece.start);
            pieces.insert(0, Piece::name(&name, at));
        }
        self.speaker.clone_from(&speaker);
        let mut rest = pieces.as_slice();
        while !rest.is_empty() {
            let (these, others) = rest.split_at(self.count(rest));
            let (start, end) = self.place(these, others.first());
            cues.push(Cue {
                start: Duration::from_millis(start),
                end: Duration::from_millis(end),
                speaker: speaker.clone(),
                lines: balanced(these),
            });
            rest = others;
        }
    }

    /// Returns when a cue appears whose first word is said at `spoken`.
    fn start(&self, spoken: u64) -> u64 {
        let latest = self.spoken.max(spoken).saturating_add(LATEST_MS);
        spoken.max(self.start).max(self.end.min(latest))
    }

    /// How many of the pieces make the next cue: at least one.
    fn count(&self, pieces: &[Piece]) -> usize {
        let start = pieces.first().map_or(0, |piece| self.start(piece.start));
        let mut fit = 1;
        for count in 2..=pieces.len().min(MOST_PIECES) {
            let [.., before, piece] = &pieces[..count] else {
                break;
            };
            if piece.start.saturating_sub(before.end) >= PAUSE {
                return fit;
            }
            if piece.end.saturating_sub(start) > LONGEST_MS
                || lines(&pieces[..count], LINE_COLUMNS).len() > LINES
            {
                return better(pieces, fit);
            }
            fit = count;
        }
        fit
    }

    /// Returns from when to when the cue of `pieces` is shown, given the piece that
    /// comes after it.
    fn place(&mut self, pieces: &[Piece], next: Option<&Piece>) -> (u64, u64) {
        let spoken = pieces.first().map_or(0, |piece| piece.start);
        let spoken_until = pieces.last().map_or(0, |piece| piece.end);
        let start = self.start(spoken);
        // What others say at the same time is no reason to hurry, only what the
        // cues before took beyond their words.
        let late = start.saturating_sub(self.spoken_until.max(spoken));
        let less = (SHORTEST_MS - HURRIED_MS) * late.min(MOST_HURRIED) / MOST_HURRIED;
        let mut end = spoken_until.max(start.saturating_add(SHORTEST_MS - less));
        if start == spoken {
            let signs: u64 = pieces.iter().map(|p| p.text.chars().count() as u64).sum();
            let read = start.saturating_add(signs * 1000 / READ_PER_SECOND);
            let free = next.map_or(u64::MAX, |piece| piece.start);
            end = end.max(read.min(free));
        }
        end = end.min(start.saturating_add(LONGEST_MS));
        self.start = start;
        self.end = self.end.max(end);
        self.spoken = self.spoken.max(spoken);
        self.spoken_until = self.spoken_until.max(spoken_until.min(end));
        (start, end)
    }
}

/// Fewer pieces than `fit`, if they end where a sentence or a part of it does, or
/// if next to nothing would be left over for a cue of its own.
fn better(all: &[Piece], fit: usize) -> usize {
    let (pieces, left_over) = all.split_at(fit);
    let ends_with = |signs: &[char], from: usize| {
        let end = |piece: &Piece| piece.spaced && piece.text.ends_with(signs);
        let found = pieces.iter().rposition(end).map(|index| index + 1);
        found.filter(|count| *count >= from)
    };
    ends_with(&['.', '?', '!', '…'], pieces.len().div_ceil(3))
        .or_else(|| ends_with(&[',', ';', ':'], pieces.len().div_ceil(2)))
        .or_else(|| half(pieces, left_over))
        .unwrap_or(fit)
}

/// As many pieces as make half of the text, if less than a few words are left over.
fn half(pieces: &[Piece], left_over: &[Piece]) -> Option<usize> {
    let mut rest = 0;
    for piece in left_over {
        rest += columns(piece);
        if rest > FEW_COLUMNS {
            return None;
        }
    }
    let all = pieces.iter().map(columns).sum::<usize>() + rest;
    let mut count = 0;
    let half = pieces.iter().position(|piece| {
        count += columns(piece);
        count * 2 >= all
    });
    half.map(|index| index + 1)
}

/// Of a piece with what follows it.
fn columns(piece: &Piece) -> usize {
    display_width(&piece.text) + usize::from(piece.spaced)
}

/// First fit. A line is wider than `columns` only if one piece is.
fn lines(pieces: &[Piece], columns: usize) -> Vec<&[Piece]> {
    wrap_first_fit(pieces, &[columns as f64])
}

/// As many lines as needed, of nearly the same width.
fn balanced(pieces: &[Piece]) -> Vec<String> {
    let full = lines(pieces, LINE_COLUMNS);
    let whole = display_width(&text(pieces)) / full.len().max(1);
    let narrower = (whole..LINE_COLUMNS).map(|columns| lines(pieces, columns));
    let best = { narrower }.find(|lines| lines.len() <= full.len());
    best.unwrap_or(full).into_iter().map(text).collect()
}

fn text(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        text.push_str(&piece.text);
        if piece.spaced {
            text.push(' ');
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// A name that leaves room for words, and a colon.
fn short(name: &str) -> String {
    let mut columns = 0;
    let end = name.char_indices().find(|(_, c)| {
        columns += display_width(c.encode_utf8(&mut [0; 4]));
        columns > NAME_COLUMNS
    });
    match end {
        Some((end, _)) => format!("{}…:", name[..end].trim_end()),
        None => format!("{name}:"),
    }
}

#[cfg(test)]
mod tests;
