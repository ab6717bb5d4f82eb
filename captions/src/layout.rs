// SPDX-License-Identifier: MPL-2.0

//! Breaks pieces of text into the lines of cues.

use crate::timed::Piece;
use crate::{LINE_COLUMNS, LINES};
use std::ops::RangeInclusive;
use textwrap::core::display_width;
use textwrap::wrap_algorithms::wrap_first_fit;

/// Maximum width of a speaker's name, in columns. A longer name is cut.
const NAME_COLUMNS: usize = 24;
/// Minimum width beside a speaker's name, in columns.
const BESIDE_NAME: usize = 8;

/// The largest size of a cue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    columns: usize,
    lines: usize,
}

impl Default for Shape {
    /// Returns the shape with [`LINES`] lines of [`LINE_COLUMNS`] columns.
    fn default() -> Self {
        Self::new(LINE_COLUMNS, LINES)
    }
}

impl Shape {
    /// Values that [`Shape::columns`] can have.
    pub const COLUMNS: RangeInclusive<usize> = 16..=64;
    /// Values that [`Shape::lines`] can have.
    pub const LINES: RangeInclusive<usize> = 1..=4;

    /// Creates a shape. A number outside of [`Shape::COLUMNS`] or [`Shape::LINES`] becomes
    /// the nearest one inside.
    pub fn new(columns: usize, lines: usize) -> Self {
        Self {
            columns: columns.clamp(*Self::COLUMNS.start(), *Self::COLUMNS.end()),
            lines: lines.clamp(*Self::LINES.start(), *Self::LINES.end()),
        }
    }

    /// Returns the maximum number of columns in a line. A wide character takes two.
    pub fn columns(self) -> usize {
        self.columns
    }

    /// Returns the maximum number of lines in a cue.
    pub fn lines(self) -> usize {
        self.lines
    }

    /// Returns `true` if `pieces` fit into a cue.
    pub(crate) fn holds(self, pieces: &[Piece]) -> bool {
        lines(pieces, self.columns).len() <= self.lines
    }

    /// Breaks `pieces` into as few lines as possible, of nearly the same width.
    pub(crate) fn balanced(self, pieces: &[Piece]) -> Vec<String> {
        let full = lines(pieces, self.columns);
        let whole = display_width(&text(pieces)) / full.len().max(1);
        let narrower = (whole..self.columns).map(|columns| lines(pieces, columns));
        let best = { narrower }.find(|lines| lines.len() <= full.len());
        best.unwrap_or(full).into_iter().map(text).collect()
    }

    /// Returns how many pieces make a good cue, at most `fit`. It prefers the end of a
    /// sentence, then the end of a clause, then half of the text if only a few words
    /// would be left over.
    pub(crate) fn better(self, all: &[Piece], fit: usize) -> usize {
        let (pieces, left_over) = all.split_at(fit);
        let ends_with = |signs: &[char], from: usize| {
            let end = |piece: &Piece| piece.spaced && piece.text.ends_with(signs);
            let found = pieces.iter().rposition(end).map(|index| index + 1);
            found.filter(|count| *count >= from)
        };
        ends_with(&['.', '?', '!', '…'], pieces.len().div_ceil(3))
            .or_else(|| ends_with(&[',', ';', ':'], pieces.len().div_ceil(2)))
            .or_else(|| self.half(pieces, left_over))
            .unwrap_or(fit)
    }

    /// Returns how many pieces make half of the text, or `None` if the pieces that are
    /// left over fill half a line, which is worth a cue of its own.
    fn half(self, pieces: &[Piece], left_over: &[Piece]) -> Option<usize> {
        let mut rest = 0;
        for piece in left_over {
            rest += columns(piece);
            if rest > self.columns / 2 {
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

    /// Returns `name` with a colon, cut so that words fit beside it.
    pub(crate) fn short(self, name: &str) -> String {
        let most = NAME_COLUMNS.min(self.columns - BESIDE_NAME);
        let mut columns = 0;
        let end = name.char_indices().find(|(_, c)| {
            columns += display_width(c.encode_utf8(&mut [0; 4]));
            columns > most
        });
        match end {
            Some((end, _)) => format!("{}…:", name[..end].trim_end()),
            None => format!("{name}:"),
        }
    }
}

/// Returns the width of a piece and the space after it.
fn columns(piece: &Piece) -> usize {
    display_width(&piece.text) + usize::from(piece.spaced)
}

/// Breaks `pieces` into lines, first fit. A line is wider than `columns` only if it
/// is a single piece that is.
fn lines(pieces: &[Piece], columns: usize) -> Vec<&[Piece]> {
    wrap_first_fit(pieces, &[columns as f64])
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
