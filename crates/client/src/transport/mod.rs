// SPDX-License-Identifier: MPL-2.0

//! The network side of a client: sockets, TLS, tokens, and the task that drives a
//! session.
//!
//! A [`Connection`] drives a session. A [`listener::Listener`] is a socket of a
//! subscriber, without one. This module decides nothing: the
//! [`session`](crate::session) decides what to send, when to dial and what to report.
//! It knows tokio and the network, but must never know GStreamer.

mod api;
mod application;
mod bell;
pub mod connect;
mod connection;
mod credentials;
mod driver;
pub mod endpoint;
pub mod files;
mod flights;
mod link;
pub mod listener;
pub mod proxy;
mod runtime;
pub mod secret;
mod threads;
mod timer;
mod tls;

pub use api::{After, conversations, events};
pub use connection::{Connection, Host, Waited};
pub use endpoint::{AppCredentials, Endpoint, TokenSource};
pub use listener::{Listener, Received};
pub use proxy::Proxy;
pub use secret::Secret;

/// Runs `f` after `delay`, on the runtime. Does not wait for it.
pub fn after(delay: std::time::Duration, f: impl FnOnce() + Send + 'static) {
    if let Ok(runtime) = runtime::runtime() {
        runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            application::call(f).await;
        });
    }
}
