// SPDX-License-Identifier: MPL-2.0

//! Sessions are active, closed and expired, and the service is killed and comes back.

use crate::common::{Client, Place, linear16, start_request};
use crate::driver::Node;
use crate::{about, serve, text, url};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use symbl_service::recognizer::scripted::speech;

// 24, 25
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_closed_with_its_conversation_and_then_expires() {
    let server = serve(|config| {
        config.limits.session_keep_alive = Duration::from_secs(3);
    })
    .await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    node.send("a", &session, "a note");
    let (mut speaker, _) = Client::started(&server, &session, &start_request()).await;
    speaker.send_audio(&linear16(&speech(0..3, 16_000))).await;
    speaker.stop().await;
    speaker.rest().await;
    let closed = node.event("a", "session:closed");
    assert_eq!(closed["session_id"], session.as_str());
    assert_eq!(closed["status"], "closed");
    node.open("b", &url(&server), &json!({}));
    assert_eq!(node.join("b", &session)["status"], "closed");
    let history = node.history("b", &session);
    assert!(
        history.iter().any(|item| item[0] == "message:send"),
        "{history:?}"
    );
    assert!(
        history.iter().any(|item| item[0] == "message:received"),
        "{history:?}"
    );
    let answer = node.ask("b", "message:send", &[text(&session, "too late")]);
    assert_eq!(answer["error_code"], "session_closed");
    for id in ["a", "b"] {
        assert_eq!(
            node.event(id, "session:expired")["status"],
            "expired",
            "{id}"
        );
    }
    let answer = node.ask("b", "session:reconnect", &[about(&session)]);
    assert_eq!(answer["error_code"], "invalid_session");
    // A page that only reads may see it still.
    let mut view = about(&session);
    view["view"] = json!(true);
    node.open("c", &url(&server), &json!({}));
    node.emit("c", "session:reconnect", &[view]);
    assert_eq!(node.event("c", "session:reconnected")["status"], "expired");
    assert_eq!(node.history("c", &session), history);
    let answer = node.ask("c", "message:send", &[text(&session, "too late")]);
    assert_eq!(answer["error_code"], "session_closed");
}

// 26
#[tokio::test(flavor = "multi_thread")]
async fn viewers_keep_no_session_active_and_a_speaker_does() {
    let server = serve(|config| {
        config.limits.session_inactivity = Duration::from_secs(2);
    })
    .await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let spoken = node.create("a");
    let (_speaker, _) = Client::started(&server, &spoken, &start_request()).await;
    let quiet = node.create("a");
    let names: Vec<String> = (0..10).map(|n| format!("v{n}")).collect();
    for id in &names {
        node.open(id, &url(&server), &json!({}));
        node.join(id, &quiet);
    }
    for id in &names {
        assert_eq!(
            node.event(id, "session:closed")["session_id"],
            quiet.as_str()
        );
    }
    assert_eq!(node.join("a", &spoken)["status"], "active");
}

/// The command, killed when it is dropped.
struct Killable {
    child: Child,
    address: SocketAddr,
}

impl Killable {
    fn start(data: &Path, listen: &str, application: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
        command
            .args(["--listen", listen, "--recognizer", "scripted"])
            .args(["--log", "warn", "--session-sends", "10000"])
            .arg("--data")
            .arg(data)
            .env("SYMBL_APP_ID", application)
            .env("SYMBL_APP_SECRET", "hush")
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening on http://").expect(&line);
        let address = address.trim_end().parse().expect("an address");
        Self { child, address }
    }

    /// Kills the service with SIGKILL, so that it sends and writes nothing more.
    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("dead");
    }

    async fn token(&self, application: &str) -> String {
        let body = json!({ "type": "application", "appId": application, "appSecret": "hush" });
        let path = "POST /oauth2/token:generate";
        let (_, answer) = crate::common::http(self, path, &body.to_string()).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        answer["accessToken"].as_str().expect("a token").to_owned()
    }
}

impl Place for Killable {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// 27
#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_clients_come_back_by_themselves_and_nothing_is_missing() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let data = tempfile::tempdir().expect("a folder");
    let service = Killable::start(data.path(), "127.0.0.1:0", "app");
    let listen = service.address.to_string();
    let url = format!("http://{listen}");
    let auth = json!({ "token": service.token("app").await });
    let options = json!({ "transports": ["websocket"], "reconnectionDelay": 50 });
    node.open_with("a", &url, &options, std::slice::from_ref(&auth));
    node.next("a", "connect");
    let session = node.create("a");
    node.follow("b", &url, &session, &auth);
    node.ready(&["b"]);
    let mut sent = 0;
    // The inbox of 64 bounds how many may be sent at once.
    for _ in 0..5 {
        let tag = node.texts("a", &session, sent..sent + 50);
        assert_eq!(node.answer("a", tag)["failed"], json!([]));
        sent += 50;
    }
    service.kill();
    assert_eq!(node.next("a", "disconnect")["active"], true);
    let service = Killable::start(data.path(), &listen, "app");
    node.next("a", "connect");
    assert_eq!(node.join("a", &session)["status"], "active");
    for _ in 0..5 {
        let tag = node.texts("a", &session, sent..sent + 50);
        assert_eq!(node.answer("a", tag)["failed"], json!([]));
        sent += 50;
    }
    let report = &node.seen(&["b"], 500)[0];
    let expected: Vec<String> = (0..500).map(|n| format!("text {n}")).collect();
    assert_eq!(report["texts"], json!(expected));
    // A text that was acknowledged before is not stored twice.
    let mut again = text(&session, "text 0");
    again["client_id"] = json!("a-0");
    let answer = node.ask("a", "message:send", &[again]);
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!(node.history("a", &session).len(), 500);
    service.kill();
    // Another application does not find it.
    let foreign = Killable::start(data.path(), &listen, "other");
    let auth = json!({ "token": foreign.token("other").await });
    node.open("c", &url, &auth);
    let answer = node.ask("c", "session:reconnect", &[about(&session)]);
    assert_eq!(answer["error_code"], "invalid_session", "{answer}");
}
