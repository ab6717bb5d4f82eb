// SPDX-License-Identifier: MPL-2.0

//! Ends that do not wait for results: the application closes, or the owner breaks down.

use super::super::Time;
use super::super::event::{Failure, State};
use super::super::planted::{Bug, planted};
use super::{Output, Phase, Session};

impl Session {
    /// Closes the session: asks the service to stop and closes the connection, without
    /// waiting for results. No event follows.
    pub fn close(&mut self) {
        // A start request that has not left yet needs no stop; a stop request that has left
        // is not repeated.
        let waits = self.outbox.holds_request();
        self.outbox.clear();
        let needs_stop = match self.phase {
            Phase::Starting { .. } => !waits,
            Phase::Listening => true,
            Phase::Stopping => waits,
            _ => false,
        };
        if needs_stop {
            self.outbox.request_stop();
        }
        if self.has_socket() {
            self.outbox.frames.push_back(Output::Close {
                code: 1000,
                reason: "stopped",
            });
        } else {
            self.outbox.actions.push_back(Output::Abort);
        }
        if !planted(Bug::StopForgotten) {
            self.phase = Phase::Idle;
        }
        self.outbox.state = State::Idle;
        self.stops.clear();
        self.counters.stats.audio_dropped += self.forget_unsent();
    }

    /// Fails the session because its owner broke down, as when its task panics. Reports the
    /// audio that was not confirmed as lost.
    pub fn break_down(&mut self, now: Time, failure: Failure) {
        if !matches!(self.phase, Phase::Drained | Phase::Failed) {
            self.fail(now, failure);
        }
    }

    /// Ends the session without any further output, because its owner cannot go on.
    pub fn abandon(&mut self) {
        self.outbox.clear();
        self.phase = Phase::Failed;
        self.outbox.state = State::Failed;
        self.outbox.abandoned = true;
    }

    /// Stops the clocks and closes the connection, or aborts the dial. Code 1000 means that
    /// the client is done, 1001 that it goes away and may come back.
    pub(super) fn count_and_close(&mut self, now: Time, code: u16, reason: &'static str) {
        let had_socket = self.has_socket();
        self.bill(now);
        self.counters.end(now);
        self.outbox.frames.clear();
        self.outbox.actions.push_back(if had_socket {
            Output::Close { code, reason }
        } else {
            Output::Abort
        });
    }

    /// Bills the current start: the service takes no more audio for it.
    pub(super) fn bill(&mut self, now: Time) {
        self.counters.bill(now, self.generation.given());
    }
}
