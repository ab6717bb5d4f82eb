// SPDX-License-Identifier: MPL-2.0

//! Counters of a session. They survive disconnects and only grow, except for the gauges
//! `audio_spooled`, `rtt` and the delays.

use std::collections::VecDeque;
use std::time::Duration;

/// A snapshot of the counters. Amounts of audio are in nanoseconds.
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)] // names are those of the `stats` property
pub struct Stats {
    pub bytes_sent: u64,
    pub chunks_sent: u64,
    /// Audio that was sent for the first time; replays do not count.
    pub audio_sent: u64,
    /// Audio that the service finalised.
    pub audio_finalised: u64,
    /// Audio that waits to be sent for the first time.
    pub audio_spooled: u64,
    /// Audio that was never sent and never will be.
    pub audio_dropped: u64,
    /// Audio that was sent again.
    pub audio_replayed: u64,
    pub reconnects: u64,
    /// Time with a session, from the acknowledgement of its start to its loss or end.
    pub connected_time: Duration,
    /// The time that the service bills: for each start the time from its acknowledgement to
    /// its stop, or the audio that it was given, if that is longer.
    pub billable_time: Duration,
    pub rtt: Option<Duration>,
    pub delay_interim: Percentiles,
    pub delay_final: Percentiles,
    pub transcripts: u64,
    pub messages: u64,
    pub insights: u64,
    pub trackers: u64,
    pub topics: u64,
    pub unknown: u64,
    pub parse_errors: u64,
    pub last_error: Option<String>,
}

/// Percentiles of the delays of the most recent results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub p50: Duration,
    pub p95: Duration,
    pub max: Duration,
}

/// The most recent delays.
#[derive(Debug, Default)]
pub struct Delays {
    recent: VecDeque<Duration>,
    max: Duration,
}

impl Delays {
    const WINDOW: usize = 256;

    /// Adds a delay.
    pub fn record(&mut self, delay: Duration) {
        if self.recent.len() == Self::WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(delay);
        self.max = self.max.max(delay);
    }

    /// Returns percentiles over the window, and the maximum over all delays.
    pub fn percentiles(&self) -> Percentiles {
        let mut sorted: Vec<Duration> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(index).copied().unwrap_or_default()
        };
        Percentiles {
            p50: at(50),
            p95: at(95),
            max: self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_recent_delays_and_the_maximum_that_of_all() {
        let mut delays = Delays::default();
        assert_eq!(delays.percentiles(), Percentiles::default());
        delays.record(Duration::from_secs(1000));
        for i in 1..=256 {
            delays.record(Duration::from_millis(i));
        }
        let found = delays.percentiles();
        assert_eq!(found.p50, Duration::from_millis(128));
        assert_eq!(found.p95, Duration::from_millis(244));
        assert_eq!(found.max, Duration::from_secs(1000));
    }
}
