// SPDX-License-Identifier: MPL-2.0

//! The command is killed and comes back: what was said is there, and its
//! speakers find their conversation. S7, S12, S13 over a restart.

use crate::common::process::{Process as Service, keep, token};
use crate::common::*;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};

impl Service {
    /// Starts the service on a directory, for an application.
    fn of(data: &Path, application: &str) -> Self {
        Self::start(|command| keep(command, data, application))
    }

    async fn speaker(&self, token: &str, name: &str) -> (Client, String) {
        let headers = [("X-API-KEY", token)];
        let (mut client, _) = Client::open(&self.address, "/v1/streaming/kill", &headers)
            .await
            .expect("an upgrade");
        let mut request = start_request();
        request["noConnectionTimeout"] = 1800.into();
        request["speaker"] = json!({"userId": format!("{name}@example.org"), "name": name});
        let conversation = client.start(&request).await;
        (client, conversation)
    }

    async fn get(&self, token: &str, path: &str) -> (String, Value) {
        let request = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
        let (head, body) = http(&self.address, &request, "").await;
        let code = head.split(' ').nth(1).expect("a status").to_owned();
        (code, serde_json::from_str(&body).expect("JSON"))
    }
}

/// Returns words and the pause that ends an utterance.
fn said(words: std::ops::Range<u16>) -> Vec<u8> {
    let mut samples = speech(words, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    linear16(&samples)
}

fn texts_of(messages: &[Value]) -> Vec<Value> {
    messages.iter().map(|m| m["text"].clone()).collect()
}

#[tokio::test]
async fn s7_a_killed_service_takes_its_speakers_back_and_has_all_that_they_were_told() {
    let data = tempfile::tempdir().expect("a directory");
    let mut told = Vec::new();
    let mut conversation = None;
    let mut sequence = 0;
    let mut first = None;
    for round in 0..3u16 {
        let service = Service::of(data.path(), "app");
        // A token outlives the service too.
        let token = match &first {
            Some(token) => token,
            None => first.insert(token(&service, "app", "hush").await),
        };
        let (mut ada, id) = service.speaker(token, "ada").await;
        let (mut bob, same) = service.speaker(token, "bob").await;
        assert_eq!(id, same);
        assert_eq!(conversation.get_or_insert_with(|| id.clone()), &id);
        for k in 0..10 {
            let speaker = if k % 2 == 0 { &mut ada } else { &mut bob };
            let word = 100 * round + 10 * k;
            speaker.send_audio(&said(word..word + 3)).await;
            let message = ada.until("message_response").await;
            if k % 2 == 1 {
                bob.until("message_response").await;
            }
            assert_eq!(message.json()["sequenceNumber"], sequence, "round {round}");
            sequence += 1;
            let message = &message.json()["messages"][0];
            told.push(json!({
                "text": message["payload"]["content"],
                "name": message["from"]["name"],
                "startTime": message["duration"]["startTime"],
                "endTime": message["duration"]["endTime"],
            }));
            if k % 2 == 0 {
                bob.until("message_response").await;
            }
        }
        service.kill();
    }

    let service = Service::of(data.path(), "app");
    let (token, id) = (first.expect("a token"), conversation.expect("an id"));
    let base = format!("/v1/conversations/{id}");
    let (code, stored) = service
        .get(&token, &format!("{base}/messages?verbose=true"))
        .await;
    assert_eq!(code, "200");
    let stored = stored["messages"].as_array().expect("messages").clone();
    let brief: Vec<Value> = stored
        .iter()
        .map(|m| {
            json!({
                "text": m["text"],
                "name": m["from"]["name"],
                "startTime": m["startTime"],
                "endTime": m["endTime"],
            })
        })
        .collect();
    assert_eq!(brief.len(), told.len(), "{:?}", texts_of(&stored));
    for message in &told {
        assert!(brief.contains(message), "{message} is not stored");
    }
    assert_eq!(stored[0]["words"].as_array().map(Vec::len), Some(3));
    let (_, members) = service.get(&token, &format!("{base}/members")).await;
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2));

    // A clean end is one over a restart, too.
    let (mut ada, same) = service.speaker(&token, "ada").await;
    assert_eq!(same, id);
    ada.stop().await;
    ada.rest().await;
    // Its end is stored before what is waited for.
    let (_bob, next) = service.speaker(&token, "bob").await;
    assert_ne!(next, id);
    service.kill();
    let service = Service::of(data.path(), "app");
    let (_bob, again) = service.speaker(&token, "bob").await;
    assert_eq!(again, next);
}

#[tokio::test]
async fn s13_what_one_application_said_is_nothing_to_another() {
    let data = tempfile::tempdir().expect("a directory");
    let service = Service::of(data.path(), "one");
    let one = token(&service, "one", "hush").await;
    let (mut client, id) = service.speaker(&one, "ada").await;
    client.send_audio(&said(0..3)).await;
    client.until("message_response").await;
    service.kill();

    let service = Service::of(data.path(), "two");
    let two = token(&service, "two", "hush").await;
    let (_client, other) = service.speaker(&two, "eve").await;
    assert_ne!(other, id, "the same connection id, another account");
    for path in ["", "/messages", "/members", "/insights", "/topics"] {
        let path = format!("/v1/conversations/{id}{path}");
        assert_eq!(service.get(&two, &path).await.0, "404", "{path}");
    }
    let (_, list) = service.get(&two, "/v1/conversations").await;
    let ids: Vec<&Value> = list["conversations"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|c| &c["id"])
        .collect();
    assert_eq!(ids, [&json!(other)]);
    service.kill();

    let service = Service::of(data.path(), "one");
    let path = format!("/v1/conversations/{id}/messages");
    let (code, stored) = service.get(&one, &path).await;
    assert_eq!(code, "200");
    assert_eq!(stored["messages"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn kept_trackers_outlive_the_service_and_are_of_their_application_only() {
    let data = tempfile::tempdir().expect("a directory");
    let service = Service::of(data.path(), "one");
    let one = token(&service, "one", "hush").await;
    let tracker = json!({"name": "Numbers", "vocabulary": ["w1"]}).to_string();
    let make = format!("POST /v1/manage/tracker HTTP/1.1\r\nX-API-KEY: {one}\r\nX-Rest:");
    let (_, made) = http(&service.address, &make, &tracker).await;
    let made: Value = serde_json::from_str(&made).expect("JSON");
    service.kill();

    let service = Service::of(data.path(), "two");
    let two = token(&service, "two", "hush").await;
    let (_, listed) = service.get(&two, "/v1/manage/trackers").await;
    assert_eq!(listed, json!({"trackers": []}));
    service.kill();

    let service = Service::of(data.path(), "one");
    let (_, listed) = service.get(&one, "/v1/manage/trackers").await;
    assert_eq!(listed, json!({"trackers": [made["tracker"]]}));
    let (mut client, _) = Client::open(&service.address, "/v1/streaming/x", &[("X-API-KEY", &one)])
        .await
        .expect("an upgrade");
    let mut request = start_request();
    request["config"]["trackers"] = json!({"enableAllTrackers": true});
    client.start(&request).await;
    client.send_audio(&said(0..3)).await;
    let found = client.until("tracker_response").await;
    assert_eq!(found.json()["trackers"][0]["id"], made["tracker"]["id"]);
}

#[test]
fn a_directory_that_is_in_use_is_refused() {
    let data = tempfile::tempdir().expect("a directory");
    let _first = Service::of(data.path(), "app");
    let second = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--recognizer",
            "scripted",
            "--data",
        ])
        .arg(data.path())
        .output()
        .expect("run");
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("in use by another service"), "{said}");
}
