// SPDX-License-Identifier: MPL-2.0

//! Audio from the application: formats, buffers, holes, flushes.
//!
//! Every buffer gets a position, the count of audio before it, and an entry in the timeline
//! that ties the position to the pipeline's times. Holes are filled with silence up to a
//! bound, because a recogniser counts only the audio that it is given.

use super::super::alignment::Aligner;
use super::super::chunker::{AudioFormat, Chunk, Chunker, nanos_to_samples, samples_to_nanos};
use super::super::config::{LeakyPolicy, SessionConfig, Speaker};
use super::super::event::GapReason;
use super::super::packet;
use super::super::planted::{Bug, planted};
use super::super::timeline::Instants;
use super::super::{Position, Time};
use super::{Phase, Session};
use std::ops::Range;
use std::sync::Arc;
use symbl_protocol::Encoding;

/// Where audio comes from, and how it is cut into chunks.
#[derive(Debug)]
pub(super) struct Upstream {
    /// Upstream is live.
    live: bool,
    /// Audio comes at the pace of a clock.
    paced: bool,
    /// The speaker of the audio that is pushed now.
    speaker: Arc<Speaker>,
    pub(super) chunker: Chunker,
    /// Decides between timestamps and the count of samples.
    pub(super) alignment: Aligner,
    /// Upstream said that the next audio does not follow the audio before it.
    pub(super) discontinuity: bool,
    /// Silence that was sent into the present hole, in nanoseconds.
    pub(super) filled: u64,
    /// What gap events have told of the present hole, and no silence has filled, in nanoseconds.
    pub(super) told: u64,
    /// No audio has come since the last flush.
    pub(super) flushed: bool,
    /// The silence that ends the utterance before the last flush.
    pub(super) parting: Range<Position>,
}

impl Upstream {
    /// Returns an upstream that is paced, not live, and has no format yet.
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self {
            live: false,
            paced: true,
            speaker: Arc::new(Speaker {
                user_id: config.start.speaker_user_id.clone(),
                name: config.start.speaker_name.clone(),
            }),
            chunker: Chunker::new(config.chunk_duration),
            alignment: Aligner::new(config.alignment_threshold, config.discont_wait),
            discontinuity: false,
            filled: 0,
            told: 0,
            flushed: false,
            parting: 0..0,
        }
    }

    /// Returns `true` if audio comes at the pace of a clock.
    pub(super) fn is_paced(&self) -> bool {
        self.paced
    }

    /// Returns the audio that is not a chunk yet, in nanoseconds.
    pub(super) fn pending_nanos(&self) -> u64 {
        self.chunker.position() - self.chunker.pending_start()
    }

    /// Drops the audio that is not a chunk yet. Returns how much it was, in nanoseconds.
    pub(super) fn drop_pending(&mut self) -> u64 {
        let pending = self.pending_nanos();
        self.chunker.clear();
        pending
    }

    /// Returns `true` if `policy` drops the oldest audio for the newest.
    fn drops_oldest(&self, policy: LeakyPolicy) -> bool {
        match policy {
            LeakyPolicy::Auto => self.live,
            LeakyPolicy::None => false,
            LeakyPolicy::Oldest => true,
        }
    }
}

/// A buffer of audio, and its times.
#[derive(Debug, Clone, Copy)]
pub struct Audio<'a> {
    /// Raw audio, or exactly one packet.
    pub data: &'a [u8],
    /// The times of its first sample.
    pub instants: Instants,
    /// The duration of a packet, in nanoseconds, if the container states it.
    pub duration: Option<u64>,
    /// The segment's rate: audio seconds per second of running time.
    pub speed: f64,
}

impl Audio<'_> {
    /// Returns the number of samples of a packet, as the packet states it, or else its
    /// container. A packet of unknown duration counts as 2.5 ms, the shortest of Opus, so
    /// that the bound of the spool bounds the number of packets too.
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
    /// Sets how audio arrives. `live` decides the automatic leaky policy; `paced` (live, or
    /// synchronised to a clock) decides if a backlog is held back to the catch-up rate.
    pub fn set_upstream(&mut self, live: bool, paced: bool) {
        self.upstream.live = live;
        self.upstream.paced = paced;
    }

    /// Returns `true` if audio arrives at the pace of a clock, and not as fast as it is taken.
    pub fn is_paced(&self) -> bool {
        self.upstream.is_paced()
    }

    /// Returns `true` if half of the bound is free, or audio never has to wait for room.
    pub fn has_much_room(&self) -> bool {
        self.drops_oldest()
            || matches!(self.phase, Phase::Failed)
            || self.spool.backlog() <= self.spool.limit() / 2 && self.has_room()
    }

    /// Returns `true` if there is room for more audio within the bound. That is always so
    /// where the oldest audio is dropped for the newest.
    pub fn has_room(&self) -> bool {
        self.drops_oldest()
            || matches!(self.phase, Phase::Failed)
            || self.spool.has_room(self.upstream.chunker.chunk_nanos())
    }

    /// Returns `true` if the wall clock is to be read for the audio that comes now.
    pub fn wants_wall_clock(&self, now: Time) -> bool {
        self.upstream.discontinuity || self.timeline.wants_wall_clock(now)
    }

    /// Returns the running time of the next audio, in nanoseconds, as the audio before it
    /// predicts it.
    pub fn expected_running_time(&self) -> Option<u64> {
        self.timeline
            .expected(self.upstream.chunker.position())?
            .running_time
    }

    /// Returns the end of the audio that was pushed, and its running time in nanoseconds: before
    /// the rest of a gap that no audio has confirmed yet. The audio that follows a flush may be
    /// anywhere in time.
    pub fn pushed(&self) -> (Position, Option<u64>) {
        let (position, time) = self.end_at(self.upstream.chunker.position());
        (position, time.filter(|_| !self.upstream.flushed))
    }

    /// Returns the end of the audio that was sent, and its running time in nanoseconds.
    pub fn sent(&self) -> (Position, Option<u64>) {
        self.end_at(self.spool.sent())
    }

    fn end_at(&self, position: Position) -> (Position, Option<u64>) {
        let end = self.timeline.locate_end_at(position);
        (position, end.and_then(|end| end.running_time))
    }

    /// Returns `true` unless timestamps are off the count of samples and it is not decided
    /// which are right. Until then the session has to see each timestamp.
    pub fn is_settled_in_time(&self) -> bool {
        self.upstream.alignment.is_settled()
    }

    /// Returns the audio that is held in memory, sent or not, in nanoseconds.
    pub fn audio_kept(&self) -> u64 {
        self.spool.held() + self.upstream.pending_nanos()
    }

    /// Returns the time at which the audio that is not a chunk yet leaves at the latest.
    pub fn chunk_deadline(&self) -> Option<Time> {
        self.upstream.chunker.deadline()
    }

    fn drops_oldest(&self) -> bool {
        self.upstream.drops_oldest(self.config.leaky)
    }

    /// Sets the format of the audio that follows.
    pub fn set_format(&mut self, now: Time, format: AudioFormat) {
        let speaker = Arc::clone(&self.upstream.speaker);
        let format = AudioFormat { speaker, ..format };
        if self
            .upstream
            .chunker
            .format()
            .is_some_and(|current| **current == format)
        {
            return;
        }
        self.flush_chunk(now);
        self.upstream.chunker.set_format(Arc::new(format));
        self.start_if_ready(now);
    }

    /// Sets the speaker of the audio that follows. The service is told by a stop and a
    /// start.
    pub fn set_speaker(&mut self, now: Time, speaker: Speaker) {
        self.upstream.speaker = Arc::new(speaker);
        if let Some(format) = self.upstream.chunker.format() {
            let format = AudioFormat::clone(format);
            self.set_format(now, format);
        }
    }

    /// Takes all of the audio. Ask [`Session::has_room`] before, so that no more than this
    /// one buffer is ever held beyond the bound.
    pub fn push_audio(&mut self, now: Time, audio: &Audio) {
        let Some(format) = self.upstream.chunker.format().cloned() else {
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
        // The caps promise whole samples; a stray byte has no meaning.
        let mut rest = audio
            .data
            .get(..audio.data.len() - audio.data.len() % width)
            .unwrap_or_default();
        self.continue_at(now, &audio.instants, audio.speed);
        while !rest.is_empty() {
            self.make_room(self.upstream.chunker.chunk_nanos());
            let (taken, chunk) = self.upstream.chunker.push_raw(now, rest);
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
        for chunk in self.upstream.chunker.push_packet(audio.data, samples) {
            self.spool_chunk(now, chunk);
        }
    }

    /// Makes room for a chunk or a packet of `duration` nanoseconds, as far as the leaky
    /// policy allows.
    pub(super) fn make_room(&mut self, duration: u64) {
        while !self.spool.make_room(duration)
            && self.drops_oldest()
            && let Some(span) = self.drop_oldest()
        {
            self.lose(span, GapReason::BufferFull);
        }
    }

    /// Drops the audio of a session that has failed. Positions and times go on, because a
    /// new token may revive the session.
    fn drop_audio(&mut self, now: Time, audio: &Audio, format: &AudioFormat) {
        self.continue_at(now, &audio.instants, audio.speed);
        let start = self.upstream.chunker.position();
        self.upstream.chunker.skip(match format.bytes_per_sample() {
            Some(width) => (audio.data.len() / width) as u64,
            None => audio.packet_samples(format).into(),
        });
        let end = self.upstream.chunker.position();
        self.losses.unconfirmed += end - start;
        self.lose(start..end, GapReason::SessionFailed);
        self.timeline.prune(end);
    }

    /// Notes that running time has another place on the wall clock from the next audio on,
    /// although no clock was set.
    pub fn move_running_time(&mut self) {
        self.timeline.part();
    }

    /// Drops the audio of the flushed timeline. The session goes on.
    pub fn flush(&mut self, now: Time) {
        self.tell_gap(); // Audio that is lost later is another gap.
        if !planted(Bug::FlushKeepsTheSpool) {
            let pending = self.upstream.drop_pending();
            let unsent = match self.phase {
                Phase::Listening => self.spool.flush(),
                _ => self.spool.clear(),
            };
            self.counters.stats.audio_dropped += unsent + pending;
        }
        self.losses.flush();
        self.pacing.flush();
        self.identity.flush();
        self.upstream.flush();
        self.timeline.part();
        self.leave_drain(now);
    }

    /// Spools the audio that is not a chunk yet as a chunk, however short.
    pub(super) fn flush_chunk(&mut self, now: Time) {
        if let Some(chunk) = self.upstream.chunker.flush() {
            self.spool_chunk(now, chunk);
        }
    }

    pub(super) fn spool_chunk(&mut self, now: Time, chunk: Chunk) {
        let bound = u64::try_from(self.config.buffer_duration.as_nanos()).unwrap_or(u64::MAX);
        self.timeline.prune(chunk.end.saturating_sub(bound));
        self.timeline.arrived(chunk.end, now);
        self.spool.push(chunk);
    }
}
