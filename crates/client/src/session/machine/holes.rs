// SPDX-License-Identifier: MPL-2.0

//! Where audio stands in time, and the silence that fills holes in it.

use super::super::Time;
use super::super::alignment::Alignment;
use super::super::chunker::nanos_to_samples;
use super::super::event::{Failure, Reason};
use super::super::planted::{Bug, planted};
use super::super::timeline::Instants;
use super::audio::Upstream;
use super::{Phase, Session};
use std::ops::Range;

/// Most silence that is sent into one hole, in nanoseconds. It is enough for a recogniser to
/// end an utterance.
const MAX_FILL: u64 = 1_000_000_000;

/// No silence is sent into holes of at most this length, in nanoseconds: the next anchor
/// steps over them.
const MIN_HOLE: u64 = 40_000_000;

/// Longest gap that is believed without a timestamp behind it, in nanoseconds: a day.
const MAX_STEP: u64 = 86_400_000_000_000;

impl Upstream {
    /// Forgets the hole before the audio that came now.
    fn begin_hole(&mut self) {
        (self.filled, self.told) = (0, 0);
    }

    /// Forgets the present hole and the timestamps before a flush. The next audio does not
    /// continue the utterance before it.
    pub(super) fn flush(&mut self) {
        self.alignment.restart();
        self.filled = MAX_FILL;
        self.told = 0;
        self.flushed = true;
    }
}

impl Session {
    /// Notes that the next audio does not follow the audio before it. Its timestamp says
    /// where it stands.
    pub fn discontinuity(&mut self) {
        self.upstream.discontinuity = true;
    }

    /// Takes the times of the next audio: decides where it stands, and fills a hole before it.
    pub(super) fn continue_at(&mut self, now: Time, instants: &Instants, speed: f64) {
        let declared = std::mem::take(&mut self.upstream.discontinuity);
        if std::mem::take(&mut self.upstream.flushed) {
            self.part_utterances(now, instants, speed);
        }
        let position = self.upstream.chunker.position();
        let expected = self.expected_running_time();
        match (instants.running_time, expected) {
            (Some(actual), Some(expected)) => {
                if !self.timeline.is_same_segment(position, instants, speed) {
                    self.upstream.alignment.restart();
                }
                match self
                    .upstream
                    .alignment
                    .take(position, expected, actual, declared)
                {
                    Alignment::GoesOn => {}
                    Alignment::Moved(shifts) => {
                        shifts.into_iter().for_each(|s| self.timeline.shift(s));
                    }
                    Alignment::Resync => {
                        if actual > expected.saturating_add(MIN_HOLE) {
                            self.fill(now, actual - expected);
                        }
                        let position = self.upstream.chunker.position();
                        self.timeline.anchor(position, *instants, speed);
                    }
                }
                self.upstream.begin_hole();
            }
            (Some(actual), None) => {
                self.upstream.alignment.restart();
                self.upstream
                    .alignment
                    .take(position, actual, actual, declared);
                self.timeline.anchor(position, *instants, speed);
                self.upstream.begin_hole();
            }
            // Audio without timestamps follows the audio before it.
            (None, _) if self.timeline.is_empty() => {
                self.timeline.anchor(position, *instants, speed);
            }
            (None, _) => self.upstream.told = 0,
        }
        if instants.utc.is_some() && (declared || self.timeline.wants_wall_clock(now)) {
            self.read_wall_clock(now, instants);
        }
    }

    /// Sends silence between the audio before a flush and the audio after it, so that a
    /// recogniser does not hear one utterance in what was said at two places. In time the
    /// silence stands where the audio after it begins. Nothing is sent if the service has no
    /// audio of this start, or only silence of an earlier flush.
    fn part_utterances(&mut self, now: Time, instants: &Instants, speed: f64) {
        let Range { start, end } = self.upstream.parting;
        // Three quarters of it end an utterance.
        let parted = (start + (end - start) / 4 * 3..=end).contains(&self.spool.sent());
        let heard = matches!(self.phase, Phase::Listening) && self.generation.given() > 0;
        if heard && !parted && !planted(Bug::FlushJoinsUtterances) {
            let start = self.upstream.chunker.position();
            let here = match instants.running_time {
                Some(_) => *instants,
                None => self.timeline.expected(start).unwrap_or_default(),
            };
            self.upstream.filled = 0;
            self.fill(now, MAX_FILL);
            let end = self.upstream.chunker.position();
            self.upstream.parting = start..end;
            self.timeline.stand(start..end, here, speed);
        }
        // The hole behind it needs no silence of its own.
        self.upstream.filled = MAX_FILL;
    }

    fn read_wall_clock(&mut self, now: Time, instants: &Instants) {
        let position = self.upstream.chunker.position();
        let running_time = instants.running_time.or(self.expected_running_time());
        let instants = Instants {
            running_time,
            ..*instants
        };
        let set = self.timeline.read_wall_clock(now, position, &instants);
        if let Some(nanos) = set {
            let seconds = nanos as f64 / 1e9;
            let message = format!(
                "the wall clock was set by {seconds:+.3} s: the UTC of what is said from \
                 now on differs by so much from before; running time is what it was. See \
                 to it that the clock of this machine is kept by NTP"
            );
            self.warn(Failure::retryable(Reason::WallClock, message));
        }
    }

    /// Takes a gap event: there is no audio for `duration` nanoseconds from `instants` on. What
    /// silence does not fill of it is stepped over, so that timestamps that jitter need not
    /// show how long it was. Its own timestamp may jitter too, and makes it no longer.
    pub fn push_gap(&mut self, now: Time, instants: Instants, duration: u64, speed: f64) {
        let Some(expected) = self.expected_running_time() else {
            return; // Before the first audio, the first anchor covers the gap.
        };
        let Some(start) = instants.running_time else {
            return;
        };
        let length = (duration as f64 / speed) as u64;
        let end = start.saturating_add(length);
        let instants = Instants {
            running_time: Some(end),
            stream_time: instants.stream_time.map(|t| t.saturating_add(duration)),
            utc: None,
        };
        self.upstream.discontinuity = true;
        let position = self.upstream.chunker.position();
        self.fill(now, end.saturating_sub(expected));
        let filled = self.upstream.chunker.position() - position;
        let told = self.upstream.told.saturating_add(length);
        self.upstream.told = told.saturating_sub(filled);
        self.step_to(instants, speed);
    }

    /// Steps over what is told of the present hole and not filled, up to `end` at most. The
    /// next timestamp decides alone about a short hole, one of absurd length, and one behind a
    /// flush or in another segment.
    fn step_to(&mut self, end: Instants, speed: f64) {
        let position = self.upstream.chunker.position();
        let Some(expected) = self.timeline.expected(position) else {
            return;
        };
        let (Some(running_time), Some(latest)) = (expected.running_time, end.running_time) else {
            return;
        };
        let by = latest.saturating_sub(running_time).min(self.upstream.told);
        let measured = (MIN_HOLE + 1..=MAX_STEP).contains(&by);
        let follows = self.timeline.is_same_segment(position, &end, speed);
        if measured && follows && !self.upstream.flushed {
            let audio = (by as f64 * speed) as u64;
            let here = Instants {
                running_time: Some(running_time + by),
                stream_time: expected.stream_time.map(|t| t.saturating_add(audio)),
                utc: None,
            };
            self.timeline.anchor(position, here, speed);
            self.upstream.told -= by;
        }
    }

    /// Fills a hole of `hole` nanoseconds with silence, up to a bound for each hole. The next
    /// anchor steps over the rest.
    fn fill(&mut self, now: Time, hole: u64) {
        let Some(format) = self.upstream.chunker.format().cloned() else {
            return;
        };
        let (Some(silence), Some(width)) = (format.silence(), format.bytes_per_sample()) else {
            return;
        };
        // Silence is spooled at once and must not push out the speech before it.
        let most = MAX_FILL.min(self.spool.limit() / 4);
        let nanos = hole.min(most.saturating_sub(self.upstream.filled));
        self.upstream.filled += nanos;
        if nanos == 0 || matches!(self.phase, Phase::Failed) {
            return;
        }
        let samples = usize::try_from(nanos_to_samples(nanos, format.clock_rate())).unwrap_or(0);
        let mut left = samples * width;
        let block = vec![silence; 4096.min(left)];
        while left > 0 {
            self.make_room(self.upstream.chunker.chunk_nanos());
            let (count, chunk) = self
                .upstream
                .chunker
                .push_raw(now, block.get(..left.min(block.len())).unwrap_or_default());
            if let Some(chunk) = chunk {
                self.spool_chunk(now, chunk);
            }
            left = left.saturating_sub(count.max(1));
        }
    }
}
