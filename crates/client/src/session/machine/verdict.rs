// SPDX-License-Identifier: MPL-2.0

//! Which failures of a dial end the session.
//!
//! A first dial that is answered by something else than a service ends it at once: the
//! settings are wrong. Where there was a session before, the same answer may be that of
//! a captive portal, or of an ingress without a back end for the moment, and only one
//! that stays ends the session.

use super::super::Time;
use super::super::event::{Failure, Reason};
use std::time::Duration;

/// How long an answer that no retry should help has to stay, where `reconnect-timeout`
/// does not say how long to go on.
pub(super) const ODD_SPAN: Duration = Duration::from_secs(300);

/// How many dials in a row it has to meet.
pub(super) const ODD_TRIES: u32 = 5;

/// Answers in a row that no retry should help.
#[derive(Debug, Default)]
pub(super) struct OddAnswers {
    since: Option<Time>,
    tries: u32,
}

impl OddAnswers {
    /// Returns `true` if a dial that failed so may be repeated where there was a session
    /// before: the answer did not come from a service that knows this client. Refused
    /// tokens (401, 403), an empty account (402) and a proxy that asks for credentials
    /// (407) are meant for this client.
    pub(super) fn is_odd(failure: &Failure) -> bool {
        !failure.retryable
            && !matches!(failure.reason, Reason::Auth | Reason::Limit)
            && failure.http_status != Some(407)
    }

    /// Notes another one. Returns for how long they have stayed if that is long enough
    /// to believe them.
    pub(super) fn stay(&mut self, now: Time) -> Option<Duration> {
        self.tries += 1;
        let span = now.saturating_sub(*self.since.get_or_insert(now));
        (self.tries >= ODD_TRIES && span >= ODD_SPAN).then_some(span)
    }

    /// Something else happened.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}
