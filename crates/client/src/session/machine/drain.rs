// SPDX-License-Identifier: MPL-2.0

//! The end of the stream: last byte → stop request → last results → close.
//!
//! Two bounds. Without any progress (audio taken, a result come) the wait ends
//! after the drain timeout. With progress it goes on, but never longer than the
//! drain timeout plus the duration of the audio that was unfinalised when the
//! end came: a service that keeps up with real time needs no more.
//!
//! Where there never was a session, the audio has not been heard at all, and to drain out
//! with a warning would hide that: the session fails. A service that asked to come later
//! (429, `Retry-After`) is dialed until the admission timeout is over.

use super::super::Time;
use super::super::event::{EventKind, Failure, GapReason, Reason, State};
use super::super::planted::{Bug, planted};
use super::recess::Pause;
use super::stop::{SETTLE, SETTLE_OWED, Stop};
use super::{Output, Phase, Session};
use std::time::Duration;
use symbl_protocol::request::STOP_REQUEST;

/// The end of the stream, and the wait for the last results.
#[derive(Debug)]
pub(super) struct Drain {
    since: Time,
    stop: Stop,
    hard: Time,
}

impl Drain {
    pub(super) fn deadline(&self, settle: Option<Duration>) -> Time {
        if planted(Bug::DrainTimeoutIgnored) {
            return Time::MAX;
        }
        self.stop.deadline(settle).min(self.hard)
    }
}

impl Session {
    /// No more audio will come. [`EventKind::Drained`] follows, within bounds.
    pub fn end_of_stream(&mut self, now: Time) {
        if self.drain.is_some() || self.puts_off_the_end() {
            return;
        }
        if !planted(Bug::LastAudioForgotten) {
            self.flush_chunk(now);
        }
        self.drain = Some(self.new_drain(now));
        match self.phase {
            Phase::Failed => self.tell_drained_in_failure(),
            Phase::Drained => self.tell_drained(self.spool.unacknowledged_duration() == 0),
            _ if self.nothing_to_wait_for() => self.finish(now, true),
            // After a stop that was not the end, there is nothing to stop.
            _ if (!self.has_socket() || self.phase == Phase::Connected)
                && self.spool.unacknowledged_duration() == 0 =>
            {
                self.finish(now, true)
            }
            _ => {}
        }
    }

    fn new_drain(&self, now: Time) -> Drain {
        // Of silence the counters do not know that it was finalised, and the spool
        // not how much was dropped in between.
        let counted = self.stats.audio_sent + self.spool.unsent_duration();
        let counted = counted.saturating_sub(self.stats.audio_finalised);
        let unfinalised = counted.min(self.spool.unacknowledged_duration());
        let unfinalised = Duration::from_nanos(unfinalised);
        Drain {
            since: now,
            stop: Stop::new(now, self.config.drain_timeout),
            hard: now + self.config.drain_timeout + unfinalised,
        }
    }

    /// The first session began after the end of the stream: its bounds begin now.
    pub(super) fn begin_to_drain_late(&mut self, now: Time) {
        if self.drain.is_some() {
            self.drain = Some(self.new_drain(now));
        }
    }

    /// Whether there never was a session, and the service asked to come later.
    fn waits_for_admission(&self) -> bool {
        !self.listened && self.asked_to_wait && !self.config.admission_timeout.is_zero()
    }

    /// When the wait for the end is over, or something is to be done in it.
    pub(super) fn drain_deadline(&self) -> Option<Time> {
        let drain = self.drain.as_ref()?;
        let drained = drain.deadline(self.settle());
        Some(match self.waits_for_admission() {
            true if planted(Bug::AdmissionTimeoutIgnored) => Time::MAX,
            // To be asked to come later is no reason to wait for less long.
            true => drained.max(drain.since + self.config.admission_timeout),
            false => drained,
        })
    }

    /// The time for the end is up and no audio was ever taken.
    fn fail_unheard(&mut self, now: Time) {
        let admission = Some(self.config.admission_timeout)
            .filter(|bound| self.waits_for_admission() && *bound > self.config.drain_timeout);
        let (property, bound) = match admission {
            Some(bound) => ("admission-timeout", bound),
            None => ("drain-timeout", self.config.drain_timeout),
        };
        let last = self.last_failure.take().unwrap_or_else(|| {
            let hint = "the service has not answered yet; check base-url and the network";
            Failure::fatal(Reason::DrainTimeout, hint)
        });
        let message = format!(
            "the stream ended and no session began within {} ms ({property}), so that none of \
             its {} ms of audio was heard: {}",
            bound.as_millis(),
            self.spool.unacknowledged_duration() / 1_000_000,
            last.message
        );
        let failure = Failure {
            message,
            retryable: false,
            retry_after: None,
            ..last
        };
        self.fail_for(now, failure, GapReason::NotDrained);
    }

    /// Whether no audio was ever given to this generation and none waits.
    fn nothing_to_wait_for(&self) -> bool {
        self.spool.is_drained()
            && !self.generation.has_audio()
            && self.spool.unacknowledged_duration() == 0
    }

    /// The stop under way, or to come.
    pub(super) fn stop(&mut self) -> Option<&mut Stop> {
        let drain = self.drain.as_mut().map(|drain| &mut drain.stop);
        self.recess.as_mut().or(drain)
    }

    /// How long a service has to be quiet to be done, where it keeps the connection
    /// after a stop and so does not say it.
    pub(super) fn settle(&self) -> Option<Duration> {
        self.stays_after_stop
            .then(|| match self.delivery.owes_messages() {
                true => SETTLE_OWED,
                false => SETTLE,
            })
    }

    /// Asks the service to stop.
    pub(super) fn ask_to_stop(&mut self, now: Time) {
        self.phase = Phase::Stopping;
        self.bill(now);
        self.set_state(State::Stopping, None, None);
        self.frames.push_back(Output::Text(STOP_REQUEST.to_owned()));
    }

    /// The end of the stream, or of a recess, came nearer.
    pub(super) fn progress(&mut self, now: Time) {
        if let Some(recess) = &mut self.recess {
            recess.progress(now);
        }
        if let Some(drain) = &mut self.drain {
            drain.stop.progress(now);
        }
    }

    /// The last byte has left: asks the service to stop.
    pub(super) fn stop_when_drained(&mut self, now: Time) {
        if let Some(drain) = &mut self.drain
            && self.phase == Phase::Listening
            && self.spool.is_drained()
        {
            drain.stop.progress(now);
            self.ask_to_stop(now);
        }
    }

    /// The service took the stop request.
    pub(super) fn recognition_stopped(&mut self, now: Time) {
        if self.phase == Phase::Stopping {
            self.progress(now);
            if let Some(stop) = self.stop() {
                stop.take(now);
            }
            if self.recess.is_some() && planted(Bug::RecessCutShort) {
                self.end_recess(now);
            }
        }
    }

    /// The service will add nothing more.
    pub(super) fn completed(&mut self, now: Time) {
        if self.phase == Phase::Stopping {
            self.all_has_come(now);
        }
    }

    /// The service has said all about this start.
    fn all_has_come(&mut self, now: Time) {
        if self.recess.is_some() {
            self.end_recess(now);
        } else {
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
        let stopped = drain.stop.lose_socket() && self.phase == Phase::Stopping;
        stopped && failure.is_in_form() || self.spool.owes_nothing()
    }

    /// A flush after the end: the stream may go on.
    pub(super) fn leave_drain(&mut self, now: Time) {
        self.forget_the_end();
        if self.drain.take().is_none() {
            return;
        }
        match self.phase {
            Phase::Stopping if self.recess.is_none() => {
                // The service was asked to stop; what follows needs a new start.
                self.count_and_close(now, 1000, "end of stream");
                self.restart(now);
            }
            Phase::Drained => self.restart(now),
            _ => {}
        }
        self.come_to_rest(now);
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
        self.recess = None;
        self.pause = Pause::default();
        self.stats.audio_dropped += self.forget_unsent();
    }

    /// The owner has lost its way (its task died): the session fails, and the audio that
    /// nobody confirmed is told as lost.
    pub fn break_down(&mut self, now: Time, failure: Failure) {
        if !matches!(self.phase, Phase::Drained | Phase::Failed) {
            self.fail(now, failure);
        }
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
        let settle = self.settle();
        let over = matches!(self.phase, Phase::Drained | Phase::Failed);
        if over || self.drain_deadline().is_none_or(|at| at > now) {
            return;
        }
        if !self.listened && self.spool.unacknowledged_duration() > 0 {
            return self.fail_unheard(now);
        }
        let Some(drain) = &mut self.drain else {
            return;
        };
        if now < drain.hard && drain.stop.ask(now, settle) {
            return self.ping(now);
        }
        self.finish(now, false);
    }

    /// The service answered a ping.
    pub(super) fn ponged(&mut self, now: Time) {
        if self.stop().is_some_and(|stop| stop.is_asked()) {
            self.all_has_come(now);
        }
    }

    /// Closes for good (1000), or because it goes away and comes back (1001).
    pub(super) fn count_and_close(&mut self, now: Time, code: u16, reason: &'static str) {
        let had_socket = self.has_socket();
        self.bill(now);
        if let Some(since) = self.up_since.take() {
            self.stats.connected_time += now.saturating_sub(since);
        }
        self.frames.clear();
        self.actions.push_back(if had_socket {
            Output::Close { code, reason }
        } else {
            Output::Abort
        });
    }

    /// The stream is over: closes, and says so.
    pub(super) fn finish(&mut self, now: Time, complete: bool) {
        self.count_and_close(now, 1000, "end of stream");
        self.recess = None;
        self.phase = Phase::Drained;
        self.tell_drained(complete);
        self.set_state(State::Drained, None, None);
    }

    /// The failure itself has been told.
    pub(super) fn tell_drained_in_failure(&mut self) {
        self.tell_gap();
        let unconfirmed = self.unconfirmed + self.unread.lost();
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
        if unconfirmed == 0 {
            self.tell_gap();
            self.lose_unread(self.generation.end());
            let finalised = self.stats.audio_sent;
            self.stats.audio_finalised = finalised.saturating_sub(self.unread.lost());
        } else {
            self.unread.forget_open();
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
        let unconfirmed = unconfirmed + self.unread.lost();
        self.emit(
            EventKind::Drained {
                complete: unconfirmed == 0,
                unconfirmed,
            },
            None,
            None,
        );
    }
}
