// SPDX-License-Identifier: MPL-2.0

//! What a server is started with.

pub(crate) mod origin;

#[cfg(feature = "fault")]
use crate::fault::Faults;
use crate::hearing::recognizer::Recognizer;
use crate::limits::Limits;
use crate::logging::Lost;
use crate::seams::ServerSeams;
use crate::trackers::TrackerStore;
use origin::{AllowedHost, Origin};
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
    /// What goes wrong on purpose (feature `fault`).
    #[cfg(feature = "fault")]
    pub faults: Faults,
    /// How many lines of the log were lost, for `/metrics`.
    pub lost_log_lines: Lost,
}

impl ServerConfig {
    /// Any free port of the loopback, no authentication, strict, default
    /// limits, one engine, no TLS, web pages of this machine only, no trackers yet and no
    /// faults.
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
            #[cfg(feature = "fault")]
            faults: Faults::default(),
            lost_log_lines: Lost::default(),
        }
    }

    /// Returns the seams of the server.
    pub(crate) fn seams(&self) -> Arc<dyn ServerSeams> {
        #[cfg(feature = "fault")]
        return Arc::new(self.faults.clone());
        #[cfg(not(feature = "fault"))]
        Arc::new(crate::seams::Plain)
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
