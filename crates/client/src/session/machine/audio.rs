// SPDX-License-Identifier: MPL-2.0

//! What the application gives: formats, audio, gaps, flushes.

use super::super::alignment::Verdict;
use super::super::chunker::{AudioFormat, Chunk, nanos_to_samples, samples_to_nanos};
use super::super::event::{EventKind, Failure, GapReason, Placement, Reason};
use super::super::packet;
use super::super::planted::{Bug, planted};
use super::super::timeline::Instants;
use super::super::{Position, Time};
use super::{Phase, Session, Speaker, Unread};
use std::ops::Range;
use std::sync::Arc;
use symbl_protocol::Encoding;

/// Most silence that is sent into one hole: enough for a recogniser to hear
/// that an utterance is over.
const MAX_FILL: u64 = 1_000_000_000;

/// No silence is sent into smaller holes: they are stepped over.
const MIN_HOLE: u64 = 40_000_000;

/// A buffer of audio with its times.
#[derive(Debug, Clone, Copy)]
pub struct Audio<'a> {
    /// Raw audio, or exactly one packet.
    pub data: &'a [u8],
    /// Times of its first sample.
    pub instants: Instants,
    /// How long a packet lasts, in nanoseconds, if the container says so.
    pub duration: Option<u64>,
    /// Audio seconds per second of running time: the segment's rate.
    pub speed: f64,
}

/// Audio lost and not told yet.
#[derive(Debug)]
pub(super) struct OpenGap {
    span: Range<Position>,
    reason: GapReason,
    /// Times of its start, which may be forgotten before it ends.
    start: Instants,
}

impl Audio<'_> {
    /// Samples of a packet: as it says, else as its container says. One of which
    /// nobody knows lasts as long as the shortest of Opus, 2.5 ms, so that the
    /// bound of the spool bounds their number too.
    fn packet_samples(&self, format: &AudioFormat) -> u32 {
        let rate = format.clock_rate();
        let from_packet = match format.wire.encoding() {
            Encoding::Opus => packet::opus_samples(self.data),
            _ => packet::flac_samples(self.data),
        };
        let from_container = || {
            let samples = u32::try_from(nanos_to_samples(self.duration?, rate)).ok();
            samples.filter(|samples| *samples > 0)
        };
        from_packet.or_else(from_container).unwrap_or(rate / 400)
    }
}

impl Session {
    /// Audio that follows has this format.
    pub fn set_format(&mut self, now: Time, format: AudioFormat) {
        let speaker = Arc::clone(&self.speaker);
        let format = AudioFormat { speaker, ..format };
        if self
            .chunker
            .format()
            .is_some_and(|current| **current == format)
        {
            return;
        }
        self.flush_chunk(now);
        self.chunker.set_format(Arc::new(format));
        self.start_if_ready(now);
    }

    /// Somebody else speaks in the audio that follows. The service is told by a
    /// stop and a start.
    pub fn set_speaker(&mut self, now: Time, speaker: Speaker) {
        self.speaker = Arc::new(speaker);
        if let Some(format) = self.chunker.format() {
            let format = AudioFormat::clone(format);
            self.set_format(now, format);
        }
    }

    /// Takes audio, all of it: ask [`Session::has_room`] before, so that no more
    /// than this one buffer is ever held beyond the bound.
    pub fn push_audio(&mut self, now: Time, audio: &Audio) {
        let Some(format) = self.chunker.format().cloned() else {
            return;
        };
        if matches!(self.phase, Phase::Failed) {
            return self.drop_audio(now, audio, &format);
        }
        match format.bytes_per_sample() {
            Some(width) => self.push_raw(now, audio, width),
            None => self.push_packet(now, audio, &format),
        }
    }

    fn push_raw(&mut self, now: Time, audio: &Audio, width: usize) {
        // A buffer is whole samples by its caps; a stray byte has no meaning.
        let mut rest = audio
            .data
            .get(..audio.data.len() - audio.data.len() % width)
            .unwrap_or_default();
        self.continue_at(now, &audio.instants, audio.speed);
        while !rest.is_empty() {
            self.make_room(self.chunker.chunk_nanos());
            let (taken, chunk) = self.chunker.push_raw(now, rest);
            rest = rest.get(taken..).unwrap_or_default();
            if let Some(chunk) = chunk {
                self.spool_chunk(now, chunk);
            }
        }
    }

    fn push_packet(&mut self, now: Time, audio: &Audio, format: &AudioFormat) {
        let samples = audio.packet_samples(format);
        self.make_room(samples_to_nanos(u64::from(samples), format.clock_rate()));
        self.continue_at(now, &audio.instants, audio.speed);
        for chunk in self.chunker.push_packet(audio.data, samples) {
            self.spool_chunk(now, chunk);
        }
    }

    /// Makes room for a chunk or a packet that lasts `duration`, as far as the
    /// policy in force allows.
    fn make_room(&mut self, duration: u64) {
        while !self.spool.make_room(duration)
            && self.drops_oldest()
            && let Some(span) = self.drop_oldest()
        {
            self.lose(span, GapReason::BufferFull);
        }
    }

    /// Audio that will never be sent: counted, noted for a gap, and warned of once.
    pub(super) fn lose(&mut self, span: Range<Position>, reason: GapReason) {
        // What had been sent and was to be sent again stays counted as sent.
        let never_sent = span.start.max(self.spool.sent())..span.end;
        self.stats.audio_dropped += never_sent.end.saturating_sub(never_sent.start);
        // What was finalised was kept for the sake of a message only.
        let unheard = span.start.max(self.spool.acknowledged())..span.end;
        if unheard.is_empty() {
            return;
        }
        self.note_gap(unheard, reason);
        if reason == GapReason::BufferFull && !std::mem::replace(&mut self.dropping, true) {
            let bound = self.config.buffer_duration.as_millis();
            self.emit(
                EventKind::Warning(Failure::retryable(
                    Reason::Limit,
                    format!(
                        "audio is being dropped: {bound} ms wait to be sent already; \
                         raise buffer-duration, or see why the service does not take them"
                    ),
                )),
                None,
                None,
            );
        }
    }

    /// Audio that will never be transcribed. One hole is one gap: it is told
    /// when it has an end.
    pub(super) fn note_gap(&mut self, span: Range<Position>, reason: GapReason) {
        match &mut self.open_gap {
            Some(open) if open.span.end == span.start && open.reason == reason => {
                open.span.end = span.end;
            }
            _ => {
                self.tell_gap();
                let start = self.timeline.locate(span.start).unwrap_or_default();
                self.open_gap = Some(OpenGap {
                    span,
                    reason,
                    start,
                });
            }
        }
    }

    /// Tells the gap if audio from `position` on goes on behind it. Audio before it may still
    /// be sent while what follows it is lost.
    pub(super) fn tell_gap_before(&mut self, position: Position) {
        if (self.open_gap.as_ref()).is_some_and(|open| open.span.end <= position) {
            self.tell_gap();
        }
    }

    /// The hole has an end: tells the gap.
    pub(super) fn tell_gap(&mut self) {
        if let Some(OpenGap {
            span,
            reason,
            start,
        }) = self.open_gap.take()
        {
            let end = self.timeline.locate_end(span.start, span.end);
            let times = start.running_time.zip(end.and_then(|e| e.running_time));
            let placement = Placement {
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

    /// Lets go of all audio for good. What the service was not given, or was
    /// given and has not finalised, is told as lost.
    pub(super) fn give_up_audio(&mut self, reason: GapReason) {
        for span in self.spool.unheard() {
            self.note_gap(span, reason);
        }
        let end = self.chunker.position();
        let unsent = self.forget_unsent();
        if unsent > 0 {
            self.lose(end - unsent..end, reason);
        }
        self.tell_gap();
    }

    /// Audio of a session that has failed for good. It may come back with a new
    /// token: positions and times go on.
    fn drop_audio(&mut self, now: Time, audio: &Audio, format: &AudioFormat) {
        self.continue_at(now, &audio.instants, audio.speed);
        let start = self.chunker.position();
        self.chunker.skip(match format.bytes_per_sample() {
            Some(width) => (audio.data.len() / width) as u64,
            None => audio.packet_samples(format).into(),
        });
        let end = self.chunker.position();
        self.unconfirmed += end - start;
        self.lose(start..end, GapReason::SessionFailed);
        self.timeline.prune(end);
    }

    /// The audio that follows does not follow what came before: its timestamp says
    /// where it stands.
    pub fn discontinuity(&mut self) {
        self.discontinuity = true;
    }

    /// The audio that follows has these times. Decides where it stands, and fills a hole.
    fn continue_at(&mut self, now: Time, instants: &Instants, speed: f64) {
        let position = self.chunker.position();
        let declared = std::mem::take(&mut self.discontinuity);
        let expected = self.expected_running_time();
        match (instants.running_time, expected) {
            (Some(actual), Some(expected)) => {
                if !self.timeline.is_same_segment(position, instants, speed) {
                    self.alignment.restart();
                }
                match self.alignment.take(position, expected, actual, declared) {
                    Verdict::GoesOn => {}
                    Verdict::Moved(shifts) => {
                        shifts.into_iter().for_each(|s| self.timeline.shift(s));
                    }
                    Verdict::Resync => {
                        if actual > expected.saturating_add(MIN_HOLE) {
                            self.fill(now, actual - expected);
                        }
                        let position = self.chunker.position();
                        self.timeline.anchor(position, *instants, speed);
                    }
                }
                self.filled = 0;
            }
            (Some(actual), None) => {
                self.alignment.restart();
                self.alignment.take(position, actual, actual, declared);
                self.timeline.anchor(position, *instants, speed);
                self.filled = 0;
            }
            // Without timestamps the audio simply goes on.
            (None, _) if self.timeline.is_empty() => {
                self.timeline.anchor(position, *instants, speed);
            }
            (None, _) => {}
        }
        if instants.utc.is_some() && (declared || self.timeline.wants_wall_clock(now)) {
            self.read_wall_clock(now, instants);
        }
    }

    fn read_wall_clock(&mut self, now: Time, instants: &Instants) {
        let position = self.chunker.position();
        let running_time = instants.running_time.or(self.expected_running_time());
        let instants = Instants {
            running_time,
            ..*instants
        };
        let set = self.timeline.read_wall_clock(now, position, &instants);
        if let Some(nanos) = set {
            let seconds = nanos as f64 / 1e9;
            self.emit(
                EventKind::Warning(Failure::retryable(
                    Reason::WallClock,
                    format!(
                        "the wall clock was set by {seconds:+.3} s: the UTC of what is said from \
                         now on differs by so much from before; running time is what it was. See \
                         to it that the clock of this machine is kept by NTP"
                    ),
                )),
                None,
                None,
            );
        }
    }

    /// Nothing sounds for `duration` nanoseconds from `instants` on.
    pub fn push_gap(&mut self, now: Time, instants: Instants, duration: u64, speed: f64) {
        let position = self.chunker.position();
        let Some(expected) = self
            .timeline
            .expected(position)
            .and_then(|e| e.running_time)
        else {
            return; // A gap before the first audio: the first anchor tells.
        };
        let Some(start) = instants.running_time else {
            return;
        };
        let end = start.saturating_add((duration as f64 / speed) as u64);
        self.discontinuity = true;
        self.fill(now, end.saturating_sub(expected));
    }

    /// Sends silence into a hole, up to a bound for each hole. The rest of the
    /// hole is not sent: the next anchor steps over it.
    fn fill(&mut self, now: Time, hole: u64) {
        let Some(format) = self.chunker.format().cloned() else {
            return;
        };
        let (Some(silence), Some(width)) = (format.silence(), format.bytes_per_sample()) else {
            return;
        };
        // It comes all at once, and is not to drive out what was said before it.
        let most = MAX_FILL.min(self.spool.limit() / 4);
        let nanos = hole.min(most.saturating_sub(self.filled));
        if nanos == 0 || matches!(self.phase, Phase::Failed) {
            return;
        }
        self.filled += nanos;
        let samples = usize::try_from(nanos_to_samples(nanos, format.clock_rate())).unwrap_or(0);
        let mut left = samples * width;
        let block = vec![silence; 4096.min(left)];
        while left > 0 {
            self.make_room(self.chunker.chunk_nanos());
            let (count, chunk) = self
                .chunker
                .push_raw(now, block.get(..left.min(block.len())).unwrap_or_default());
            if let Some(chunk) = chunk {
                self.spool_chunk(now, chunk);
            }
            left = left.saturating_sub(count.max(1));
        }
    }

    /// The flushed timeline's audio is not wanted any more; the session goes on.
    pub fn flush(&mut self, now: Time) {
        self.tell_gap(); // What is lost from now on is lost elsewhere.
        if !planted(Bug::FlushKeepsTheSpool) {
            let pending = self.pending_nanos();
            self.chunker.clear();
            let unsent = match self.phase {
                Phase::Listening => self.spool.flush(),
                _ => self.spool.clear(),
            };
            self.stats.audio_dropped += unsent + pending;
        }
        self.unconfirmed = 0;
        self.unread = Unread::default();
        self.pacing = None; // There is no backlog any more.
        self.held_until = None;
        self.identity.flush();
        self.alignment.restart();
        self.filled = MAX_FILL; // What follows is elsewhere, not after a hole.
        self.leave_drain(now);
    }

    /// Lets go of all audio. Returns how much of it was never sent.
    pub(super) fn forget_unsent(&mut self) -> u64 {
        let pending = self.pending_nanos();
        self.chunker.clear();
        self.spool.clear() + pending
    }

    /// Audio that is not a chunk yet, in nanoseconds.
    pub(super) fn pending_nanos(&self) -> u64 {
        self.chunker.position() - self.chunker.pending_start()
    }

    /// What is pending leaves as a chunk, however short.
    pub(super) fn flush_chunk(&mut self, now: Time) {
        if let Some(chunk) = self.chunker.flush() {
            self.spool_chunk(now, chunk);
        }
    }

    fn spool_chunk(&mut self, now: Time, chunk: Chunk) {
        let bound = u64::try_from(self.config.buffer_duration.as_nanos()).unwrap_or(u64::MAX);
        self.timeline.prune(chunk.end.saturating_sub(bound));
        self.timeline.arrived(chunk.end, now);
        self.spool.push(chunk);
    }
}
