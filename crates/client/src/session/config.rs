// SPDX-License-Identifier: MPL-2.0

//! The settings of a session, which it gets before it begins.

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
    /// The oldest unsent audio is dropped and reported as a gap.
    Oldest,
}

/// What to do about a service that takes speech and returns no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StallAction {
    /// Report the stall.
    #[default]
    Report,
    /// Report the stall and reconnect.
    Reconnect,
}

/// What a pause of the pipeline means for the service. Only PLAYING ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PausePolicy {
    /// Nothing changes: the service goes on listening.
    #[default]
    Keep,
    /// The service is asked to stop. The connection is kept for the next start.
    StopProcessing,
    /// The service is asked to stop, and then the connection is closed.
    Disconnect,
}

/// How the service is told that audio of another format follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FormatChangePolicy {
    /// By `modify_request`, during a start. For a service that refuses it, `Reconnect` applies
    /// from then on.
    #[default]
    Modify,
    /// By a stop and a start on the same connection.
    Restart,
    /// By a stop, and a start on another connection.
    Reconnect,
}

/// The speaker, as a start request names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Speaker {
    /// The user id, often an e-mail address.
    pub user_id: Option<String>,
    /// The display name.
    pub name: Option<String>,
}

/// All settings of a session.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The request that begins each start. The session adds the format and the speaker of the
    /// audio that follows, and its place in the stream if the service wants to know it. The
    /// request's own format and speaker are those of the first audio.
    pub start: StartRequest,
    /// `true` if interim results are reported.
    pub interim_results: bool,
    /// How much raw audio goes into one message.
    pub chunk_duration: Duration,
    /// Bound of the spool.
    pub buffer_duration: Duration,
    /// What happens to audio when the bound is reached.
    pub leaky: LeakyPolicy,
    /// The highest rate at which a backlog is sent, in times real time; at least 1.
    pub catch_up_rate: f64,
    /// Longest time from the first step of a dial to the acknowledgement of the start.
    pub connect_timeout: Duration,
    /// Time between two pings.
    pub ping_interval: Duration,
    /// Longest time without any input after a ping.
    pub pong_timeout: Duration,
    /// Cap of the back-off.
    pub reconnect_max_delay: Duration,
    /// Longest time without a session, after which the session fails; zero: no bound.
    pub reconnect_timeout: Duration,
    /// Longest time without a result for audible audio; zero: no bound.
    pub stall_timeout: Duration,
    /// What to do after that time.
    pub stall_action: StallAction,
    /// `true` if, after a reconnect, missed messages are fetched from the Conversation API.
    pub history_recovery: bool,
    /// What a pause means for the service.
    pub pause: PausePolicy,
    /// How the service is told of a change of format.
    pub format_change: FormatChangePolicy,
    /// Longest time without progress at the end of the stream, and at each stop before.
    pub drain_timeout: Duration,
    /// How far timestamps may be off the count of samples.
    pub alignment_threshold: Duration,
    /// How long timestamps have to stay further off than that until they count.
    pub discont_wait: Duration,
    /// How long a service that asked to come later is dialed after the end of a stream of which
    /// no session has taken any audio. At least the drain timeout applies.
    pub admission_timeout: Duration,
    /// Seed of the back-off's jitter.
    pub seed: u64,
}

impl SessionConfig {
    /// Returns the defaults, with this start request.
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
