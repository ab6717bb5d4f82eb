// SPDX-License-Identifier: MPL-2.0

//! Counts failed authentications by network, so that guessing is logged and gets slow.
//!
//! A client with a valid token is never refused for the failures of its network, because a
//! token cannot be guessed. Credentials can be guessed. So a network that has failed too
//! often is refused (429) before its credentials are checked.

use crate::rate::{Bucket, Expires, Network, Rate, Table};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures of one network: thirty at once, and then one in two seconds.
const RATE: Rate = Rate {
    burst: 30,
    interval: Duration::from_secs(2),
};

/// Time between two lines of the log about a network that goes on failing.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The failures of one network.
#[derive(Debug, Default)]
struct Failures {
    bucket: Bucket,
    /// Number of failures since the last line of the log about them.
    untold: u64,
    told: Option<Instant>,
}

impl Expires for Failures {
    fn is_idle(&self, now: Instant) -> bool {
        self.bucket.is_full(now)
    }
}

impl Failures {
    /// Counts a failure. Returns how long the network has to wait, and the number of
    /// failures if it is time to log them.
    fn fail(&mut self, now: Instant) -> (Option<Duration>, Option<u64>) {
        self.untold += 1;
        if self.bucket.take(RATE, now) {
            return (None, None);
        }
        (Some(self.bucket.wait(RATE, now)), self.tell(now))
    }

    /// Returns the number of failures if it is time to log them.
    fn tell(&mut self, now: Instant) -> Option<u64> {
        let told = self.told.map(|told| now.saturating_duration_since(told));
        if told.is_some_and(|told| told < TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// The failures of all networks.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<Table<Failures>>);

impl Guesses {
    /// Returns how long this address has to wait until it may try credentials again. An
    /// attempt before that counts as a failure.
    pub(crate) fn wait(&self, address: IpAddr) -> Option<Duration> {
        let (network, now) = (Network::of(address), Instant::now());
        let (wait, told) = {
            let mut table = self.lock();
            let failures = table.of(network, now);
            let wait = failures.bucket.wait(RATE, now);
            if wait.is_zero() {
                return None;
            }
            failures.untold += 1;
            (wait, failures.tell(now))
        };
        tell(network, told);
        Some(wait)
    }

    /// Counts a failure of this address; returns how long it has to wait if those were
    /// too many.
    pub(crate) fn fail(&self, address: IpAddr) -> Option<Duration> {
        let (network, now) = (Network::of(address), Instant::now());
        let (wait, told) = self.lock().of(network, now).fail(now);
        tell(network, told);
        wait
    }

    fn lock(&self) -> MutexGuard<'_, Table<Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(network: Network, failures: Option<u64>) {
    if let Some(failures) = failures {
        tracing::warn!(
            %network,
            failures,
            "authentications from this network fail again and again; they are answered with 429"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_beyond_thirty_have_to_wait_and_are_told_once_a_minute() {
        let begin = Instant::now();
        let mut failures = Failures::default();
        for _ in 0..RATE.burst {
            assert_eq!(failures.fail(begin), (None, None));
        }
        let (wait, told) = failures.fail(begin);
        assert_eq!((wait, told), (Some(RATE.interval), Some(31)));
        // A guess every 10 ms for a little more than two minutes.
        let (mut let_through, mut told) = (0, Vec::new());
        for number in 1..=12_100 {
            let now = begin + Duration::from_millis(10 * number);
            let (wait, tells) = failures.fail(now);
            let_through += u64::from(wait.is_none());
            told.extend(tells);
        }
        assert_eq!(let_through, 60, "one in two seconds");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().all(|failures| *failures > 5000), "{told:?}");
        assert!(failures.is_idle(begin + Duration::from_secs(300)));
    }
}
