// SPDX-License-Identifier: MPL-2.0

//! Who may connect, read and write.

use crate::common::{Client, http, linear16, process, start_request};
use crate::driver::Node;
use crate::{about, serve, text, url};
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_service::{Auth, Server, ServerConfig};

fn closed(config: &mut ServerConfig) {
    config.auth = Auth::App {
        id: "app".into(),
        secret: "hush".into(),
    };
}

/// Returns a token of the application.
async fn token(server: &Server) -> String {
    process::token(server, "app", "hush").await
}

/// Shares a conversation; returns the token for its readers.
async fn share(server: &Server, token: &str, conversation: &str, seconds: u64) -> String {
    let request = format!(
        "POST /v1/conversations/{conversation}/share HTTP/1.1\r\nAuthorization: Bearer {token}\
         \r\nX-Rest:"
    );
    let body = json!({ "expiresIn": seconds }).to_string();
    let (_, answer) = http(server, &request, &body).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["accessToken"].as_str().expect("a token").to_owned()
}

const WEBSOCKET: &str = r#"{"transports": ["websocket"]}"#;

// 2
#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_token_no_socket_is_opened() {
    let server = serve(closed).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    let options: Value = serde_json::from_str(WEBSOCKET).expect("JSON");
    for (id, auth) in [
        ("none", json!({})),
        ("wrong", json!({ "token": "wrong" })),
        ("odd", json!({ "token": { "$ne": null } })),
    ] {
        node.open_with(id, &url(&server), &options, &[auth]);
        let refused = node.next(id, "connect_error");
        assert_eq!(refused["message"], "unauthorized", "{id}");
    }
    let token = token(&server).await;
    node.open("right", &url(&server), &json!({ "token": token }));
    node.create("right");
    // A header does as well, for clients that are not pages.
    let mut with_header = options;
    with_header["extraHeaders"] = json!({ "authorization": format!("Bearer {token}") });
    node.open_with("header", &url(&server), &with_header, &[]);
    node.next("header", "connect");
    node.create("header");
}

// 3
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_ends_its_socket_and_another_one_opens_it_again() {
    let server = serve(|config| {
        closed(config);
        config.limits.token = Duration::from_secs(2);
    })
    .await;
    let Some(mut node) = Node::start() else {
        return;
    };
    let first = token(&server).await;
    let options: Value = serde_json::from_str(WEBSOCKET).expect("JSON");
    let auths = [json!({ "token": first.clone() }), json!({ "token": first })];
    node.open_with("a", &url(&server), &options, &auths);
    node.next("a", "connect");
    // The client does not come back by itself: with the same token it cannot.
    let ended = node.next("a", "disconnect");
    assert_eq!(ended["reason"], "io server disconnect");
    node.connect("a");
    assert_eq!(node.next("a", "connect_error")["message"], "token_expired");
    let again = token(&server).await;
    node.open("b", &url(&server), &json!({ "token": again }));
    node.create("b");
}

// 4, 11: the bearer of a share token
#[tokio::test(flavor = "multi_thread")]
async fn the_bearer_of_a_share_token_reads_one_conversation_and_nothing_else() {
    let server = serve(closed).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    let token = token(&server).await;
    for id in ["owner", "other"] {
        node.open(id, &url(&server), &json!({ "token": token }));
    }
    node.emit("owner", "session:create", &[json!({ "timestamp": 1 })]);
    let created = node.event("owner", "session:created");
    let session = created["session_id"].as_str().expect("an id");
    let conversation = created["conversation_id"].as_str().expect("an id");
    let foreign = node.create("other");
    node.send("owner", session, "hello");
    let shared = share(&server, &token, conversation, 60).await;
    node.open("viewer", &url(&server), &json!({ "token": shared }));
    node.join("viewer", session);
    assert_eq!(node.history("viewer", session).len(), 1);
    node.send("owner", session, "live");
    assert_eq!(
        node.event("viewer", "message:send:sync")["input"]["text"],
        "live"
    );
    let answer = node.ask("viewer", "message:send", &[text(session, "mine")]);
    assert_eq!(answer["error_code"], "forbidden");
    assert_eq!(
        node.event("viewer", "message:send:error")["error_code"],
        "forbidden"
    );
    let answer = node.ask("viewer", "session:create", &[json!({ "timestamp": 1 })]);
    assert_eq!(answer["error_code"], "forbidden");
    assert_eq!(
        node.event("viewer", "session:create:error")["error_code"],
        "forbidden"
    );
    // Another session of the account is as unknown as none.
    let answer = node.ask("viewer", "session:reconnect", &[about(&foreign)]);
    assert_eq!(answer["error_code"], "invalid_session");
    let said = created.to_string();
    assert!(
        !said.contains("\"app\""),
        "the application's id is in no payload: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_token_that_expires_ends_its_viewers() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("owner", &url(&server), &json!({}));
    node.emit("owner", "session:create", &[json!({ "timestamp": 1 })]);
    let created = node.event("owner", "session:created");
    let conversation = created["conversation_id"].as_str().expect("an id");
    let shared = share(&server, "", conversation, 2).await;
    node.open("viewer", &url(&server), &json!({ "token": shared }));
    let ended = node.next("viewer", "disconnect");
    assert_eq!(ended["reason"], "io server disconnect");
    node.connect("viewer");
    assert_eq!(
        node.next("viewer", "connect_error")["message"],
        "token_expired"
    );
    // The owner has no token here, and stays.
    node.send(
        "owner",
        created["session_id"].as_str().expect("an id"),
        "still here",
    );
}

// 36
#[tokio::test(flavor = "multi_thread")]
async fn a_correction_reaches_all_and_is_what_later_readers_see() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    for id in ["a", "b"] {
        node.open(id, &url(&server), &json!({ "name": id }));
    }
    let session = node.create("a");
    node.join("b", &session);
    let (mut speaker, _) = Client::started(&server, &session, &start_request()).await;
    let samples = speech(0..5, 16_000);
    speaker.send_audio(&linear16(&samples)).await;
    // A pause ends the utterance, and the session goes on.
    let pause = silence(Duration::from_secs(1), 16_000);
    speaker.send_audio(&linear16(&pause)).await;
    let message = node.event("a", "message:received");
    let mut correction = text(&session, "What was meant.");
    correction["input"]["corrects"] = message["message_id"].clone();
    let answer = node.ask("a", "message:send", &[correction.clone()]);
    assert_eq!(answer["ok"], true, "{answer}");
    let seen = node.event("b", "message:send:sync");
    assert_eq!(seen["input"]["corrects"], message["message_id"]);
    // A later reader has both, and shows the last one.
    node.open("c", &url(&server), &json!({}));
    node.join("c", &session);
    let history = node.history("c", &session);
    let last = history.last().expect("a history");
    assert_eq!(last[0], "message:send");
    assert_eq!(last[1]["input"], seen["input"]);
    assert!(history.iter().any(|item| item[1] == message), "{history:?}");
    correction["input"]["corrects"] = json!("1");
    let answer = node.ask("a", "message:send", &[correction]);
    assert_eq!(answer["error_code"], "invalid_payload", "{answer}");
}
