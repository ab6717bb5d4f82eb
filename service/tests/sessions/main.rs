// SPDX-License-Identifier: MPL-2.0

//! Sessions: the service and the unmodified `socket.io-client`, and raw clients where that
//! one is too polite. The numbers in comments are those of the list of what a hub of sessions
//! has to do.

mod access;
mod delivery;
mod documented;
mod driver;
mod lifecycle;
mod limits;
mod protocol;
mod raw;
mod redaction;

#[path = "../common/mod.rs"]
mod common;

pub use driver::{about, numbers, text};
use serde_json::Value;
use symbl_service::{Server, ServerConfig};

/// Starts a service after `change` has changed its configuration.
pub async fn serve(change: impl FnOnce(&mut ServerConfig)) -> Server {
    let mut config = common::config();
    change(&mut config);
    Server::bind(config).await.expect("a free port")
}

/// Returns the URL of a service.
pub fn url(server: &Server) -> String {
    format!("http://{}", server.local_addr())
}

/// Returns the names of the members of an object.
pub fn members(object: &Value) -> Vec<&str> {
    let members = object.as_object().expect("an object");
    members.keys().map(String::as_str).collect()
}
