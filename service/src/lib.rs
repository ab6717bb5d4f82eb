// SPDX-License-Identifier: MPL-2.0

//! A self-hosted server for the Symbl Streaming API with a real recogniser.
//!
//! The way of a chunk: [`fault`] (the listening socket) → `http` (upgrade,
//! token) → `socket` (frames) → `session` (what may be said when) → `stream` (a
//! thread: [`audio`], then [`recognizer`]) → `voice` ([`analysis`], then
//! messages) → `outbox` of every socket in the `hub`'s room → `socket`. What was
//! said stays in the conversation's `history` for who asks later, through `http`.
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

pub mod analysis;
pub mod audio;
mod config;
mod conversation;
pub mod fault;
mod history;
mod http;
mod hub;
mod outbox;
pub mod recognizer;
mod server;
mod session;
mod socket;
mod stream;
mod tls;
mod token;
pub mod trackers;
mod voice;

pub use config::{Auth, Limits, ServerConfig};
pub use server::{BindError, Server};
pub use tls::{TlsError, tls_config};
pub use tokio_rustls::rustls;
