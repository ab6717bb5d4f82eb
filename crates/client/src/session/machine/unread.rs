// SPDX-License-Identifier: MPL-2.0

//! Messages of the service that cannot be parsed.
//!
//! The application gets the text as it is. If it may have been a final result, the audio of
//! that final has no transcript. This audio stays open until its end is known: by the next
//! final, by a new start (which sends it again) or by the end of the stream. Then it is
//! reported as a gap. It never counts as finalised.

use super::super::event::{EventKind, Failure, GapReason, Reason};
use super::super::{Position, Time};
use super::Session;
use std::ops::Range;
use symbl_protocol::ParseError;
use symbl_protocol::response::{RecognitionResult, Unreadable};

/// Audio whose final could not be read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// From the final before it to the end of the audio that the service had been given.
    open: Option<Range<Position>>,
    /// How much of it was reported as gaps since the last flush, in nanoseconds.
    lost: u64,
    /// Number of the start in which the application was last warned.
    warned_in: u64,
}

impl Unread {
    /// Returns how much audio was reported as a gap because its final could not be read, in
    /// nanoseconds.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Forgets the open audio: it is sent again, or reported as lost for another reason.
    pub(super) fn forget_open(&mut self) {
        self.open = None;
    }

    /// Forgets the audio of a stream that was flushed.
    pub(super) fn flush(&mut self) {
        self.open = None;
        self.lost = 0;
    }
}

impl Session {
    /// Reports a text that cannot be parsed.
    pub(super) fn unreadable(&mut self, now: Time, text: &str, error: &ParseError) {
        self.counters.stats.parse_errors += 1;
        // One warning for each start: a broken service must not flood the bus.
        let start = self.generation.number;
        if std::mem::replace(&mut self.losses.unread.warned_in, start) != start {
            let text = format!(
                "cannot read what the service sent, and posts it as symbl/raw: {error}; \
                 is base-url a Symbl streaming service?"
            );
            self.warn(Failure::retryable(Reason::Protocol, text));
        }
        let Unreadable { kind, may_be_final } = Unreadable::of(text);
        if may_be_final && self.generation.has_audio() {
            // A service that sends broken finals is alive: this is no stall.
            self.stall.answered();
            self.stops.progress(now);
            let end = self.generation.end();
            let start = self.delivery.delivered().max(self.generation.start());
            if start < end {
                self.losses.unread.open.get_or_insert(start..end).end = end;
            }
        }
        // A string of GStreamer ends at a NUL.
        let json = text.replace('\0', "\u{fffd}");
        self.emit(EventKind::Raw { kind }, None, Some(json));
    }

    /// Moves the delivery past the open audio for a final without words: such a final covers
    /// all audio that was given since the last final, except that of an unreadable one.
    pub(super) fn pass_over_unread(&mut self, result: &RecognitionResult) {
        let covers_all = result.is_final && result.words.is_empty() && !result.text.is_empty();
        let open = self.losses.unread.open.as_ref();
        if let Some(open) = open.filter(|_| covers_all) {
            self.delivery.pass_over(open.end);
        }
    }

    /// Reports the open audio as a gap. It ends at `end`, where the next final begins, if
    /// that comes first.
    pub(super) fn lose_unread(&mut self, end: Position) {
        let Some(open) = self.losses.unread.open.take() else {
            return;
        };
        let span = open.start..open.end.min(end);
        if !span.is_empty() {
            self.losses.unread.lost += span.end - span.start;
            self.note_gap(span, GapReason::Unreadable);
            self.tell_gap();
        }
    }
}
