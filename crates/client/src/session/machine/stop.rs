// SPDX-License-Identifier: MPL-2.0

//! The wait behind a stop request, and how the session knows that it has the last results.

use super::super::Time;
use super::super::planted::{Bug, planted};
use std::time::Duration;

/// A service that keeps the connection for a later start need not report that it is done. One
/// that does not is taken to be done after this long without a result and a pong after that.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// The same, while the service owes messages for what it finalised.
pub(super) const SETTLE_OWED: Duration = Duration::from_secs(6);

/// The wait for the last results.
#[derive(Debug)]
pub(super) struct Stop {
    timeout: Duration,
    idle_since: Time,
    /// When the service took the stop request.
    taken: Option<Time>,
    /// The service will report that it has sent all results. Its silence means nothing.
    will_tell: bool,
    /// The service was quiet for long enough and was sent a ping: silence may mean that the
    /// connection is dead.
    asked: bool,
}

impl Stop {
    /// Returns a stop that begins at `now` and ends after `timeout` without any progress.
    pub(super) fn new(now: Time, timeout: Duration) -> Self {
        Self {
            timeout,
            idle_since: now,
            taken: None,
            will_tell: false,
            asked: false,
        }
    }

    /// Notes progress: audio was sent or a result received.
    pub(super) fn progress(&mut self, now: Time) {
        self.idle_since = now;
        self.asked = false;
    }

    /// Notes that the service took the stop request. `will_tell`: it will report that it has
    /// sent all results.
    pub(super) fn take(&mut self, now: Time, will_tell: bool) {
        self.taken = Some(now);
        self.will_tell = will_tell && !planted(Bug::SilenceTakenForTheEnd);
        self.progress(now);
    }

    /// Returns `true` if the service took the stop request, and does not owe a report that it
    /// has sent all results.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.is_some() && !self.will_tell
    }

    /// Notes that the connection is lost; the next start needs a stop request of its own.
    /// Returns what [`is_taken`](Self::is_taken) returned before.
    pub(super) fn lose_socket(&mut self) -> bool {
        let was_taken = self.is_taken();
        (self.taken, self.will_tell, self.asked) = (None, false, false);
        was_taken
    }

    /// Returns `true` if the service was sent a ping to be sure that it is done.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// Returns the time of that ping, or of the end of the wait. `settle`: how long the
    /// service has to be quiet, if it does not report that it is done.
    pub(super) fn deadline(&self, settle: Option<Duration>) -> Time {
        let soft = self.idle_since + self.timeout;
        self.settled_at(settle).unwrap_or(soft).min(soft)
    }

    /// Returns `true` if the service has been quiet for long enough to be sent a ping, and
    /// notes that it is sent one.
    pub(super) fn ask(&mut self, now: Time, settle: Option<Duration>) -> bool {
        let quiet = self.settled_at(settle).is_some_and(|at| at <= now);
        self.asked |= quiet;
        quiet
    }

    /// Returns the time at which a service that does not report that it is done is taken to
    /// be done.
    fn settled_at(&self, settle: Option<Duration>) -> Option<Time> {
        let taken = self.taken.filter(|_| !self.asked && !self.will_tell)?;
        Some(self.idle_since.max(taken) + settle?)
    }
}
