// SPDX-License-Identifier: MPL-2.0

//! The counters of a session, and the two clocks among them.

use super::super::Time;
use super::super::chunker::Chunk;
use super::super::stats::{Delays, Stats};

/// Counters that survive disconnects.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) stats: Stats,
    delay_interim: Delays,
    delay_final: Delays,
    /// When the present session began.
    up_since: Option<Time>,
    /// When the service began to take audio, until that time is billed.
    processing_since: Option<Time>,
}

impl Counters {
    /// Returns the counters as of `now`. `given`: the audio that the current start was
    /// given; `unsent`: the audio that waits; both in nanoseconds.
    pub(super) fn snapshot(&self, now: Time, given: u64, unsent: u64) -> Stats {
        let open = self.up_since.map(|since| now.saturating_sub(since));
        Stats {
            audio_spooled: unsent,
            connected_time: self.stats.connected_time + open.unwrap_or_default(),
            billable_time: self.stats.billable_time + self.unbilled(now, given),
            delay_interim: self.delay_interim.percentiles(),
            delay_final: self.delay_final.percentiles(),
            ..self.stats.clone()
        }
    }

    /// Starts the clocks: the service acknowledged a start.
    pub(super) fn begin(&mut self, now: Time) {
        self.up_since.get_or_insert(now);
        self.processing_since = Some(now);
    }

    /// Counts a chunk that was sent. `fresh` and `replayed`: nanoseconds of it that were sent
    /// for the first time, and again.
    pub(super) fn sent(&mut self, chunk: &Chunk, fresh: u64, replayed: u64) {
        self.stats.bytes_sent += chunk.data.len() as u64;
        self.stats.chunks_sent += 1;
        self.stats.audio_sent += fresh;
        self.stats.audio_replayed += replayed;
    }

    /// Counts a delay from the arrival of audio to its result.
    pub(super) fn delayed(&mut self, delay: Time, is_final: bool) {
        let delays = match is_final {
            true => &mut self.delay_final,
            false => &mut self.delay_interim,
        };
        delays.record(delay);
    }

    /// Counts the time of the session that ends at `now`. Returns how long it lasted, or
    /// `None` if there was no session.
    pub(super) fn end(&mut self, now: Time) -> Option<Time> {
        let up = now.saturating_sub(self.up_since.take()?);
        self.stats.connected_time += up;
        Some(up)
    }

    /// Bills the current start: the service takes no more audio for it.
    pub(super) fn bill(&mut self, now: Time, given: u64) {
        self.stats.billable_time += self.unbilled(now, given);
        self.processing_since = None;
    }

    /// Returns what the current start costs so far, unless it was billed: the time that the
    /// service took audio, or the audio itself, where the service took it faster than that.
    fn unbilled(&self, now: Time, given: u64) -> Time {
        self.processing_since.map_or(Time::ZERO, |since| {
            now.saturating_sub(since).max(Time::from_nanos(given))
        })
    }
}
