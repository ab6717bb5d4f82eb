// SPDX-License-Identifier: MPL-2.0

//! The state machine: [`Session`].
//!
//! Split by what comes in: `audio` (from the application), `link` (what
//! happens to the socket, and the waiting for it), `results` (what the service
//! says), `unread` (what of it cannot be read), `refusal` (its errors), `drain` (the end of the
//! stream), `recess` (pauses, and other stops that are not the end), `identity` (what a
//! service needs to know so that it stores replayed audio once). This file holds the state that they
//! share and the way out, [`Session::poll`].

mod audio;
mod drain;
mod identity;
mod link;
mod recess;
mod refusal;
mod results;
mod stall;
mod stop;
mod unread;
mod verdict;

use super::alignment::Alignment;
use super::backoff::Backoff;
use super::chunker::{AudioFormat, Chunker};
use super::config::{FormatChangePolicy, LeakyPolicy, SessionConfig, Speaker};
use super::delivery::Delivery;
use super::event::{Event, EventKind, Failure, Placement, Reason, State};
use super::generation::Generation;
use super::planted::{Bug, planted};
use super::spool::Spool;
use super::stats::{Delays, Stats};
use super::timeline::Timeline;
use super::{Position, Time};
pub use audio::Audio;
use audio::OpenGap;
use bytes::Bytes;
use drain::Drain;
use identity::Identity;
use link::{Liveness, Pacing};
use recess::Pause;
use refusal::Refusals;
use stall::Stall;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use stop::Stop;
use symbl_protocol::ModifyRequest;
use symbl_protocol::response::Message;
use unread::Unread;
use verdict::OddAnswers;

/// What the owner of the socket tells the session.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    /// The dial that was asked for succeeded: the socket is open.
    Connected {
        /// The answer to the upgrade had the header `X-Symbl-Service`: its start requests
        /// may say where their audio stands (`x_stream`).
        announced: bool,
    },
    /// The dial that was asked for failed.
    DialFailed(Failure),
    /// A text message came.
    Text(&'a str),
    /// A binary message came; services send none, and it is ignored.
    Binary,
    /// An RFC 6455 ping came (and was answered by the socket).
    Ping,
    /// An RFC 6455 pong came.
    Pong,
    /// The socket is gone, by a close frame or an error.
    Closed(Failure),
    /// What [`Output::FetchHistory`] asked for, as [`symbl_protocol::response::history`]
    /// reads it.
    History(Vec<Message>),
    /// It could not be had.
    HistoryFailed(Failure),
}

/// What the owner of the socket is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a socket to the service, dropping the one there may still be.
    Dial,
    /// Send a text message.
    Text(String),
    /// Send a binary message.
    Binary(Bytes),
    /// Send an RFC 6455 ping.
    Ping,
    /// Send a close frame and be done with the socket. Nothing more is told about it.
    Close {
        /// WebSocket close code.
        code: u16,
        /// WebSocket close reason.
        reason: &'static str,
    },
    /// Drop the socket (or the dial) as it is.
    Abort,
    /// Get the messages of a conversation from the Conversation API. The last
    /// one asked for counts; a failure does no harm.
    FetchHistory {
        /// Whose messages.
        conversation_id: Arc<str>,
        /// Those that began earlier are of no use, in nanoseconds since the Unix epoch
        /// by the service's wall clock.
        since: i64,
    },
    /// Tell the application.
    Event(Box<Event>),
}

/// Where the session stands. Each wait carries its deadline.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Not begun, ended without a failure and able to begin again, or disconnected
    /// by a pause.
    Idle,
    /// Until the next dial.
    Waiting { until: Time },
    /// The socket is being opened.
    Dialing { deadline: Time },
    /// The socket is open; no audio format is known, or there is a pause, so
    /// nothing is started.
    Connected,
    /// The start request was sent.
    Starting { deadline: Time },
    /// The service takes audio.
    Listening,
    /// The stop request was sent; results may still come.
    Stopping,
    /// The stream is over and so is the socket.
    Drained,
    /// Over by a failure that a retry cannot help.
    Failed,
}

/// A conversation of one sink with the service. See the module's story.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    /// Whether audio comes at the pace of a clock.
    paced: bool,
    /// Whether upstream is live.
    live: bool,
    phase: Phase,
    /// As last told to the application.
    state: State,
    chunker: Chunker,
    spool: Spool,
    timeline: Timeline,
    /// Whether timestamps or the count of samples say where audio stands.
    alignment: Alignment,
    /// Upstream said that the next audio does not follow what came before.
    discontinuity: bool,
    generation: Generation,
    /// What a service that announces itself is told of the stream.
    identity: Identity,
    delivery: Delivery,
    conversation_id: Option<Arc<str>>,
    /// Whether this generation's conversation was told.
    conversation_told: bool,
    /// Who speaks in the audio that is pushed now.
    speaker: Arc<Speaker>,
    /// The format and the speaker that the service was last told.
    wire_format: Option<Arc<AudioFormat>>,
    /// The stream header that has to precede the next chunk.
    header: Option<Bytes>,
    backoff: Backoff,
    /// Dials since there was a session.
    attempt: u32,
    /// Whether there ever was one.
    listened: bool,
    /// Whether the link was lost, and not just closed, since the last one.
    link_lost: bool,
    /// Whether this outage was warned of.
    warned: bool,
    /// What ended the last dial or session.
    last_failure: Option<Failure>,
    /// Before there was a session, the service asked to come later.
    asked_to_wait: bool,
    odd_answers: OddAnswers,
    /// Since when there is no session.
    down_since: Option<Time>,
    /// Since when there is one.
    up_since: Option<Time>,
    liveness: Liveness,
    stall: Stall,
    pacing: Option<Pacing>,
    /// The next chunk is held back until then. Only known while the socket
    /// takes frames: on one that does not, no time makes a difference.
    held_until: Option<Time>,
    drain: Option<Drain>,
    /// The stop under way is not the end.
    recess: Option<Stop>,
    pause: Pause,
    /// Since when the service processes.
    processing_since: Option<Time>,
    /// The socket is new: what the conversation was told while there was none was missed.
    missed_some: bool,
    /// When the latest message began that was told before that, by the service's wall clock.
    told_until: Option<i64>,
    /// There was a stop to make between two starts, and the service had not been
    /// asked to keep the connection after one.
    stops_come: bool,
    /// Whether the service was asked to keep the connection after a stop.
    stays_after_stop: bool,
    /// Where audio of a new format began in mid-stream, until the service was
    /// seen to take it.
    modified_at: Option<Position>,
    /// Audio before this had been sent before this generation began.
    replayed_until: Position,
    /// Audio lost and not told yet: one hole is one gap.
    open_gap: Option<OpenGap>,
    /// Silence sent into the hole that is open now, in nanoseconds.
    filled: u64,
    /// Why the session failed, while it has.
    failed: Option<Reason>,
    /// Audio that nobody confirmed when the session failed or since, in nanoseconds.
    unconfirmed: u64,
    /// Audio whose final could not be read.
    unread: Unread,
    refusals: Refusals,
    /// Whether there is a newer token than the one that the dial began with.
    renewed: bool,
    /// Nobody takes events any more.
    abandoned: bool,
    parse_warned: u64,
    dropping: bool,
    stats: Stats,
    delay_interim: Delays,
    delay_final: Delays,
    /// To be told.
    events: VecDeque<Event>,
    /// Dial, close, abort.
    actions: VecDeque<Output>,
    /// Control frames.
    frames: VecDeque<Output>,
}

impl Session {
    /// A session that has not begun.
    pub fn new(config: SessionConfig) -> Self {
        let nanos = |d: std::time::Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Self {
            paced: true,
            live: false,
            phase: Phase::Idle,
            state: State::Idle,
            chunker: Chunker::new(config.chunk_duration),
            spool: Spool::new(nanos(config.buffer_duration)),
            timeline: Timeline::default(),
            alignment: Alignment::new(config.alignment_threshold, config.discont_wait),
            discontinuity: false,
            generation: Generation::default(),
            identity: Identity::default(),
            delivery: Delivery::default(),
            conversation_id: None,
            conversation_told: false,
            speaker: Arc::new(Speaker {
                user_id: config.start.speaker_user_id.clone(),
                name: config.start.speaker_name.clone(),
            }),
            wire_format: None,
            header: None,
            backoff: Backoff::new(config.reconnect_max_delay, config.seed),
            attempt: 0,
            listened: false,
            link_lost: false,
            warned: false,
            last_failure: None,
            asked_to_wait: false,
            odd_answers: OddAnswers::default(),
            down_since: None,
            up_since: None,
            liveness: Liveness::default(),
            stall: Stall::default(),
            pacing: None,
            held_until: None,
            drain: None,
            recess: None,
            pause: Pause::default(),
            processing_since: None,
            missed_some: false,
            told_until: None,
            stops_come: false,
            stays_after_stop: false,
            modified_at: None,
            replayed_until: 0,
            open_gap: None,
            filled: 0,
            failed: None,
            unconfirmed: 0,
            unread: Unread::default(),
            refusals: Refusals::default(),
            renewed: false,
            abandoned: false,
            parse_warned: 0,
            dropping: false,
            stats: Stats::default(),
            delay_interim: Delays::default(),
            delay_final: Delays::default(),
            events: VecDeque::new(),
            actions: VecDeque::new(),
            frames: VecDeque::new(),
            config,
        }
    }

    /// How audio comes in: `live` decides the automatic leaky policy, `paced`
    /// (live, or synchronised to a clock) whether a backlog is held back to
    /// the catch-up rate.
    pub fn set_upstream(&mut self, live: bool, paced: bool) {
        self.live = live;
        self.paced = paced;
    }

    /// Whether audio comes at the pace of a clock, and not as fast as it is taken.
    pub fn is_paced(&self) -> bool {
        self.paced
    }

    /// As last told to the application.
    pub fn state(&self) -> State {
        self.state
    }

    /// As issued by the service, once known.
    pub fn conversation_id(&self) -> Option<&Arc<str>> {
        self.conversation_id.as_ref()
    }

    /// Whether everything that can happen has happened and was given out: the
    /// stream was drained, or the session failed.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Drained | Phase::Failed)
            && self.events.is_empty()
            && self.actions.is_empty()
    }

    /// Whether the session ended by a failure that a retry cannot help.
    pub fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Whether half of the bound is free, or nobody is ever to wait for room.
    pub fn has_much_room(&self) -> bool {
        self.drops_oldest()
            || matches!(self.phase, Phase::Failed)
            || self.spool.backlog() <= self.spool.limit() / 2 && self.has_room()
    }

    /// Whether there is room for more audio within the bound. Always, where the
    /// oldest is dropped for the newest.
    pub fn has_room(&self) -> bool {
        self.drops_oldest()
            || matches!(self.phase, Phase::Failed)
            || self.spool.has_room(self.chunker.chunk_nanos())
    }

    /// Whether [`Session::poll`] may have something to give. Audio that is held
    /// back has a time of its own: see [`Session::next_timeout`].
    pub fn needs_poll(&self, writable: bool) -> bool {
        let audio = self.phase == Phase::Listening && self.held_until.is_none();
        !self.events.is_empty()
            || !self.actions.is_empty()
            || writable && (!self.frames.is_empty() || audio && !self.spool.is_drained())
    }

    /// Returns `true` if the wall clock is to be read for the audio that comes now.
    pub fn wants_wall_clock(&self, now: Time) -> bool {
        self.discontinuity || self.timeline.wants_wall_clock(now)
    }

    /// Returns the running time, in nanoseconds, of the audio that comes next, as far
    /// as the audio before tells.
    pub fn expected_running_time(&self) -> Option<u64> {
        self.timeline
            .expected(self.chunker.position())?
            .running_time
    }

    /// Returns `true` unless timestamps are apart from the count of samples, and it is
    /// not decided which are right: until then the session has to see each timestamp.
    pub fn is_settled_in_time(&self) -> bool {
        self.alignment.is_settled()
    }

    /// Audio that is held in memory, sent or not, in nanoseconds.
    pub fn audio_kept(&self) -> u64 {
        self.spool.held() + self.pending_nanos()
    }

    /// When the pending audio leaves at the latest.
    pub fn chunk_deadline(&self) -> Option<Time> {
        self.chunker.deadline()
    }

    /// Counters, as of now.
    pub fn stats(&self, now: Time) -> Stats {
        let open = self
            .up_since
            .map_or(Time::ZERO, |since| now.saturating_sub(since));
        Stats {
            audio_spooled: self.spool.unsent_duration() + self.pending_nanos(),
            connected_time: self.stats.connected_time + open,
            billable_time: self.stats.billable_time + self.unbilled(now),
            delay_interim: self.delay_interim.percentiles(),
            delay_final: self.delay_final.percentiles(),
            ..self.stats.clone()
        }
    }

    /// What is to be done next, until there is nothing. `writable`: whether
    /// the socket takes another frame now; without it no frame is given out.
    pub fn poll(&mut self, now: Time, writable: bool) -> Option<Output> {
        // Actions first: a close frame is not to wait for an application that
        // takes its time over an event.
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        if let Some(event) = self.events.pop_front() {
            return Some(Output::Event(Box::new(event)));
        }
        if !writable {
            return None;
        }
        // Where there is no frame, the look for one may have found that the socket is
        // to be closed.
        self.next_frame(now).or_else(|| self.actions.pop_front())
    }

    /// The next frame, if nothing else is to be done before it: for one who can
    /// only send. The socket takes it.
    pub fn poll_frame(&mut self, now: Time) -> Option<Output> {
        match self.actions.is_empty() && self.events.is_empty() {
            true => self.next_frame(now),
            false => None,
        }
    }

    fn next_frame(&mut self, now: Time) -> Option<Output> {
        if let Some(frame) = self.frames.pop_front() {
            return Some(frame);
        }
        match self.phase {
            Phase::Starting { .. } if planted(Bug::AudioBeforeTheAcknowledgement) => {
                self.poll_audio(now)
            }
            Phase::Listening => {
                let audio = self.poll_audio(now);
                if audio.is_none() {
                    self.stop_when_paused(now);
                    self.stop_when_drained(now);
                    return self.frames.pop_front();
                }
                audio
            }
            _ => None,
        }
    }

    /// What else there is to tell behind an [`Output::Event`], for one who tells
    /// all of it at once.
    pub fn more_events(&mut self) -> impl Iterator<Item = Event> {
        self.events.drain(..)
    }

    /// The next piece of audio, in the order: change of format, header, chunk.
    fn poll_audio(&mut self, now: Time) -> Option<Output> {
        let chunk = self.spool.peek()?;
        self.held_until = self
            .pacing
            .as_ref()
            .map(|pacing| pacing.ready_at(chunk.start))
            .filter(|at| *at > now);
        if self.held_until.is_some() {
            return None;
        }
        if self.is_misplaced() {
            return self.stop_between(now);
        }
        if self.wire_format.as_ref() != Some(&chunk.format) {
            let format = Arc::clone(&chunk.format);
            let told = self.wire_format.as_ref();
            let changes = told.is_none_or(|told| told.wire != format.wire)
                && !planted(Bug::ModifyRequestNotSent);
            let another = told.is_some_and(|told| told.speaker != format.speaker)
                && !planted(Bug::SpeakerNotTold);
            if another || changes && self.config.format_change != FormatChangePolicy::Modify {
                return self.stop_between(now);
            }
            self.header = Some(format.header.clone()).filter(|h| !h.is_empty());
            self.wire_format = Some(Arc::clone(&format));
            if changes {
                self.modified_at.get_or_insert(chunk.start);
                return Some(Output::Text(
                    ModifyRequest {
                        format: format.wire,
                    }
                    .to_json(),
                ));
            }
        }
        if let Some(mut header) = self.header.take() {
            let part = header.split_to(header.len().min(symbl_protocol::MAX_AUDIO_MESSAGE));
            self.header = Some(header).filter(|rest| !rest.is_empty());
            self.stats.bytes_sent += part.len() as u64;
            return Some(Output::Binary(part));
        }
        let chunk = self.spool.peek()?.clone();
        self.tell_gap_before(chunk.start);
        let (fresh, replayed) = self.spool.advance();
        self.generation.began.get_or_insert(now);
        self.generation.give(&chunk);
        self.stall.gave(now, &chunk);
        self.stats.bytes_sent += chunk.data.len() as u64;
        self.stats.chunks_sent += 1;
        self.stats.audio_sent += fresh;
        self.stats.audio_replayed += replayed;
        self.progress(now);
        if self.spool.is_drained() {
            self.pacing = None;
        }
        Some(Output::Binary(chunk.data))
    }

    /// When [`Session::handle_timeout`] wants to be called next.
    pub fn next_timeout(&self) -> Option<Time> {
        let phase = match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Dialing { deadline } | Phase::Starting { deadline } => Some(deadline),
            _ => None,
        };
        let held = self.held_until.filter(|_| self.phase == Phase::Listening);
        let over = matches!(self.phase, Phase::Drained | Phase::Failed);
        let drain = self.drain_deadline().filter(|_| !over);
        [
            phase,
            held,
            drain,
            self.recess
                .as_ref()
                .map(|stop| stop.deadline(self.settle())),
            self.chunker.lookout(),
            self.liveness.next(&self.config, self.has_socket()),
            self.stall_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has passed: does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.held_until = self.held_until.filter(|at| *at > now);
        if self.chunker.deadline().is_some_and(|at| at <= now) {
            self.flush_chunk(now);
        }
        self.chunker.relax(now);
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

    /// The policy in force.
    fn drops_oldest(&self) -> bool {
        match self.config.leaky {
            LeakyPolicy::Auto => self.live,
            LeakyPolicy::None => false,
            LeakyPolicy::Oldest => true,
        }
    }

    fn emit(&mut self, kind: EventKind, placement: Option<Placement>, json: Option<String>) {
        if self.abandoned {
            return;
        }
        self.events.push_back(Event {
            generation: self.generation.number,
            conversation_id: self.conversation_id.clone(),
            placement,
            json,
            kind,
        });
    }

    fn set_state(&mut self, state: State, failure: Option<Failure>, retry_in: Option<Time>) {
        let previous = std::mem::replace(&mut self.state, state);
        if previous != state || failure.is_some() {
            self.emit(
                EventKind::State {
                    state,
                    previous,
                    failure,
                    attempt: self.attempt,
                    retry_in,
                },
                None,
                None,
            );
        }
    }

    /// Where a stretch of audio stands in the pipeline's times.
    fn place(&self, now: Time, span: &Range<Position>) -> Placement {
        let times = self.timeline.locate_heard(span.start, span.end);
        let (start, end) = times.unwrap_or_default();
        Placement {
            running_time: start.running_time,
            stream_time: start.stream_time,
            duration: start
                .running_time
                .zip(end.running_time)
                .map(|(s, e)| e.saturating_sub(s)),
            utc: start.utc,
            delay: self
                .timeline
                .arrival(span.end)
                .map(|at| now.saturating_sub(at)),
            replayed: span.start < self.replayed_until,
        }
    }
}

#[cfg(test)]
mod tests;
