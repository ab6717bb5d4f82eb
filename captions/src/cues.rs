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

use crate::Utterance;
use crate::cutter::{Cutter, Late};
use crate::layout::Shape;
use crate::order::{CutUtterance, Order};
use std::time::Duration;

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

/// One caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When the cue appears. Never before the start of the cue before it.
    pub start: Duration,
    /// When the cue disappears: [`HURRIED`] to [`LONGEST`] after its start.
    pub end: Duration,
    /// The speaker's name.
    pub speaker: Option<String>,
    /// The lines, as many and as wide as the [`Shape`] allows. No line is empty.
    pub lines: Vec<String>,
}

/// Cuts one utterance after the other into cues, whatever times they have.
#[derive(Debug, Clone)]
pub struct Cues {
    order: Order,
    cutter: Cutter,
}

impl Default for Cues {
    fn default() -> Self {
        Self {
            order: Order::default(),
            cutter: Cutter::new(Shape::default(), Late::Overlaps),
        }
    }
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
            cutter: Cutter::new(Shape::default(), Late::Overlaps).with_names(),
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
        let Some(utterance) = self.cutter.pieces(utterance) else {
            return Vec::new();
        };
        let ready = self.order.next(utterance);
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
            self.cutter.lay(utterance, &mut cues);
        }
        cues
    }
}

#[cfg(test)]
mod tests;
