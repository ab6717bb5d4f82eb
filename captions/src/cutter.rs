// SPDX-License-Identifier: MPL-2.0

//! Lays words whose times are right out into cues, at once.
//!
//! [`crate::Cues`] keeps an utterance whose time is far ahead until the next one comes. A
//! live text stream has no time for that, and its times need no such check. It uses a
//! [`Cutter`], which returns all cues of an utterance when it is given the utterance.

use crate::layout::Shape;
use crate::order::CutUtterance;
use crate::timed::{Piece, is_timed, millis, pieces};
use crate::{Cue, HURRIED, LATEST, LONGEST, SHORTEST, Utterance, visible};
use std::time::Duration;

const SHORTEST_MS: u64 = SHORTEST.as_millis() as u64;
const HURRIED_MS: u64 = HURRIED.as_millis() as u64;
const LONGEST_MS: u64 = LONGEST.as_millis() as u64;
const LATEST_MS: u64 = LATEST.as_millis() as u64;
/// Delay, in milliseconds, from which on cues are shown for [`HURRIED`] only.
const MOST_HURRIED: u64 = 2000;

/// Reading speed in characters per second.
const READ_PER_SECOND: u64 = 20;
/// Reading speed in characters per second of a cue that makes room for the next one.
const SKIMMED_PER_SECOND: u64 = 30;
/// Pause between two words, in milliseconds, that ends a cue.
const PAUSE: u64 = 2000;
/// Maximum number of pieces in a cue. Pieces without width would never fill a line.
const MOST_PIECES: usize = 200;

/// What becomes of a cue whose words are spoken while an earlier cue is still shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It waits for the end of the earlier cue, however long that takes. No two cues
    /// overlap, and each is shown long enough for 20 characters per second to be read. A
    /// cue that is in time makes room for the next words of its utterance, but after
    /// [`SHORTEST`] and at 30 characters per second at the earliest.
    Waits,
    /// It waits for [`LATEST`] at most, and then overlaps. The later the cues are, the
    /// more briefly they are shown, for [`HURRIED`] at least.
    Overlaps,
}

/// Lays one utterance after the other out into cues.
///
/// ```
/// use std::time::Duration;
/// use symbl_captions::{Cutter, Late, Shape, Utterance};
///
/// let mut cutter = Cutter::new(Shape::new(32, 2), Late::Waits);
/// cutter.advance(Duration::from_millis(1500));
/// let cues = cutter.cut(&Utterance {
///     text: "Hello world.",
///     start: Some(Duration::from_millis(1200)),
///     end: Some(Duration::from_millis(2000)),
///     ..Utterance::default()
/// });
/// assert_eq!(cues[0].start, Duration::from_millis(1500));
/// assert_eq!(cues[0].end, Duration::from_millis(2500));
/// ```
#[derive(Debug, Clone)]
pub struct Cutter {
    shape: Shape,
    late: Late,
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

impl Cutter {
    /// Creates a cutter whose cues contain only what was said.
    pub fn new(shape: Shape, late: Late) -> Self {
        Self {
            shape,
            late,
            start: 0,
            end: 0,
            spoken: 0,
            spoken_until: 0,
            names: false,
            speaker: None,
        }
    }

    /// Puts the speaker's name before the text whenever the speaker changes.
    pub(crate) fn with_names(self) -> Self {
        Self {
            names: true,
            ..self
        }
    }

    /// Returns all cues of `utterance`. Interims and silence make no cues.
    ///
    /// The times of its words must be right and in order. They have a precision of a
    /// millisecond. An utterance without any time follows the one before it.
    pub fn cut(&mut self, utterance: &Utterance<'_>) -> Vec<Cue> {
        // The end of the utterance confirms the time of its last word.
        let end = utterance.words.last().map(|word| word.end.max(word.start));
        let utterance = Utterance {
            end: end.max(utterance.end),
            ..*utterance
        };
        let mut cues = Vec::new();
        if let Some(utterance) = self.pieces(&utterance) {
            self.lay(utterance, &mut cues);
        }
        cues
    }

    /// Lets no later cue begin before `until`.
    pub fn advance(&mut self, until: Duration) {
        let until = until.saturating_add(Duration::from_nanos(999_999));
        self.end = self.end.max(millis(until));
    }

    /// Returns the pieces of a final, or `None` if there is nothing to show.
    pub(crate) fn pieces(&self, utterance: &Utterance<'_>) -> Option<CutUtterance> {
        let pieces = pieces(utterance, self.shape.columns());
        (utterance.is_final && !pieces.is_empty()).then(|| CutUtterance {
            pieces,
            speaker: utterance
                .speaker
                .map(visible)
                .filter(|name| !name.is_empty()),
            timed: is_timed(utterance),
            heard_at: utterance.heard_at.map(millis),
        })
    }

    /// Appends the cues of one utterance to `cues`.
    pub(crate) fn lay(&mut self, utterance: CutUtterance, cues: &mut Vec<Cue>) {
        let utterance = match utterance.timed {
            true => utterance,
            false => utterance.later(self.end),
        };
        let (mut pieces, speaker) = (utterance.pieces, utterance.speaker);
        if self.names && speaker.is_some() && speaker != self.speaker {
            let name = speaker.as_deref().map(|name| self.shape.short(name));
            let at = pieces.first().map_or(0, |piece| piece.start);
            pieces.insert(0, Piece::name(&name.unwrap_or_default(), at));
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
                lines: self.shape.balanced(these),
            });
            rest = others;
        }
    }

    /// Returns when a cue appears whose first word is spoken at `spoken`, in
    /// milliseconds.
    fn start(&self, spoken: u64) -> u64 {
        let free = match self.late {
            Late::Waits => self.end,
            Late::Overlaps => {
                let latest = self.spoken.max(spoken).saturating_add(LATEST_MS);
                self.end.min(latest)
            }
        };
        spoken.max(self.start).max(free)
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
                || self.late == Late::Waits && self.reading(&pieces[..count]) > LONGEST_MS
                || !self.shape.holds(&pieces[..count])
            {
                return self.shape.better(pieces, fit);
            }
            fit = count;
        }
        fit
    }

    /// Returns how long it takes to read `pieces`, in milliseconds.
    fn reading(&self, pieces: &[Piece]) -> u64 {
        let signs: u64 = pieces.iter().map(|p| p.text.chars().count() as u64).sum();
        let spaces = match self.late {
            Late::Waits => pieces.iter().filter(|piece| piece.spaced).count() as u64,
            Late::Overlaps => 0,
        };
        (signs + spaces) * 1000 / READ_PER_SECOND
    }

    /// Returns when the cue of `pieces` appears and disappears, and remembers it.
    /// `next` is the piece that comes after the cue.
    fn place(&mut self, pieces: &[Piece], next: Option<&Piece>) -> (u64, u64) {
        let spoken = pieces.first().map_or(0, |piece| piece.start);
        let spoken_until = pieces.last().map_or(0, |piece| piece.end);
        let start = self.start(spoken);
        let reading = self.reading(pieces);
        let shortest = match self.late {
            Late::Waits if start > spoken => SHORTEST_MS.max(reading),
            Late::Waits => SHORTEST_MS.max(reading * READ_PER_SECOND / SKIMMED_PER_SECOND),
            Late::Overlaps => {
                // Speech that overlaps with other speech is no reason to hurry. Only the
                // time that earlier cues took beyond their words counts.
                let late = start.saturating_sub(self.spoken_until.max(spoken));
                SHORTEST_MS - (SHORTEST_MS - HURRIED_MS) * late.min(MOST_HURRIED) / MOST_HURRIED
            }
        };
        let mut end = spoken_until.max(start.saturating_add(shortest));
        if start == spoken {
            let free = next.map_or(u64::MAX, |piece| piece.start);
            end = end.max(start.saturating_add(reading).min(free));
        }
        end = end.min(start.saturating_add(LONGEST_MS));
        self.start = start;
        self.end = self.end.max(end);
        self.spoken = self.spoken.max(spoken);
        self.spoken_until = self.spoken_until.max(spoken_until.min(end));
        (start, end)
    }
}
