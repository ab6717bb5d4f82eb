// SPDX-License-Identifier: MPL-2.0

//! The events of the published protocol, and their members.

use crate::common::prompter::Prompter;
use crate::common::{Client, linear16, start_request};
use crate::driver::Node;
use crate::{about, members, numbers, serve, text, url};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;

/// The members of `session:created` and `session:reconnected`, as they are published.
const SESSION: &[&str] = &[
    "session_id",
    "inactivity_timeout_seconds",
    "is_service_desk",
    "is_conversation",
    "is_handover",
    "assignee_agent_id",
    "assignee_brain_id",
    "keep_alive",
    "status",
    "assignee_collection_id",
    "source",
    "context",
];
const SOURCE: &[&str] = &[
    "integration_id",
    "channel",
    "opt_out",
    "is_test",
    "account_id",
    "brain_id",
    "brain_parent_id",
    "brain_version",
    "desk_id",
    "session_timeout",
    "account_slug",
    "department_id",
];

// 1
#[tokio::test(flavor = "multi_thread")]
async fn a_client_connects_over_websockets_over_polling_and_over_an_upgrade() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    for (id, transports) in [
        ("websocket", json!(["websocket"])),
        ("polling", json!(["polling"])),
        ("upgraded", json!(["polling", "websocket"])),
    ] {
        let options = json!({ "transports": transports });
        node.open_with(id, &url(&server), &options, &[]);
        let connected = node.next(id, "connect");
        match id {
            "upgraded" if connected["transport"] == "polling" => {
                assert_eq!(node.next(id, "upgrade")["transport"], "websocket");
            }
            "upgraded" => assert_eq!(connected["transport"], "websocket"),
            _ => assert_eq!(connected["transport"], id),
        }
        let session = node.create(id);
        node.send(id, &session, "hello");
        let history = node.history(id, &session);
        assert_eq!(history.len(), 1, "{id}: {history:?}");
        assert_eq!(history[0][1]["input"]["text"], "hello");
    }
}

// 4, 5
#[tokio::test(flavor = "multi_thread")]
async fn created_and_reconnected_have_all_members_and_the_same_ones() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({ "name": "Ada" }));
    node.emit("a", "session:create", &[json!({ "timestamp": 1 })]);
    let created = node.event("a", "session:created");
    for member in SESSION {
        assert!(created.get(member).is_some(), "{member}: {created}");
    }
    assert_eq!(members(&created["source"]), SOURCE);
    assert_eq!(
        members(&created["context"]["user"]),
        ["display_name", "phone", "email"]
    );
    assert_eq!(created["context"]["user"]["display_name"], "Ada");
    assert_eq!(created["status"], "active");
    assert_eq!(created["inactivity_timeout_seconds"], 600);
    assert_eq!(created["keep_alive"], 120);
    let session = created["session_id"].as_str().expect("an id");
    assert_eq!(session.len(), 36, "a UUID");
    assert!(node.rest("a").is_empty(), "exactly one answer");

    node.open("b", &url(&server), &json!({}));
    let reconnected = node.join("b", session);
    assert_eq!(members(&reconnected), members(&created));
    assert_eq!(members(&reconnected["source"]), SOURCE);
    assert_eq!(reconnected["session_id"], session);
}

// 6
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_session_is_an_invalid_session() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    for id in [
        "00000000-0000-4000-8000-000000000000",
        "x",
        "'; DROP TABLE conversation; --",
    ] {
        let answer = node.ask("a", "session:reconnect", &[about(id)]);
        let error = node.event("a", "session:reconnect:error");
        assert_eq!(members(&error), ["error_code", "description"]);
        assert_eq!(error["error_code"], "invalid_session");
        assert_eq!(
            error["description"],
            "The provided session ID is invalid or the session has expired"
        );
        assert_eq!(answer["ok"], false);
        assert_eq!(answer["error_code"], "invalid_session");
    }
}

// 7, 8, 32, 35
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_answered_and_the_socket_stays() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    let arguments: [Vec<Value>; 9] = [
        vec![],
        vec![json!(null)],
        vec![json!([])],
        vec![json!("text")],
        vec![json!({ "binary": true })],
        vec![json!({ "session_id": session })],
        vec![json!({ "timestamp": 1 })],
        vec![json!({ "session_id": 7, "timestamp": 1 })],
        vec![json!({ "session_id": session, "timestamp": "now" })],
    ];
    for event in ["session:reconnect", "session:history:sync", "message:send"] {
        for args in &arguments {
            let answer = node.ask("a", event, args);
            assert_eq!(answer["error_code"], "invalid_payload", "{event} {args:?}");
            let error = node.event("a", &format!("{event}:error"));
            assert_eq!(error["error_code"], "invalid_payload");
        }
    }
    for event in ["session:close", "message:read", "__proto__", "a b"] {
        let answer = node.ask("a", event, &[about(&session)]);
        assert_eq!(answer["error_code"], "unsupported_event", "{event}");
        let error = node.event("a", &format!("{event}:error"));
        assert_eq!(error["error_code"], "unsupported_event");
    }
    // More arguments than one are ignored.
    let answer = node.ask("a", "message:send", &[text(&session, "t"), json!(7)]);
    assert_eq!(answer["ok"], true, "{answer}");
    // What needs no acknowledgement gets none, and the socket still works.
    node.emit("a", "message:send", &[json!([])]);
    node.event("a", "message:send:error");
    node.send("a", &session, "still here");
    let foreign = format!("{}/other", url(&server));
    node.open_with("b", &foreign, &json!({ "transports": ["websocket"] }), &[]);
    assert_eq!(
        node.next("b", "connect_error")["message"],
        "Invalid namespace"
    );
}

// 9, 32
#[tokio::test(flavor = "multi_thread")]
async fn a_text_goes_to_the_others_once_and_never_to_its_sender() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open(
        "a",
        &url(&server),
        &json!({ "name": "Ada", "user_id": "ada@example.org" }),
    );
    node.open("b", &url(&server), &json!({}));
    let session = node.create("a");
    node.join("b", &session);
    let mut sent = text(&session, "Hello from Client A");
    sent["client_id"] = json!("c-1");
    let answer = node.ask("a", "message:send", &[sent.clone()]);
    assert_eq!(members(&answer), ["ok", "event_id", "seq", "from"]);
    // Sent again, it is the same text.
    let again = node.ask("a", "message:send", &[sent]);
    assert_eq!(again, answer);
    let seen = node.event("b", "message:send:sync");
    for member in ["session_id", "from", "to", "body", "timestamp"] {
        assert!(seen.get(member).is_some(), "{member}: {seen}");
    }
    assert_eq!(
        members(&seen["from"]),
        ["agent_id", "agent_name", "team_id"]
    );
    assert_eq!(seen["from"], answer["from"]);
    assert_eq!(seen["from"]["agent_name"], "Ada");
    assert_eq!(members(&seen["to"]), ["user_id"]);
    assert_eq!(seen["body"], json!({ "text": "Hello from Client A" }));
    assert_eq!(seen["input"], json!({ "text": "Hello from Client A" }));
    assert_eq!(seen["session_id"], session.as_str());
    assert_eq!(seen["event_id"], answer["event_id"]);
    assert_eq!(seen["seq"], answer["seq"]);
    assert_eq!(seen["client_id"], "c-1");
    assert!(
        seen["timestamp"]
            .as_u64()
            .is_some_and(|at| at > 1_600_000_000_000)
    );
    assert!(node.rest("b").is_empty(), "once");
    assert!(node.rest("a").is_empty(), "not to its sender");
    // In the history it is the text that was sent, for all.
    for id in ["a", "b"] {
        let history = node.history(id, &session);
        assert_eq!(history.len(), 1);
        assert_eq!(history[0][0], "message:send");
        assert_eq!(history[0][1]["input"]["text"], "Hello from Client A");
        assert_eq!(history[0][1]["event_id"], answer["event_id"]);
    }
}

// 10, 11, 22
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_sees_the_session_that_it_has_joined_and_no_other() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    for id in ["a", "b", "c", "d"] {
        node.open(id, &url(&server), &json!({}));
    }
    let (one, two) = (node.create("a"), node.create("b"));
    node.join("c", &one);
    let answer = node.ask("d", "message:send", &[text(&one, "not joined")]);
    assert_eq!(answer["error_code"], "not_joined");
    let answer = node.ask("d", "session:history:sync", &[about(&one)]);
    assert_eq!(answer["error_code"], "not_joined");
    let answer = node.ask("c", "message:send", &[text(&two, "another session")]);
    assert_eq!(answer["error_code"], "not_joined");
    node.events("d");
    node.events("c");
    node.send("a", &one, "in one");
    node.send("b", &two, "in two");
    assert_eq!(
        node.event("c", "message:send:sync")["input"]["text"],
        "in one"
    );
    for id in ["a", "b", "c", "d"] {
        assert!(node.rest(id).is_empty(), "{id}");
    }
    // Another session takes its place.
    node.join("c", &two);
    node.send("a", &one, "in one again");
    node.send("b", &two, "in two again");
    let seen = node.event("c", "message:send:sync");
    assert_eq!(seen["input"]["text"], "in two again");
    assert_eq!(seen["session_id"], two.as_str());
    assert!(node.rest("c").is_empty());
}

// 12, 13, 14
#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_one_array_in_order_and_its_pages_join_up() {
    let server = serve(|config| config.limits.session_sends = 100).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    node.open("b", &url(&server), &json!({}));
    let session = node.create("a");
    node.join("b", &session);
    assert!(node.history("b", &session).is_empty(), "nothing yet");
    let tag = node.texts("a", &session, 0..50);
    assert_eq!(node.answer("a", tag)["failed"], json!([]));
    let whole = node.history("a", &session);
    let expected: Vec<String> = (0..50).map(|n| format!("text {n}")).collect();
    let texts = whole.iter().map(|item| item[1]["input"]["text"].as_str());
    assert_eq!(texts.collect::<Option<Vec<_>>>().expect("texts"), expected);
    assert!(
        whole
            .iter()
            .all(|item| item.as_array().is_some_and(|item| item.len() == 2))
    );
    assert!(numbers(&whole).is_sorted());
    // The client's clock selects nothing.
    for timestamp in [json!(0), json!(99_999_999_999_999_u64), json!(-1)] {
        let asked = json!({ "session_id": session, "timestamp": timestamp });
        node.emit("a", "session:history:sync", &[asked]);
        assert_eq!(node.event("a", "session:history:synced"), json!(whole));
    }
    let last = whole.last().expect("texts")[1].clone();
    for after in [&last["event_id"], &last["seq"]] {
        let mut asked = about(&session);
        asked["after"] = after.clone();
        let answer = node.ask("a", "session:history:sync", &[asked]);
        assert_eq!(answer["more"], false, "{answer}");
        assert_eq!(answer["head"], last["seq"]);
        assert_eq!(node.event("a", "session:history:synced"), json!([]));
    }
    let (mut joined, mut after) = (Vec::new(), json!(0));
    loop {
        let mut asked = about(&session);
        (asked["after"], asked["limit"]) = (after.clone(), json!(17));
        let answer = node.ask("a", "session:history:sync", &[asked]);
        let page = node.event("a", "session:history:synced");
        let page = page.as_array().expect("an array").clone();
        assert!(page.len() <= 17);
        joined.extend(page);
        after = joined.last().expect("texts")[1]["event_id"].clone();
        if answer["more"] == false {
            break;
        }
    }
    assert_eq!(joined, whole);
}

// 15
#[tokio::test(flavor = "multi_thread")]
async fn a_client_need_not_wait_for_an_answer_before_it_asks_again() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    for round in 0..200_usize {
        let id = format!("r{round}");
        node.open(&id, &url(&server), &json!({}));
        node.emit(&id, "session:reconnect", &[about(&session)]);
        node.emit(&id, "session:history:sync", &[about(&session)]);
        let words = format!("round {round}");
        let tag = node.asks(&id, "message:send", &[text(&session, &words)]);
        let answer = node.answer(&id, tag);
        assert_eq!(answer["ok"], true, "{round}: {answer}");
        let events = node.events(&id);
        let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["session:reconnected", "session:history:synced"],
            "{round}"
        );
        let history = events[1].1.as_array().expect("an array");
        assert_eq!(history.len(), round, "all that was sent before");
        node.close(&id);
    }
}

// 20, 23
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_comes_back_is_a_new_one_and_joins_anew() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    let options = json!({ "transports": ["websocket"], "reconnectionDelay": 10 });
    node.open_with("b", &url(&server), &options, &[]);
    let first = node.next("b", "connect")["sid"].clone();
    node.join("b", &session);
    // To join twice is to join.
    node.join("b", &session);
    node.send("a", &session, "once");
    node.event("b", "message:send:sync");
    assert!(node.rest("b").is_empty(), "not doubled");
    node.cut("b");
    let lost = node.next("b", "disconnect");
    assert_eq!(lost["active"], true, "it comes back by itself");
    let second = node.next("b", "connect");
    assert_ne!(second["sid"], first);
    assert_ne!(second["recovered"], true);
    node.send("a", &session, "missed");
    assert!(node.rest("b").is_empty(), "it has not joined");
    node.join("b", &session);
    let history = node.history("b", &session);
    assert_eq!(history.len(), 2);
    node.send("a", &session, "live again");
    assert_eq!(
        node.event("b", "message:send:sync")["input"]["text"],
        "live again"
    );
    assert!(node.rest("b").is_empty());
}

// 39
#[tokio::test(flavor = "multi_thread")]
async fn the_path_of_the_vendor_works_too() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    let integration = "d9e7c112-8f11-4c80-9318-b3f98b9728d6";
    let options =
        json!({ "path": format!("/v1/web/{integration}/ws"), "transports": ["websocket"] });
    node.open_with("a", &url(&server), &options, &[]);
    node.next("a", "connect");
    node.emit("a", "session:create", &[json!({ "timestamp": 1 })]);
    let created = node.event("a", "session:created");
    assert_eq!(created["source"]["integration_id"], integration);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_asks_is_told_how_long_each_speaker_talks_and_no_other_one_is() {
    const LINES: &[&str] = &["we ship on friday", "when does it start"];
    let server = serve(|config| config.recognizer = Arc::new(Prompter(LINES))).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({ "analytics": true }));
    node.open("b", &url(&server), &json!({}));
    let session = node.create("a");
    node.join("b", &session);
    let mut request = start_request();
    request["speaker"] = json!({ "userId": "ada@example.org", "name": "Ada" });
    let (mut speaker, _) = Client::started(&server, &session, &request).await;
    let audio = silence(Duration::from_millis(1_500), 16_000);
    speaker.send_audio(&linear16(&audio)).await;
    let mut told = node.event("a", "conversation:analytics");
    // A page that comes later is told the last figures.
    node.open("c", &url(&server), &json!({ "analytics": true }));
    node.join("c", &session);
    let late = node.event("c", "conversation:analytics");
    assert_eq!(late["members"], told["members"]);
    speaker.stop().await;
    speaker.rest().await;
    while told["members"][0]["x_messages"] != 2 {
        told = node.event("a", "conversation:analytics");
    }
    assert_eq!(told["session_id"], session.as_str());
    assert!(told["timestamp"].is_u64(), "{told}");
    let ada = &told["members"][0];
    assert_eq!((&ada["name"], &ada["x_words"]), (&json!("Ada"), &json!(8)));
    assert_eq!(
        (&ada["x_questions"], &ada["talkTime"]["seconds"]),
        (&json!(1), &json!(0.16))
    );
    let others = node.rest("b");
    assert!(
        !format!("{others:?}").contains("conversation:analytics"),
        "{others:?}"
    );
}

// 21, 30
#[tokio::test(flavor = "multi_thread")]
async fn what_a_speaker_says_reaches_all_sockets_of_the_session() {
    const LINES: &[&str] = &[
        "please send the budget report by friday",
        "when does it start",
    ];
    let server = serve(|config| config.recognizer = Arc::new(Prompter(LINES))).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({ "captions": true }));
    node.open("b", &url(&server), &json!({}));
    let session = node.create("a");
    node.join("b", &session);
    let mut request = start_request();
    request["speaker"] = json!({ "userId": "ada@example.org", "name": "Ada" });
    request["insightTypes"] = json!(["question", "action_item"]);
    let (mut speaker, conversation) = Client::started(&server, &session, &request).await;
    for id in ["a", "b"] {
        let state = node.event(id, "session:state");
        assert_eq!(
            (&state["status"], &state["speakers"]),
            (&json!("active"), &json!(1))
        );
        let joined = node.event(id, "conversation:member_joined");
        assert_eq!(members(&joined["member"]), ["id", "name", "user_id"]);
        assert_eq!(joined["member"]["name"], "Ada");
    }
    let half_seconds = silence(Duration::from_millis(1_500), 16_000);
    speaker.send_audio(&linear16(&half_seconds)).await;
    speaker.stop().await;
    speaker.rest().await;
    let mut seen = Vec::new();
    for id in ["a", "b"] {
        let message = node.event(id, "message:received");
        for member in [
            "session_id",
            "from",
            "to",
            "body",
            "timestamp",
            "message_id",
            "words",
        ] {
            assert!(message.get(member).is_some(), "{member}: {message}");
        }
        assert_eq!(message["conversation_id"], conversation.as_str());
        assert_eq!(
            message["body"]["text"],
            "Please send the budget report by Friday."
        );
        assert_eq!(message["from"]["agent_name"], "Ada");
        let (start, end) = (&message["start"], &message["end"]);
        assert!(start.as_i64() < end.as_i64(), "{message}");
        assert_eq!(message["words"].as_array().map(Vec::len), Some(7));
        let item = node.event(id, "message:brain_received");
        assert_eq!(item["symbl"]["kind"], "action_item");
        assert_eq!(item["symbl"]["message_id"], message["message_id"]);
        assert_eq!(
            item["output"],
            json!({ "responses": [{ "type": "text", "text": item["symbl"]["text"] }] })
        );
        assert_eq!(item["brain_language"], "en");
        assert_eq!(item["request_id"].as_str().map(str::len), Some(36));
        assert_eq!(item["seq"], message["seq"], "of the same final");
        let left = node.event(id, "conversation:member_left");
        assert_eq!(members(&left["member"]), ["id", "name", "user_id"]);
        assert_eq!(left["member"]["id"], message["from"]["agent_id"]);
        assert_eq!(left["member"]["name"], "Ada");
        for member in ["session_id", "timestamp", "event_id", "seq"] {
            assert!(left.get(member).is_some(), "{member}: {left}");
        }
        assert!(left["seq"].as_u64() > message["seq"].as_u64(), "{left}");
        node.event(id, "session:closed");
        seen.push((message, item, left));
    }
    assert_eq!(seen[0], seen[1]);
    // Interims come to those that asked for them, and are not in the history.
    let interim = node.event("a", "caption:interim");
    assert!(
        interim["start"].as_i64() > Some(1_600_000_000_000),
        "{interim}"
    );
    assert_eq!(interim["from"]["agent_name"], "Ada");
    let others = node.rest("b");
    assert!(
        others.iter().all(|(name, _)| name != "caption:interim"),
        "{others:?}"
    );
    let history = node.history("b", &session);
    let names: Vec<&Value> = history.iter().map(|item| &item[0]).collect();
    assert_eq!(names[0], "conversation:member_joined");
    assert!(!names.contains(&&json!("caption:interim")));
    let message = history.iter().find(|item| item[0] == "message:received");
    assert_eq!(
        message.map(|item| &item[1]),
        Some(&seen[0].0),
        "as it was live"
    );
    let last = history.last().expect("an event");
    assert_eq!(*last, json!(["conversation:member_left", seen[0].2]));
}
