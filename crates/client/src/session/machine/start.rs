// SPDX-License-Identifier: MPL-2.0

//! Start requests, and what the service was told by them.

use super::super::chunker::AudioFormat;
use super::super::config::{FormatChangePolicy, PausePolicy, Speaker};
use super::super::event::{Failure, GapReason, Reason, State};
use super::super::planted::{Bug, planted};
use super::super::{Position, Time};
use super::{Output, Phase, Session};
use bytes::Bytes;
use std::sync::Arc;
use symbl_protocol::{StreamPlace, response};

/// What the service was told by the current start, and by the format changes since.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// The format and the speaker that the service was last told.
    pub(super) format: Option<Arc<AudioFormat>>,
    /// The stream header that has to precede the next chunk, or the rest of it.
    header: Option<Bytes>,
    /// The service was asked to keep the connection after a stop.
    pub(super) stays_after_stop: bool,
    /// A stop between two starts became necessary, and the service had not been asked to
    /// keep the connection after it. All later starts ask for that.
    pub(super) needs_stops: bool,
    /// Position of the first audio of a new format that was announced during a start, until
    /// the service was seen to take it.
    pub(super) modified_at: Option<Position>,
    /// Audio before this had been sent before this start.
    pub(super) replayed_until: Position,
}

impl Terms {
    /// Begins a start with `format`. `with_header`: its stream header is sent first.
    fn begin(&mut self, format: Arc<AudioFormat>, with_header: bool) {
        self.modified_at = None;
        self.tell(format, with_header);
    }

    /// Notes the format that the service is told, and its header for the next chunk.
    pub(super) fn tell(&mut self, format: Arc<AudioFormat>, with_header: bool) {
        self.header = Some(format.header.clone()).filter(|h| !h.is_empty() && with_header);
        self.format = Some(format);
    }

    /// Takes as much of the stream header as one message may hold, if any of it is left.
    pub(super) fn next_header_part(&mut self) -> Option<Bytes> {
        let mut header = self.header.take()?;
        let part = header.split_to(header.len().min(symbl_protocol::MAX_AUDIO_MESSAGE));
        self.header = Some(header).filter(|rest| !rest.is_empty());
        Some(part)
    }

    /// Returns `true` if `next` has another format or speaker than the service was told.
    pub(super) fn differ_from(&self, next: &AudioFormat) -> bool {
        self.format
            .as_ref()
            .is_some_and(|told| next.wire != told.wire || next.speaker != told.speaker)
    }

    /// Notes a final for audio at `position`: if that has the new format, the service took it.
    pub(super) fn heard(&mut self, position: Position) {
        if self.modified_at.is_some_and(|at| at <= position) {
            self.modified_at = None;
        }
    }
}

impl Session {
    /// Returns `true` if the service is asked for finals only: it announced itself, and nothing
    /// here needs what is not final.
    pub(super) fn takes_finals_only(&self) -> bool {
        let needs_more = self.config.interim_results || self.config.start.interim_trackers;
        !needs_more && self.is_announced()
    }

    /// Sends the start request if the connection is open, a format is known and there is no
    /// pause.
    pub(super) fn start_if_ready(&mut self, now: Time) {
        if self.phase != Phase::Connected || self.is_paused() {
            return;
        }
        self.terms.replayed_until = self.spool.sent();
        // Audio whose final was unreadable is sent again, or reported below as lost.
        self.losses.unread.forget_open();
        for span in self.spool.rewind() {
            self.lose(span, GapReason::NotFinalised);
        }
        let format = match self.spool.peek() {
            Some(chunk) => chunk.format.clone(),
            None => match self.upstream.chunker.format() {
                Some(format) => format.clone(),
                None => return,
            },
        };
        let mut request = self.config.start.clone();
        request.format = format.wire;
        request.speaker_user_id.clone_from(&format.speaker.user_id);
        request.speaker_name.clone_from(&format.speaker.name);
        request.stream = self.next_attempt();
        request.interim_results &= !self.takes_finals_only();
        request.recognition_progress &= self.is_announced();
        request.analytics &= self.is_announced();
        if self.plans_stops() {
            request.disconnect_on_stop_request = Some(false);
        }
        self.terms.stays_after_stop = request.disconnect_on_stop_request == Some(false);
        let text = match request.to_json() {
            Ok(text) => text,
            Err(error) => {
                let message = format!("the start request cannot be sent: {error}");
                return self.fail(now, Failure::fatal(Reason::Settings, message));
            }
        };
        let mut next = self.generation.next();
        next.asked = Some(now);
        // The application may name the stream otherwise.
        let named = |_: &&StreamPlace| !request.extra.contains_key("x_stream");
        next.tell(request.stream.as_ref().filter(named));
        if planted(Bug::GenerationForgotten) {
            next = self.generation.clone();
        }
        let ended = std::mem::replace(&mut self.generation, next);
        self.delivery.begin_generation(ended);
        self.name_speaker(&format.speaker);
        self.stall.answered();
        self.outage.refusals.begin();
        self.conversation.begin_start();
        let repeats = self.generation.number == 1 || !planted(Bug::HeaderNotRepeated);
        self.terms.begin(format, repeats);
        self.phase = Phase::Starting {
            deadline: now + self.config.connect_timeout,
        };
        self.set_state(State::Starting, None, None);
        self.outbox.frames.push_back(Output::Text(text));
    }

    /// Tells the delivery the speaker's name, by which it knows messages of this session. The
    /// service was told the same.
    fn name_speaker(&mut self, told: &Speaker) {
        if told.user_id.is_some() || told.name.is_some() {
            self.delivery.speaks_as(&response::Participant {
                id: None,
                user_id: told.user_id.clone(),
                name: told.name.clone(),
            });
        }
    }

    /// Begins to send audio: the service acknowledged the start.
    pub(super) fn listening(&mut self, now: Time) {
        if !matches!(self.phase, Phase::Starting { .. }) {
            return;
        }
        self.phase = Phase::Listening;
        self.counters.begin(now);
        self.losses.warned = false;
        let had_session = self.outage.had_session;
        let link_lost = self.outage.end();
        match had_session {
            true => self.counters.stats.reconnects += u64::from(link_lost),
            false => self.begin_to_drain_late(now),
        }
        let next = self.spool.peek().map(|chunk| chunk.start);
        let backlog = next.filter(|_| self.upstream.is_paced());
        self.pacing.begin(now, backlog, self.config.catch_up_rate);
        self.set_state(State::Listening, None, None);
    }

    /// Returns `true` if start requests ask the service to keep the connection after a stop,
    /// because another start is to follow.
    fn plans_stops(&self) -> bool {
        self.terms.needs_stops
            || self.config.pause != PausePolicy::Keep
            || self.config.format_change != FormatChangePolicy::Modify
    }

    /// Returns `true` if the next audio has a format, or a speaker, that the service was not
    /// told.
    pub(super) fn label_changes(&self) -> bool {
        self.spool
            .peek()
            .is_some_and(|chunk| self.terms.differ_from(&chunk.format))
    }

    /// Returns `true` if the service refused a change of format during a start: it reported
    /// an error, or closed, before it took any audio of the new format. From then on a
    /// change of format reconnects.
    pub(super) fn modify_refused(&mut self) -> bool {
        let refused = self.terms.modified_at.take().is_some();
        if refused {
            self.config.format_change = FormatChangePolicy::Reconnect;
        }
        refused
    }

    /// Reconnects if the service reported an error (`said`) right after a change of format.
    pub(super) fn modify_failed(&mut self, now: Time, said: Option<&str>) {
        if !self.modify_refused() {
            return;
        }
        let said = said.map(|said| format!(" ({said})")).unwrap_or_default();
        let message = format!(
            "the service told an error{said} right after a change of format in mid-stream: from now on \
             it is connected to anew for each; caps-change-policy=reconnect does so from the beginning"
        );
        let failure = Failure::retryable(Reason::FormatChange, message);
        self.warn(failure.clone());
        self.outage.warned = true;
        self.cut(now, failure);
    }
}
