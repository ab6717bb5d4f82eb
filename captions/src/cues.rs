// SPDX-License-Identifier: MPL-2.0

//! Cuts utterances into cues that a viewer can read in time.
//!
//! Utterances come in, in the order in which the application heard them. Cues come
//! out, in the order of their starts. A cue has at most two lines of 42 columns and
//! stays for one to seven seconds. No word is ever dropped.
//!
//! Where two people speak at once, the later cue waits for the earlier one. The cues
//! after it are shown more briefly until they are in time again. Where remarks follow
//! each other faster than one cue per second, a cue stays for less than a second, but
//! never for less than [`HURRIED`].
//!
//! A cue appears at most [`LATEST`] after its words. If that leaves no other way, it
//! overlaps with earlier cues, and players show them one above the other.
//! [`crate::order`] decides which times are believed.

use crate::order::{CutUtterance, Order};
use crate::timed::{Piece, is_timed, millis, pieces};
use crate::{Utterance, visible};
use std::time::Duration;
use textwrap::core::display_width;
use textwrap::wrap_algorithms::wrap_first_fit;

/// Maximum number of lines in a cue.
pub const LINES: usize = 2;
/// Maximum number of columns in a line. A wide character takes two.
pub const LINE_COLUMNS: usize = 42;
/// Minimum time that a cue is shown while the captions are in time.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// Minimum time that a cue is shown, however late the captions are.
pub const HURRIED: Duration = Duration::from_millis(300);
/// Maximum time that a cue is shown.
pub const LONGEST: Duration = Duration::from_secs(7);
/// Maximum time from the start of a cue's words to the cue. It counts from the words
/// of an earlier utterance if those were spoken later than the cue's own.
pub const LATEST: Duration = Duration::from_secs(5);

const SHORTEST_MS: u64 = SHORTEST.as_millis() as u64;
const HURRIED_MS: u64 = HURRIED.as_millis() as u64;
const LONGEST_MS: u64 = LONGEST.as_millis() as u64;
const LATEST_MS: u64 = LATEST.as_millis() as u64;
/// Delay, in milliseconds, from which on cues are shown for [`HURRIED`] only.
const MOST_HURRIED: u64 = 2000;

/// Reading speed in characters per second, for cues that are in time.
const READ_PER_SECOND: u64 = 20;
/// Pause between two words, in milliseconds, that ends a cue.
const PAUSE: u64 = 2000;
/// Maximum width of a speaker's name, in columns. A longer name is cut.
const NAME_COLUMNS: usize = 24;
/// Width in columns up to which the left-over words are not worth a cue of their own.
const FEW_COLUMNS: usize = LINE_COLUMNS / 2;
/// Maximum number of pieces in a cue. Pieces without width would never fill a line.
const MOST_PIECES: usize = 200;

/// One caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When the cue appears. Never before the start of the cue before it.
    pub start: Duration,
    /// When the cue disappears: [`HURRIED`] to [`LONGEST`] after its start.
    pub end: Duration,
    /// The speaker's name.
    pub speaker: Option<String>,
    /// One to [`LINES`] lines of at most [`LINE_COLUMNS`] columns. No line is empty.
    pub lines: Vec<String>,
}

/// Cuts one utterance after the other into cues.
#[derive(Debug, Clone, Default)]
pub struct Cues {
    order: Order,
    /// Start of the last cue, in milliseconds.
    start: u64,
    /// Latest end of all cues so far, in milliseconds.
    end: u64,
    /// Latest start of all words shown so far, in milliseconds.
    spoken: u64,
    /// Latest end of all words shown so far, in milliseconds.
    spoken_until: u64,
    /// Set if the text names each new speaker: `Anna: Hello.`
    names: bool,
    speaker: Option<String>,
}

impl Cues {
    /// Creates an instance whose cues contain only what was said.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an instance that puts the speaker's name before the text whenever the
    /// speaker changes.
    pub fn with_names() -> Self {
        Self {
            names: true,
            ..Self::default()
        }
    }

    /// Returns the cues that are ready once `utterance` is known. Interims and silence
    /// make no cues.
    ///
    /// If it is far ahead of the utterance before it, its cues come with those of
    /// the next utterance: only that one shows whether there was a pause or the time
    /// is wrong. [`Cues::finish`] returns them if no next utterance comes.
    pub fn cut(&mut self, utterance: &Utterance<'_>) -> Vec<Cue> {
        let pieces = pieces(utterance, LINE_COLUMNS);
        if !utterance.is_final || pieces.is_empty() {
            return Vec::new();
        }
        let ready = self.order.next(CutUtterance {
            pieces,
            speaker: utterance
                .speaker
                .map(visible)
                .filter(|name| !name.is_empty()),
            timed: is_timed(utterance),
            heard_at: utterance.heard_at.map(millis),
        });
        self.lay_all(ready)
    }

    /// Returns the cues that still wait for the next utterance.
    pub fn finish(&mut self) -> Vec<Cue> {
        let ready = self.order.finish();
        self.lay_all(ready)
    }

    fn lay_all(&mut self, ready: Vec<CutUtterance>) -> Vec<Cue> {
        let mut cues = Vec::new();
        for utterance in ready {
            self.lay(utterance, &mut cues);
        }
        cues
    }

    /// Appends the cues of one utterance to `cues`.
    fn lay(&mut self, utterance: CutUtterance, cues: &mut Vec<Cue>) {
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

    /// Returns when a cue appears whose first word is spoken at `spoken`, in
    /// milliseconds.
    fn start(&self, spoken: u64) -> u64 {
        let latest = self.spoken.max(spoken).saturating_add(LATEST_MS);
        spoken.max(self.start).max(self.end.min(latest))
    }

    /// Returns how many of the pieces make the next cue; at least one.
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

    /// Returns when the cue of `pieces` appears and disappears, and remembers it.
    /// `next` is the piece that comes after the cue.
    fn place(&mut self, pieces: &[Piece], next: Option<&Piece>) -> (u64, u64) {
        let spoken = pieces.first().map_or(0, |piece| piece.start);
        let spoken_until = pieces.last().map_or(0, |piece| piece.end);
        let start = self.start(spoken);
        // Speech that overlaps with other speech is no reason to hurry. Only the time
        // that earlier cues took beyond their words counts.
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

/// Returns how many pieces make a good cue, at most `fit`. It prefers the end of a
/// sentence, then the end of a clause, then half of the text if only a few words
/// would be left over.
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

/// Returns how many pieces make half of the text, or `None` if what is left over
/// fills a cue of its own.
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

/// Returns the width of a piece and the space after it.
fn columns(piece: &Piece) -> usize {
    display_width(&piece.text) + usize::from(piece.spaced)
}

/// Breaks `pieces` into lines, first fit. A line is wider than `columns` only if it
/// is a single piece that is.
fn lines(pieces: &[Piece], columns: usize) -> Vec<&[Piece]> {
    wrap_first_fit(pieces, &[columns as f64])
}

/// Breaks `pieces` into as few lines as possible, of nearly the same width.
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

/// Returns `name` with a colon, cut to [`NAME_COLUMNS`] so that words fit beside it.
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
