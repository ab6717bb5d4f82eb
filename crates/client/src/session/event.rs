// SPDX-License-Identifier: MPL-2.0

//! The events that a session reports to its application.

use super::Position;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use symbl_protocol::response::{Entity, Insight, Participant, Topic, TrackerMatch};

/// An event of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The number of the start, from 1; 0 before the first.
    pub generation: u64,
    /// The conversation id that the service issued, once it is known.
    pub conversation_id: Option<Arc<str>>,
    /// The times of the speech or of the audio, if the event is about one.
    pub placement: Option<Placement>,
    /// The original text of an item that came from the service.
    pub json: Option<String>,
    /// What happened.
    pub kind: EventKind,
}

/// The times of a piece of audio.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Placement {
    /// Where the audio starts.
    pub from: Position,
    /// Where the audio ends.
    pub until: Position,
    /// Running time of the start, in nanoseconds.
    pub running_time: Option<u64>,
    /// Stream time of the start, in nanoseconds.
    pub stream_time: Option<u64>,
    /// Duration in running time, in nanoseconds.
    pub duration: Option<u64>,
    /// UTC of the start, in nanoseconds since the Unix epoch.
    pub utc: Option<i64>,
    /// Time from the arrival of the end of the audio to the arrival of the result.
    pub delay: Option<Duration>,
    /// `true` if this audio was sent more than once.
    pub replayed: bool,
}

/// A word and its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedWord {
    /// The word as the service wrote it.
    pub word: String,
    /// The audio of the word.
    pub audio: Range<Position>,
    /// Running time of the start, in nanoseconds.
    pub running_time: Option<u64>,
    /// Duration in running time, in nanoseconds.
    pub duration: Option<u64>,
}

/// Kinds of events. Names follow the bus messages.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the fields are those of the contract, described in docs/messages.md
pub enum EventKind {
    Transcript {
        text: String,
        is_final: bool,
        utterance_id: String,
        confidence: Option<f64>,
        speaker: Option<Participant>,
        words: Vec<PlacedWord>,
        /// How many of the first words of an interim are settled, so that no later interim
        /// changes them; 0 if the service promises nothing.
        stable_words: usize,
    },
    Message {
        id: Option<String>,
        text: String,
        original_text: Option<String>,
        utterance_id: Option<String>,
        speaker: Option<Participant>,
        words: Vec<PlacedWord>,
        sentiment: Option<f64>,
    },
    Insight(Insight),
    Tracker {
        found: TrackerMatch,
        is_final: bool,
    },
    Topic(Topic),
    Entity(Entity),
    /// How long the participants have talked so far.
    Analytics {
        talk_time: Option<Duration>,
        silence: Option<Duration>,
        overlap: Option<Duration>,
    },
    State {
        state: State,
        previous: State,
        /// The reason, unless the application asked for the change.
        failure: Option<Failure>,
        /// Number of the dial, from 1, since the last healthy session.
        attempt: u32,
        /// Time until the next dial.
        retry_in: Option<Duration>,
    },
    Session {
        event: SessionEvent,
        previous_conversation_id: Option<Arc<str>>,
    },
    /// The service has heard the audio up to the start of the placement, which has no length:
    /// no final that is still to come begins before it. Only a service that was asked says so.
    Heard,
    /// Audio that will never be transcribed.
    Gap {
        reason: GapReason,
    },
    /// The service was sent audible audio and returned no result.
    Stall {
        /// Time since the first of that audio was sent.
        silent_for: Duration,
    },
    /// The stream has ended, and all results that can come have come.
    Drained {
        /// `false` if audio remains that the service did not finalise.
        complete: bool,
        /// The duration of that audio, in nanoseconds.
        unconfirmed: u64,
    },
    /// The service reported an error during the session.
    Error {
        message: Option<String>,
        details: Option<String>,
        /// `true` if the error ends the session.
        fatal: bool,
    },
    /// A message of an unknown type.
    Raw {
        kind: String,
    },
    /// The stream goes on, but the application should know of a problem.
    Warning(Failure),
    /// The session cannot go on.
    Failed(Failure),
}

/// State of a session, as the application sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum State {
    /// The session has not begun, or it is paused and the service was asked to stop.
    #[default]
    Idle,
    /// The session dials, or waits to dial, for the first time.
    Connecting,
    /// The connection is open, and the start request is on its way.
    Starting,
    /// The service takes audio.
    Listening,
    /// There was a session and it was lost.
    Reconnecting,
    /// The stop request is on its way. Results may still come.
    Stopping,
    /// All results have come, or the wait for them is over.
    Drained,
    /// An error that no retry can help ended the session.
    Failed,
}

/// What happened to the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// The conversation exists.
    Created,
    /// A reconnect came back into the same conversation.
    Resumed,
    /// A reconnect came into another conversation.
    Split,
    /// The service confirmed a change of format.
    Modified,
    /// The service will add nothing more to the conversation.
    Completed,
}

/// Why audio was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The spool was full of unsent audio, and the policy is to drop the oldest.
    BufferFull,
    /// The stream ended, and the service did not take or finalise the audio within the drain
    /// timeout.
    NotDrained,
    /// The audio was sent, the connection was lost before the service finalised it, and the
    /// spool had no room to keep it for that long.
    NotFinalised,
    /// The session failed before the audio was finalised, or had failed when it came.
    SessionFailed,
    /// The service finalised the audio in a message that cannot be read.
    Unreadable,
}

impl GapReason {
    /// Returns the word that bus messages have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer-full",
            Self::NotDrained => "not-drained",
            Self::NotFinalised => "not-finalised",
            Self::SessionFailed => "session-failed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The kind of a failure. The names are stable, because applications compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum Reason {
    Dns,
    Tcp,
    Tls,
    /// A proxy on the way failed or refused.
    Proxy,
    Http,
    Auth,
    Limit,
    /// The peer answers, but not with a WebSocket handshake.
    Handshake,
    ConnectTimeout,
    StartTimeout,
    PongTimeout,
    Stall,
    /// The service ended its processing by itself.
    Terminated,
    Closed,
    Read,
    Write,
    /// A frame came that cannot be a Symbl message.
    Protocol,
    Settings,
    DrainTimeout,
    /// The service does not take a change of format during a start.
    FormatChange,
    /// The wall clock was set.
    WallClock,
    Internal,
}

impl Reason {
    /// Returns the word that bus messages have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Http => "http",
            Self::Auth => "auth",
            Self::Limit => "limit",
            Self::Handshake => "handshake",
            Self::ConnectTimeout => "connect-timeout",
            Self::StartTimeout => "start-timeout",
            Self::PongTimeout => "pong-timeout",
            Self::Stall => "stall",
            Self::Terminated => "terminated",
            Self::Closed => "closed",
            Self::Read => "read",
            Self::Write => "write",
            Self::Protocol => "protocol",
            Self::Settings => "settings",
            Self::DrainTimeout => "drain-timeout",
            Self::FormatChange => "format-change",
            Self::WallClock => "wall-clock",
            Self::Internal => "internal",
        }
    }
}

/// A failure of the session, with a text for people and a reason for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind of the failure.
    pub reason: Reason,
    /// What failed, where, and what to try. Never holds a secret.
    pub message: String,
    /// Status of the HTTP response, if there was one.
    pub http_status: Option<u16>,
    /// WebSocket close code, if there was one.
    pub close_code: Option<u16>,
    /// WebSocket close reason, if there was one.
    pub close_reason: Option<String>,
    /// `true` if a retry can help.
    pub retryable: bool,
    /// The wait that the service asked for.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// Returns a failure that a retry can help.
    pub fn retryable(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            http_status: None,
            close_code: None,
            close_reason: None,
            retryable: true,
            retry_after: None,
        }
    }

    /// Returns a failure that a retry cannot help.
    pub fn fatal(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            retryable: false,
            ..Self::retryable(reason, message)
        }
    }

    /// Returns the failure for a service that closed the connection with `code`. 1005 means
    /// that it gave no code, 1006 that it sent no close frame.
    pub fn closed(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into().replace('\0', "\u{fffd}"); // would end a C string
        let said = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        let retryable = code != 1008;
        let hint = if retryable {
            "a new connection will be tried"
        } else {
            "it refuses this client by its policy: check the account's limits and the token"
        };
        Self {
            close_code: Some(code),
            close_reason: Some(reason).filter(|r| !r.is_empty()),
            retryable,
            ..Self::retryable(
                Reason::Closed,
                format!("the service closed the connection with code {code}{said}; {hint}"),
            )
        }
    }

    /// Returns `true` if the service closed the connection normally, as after a stop.
    pub fn is_in_form(&self) -> bool {
        matches!(self.close_code, Some(1000 | 1005))
    }

    /// Returns the failure for a service that answered the upgrade with an HTTP status.
    pub fn http(status: u16, said: &str, retry_after: Option<Duration>) -> Self {
        let (reason, retryable, hint) = match status {
            401 | 403 => (Reason::Auth, false, "check access-token"),
            404 => (
                Reason::Http,
                false,
                "check base-url, streaming-path and connection-id",
            ),
            402 => (
                Reason::Limit,
                false,
                "there is no balance: check the account",
            ),
            429 => (
                Reason::Limit,
                true,
                "too many connections; it is tried again later",
            ),
            408 | 500..=599 => (Reason::Http, true, "it is tried again later"),
            _ => (
                Reason::Handshake,
                false,
                "this is not a Symbl streaming service: check base-url and streaming-path",
            ),
        };
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(" ({said})")
        };
        Self {
            reason,
            message: format!(
                "the service answered the WebSocket upgrade with HTTP {status}{said}; {hint}"
            ),
            http_status: Some(status),
            close_code: None,
            close_reason: None,
            retryable,
            retry_after,
        }
    }
}
