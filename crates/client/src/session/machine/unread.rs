// SPDX-License-Identifier: MPL-2.0

//! What the service sent and nobody can read.
//!
//! The text goes to the application as it is. If it may have been a final result, the audio
//! that it was about has no transcript: it stays open until the next final, a new start
//! (which sends it again) or the end of the stream says how far it reached, and is told as
//! a gap then. It never counts as finalised.

use super::super::event::{EventKind, Failure, GapReason, Reason};
use super::super::{Position, Time};
use super::Session;
use std::ops::Range;
use symbl_protocol::ParseError;
use symbl_protocol::response::{RecognitionResult, Unreadable};

/// Audio whose final could not be read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// From the final before it to the end of what the service had been given.
    open: Option<Range<Position>>,
    /// How much of it has been told as gaps since the last flush, in nanoseconds.
    lost: u64,
}

impl Unread {
    /// How much audio has been told as a gap because its final could not be read.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// What is open is sent again, or told as lost for another reason.
    pub(super) fn forget_open(&mut self) {
        self.open = None;
    }
}

impl Session {
    /// Tells a text that cannot be read.
    pub(super) fn unreadable(&mut self, now: Time, text: &str, error: &ParseError) {
        self.stats.parse_errors += 1;
        // Once for each start: a broken service is not to flood the bus with warnings.
        let warned = std::mem::replace(&mut self.parse_warned, self.generation.number);
        if warned != self.generation.number {
            let text = format!(
                "cannot read what the service sent, and posts it as symbl/raw: {error}; \
                 is base-url a Symbl streaming service?"
            );
            let failure = Failure::retryable(Reason::Protocol, text);
            self.emit(EventKind::Warning(failure), None, None);
        }
        let Unreadable { kind, may_be_final } = Unreadable::of(text);
        if may_be_final && self.generation.has_audio() {
            // It works, however badly.
            self.stall.answered();
            self.progress(now);
            let end = self.generation.end();
            let start = self.delivery.delivered().max(self.generation.start());
            if start < end {
                self.unread.open.get_or_insert(start..end).end = end;
            }
        }
        // A string of GStreamer ends at a NUL.
        let json = text.replace('\0', "\u{fffd}");
        self.emit(EventKind::Raw { kind }, None, Some(json));
    }

    /// A final without words covers all that was given since the last one, but for
    /// what an unreadable one was about.
    pub(super) fn pass_over_unread(&mut self, result: &RecognitionResult) {
        let covers_all = result.is_final && result.words.is_empty() && !result.text.is_empty();
        if let Some(open) = self.unread.open.as_ref().filter(|_| covers_all) {
            self.delivery.pass_over(open.end);
        }
    }

    /// What the unreadable final was about ends where the next one begins, or at `end`.
    pub(super) fn lose_unread(&mut self, end: Position) {
        let Some(open) = self.unread.open.take() else {
            return;
        };
        let span = open.start..open.end.min(end);
        if !span.is_empty() {
            self.unread.lost += span.end - span.start;
            self.note_gap(span, GapReason::Unreadable);
            self.tell_gap();
        }
    }
}
