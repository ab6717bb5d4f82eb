// SPDX-License-Identifier: MPL-2.0

//! The configuration of a server.

pub(crate) mod account;
pub(crate) mod endpoint;
pub(crate) mod origin;

use crate::audit::Audit;
#[cfg(feature = "fault")]
use crate::fault::Faults;
use crate::hearing::masking::RedactionPolicy;
use crate::hearing::recognizer::Recognizer;
use crate::jobs::settings::JobSettings;
use crate::limits::Limits;
use crate::logging::Lost;
use crate::seams::ServerSeams;
use crate::trackers::TrackerStore;
pub(crate) use account::{Account, Secret};
use endpoint::Endpoint;
use origin::{AllowedHost, Origin};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use symbl_analysis::score::Checklist;
use tokio_rustls::rustls;

/// Everything that a [`crate::Server`] needs to know.
#[derive(Clone)]
pub struct ServerConfig {
    /// The address to listen on. Port 0 takes any free port.
    pub listen: SocketAddr,
    /// The places to listen at. Without any, it is [`ServerConfig::listen`].
    pub endpoints: Vec<Endpoint>,
    /// Another address, for `/metrics` and the probes only. `/metrics` is not served at the
    /// other places then.
    pub metrics_listen: Option<SocketAddr>,
    /// The collector of OpenTelemetry that is sent traces (feature `otlp`): the address in front
    /// of `/v1/traces`. Without one, there are none.
    #[cfg(feature = "otlp")]
    pub otlp: Option<CollectorUrl>,
    /// The first engine, shared by all streams. It is the engine of a stream that asks for
    /// no language, and of all streams whose language it recognises.
    pub recognizer: Arc<dyn Recognizer>,
    /// Engines for other languages. The first one that recognises the language of a stream
    /// is its engine.
    pub more_recognizers: Vec<Arc<dyn Recognizer>>,
    /// The credentials that clients need.
    pub auth: Auth,
    /// `true` to close a socket (1009) after an audio message above
    /// [`Limits::audio_message`]. Otherwise the message is taken.
    pub strict: bool,
    /// Limits of sizes, numbers and times.
    pub limits: Limits,
    /// The Async API.
    pub jobs: JobSettings,
    /// Part of all processor cores that recognition may take, 1.0 for all. A conversation
    /// beyond that is refused (429). Without a value, no conversation is refused for it.
    pub max_load: Option<f64>,
    /// Certificate and key, to serve over TLS. Without them, the service uses plain TCP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Directory of the database. Without one, everything is kept in memory.
    pub data: Option<PathBuf>,
    /// The database that this service shares with others (feature `cluster`). It is used
    /// instead of a directory.
    #[cfg(feature = "cluster")]
    pub cluster: Option<ClusterUrl>,
    /// The Redis by which the services of a cluster tell each other at once what happens
    /// (feature `cluster`). Without it, they do so by the database.
    #[cfg(feature = "cluster")]
    pub bus: Option<BusUrl>,
    /// The accounts' trackers, for `enableAllTrackers`. Without a store, they are in the
    /// database.
    pub trackers: Option<Arc<dyn TrackerStore>>,
    /// How much later than the sockets the Conversation API has an entry, as with the
    /// original service. Zero by default.
    pub history_delay: Duration,
    /// The checklist of `GET …/callscore`.
    pub callscore: Option<Arc<Checklist>>,
    /// Origins of web pages that may use the service. Pages of this machine always may.
    pub origins: Vec<Origin>,
    /// Host names that a service without credentials accepts, beside `localhost` and
    /// addresses.
    pub hosts: Vec<AllowedHost>,
    /// What is hidden of all that is said and written, whatever a client asks for.
    pub redaction: RedactionPolicy,
    /// How long conversations are kept after their end, unless they have a time of their
    /// own. Without a value, for ever.
    pub keep: Option<Duration>,
    /// Who read, exported and deleted what.
    pub audit: Audit,
    /// How long [`crate::Server::drain`] goes on as before, but for `/readyz`. Zero by default.
    pub drain_wait: Duration,
    /// How long it then takes to close all sockets. Zero by default: none is closed.
    pub drain_time: Duration,
    /// The faults that are injected on purpose (feature `fault`).
    #[cfg(feature = "fault")]
    pub faults: Faults,
    /// How many lines of the log were lost, for `/metrics`.
    pub lost_log_lines: Lost,
}

impl ServerConfig {
    /// Returns a configuration with this one engine, on any free port of the loopback. It
    /// is strict, with default limits, and has no credentials, no TLS, no trackers and no
    /// faults. Only web pages of this machine may use it.
    pub fn new(recognizer: Arc<dyn Recognizer>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            endpoints: Vec::new(),
            metrics_listen: None,
            #[cfg(feature = "otlp")]
            otlp: None,
            recognizer,
            more_recognizers: Vec::new(),
            auth: Auth::None,
            strict: true,
            limits: Limits::default(),
            jobs: JobSettings::default(),
            max_load: None,
            tls: None,
            data: None,
            #[cfg(feature = "cluster")]
            cluster: None,
            #[cfg(feature = "cluster")]
            bus: None,
            callscore: None,
            origins: Vec::new(),
            hosts: Vec::new(),
            trackers: None,
            history_delay: Duration::ZERO,
            redaction: RedactionPolicy::default(),
            keep: None,
            audit: Audit::default(),
            drain_wait: Duration::ZERO,
            drain_time: Duration::ZERO,
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

/// Makes the type of a URL that is never shown because it may have a password.
#[cfg(any(feature = "cluster", feature = "otlp"))]
macro_rules! secret_url {
    ($name:ident, $about:literal) => {
        #[doc = $about]
        #[derive(Clone)]
        pub struct $name(String);

        impl $name {
            pub(crate) fn secret(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(url: String) -> Self {
                Self(url)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

#[cfg(feature = "cluster")]
secret_url!(
    ClusterUrl,
    "The URL of a PostgreSQL database, which is never shown because it may have a password."
);

#[cfg(feature = "cluster")]
secret_url!(
    BusUrl,
    "The URL of a Redis or Valkey, which is never shown because it may have a password."
);

#[cfg(feature = "otlp")]
secret_url!(
    CollectorUrl,
    "The address of a collector of OpenTelemetry, which is never shown because it may have a token."
);

/// The credentials that clients need.
#[derive(Clone, Default)]
pub enum Auth {
    /// None: a client may have any token or no token. Any client can still ask for a token,
    /// because the official SDKs need one.
    #[default]
    None,
    /// A token that was generated with these credentials.
    App {
        /// The application's id.
        id: String,
        /// Its secret, which is never shown.
        secret: String,
    },
    /// A token of one of these applications. Each has its own conversations.
    Accounts(Vec<Account>),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::App { id, .. } => f
                .debug_struct("App")
                .field("id", id)
                .finish_non_exhaustive(),
            Self::Accounts(accounts) => f.debug_tuple("Accounts").field(accounts).finish(),
        }
    }
}
