// SPDX-License-Identifier: MPL-2.0

//! The delay before the next dial.
//!
//! The delays grow exponentially (crate `backon`) from half a second to a cap. After the
//! cap, each is multiplied by a random factor of 0.5–1, so that hundreds of sinks that
//! lost the same service do not come back in step.

use super::planted::{Bug, planted};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);

/// Longest wait that a service may ask for. A mistake in its header must not end the
/// captions of a day.
const LONGEST_REQUEST: Duration = Duration::from_secs(600);

/// The delays of one outage after another.
#[derive(Debug)]
pub struct Backoff {
    max: Duration,
    delays: ExponentialBackoff,
    random: fastrand::Rng,
}

impl Backoff {
    /// Returns delays up to `max`. `seed` decides the jitter.
    pub fn new(max: Duration, seed: u64) -> Self {
        Self {
            max,
            delays: Self::delays(max),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn delays(max: Duration) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(FIRST.min(max))
            .with_max_delay(max)
            .with_factor(2.0)
            .without_max_times()
            .build()
    }

    /// Returns the next delay. It is at most the cap, but at least `retry_after`, the wait
    /// that the service asked for, of which ten minutes at most count.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let delay = self.delays.next().unwrap_or(self.max).min(self.max);
        let mut jittered = delay.mul_f64(0.5 + self.random.f64() / 2.0);
        if planted(Bug::BackOffNotApplied) {
            jittered = Duration::from_millis(10);
        }
        let retry_after = retry_after.filter(|_| !planted(Bug::RetryAfterIgnored));
        jittered.max(retry_after.unwrap_or_default().min(LONGEST_REQUEST))
    }

    /// Starts over after a healthy session.
    pub fn reset(&mut self) {
        self.delays = Self::delays(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_stay_jittered_there() {
        let mut backoff = Backoff::new(Duration::from_secs(30), 1);
        let delays: Vec<Duration> = (0..40).map(|_| backoff.next(None)).collect();
        assert!(delays[0] <= Duration::from_millis(500));
        assert!(
            delays
                .iter()
                .all(|d| *d <= Duration::from_secs(30) && *d >= Duration::from_millis(250))
        );
        assert!(delays[10..].iter().all(|d| *d >= Duration::from_secs(15)));
        let distinct: std::collections::HashSet<_> = delays[10..].iter().collect();
        assert!(distinct.len() > 20, "jitter goes on after the cap");
    }

    #[test]
    fn a_healthy_session_starts_over() {
        let mut backoff = Backoff::new(Duration::from_secs(30), 1);
        for _ in 0..10 {
            backoff.next(None);
        }
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_millis(500));
    }

    #[test]
    fn the_service_may_ask_for_more() {
        let mut backoff = Backoff::new(Duration::from_secs(1), 1);
        assert_eq!(
            backoff.next(Some(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
    }

    #[test]
    fn the_service_may_ask_for_ten_minutes_at_most() {
        let mut backoff = Backoff::new(Duration::from_secs(1), 1);
        let asked = Some(Duration::from_secs(1_000_000));
        assert_eq!(backoff.next(asked), Duration::from_secs(600));
    }

    #[test]
    fn two_sinks_do_not_dial_in_step() {
        let (mut a, mut b) = (
            Backoff::new(Duration::from_secs(30), 1),
            Backoff::new(Duration::from_secs(30), 2),
        );
        assert_ne!(a.next(None), b.next(None));
    }
}
