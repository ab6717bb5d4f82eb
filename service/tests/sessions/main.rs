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

use driver::Node;
use serde_json::{Value, json};
use symbl_service::{Server, ServerConfig};

/// Returns the members that each event of a client has.
pub fn about(session: &str) -> Value {
    json!({ "session_id": session, "timestamp": 1_635_789_600_000_u64 })
}

/// Returns a text to send.
pub fn text(session: &str, text: &str) -> Value {
    let mut sent = about(session);
    sent["input"] = json!({ "text": text });
    sent
}

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

impl Node {
    /// Lets a socket create a session; returns the session's id.
    pub fn create(&mut self, id: &str) -> String {
        self.emit(id, "session:create", &[json!({ "timestamp": 1 })]);
        let created = self.event(id, "session:created");
        created["session_id"].as_str().expect("an id").to_owned()
    }

    /// Lets a socket join a session.
    pub fn join(&mut self, id: &str, session: &str) -> Value {
        self.emit(id, "session:reconnect", &[about(session)]);
        self.event(id, "session:reconnected")
    }

    /// Sends a text and returns its number.
    pub fn send(&mut self, id: &str, session: &str, words: &str) -> u64 {
        let answer = self.ask(id, "message:send", &[text(session, words)]);
        assert_eq!(answer["ok"], true, "{answer}");
        answer["seq"].as_u64().expect("a number")
    }

    /// Returns a history.
    pub fn history(&mut self, id: &str, session: &str) -> Vec<Value> {
        self.emit(id, "session:history:sync", &[about(session)]);
        let synced = self.event(id, "session:history:synced");
        synced.as_array().expect("an array").clone()
    }
}

/// Returns the numbers of events, given as a history has them.
pub fn numbers(history: &[Value]) -> Vec<u64> {
    let numbers = history.iter().map(|item| &item[1]["seq"]);
    numbers.map(|seq| seq.as_u64().expect("a number")).collect()
}

/// Returns the names of the members of an object.
pub fn members(object: &Value) -> Vec<&str> {
    let members = object.as_object().expect("an object");
    members.keys().map(String::as_str).collect()
}
