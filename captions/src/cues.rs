// SPDX-License-Identifier: MPL-2.0

//! Captions that can be read: how much text stands together, and how long.
//!
//! A cue has at most two lines of 42 columns and stays for one to seven seconds.
//! Cues follow each other without overlap, whoever speaks. No word is dropped:
//! where two people speak at once, the later cue waits for the earlier one, and
//! gives the time that it lost back by staying no longer than it must.

use crate::Said;
use crate::timed::{Piece, clean, pieces};
use std::time::Duration;
use textwrap::core::display_width;
use textwrap::wrap_algorithms::wrap_first_fit;

/// Most lines of a cue.
pub const LINES: usize = 2;
/// Most columns of a line; a wide character takes two.
pub const LINE_COLUMNS: usize = 42;
/// A cue stays at least so long.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// A cue stays no longer.
pub const LONGEST: Duration = Duration::from_secs(7);

const SHORTEST_MS: u64 = SHORTEST.as_millis() as u64;
const LONGEST_MS: u64 = LONGEST.as_millis() as u64;

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
    /// When it appears; not before the end of the one before.
    pub start: Duration,
    /// When it goes, [`SHORTEST`] to [`LONGEST`] after its start.
    pub end: Duration,
    /// Who speaks.
    pub speaker: Option<String>,
    /// One to [`LINES`] lines of at most [`LINE_COLUMNS`] columns; none is empty.
    pub lines: Vec<String>,
}

/// Cuts what is said into cues, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Cues {
    /// Of the last cue, in milliseconds.
    end: u64,
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

    /// The cues of `said`; none of an interim or of silence.
    pub fn cut(&mut self, said: &Said<'_>) -> Vec<Cue> {
        let mut pieces = pieces(said, LINE_COLUMNS, self.end);
        let mut cues = Vec::new();
        if !said.is_final || pieces.is_empty() {
            return cues;
        }
        let speaker = said.speaker.map(clean).filter(|name| !name.is_empty());
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
            self.end = end;
            cues.push(Cue {
                start: Duration::from_millis(start),
                end: Duration::from_millis(end),
                speaker: speaker.clone(),
                lines: balanced(these),
            });
            rest = others;
        }
        cues
    }

    /// How many of the pieces make the next cue: at least one.
    fn count(&self, pieces: &[Piece]) -> usize {
        let start = pieces.first().map_or(0, |piece| piece.start.max(self.end));
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

    /// From when to when, given the piece that comes after.
    fn place(&self, pieces: &[Piece], next: Option<&Piece>) -> (u64, u64) {
        let spoken = pieces.first().map_or(0, |piece| piece.start);
        let spoken_until = pieces.last().map_or(0, |piece| piece.end);
        let start = spoken.max(self.end);
        let mut end = spoken_until.max(start.saturating_add(SHORTEST_MS));
        if start == spoken {
            let signs: u64 = pieces.iter().map(|p| p.text.chars().count() as u64).sum();
            let read = start.saturating_add(signs * 1000 / READ_PER_SECOND);
            let free = next.map_or(u64::MAX, |piece| piece.start);
            end = end.max(read.min(free));
        }
        (start, end.min(start.saturating_add(LONGEST_MS)))
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
