// SPDX-License-Identifier: MPL-2.0

//! Stops after which the session goes on: for a pause, for another speaker, and for a change
//! of format where the service does not take one during a start.
//!
//! The wait between such a stop and the next start is the recess, a [`Stop`]. It ends when
//! the service has returned all results of the start before, so that none of them can be
//! taken for a result of the next start.

use super::super::Time;
use super::super::config::{FormatChangePolicy, PausePolicy};
use super::super::event::{Failure, GapReason, Reason, State};
use super::super::planted::{Bug, planted};
use super::drain::Stops;
use super::stop::Stop;
use super::{Output, Phase, Session};

/// The pause, which PLAYING ends.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// There is a pause.
    on: bool,
    /// The connection was closed for it.
    hung_up: bool,
    /// The stream ended during the pause. Every sink reaches the end of the stream only when
    /// it plays, and so does this one.
    ended: bool,
}

impl Stops {
    /// Returns `true` if a pause keeps the session from starting. The end of the stream
    /// comes before a pause.
    fn is_paused(&self) -> bool {
        self.pause.on && self.drain.is_none() && !planted(Bug::PauseForgotten)
    }

    /// Forgets an end of the stream that waits for the end of a pause: the stream goes on,
    /// or the session is over. Returns `true` if there was one.
    pub(super) fn take_postponed_end(&mut self) -> bool {
        std::mem::take(&mut self.pause.ended)
    }
}

impl Session {
    /// Begins a pause: sends the audio that is there, and then does what the pause policy asks
    /// for.
    /// A drain that is under way goes on.
    pub fn pause(&mut self, now: Time) {
        if self.config.pause == PausePolicy::Keep
            || std::mem::replace(&mut self.stops.pause.on, true)
        {
            return;
        }
        self.flush_chunk(now);
        self.apply_pause(now);
    }

    /// Ends the pause: the pipeline plays again.
    pub fn resume(&mut self, now: Time) {
        self.timeline.part();
        if !std::mem::take(&mut self.stops.pause.on) {
            return;
        }
        if self.stops.take_postponed_end() {
            self.end_of_stream(now);
        }
        if std::mem::take(&mut self.stops.pause.hung_up) && self.phase == Phase::Idle {
            self.restart(now);
        }
        self.start_if_ready(now);
    }

    /// Disconnects or becomes idle, if there is a pause and nothing is started that has to be
    /// stopped before.
    pub(super) fn apply_pause(&mut self, now: Time) {
        if !self.is_paused() {
            return;
        }
        // On a connection that takes nothing, the start request may not have left yet.
        if matches!(self.phase, Phase::Starting { .. }) && self.outbox.take_back_requests() {
            self.phase = Phase::Connected;
        }
        match self.phase {
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::Connected
                if self.stays_disconnected() =>
            {
                self.hang_up(now);
            }
            Phase::Connected => self.become_idle(),
            _ => {}
        }
    }

    /// Returns `true` if a pause keeps the session from starting.
    pub(super) fn is_paused(&self) -> bool {
        self.stops.is_paused()
    }

    /// Returns `true` if the pause policy forbids a dial.
    fn stays_disconnected(&self) -> bool {
        self.is_paused() && self.config.pause == PausePolicy::Disconnect
    }

    /// Returns `true` if the end of the stream has to wait for the end of a pause, and notes
    /// that it waits.
    pub(super) fn postpones_the_end(&mut self) -> bool {
        let over = matches!(self.phase, Phase::Failed | Phase::Drained);
        self.stops.pause.ended |= self.is_paused() && !over;
        self.stops.pause.ended
    }

    /// Returns `true` if the first dial has to wait for the end of a pause, and notes that it
    /// waits.
    pub(super) fn postpones_the_start(&mut self) -> bool {
        let postpones = self.stays_disconnected();
        if postpones {
            self.stops.pause.hung_up = true;
            self.become_idle();
        }
        postpones
    }

    /// Ends the current start, because the next audio needs a start of its own. Returns the
    /// frame to send, if there is one.
    pub(super) fn stop_and_restart(&mut self, now: Time) -> Option<Output> {
        if self.terms.stays_after_stop {
            self.begin_recess(now);
            return self.outbox.frames.pop_front();
        }
        // A stop would end the conversation. The new connection asks the service to keep the
        // connection after a stop, and then this function stops it.
        self.terms.needs_stops = true;
        let reason = match self.is_misplaced() {
            true => "another stream follows",
            false => "another speaker follows",
        };
        self.count_and_close(now, 1001, reason);
        self.restart(now);
        None
    }

    /// Asks the service to stop if there is a pause and all audio before it has left.
    pub(super) fn stop_when_paused(&mut self, now: Time) {
        if self.is_paused() && self.spool.is_drained() {
            self.begin_recess(now);
        }
    }

    /// Asks the service to stop for a while.
    fn begin_recess(&mut self, now: Time) {
        // A gap is reported before the results of the audio behind it.
        self.tell_gap();
        self.stops.recess = Some(Stop::new(now, self.config.drain_timeout));
        self.ask_to_stop(now);
    }

    /// Goes on after the recess: the service has returned all results of this start.
    pub(super) fn end_recess(&mut self, now: Time) {
        self.stops.recess = None;
        self.finalise_this_start();
        if self.stops.drain.is_some() && self.spool.unacknowledged_duration() == 0 {
            return self.finish(now, true);
        }
        let reconnects = self.config.format_change == FormatChangePolicy::Reconnect;
        if self.stays_disconnected() {
            self.hang_up(now);
        } else if self.is_paused() {
            self.phase = Phase::Connected;
            self.become_idle();
        } else if reconnects && self.label_changes() {
            self.count_and_close(now, 1001, "another format follows");
            self.restart(now);
        } else {
            self.phase = Phase::Connected;
            self.start_if_ready(now);
        }
    }

    /// Takes all audio of this start as finalised, so that none of it is sent again.
    fn finalise_this_start(&mut self) {
        let end = self.generation.end();
        self.lose_unread(end);
        self.finalised(end, end);
    }

    /// Ends the recess because the connection is lost. If the service had taken the stop, owed
    /// no report of its results and closed normally, it had returned all of them.
    pub(super) fn lose_recess(&mut self, failure: &Failure) {
        if let Some(mut recess) = self.stops.recess.take() {
            let taken = recess.lose_socket();
            if taken && failure.is_in_form() {
                self.finalise_this_start();
            }
        }
    }

    /// Returns `true` if the connection that `failure` ended need not be opened again before
    /// the pause is over. A service that closes an idle connection normally, or for its
    /// limits (1008), would close the next one too.
    pub(super) fn needs_no_connection(&self, failure: &Failure) -> bool {
        self.stays_disconnected()
            || self.is_paused() && (failure.is_in_form() || failure.close_code == Some(1008))
    }

    /// Ends the connection, or the dial, until the pause is over.
    pub(super) fn hang_up(&mut self, now: Time) {
        self.count_and_close(now, 1001, "paused");
        self.stops.pause.hung_up = true;
        self.phase = Phase::Idle;
        self.become_idle();
    }

    /// Reports the idle state: there is no session, and none is wanted.
    pub(super) fn become_idle(&mut self) {
        self.outage.since = None;
        self.set_state(State::Idle, None, None);
    }

    /// Ends the recess, or asks the service if it is done, if that is due.
    pub(super) fn recess_timeout(&mut self, now: Time) {
        let settle = self.settle();
        let due = |recess: &&mut Stop| recess.deadline(settle) <= now;
        let Some(recess) = self.stops.recess.as_mut().filter(due) else {
            return;
        };
        if recess.ask(now, settle) {
            return self.ping(now);
        }
        let waited = self.config.drain_timeout.as_millis();
        let message = format!(
            "the service did not confirm a stop within {waited} ms (drain-timeout): \
             it is connected to anew"
        );
        // If this audio were sent again, the same stop would follow again and again.
        if (self.label_changes() || self.is_misplaced()) && !self.is_paused() {
            let end = self.generation.end();
            self.losses.unread.forget_open();
            for span in self.spool.unheard().filter(|span| span.start < end) {
                self.note_gap(span.start..span.end.min(end), GapReason::NotFinalised);
            }
            self.finalise_this_start();
        }
        self.cut(now, Failure::retryable(Reason::DrainTimeout, message));
    }
}
