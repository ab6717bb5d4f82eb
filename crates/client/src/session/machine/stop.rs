// SPDX-License-Identifier: MPL-2.0

//! What follows a stop request: the last results, and how one knows that they
//! were the last.

use super::super::Time;
use std::time::Duration;

/// Where the service does not say that it is done (it keeps the connection for
/// a later start), this long without a result and a pong after it mean that it is.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// The same while messages are owed for what was finalised.
pub(super) const SETTLE_OWED: Duration = Duration::from_secs(6);

/// The wait for the last results.
#[derive(Debug)]
pub(super) struct Stop {
    timeout: Duration,
    idle_since: Time,
    /// The service took the stop request, at this time.
    taken: Option<Time>,
    /// It has been quiet for long enough, and the service was asked whether the
    /// link still is one: silence may mean that it is not.
    asked: bool,
}

impl Stop {
    /// Asked for at `now`; at most `timeout` may pass without any progress.
    pub(super) fn new(now: Time, timeout: Duration) -> Self {
        Self {
            timeout,
            idle_since: now,
            taken: None,
            asked: false,
        }
    }

    /// Something moved.
    pub(super) fn progress(&mut self, now: Time) {
        self.idle_since = now;
        self.asked = false;
    }

    /// The service took the stop request.
    pub(super) fn take(&mut self, now: Time) {
        self.taken = Some(now);
        self.progress(now);
    }

    /// Whether the service took the stop request.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// The socket is gone. Should it go on, the next start has a stop of its own.
    pub(super) fn lose_socket(&mut self) -> bool {
        self.asked = false;
        self.taken.take().is_some()
    }

    /// Whether the service was asked for a sign of life, to be sure that it is done.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// When it is to be asked, or the time is up. `settle`: how long it has to be
    /// quiet, if it does not say that it is done.
    pub(super) fn deadline(&self, settle: Option<Duration>) -> Time {
        let soft = self.idle_since + self.timeout;
        self.settled_at(settle).unwrap_or(soft).min(soft)
    }

    /// Whether it has been quiet for so long that the service is to be asked, and
    /// if so, notes that it is.
    pub(super) fn ask(&mut self, now: Time, settle: Option<Duration>) -> bool {
        let quiet = self.settled_at(settle).is_some_and(|at| at <= now);
        self.asked |= quiet;
        quiet
    }

    /// When a service that does not say that it is done is taken to be.
    fn settled_at(&self, settle: Option<Duration>) -> Option<Time> {
        let taken = self.taken.filter(|_| !self.asked)?;
        Some(self.idle_since.max(taken) + settle?)
    }
}
