// SPDX-License-Identifier: MPL-2.0

//! The waits of the session and their beginnings, seen from outside.

use std::time::Duration;
use symbl_client::session::Time;

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
pub const PING_INTERVAL: Duration = Duration::from_secs(2);
pub const PONG_TIMEOUT: Duration = Duration::from_secs(2);
pub const MAX_DELAY: Duration = Duration::from_secs(4);
pub const ADMISSION_TIMEOUT: Duration = Duration::from_secs(5);
/// A session that lasted this long was healthy, and the back-off starts over after it.
const HEALTHY: Duration = Duration::from_secs(30);
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// The beginning of each wait, and the least back-off.
#[derive(Debug, Default)]
pub struct Waits {
    /// The beginning of a dial that has no answer yet.
    pub dialing: Option<Time>,
    /// The time of a start request that is not acknowledged yet.
    pub starting: Option<Time>,
    /// The beginning of the session on this link.
    pub up: Option<Time>,
    /// The time of the last frame on the open link, or of its opening.
    pub heard: Option<Time>,
    /// Since when there is neither a link nor a dial, and the wait that the service asked for.
    pub down: Option<(Time, Duration)>,
    /// The last time of progress towards the end of the stream.
    pub progress: Time,
    /// The audio that was not finalised at the end of the stream.
    pub unfinalised: Duration,
    /// The beginning of the first session.
    pub admitted: Option<Time>,
    /// A service asked to come later.
    pub asked_to_wait: bool,
    /// Failures in a row, for the back-off.
    failures: u32,
    pub dials: u32,
    /// A report of a dial before its time.
    pub early: Option<String>,
}

impl Waits {
    /// Notes that the link or the dial is lost.
    pub fn lost(&mut self, now: Time, retry_after: Duration) {
        if self.down.is_some() {
            return;
        }
        if self.up.is_some_and(|since| now - since >= HEALTHY) {
            self.failures = 0;
        }
        self.closed();
        self.down = Some((now, retry_after));
    }

    /// Notes that there is no link and the session wants none.
    pub fn closed(&mut self) {
        self.dialing = None;
        self.starting = None;
        self.up = None;
        self.heard = None;
        self.down = None;
    }

    pub fn dial(&mut self, now: Time) {
        if let Some((since, asked)) = self.down {
            let grown = FIRST_DELAY * 2u32.saturating_pow(self.failures.min(10));
            let least = (grown.min(MAX_DELAY) / 2).max(asked);
            self.failures += 1;
            if now < since + least {
                let text = format!("dials {:?} after a failure, not {least:?}", now - since);
                self.early.get_or_insert(text);
            }
        }
        self.closed();
        self.dialing = Some(now);
        self.dials += 1;
    }

    pub fn opened(&mut self, now: Time) {
        self.dialing = None;
        self.heard = Some(now);
    }

    /// Notes that the service ended its processing. An acknowledgement now is too late.
    pub fn terminated(&mut self) {
        self.starting = None;
    }

    pub fn acknowledged(&mut self, now: Time) {
        if self.starting.take().is_some() {
            self.admitted.get_or_insert(now);
            self.up.get_or_insert(now); // Another start on the same link continues the session.
        }
    }
}
