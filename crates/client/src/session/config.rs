// SPDX-License-Identifier: MPL-2.0

//! What a session is told before it begins.

use std::time::Duration;
use symbl_protocol::StartRequest;

/// What happens to new audio when the spool is full of audio that was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeakyPolicy {
    /// Like `Oldest` for live audio, else like `None`.
    #[default]
    Auto,
    /// New audio has to wait: upstream blocks.
    None,
    /// The oldest unsent audio is dropped, and told as a gap.
    Oldest,
}

/// What to do about a service that takes speech and gives nothing back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StallAction {
    /// Tell it.
    #[default]
    Report,
    /// Tell it, and connect anew.
    Reconnect,
}

/// What a pause of the pipeline means for the service. Only PLAYING ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PausePolicy {
    /// Nothing: the service goes on listening.
    #[default]
    Keep,
    /// It is asked to stop, and the connection is kept for the start that follows.
    StopProcessing,
    /// It is asked to stop, and then the connection is closed.
    Disconnect,
}

/// How the service is told that audio of another format follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FormatChangePolicy {
    /// By `modify_request`, in mid-stream. A service that refuses it is treated
    /// by `Reconnect` from then on.
    #[default]
    Modify,
    /// By a stop and a start on the same connection.
    Restart,
    /// By a stop, and a start on another connection.
    Reconnect,
}

/// Who speaks, as a start request says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Speaker {
    /// Often an e-mail address.
    pub user_id: Option<String>,
    /// As it is shown.
    pub name: Option<String>,
}

/// Everything that steers a session. All durations are bounds in the field's unit.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Sent at every start, with the format and the speaker of the audio that
    /// follows it, and with its place in the stream where the service wants to know it.
    /// Its own format and speaker are those of the first audio.
    pub start: StartRequest,
    /// Whether interim transcripts are told.
    pub interim_results: bool,
    /// How much raw audio goes into one message.
    pub chunk_duration: Duration,
    /// Bound of the spool.
    pub buffer_duration: Duration,
    /// What to do when it is reached.
    pub leaky: LeakyPolicy,
    /// Most times real time at which a backlog is sent; at least 1.
    pub catch_up_rate: f64,
    /// From the first step of dialing to the start acknowledgement.
    pub connect_timeout: Duration,
    /// Time between two pings.
    pub ping_interval: Duration,
    /// How long nothing may come in after a ping.
    pub pong_timeout: Duration,
    /// Cap of the back-off.
    pub reconnect_max_delay: Duration,
    /// Give up after this long without a session; zero: never.
    pub reconnect_timeout: Duration,
    /// How long audible audio may go without any result; zero: for ever.
    pub stall_timeout: Duration,
    /// What to do then.
    pub stall_action: StallAction,
    /// Whether, after a reconnect, messages that were missed are asked for.
    pub history_recovery: bool,
    /// What a pause means.
    pub pause: PausePolicy,
    /// What a change of format means.
    pub format_change: FormatChangePolicy,
    /// At the end of the stream, and at each stop before: how long to go without
    /// any progress.
    pub drain_timeout: Duration,
    /// How far timestamps may be off the count of samples.
    pub alignment_threshold: Duration,
    /// How long they have to stay further off until they count.
    pub discont_wait: Duration,
    /// At the end of a stream of which no session has taken any audio: how long a service
    /// that asked to come later is dialed; for the drain timeout at least.
    pub admission_timeout: Duration,
    /// Seed of the back-off's jitter.
    pub seed: u64,
}

impl SessionConfig {
    /// The defaults, for a start request.
    pub fn new(start: StartRequest) -> Self {
        Self {
            start,
            interim_results: true,
            chunk_duration: Duration::from_millis(100),
            buffer_duration: Duration::from_secs(60),
            leaky: LeakyPolicy::Auto,
            catch_up_rate: 2.0,
            connect_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(10),
            pong_timeout: Duration::from_secs(10),
            reconnect_max_delay: Duration::from_secs(30),
            reconnect_timeout: Duration::ZERO,
            stall_timeout: Duration::from_secs(30),
            stall_action: StallAction::Report,
            history_recovery: false,
            pause: PausePolicy::Keep,
            format_change: FormatChangePolicy::Modify,
            drain_timeout: Duration::from_secs(10),
            alignment_threshold: Duration::from_millis(40),
            discont_wait: Duration::from_secs(1),
            admission_timeout: Duration::from_secs(300),
            seed: 0,
        }
    }
}
