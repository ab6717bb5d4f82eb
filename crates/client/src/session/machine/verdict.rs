// SPDX-License-Identifier: MPL-2.0

//! Which failures of a dial end the session.
//!
//! If something that is not a service answers the first dial, the settings are wrong and the
//! session ends at once. If there was a session before, the same answer may come from a
//! captive portal, or from an ingress that has no back end at the moment. Then only an answer
//! that stays ends the session.

use super::super::Time;
use super::super::event::{Failure, Reason};
use std::time::Duration;

/// How long an odd answer has to stay to end the session, if `reconnect-timeout` sets no
/// bound.
pub(super) const ODD_SPAN: Duration = Duration::from_secs(300);

/// How many dials in a row have to get an odd answer.
pub(super) const ODD_TRIES: u32 = 5;

/// Answers in a row that no retry should help and that did not come from a service.
#[derive(Debug, Default)]
pub(super) struct OddAnswers {
    since: Option<Time>,
    tries: u32,
}

impl OddAnswers {
    /// Returns `true` if the answer did not come from a service that knows this client, so
    /// that a dial may be repeated if there was a session before. Refused tokens (401, 403),
    /// an empty account (402) and a proxy that asks for credentials (407) are meant for this
    /// client.
    pub(super) fn is_odd(failure: &Failure) -> bool {
        !failure.retryable
            && !matches!(failure.reason, Reason::Auth | Reason::Limit)
            && failure.http_status != Some(407)
    }

    /// Notes another odd answer. Returns how long they have stayed, if that is long enough to
    /// end the session.
    pub(super) fn stay(&mut self, now: Time) -> Option<Duration> {
        self.tries += 1;
        let span = now.saturating_sub(*self.since.get_or_insert(now));
        (self.tries >= ODD_TRIES && span >= ODD_SPAN).then_some(span)
    }

    /// Starts over: the last dial had another outcome.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}
