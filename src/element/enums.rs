// SPDX-License-Identifier: MPL-2.0

//! The enumerations of the properties, and their conversions to those of the session.
//!
//! Names and nicks are those of `docs/properties.md`.

use gst::glib;
use symbl_client::{session, track};

/// What happens to new audio when the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSymblLeaky")]
#[non_exhaustive]
pub enum Leaky {
    /// Drops for a live upstream, else blocks.
    #[default]
    #[enum_value(
        name = "Auto: like oldest for a live upstream, else like none",
        nick = "auto"
    )]
    Auto = 0,
    /// Blocks upstream.
    #[enum_value(name = "None: upstream blocks until there is room", nick = "none")]
    None = 1,
    /// Drops the oldest unsent audio.
    #[enum_value(
        name = "Oldest: the oldest unsent audio is dropped and told as a gap",
        nick = "oldest"
    )]
    Oldest = 2,
}

impl From<Leaky> for session::LeakyPolicy {
    fn from(leaky: Leaky) -> Self {
        match leaky {
            Leaky::Auto => Self::Auto,
            Leaky::None => Self::None,
            Leaky::Oldest => Self::Oldest,
        }
    }
}

/// What to do about a service that takes speech and returns no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSymblStallAction")]
#[non_exhaustive]
pub enum StallAction {
    /// Posts `symbl/stall`.
    #[default]
    #[enum_value(name = "Report: post symbl/stall", nick = "report")]
    Report = 0,
    /// Posts `symbl/stall` and reconnects.
    #[enum_value(
        name = "Reconnect: post symbl/stall and connect anew",
        nick = "reconnect"
    )]
    Reconnect = 1,
}

impl From<StallAction> for session::StallAction {
    fn from(action: StallAction) -> Self {
        match action {
            StallAction::Report => Self::Report,
            StallAction::Reconnect => Self::Reconnect,
        }
    }
}

/// What PLAYING→PAUSED means for the service. Only PLAYING ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSymblPausePolicy")]
#[non_exhaustive]
pub enum PausePolicy {
    /// The service goes on listening.
    #[default]
    #[enum_value(name = "Keep: the service goes on listening", nick = "keep")]
    Keep = 0,
    /// The service is asked to stop. The connection stays open.
    #[enum_value(
        name = "Stop processing: the service stops, the connection stays",
        nick = "stop-processing"
    )]
    StopProcessing = 1,
    /// The service is asked to stop, and the connection is closed.
    #[enum_value(
        name = "Disconnect: the service stops and the connection is closed",
        nick = "disconnect"
    )]
    Disconnect = 2,
}

impl From<PausePolicy> for session::PausePolicy {
    fn from(policy: PausePolicy) -> Self {
        match policy {
            PausePolicy::Keep => Self::Keep,
            PausePolicy::StopProcessing => Self::StopProcessing,
            PausePolicy::Disconnect => Self::Disconnect,
        }
    }
}

/// How the service is told of new caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSymblCapsChangePolicy")]
#[non_exhaustive]
pub enum CapsChangePolicy {
    /// By `modify_request`, during a start.
    #[default]
    #[enum_value(
        name = "Modify: a modify_request in mid-stream, Reconnect where that is refused",
        nick = "modify"
    )]
    Modify = 0,
    /// By a stop and a start.
    #[enum_value(
        name = "Restart: a stop and a start on the same connection",
        nick = "restart"
    )]
    Restart = 1,
    /// By a stop, and a start on another connection.
    #[enum_value(
        name = "Reconnect: a stop, and a start on another connection",
        nick = "reconnect"
    )]
    Reconnect = 2,
}

impl From<CapsChangePolicy> for session::FormatChangePolicy {
    fn from(policy: CapsChangePolicy) -> Self {
        match policy {
            CapsChangePolicy::Modify => Self::Modify,
            CapsChangePolicy::Restart => Self::Restart,
            CapsChangePolicy::Reconnect => Self::Reconnect,
        }
    }
}

/// What a failure that no retry can help does to the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSymblOnFatal")]
#[non_exhaustive]
pub enum OnFatal {
    /// The pipeline ends.
    #[default]
    #[enum_value(
        name = "Error: an ERROR message, which ends the pipeline",
        nick = "error"
    )]
    Error = 0,
    /// The pipeline goes on without captions.
    #[enum_value(
        name = "Warning: a WARNING message; audio is taken and thrown away",
        nick = "warning"
    )]
    Warning = 1,
}

/// How much text one buffer of a text pad holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSymblTextUnit")]
#[non_exhaustive]
pub enum TextUnit {
    /// One word, as caption encoders want it.
    #[default]
    #[enum_value(
        name = "Word: one word, for caption encoders and transcriberbin",
        nick = "word"
    )]
    Word = 0,
    /// A caption of a few lines.
    #[enum_value(
        name = "Cue: a caption of a few lines, for text overlays, muxers and subtitle files",
        nick = "cue"
    )]
    Cue = 1,
    /// All that a final says.
    #[enum_value(name = "Sentence: all that a final result says", nick = "sentence")]
    Sentence = 2,
}

/// What happens to text that comes after its time has passed on the pad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSymblLateText")]
#[non_exhaustive]
pub enum LateText {
    /// It is shown as soon as possible.
    #[default]
    #[enum_value(
        name = "Move: it follows at once, at a pace that captions can carry",
        nick = "move"
    )]
    Move = 0,
    /// It keeps its true time.
    #[enum_value(
        name = "Keep: it keeps its true time, so that times go back on the pad",
        nick = "keep"
    )]
    Keep = 1,
    /// It is left out.
    #[enum_value(name = "Drop: it is left out, and is on the bus only", nick = "drop")]
    Drop = 2,
}

impl From<LateText> for track::LateText {
    fn from(late: LateText) -> Self {
        match late {
            LateText::Move => Self::Move,
            LateText::Keep => Self::Keep,
            LateText::Drop => Self::Drop,
        }
    }
}

/// Which text that is not final yet goes on a text pad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSymblInterimText")]
#[non_exhaustive]
pub enum InterimText {
    /// Only finals.
    #[default]
    #[enum_value(name = "None: only final text", nick = "none")]
    None = 0,
    /// A settled word goes out when its time comes.
    #[enum_value(
        name = "Commit: a settled word goes out when its time comes, and is never taken back",
        nick = "commit"
    )]
    Commit = 1,
}

/// The state of the session with the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSymblState")]
#[non_exhaustive]
pub enum State {
    /// The session has not begun.
    #[default]
    #[enum_value(name = "Idle: not begun", nick = "idle")]
    Idle = 0,
    /// The session dials, or waits to dial, for the first time.
    #[enum_value(
        name = "Connecting: dialing, or waiting to dial, for the first time",
        nick = "connecting"
    )]
    Connecting = 1,
    /// The connection is open, and the start is not acknowledged yet.
    #[enum_value(
        name = "Starting: connected, waiting for the start acknowledgement",
        nick = "starting"
    )]
    Starting = 2,
    /// The service takes audio.
    #[enum_value(name = "Listening: the service takes audio", nick = "listening")]
    Listening = 3,
    /// There was a session and it was lost.
    #[enum_value(
        name = "Reconnecting: the session was lost and is dialed again",
        nick = "reconnecting"
    )]
    Reconnecting = 4,
    /// The stream has ended. Results may still come.
    #[enum_value(
        name = "Stopping: the stream has ended, results may still come",
        nick = "stopping"
    )]
    Stopping = 5,
    /// All results have come, or the wait for them is over.
    #[enum_value(
        name = "Drained: all results have come, or their time was up",
        nick = "drained"
    )]
    Drained = 6,
    /// An error that no retry can help ended the session.
    #[enum_value(
        name = "Failed: ended by an error that no retry can help",
        nick = "failed"
    )]
    Failed = 7,
}

impl State {
    /// Returns the nick, which is also the word in `symbl/state` messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Starting => "starting",
            Self::Listening => "listening",
            Self::Reconnecting => "reconnecting",
            Self::Stopping => "stopping",
            Self::Drained => "drained",
            Self::Failed => "failed",
        }
    }
}

impl From<session::State> for State {
    fn from(state: session::State) -> Self {
        match state {
            session::State::Idle => Self::Idle,
            session::State::Connecting => Self::Connecting,
            session::State::Starting => Self::Starting,
            session::State::Listening => Self::Listening,
            session::State::Reconnecting => Self::Reconnecting,
            session::State::Stopping => Self::Stopping,
            session::State::Drained => Self::Drained,
            session::State::Failed => Self::Failed,
        }
    }
}
