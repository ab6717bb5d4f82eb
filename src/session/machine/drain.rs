// SPDX-License-Identifier: MPL-2.0

//! The end of the stream: last byte → stop request → last results → close.
//!
//! Two bounds. Without any progress (audio taken, a result come) the wait ends
//! after the drain timeout. With progress it goes on, but never longer than the
//! drain timeout plus the duration of the audio that was unfinalised when the
//! end came: a service that keeps up with real time needs no more.

use super::super::Time;
use super::super::event::{EventKind, Failure, GapReason, Reason, State};
use super::super::planted::{Bug, planted};
use super::{Output, Phase, Session};
use crate::protocol::request::STOP_REQUEST;
use std::time::Duration;

/// Where the service does not say that it is done (it keeps the connection for
/// a later start), this long without a result and a pong after it mean that it is.
const SETTLE: Duration = Duration::from_secs(2);

/// The wait for the last results.
#[derive(Debug)]
pub(super) struct Drain {
    timeout: Duration,
    idle_since: Time,
    hard: Time,
    /// The service took the stop request, at this time.
    stopped: Option<Time>,
    settle: bool,
    /// It has been quiet for long enough, and the service was asked whether the
    /// link still is one: silence may mean that it is not.
    asked: bool,
}

impl Drain {
    /// Something moved.
    pub(super) fn progress(&mut self, now: Time) {
        self.idle_since = now;
        self.asked = false;
    }

    /// Whether the service took the stop request.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    pub(super) fn deadline(&self) -> Time {
        if planted(Bug::DrainTimeoutIgnored) {
            return Time::MAX;
        }
        let soft = self.idle_since + self.timeout;
        let settled = self.settled_at().unwrap_or(soft);
        soft.min(settled).min(self.hard)
    }

    /// When a service that does not say that it is done is taken to be.
    fn settled_at(&self) -> Option<Time> {
        let stopped = self.stopped.filter(|_| self.settle && !self.asked)?;
        Some(self.idle_since.max(stopped) + SETTLE)
    }
}

impl Session {
    /// No more audio will come. [`EventKind::Drained`] follows, within bounds.
    pub fn end_of_stream(&mut self, now: Time) {
        if self.drain.is_some() {
            return;
        }
        if !planted(Bug::LastAudioForgotten) {
            self.flush_chunk(now);
        }
        // Of silence the counters do not know that it was finalised, and the spool
        // not how much was dropped in between.
        let counted = self.stats.audio_sent + self.spool.unsent_duration();
        let counted = counted.saturating_sub(self.stats.audio_finalised);
        let unfinalised = counted.min(self.spool.unacknowledged_duration());
        let unfinalised = Duration::from_nanos(unfinalised);
        self.drain = Some(Drain {
            timeout: self.config.drain_timeout,
            idle_since: now,
            hard: now + self.config.drain_timeout + unfinalised,
            stopped: None,
            asked: false,
            settle: self.config.start.disconnect_on_stop_request == Some(false),
        });
        match self.phase {
            Phase::Failed => self.tell_drained_in_failure(),
            Phase::Drained => self.tell_drained(self.spool.unacknowledged_duration() == 0),
            _ if self.nothing_to_wait_for() => self.finish(now, true),
            _ if !self.has_socket() && self.spool.unacknowledged_duration() == 0 => {
                self.finish(now, true)
            }
            _ => {}
        }
    }

    /// Whether no audio was ever given to this generation and none waits.
    fn nothing_to_wait_for(&self) -> bool {
        self.spool.is_drained()
            && !self.generation.has_audio()
            && self.spool.unacknowledged_duration() == 0
    }

    /// The last byte has left: asks the service to stop.
    pub(super) fn stop_when_drained(&mut self, now: Time) {
        if let Some(drain) = &mut self.drain
            && self.phase == Phase::Listening
            && self.spool.is_drained()
        {
            drain.progress(now);
            self.phase = Phase::Stopping;
            self.set_state(State::Stopping, None, None);
            self.frames.push_back(Output::Text(STOP_REQUEST.to_owned()));
        }
    }

    /// The service took the stop request.
    pub(super) fn recognition_stopped(&mut self, now: Time) {
        if let Some(drain) = self
            .drain
            .as_mut()
            .filter(|_| self.phase == Phase::Stopping)
        {
            drain.stopped = Some(now);
            drain.progress(now);
        }
    }

    /// The service will add nothing more.
    pub(super) fn completed(&mut self, now: Time) {
        if self.phase == Phase::Stopping {
            self.finish(now, true);
        }
    }

    /// Whether the loss of the socket means the end and not an outage: the
    /// service closed it in due form after it took the stop request, or nothing
    /// is owed any more. A link that breaks in between took results with it.
    pub(super) fn over_without_socket(&mut self, failure: &Failure) -> bool {
        let Some(drain) = &mut self.drain else {
            return false;
        };
        let in_form = matches!(failure.close_code, Some(1000 | 1005));
        // Should it go on, the next start will have a stop request of its own.
        let stopped = drain.stopped.take().is_some();
        drain.asked = false;
        self.phase == Phase::Stopping && stopped && in_form || self.spool.owes_nothing()
    }

    /// A flush after the end: the stream may go on.
    pub(super) fn leave_drain(&mut self, now: Time) {
        if self.drain.take().is_none() {
            return;
        }
        match self.phase {
            Phase::Stopping => {
                // The service was asked to stop; what follows needs a new start.
                self.count_and_close(now);
                self.restart(now);
            }
            Phase::Drained => self.restart(now),
            _ => {}
        }
    }

    /// The application is done with the session: nothing more is told. Asks
    /// the service to stop and closes, without waiting for what would come.
    pub fn close(&mut self) {
        self.events.clear();
        self.actions.clear();
        // A request that has not left yet, on a socket that takes nothing.
        let waits = self.frames.iter().any(|f| matches!(f, Output::Text(_)));
        self.frames.clear();
        let started = match self.phase {
            Phase::Starting { .. } => !waits,
            Phase::Listening => true,
            Phase::Stopping => waits,
            _ => false,
        };
        if started {
            self.frames.push_back(Output::Text(STOP_REQUEST.to_owned()));
        }
        if self.has_socket() {
            self.frames.push_back(Output::Close {
                code: 1000,
                reason: "stopped",
            });
        } else {
            self.actions.push_back(Output::Abort);
        }
        if !planted(Bug::StopForgotten) {
            self.phase = Phase::Idle;
        }
        self.state = State::Idle;
        self.drain = None;
        self.stats.audio_dropped += self.forget_unsent();
    }

    /// The owner cannot go on (its task died): ends without another word.
    pub fn abandon(&mut self) {
        self.events.clear();
        self.actions.clear();
        self.frames.clear();
        self.phase = Phase::Failed;
        self.state = State::Failed;
        self.abandoned = true;
    }

    pub(super) fn restart(&mut self, now: Time) {
        self.phase = Phase::Idle;
        self.attempt = 0;
        self.start(now);
    }

    pub(super) fn drain_timeout(&mut self, now: Time) {
        let Some(drain) = &mut self.drain else {
            return;
        };
        if matches!(self.phase, Phase::Drained | Phase::Failed) || drain.deadline() > now {
            return;
        }
        if drain.settled_at().is_some_and(|at| at <= now) && now < drain.hard {
            drain.asked = true;
            return self.ping(now);
        }
        self.finish(now, false);
    }

    /// The service answered a ping.
    pub(super) fn ponged(&mut self, now: Time) {
        if self.drain.as_ref().is_some_and(|drain| drain.asked) {
            self.finish(now, true);
        }
    }

    fn count_and_close(&mut self, now: Time) {
        let had_socket = self.has_socket();
        if let Some(since) = self.up_since.take() {
            self.stats.connected_time += now.saturating_sub(since);
        }
        self.frames.clear();
        self.actions.push_back(if had_socket {
            Output::Close {
                code: 1000,
                reason: "end of stream",
            }
        } else {
            Output::Abort
        });
    }

    /// The stream is over: closes, and says so.
    pub(super) fn finish(&mut self, now: Time, complete: bool) {
        self.count_and_close(now);
        self.phase = Phase::Drained;
        self.tell_drained(complete);
        self.set_state(State::Drained, None, None);
    }

    /// The failure itself has been told.
    pub(super) fn tell_drained_in_failure(&mut self) {
        self.tell_gap();
        let unconfirmed = self.unconfirmed;
        self.emit(
            EventKind::Drained {
                complete: unconfirmed == 0,
                unconfirmed,
            },
            None,
            None,
        );
    }

    pub(super) fn tell_drained(&mut self, complete: bool) {
        let unconfirmed = if complete {
            0
        } else {
            self.spool.unacknowledged_duration()
        };
        let complete = unconfirmed == 0;
        if complete {
            self.tell_gap();
            self.stats.audio_finalised = self.stats.audio_sent;
        } else {
            self.give_up_audio(GapReason::NotDrained);
            self.emit(
                EventKind::Warning(Failure::retryable(
                    Reason::DrainTimeout,
                    format!(
                        "the stream ended and the service did not confirm its last {} ms of audio within \
                         drain-timeout ({} ms); their text may be missing",
                        unconfirmed / 1_000_000,
                        self.config.drain_timeout.as_millis()
                    ),
                )),
                None,
                None,
            );
        }
        self.spool.clear();
        self.emit(
            EventKind::Drained {
                complete,
                unconfirmed,
            },
            None,
            None,
        );
    }
}
