// SPDX-License-Identifier: MPL-2.0

//! Strings that mean something elsewhere: to SQL, to a file system, to a log. Here
//! they are strings.

use crate::common::child::Service;
use crate::common::*;
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};

/// What is put into every string that there is.
const ATTACKS: &[&str] = &[
    "'; DROP TABLE message; --",
    "\" OR \"\"=\"",
    "x' UNION SELECT value FROM meta --",
    "../../../../etc/passwd",
    "%2e%2e%2f",
    "a\nINJECTED event=\"over\"",
    "a\r\n\r\nINJECTED",
    "\u{1b}[2J\u{1b}]0;INJECTED\u{7}",
    "\0INJECTED",
    "\u{202e}INJECTED",
    "$(touch INJECTED) `touch INJECTED` %s%n {}",
];

/// Returns a text as it is written in a path.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn ask(service: &Service, token: &str, request: &str, body: &str) -> (String, Value) {
    let request = format!("{request} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
    let (head, body) = http(service, &request, body).await;
    let code = head.split(' ').nth(1).expect("a status").to_owned();
    (code, serde_json::from_str(&body).expect(&head))
}

/// Holds a conversation in which every string is the attack, and returns what is stored.
async fn attacked(service: &Service, token: &str, attack: &str) -> String {
    let path = format!("/v1/streaming/{}", escaped(attack));
    let (mut client, _) = Client::open(service, &path, &[("X-API-KEY", token)])
        .await
        .expect("an upgrade");
    let mut request = start_request();
    request["speaker"] = json!({"userId": attack, "name": attack});
    request["config"]["meetingTitle"] = attack.into();
    request["customVocabulary"] = json!([attack]);
    request["trackers"] = json!([{"name": attack, "vocabulary": ["w0", attack]}]);
    let id = client.start(&request).await;
    client.send_json(&json!({"type": attack})).await;
    client.until("error").await;
    let mut samples = speech(0..2, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    client.send_audio(&linear16(&samples)).await;
    client.stop().await;
    client.rest().await;
    id
}

#[tokio::test]
async fn a_string_is_a_string_in_the_database_in_paths_and_in_the_log() {
    let data = tempfile::tempdir().expect("a directory");
    let place = data.path().to_str().expect("UTF-8");
    let options = [
        "--data",
        place,
        "--log",
        "debug",
        "--app-id",
        "app",
        "--app-secret",
        "hush-hush",
    ];
    let service = Service::start(&options);
    let body = json!({"type": "application", "appId": "app", "appSecret": "hush-hush"});
    let (_, granted) = http(&service, "POST /oauth2/token:generate", &body.to_string()).await;
    let granted: Value = serde_json::from_str(&granted).expect("JSON");
    let token = granted["accessToken"].as_str().expect("a token");
    let mut ids = Vec::new();
    for attack in ATTACKS {
        ids.push(attacked(&service, token, attack).await);
    }
    for (id, attack) in ids.iter().zip(ATTACKS) {
        let base = format!("GET /v1/conversations/{id}");
        let (code, meta) = ask(&service, token, &base, "").await;
        assert_eq!((code.as_str(), &meta["name"]), ("200", &json!(attack)));
        assert_eq!(meta["members"].as_array().map(Vec::len), Some(1));
        assert_eq!(meta["members"][0]["name"], *attack);
        assert_eq!(meta["members"][0]["email"], *attack);
        let (_, trackers) = ask(&service, token, &format!("{base}/trackers-detected"), "").await;
        assert_eq!(trackers[0]["name"], *attack);
        let (_, messages) = ask(&service, token, &format!("{base}/messages"), "").await;
        assert!(
            !messages["messages"]
                .as_array()
                .expect("messages")
                .is_empty()
        );
        // Where an id is wanted, it is none.
        let tricky = escaped(attack);
        for request in [
            format!("GET /v1/conversations/{tricky}"),
            format!("DELETE /v1/conversations/{tricky}"),
            format!("PUT /v1/conversations/{id}/members/{tricky}"),
            format!("GET /v1/manage/tracker/{tricky}"),
            format!("DELETE /v1/manage/tracker/{tricky}"),
        ] {
            let (code, body) = ask(&service, token, &request, r#"{"name":"x"}"#).await;
            assert_eq!(code, "404", "{request}");
            assert!(body["message"].is_string());
        }
        for query in ["limit", "offset", "order", "startTime", "endTime"] {
            let request = format!("GET /v1/conversations?{query}={tricky}");
            assert_eq!(
                ask(&service, token, &request, "").await.0,
                "400",
                "{request}"
            );
        }
        let wrong = json!({"type": "application", "appId": attack, "appSecret": attack});
        let (head, _) = http(&service, "POST /oauth2/token:generate", &wrong.to_string()).await;
        assert!(head.starts_with("http/1.1 401"), "{head}");
    }
    let (_, all) = ask(&service, token, "GET /v1/conversations", "").await;
    assert_eq!(
        all["conversations"].as_array().map(Vec::len),
        Some(ATTACKS.len())
    );
    // Nothing but the database was written.
    let mut files: Vec<String> = std::fs::read_dir(data.path())
        .expect("a directory")
        .map(|file| {
            file.expect("a file")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort();
    let ours = ["lock", "spool", "symbl.db", "symbl.db-shm", "symbl.db-wal"];
    assert_eq!(files, ours);
    assert_log(&service.end(), token);
}

/// Asserts that the service wrote every line, without a control character and without a
/// secret.
fn assert_log(log: &str, token: &str) {
    assert!(log.contains("INJECTED"), "what comes is told in the log");
    for line in log.lines() {
        let plain = strip_colours(line);
        let time = plain.get(..4).and_then(|year| year.parse::<u32>().ok());
        assert!(time.is_some(), "a line of its own: {line:?}");
        let control = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!plain.contains(control), "{line:?}");
        assert!(line.len() < 2000, "{} bytes: {line:?}", line.len());
        for secret in ["hush-hush", token] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

/// Returns a line without the colours of the log itself.
fn strip_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (code, rest) = part.split_once('m').expect("a colour");
        assert!(
            code.bytes().all(|b| b.is_ascii_digit() || b == b';'),
            "{line:?}"
        );
        text + rest
    })
}

#[tokio::test]
async fn ids_that_only_look_alike_are_different_conversations() {
    let server = server().await;
    let ids = [
        "a",
        "A",
        "a%20",
        "%20a",
        "a%00",
        "a%2F",
        "a%2Fb",
        "%2Fa",
        "a%0A",
        "a%E2%80%8B",
        "%D0%B0",
        "a.",
        "a%3F",
        "a;b",
    ];
    let mut sockets = Vec::new();
    for id in ids {
        let (client, conversation) = Client::started(&server, id, &start_request()).await;
        sockets.push((client, conversation));
    }
    let mut conversations: Vec<&String> = sockets.iter().map(|(_, c)| c).collect();
    conversations.sort();
    conversations.dedup();
    assert_eq!(conversations.len(), ids.len());
    // What the first one says only those of the same id hear.
    let (mut ear, _) = Client::open(&server, "/v1/subscribe/A", &[])
        .await
        .expect("an upgrade");
    ear.until("subscription_started").await;
    let mut samples = speech(0..2, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    for (client, _) in &mut sockets[..2] {
        client.send_audio(&linear16(&samples)).await;
        client.until("message_response").await;
    }
    // Both have said theirs; the ear heard one of them.
    sockets[1].0.stop().await;
    sockets[1].0.rest().await;
    let heard = ear.rest().await;
    let messages = heard.iter().filter(|h| h.kind() == "message_response");
    assert_eq!(messages.count(), 1, "{heard:?}");
    for path in ["/v1/streaming/..%2f..%2fhealthz", "/v1/streaming/%2e%2e"] {
        Client::open(&server, path, &[])
            .await
            .expect("an id like any other");
    }
    let long = format!("/v1/streaming/{}", "x".repeat(257));
    assert!(Client::open(&server, &long, &[]).await.is_err());
    assert!(
        Client::open(&server, "/v1/streaming/%ff", &[])
            .await
            .is_err()
    );
}
