// SPDX-License-Identifier: MPL-2.0

//! Lost connections, failed dials, and the failures that end the session.

use super::super::Time;
use super::super::backoff::Backoff;
use super::super::config::SessionConfig;
use super::super::event::{EventKind, Failure, GapReason, Reason, State};
use super::super::planted::{Bug, planted};
use super::refusal::Refusals;
use super::verdict::OddAnswers;
use super::{Output, Phase, Session};
use std::time::Duration;

/// A session that lasted this long was healthy: back-off starts over.
const HEALTHY: Duration = Duration::from_secs(30);

/// The time without a session, and the failures in it.
#[derive(Debug)]
pub(super) struct Outage {
    /// Since when a session is wanted and there is none.
    pub(super) since: Option<Time>,
    /// Dials since the last session.
    pub(super) attempt: u32,
    backoff: Backoff,
    /// There was a session before.
    pub(super) had_session: bool,
    /// Since the last session a connection was lost or a dial failed. A connection that this
    /// side closed does not count.
    link_lost: bool,
    /// The application was warned of this outage.
    pub(super) warned: bool,
    /// The failure that ended the last dial or session.
    pub(super) last_failure: Option<Failure>,
    /// Before the first session, the service asked to come later (429, `Retry-After`).
    pub(super) asked_to_wait: bool,
    odd_answers: OddAnswers,
    pub(super) refusals: Refusals,
    /// The reason of the failure that ended the session.
    failed: Option<Reason>,
    /// There is a newer token than the one that the current dial began with.
    token_renewed: bool,
}

impl Outage {
    /// Returns the state before the first dial.
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self {
            since: None,
            attempt: 0,
            backoff: Backoff::new(config.reconnect_max_delay, config.seed),
            had_session: false,
            link_lost: false,
            warned: false,
            last_failure: None,
            asked_to_wait: false,
            odd_answers: OddAnswers::default(),
            refusals: Refusals::default(),
            failed: None,
            token_renewed: false,
        }
    }

    /// Notes a dial.
    pub(super) fn dial(&mut self) {
        self.attempt += 1;
        self.token_renewed = false;
    }

    /// Ends the outage: a session began. Returns `true` if a connection was lost in it.
    pub(super) fn end(&mut self) -> bool {
        self.since = None;
        self.warned = false;
        self.odd_answers.end();
        self.had_session = true;
        std::mem::take(&mut self.link_lost)
    }

    /// Notes how long the session that ended had lasted.
    fn session_ended(&mut self, lasted: Time) {
        if lasted >= HEALTHY {
            self.backoff.reset();
        }
        self.attempt = 0;
    }

    /// Makes a failure retryable if this session has reason to expect another outcome.
    fn forgive(&mut self, failure: &mut Failure) {
        // Settings that worked before can work again: a file may be in the middle of a
        // replacement, or could not be opened for lack of file descriptors.
        failure.retryable |= failure.reason == Reason::Settings && self.had_session;
        failure.retryable |=
            failure.reason == Reason::Auth && std::mem::take(&mut self.token_renewed);
    }

    /// Notes the failure that ended a dial or a session.
    fn note(&mut self, failure: &Failure) {
        self.asked_to_wait |= !self.had_session
            && failure.retryable
            && (failure.reason == Reason::Limit || failure.retry_after.is_some());
        self.last_failure = Some(failure.clone());
    }

    /// Returns the state that the application is told during the outage.
    pub(super) fn state(&self) -> State {
        match self.had_session && self.link_lost {
            true => State::Reconnecting,
            false => State::Connecting,
        }
    }

    /// Returns the time at which the outage has lasted for `timeout`. Zero means that it may
    /// last for ever.
    pub(super) fn give_up_at(&self, timeout: Duration) -> Option<Time> {
        self.since
            .filter(|_| !timeout.is_zero())
            .map(|since| since + timeout)
    }
}

impl Session {
    /// Handles a lost connection or a failed dial: waits for the next dial, or ends the
    /// session.
    pub(super) fn lost(&mut self, now: Time, mut failure: Failure) {
        self.outage.forgive(&mut failure);
        self.retry_odd_answers(now, &mut failure);
        self.count_refusals(&mut failure);
        if failure.reason == Reason::Internal && planted(Bug::AudioForgottenWithoutAThread) {
            self.spool.clear();
        }
        self.outage.note(&failure);
        self.outbox.frames.clear();
        self.count_connected_time(now);
        self.lose_recess(&failure);
        if failure.close_code.is_some_and(|code| code != 1006) {
            self.modify_refused();
        }
        if self.needs_no_connection(&failure) {
            return self.hang_up(now);
        }
        if self.over_without_socket(&failure) {
            return self.finish(now, true);
        }
        if !failure.retryable {
            return self.fail(now, failure);
        }
        self.outage.link_lost = true;
        self.outage.since.get_or_insert(now);
        let delay = self.outage.backoff.next(failure.retry_after);
        if self.give_up_at().is_some_and(|end| now + delay > end) {
            let message = format!(
                "no session for {} ms (reconnect-timeout), giving up: {}",
                self.config.reconnect_timeout.as_millis(),
                failure.message
            );
            return self.fail(
                now,
                Failure {
                    message,
                    retryable: false,
                    ..failure
                },
            );
        }
        self.phase = Phase::Waiting { until: now + delay };
        self.counters.stats.last_error = Some(failure.message.clone());
        if !std::mem::replace(&mut self.outage.warned, true) {
            self.warn(failure.clone());
        }
        self.set_state(self.outage.state(), Some(failure), Some(delay));
    }

    /// Makes an answer that no retry should help retryable, if a service has answered as one
    /// before and the answer has not stayed for long.
    fn retry_odd_answers(&mut self, now: Time, failure: &mut Failure) {
        let dialing =
            matches!(self.phase, Phase::Dialing { .. }) && !planted(Bug::FirstOddAnswerBelieved);
        let answered = self.outage.had_session || self.conversation.id.is_some();
        if !dialing || !answered || !OddAnswers::is_odd(failure) {
            return self.outage.odd_answers.end();
        }
        let stays = self.outage.odd_answers.stay(now);
        match stays.filter(|_| self.config.reconnect_timeout.is_zero()) {
            Some(span) => {
                let seconds = span.as_secs();
                failure.message += &format!("; every dial has met this for {seconds} s");
            }
            None => {
                failure.retryable = true;
                failure.message += "; there was a session before, so it is tried again";
            }
        }
    }

    /// Returns the time at which there has been no session for too long.
    pub(super) fn give_up_at(&self) -> Option<Time> {
        self.outage.give_up_at(self.config.reconnect_timeout)
    }

    fn count_connected_time(&mut self, now: Time) {
        if let Some(lasted) = self.counters.end(now) {
            self.outage.session_ended(lasted);
        }
        self.bill(now);
    }

    /// Ends the session by a failure that a retry cannot help.
    pub(super) fn fail(&mut self, now: Time, failure: Failure) {
        self.fail_for(now, failure, GapReason::SessionFailed);
    }

    /// Ends the session like [`Session::fail`], and reports the audio that was not confirmed
    /// as lost for `reason`.
    pub(super) fn fail_for(&mut self, now: Time, failure: Failure, reason: GapReason) {
        self.count_connected_time(now);
        self.phase = Phase::Failed;
        self.stops.recess = None;
        self.outbox.frames.clear();
        self.outbox.actions.clear();
        self.outbox.actions.push_back(Output::Abort);
        self.counters.stats.last_error = Some(failure.message.clone());
        self.outage.failed = Some(failure.reason);
        self.losses.unconfirmed =
            self.spool.unacknowledged_duration() + self.upstream.pending_nanos();
        self.losses.unread.forget_open();
        self.give_up_audio(reason);
        self.set_state(State::Failed, Some(failure.clone()), None);
        self.emit(EventKind::Failed(failure), None, None);
        if self.stops.drain.is_some() {
            self.tell_drained_in_failure();
        } else if self.stops.take_postponed_end() {
            self.end_of_stream(now);
        }
    }

    /// Takes note of a new token. A session that failed for lack of one begins again, and a
    /// dial that is refused for the old one is repeated.
    pub fn token_changed(&mut self, now: Time) {
        self.outage.token_renewed = matches!(self.phase, Phase::Dialing { .. });
        if self.outage.failed == Some(Reason::Auth) {
            self.outage.failed = None;
            if self.stops.drain.is_some() {
                // The end was reported with the failure. A flush may begin again.
                self.phase = Phase::Drained;
            } else {
                self.restart(now);
            }
        }
    }

    /// Reconnects after the service ended its processing by itself: it ignores the audio
    /// that is sent from here on. After a stop there is nothing left to end.
    pub(super) fn terminated(&mut self, now: Time) {
        let stopped = self.stops.current().is_some_and(|stop| stop.is_taken());
        let started = match self.phase {
            Phase::Starting { .. } | Phase::Listening => true,
            Phase::Stopping => !stopped,
            _ => false,
        };
        if started {
            let why = match self.outage.refusals.said() {
                Some(said) => format!("after it told an error: {said}"),
                None => "as services do at their limits of time and silence".to_owned(),
            };
            let message = format!(
                "the service ended its processing by itself (processing_terminated), {why}"
            );
            self.cut(now, Failure::retryable(Reason::Terminated, message));
        }
    }

    /// Drops the connection without a close frame, because of `failure`.
    pub(super) fn cut(&mut self, now: Time, failure: Failure) {
        self.outbox.actions.push_back(Output::Abort);
        self.lost(now, failure);
    }
}
