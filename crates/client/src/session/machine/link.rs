// SPDX-License-Identifier: MPL-2.0

//! The socket's life: dialing, starting, keeping alive, losing, waiting.

use super::super::config::SessionConfig;
use super::super::event::{EventKind, Failure, GapReason, Reason, State};
use super::super::planted::{Bug, planted};
use super::super::{Position, Time};
use super::verdict::OddAnswers;
use super::{Input, Output, Phase, Session};
use std::time::Duration;

/// A session that lasted this long was healthy: back-off starts over.
const HEALTHY: Duration = Duration::from_secs(30);

/// Audio that may be sent ahead of the catch-up rate, in nanoseconds.
const BURST: u64 = 1_000_000_000;

/// Pings and what came back.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// When the ping that waits for an answer was sent.
    pinged: Option<Time>,
    /// When the last ping was sent, or the socket opened.
    last_ping: Time,
}

impl Liveness {
    pub(super) fn next(&self, config: &SessionConfig, socket: bool) -> Option<Time> {
        socket.then(|| match self.pinged {
            Some(sent) => sent + config.pong_timeout,
            None => self.last_ping + config.ping_interval,
        })
    }
}

/// Holds a backlog back to a rate.
#[derive(Debug)]
pub(super) struct Pacing {
    since: Time,
    from: Position,
    rate: f64,
}

impl Pacing {
    /// When audio at `position` may leave.
    pub(super) fn ready_at(&self, position: Position) -> Time {
        let ahead = position.saturating_sub(self.from).saturating_sub(BURST);
        self.since + Duration::from_nanos((ahead as f64 / self.rate) as u64)
    }
}

impl Session {
    /// Begins: dials. Nothing, if it has begun already.
    pub fn start(&mut self, now: Time) {
        if self.phase == Phase::Idle && !self.keeps_away() {
            self.down_since = Some(now);
            self.dial(now);
        }
    }

    /// Tells what happened to the socket.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        if matches!(self.phase, Phase::Idle | Phase::Drained | Phase::Failed) {
            return;
        }
        match input {
            // Of the socket before: the next dial is on its way.
            Input::DialFailed(_) | Input::Closed(_) if self.actions.contains(&Output::Dial) => {}
            Input::DialFailed(failure) | Input::Closed(failure) => self.lost(now, failure),
            Input::Connected { announced } => {
                self.identity.connected(announced);
                self.connected(now);
            }
            Input::Text(text) => {
                self.liveness.pinged = None;
                self.handle_text(now, text);
            }
            Input::Pong => {
                if let Some(sent) = self.liveness.pinged {
                    self.stats.rtt = Some(now.saturating_sub(sent));
                }
                self.liveness.pinged = None;
                self.ponged(now);
            }
            Input::Binary | Input::Ping => self.liveness.pinged = None,
            Input::History(messages) => self.history(now, messages),
            Input::HistoryFailed(failure) => self.emit(EventKind::Warning(failure), None, None),
        }
    }

    fn dial(&mut self, now: Time) {
        self.attempt += 1;
        self.renewed = false;
        let deadline = now + self.config.connect_timeout;
        self.phase = Phase::Dialing {
            deadline: self.give_up_at().map_or(deadline, |end| end.min(deadline)),
        };
        self.frames.clear();
        let state = self.state_while_down();
        self.set_state(state, None, None);
        self.actions.push_back(Output::Dial);
    }

    fn state_while_down(&self) -> State {
        if self.listened && self.link_lost {
            State::Reconnecting
        } else {
            State::Connecting
        }
    }

    fn connected(&mut self, now: Time) {
        let Phase::Dialing { deadline } = self.phase else {
            return;
        };
        self.phase = Phase::Connected;
        if !std::mem::replace(&mut self.missed_some, true) {
            self.told_until = self.delivery.told_until();
        }
        self.liveness.last_ping = now;
        self.liveness.pinged = None;
        if self.holds() {
            return self.rest();
        }
        self.start_if_ready(now);
        // The time for the whole way began with the dial.
        if let Phase::Starting { deadline: start } = &mut self.phase {
            *start = deadline;
        }
    }

    /// Sends the start request once the socket is open and a format is known,
    /// unless there is a pause.
    pub(super) fn start_if_ready(&mut self, now: Time) {
        if self.phase != Phase::Connected || self.holds() {
            return;
        }
        self.replayed_until = self.spool.sent();
        self.unread.forget_open(); // It is sent again, or told as lost.
        for span in self.spool.rewind() {
            self.lose(span, GapReason::NotFinalised);
        }
        let format = match self.spool.peek() {
            Some(chunk) => chunk.format.clone(),
            None => match self.chunker.format() {
                Some(format) => format.clone(),
                None => return,
            },
        };
        let mut request = self.config.start.clone();
        request.format = format.wire;
        request.speaker_user_id.clone_from(&format.speaker.user_id);
        request.speaker_name.clone_from(&format.speaker.name);
        request.stream = self.next_attempt();
        if self.stops_between() {
            request.disconnect_on_stop_request = Some(false);
        }
        self.stays_after_stop = request.disconnect_on_stop_request == Some(false);
        let text = match request.to_json() {
            Ok(text) => text,
            Err(error) => {
                return self.fail(
                    now,
                    Failure::fatal(
                        Reason::Settings,
                        format!("the start request cannot be sent: {error}"),
                    ),
                );
            }
        };
        let mut next = self.generation.next();
        next.asked = Some(now);
        if planted(Bug::GenerationForgotten) {
            next = self.generation.clone();
        }
        let ended = std::mem::replace(&mut self.generation, next);
        self.delivery.begin_generation(ended);
        self.speak_as(&format.speaker);
        self.stall.answered();
        self.refusals.begin();
        self.conversation_told = false;
        self.modified_at = None;
        let repeats = self.generation.number == 1 || !planted(Bug::HeaderNotRepeated);
        self.header = Some(format.header.clone()).filter(|h| !h.is_empty() && repeats);
        self.wire_format = Some(format);
        self.phase = Phase::Starting {
            deadline: now + self.config.connect_timeout,
        };
        self.set_state(State::Starting, None, None);
        self.frames.push_back(Output::Text(text));
    }

    /// The service acknowledged the start.
    pub(super) fn listening(&mut self, now: Time) {
        if !matches!(self.phase, Phase::Starting { .. }) {
            return;
        }
        self.phase = Phase::Listening;
        self.up_since.get_or_insert(now);
        self.processing_since = Some(now);
        self.down_since = None;
        self.dropping = false;
        self.warned = false;
        self.odd_answers.end();
        let lost = std::mem::take(&mut self.link_lost);
        match std::mem::replace(&mut self.listened, true) {
            true => self.stats.reconnects += u64::from(lost),
            false => self.begin_to_drain_late(now),
        }
        self.pacing = self
            .spool
            .peek()
            .filter(|_| self.paced)
            .map(|chunk| Pacing {
                since: now,
                from: chunk.start,
                rate: self.config.catch_up_rate.max(1.0),
            });
        self.set_state(State::Listening, None, None);
    }

    /// The link is gone, or never came to be.
    pub(super) fn lost(&mut self, now: Time, mut failure: Failure) {
        // Settings that worked before can work again: a file that is being
        // replaced, or that cannot be opened for want of descriptors.
        failure.retryable |= failure.reason == Reason::Settings && self.listened;
        failure.retryable |= failure.reason == Reason::Auth && std::mem::take(&mut self.renewed);
        self.believe_or_not(now, &mut failure);
        self.count_refusals(&mut failure);
        if failure.reason == Reason::Internal && planted(Bug::AudioForgottenWithoutAThread) {
            self.spool.clear();
        }
        self.asked_to_wait |= !self.listened
            && failure.retryable
            && (failure.reason == Reason::Limit || failure.retry_after.is_some());
        self.last_failure = Some(failure.clone());
        self.frames.clear();
        self.count_connected_time(now);
        self.lose_recess(&failure);
        if failure.close_code.is_some_and(|code| code != 1006) {
            self.modify_refused();
        }
        if self.may_stay_away(&failure) {
            return self.hang_up(now);
        }
        if self.over_without_socket(&failure) {
            return self.finish(now, true);
        }
        if !failure.retryable {
            return self.fail(now, failure);
        }
        self.link_lost = true;
        self.down_since.get_or_insert(now);
        let delay = self.backoff.next(failure.retry_after);
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
        self.stats.last_error = Some(failure.message.clone());
        if !std::mem::replace(&mut self.warned, true) {
            self.emit(EventKind::Warning(failure.clone()), None, None);
        }
        let state = self.state_while_down();
        self.set_state(state, Some(failure), Some(delay));
    }

    /// Makes an answer that no retry should help one that is tried again, where a service
    /// has answered as one before and it has not stayed for long.
    fn believe_or_not(&mut self, now: Time, failure: &mut Failure) {
        let dialing =
            matches!(self.phase, Phase::Dialing { .. }) && !planted(Bug::FirstOddAnswerBelieved);
        let answered = self.listened || self.conversation_id.is_some();
        if !dialing || !answered || !OddAnswers::is_odd(failure) {
            return self.odd_answers.end();
        }
        let stays = self.odd_answers.stay(now);
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

    /// When there has been no session for too long.
    fn give_up_at(&self) -> Option<Time> {
        let bound = self.config.reconnect_timeout;
        self.down_since
            .filter(|_| !bound.is_zero())
            .map(|since| since + bound)
    }

    fn count_connected_time(&mut self, now: Time) {
        if let Some(since) = self.up_since.take() {
            let up = now.saturating_sub(since);
            self.stats.connected_time += up;
            if up >= HEALTHY {
                self.backoff.reset();
            }
            self.attempt = 0;
        }
        self.bill(now);
    }

    /// A failure that a retry cannot help.
    pub(super) fn fail(&mut self, now: Time, failure: Failure) {
        self.fail_for(now, failure, GapReason::SessionFailed);
    }

    /// The same; the audio that nobody confirmed is lost for this reason.
    pub(super) fn fail_for(&mut self, now: Time, failure: Failure, reason: GapReason) {
        self.count_connected_time(now);
        self.phase = Phase::Failed;
        self.recess = None;
        self.frames.clear();
        self.actions.clear();
        self.actions.push_back(Output::Abort);
        self.stats.last_error = Some(failure.message.clone());
        self.failed = Some(failure.reason);
        self.unconfirmed = self.spool.unacknowledged_duration() + self.pending_nanos();
        self.unread.forget_open();
        self.give_up_audio(reason);
        self.set_state(State::Failed, Some(failure.clone()), None);
        self.emit(EventKind::Failed(failure), None, None);
        if self.drain.is_some() {
            self.tell_drained_in_failure();
        } else if self.forget_the_end() {
            self.end_of_stream(now);
        }
    }

    /// There is a new token: a session that failed for want of one begins anew,
    /// and a dial that is refused for the old one is no failure for good.
    pub fn token_changed(&mut self, now: Time) {
        self.renewed = matches!(self.phase, Phase::Dialing { .. });
        if self.failed == Some(Reason::Auth) {
            self.failed = None;
            if self.drain.is_some() {
                // Its end was told already. A flush may begin anew.
                self.phase = Phase::Drained;
            } else {
                self.restart(now);
            }
        }
    }

    /// The service ended its processing by itself, and what is sent from here on
    /// is heard by nobody: only a new start helps. After a stop there is nothing
    /// more to end.
    pub(super) fn terminated(&mut self, now: Time) {
        let stopped = self.stop().is_some_and(|stop| stop.is_taken());
        let started = match self.phase {
            Phase::Starting { .. } | Phase::Listening => true,
            Phase::Stopping => !stopped,
            _ => false,
        };
        if started {
            let why = match self.refusals.said() {
                Some(said) => format!("after it told an error: {said}"),
                None => "as services do at their limits of time and silence".to_owned(),
            };
            let message = format!(
                "the service ended its processing by itself (processing_terminated), {why}"
            );
            self.cut(now, Failure::retryable(Reason::Terminated, message));
        }
    }

    /// Drops the socket as it is, for `failure`.
    pub(super) fn cut(&mut self, now: Time, failure: Failure) {
        self.actions.push_back(Output::Abort);
        self.lost(now, failure);
    }

    pub(super) fn link_timeout(&mut self, now: Time) {
        let ignored = planted(Bug::ConnectTimeoutIgnored);
        match self.phase {
            Phase::Waiting { until } if until <= now => self.dial(now),
            Phase::Dialing { deadline } if deadline <= now && !ignored => {
                let waited = self.config.connect_timeout.as_millis();
                self.cut(
                    now,
                    Failure::retryable(
                        Reason::ConnectTimeout,
                        format!("no connection to the service within {waited} ms (connect-timeout); check base-url and the network"),
                    ),
                );
            }
            Phase::Starting { deadline } if deadline <= now && !ignored => {
                let waited = self.config.connect_timeout.as_millis();
                let said = self.refusals.said();
                let said = said.map_or_else(String::new, |said| format!("; it told: {said}"));
                self.cut(
                    now,
                    Failure::retryable(
                        Reason::StartTimeout,
                        format!("the service did not acknowledge the start within {waited} ms (connect-timeout){said}"),
                    ),
                );
            }
            _ => {}
        }
        if !self.has_socket() {
            return;
        }
        match self.liveness.pinged {
            Some(_) if planted(Bug::PongDeadlineIgnored) => self.liveness.pinged = None,
            Some(sent) if now >= sent + self.config.pong_timeout => {
                let waited = self.config.pong_timeout.as_millis();
                self.cut(
                    now,
                    Failure::retryable(
                        Reason::PongTimeout,
                        format!("nothing came from the service for {waited} ms after a ping (pong-timeout): the connection is dead"),
                    ),
                );
            }
            None if now >= self.liveness.last_ping + self.config.ping_interval => self.ping(now),
            _ => {}
        }
    }

    /// Asks for a sign of life, unless one is asked for already.
    pub(super) fn ping(&mut self, now: Time) {
        if self.liveness.pinged.is_none() {
            self.liveness.pinged = Some(now);
            self.liveness.last_ping = now;
            self.frames.push_back(Output::Ping);
        }
    }
}
