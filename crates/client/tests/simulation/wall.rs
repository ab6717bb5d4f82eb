// SPDX-License-Identifier: MPL-2.0

//! The wall clock, which drifts against the pipeline's clock and is set now and then.

use crate::source::{MS, UTC};
use std::time::Duration;
use symbl_client::session::Time;

/// Longest time between two readings of the wall clock.
const LONGEST: Duration = Duration::from_secs(10);

/// How far UTC may be off the wall clock if that is not set, in nanoseconds: 200 ppm for ten
/// seconds, and a difference that is too small for a correction.
const SLACK: i64 = 5 * MS as i64;

pub struct Wall {
    drift: i32,
    /// The times at which it was set, each with the sum of the changes up to then.
    sets: Vec<(Time, i64)>,
}

impl Wall {
    pub fn new(drift: i32) -> Self {
        Self {
            drift,
            sets: vec![(Time::ZERO, 0)],
        }
    }

    /// Sets the clock forward by `ms` milliseconds, or back if they are negative.
    pub fn set(&mut self, now: Time, ms: i32) {
        let by = i64::from(ms) * MS as i64;
        let before = self.sets.last().map_or(0, |(_, before)| *before);
        self.sets.push((now, before + by));
    }

    /// Returns how often it was set.
    pub fn sets(&self) -> usize {
        self.sets.len() - 1
    }

    fn drifted(&self, now: Time) -> i64 {
        let nanos = i64::try_from(now.as_nanos()).unwrap_or(0);
        UTC + nanos / 1_000_000 * i64::from(self.drift)
    }

    /// Returns the wall clock at running time zero, as of `now`.
    pub fn at(&self, now: Time) -> i64 {
        self.drifted(now) + self.sets.last().map_or(0, |(_, sum)| *sum)
    }

    /// Returns `true` if audio that came at `given` may get a UTC by which the wall clock is
    /// `zero` at running time zero.
    pub fn is_true(&self, zero: i64, given: Time) -> bool {
        let first = self
            .sets
            .partition_point(|(at, _)| *at + LONGEST <= given)
            .saturating_sub(1);
        let said = self.sets.iter().skip(first);
        let mut said = said.filter(|(at, _)| *at <= given);
        said.any(|(_, sum)| (zero - sum - self.drifted(given)).abs() <= SLACK)
    }

    /// Returns `true` if the wall clock was ever nearly `zero` at running time zero.
    pub fn was(&self, zero: i64) -> bool {
        let near = |sum: i64| (zero - sum - UTC).abs() <= 1000 * MS as i64;
        self.sets.iter().any(|(_, sum)| near(*sum))
    }
}
