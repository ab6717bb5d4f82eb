// SPDX-License-Identifier: MPL-2.0

//! Sessions are active, closed and expired, and the service is killed and comes back.

use crate::common::process::{Process, keep, token};
use crate::common::{Client, http, linear16, start_request};
use crate::driver::Node;
use crate::{about, serve, text, url};
use serde_json::{Value, json};
use std::path::Path;
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

/// Starts the service on a directory, for an application.
fn started(data: &Path, listen: &str, application: &str) -> Process {
    Process::listening(listen, |command| {
        keep(command, data, application);
        command.args(["--session-sends", "10000"]);
    })
}

// 27
#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_clients_come_back_by_themselves_and_nothing_is_missing() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let data = tempfile::tempdir().expect("a folder");
    let service = started(data.path(), "127.0.0.1:0", "app");
    let listen = service.address.to_string();
    let url = format!("http://{listen}");
    let auth = json!({ "token": token(&service, "app", "hush").await });
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
    let service = started(data.path(), &listen, "app");
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
    let foreign = started(data.path(), &listen, "other");
    let auth = json!({ "token": token(&foreign, "other", "hush").await });
    node.open("c", &url, &auth);
    let answer = node.ask("c", "session:reconnect", &[about(&session)]);
    assert_eq!(answer["error_code"], "invalid_session", "{answer}");
}

/// Returns the names of those that came and left in a history, in order.
fn presence(history: &[Value]) -> Vec<String> {
    let presence = history.iter().filter_map(|item| {
        let kind = item[0].as_str()?.strip_prefix("conversation:member_")?;
        Some(format!("{} {kind}", item[1]["member"]["name"].as_str()?))
    });
    presence.collect()
}

fn named(name: &str, keep: u64) -> Value {
    let mut request = start_request();
    request["speaker"] = json!({ "userId": format!("{name}@example.org"), "name": name });
    request["noConnectionTimeout"] = json!(keep);
    request
}

async fn stop(mut speaker: Client) {
    speaker.stop().await;
    speaker.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_that_is_lost_has_left_when_it_does_not_come_back_also_after_sigkill() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let data = tempfile::tempdir().expect("a folder");
    let service = started(data.path(), "127.0.0.1:0", "app");
    let listen = service.address.to_string();
    let url = format!("http://{listen}");
    let auth = json!({ "token": token(&service, "app", "hush").await });
    let options = json!({ "transports": ["websocket"], "reconnectionDelay": 50 });
    node.open_with("a", &url, &options, std::slice::from_ref(&auth));
    node.next("a", "connect");
    let session = node.create("a");
    let token = auth["token"].as_str().expect("a token");
    let path = format!("{session}?access_token={token}");
    let (ada, _) = Client::started(&service, &path, &named("Ada", 600)).await;
    let (bob, _) = Client::started(&service, &path, &named("Bob", 2)).await;
    let (eve, _) = Client::started(&service, &path, &named("Eve", 600)).await;
    // A lost socket is not yet a speaker that has left.
    drop(eve);
    let (eve, _) = Client::started(&service, &path, &named("Eve", 600)).await;
    drop(bob);
    let left = node.event("a", "conversation:member_left");
    assert_eq!(left["member"]["name"], "Bob", "and not Eve");
    let (bob, _) = Client::started(&service, &path, &named("Bob", 600)).await;
    stop(eve).await;
    let left = node.event("a", "conversation:member_left");
    assert_eq!(left["member"]["name"], "Eve", "at once");
    let before = node.history("a", &session);
    let expected = [
        "Ada joined",
        "Bob joined",
        "Eve joined",
        "Bob left",
        "Bob joined",
        "Eve left",
    ];
    assert_eq!(presence(&before), expected);
    service.kill();
    drop((ada, bob));
    let service = started(data.path(), &listen, "app");
    node.next("a", "connect");
    assert_eq!(node.join("a", &session)["status"], "active");
    assert_eq!(node.history("a", &session), before, "nobody has left yet");
    let (ada, _) = Client::started(&service, &path, &named("Ada", 600)).await;
    let (bob, _) = Client::started(&service, &path, &named("Bob", 600)).await;
    stop(bob).await;
    stop(ada).await;
    node.event("a", "session:closed");
    let after = presence(&node.history("a", &session));
    assert_eq!(after[..expected.len()], expected);
    let mut rest = after[expected.len()..].to_vec();
    rest.sort();
    assert_eq!(rest, ["Ada left", "Bob left"], "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_deleted_is_expired_for_those_who_have_joined_it() {
    let server = serve(|config| {
        config.limits.session_keep_alive = Duration::from_secs(2);
    })
    .await;
    let Some(mut node) = Node::start() else {
        return;
    };
    for id in ["a", "b", "c", "d"] {
        node.open(id, &url(&server), &json!({}));
    }
    let other = node.create("d");
    for expires in [false, true] {
        let session = node.create("a");
        let (speaker, conversation) = Client::started(&server, &session, &start_request()).await;
        stop(speaker).await;
        node.event("a", "session:closed");
        if expires {
            assert_eq!(
                node.event("a", "session:expired").get("deleted"),
                None,
                "it is only expired"
            );
        }
        // One that comes late, and only reads.
        let mut view = about(&session);
        view["view"] = json!(true);
        node.emit("b", "session:reconnect", &[view]);
        node.event("b", "session:reconnected");
        let delete = format!("DELETE /v1/conversations/{conversation}");
        let (head, answer) = http(&server, &delete, "").await;
        assert!(head.starts_with("http/1.1 200"), "{answer}");
        for id in ["a", "b"] {
            let mut expired = node.event(id, "session:expired");
            // It may have expired just before.
            if !expires && expired.get("deleted").is_none() {
                expired = node.event(id, "session:expired");
            }
            assert_eq!(expired["deleted"], true, "{id}: {expired}");
            assert_eq!(expired["status"], "expired");
            assert_eq!(expired["session_id"], session.as_str());
            let answer = node.ask(id, "session:history:sync", &[about(&session)]);
            assert_eq!(answer["error_code"], "invalid_session", "{answer}");
            let answer = node.ask(id, "message:send", &[text(&session, "too late")]);
            assert_eq!(answer["error_code"], "invalid_session", "{answer}");
        }
        let mut view = about(&session);
        view["view"] = json!(true);
        let answer = node.ask("c", "session:reconnect", &[view]);
        assert_eq!(answer["error_code"], "invalid_session", "{answer}");
    }
    let others = node.rest("d");
    assert!(
        others.iter().all(|(name, _)| name != "session:expired"),
        "{others:?}"
    );
    assert_eq!(node.join("d", &other)["status"], "active");
}
