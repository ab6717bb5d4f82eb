// SPDX-License-Identifier: MPL-2.0

//! A self-hosted server for the Symbl Streaming API with a real recogniser.
//!
//! The way of a chunk: `listener` (the listening socket) → `gate` (`Host` and `Origin`) →
//! `http` (upgrade, token) → `socket` (frames) → `speaker` (what may be said when) → `stream` (a
//! job of the workers that all streams share: [`audio`], then [`recognizer`]) → `results` ([`analysis`], then
//! messages) → `outbox` of every socket of the conversation → `socket`, or
//! `subscriber`. The `store` has an entry before any client is sent it. `rest` answers
//! later requests from the store.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use symbl_service::{Server, ServerConfig, recognizer::scripted::Scripted};
//!
//! let server = Server::bind(ServerConfig::new(Arc::new(Scripted))).await?;
//! println!("listening on http://{}", server.local_addr());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod app;
pub mod audit;
mod clock;
mod config;
mod conversation;
mod door;
#[cfg(feature = "fault")]
pub mod fault;
mod hearing;
mod ids;
mod jobs;
mod limits;
pub mod logging;
mod metrics;
mod outbox;
mod rate;
mod seams;
mod store;
mod traces;
pub mod trackers;
mod workers;

pub use app::reload::{Reload, ReloadError};
pub use app::server::{BindError, Health, Server};
#[cfg(feature = "otlp")]
pub use config::CollectorUrl;
pub use config::account::{Account, AccountsError, Secret};
pub use config::endpoint::{Bound, Endpoint};
pub use config::origin::{AllowedHost, HostError, Origin, OriginError};
pub use config::{Auth, ServerConfig};
#[cfg(feature = "cluster")]
pub use config::{BusUrl, ClusterUrl};
pub use conversation::log::LogError;
pub use door::tls::{Tls, TlsError, tls_config};
pub use hearing::masking::{REPLACEMENT, RedactionPolicy};
pub use hearing::{admission, audio, capacity, recognizer, segmenter, vad};
pub use jobs::address::{HostRule, HostRuleError};
pub use jobs::settings::JobSettings;
pub use limits::Limits;
pub use store::StoreError;
#[cfg(feature = "cluster")]
pub use store::postgres::copy::{MoveError, Moved, copy as copy_to_cluster};
pub use store::sqlite::backup::{Copied, CopyError, backup, restore};
pub use symbl_analysis as analysis;
pub use tokio_rustls::rustls;
