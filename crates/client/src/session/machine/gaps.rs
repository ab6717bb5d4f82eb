// SPDX-License-Identifier: MPL-2.0

//! Audio that gets no transcript, and the gaps that report it.
//!
//! One hole is one gap: it is reported when its end is known.

use super::super::Position;
use super::super::event::{EventKind, Failure, GapReason, Placement, Reason};
use super::super::planted::{Bug, planted};
use super::super::timeline::Instants;
use super::Session;
use super::unread::Unread;
use std::ops::Range;

/// Audio that was lost.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Lost audio that is not reported yet.
    open: Option<OpenGap>,
    /// The application was warned of a full spool since the last start.
    pub(super) warned: bool,
    /// Audio that was not confirmed when the session failed, or came since, in nanoseconds.
    pub(super) unconfirmed: u64,
    /// Audio whose final could not be read.
    pub(super) unread: Unread,
}

/// Audio that was lost and is not reported yet.
#[derive(Debug)]
struct OpenGap {
    span: Range<Position>,
    reason: GapReason,
    /// Times of its start, which the timeline may forget before the gap ends.
    start: Instants,
}

impl Losses {
    /// Forgets what was lost of a stream that was flushed.
    pub(super) fn flush(&mut self) {
        self.unconfirmed = 0;
        self.unread.flush();
    }

    /// Extends the open gap by `span`. Returns `false` if `span` is another gap.
    fn extend(&mut self, span: &Range<Position>, reason: GapReason) -> bool {
        let open = self.open.as_mut();
        let Some(open) = open.filter(|o| o.span.end == span.start && o.reason == reason) else {
            return false;
        };
        open.span.end = span.end;
        true
    }
}

impl Session {
    /// Counts audio that will never be sent, notes a gap, and warns once if the spool is full.
    pub(super) fn lose(&mut self, span: Range<Position>, reason: GapReason) {
        // Audio that was sent and was to be sent again stays counted as sent.
        let never_sent = span.start.max(self.spool.sent())..span.end;
        self.counters.stats.audio_dropped += never_sent.end.saturating_sub(never_sent.start);
        // Audio that was finalised was kept only because its message is owed.
        let unheard = span.start.max(self.spool.acknowledged())..span.end;
        if unheard.is_empty() {
            return;
        }
        self.note_gap(unheard, reason);
        if reason == GapReason::BufferFull && !std::mem::replace(&mut self.losses.warned, true) {
            let bound = self.config.buffer_duration.as_millis();
            let message = format!(
                "audio is being dropped: {bound} ms wait to be sent already; \
                 raise buffer-duration, or see why the service does not take them"
            );
            self.warn(Failure::retryable(Reason::Limit, message));
        }
    }

    /// Notes audio that will never be transcribed. Reports the gap before it, unless this
    /// audio continues that gap.
    pub(super) fn note_gap(&mut self, mut span: Range<Position>, reason: GapReason) {
        let parting = &self.upstream.parting;
        if parting.contains(&span.start) {
            // The silence behind a flush is no loss, and it has no duration in the pipeline.
            span.start = parting.end;
            if span.is_empty() {
                return;
            }
        }
        if self.losses.extend(&span, reason) {
            return;
        }
        self.tell_gap();
        let start = self.timeline.locate(span.start).unwrap_or_default();
        self.losses.open = Some(OpenGap {
            span,
            reason,
            start,
        });
    }

    /// Reports the open gap if audio from `position` on follows it. Audio before the gap may
    /// still be sent while audio behind it is lost.
    pub(super) fn tell_gap_before(&mut self, position: Position) {
        let open = self.losses.open.as_ref();
        if open.is_some_and(|open| open.span.end <= position) {
            self.tell_gap();
        }
    }

    /// Reports the open gap, if there is one: it has an end.
    pub(super) fn tell_gap(&mut self) {
        if let Some(OpenGap {
            span,
            reason,
            start,
        }) = self.losses.open.take()
        {
            let end = self.timeline.locate_end(span.start, span.end);
            let times = start.running_time.zip(end.and_then(|e| e.running_time));
            let placement = Placement {
                from: span.start,
                until: span.end,
                running_time: start.running_time,
                stream_time: start.stream_time,
                duration: times.map(|(start, end)| end.saturating_sub(start)),
                utc: start.utc,
                delay: None,
                replayed: false,
            };
            if planted(Bug::GapNotTold) {
                return;
            }
            self.emit(EventKind::Gap { reason }, Some(placement), None);
        }
    }

    /// Drops all audio for good. Reports audio as lost if it was never sent, or was sent and
    /// not finalised.
    pub(super) fn give_up_audio(&mut self, reason: GapReason) {
        for span in self.spool.unheard() {
            self.note_gap(span, reason);
        }
        let end = self.upstream.chunker.position();
        let unsent = self.forget_unsent();
        if unsent > 0 {
            self.lose(end - unsent..end, reason);
        }
        self.tell_gap();
    }

    /// Drops all audio. Returns how much of it was never sent, in nanoseconds.
    pub(super) fn forget_unsent(&mut self) -> u64 {
        let pending = self.upstream.drop_pending();
        self.spool.clear() + pending
    }
}
