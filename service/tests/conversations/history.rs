// SPDX-License-Identifier: MPL-2.0

//! The messages of a conversation, asked for over HTTP: S13.

use crate::common::*;
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_service::{Auth, Server};

async fn get(server: &impl Place, id: &str, query: &str) -> Value {
    let request = format!("GET /v1/conversations/{id}/messages{query}");
    let (head, body) = http(server, &request, "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(&body).expect("JSON")
}

async fn status(server: &impl Place, request: &str) -> (String, Value) {
    let (head, body) = http(server, request, "").await;
    let code = head.split(' ').nth(1).expect("a status").to_owned();
    (code, serde_json::from_str(&body).expect("JSON"))
}

fn request(user: &str) -> Value {
    let mut request = start_request();
    request["speaker"] = json!({"userId": format!("{user}@example.org"), "name": user});
    request
}

/// Returns words and the pause that ends an utterance.
fn said(words: std::ops::Range<u16>) -> Vec<u8> {
    let mut samples = speech(words, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    linear16(&samples)
}

/// Returns the live messages among what a client was sent.
fn live(heard: &[Heard]) -> Vec<Value> {
    heard
        .iter()
        .filter(|h| h.kind() == "message_response")
        .flat_map(|h| h.json()["messages"].as_array().cloned().expect("messages"))
        .collect()
}

#[tokio::test]
async fn s13_what_was_said_can_be_asked_for_with_the_times_that_the_sockets_were_told() {
    let server = server().await;
    let (mut client, id) = Client::started(&server, "s13", &request("ada")).await;
    assert_eq!(get(&server, &id, "").await, json!({"messages": []}));
    client.send_audio(&linear16(&speech(0..12, 16_000))).await;
    client.stop().await;
    let heard = live(&client.rest().await);
    assert!(!heard.is_empty());

    // After the conversation is over, too.
    let verbose = get(&server, &id, "?verbose=true").await;
    let stored = verbose["messages"].as_array().expect("messages");
    assert_eq!(stored.len(), heard.len());
    for (stored, live) in stored.iter().zip(&heard) {
        assert_eq!(stored["text"], live["payload"]["content"]);
        for name in ["startTime", "endTime", "duration"] {
            assert_eq!(stored[name], live["duration"][name], "{name}");
        }
        assert_eq!(stored["from"]["name"], "ada");
        assert_eq!(stored["from"]["email"], live["from"]["userId"]);
        assert_eq!(stored["conversationId"], id.as_str());
        let number = stored["id"].as_str().expect("a string");
        assert!(
            number.len() == 16 && number.parse::<u64>().is_ok(),
            "{number}"
        );
        let words = live["metadata"]["words"].as_str().expect("words");
        let words: Vec<Value> = serde_json::from_str(words).expect("JSON");
        let ours = stored["words"].as_array().expect("words");
        assert_eq!(ours.len(), words.len());
        for (ours, live) in ours.iter().zip(&words) {
            for name in ["word", "startTime", "endTime", "duration"] {
                assert_eq!(ours[name], live[name], "{name}");
            }
        }
    }
    assert_eq!(stored[0]["timeOffset"], 0, "the zero is the first sentence");

    let mut brief = verbose.clone();
    for message in brief["messages"].as_array_mut().expect("messages") {
        message.as_object_mut().expect("an object").remove("words");
    }
    assert_eq!(get(&server, &id, "").await, brief);
    assert_eq!(get(&server, &id, "?verbose=false").await, brief);
}

#[tokio::test]
async fn s13_the_speakers_of_a_conversation_and_its_rejoins_are_in_one_list() {
    let server = server().await;
    let mut first = request("ada");
    first["noConnectionTimeout"] = 100.into();
    let (mut ada, id) = Client::started(&server, "s13", &first).await;
    ada.send_audio(&said(0..4)).await;
    ada.until("message_response").await;
    drop(ada);
    let (mut bob, same) = Client::started(&server, "s13", &request("bob")).await;
    assert_eq!(same, id);
    bob.send_audio(&said(20..24)).await;
    bob.until("message_response").await;
    let stored = get(&server, &id, "").await;
    let stored = stored["messages"].as_array().expect("messages");
    let names: Vec<&str> = stored
        .iter()
        .map(|m| m["from"]["name"].as_str().expect("a name"))
        .collect();
    assert!(
        names.is_sorted() && names.contains(&"ada") && names.contains(&"bob"),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_part_of_the_messages_is_answered_by_time_and_number() {
    let server = server().await;
    let (mut client, id) = Client::started(&server, "part", &request("ada")).await;
    for k in 0..5 {
        client.send_audio(&said(10 * k..10 * k + 2)).await;
        client.until("message_response").await;
    }
    client.stop().await;
    client.rest().await;
    let all = get(&server, &id, "").await["messages"].clone();
    let all = all.as_array().expect("messages").clone();
    assert_eq!(all.len(), 5);
    let time = |k: usize| all[k]["startTime"].as_str().expect("a time").to_owned();
    for (query, expected) in [
        ("limit=2".to_owned(), &all[..2]),
        ("offset=3".to_owned(), &all[3..]),
        ("limit=1&offset=2".to_owned(), &all[2..3]),
        ("limit=0".to_owned(), &all[..0]),
        ("offset=5".to_owned(), &all[..0]),
        // A time has milliseconds, and what began within that one counts.
        (format!("startTime={}", time(2)), &all[2..]),
        (format!("endTime={}", time(2)), &all[..2]),
        (
            format!("startTime={}&endTime={}&limit=1", time(1), time(4)),
            &all[1..2],
        ),
        ("startTime=2100-01-01T00:00:00Z".to_owned(), &all[..0]),
    ] {
        let answer = get(&server, &id, &format!("?{query}")).await;
        assert_eq!(answer, json!({ "messages": expected }), "{query}");
    }
    for query in ["startTime=yesterday", "limit=many", "offset=-1"] {
        let path = format!("GET /v1/conversations/{id}/messages?{query}");
        let (code, body) = status(&server, &path).await;
        let name = query.split('=').next().expect("a name");
        let message = body["message"].as_str().expect("a message");
        assert!(
            code == "400" && message.contains(name),
            "{query}: {code} {body}"
        );
    }
}

#[tokio::test]
async fn who_asks_needs_a_token_and_a_conversation_that_there_is() {
    let mut config = config();
    config.auth = Auth::App {
        id: "app".into(),
        secret: "hush".into(),
    };
    let server = Server::bind(config).await.expect("a free port");
    let body = json!({"type": "application", "appId": "app", "appSecret": "hush"}).to_string();
    let (_, answer) = http(&server, "POST /oauth2/token:generate", &body).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let token = answer["accessToken"].as_str().expect("a token");

    let path = "GET /v1/conversations/1234567890123456/messages";
    let (code, body) = status(&server, path).await;
    assert_eq!((code.as_str(), body["message"].is_string()), ("401", true));
    let with =
        |scheme: &str| format!("{path} HTTP/1.1\r\nAuthorization: {scheme} {token}\r\nX-Rest:");
    let (code, body) = status(&server, &with("Bearer")).await;
    assert_eq!((code.as_str(), body["message"].is_string()), ("404", true));
    let (code, _) = status(&server, &with("Basic")).await;
    assert_eq!(code, "401");
    let post = path.replace("GET", "POST");
    assert_eq!(status(&server, &post).await.0, "405");
}
