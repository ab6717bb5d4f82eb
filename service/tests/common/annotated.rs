// SPDX-License-Identifier: MPL-2.0

//! A server on which clients add to conversations, on a directory and in memory, and the
//! requests for it.

use super::prompter::Prompter;
use super::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Auth, Server, ServerConfig};

/// What is said in each conversation: a line each half second.
pub const LINES: &[&str] = &[
    "the pump is leaking again",
    "who repaired it last time",
    "the budget for a new pump is small",
    "let's order the new pump on monday",
];

/// A server, and the directory that it may have.
pub struct Stage {
    pub server: Server,
    pub directory: Option<tempfile::TempDir>,
}

/// Returns the configuration of a server that knows the application `app`.
pub fn config(lines: &'static [&'static str]) -> ServerConfig {
    let mut config = ServerConfig::new(Arc::new(Prompter(lines)));
    config.auth = Auth::App {
        id: "app".into(),
        secret: "secret".into(),
    };
    config
}

/// Starts a server on a directory and one in memory.
pub async fn stages() -> [Stage; 2] {
    let directory = tempfile::tempdir().expect("a directory");
    let mut on_disk = config(LINES);
    on_disk.data = Some(directory.path().to_owned());
    let bind = async |config| Server::bind(config).await.expect("a free port");
    [
        Stage {
            server: bind(on_disk).await,
            directory: Some(directory),
        },
        Stage {
            server: bind(config(LINES)).await,
            directory: None,
        },
    ]
}

/// A client with a token.
pub struct Api<'a> {
    pub server: &'a Server,
    pub token: String,
}

impl<'a> Api<'a> {
    pub async fn of(server: &'a Server) -> Self {
        let body = json!({"type": "application", "appId": "app", "appSecret": "secret"});
        let (_, answer) = http(server, "POST /oauth2/token:generate", &body.to_string()).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let token = answer["accessToken"].as_str().expect("a token").to_owned();
        Self { server, token }
    }

    /// Sends a request. Returns the status and the answer.
    pub async fn ask(&self, request: &str, body: &Value) -> (u16, Value) {
        let token = &self.token;
        let request = format!("{request} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (head, answer) = http(self.server, &request, &body).await;
        let code = head.split(' ').nth(1).expect("a status");
        let answer = serde_json::from_str(&answer).unwrap_or_default();
        (code.parse().expect("a number"), answer)
    }

    /// Sends a request that must succeed. Returns the answer.
    pub async fn done(&self, request: &str, body: &Value) -> Value {
        let (code, answer) = self.ask(request, body).await;
        assert_eq!(code, 200, "{request}: {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.done(&format!("GET {path}"), &Value::Null).await
    }

    /// Sends a request that must be refused with this status. Returns the message.
    pub async fn refused(&self, request: &str, body: &Value, code: u16) -> String {
        let (given, answer) = self.ask(request, body).await;
        assert_eq!(given, code, "{request}: {answer}");
        answer["message"].as_str().expect("a message").to_owned()
    }

    /// Opens a streaming socket.
    pub async fn connect(&self, connection: &str) -> Client {
        let path = format!("/v1/streaming/{connection}");
        let headers = [("X-API-KEY", self.token.as_str())];
        let opened = Client::open(self.server, &path, &headers).await;
        opened.expect("an upgrade").0
    }

    /// Waits until a conversation whose sockets are closed is over.
    pub async fn until_over(&self, id: &str) {
        let path = format!("/v1/conversations/{id}");
        in_time(async {
            while self.get(&path).await["x_status"] != "over" {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Holds a conversation in which all lines are said. Returns its id.
    pub async fn hold(&self, connection: &str) -> String {
        let mut client = self.connect(connection).await;
        let mut request = start_request();
        request["speaker"] = json!({"userId": "ada@example.org", "name": "Ada"});
        request["config"]["meetingTitle"] = connection.into();
        let id = client.start(&request).await;
        let length = Duration::from_millis(500 * LINES.len() as u64 + 100);
        client.send_audio(&linear16(&silence(length, 16_000))).await;
        client.stop().await;
        client.rest().await;
        self.until_over(&id).await;
        id
    }
}

/// Returns a member of each item of a list.
pub fn each(list: &Value, name: &str, member: &str) -> Vec<String> {
    let items = list[name].as_array().expect(name).iter();
    let text = |item: &Value| match &item[member] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    items.map(text).collect()
}
