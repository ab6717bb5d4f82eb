// SPDX-License-Identifier: MPL-2.0

//! What a session has to tell its application.

use std::sync::Arc;
use std::time::Duration;
use symbl_protocol::response::{Entity, Insight, Participant, Topic, TrackerMatch};

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Counts the starts of the session from 1; 0 before the first.
    pub generation: u64,
    /// As issued by the service, once known.
    pub conversation_id: Option<Arc<str>>,
    /// Where in the audio it was said, where it was said in the audio.
    pub placement: Option<Placement>,
    /// The item's original text, where it came from the service.
    pub json: Option<String>,
    /// What happened.
    pub kind: EventKind,
}

/// When something was said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Placement {
    /// Running time of its start in nanoseconds.
    pub running_time: Option<u64>,
    /// Stream time of its start in nanoseconds.
    pub stream_time: Option<u64>,
    /// How long it lasts in running time, in nanoseconds.
    pub duration: Option<u64>,
    /// UTC of its start, nanoseconds since the Unix epoch.
    pub utc: Option<i64>,
    /// From the end of the audio coming in to the result coming back.
    pub delay: Option<Duration>,
    /// Whether this audio was sent more than once.
    pub replayed: bool,
}

/// A word with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedWord {
    /// As the service wrote it.
    pub word: String,
    /// Running time of its start in nanoseconds.
    pub running_time: Option<u64>,
    /// How long it lasts, in nanoseconds.
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
    State {
        state: State,
        previous: State,
        /// Why, where it was not asked for.
        failure: Option<Failure>,
        /// Number of the dial, from 1, since the last healthy session.
        attempt: u32,
        /// Until the next dial.
        retry_in: Option<Duration>,
    },
    Session {
        event: SessionEvent,
        previous_conversation_id: Option<Arc<str>>,
    },
    /// Audio that will never be transcribed.
    Gap {
        reason: GapReason,
    },
    /// Audible audio went in and nothing came back.
    Stall {
        /// Since the first of it was sent.
        silent_for: Duration,
    },
    /// The end of the stream was reached and everything that can come has come.
    Drained {
        /// False when audio remains that the service did not confirm.
        complete: bool,
        /// How much, in nanoseconds of audio.
        unconfirmed: u64,
    },
    /// An error told by the service inside the session.
    Error {
        message: Option<String>,
        details: Option<String>,
        /// Whether the session ends with it.
        fatal: bool,
    },
    /// A message of a type that is not known here.
    Raw {
        kind: String,
    },
    /// The stream goes on, degraded: something to warn about.
    Warning(Failure),
    /// The session cannot go on.
    Failed(Failure),
}

/// State of a session, as the application sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum State {
    /// Not begun, or paused: the service was asked to stop and not to start again yet.
    #[default]
    Idle,
    /// Dialing, or waiting to dial, for the first time.
    Connecting,
    /// Connected; the start request is on its way.
    Starting,
    /// The service takes audio.
    Listening,
    /// There was a session and it was lost.
    Reconnecting,
    /// The stop request is on its way; results may still come.
    Stopping,
    /// All results have come, or their time was up.
    Drained,
    /// Ended by an error that a retry cannot help.
    Failed,
}

/// What happened to the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// It exists.
    Created,
    /// A reconnect came back into it.
    Resumed,
    /// A reconnect came into another one.
    Split,
    /// The service confirmed a change of format.
    Modified,
    /// The service will add nothing more to it.
    Completed,
}

/// Why audio was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// The spool was full of unsent audio and the policy is to drop the oldest.
    BufferFull,
    /// The end of the stream came, and the service did not take it, or finalise
    /// it, within the drain timeout.
    NotDrained,
    /// It was sent, the link was lost before the service finalised it, and
    /// the spool had no room to keep it so long.
    NotFinalised,
    /// The session failed for good before it was finalised, or had failed when it came.
    SessionFailed,
    /// The service finalised it in a message that cannot be read.
    Unreadable,
}

impl GapReason {
    /// The word on the bus.
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

/// What went wrong, in a word. Stable: applications compare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum Reason {
    Dns,
    Tcp,
    Tls,
    /// Whatever a proxy on the way did, or did not do.
    Proxy,
    Http,
    Auth,
    Limit,
    /// The peer speaks, but not the WebSocket handshake.
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
    /// What came in cannot be a Symbl message.
    Protocol,
    Settings,
    DrainTimeout,
    /// The service does not take a change of format in mid-stream.
    FormatChange,
    /// Somebody set the wall clock.
    WallClock,
    Internal,
}

impl Reason {
    /// The word on the bus.
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

/// A failure of the session, fit for an error message and for a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The word for it.
    pub reason: Reason,
    /// What failed, where, and what to try. Never holds a secret.
    pub message: String,
    /// Status of the HTTP response, if there was one.
    pub http_status: Option<u16>,
    /// WebSocket close code, if there was one.
    pub close_code: Option<u16>,
    /// WebSocket close reason, if there was one.
    pub close_reason: Option<String>,
    /// Whether trying again can help.
    pub retryable: bool,
    /// How long the service asked to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that trying again can help.
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

    /// A failure that trying again cannot help.
    pub fn fatal(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            retryable: false,
            ..Self::retryable(reason, message)
        }
    }

    /// The service closed the socket with `code` (1005: none given, 1006: no close frame).
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

    /// Whether the service closed the socket in due form, as after a stop.
    pub fn is_in_form(&self) -> bool {
        matches!(self.close_code, Some(1000 | 1005))
    }

    /// The service answered the upgrade with an HTTP status.
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
