// SPDX-License-Identifier: MPL-2.0

//! Stops after which the session goes on: for a pause, for another speaker, and
//! for a change of format where the service does not take one in mid-stream.
//!
//! Between a stop and the next start lies a [`Stop`], the recess. It ends when
//! the service has said all that it has to say about the start before, so that
//! nothing of it can be taken for a result of the next.

use super::super::Time;
use super::super::config::{FormatChangePolicy, PausePolicy};
use super::super::event::{EventKind, Failure, GapReason, Reason, State};
use super::super::planted::{Bug, planted};
use super::stop::Stop;
use super::{Output, Phase, Session};

/// The pause that PLAYING ends.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// Whether there is one.
    on: bool,
    /// The socket was closed for it.
    hung_up: bool,
    /// The end of the stream came meanwhile. Like every sink, this one reaches it
    /// when it plays.
    ended: bool,
}

impl Session {
    /// The pipeline pauses: what is there is sent, and then what the policy says
    /// is done. An end of the stream that is under way stays so.
    pub fn pause(&mut self, now: Time) {
        if self.config.pause == PausePolicy::Keep || std::mem::replace(&mut self.pause.on, true) {
            return;
        }
        self.flush_chunk(now);
        self.come_to_rest(now);
    }

    /// Where there is a pause, and nothing is started that has to be stopped before.
    pub(super) fn come_to_rest(&mut self, now: Time) {
        if !self.holds() {
            return;
        }
        if matches!(self.phase, Phase::Starting { .. }) {
            self.take_back_the_start();
        }
        match self.phase {
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::Connected
                if self.stays_away() =>
            {
                self.hang_up(now);
            }
            Phase::Connected => self.rest(),
            _ => {}
        }
    }

    /// A start request that has not left yet, on a socket that takes nothing.
    fn take_back_the_start(&mut self) {
        let before = self.frames.len();
        self.frames.retain(|f| !matches!(f, Output::Text(_)));
        if self.frames.len() < before {
            self.phase = Phase::Connected;
        }
    }

    /// The pipeline plays again.
    pub fn resume(&mut self, now: Time) {
        self.timeline.part();
        if !std::mem::take(&mut self.pause.on) {
            return;
        }
        if std::mem::take(&mut self.pause.ended) {
            self.end_of_stream(now);
        }
        if std::mem::take(&mut self.pause.hung_up) && self.phase == Phase::Idle {
            self.restart(now);
        }
        self.start_if_ready(now);
    }

    /// Whether a pause keeps the session from starting.
    pub(super) fn holds(&self) -> bool {
        self.pause.on && self.drain.is_none() && !planted(Bug::PauseForgotten)
    }

    /// Whether the end of the stream has to wait for the end of a pause.
    pub(super) fn puts_off_the_end(&mut self) -> bool {
        let over = matches!(self.phase, Phase::Failed | Phase::Drained);
        self.pause.ended |= self.holds() && !over;
        self.pause.ended
    }

    /// The stream goes on after all, or the session is over. Whether there was an
    /// end that waited.
    pub(super) fn forget_the_end(&mut self) -> bool {
        std::mem::take(&mut self.pause.ended)
    }

    /// Whether a dial would be against the pause.
    pub(super) fn stays_away(&self) -> bool {
        self.holds() && self.config.pause == PausePolicy::Disconnect
    }

    /// The same, for a beginning: it is put off.
    pub(super) fn keeps_away(&mut self) -> bool {
        let away = self.stays_away();
        if away {
            self.pause.hung_up = true;
            self.rest();
        }
        away
    }

    /// Whether stops are asked for after which the session goes on.
    pub(super) fn stops_between(&self) -> bool {
        self.stops_come
            || self.config.pause != PausePolicy::Keep
            || self.config.format_change != FormatChangePolicy::Modify
    }

    /// Whether the next audio has a format, or a speaker, that the service was not told.
    fn label_changes(&self) -> bool {
        let next = self.spool.peek().map(|chunk| &chunk.format);
        next.zip(self.wire_format.as_ref())
            .is_some_and(|(next, told)| next.wire != told.wire || next.speaker != told.speaker)
    }

    /// What comes next needs a start of its own.
    pub(super) fn stop_between(&mut self, now: Time) -> Option<Output> {
        if self.stays_after_stop {
            self.begin_recess(now);
            return self.frames.pop_front();
        }
        // A stop would end the conversation. After a start that asks for another
        // kind of stop it comes here again.
        self.stops_come = true;
        let reason = match self.is_misplaced() {
            true => "another stream follows",
            false => "another speaker follows",
        };
        self.count_and_close(now, 1001, reason);
        self.restart(now);
        None
    }

    /// All audio before the pause has left: asks the service to stop.
    pub(super) fn stop_when_paused(&mut self, now: Time) {
        if self.holds() && self.spool.is_drained() {
            self.begin_recess(now);
        }
    }

    /// Asks the service to stop for a while.
    pub(super) fn begin_recess(&mut self, now: Time) {
        // What is lost is told before what comes of the rest.
        self.tell_gap();
        self.recess = Some(Stop::new(now, self.config.drain_timeout));
        self.ask_to_stop(now);
    }

    /// The service has said all about this start.
    pub(super) fn end_recess(&mut self, now: Time) {
        self.recess = None;
        self.all_was_said();
        if self.drain.is_some() && self.spool.unacknowledged_duration() == 0 {
            return self.finish(now, true);
        }
        let reconnects = self.config.format_change == FormatChangePolicy::Reconnect;
        if self.stays_away() {
            self.hang_up(now);
        } else if self.holds() {
            self.phase = Phase::Connected;
            self.rest();
        } else if reconnects && self.label_changes() {
            self.count_and_close(now, 1001, "another format follows");
            self.restart(now);
        } else {
            self.phase = Phase::Connected;
            self.start_if_ready(now);
        }
    }

    /// What this start was given was heard to its end: nothing of it is to be
    /// sent again.
    fn all_was_said(&mut self) {
        let end = self.generation.end();
        self.lose_unread(end);
        self.finalised(end, end);
    }

    /// The recess is over because the socket is. Whether the service had said all.
    pub(super) fn lose_recess(&mut self, failure: &Failure) {
        if let Some(mut recess) = self.recess.take() {
            let taken = recess.lose_socket();
            if taken && failure.is_in_form() {
                self.all_was_said();
            }
        }
    }

    /// The socket is gone while nothing is wanted of it. Whether it need not be
    /// opened again before the pause is over: a service that closes an idle socket
    /// in due form, or for its limits (1008), would close the next one too.
    pub(super) fn may_stay_away(&self, failure: &Failure) -> bool {
        self.stays_away()
            || self.holds() && (failure.is_in_form() || failure.close_code == Some(1008))
    }

    /// The service no longer processes: what that came to.
    pub(super) fn bill(&mut self, now: Time) {
        self.stats.billable_time += self.unbilled(now);
        self.processing_since = None;
    }

    /// What this start has come to so far, unless it was billed: the time that the
    /// service took audio, or the audio itself, where it took that faster.
    pub(super) fn unbilled(&self, now: Time) -> Time {
        self.processing_since.map_or(Time::ZERO, |since| {
            let given = Time::from_nanos(self.generation.given());
            now.saturating_sub(since).max(given)
        })
    }

    /// Closes, or gives up dialing, until the pause is over.
    pub(super) fn hang_up(&mut self, now: Time) {
        self.count_and_close(now, 1001, "paused");
        self.pause.hung_up = true;
        self.phase = Phase::Idle;
        self.rest();
    }

    /// There is no start, and none is missed.
    pub(super) fn rest(&mut self) {
        self.down_since = None;
        self.set_state(State::Idle, None, None);
    }

    pub(super) fn recess_timeout(&mut self, now: Time) {
        let settle = self.settle();
        let due = |recess: &&mut Stop| recess.deadline(settle) <= now;
        let Some(recess) = self.recess.as_mut().filter(due) else {
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
        // The same stop would come again and again if this audio were sent again.
        if (self.label_changes() || self.is_misplaced()) && !self.holds() {
            let end = self.generation.end();
            self.unread.forget_open();
            for span in self.spool.unheard().filter(|span| span.start < end) {
                self.note_gap(span.start..span.end.min(end), GapReason::NotFinalised);
            }
            self.all_was_said();
        }
        self.cut(now, Failure::retryable(Reason::DrainTimeout, message));
    }

    /// The service does not take changes of format in mid-stream, or so it
    /// seems: it complained, or closed, before it took any audio of the new one.
    pub(super) fn modify_refused(&mut self) -> bool {
        let refused = self.modified_at.take().is_some();
        if refused {
            self.config.format_change = FormatChangePolicy::Reconnect;
        }
        refused
    }

    /// The service told an error right after a change of format.
    pub(super) fn modify_failed(&mut self, now: Time, said: Option<&str>) {
        if !self.modify_refused() {
            return;
        }
        let said = said.map(|said| format!(" ({said})")).unwrap_or_default();
        let message = format!(
            "the service told an error{said} right after a change of format in mid-stream: from now on \
             it is connected to anew for each; caps-change-policy=reconnect does so from the beginning"
        );
        self.emit(
            EventKind::Warning(Failure::retryable(Reason::FormatChange, message.clone())),
            None,
            None,
        );
        self.warned = true;
        self.cut(now, Failure::retryable(Reason::FormatChange, message));
    }
}
