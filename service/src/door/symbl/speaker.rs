// SPDX-License-Identifier: MPL-2.0

//! The socket of a speaker: which messages are sent when, and what the client may do in
//! which phase.
//!
//! The order of messages and the phases are those of the Symbl Streaming API reference.
//! Where the reference says nothing, this service does the following:
//!
//! - It answers a start with `started_listening`, `conversation_created` and
//!   `recognition_started`, in this order.
//! - It answers a second start with an error, and the running stream goes on.
//! - A pause does not end the conversation: `conversation_completed` is sent to a socket
//!   before it is closed, and only then.
//! - `recognition_stopped` comes before the last results and `conversation_completed`, but
//!   after them for a [`ClientKind`] that would hang up at it.
//! - On a socket that stays open after a stop, a client that names its streams is sent
//!   `recognition_stopped` a second time when all results were sent. Only that tells it the
//!   end of them: the last one waits for its commit, however long that takes.
//! - When a socket is lost, the client will send all audio without a final again, so that
//!   audio is not transcribed. After a clean close it is transcribed.
//! - A stop whose last results are missing, because they took too long or could not be
//!   recognised or stored, ends with an error and close 1011, without
//!   `conversation_completed`. The client can send that audio again in the same conversation.
//! - A stopped socket has finished when its client knows it: the client has closed the
//!   socket, or has answered the service's close frame. Otherwise the socket is lost, and
//!   the client finds what it missed in the same conversation.
//!
//! A message of a client may end its own socket and nothing else.

use crate::config::ServerConfig;
use crate::conversation::attribution::SharedTurns;
use crate::conversation::entry::Speaker;
use crate::conversation::form::Recipient;
use crate::conversation::hub::{Leave, SocketSlot};
use crate::conversation::log::StreamPosition;
use crate::conversation::participants::Called;
use crate::conversation::slot::SUPERSEDED;
use crate::conversation::sockets::OpenSocket;
use crate::door::symbl::annotations::{BOOKMARK, Mixed, SPEAKER_EVENT};
use crate::door::symbl::bounds;
use crate::door::symbl::client::ClientKind;
use crate::door::symbl::closing::{Closing, SocketEnd};
use crate::door::symbl::{trackers, unsupported};
use crate::hearing::admission::{Demand, Full};
use crate::hearing::audio::StreamError;
use crate::hearing::masking::{Asked, Masking};
use crate::hearing::recognizer::{self, StreamOptions};
use crate::hearing::results::{ResultWriter, Speaking, Wanted};
use crate::hearing::stream::{self, Before, Outcome, Places, Start, Stream};
use crate::store::notes::Notes;
use crate::trackers::phrasebook::Compiled;
use bytes::Bytes;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use symbl_analysis::AnalyzerOptions;
use symbl_protocol::request::ClientMessageError;
use symbl_protocol::{ClientMessage, Encoding, PONG_TEXT, StartRequest, StreamFormat, reply};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::{Instant, timeout_at};

/// `disconnectOnStopRequestTimeout` by default.
const PAUSE: Duration = Duration::from_secs(1800);

/// How a socket is closed after a stop whose last results are missing. Without
/// `conversation_completed`, and with this code, no client takes its audio for heard, and
/// with a new connection it can go on in the same conversation.
const INCOMPLETE: Closing = Closing::Close {
    code: 1011,
    reason: "results are missing",
    leave: Leave::Lost,
};

/// Most streams of a socket that may drain while it has started the next one. A client
/// that waits for the last results before it starts again has none.
const MOST_DRAINING: usize = 2;

/// The phase of a speaker's socket.
#[derive(Debug)]
enum Phase {
    /// Not started yet, or ended by an error.
    Idle,
    /// Started: audio is taken.
    Processing(Stream),
    /// Stopped: the last results are to come.
    Draining { stream: Stream, stopped: Instant },
    /// Stopped and drained: another start may come.
    Paused { until: Instant },
}

/// What the last start request says about a stop.
#[derive(Debug, Clone, Copy)]
struct StopPolicy {
    disconnect: bool,
    timeout: Duration,
    /// The client names its streams, and so knows the extensions.
    extended: bool,
}

/// The state of a speaker's socket.
pub(crate) struct SpeakerSocket {
    pub(super) config: Arc<ServerConfig>,
    client: ClientKind,
    pub(super) slot: SocketSlot,
    open: Arc<OpenSocket>,
    pub(super) notes: Arc<dyn Notes>,
    /// What the last start said of the audio.
    pub(super) mixed: Option<Mixed>,
    own: Recipient,
    places: Arc<Places>,
    /// One permit for each stream that may drain behind another start.
    draining: Arc<Semaphore>,
    phase: Phase,
    policy: Option<StopPolicy>,
    last_activity: Instant,
    /// When the socket last came to have no stream.
    rests_since: Instant,
}

/// Returns what a request asks to be hidden.
fn asked(request: &StartRequest) -> Asked {
    Asked {
        identify: request.identify_content,
        redact: request.redact_content,
        replacement: request.redaction_string.clone(),
    }
}

impl SpeakerSocket {
    pub(crate) fn new(
        config: Arc<ServerConfig>,
        client: ClientKind,
        (slot, open): (SocketSlot, Arc<OpenSocket>),
        notes: Arc<dyn Notes>,
        own: Recipient,
        places: Arc<Places>,
    ) -> Self {
        Self {
            config,
            client,
            slot,
            open,
            notes,
            mixed: None,
            own,
            places,
            draining: Arc::new(Semaphore::new(MOST_DRAINING)),
            phase: Phase::Idle,
            policy: None,
            last_activity: Instant::now(),
            rests_since: Instant::now(),
        }
    }

    /// Returns when [`SpeakerSocket::deadline_passed`] has to be called.
    pub(crate) fn deadline(&self) -> Instant {
        let of_phase = self.deadline_of_phase();
        match self.phase {
            Phase::Idle | Phase::Paused { .. } if self.places.is_admitted() => {
                of_phase.min(self.rests_since + self.config.limits.start)
            }
            _ => of_phase,
        }
    }

    fn deadline_of_phase(&self) -> Instant {
        match self.phase {
            Phase::Idle | Phase::Processing(_) => self.last_activity + self.config.limits.idle,
            Phase::Draining { stopped, .. } => stopped + self.config.limits.drain,
            Phase::Paused { until } => until,
        }
    }

    /// Waits for the end of the running stream, for ever without one. Then
    /// [`SpeakerSocket::stream_ended`] has to be called.
    pub(crate) async fn stream_end(&mut self) -> Option<Outcome> {
        match &mut self.phase {
            Phase::Processing(stream) | Phase::Draining { stream, .. } => stream.done().await,
            Phase::Idle | Phase::Paused { .. } => pending().await,
        }
    }

    /// Handles a text frame.
    pub(crate) async fn text(&mut self, text: &str) -> Option<Closing> {
        let message = match ClientMessage::parse(text) {
            Ok(ClientMessage::Ping) => {
                self.own.send(PONG_TEXT);
                return None;
            }
            Ok(message) => message,
            Err(error) => {
                let code = match error {
                    ClientMessageError::Malformed(_) => "invalid_message",
                    ClientMessageError::Field(_) => "invalid_request",
                };
                self.error("Invalid message", &error.to_string(), code);
                return None;
            }
        };
        self.last_activity = Instant::now();
        match message {
            ClientMessage::Start(request) => {
                self.warn_of_unsupported(text);
                self.start(&request).await;
                None
            }
            ClientMessage::Modify {
                encoding,
                sample_rate,
            } => {
                self.warn_of_unsupported(text);
                self.modify(encoding, sample_rate).await;
                None
            }
            ClientMessage::Stop => self.stop().await,
            ClientMessage::Ping => None,
            ClientMessage::Unknown(kind) if kind == BOOKMARK => {
                self.bookmark(text).await;
                None
            }
            ClientMessage::Unknown(kind) if kind == SPEAKER_EVENT => {
                self.speaker_event(text).await;
                None
            }
            ClientMessage::Unknown(kind) => {
                let kind = bounds::shortened(&kind);
                let details = format!("nothing is known of the type `{kind}`");
                self.error("Unknown message", &details, "unknown_type");
                None
            }
        }
    }

    /// Handles a binary frame, which is audio if a stream runs.
    pub(crate) async fn binary(&mut self, bytes: Bytes) -> Option<Closing> {
        self.last_activity = Instant::now();
        let Phase::Processing(stream) = &self.phase else {
            return None;
        };
        let limit = self.config.limits.audio_message;
        if self.config.strict && bytes.len() > limit {
            let details = format!(
                "an audio message of {} bytes came; at most {limit} are allowed",
                bytes.len()
            );
            self.error("Audio message too large", &details, "audio_too_large");
            return Some(Closing::Close {
                code: 1009,
                reason: "audio message too large",
                leave: Leave::Lost,
            });
        }
        if !bytes.is_empty() {
            stream.audio(bytes).await;
        }
        None
    }

    async fn start(&mut self, request: &StartRequest) {
        let refused = match &self.phase {
            Phase::Processing(_) => Some(("it is running", "already_started")),
            Phase::Draining { .. } if self.disconnects() => {
                Some(("it is stopping and will be closed", "stopping"))
            }
            _ => None,
        };
        if let Some((why, code)) = refused {
            self.error("The session was not started again", why, code);
            return;
        }
        let Ok(permits) = self.permits_to_drain() else {
            self.error(
                "The session was not started again",
                "streams that were stopped still say what they heard; wait for their results",
                "too_many_streams",
            );
            return;
        };
        if let Err(why) = bounds::check(request, &self.config.limits) {
            self.error("The session was not started", &why, "invalid_request");
            return;
        }
        let language = request.language_code.as_deref().unwrap_or_default();
        let engine = match self.places.hearing().engines.choose(language) {
            Ok(engine) => engine,
            Err(why) => {
                let language = bounds::shortened(language);
                let details = format!("config.languageCode: {language:?} is not understood: {why}");
                self.error(
                    "The session was not started",
                    &details,
                    "unsupported_language",
                );
                return;
            }
        };
        let account = &self.slot.conversation.key.account;
        let kept = trackers::kept(&self.slot.hub, account, request).await;
        let (trackers, tracker_ids) = crate::trackers::beside(kept, request.trackers.clone());
        let Some(trackers) = self.slot.hub.phrasebook.get(trackers) else {
            self.error(
                "The session was not started",
                "the trackers of all streams take as much memory as they may; try again \
                 later, or with fewer phrases",
                "too_many_trackers",
            );
            return;
        };
        let speaker = match self.speaker(request) {
            Ok(speaker) => speaker,
            Err(why) => {
                self.error("The session was not started", &why, "invalid_request");
                return;
            }
        };
        let keep = request.no_connection_timeout.map(|seconds| {
            let asked = Duration::from_secs(seconds.into());
            asked.min(self.config.limits.no_connection)
        });
        let interim = request.interim_results || request.interim_trackers;
        // The socket may have given its reservation back while it had no stream.
        let effort = match self.places.admit(Demand {
            engine: engine.number,
            interim,
        }) {
            Ok(effort) => effort,
            Err(full) => {
                let details = match full {
                    Full::Capacity => "as many streams are recognised as can be; try again later",
                    Full::Lag => "recognition is behind the streams that are here; try again later",
                };
                self.error("The session was not started", details, "overloaded");
                return;
            }
        };
        self.slot.speaks(Some(&speaker.id), keep);
        if let Some(stream) = &request.stream {
            self.slot.supersede(&stream.id, stream.attempt);
        }
        self.policy = Some(StopPolicy {
            disconnect: request.disconnect_on_stop_request.unwrap_or(true),
            timeout: request
                .disconnect_on_stop_request_timeout
                .map_or(PAUSE, |seconds| Duration::from_secs(seconds.into())),
            extended: request.stream.is_some(),
        });
        let before = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Draining { stream, stopped } => {
                stream.hold(permits);
                let until = (stopped + self.config.limits.drain).into_std();
                Some(Before { stream, until })
            }
            _ => None,
        };
        let start = Start {
            recognizer: engine.recognizer,
            options: StreamOptions {
                vocabulary: recognizer::composed(&request.custom_vocabulary),
                language: request.language_code.clone().unwrap_or_default(),
                interim,
                max_final_delay: request.max_final_delay.map(Duration::from_secs_f64),
                bulk: false,
                connection: self.slot.conversation.key.connection_id.clone(),
            },
            format: request.format,
            results: self.results(request, speaker, trackers, tracker_ids),
            effort,
            before,
        };
        self.log("started");
        let pool = &self.places.hearing().pool;
        let stream = Stream::start(start, pool, &self.config.limits);
        self.open.follow(stream.rest());
        self.phase = Phase::Processing(stream);
    }

    /// Bounds a stream that goes on without its socket, if only until it sees that it was
    /// abandoned. It takes one of the places for streams that drain. If all are taken, it
    /// keeps the places of the socket.
    fn leave_behind(&self, stream: &Stream) {
        match Arc::clone(&self.slot.hub.draining).try_acquire_owned() {
            Ok(permit) => stream.hold(permit),
            Err(_) => stream.hold(Arc::clone(&self.places)),
        }
    }

    /// Returns what the draining stream has to hold if another one is started: one of this
    /// socket's places for such streams, and one of the service's.
    fn permits_to_drain(&self) -> Result<Vec<OwnedSemaphorePermit>, TryAcquireError> {
        if !matches!(self.phase, Phase::Draining { .. }) {
            return Ok(Vec::new());
        }
        let places = [&self.draining, &self.slot.hub.draining].into_iter();
        places
            .map(|places| Arc::clone(places).try_acquire_owned())
            .collect()
    }

    /// Tells the client and the log which fields of the request the service does not do.
    fn warn_of_unsupported(&self, request: &str) {
        let fields = unsupported::fields(request);
        if let Some(details) = unsupported::details(&fields) {
            tracing::warn!(details, "a request asks for what the service does not do");
            self.own.send(reply::warning(
                "Some of the request is not done",
                &details,
                "unsupported",
                &fields,
            ));
        }
    }

    /// Returns the speaker that the request names, without what is hidden of the name, if the
    /// conversation has room for it.
    fn speaker(&self, request: &StartRequest) -> Result<Speaker, String> {
        let limit = self.config.limits.speakers;
        let policy = self.config.redaction.of_stream(&asked(request));
        let written = request.speaker_name.as_deref();
        let shown = written.map(|name| policy.name(name));
        let called = Called {
            user_id: request.speaker_user_id.as_deref(),
            name: shown.as_deref(),
            written,
        };
        let mut state = self.slot.conversation.state();
        let speaker = state.participants.speaker(called, limit);
        speaker.ok_or_else(|| {
            format!("the conversation has {limit} speakers; start as one of them, or with another connection id")
        })
    }

    fn results(
        &mut self,
        request: &StartRequest,
        speaker: Speaker,
        trackers: Arc<Compiled>,
        tracker_ids: Vec<(String, String)>,
    ) -> ResultWriter {
        let asked = asked(request);
        let policy = &self.config.redaction;
        // The words before are not known of a stream that is sent again from some place on.
        let place = request.stream.as_ref();
        let resumed = place.is_some_and(|place| place.attempt > 1 || place.position > 0);
        let wanted = Wanted {
            masking: Masking::new(policy, &asked, resumed),
            options: AnalyzerOptions {
                insight_types: request.insight_types.clone(),
                confidence_threshold: request.confidence_threshold.unwrap_or(0.5),
                trackers: Vec::new(),
                entities: request.detect_entities,
            },
            trackers,
            tracker_ids,
            interim_trackers: request.interim_trackers,
            analytics: request.analytics,
            sentiment: request.sentiment,
            phrases: request.detect_phrases,
            progress: request.recognition_progress,
        };
        let (turns, known) = (SharedTurns::default(), speaker.clone());
        let speaking = Speaking {
            speaker,
            timezone_offset: request.timezone_offset.unwrap_or(0),
            title: request
                .meeting_title
                .as_deref()
                .map(|title| policy.of_stream(&asked).text(title)),
            stream_position: request.stream.as_ref().map(|stream| StreamPosition {
                stream: stream.id.clone(),
                attempt: stream.attempt,
                position: stream.position,
            }),
            told: self.slot.told,
            recorded: None,
            turns: turns.clone(),
            most_speakers: self.config.limits.speakers,
        };
        let results = ResultWriter::new(
            Arc::clone(&self.slot.conversation),
            self.own.clone(),
            self.slot.member,
            Arc::clone(&self.slot.hub.metrics),
            speaking,
            wanted,
        );
        let clock = results.clock().clone();
        self.mixed = Some(Mixed {
            turns,
            clock,
            speaker: known,
            policy: self.config.redaction.of_stream(&asked),
        });
        results
    }

    async fn modify(&mut self, encoding: Option<Encoding>, sample_rate: Option<u32>) {
        let Phase::Processing(stream) = &mut self.phase else {
            let details = "a format can be changed between start_request and stop_request only";
            self.error("Nothing to modify", details, "not_processing");
            return;
        };
        let now = stream.format();
        let wanted = StreamFormat::new(
            encoding.unwrap_or(now.encoding()),
            sample_rate.unwrap_or(now.sample_rate()),
        );
        match wanted {
            Ok(format) => {
                stream.modify(format).await;
                self.own.send(reply::session_modified(format));
            }
            Err(error) => self.error("Not modified", &error.to_string(), "invalid_request"),
        }
    }

    async fn stop(&mut self) -> Option<Closing> {
        let stopped = Instant::now();
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Processing(stream) => {
                self.log("stopped");
                self.tell_stop(false);
                stream.stop().await;
                self.phase = Phase::Draining { stream, stopped };
                None
            }
            Phase::Idle | Phase::Paused { .. } if self.policy.is_some() => {
                self.tell_stop(false);
                self.drained(stopped)
            }
            phase => {
                self.phase = phase;
                self.error("Nothing to stop", "no session is running", "not_processing");
                None
            }
        }
    }

    /// Tells the client that its stop request was taken. A client that knows the extensions
    /// is told by the same message, on a connection that stays open, that all was `told`.
    fn tell_stop(&self, told: bool) {
        let extended = self.policy.is_some_and(|policy| policy.extended);
        match extended && !self.disconnects() {
            true => self.own.send(reply::recognition_stopped_telling(told)),
            false if told || self.tells_stop_last() => {}
            false => self.own.send(reply::recognition_stopped()),
        }
    }

    /// Returns `true` if `recognition_stopped` must be the last message, because the
    /// client hangs up at it.
    fn tells_stop_last(&self) -> bool {
        self.client.hangs_up_when_stopped() && self.policy.is_some_and(|policy| policy.disconnect)
    }

    fn disconnects(&self) -> bool {
        self.policy
            .is_none_or(|policy| policy.disconnect || policy.timeout.is_zero())
    }

    /// Handles the end of the last results after a stop.
    fn drained(&mut self, stopped: Instant) -> Option<Closing> {
        if self.disconnects() {
            return Some(self.complete());
        }
        self.tell_stop(true);
        self.rests_since = Instant::now();
        let timeout = self.policy.map_or(PAUSE, |policy| policy.timeout);
        self.phase = Phase::Paused {
            until: stopped + timeout,
        };
        None
    }

    fn complete(&self) -> Closing {
        self.own
            .send(reply::conversation_completed(&self.slot.conversation.id));
        if self.tells_stop_last() {
            self.own.send(reply::recognition_stopped());
        }
        Closing::Close {
            code: 1000,
            reason: "",
            leave: Leave::Finished,
        }
    }

    /// Handles the end of the stream. `outcome` is `None` if its job panicked.
    pub(crate) fn stream_ended(&mut self, outcome: Option<Outcome>) -> Option<Closing> {
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        match &outcome {
            Some(Outcome::Finished) => {}
            Some(Outcome::Silent) => return Some(self.terminate("nothing was said")),
            Some(Outcome::Failed(error)) => {
                self.own.send(stream::failure(error));
                if matches!(error, StreamError::Superseded) {
                    self.slot.hub.metrics.superseded();
                    return Some(Closing::Close {
                        code: SUPERSEDED,
                        reason: "superseded",
                        leave: Leave::Lost,
                    });
                }
            }
            None => self.own.send(stream::death()),
        }
        match (phase, outcome) {
            // Sent again, the audio may be heard.
            (
                Phase::Draining { .. },
                None
                | Some(Outcome::Failed(
                    StreamError::Recognizer(_) | StreamError::Log(_) | StreamError::Over,
                )),
            ) => Some(INCOMPLETE),
            (Phase::Draining { stopped, .. }, _) => self.drained(stopped),
            _ => {
                self.rests_since = Instant::now();
                self.own.send(reply::processing_terminated());
                None
            }
        }
    }

    /// Handles the time of [`SpeakerSocket::deadline`].
    pub(crate) fn deadline_passed(&mut self) -> Option<Closing> {
        let rests = matches!(self.phase, Phase::Idle | Phase::Paused { .. });
        if rests && Instant::now() < self.deadline_of_phase() {
            self.places.give_back();
            return None;
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => Some(self.terminate("idle")),
            Phase::Processing(stream) => {
                self.leave_behind(&stream);
                stream.abandon();
                Some(self.terminate("no audio"))
            }
            Phase::Draining { stream, .. } => {
                self.leave_behind(&stream);
                stream.abandon();
                self.own.send(stream::undrained());
                Some(INCOMPLETE)
            }
            Phase::Paused { .. } => Some(self.complete()),
        }
    }

    fn terminate(&self, reason: &'static str) -> Closing {
        self.log("terminated");
        self.own.send(reply::processing_terminated());
        Closing::Close {
            code: 1008,
            reason,
            leave: Leave::Finished,
        }
    }

    /// Handles the end of the client's socket.
    pub(crate) async fn closed(&mut self, end: SocketEnd) -> Closing {
        let cleanly = end == SocketEnd::Closed;
        let leave = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Processing(stream) if cleanly => {
                self.leave_behind(&stream);
                stream.stop().await;
                self.outlive(stream, Instant::now());
                Leave::Lost
            }
            Phase::Processing(stream) => {
                self.leave_behind(&stream);
                stream.abandon();
                Leave::Lost
            }
            phase @ Phase::Draining { .. } => {
                self.phase = phase;
                // Some clients do not wait for the last results when they have what they
                // want.
                match end {
                    SocketEnd::Lost => Leave::Lost,
                    SocketEnd::Closed | SocketEnd::Left => Leave::Finished,
                }
            }
            Phase::Idle | Phase::Paused { .. } if cleanly => Leave::Finished,
            Phase::Idle | Phase::Paused { .. } => Leave::Lost,
        };
        Closing::Gone(leave)
    }

    /// Records that the service closes the socket. It is sent nothing more. Call
    /// [`SpeakerSocket::leave`] when it is closed.
    pub(crate) fn closing(&mut self) {
        self.slot.close();
    }

    /// Leaves the conversation. The last results of a stopped stream still go to the other
    /// sockets, unless the client may rejoin and send that audio again.
    pub(crate) fn leave(mut self, how: Leave) {
        if let Phase::Processing(stream) | Phase::Draining { stream, .. } = &self.phase {
            self.leave_behind(stream);
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Processing(stream) => stream.abandon(),
            Phase::Draining { stream, .. } if how == Leave::Lost && self.slot.is_kept() => {
                stream.abandon();
            }
            Phase::Draining { stream, stopped } => self.outlive(stream, stopped),
            Phase::Idle | Phase::Paused { .. } => {}
        }
        self.slot.leave(how);
    }

    /// Lets a stopped stream write its last results when its socket is gone. The
    /// conversation ends only after that.
    fn outlive(&self, mut stream: Stream, stopped: Instant) {
        let until = stopped + self.config.limits.drain;
        let settled = self.slot.owe();
        tokio::spawn(async move {
            if timeout_at(until, stream.done()).await.is_err() {
                stream.abandon();
            }
            settled();
        });
    }

    fn log(&self, event: &str) {
        let conversation = &self.slot.conversation;
        let connection = &conversation.key.connection_id;
        tracing::info!(event, connection, conversation = conversation.id);
    }

    pub(super) fn error(&self, message: &str, details: &str, code: &str) {
        tracing::info!(code, details, "error told to the client");
        let error = match self.client.wants_errors_enveloped() {
            true => reply::enveloped_error(message, details, Some(code)),
            false => reply::error(message, details, Some(code)),
        };
        self.own.send(error);
    }
}
