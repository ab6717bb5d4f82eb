// SPDX-License-Identifier: MPL-2.0

//! What the session waits for and since when, seen from outside.

use std::time::Duration;
use symbl_client::session::Time;

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
pub const PING_INTERVAL: Duration = Duration::from_secs(2);
pub const PONG_TIMEOUT: Duration = Duration::from_secs(2);
pub const MAX_DELAY: Duration = Duration::from_secs(4);
pub const ADMISSION_TIMEOUT: Duration = Duration::from_secs(5);
/// A session that lasted so long was healthy: the back-off starts over.
const HEALTHY: Duration = Duration::from_secs(30);
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// Since when what is waited for, and how long the back-off has to be.
#[derive(Debug, Default)]
pub struct Waits {
    /// A dial that has no answer.
    pub dialing: Option<Time>,
    /// A start request without an acknowledgement.
    pub starting: Option<Time>,
    /// There is a session on this link.
    pub up: Option<Time>,
    /// The last that came on the open link, or its opening.
    pub heard: Option<Time>,
    /// There is no link and nobody dials, since then, and for so long at least
    /// because the service asked for it.
    pub down: Option<(Time, Duration)>,
    /// Last time that the end of the stream came nearer.
    pub progress: Time,
    /// Audio that was not finalised when the end of the stream came.
    pub unfinalised: Duration,
    /// When the first session began.
    pub admitted: Option<Time>,
    /// A dial was answered by "later".
    pub asked_to_wait: bool,
    /// Failures in a row, for the back-off.
    failures: u32,
    pub dials: u32,
    /// A dial before its time.
    pub early: Option<String>,
}

impl Waits {
    /// The link or the dial is no more.
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

    /// There is no link any more and none is wanted.
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

    /// The service ended its processing: what it says of the start now is too late.
    pub fn terminated(&mut self) {
        self.starting = None;
    }

    pub fn acknowledged(&mut self, now: Time) {
        if self.starting.take().is_some() {
            self.admitted.get_or_insert(now);
            self.up.get_or_insert(now); // Another start on the same link is no other link.
        }
    }
}
