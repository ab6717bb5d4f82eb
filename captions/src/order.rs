// SPDX-License-Identifier: MPL-2.0

//! Decides which times are believed.
//!
//! A time may be wrong: a message that is an hour ahead or an hour back, or a clock
//! that was set. A caption file grows in the order of its cues, so one cue an hour
//! ahead would push all later cues there. Utterances come in here in the order in
//! which the application heard them, and leave with usable times:
//!
//! - A time up to [`LEAP`] ahead of the last one is believed. So is a time that is further
//!   ahead, if the application has waited that long.
//! - Any other time further ahead waits for the next utterance. If that one is near or
//!   later, there was a pause, and the time is believed. If not, the time was wrong, and
//!   the utterance is placed right after the one before it.
//! - A time more than [`BACK`] behind is wrong too. If the next utterance goes on from
//!   there, a clock was set back: from then on its times are moved to the end of the
//!   captions.
//!
//! So one wrong time moves its own utterance and no other, with one exception: if it
//! is so near that it could be right, the others wait until they catch up with it,
//! for [`LEAP`] at most.

use crate::timed::Piece;

/// Maximum distance, in milliseconds, by which an utterance may be ahead of the one
/// before it and be believed without a confirmation.
pub(crate) const LEAP: u64 = 20_000;
/// Maximum distance, in milliseconds, by which an utterance may be behind another
/// one. It allows for a speaker whose first sentence lasts two minutes while others
/// speak.
pub(crate) const BACK: u64 = 120_000;
/// Maximum number of utterances that wait for a confirmation.
const MOST_WAITING: usize = 8;

/// An utterance cut into pieces. There is at least one piece.
#[derive(Debug, Clone)]
pub(crate) struct CutUtterance {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) speaker: Option<String>,
    /// `true` if its time is known. If not, its pieces count from 0.
    pub(crate) timed: bool,
    /// When the application heard it, in milliseconds.
    pub(crate) heard_at: Option<u64>,
}

impl CutUtterance {
    fn start(&self) -> u64 {
        self.pieces.first().map_or(0, |piece| piece.start)
    }

    /// Moves the utterance by this many milliseconds.
    pub(crate) fn later(mut self, by: u64) -> Self {
        for piece in &mut self.pieces {
            piece.start = piece.start.saturating_add(by);
            piece.end = piece.end.saturating_add(by);
        }
        self
    }

    /// Puts all pieces at `time`, because their own times are wrong.
    fn at(mut self, time: u64) -> Self {
        for piece in &mut self.pieces {
            (piece.start, piece.end) = (time, time);
        }
        self
    }
}

/// Checks and corrects the times of utterances.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    /// Start of the latest piece whose time was believed, in milliseconds.
    edge: Option<u64>,
    /// When the application heard the utterance that set `edge`.
    heard_at: Option<u64>,
    /// Added to all times since a clock was set back, in milliseconds.
    shift: u64,
    /// Time of the last utterance, if it was too far behind.
    behind: Option<u64>,
    /// Utterances that wait: one too far ahead, and those without a time that came
    /// after it.
    waiting: Vec<CutUtterance>,
}

impl Order {
    /// Takes the next utterance and returns those that are ready, in order.
    pub(crate) fn next(&mut self, utterance: CutUtterance) -> Vec<CutUtterance> {
        let mut ready = Vec::new();
        if !utterance.timed {
            if self.waiting.is_empty() {
                ready.push(utterance);
            } else {
                self.waiting.push(utterance);
                if self.waiting.len() > MOST_WAITING {
                    self.give_up_waiting(&mut ready);
                }
            }
            return ready;
        }
        let given = utterance.start();
        if let Some(first) = self.waiting.first() {
            // Another speaker may have begun earlier. A wrong time is further from
            // the next utterance than that one is from the one before.
            let back = first.start().saturating_sub(given);
            let on = given.saturating_sub(self.edge.unwrap_or(0));
            if back <= BACK.min(on) {
                ready.extend(self.finish());
            } else {
                self.give_up_waiting(&mut ready);
            }
        }
        let waited = waited(self.heard_at, utterance.heard_at);
        let edge = self.edge.unwrap_or(0);
        let is_first = self.edge.is_none();
        let near = |shift: &u64| {
            let time = given.saturating_add(*shift);
            is_near(time, edge, waited) || is_first && time <= LEAP
        };
        // A clock that was set back may have been corrected since.
        if let Some(shift) = [self.shift, 0].into_iter().find(near) {
            self.shift = shift;
            ready.push(self.believe(utterance));
        } else if is_first || given.saturating_add(self.shift) > edge {
            self.behind = None;
            self.waiting.push(utterance);
        } else if let Some(before) = self.behind
            && is_near(given, before, waited)
        {
            self.shift = edge.saturating_sub(before.min(given));
            ready.push(self.believe(utterance));
        } else {
            self.behind = Some(given);
            self.heard_at = utterance.heard_at;
            ready.push(utterance.at(edge));
        }
        ready
    }

    /// Returns the utterances that wait, because no next one will come to confirm or
    /// refute them.
    pub(crate) fn finish(&mut self) -> Vec<CutUtterance> {
        let mut ready = Vec::new();
        for utterance in std::mem::take(&mut self.waiting) {
            ready.push(match utterance.timed {
                true => self.believe(utterance),
                false => utterance,
            });
        }
        ready
    }

    fn give_up_waiting(&mut self, ready: &mut Vec<CutUtterance>) {
        let edge = self.edge.unwrap_or(0);
        for utterance in std::mem::take(&mut self.waiting) {
            ready.push(match utterance.timed {
                true => utterance.at(edge),
                false => utterance,
            });
        }
    }

    fn believe(&mut self, utterance: CutUtterance) -> CutUtterance {
        let utterance = utterance.later(self.shift);
        let last = utterance.pieces.last().map_or(0, |piece| piece.start);
        self.edge = Some(self.edge.unwrap_or(0).max(last));
        self.heard_at = utterance.heard_at;
        self.behind = None;
        utterance
    }
}

/// Returns `true` if an utterance at `time` may follow one at `before` after the
/// application has waited for `waited` milliseconds.
fn is_near(time: u64, before: u64, waited: u64) -> bool {
    let latest = before.saturating_add(LEAP).saturating_add(waited);
    (before.saturating_sub(BACK)..=latest).contains(&time)
}

fn waited(from: Option<u64>, until: Option<u64>) -> u64 {
    from.zip(until)
        .map_or(0, |(from, until)| until.saturating_sub(from))
}
