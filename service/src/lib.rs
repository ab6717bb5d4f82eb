// SPDX-License-Identifier: MPL-2.0

//! A self-hosted server for the Symbl Streaming API with a real recogniser.
//!
//! The way of a chunk: [`fault`] (the listening socket) → `gate` (`Host` and `Origin`) →
//! `http` (upgrade, token) → `socket` (frames) → `session` (what may be said when) → `stream` (a
//! thread: [`audio`], then [`recognizer`]) → `voice` ([`analysis`], then
//! messages) → `outbox` of every socket in the `hub`'s room → `socket`, or
//! `subscriber` for those who only listen. What was
//! said is in the `store` before it is told to anybody, for who asks later, through `rest`.
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

pub mod admission;
pub mod analysis;
pub mod audio;
mod bounds;
mod client;
mod clock;
mod closing;
mod config;
mod connection;
mod conversation;
pub mod fault;
mod gate;
mod handshake;
mod http;
mod hub;
mod kept;
pub mod log;
mod metrics;
mod origin;
mod outbox;
mod parked;
mod phrasebook;
mod rate;
pub mod recognizer;
mod rest;
mod room;
mod seat;
mod server;
mod session;
mod socket;
mod store;
mod stream;
mod subscriber;
mod throttle;
mod tls;
mod token;
pub mod trackers;
mod unsupported;
mod voice;
mod workers;

pub use config::{Auth, Limits, ServerConfig};
pub use origin::{AllowedHost, HostError, Origin, OriginError};
pub use server::{BindError, Server};
pub use store::StoreError;
pub use tls::{Tls, TlsError, tls_config};
pub use tokio_rustls::rustls;
