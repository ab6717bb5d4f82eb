// SPDX-License-Identifier: MPL-2.0

//! The state machine: [`Session`].
//!
//! Audio, network input and the time come in; [`Output`]s go out through [`Session::poll`].
//! Nothing in here waits, does I/O or reads a clock.
//!
//! Each file owns one part of the session and what is done with it:
//!
//! | file | part | |
//! |---|---|---|
//! | `audio`, `holes` | `Upstream` | audio from the application: formats, buffers, times, holes, flushes |
//! | `gaps` | `Losses` | audio that gets no transcript, and the gaps that report it |
//! | `unread` | `Unread` | messages of the service that cannot be parsed |
//! | `link` | `Liveness` | dials, connections, pings |
//! | `outage` | `Outage` | lost connections, refusals, failures, new tokens |
//! | `verdict`, `refusal` | `OddAnswers`, `Refusals` | failed dials and errors of the service that end the session |
//! | `start` | `Terms` | start requests, and what the service was told by them |
//! | `identity` | `Identity` | what a service needs to know to store replayed audio once |
//! | `pacing` | `Pacing` | the rate at which a backlog is sent |
//! | `results` | `Conversation` | what the service says about the audio |
//! | `stall` | `Stall` | a service that takes speech and returns nothing |
//! | `drain`, `recess`, `stop` | `Stops` | the end of the stream, pauses and other stops |
//! | `close` | | ends that do not wait for results |
//! | `counters` | `Counters` | the `stats` property |
//! | `poll` | `Outbox` | the way out |
//!
//! This file holds what ties the parts together.

mod audio;
mod close;
mod counters;
mod drain;
mod gaps;
mod holes;
mod identity;
mod link;
mod outage;
mod pacing;
mod poll;
mod recess;
mod refusal;
mod results;
mod stall;
mod start;
mod stop;
mod unread;
mod verdict;

use super::config::SessionConfig;
use super::delivery::Delivery;
use super::event::{Event, EventKind, Failure, Placement, State};
use super::generation::Generation;
use super::spool::Spool;
use super::stats::Stats;
use super::timeline::Timeline;
use super::{Position, Time};
pub use audio::Audio;
use audio::Upstream;
use bytes::Bytes;
use counters::Counters;
use drain::Stops;
use gaps::Losses;
use identity::Identity;
use link::Liveness;
use outage::Outage;
use pacing::Pacing;
use poll::Outbox;
use results::Conversation;
use stall::Stall;
use start::Terms;
use std::ops::Range;
use std::sync::Arc;
use symbl_protocol::response::Message;

/// An input from the owner of the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    /// The dial that [`Output::Dial`] asked for succeeded: the connection is open.
    Connected {
        /// The answer to the upgrade had the header `X-Symbl-Service`. Start requests to
        /// such a service may say where their audio stands (`x_stream`).
        announced: bool,
    },
    /// The dial that [`Output::Dial`] asked for failed.
    DialFailed(Failure),
    /// A text message arrived.
    Text(&'a str),
    /// A binary message arrived. Services send none, and the session ignores it.
    Binary,
    /// An RFC 6455 ping arrived. The owner has answered it.
    Ping,
    /// An RFC 6455 pong arrived.
    Pong,
    /// The connection ended, by a close frame or by an error.
    Closed(Failure),
    /// The answer to [`Output::FetchHistory`], as [`symbl_protocol::response::history`]
    /// parses it.
    History(Vec<Message>),
    /// The history that [`Output::FetchHistory`] asked for could not be fetched.
    HistoryFailed(Failure),
}

/// A task for the owner of the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a connection to the service. Drop the one before, if there is one.
    Dial,
    /// Send a text message.
    Text(String),
    /// Send a binary message.
    Binary(Bytes),
    /// Send an RFC 6455 ping.
    Ping,
    /// Send a close frame and let the connection go. The session wants no further input
    /// from it.
    Close {
        /// WebSocket close code.
        code: u16,
        /// WebSocket close reason.
        reason: &'static str,
    },
    /// Drop the connection, or the dial, without a close frame.
    Abort,
    /// Fetch the messages of a conversation from the Conversation API. A new request
    /// replaces the one before. A failure does not harm the session.
    FetchHistory {
        /// The conversation.
        conversation_id: Arc<str>,
        /// Messages that began earlier are not needed. In nanoseconds since the Unix
        /// epoch, by the service's wall clock.
        since: i64,
    },
    /// Post an event to the application.
    Event(Box<Event>),
}

/// The state of the session. Each state that waits carries its deadline.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Not begun, disconnected by a pause, or closed. The session can begin (again).
    Idle,
    /// Waits for the time of the next dial.
    Waiting { until: Time },
    /// The connection is being opened.
    Dialing { deadline: Time },
    /// The connection is open. Nothing is started, because no audio format is known or
    /// because of a pause.
    Connected,
    /// The start request was sent.
    Starting { deadline: Time },
    /// The service takes audio.
    Listening,
    /// The stop request was sent. Results may still arrive.
    Stopping,
    /// The stream has ended and the connection is closed.
    Drained,
    /// A failure that no retry can help ended the session.
    Failed,
}

/// The conversation of one sink with the service. The module [`crate::session`] describes it.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    phase: Phase,
    /// Where audio comes from, and how it is cut into chunks.
    upstream: Upstream,
    /// The pipeline's times of the audio.
    timeline: Timeline,
    /// Audio that is to be sent, or that may have to be sent again.
    spool: Spool,
    /// Audio that gets no transcript.
    losses: Losses,
    /// The current start, and the audio that it was given.
    generation: Generation,
    /// The stream as a service that announces itself knows it.
    identity: Identity,
    /// What the service was told by the current start.
    terms: Terms,
    /// Results that were delivered, and those that are owed.
    delivery: Delivery,
    conversation: Conversation,
    /// The time without a session, and the failures in it.
    outage: Outage,
    liveness: Liveness,
    stall: Stall,
    pacing: Pacing,
    /// The end of the stream, and stops after which the session goes on.
    stops: Stops,
    counters: Counters,
    /// What waits for [`Session::poll`].
    outbox: Outbox,
}

impl Session {
    /// Returns a session that has not begun.
    pub fn new(config: SessionConfig) -> Self {
        let bound = u64::try_from(config.buffer_duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            phase: Phase::Idle,
            upstream: Upstream::new(&config),
            timeline: Timeline::default(),
            spool: Spool::new(bound),
            losses: Losses::default(),
            generation: Generation::default(),
            identity: Identity::default(),
            terms: Terms::default(),
            delivery: Delivery::default(),
            conversation: Conversation::default(),
            outage: Outage::new(&config),
            liveness: Liveness::default(),
            stall: Stall::default(),
            pacing: Pacing::default(),
            stops: Stops::default(),
            counters: Counters::default(),
            outbox: Outbox::default(),
            config,
        }
    }

    /// Returns the state that the application was last told.
    pub fn state(&self) -> State {
        self.outbox.state
    }

    /// Returns the conversation id that the service issued, once it is known.
    pub fn conversation_id(&self) -> Option<&Arc<str>> {
        self.conversation.id.as_ref()
    }

    /// Returns `true` if the session has ended, drained or failed, and [`Session::poll`] has
    /// given out all there was.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Drained | Phase::Failed) && self.outbox.is_empty()
    }

    /// Returns `true` if the session ended by a failure that a retry cannot help.
    pub fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Returns the counters, as of now.
    pub fn stats(&self, now: Time) -> Stats {
        let unsent = self.spool.unsent_duration() + self.upstream.pending_nanos();
        self.counters.snapshot(now, self.generation.given(), unsent)
    }

    /// Returns the time at which [`Session::handle_timeout`] has to be called next.
    pub fn next_timeout(&self) -> Option<Time> {
        let phase = match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Dialing { deadline } | Phase::Starting { deadline } => Some(deadline),
            _ => None,
        };
        let held = self.pacing.held_until();
        let over = matches!(self.phase, Phase::Drained | Phase::Failed);
        let drain = self.drain_deadline().filter(|_| !over);
        [
            phase,
            held.filter(|_| self.phase == Phase::Listening),
            drain,
            self.stops.recess_deadline(self.settle()),
            self.upstream.chunker.lookout(),
            self.liveness.next(&self.config, self.has_socket()),
            self.stall_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Carries out what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        self.pacing.release(now);
        if self.upstream.chunker.deadline().is_some_and(|at| at <= now) {
            self.flush_chunk(now);
        }
        self.upstream.chunker.relax(now);
        self.link_timeout(now);
        self.stall_timeout(now);
        self.recess_timeout(now);
        self.drain_timeout(now);
    }

    fn has_socket(&self) -> bool {
        matches!(
            self.phase,
            Phase::Connected | Phase::Starting { .. } | Phase::Listening | Phase::Stopping
        )
    }

    fn emit(&mut self, kind: EventKind, placement: Option<Placement>, json: Option<String>) {
        if self.outbox.abandoned {
            return;
        }
        self.outbox.events.push_back(Event {
            generation: self.generation.number,
            conversation_id: self.conversation.id.clone(),
            placement,
            json,
            kind,
        });
    }

    /// Posts a warning: the session goes on.
    fn warn(&mut self, failure: Failure) {
        self.emit(EventKind::Warning(failure), None, None);
    }

    fn set_state(&mut self, state: State, failure: Option<Failure>, retry_in: Option<Time>) {
        let previous = std::mem::replace(&mut self.outbox.state, state);
        if previous != state || failure.is_some() {
            let kind = EventKind::State {
                state,
                previous,
                failure,
                attempt: self.outage.attempt,
                retry_in,
            };
            self.emit(kind, None, None);
        }
    }

    /// Returns the pipeline's times of a stretch of audio.
    fn place(&self, now: Time, span: &Range<Position>) -> Placement {
        let times = self.timeline.locate_heard(span.start, span.end);
        let (start, end) = times.unwrap_or_default();
        let arrival = self.timeline.arrival(span.end);
        Placement {
            from: span.start,
            until: span.end,
            running_time: start.running_time,
            stream_time: start.stream_time,
            duration: start
                .running_time
                .zip(end.running_time)
                .map(|(s, e)| e.saturating_sub(s)),
            utc: start.utc,
            delay: arrival.map(|at| now.saturating_sub(at)),
            replayed: span.start < self.terms.replayed_until,
        }
    }
}

#[cfg(test)]
mod tests;
