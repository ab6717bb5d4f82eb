// SPDX-License-Identifier: MPL-2.0

//! What a server is started with. All limits are fields with defaults, so that
//! a test can scale them down and a user can raise them.

use crate::door::origin::{AllowedHost, Origin};
use crate::fault::Faults;
use crate::hearing::recognizer::Recognizer;
use crate::logging::Lost;
use crate::trackers::TrackerStore;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls;

/// Everything that a [`crate::Server`] needs to know.
#[derive(Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// What turns speech into words, shared by all streams. It is the engine of a stream
    /// that asks for no language, and of all whose language it speaks.
    pub recognizer: Arc<dyn Recognizer>,
    /// Engines for the languages that it does not speak: the first that speaks the
    /// language of a stream is its engine.
    pub more_recognizers: Vec<Arc<dyn Recognizer>>,
    /// Who may come in.
    pub auth: Auth,
    /// Whether an audio message above [`Limits::audio_message`] closes its socket
    /// (1009) or is taken all the same.
    pub strict: bool,
    /// How much and how long.
    pub limits: Limits,
    /// Part of all processor cores that recognition may take, 1.0 for all; a
    /// conversation beyond that is refused (429). None: nobody is refused for it.
    pub max_load: Option<f64>,
    /// Certificate and key, to serve over TLS; without them in the clear.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Directory of the database; without one everything is kept in memory.
    pub data: Option<PathBuf>,
    /// The accounts' trackers, for `enableAllTrackers`; without a store they are in
    /// the database.
    pub trackers: Option<Arc<dyn TrackerStore>>,
    /// How much later the Conversation API knows what was said than the sockets, as
    /// the original may; nothing by default.
    pub history_delay: Duration,
    /// Where web pages may come from that ask for tokens and for what was said; pages
    /// of this machine may always.
    pub origins: Vec<Origin>,
    /// Names under which the service may be asked, beside `localhost` and addresses, where
    /// nobody is asked for credentials.
    pub hosts: Vec<AllowedHost>,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// How many lines of the log were lost, for `/metrics`.
    pub lost_log_lines: Lost,
}

impl ServerConfig {
    /// Any free port of the loopback, no authentication, strict, default
    /// limits, one engine, no TLS, web pages of this machine only, no trackers yet and no faults.
    pub fn new(recognizer: Arc<dyn Recognizer>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            recognizer,
            more_recognizers: Vec::new(),
            auth: Auth::None,
            strict: true,
            limits: Limits::default(),
            max_load: None,
            tls: None,
            data: None,
            origins: Vec::new(),
            hosts: Vec::new(),
            trackers: None,
            history_delay: Duration::ZERO,
            faults: Faults::default(),
            lost_log_lines: Lost::default(),
        }
    }
}

/// Who may come in.
#[derive(Clone, Default)]
pub enum Auth {
    /// Everybody, with any token or none. Tokens are handed out to whoever asks,
    /// because the official SDKs insist on one.
    #[default]
    None,
    /// Holders of a token that was generated with these credentials.
    App {
        /// The application's id.
        id: String,
        /// Its secret; never shown.
        secret: String,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::App { id, .. } => f
                .debug_struct("App")
                .field("id", id)
                .finish_non_exhaustive(),
        }
    }
}

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
