// SPDX-License-Identifier: MPL-2.0

//! The connection: dials, inputs, pings and their deadlines.

use super::super::Time;
use super::super::config::SessionConfig;
use super::super::event::{Failure, Reason};
use super::super::planted::{Bug, planted};
use super::{Input, Output, Phase, Session};

/// Pings, and the answers to them.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// When the ping that waits for an answer was sent.
    pinged: Option<Time>,
    /// When the last ping was sent, or the connection opened.
    last_ping: Time,
}

impl Liveness {
    /// Returns the time of the next ping, or of the end of the wait for its answer.
    pub(super) fn next(&self, config: &SessionConfig, has_socket: bool) -> Option<Time> {
        has_socket.then(|| match self.pinged {
            Some(sent) => sent + config.pong_timeout,
            None => self.last_ping + config.ping_interval,
        })
    }

    /// Begins with a new connection.
    fn connected(&mut self, now: Time) {
        self.last_ping = now;
        self.pinged = None;
    }

    /// Ends the wait for an answer: the service gave a sign of life. Returns when the ping
    /// was sent.
    fn answered(&mut self) -> Option<Time> {
        self.pinged.take()
    }

    /// Notes a ping. Returns `false` if one waits for its answer already.
    fn ping(&mut self, now: Time) -> bool {
        if self.pinged.is_some() {
            return false;
        }
        self.pinged = Some(now);
        self.last_ping = now;
        true
    }
}

impl Session {
    /// Begins the session: dials. Does nothing if it has begun already.
    pub fn start(&mut self, now: Time) {
        if self.phase == Phase::Idle && !self.postpones_the_start() {
            self.outage.since = Some(now);
            self.dial(now);
        }
    }

    /// Begins again, from [`Phase::Idle`], with the count of dials at zero.
    pub(super) fn restart(&mut self, now: Time) {
        self.phase = Phase::Idle;
        self.outage.attempt = 0;
        self.start(now);
    }

    /// Takes an input from the owner of the connection.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        if matches!(self.phase, Phase::Idle | Phase::Drained | Phase::Failed) {
            return;
        }
        match input {
            // This is about the connection before: the next dial waits to be taken.
            Input::DialFailed(_) | Input::Closed(_)
                if self.outbox.actions.contains(&Output::Dial) => {}
            Input::DialFailed(failure) | Input::Closed(failure) => self.lost(now, failure),
            Input::Connected { announced } => {
                self.identity.connected(announced);
                self.connected(now);
            }
            Input::Text(text) => {
                self.liveness.answered();
                self.handle_text(now, text);
            }
            Input::Pong => {
                if let Some(sent) = self.liveness.answered() {
                    self.counters.stats.rtt = Some(now.saturating_sub(sent));
                }
                self.ponged(now);
            }
            Input::Binary | Input::Ping => {
                self.liveness.answered();
            }
            Input::History(messages) => self.history(now, messages),
            Input::HistoryFailed(failure) => self.warn(failure),
        }
    }

    fn dial(&mut self, now: Time) {
        self.outage.dial();
        let deadline = now + self.config.connect_timeout;
        self.phase = Phase::Dialing {
            deadline: self.give_up_at().map_or(deadline, |end| end.min(deadline)),
        };
        self.outbox.frames.clear();
        self.set_state(self.outage.state(), None, None);
        self.outbox.actions.push_back(Output::Dial);
    }

    fn connected(&mut self, now: Time) {
        let Phase::Dialing { deadline } = self.phase else {
            return;
        };
        self.phase = Phase::Connected;
        self.conversation.connected(&self.delivery);
        self.liveness.connected(now);
        if self.is_paused() {
            return self.become_idle();
        }
        self.start_if_ready(now);
        // connect-timeout began with the dial and covers the start too.
        if let Phase::Starting { deadline: start } = &mut self.phase {
            *start = deadline;
        }
    }

    /// Begins the next dial, or gives up a dial, a start or a dead connection, if that is due.
    pub(super) fn link_timeout(&mut self, now: Time) {
        let ignored = planted(Bug::ConnectTimeoutIgnored);
        match self.phase {
            Phase::Waiting { until } if until <= now => self.dial(now),
            Phase::Dialing { deadline } if deadline <= now && !ignored => {
                let waited = self.config.connect_timeout.as_millis();
                self.no_session(
                    now,
                    Reason::ConnectTimeout,
                    format!("no connection to the service within {waited} ms (connect-timeout); check base-url and the network"),
                );
            }
            Phase::Starting { deadline } if deadline <= now && !ignored => {
                let waited = self.config.connect_timeout.as_millis();
                let said = self.outage.refusals.said();
                let said = said.map_or_else(String::new, |said| format!("; it told: {said}"));
                self.no_session(
                    now,
                    Reason::StartTimeout,
                    format!("the service did not acknowledge the start within {waited} ms (connect-timeout){said}"),
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

    /// Gives up a dial or a start. If the time for all dials is over, what is told is why the one
    /// before has failed: this one had no time.
    fn no_session(&mut self, now: Time, reason: Reason, message: String) {
        let is_over = self.give_up_at().is_some_and(|end| end <= now);
        let before = self.outage.last_failure.clone().filter(|_| is_over);
        let failure = before.unwrap_or_else(|| Failure::retryable(reason, message));
        self.cut(now, failure);
    }

    /// Sends a ping, unless one waits for its answer already.
    pub(super) fn ping(&mut self, now: Time) {
        if self.liveness.ping(now) {
            self.outbox.frames.push_back(Output::Ping);
        }
    }
}
