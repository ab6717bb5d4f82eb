// SPDX-License-Identifier: MPL-2.0

//! How much the service takes, and for how long. All limits are fields with defaults, so
//! that a test can scale them down and a user can raise them.

use std::time::Duration;

/// How much and how long.
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
    /// Subscriber sockets at the same time; the next one is refused (429).
    pub subscribers: usize,
    /// Streams that are recognised at the same instant, each on a thread; the others wait
    /// for their turn. 0: one for each processor core.
    pub workers: usize,
    /// Audio messages that wait for the recogniser before the socket is not read further.
    pub audio_queue: usize,
    /// Messages that wait for a client to read them before its socket is closed (1008).
    pub outbound_queue: usize,
    /// How long a socket that has not started, or was stopped, keeps its place among the
    /// streams that are recognised. After that it has to find another one when it starts.
    pub start: Duration,
    /// A socket on which nothing happens is closed after this time (1008).
    pub idle: Duration,
    /// A stream in whose audio nothing is said for so long is closed (1008).
    pub silence: Duration,
    /// Longest wait for the last speaker of a conversation to come back; who asks for
    /// more (`noConnectionTimeout`) gets this.
    pub no_connection: Duration,
    /// How long a stopped stream may take to say what it still owes.
    pub drain: Duration,
    /// Stopped streams that still drain while their sockets have started the next one; a
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
    /// Conversations that wait for their last speaker to come back; the next one
    /// is over at once.
    pub waiting: usize,
    /// Memory that all of them may take, in bytes; the next one is over at once.
    pub waiting_memory: usize,
    /// Memory that the trackers of all streams may take, ready to be looked for, in
    /// bytes; streams that ask for the same ones share them. A start beyond it is refused.
    pub tracker_memory: usize,
    /// Messages of each conversation that are kept in memory, the newest; in a
    /// directory all are.
    pub kept_messages: usize,
    /// Conversations that are over and kept in memory, the newest; in a directory
    /// all are.
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
            subscribers: 10_000,
            workers: 0,
            audio_queue: 64,
            outbound_queue: 4096,
            start: Duration::from_secs(10),
            idle: Duration::from_secs(1800),
            silence: Duration::from_secs(1800),
            no_connection: Duration::from_secs(1800),
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
