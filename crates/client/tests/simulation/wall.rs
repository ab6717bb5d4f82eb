// SPDX-License-Identifier: MPL-2.0

//! The wall clock: drifts against the pipeline's, and is set now and then.

use crate::source::{MS, UTC};
use std::time::Duration;
use symbl_client::session::Time;

/// Longest that the session may go without a look at the wall clock.
const LONGEST: Duration = Duration::from_secs(10);

/// How far UTC may be off the wall clock where that is not set, in nanoseconds:
/// 200 ppm for ten seconds, and what is not worth a correction.
const SLACK: i64 = 5 * MS as i64;

pub struct Wall {
    drift: i32,
    /// When it was set, and by how much in all since the beginning.
    sets: Vec<(Time, i64)>,
}

impl Wall {
    pub fn new(drift: i32) -> Self {
        Self {
            drift,
            sets: vec![(Time::ZERO, 0)],
        }
    }

    /// Somebody sets it.
    pub fn set(&mut self, now: Time, ms: i32) {
        let by = i64::from(ms) * MS as i64;
        let before = self.sets.last().map_or(0, |(_, before)| *before);
        self.sets.push((now, before + by));
    }

    /// How often it was set.
    pub fn sets(&self) -> usize {
        self.sets.len() - 1
    }

    fn drifted(&self, now: Time) -> i64 {
        let nanos = i64::try_from(now.as_nanos()).unwrap_or(0);
        UTC + nanos / 1_000_000 * i64::from(self.drift)
    }

    /// What it says at running time zero, as of now.
    pub fn at(&self, now: Time) -> i64 {
        self.drifted(now) + self.sets.last().map_or(0, |(_, sum)| *sum)
    }

    /// Returns `true` if audio that was given at `given` may be told to be at a UTC
    /// that has the wall clock at `zero` at running time zero.
    pub fn is_true(&self, zero: i64, given: Time) -> bool {
        let first = self
            .sets
            .partition_point(|(at, _)| *at + LONGEST <= given)
            .saturating_sub(1);
        let said = self.sets.iter().skip(first);
        let mut said = said.filter(|(at, _)| *at <= given);
        said.any(|(_, sum)| (zero - sum - self.drifted(given)).abs() <= SLACK)
    }

    /// Returns `true` if it ever said nearly that.
    pub fn was(&self, zero: i64) -> bool {
        let near = |sum: i64| (zero - sum - UTC).abs() <= 1000 * MS as i64;
        self.sets.iter().any(|(_, sum)| near(*sum))
    }
}
