// SPDX-License-Identifier: MPL-2.0

//! How it travels: sockets, TLS, tokens, and the task that drives a session.
//!
//! Decides nothing: what to send, when to dial and what to tell is the
//! [`session`](crate::session)'s. Knows tokio and the network, never GStreamer.

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

pub use connection::{Connection, Host, Waited};
pub use endpoint::{AppCredentials, Endpoint, TokenSource};
pub use listener::{Heard, Listener};
pub use proxy::Proxy;
pub use secret::Secret;

/// Runs `f` after `delay`, on the runtime, which does not wait for it.
pub fn after(delay: std::time::Duration, f: impl FnOnce() + Send + 'static) {
    if let Ok(runtime) = runtime::runtime() {
        runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            application::call(f).await;
        });
    }
}
