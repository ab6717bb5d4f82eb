// SPDX-License-Identifier: MPL-2.0

//! The limits of the service. All of them are fields with defaults, so a test can lower
//! them and a user can raise them.

use std::time::Duration;

/// Limits of sizes, numbers and times.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest audio message in bytes.
    pub audio_message: usize,
    /// Largest message of any kind in bytes; above it the socket is closed (1009).
    pub message: usize,
    /// Connections at the same time that are no WebSocket (yet); the next one is
    /// refused (503).
    pub handshakes: usize,
    /// How long a TLS handshake may take, and then the head of a request.
    pub handshake: Duration,
    /// How long a request may take from its head to its answer, and an answer to
    /// be read. A connection without an upgrade ends after at most three times that.
    pub request: Duration,
    /// Streaming sockets at the same time; the next one is refused (429).
    pub connections: usize,
    /// Streaming sockets of an application at the same time, over all services that share a
    /// database; the next one is refused (429). 0 means any number.
    pub account_streams: usize,
    /// Subscriber sockets at the same time; the next one is refused (429).
    pub subscribers: usize,
    /// Streams that are recognised at the same instant, each on a thread. The others wait
    /// for their turn. 0 means one for each processor core.
    pub workers: usize,
    /// Audio messages that wait for the recogniser before the socket is not read further.
    pub audio_queue: usize,
    /// Messages that wait for a client to read them before its socket is closed (1008).
    pub outbound_queue: usize,
    /// How long a socket that has not started, or was stopped, keeps its reservation. After
    /// that it has to be admitted again when it starts.
    pub start: Duration,
    /// A socket on which nothing happens is closed after this time (1008).
    pub idle: Duration,
    /// A stream that has had no result for this long is closed (1008).
    pub silence: Duration,
    /// Longest wait for the last speaker of a conversation to rejoin. A client that asks for
    /// more (`noConnectionTimeout`) gets this.
    pub no_connection: Duration,
    /// How long a stopped stream may take for its last results.
    pub drain: Duration,
    /// Stopped streams that still drain after their sockets have started the next one. A
    /// start that would make one more is refused. A socket may have two of them.
    pub draining: usize,
    /// How long one message may take to be written.
    pub write: Duration,
    /// How long a client may take to answer a close frame.
    pub close: Duration,
    /// How long [`crate::Server::shutdown`] waits for all sockets.
    pub shutdown: Duration,
    /// How long a generated token is valid.
    pub token: Duration,
    /// Longest name, user id, title or language code in a `start_request`, in bytes.
    pub text: usize,
    /// Phrases in a `start_request`, of its vocabulary and all its trackers.
    pub phrases: usize,
    /// Longest of them in bytes.
    pub phrase: usize,
    /// Speakers of a conversation.
    pub speakers: usize,
    /// A session without speakers is closed this long after its last text.
    pub session_inactivity: Duration,
    /// … and this long after its begin, whatever is written; zero stands for no limit.
    pub session_total: Duration,
    /// A closed session can be read for this long before it expires.
    pub session_keep_alive: Duration,
    /// Sockets of sessions at the same time; the next one is refused (`server_busy`).
    pub session_sockets: usize,
    /// Texts that one of them may send in a second; four times as many at once.
    pub session_sends: u32,
    /// Events of one of them that wait to be answered. More are refused (`rate_limited`).
    pub session_inbox: usize,
    /// Conversations that wait for their last speaker to rejoin. The next one is over at
    /// once.
    pub waiting: usize,
    /// Memory that all of them may take, in bytes. The next one is over at once.
    pub waiting_memory: usize,
    /// Memory that the compiled trackers of all streams may take, in bytes. Streams with the
    /// same trackers share them. A start beyond this is refused.
    pub tracker_memory: usize,
    /// Number of the newest messages of each conversation that a store in memory keeps. A
    /// store in a directory keeps all.
    pub kept_messages: usize,
    /// Number of the newest conversations that are over and that a store in memory keeps. A
    /// store in a directory keeps all.
    pub kept_conversations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            audio_message: symbl_protocol::MAX_AUDIO_MESSAGE,
            message: 1024 * 1024,
            handshakes: 1024,
            handshake: Duration::from_secs(10),
            request: Duration::from_secs(30),
            connections: 1000,
            account_streams: 0,
            subscribers: 10_000,
            workers: 0,
            audio_queue: 64,
            outbound_queue: 4096,
            start: Duration::from_secs(10),
            idle: Duration::from_secs(1800),
            silence: Duration::from_secs(1800),
            no_connection: Duration::from_secs(1800),
            session_inactivity: Duration::from_secs(600),
            session_total: Duration::from_secs(86_400),
            session_keep_alive: Duration::from_secs(120),
            session_sockets: 10_000,
            session_sends: 5,
            session_inbox: 64,
            drain: Duration::from_secs(60),
            draining: 1000,
            write: Duration::from_secs(60),
            close: Duration::from_secs(5),
            shutdown: Duration::from_secs(5),
            token: Duration::from_secs(86_400),
            text: 1024,
            phrases: 5000,
            phrase: 256,
            speakers: 1000,
            waiting: 1000,
            waiting_memory: 64 << 20,
            tracker_memory: 512 << 20,
            kept_messages: 2000,
            kept_conversations: 100,
        }
    }
}
