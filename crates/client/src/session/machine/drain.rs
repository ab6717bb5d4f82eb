// SPDX-License-Identifier: MPL-2.0

//! The end of the stream: last byte → stop request → last results → close.
//!
//! The wait has two bounds. Without any progress (audio sent, a result received) it ends
//! after `drain-timeout`. With progress it goes on, but no longer than `drain-timeout` plus
//! the duration of the audio that was unfinalised at the end of the stream: a service that
//! keeps up with real time needs no more.
//!
//! If there never was a session, the service heard none of the audio. A drain that ends with
//! a warning would hide that, so the session fails. A service that asked to come later (429,
//! `Retry-After`) is dialed until `admission-timeout` is over.

use super::super::Time;
use super::super::event::{EventKind, Failure, GapReason, Reason, State};
use super::super::planted::{Bug, planted};
use super::recess::Pause;
use super::stop::{SETTLE, SETTLE_OWED, Stop};
use super::{Phase, Session};
use std::time::Duration;

/// The end of the stream, and stops after which the session goes on.
#[derive(Debug, Default)]
pub(super) struct Stops {
    /// The stream has ended.
    pub(super) drain: Option<Drain>,
    /// The present stop is not the end: another start follows.
    pub(super) recess: Option<Stop>,
    pub(super) pause: Pause,
}

impl Stops {
    /// Returns the present stop, or the one that the end of the stream will need.
    pub(super) fn current(&mut self) -> Option<&mut Stop> {
        let drain = self.drain.as_mut().map(|drain| &mut drain.stop);
        self.recess.as_mut().or(drain)
    }

    /// Notes progress of the drain and of the recess: audio was sent or a result received.
    pub(super) fn progress(&mut self, now: Time) {
        if let Some(recess) = &mut self.recess {
            recess.progress(now);
        }
        if let Some(drain) = &mut self.drain {
            drain.stop.progress(now);
        }
    }

    /// Returns the time at which the recess wants attention. `settle`: see
    /// [`Stop::deadline`].
    pub(super) fn recess_deadline(&self, settle: Option<Duration>) -> Option<Time> {
        self.recess.as_ref().map(|stop| stop.deadline(settle))
    }

    /// Forgets the end, the recess and the pause.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The wait for the last results.
#[derive(Debug)]
pub(super) struct Drain {
    since: Time,
    stop: Stop,
    /// The wait ends here, with or without progress.
    hard: Time,
}

impl Drain {
    fn deadline(&self, settle: Option<Duration>) -> Time {
        if planted(Bug::DrainTimeoutIgnored) {
            return Time::MAX;
        }
        self.stop.deadline(settle).min(self.hard)
    }
}

impl Session {
    /// Ends the stream: no more audio will come. [`EventKind::Drained`] follows, within bounds.
    pub fn end_of_stream(&mut self, now: Time) {
        if self.stops.drain.is_some() || self.postpones_the_end() {
            return;
        }
        if !planted(Bug::LastAudioForgotten) {
            self.flush_chunk(now);
        }
        self.stops.drain = Some(self.new_drain(now));
        match self.phase {
            Phase::Failed => self.tell_drained_in_failure(),
            Phase::Drained => self.tell_drained(self.spool.unacknowledged_duration() == 0),
            _ if self.nothing_to_wait_for() => self.finish(now, true),
            // Behind a stop that was not the end, there is nothing to stop.
            _ if (!self.has_socket() || self.phase == Phase::Connected)
                && self.spool.unacknowledged_duration() == 0 =>
            {
                self.finish(now, true)
            }
            _ => {}
        }
    }

    fn new_drain(&self, now: Time) -> Drain {
        // The counters do not know that silence was finalised, and the spool does not know
        // how much was dropped in between: the smaller figure is right.
        let counted = self.counters.stats.audio_sent + self.spool.unsent_duration();
        let counted = counted.saturating_sub(self.counters.stats.audio_finalised);
        let unfinalised = counted.min(self.spool.unacknowledged_duration());
        let unfinalised = Duration::from_nanos(unfinalised);
        Drain {
            since: now,
            stop: Stop::new(now, self.config.drain_timeout),
            hard: now + self.config.drain_timeout + unfinalised,
        }
    }

    /// Begins the bounds of the drain now, because the first session began after the end of
    /// the stream.
    pub(super) fn begin_to_drain_late(&mut self, now: Time) {
        if self.stops.drain.is_some() {
            self.stops.drain = Some(self.new_drain(now));
        }
    }

    /// Returns `true` if there never was a session and the service asked to come later.
    fn waits_for_admission(&self) -> bool {
        !self.outage.had_session
            && self.outage.asked_to_wait
            && !self.config.admission_timeout.is_zero()
    }

    /// Returns the time at which the drain ends, or has to ask the service if it is done.
    pub(super) fn drain_deadline(&self) -> Option<Time> {
        let drain = self.stops.drain.as_ref()?;
        let drained = drain.deadline(self.settle());
        Some(match self.waits_for_admission() {
            true if planted(Bug::AdmissionTimeoutIgnored) => Time::MAX,
            // A short admission-timeout must not cut drain-timeout short.
            true => drained.max(drain.since + self.config.admission_timeout),
            false => drained,
        })
    }

    /// Fails the session: the time for the end is up and the service heard no audio.
    fn fail_unheard(&mut self, now: Time) {
        let admission = Some(self.config.admission_timeout)
            .filter(|bound| self.waits_for_admission() && *bound > self.config.drain_timeout);
        let (property, bound) = match admission {
            Some(bound) => ("admission-timeout", bound),
            None => ("drain-timeout", self.config.drain_timeout),
        };
        let last = self.outage.last_failure.take().unwrap_or_else(|| {
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

    /// Returns `true` if this start was given no audio and none waits.
    fn nothing_to_wait_for(&self) -> bool {
        self.spool.is_drained()
            && !self.generation.has_audio()
            && self.spool.unacknowledged_duration() == 0
    }

    /// Returns how long a service has to be quiet to be done, where it keeps the connection
    /// after a stop and does not report the end.
    pub(super) fn settle(&self) -> Option<Duration> {
        self.terms
            .stays_after_stop
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
        self.outbox.request_stop();
    }

    /// Asks the service to stop if the stream has ended and its last byte has left.
    pub(super) fn stop_when_drained(&mut self, now: Time) {
        if let Some(drain) = &mut self.stops.drain
            && self.phase == Phase::Listening
            && self.spool.is_drained()
        {
            drain.stop.progress(now);
            self.ask_to_stop(now);
        }
    }

    /// Notes that the service took the stop request. `told` is what it says of the results:
    /// see [`symbl_protocol::ServerMessage::RecognitionStopped`].
    pub(super) fn recognition_stopped(&mut self, now: Time, told: Option<bool>) {
        if self.phase == Phase::Stopping {
            self.stops.progress(now);
            if told == Some(true) && self.terms.stays_after_stop {
                return self.complete_stop(now);
            }
            if let Some(stop) = self.stops.current() {
                stop.take(now, told == Some(false));
            }
            if self.stops.recess.is_some() && planted(Bug::RecessCutShort) {
                self.end_recess(now);
            }
        }
    }

    /// Ends the stop: the service reported the end of the conversation.
    pub(super) fn completed(&mut self, now: Time) {
        if self.phase == Phase::Stopping {
            self.complete_stop(now);
        }
    }

    /// Ends the stop: all results of this start have arrived.
    fn complete_stop(&mut self, now: Time) {
        if self.stops.recess.is_some() {
            self.end_recess(now);
        } else {
            self.finish(now, true);
        }
    }

    /// Returns `true` if the loss of the connection is the end of the stream and not an
    /// outage: the service took the stop request and closed normally, or it owes nothing. A
    /// connection that breaks in between took results with it.
    pub(super) fn over_without_socket(&mut self, failure: &Failure) -> bool {
        let Some(drain) = &mut self.stops.drain else {
            return false;
        };
        let stopped = drain.stop.lose_socket() && self.phase == Phase::Stopping;
        stopped && failure.is_in_form() || self.spool.owes_nothing()
    }

    /// Takes back the end of the stream: after a flush the stream may go on.
    pub(super) fn leave_drain(&mut self, now: Time) {
        self.stops.take_postponed_end();
        if self.stops.drain.take().is_none() {
            return;
        }
        match self.phase {
            Phase::Stopping if self.stops.recess.is_none() => {
                // The service was asked to stop; what follows needs a new start.
                self.count_and_close(now, 1000, "end of stream");
                self.restart(now);
            }
            Phase::Drained => self.restart(now),
            _ => {}
        }
        self.apply_pause(now);
    }

    /// Ends the drain, or asks the service if it is done, if that is due.
    pub(super) fn drain_timeout(&mut self, now: Time) {
        let settle = self.settle();
        let over = matches!(self.phase, Phase::Drained | Phase::Failed);
        if over || self.drain_deadline().is_none_or(|at| at > now) {
            return;
        }
        if !self.outage.had_session && self.spool.unacknowledged_duration() > 0 {
            return self.fail_unheard(now);
        }
        let Some(drain) = &mut self.stops.drain else {
            return;
        };
        if now < drain.hard && drain.stop.ask(now, settle) {
            return self.ping(now);
        }
        self.finish(now, false);
    }

    /// Ends the stop if the service answered the ping that asked if it is done.
    pub(super) fn ponged(&mut self, now: Time) {
        if self.stops.current().is_some_and(|stop| stop.is_asked()) {
            self.complete_stop(now);
        }
    }

    /// Ends the stream: closes, and reports how much was confirmed.
    pub(super) fn finish(&mut self, now: Time, complete: bool) {
        self.count_and_close(now, 1000, "end of stream");
        self.stops.recess = None;
        self.phase = Phase::Drained;
        self.tell_drained(complete);
        self.set_state(State::Drained, None, None);
    }

    /// Reports the end of a stream whose session failed. The failure was reported before.
    pub(super) fn tell_drained_in_failure(&mut self) {
        self.tell_gap();
        self.emit_drained(self.losses.unconfirmed);
    }

    /// Reports the end of the stream. `complete`: the service confirmed all of its audio.
    fn tell_drained(&mut self, complete: bool) {
        let unconfirmed = if complete {
            0
        } else {
            self.spool.unacknowledged_duration()
        };
        if unconfirmed == 0 {
            self.tell_gap();
            self.lose_unread(self.generation.end());
            let finalised = self.counters.stats.audio_sent;
            self.counters.stats.audio_finalised =
                finalised.saturating_sub(self.losses.unread.lost());
        } else {
            self.losses.unread.forget_open();
            self.give_up_audio(GapReason::NotDrained);
            let message = format!(
                "the stream ended and the service did not confirm its last {} ms of audio within \
                 drain-timeout ({} ms); their text may be missing",
                unconfirmed / 1_000_000,
                self.config.drain_timeout.as_millis()
            );
            self.warn(Failure::retryable(Reason::DrainTimeout, message));
        }
        self.spool.clear();
        self.emit_drained(unconfirmed);
    }

    /// Posts [`EventKind::Drained`]. Audio whose final could not be read counts as not
    /// confirmed too.
    fn emit_drained(&mut self, unconfirmed: u64) {
        let unconfirmed = unconfirmed + self.losses.unread.lost();
        let kind = EventKind::Drained {
            complete: unconfirmed == 0,
            unconfirmed,
        };
        self.emit(kind, None, None);
    }
}
