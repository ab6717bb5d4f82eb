// SPDX-License-Identifier: MPL-2.0

//! What an operator keeps and copies: `--keep`, `backup`, `restore` and `--audit-log`, as the
//! command and its files.

use crate::common::process::{Process as Service, keep, token};
use crate::common::*;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::{silence, speech};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn on(data: &Path, more: &[&str]) -> Service {
    Service::start(|command| {
        command
            .args(["--log", "off", "--data"])
            .arg(data)
            .args(more);
    })
}

fn stop(mut service: Service) {
    let pid = service.child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.expect("kill").success());
    assert!(service.child.wait().expect("an end").success());
}

async fn get(service: &Service, path: &str) -> (u16, Value) {
    let (head, body) = http(&service.address, &format!("GET {path}"), "").await;
    let code = head.split(' ').nth(1).expect("a status");
    let body = serde_json::from_str(&body).unwrap_or(Value::Null);
    (code.parse().expect("a number"), body)
}

/// Holds a conversation with a title, and returns its id.
async fn hold(service: &Service, name: &str, words: std::ops::Range<u16>) -> String {
    let mut request = start_request();
    request["config"]["meetingTitle"] = format!("about {name}").into();
    let (mut client, id) = Client::started(&service.address, name, &request).await;
    let mut samples = speech(words, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    client.send_audio(&linear16(&samples)).await;
    client.until("message_response").await;
    client.stop().await;
    assert_eq!(client.rest().await.last(), Some(&Heard::Closed(Some(1000))));
    id
}

async fn texts_of(service: &Service, id: &str) -> Option<Vec<String>> {
    let (code, body) = get(service, &format!("/v1/conversations/{id}/messages")).await;
    let messages = body["messages"].as_array().filter(|_| code == 200)?;
    let text = |message: &Value| message["text"].as_str().expect("a text").to_owned();
    Some(messages.iter().map(text).collect())
}

fn command(arguments: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
        .args(arguments)
        .output();
    command.expect("the command")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Waits until something is so.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the names of the files of a directory that have these bytes.
fn files_with(directory: &Path, needle: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let has = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes
            .windows(needle.len())
            .any(|part| part == needle.as_bytes())
    };
    paths
        .filter(has)
        .map(|path| path.display().to_string())
        .collect()
}

#[tokio::test]
async fn conversations_that_were_kept_for_long_enough_are_deleted_from_the_files() {
    let data = tempfile::tempdir().expect("a directory");
    let service = on(data.path(), &[]);
    let old = hold(&service, "zebras", 0..3).await;
    let precious = hold(&service, "quaggas", 3..6).await;
    assert!(!files_with(data.path(), "about zebras").is_empty());
    // One has a time of its own: for ever.
    for (id, body, expected) in [
        (precious.as_str(), r#"{"days": 0}"#, "http/1.1 200"),
        (precious.as_str(), r#"{"days": "0"}"#, "http/1.1 400"),
        ("4711", r#"{"days": 0}"#, "http/1.1 404"),
    ] {
        let path = format!("PUT /v1/conversations/{id}/retention");
        let (head, _) = http(&service.address, &path, body).await;
        assert!(head.starts_with(expected), "{head}");
    }
    stop(service);
    // Two seconds.
    let service = on(data.path(), &["--keep", "0.000023"]);
    let mut live = Client::connect(&service.address, "live").await;
    live.start(&start_request()).await;
    until("the old one is deleted", async || {
        texts_of(&service, &old).await.is_none().then_some(())
    })
    .await;
    until("its traces are gone", async || {
        files_with(data.path(), "about zebras")
            .is_empty()
            .then_some(())
    })
    .await;
    assert!(texts_of(&service, &precious).await.is_some());
    // A stream beside it goes on.
    live.send_audio(&linear16(&speech(0..3, 16_000))).await;
    live.stop().await;
    assert_eq!(texts(&final_words(&live.rest().await)).len(), 3);
    let newest = until("what ended now is deleted in its time, too", async || {
        let (_, list) = get(&service, "/v1/conversations").await;
        let list = list["conversations"].as_array().expect("a list").clone();
        (list.len() == 1).then(|| list[0]["id"].clone())
    })
    .await;
    assert_eq!(newest, json!(precious));
}

#[tokio::test]
async fn a_backup_under_load_has_all_up_to_its_moment_and_can_be_served() {
    let data = tempfile::tempdir().expect("a directory");
    let other = tempfile::tempdir().expect("a directory");
    let service = on(data.path(), &[]);
    let mut held = Vec::new();
    for k in 0..5 {
        held.push(hold(&service, &format!("before-{k}"), k * 3..k * 3 + 3).await);
    }
    let mut expected = Vec::new();
    for id in &held {
        expected.push(texts_of(&service, id).await.expect("there"));
    }
    // A client speaks while the copies are made.
    let mut speaking = Client::connect(&service.address, "during").await;
    let during = speaking.start(&start_request()).await;
    let copies: Vec<_> = (0..3)
        .map(|k| other.path().join(format!("{k}.backup")))
        .collect();
    for copy in &copies {
        let (data, copy) = (data.path().to_owned(), copy.clone());
        let copying = tokio::task::spawn_blocking(move || {
            command(&["backup", text(&copy), "--data", text(&data)])
        });
        let mut samples = speech(40..43, 16_000);
        samples.extend(silence(Duration::from_millis(600), 16_000));
        speaking.send_audio(&linear16(&samples)).await;
        speaking.until("message_response").await;
        let done = copying.await.expect("no panic");
        assert!(done.status.success(), "{done:?}");
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(told.starts_with("6 conversations and "), "{told}");
    }
    speaking.stop().await;
    let heard = speaking.rest().await;
    assert_eq!(
        heard.last(),
        Some(&Heard::Closed(Some(1000))),
        "it was not disturbed"
    );
    let said = texts_of(&service, &during).await.expect("there");
    assert_eq!(said.len(), 3, "nor was the database");
    let before_last = texts_of(&service, &held[0]).await;
    stop(service);
    let restored = other.path().join("restored");
    let done = command(&["restore", text(&copies[2]), "--data", text(&restored)]);
    assert!(done.status.success(), "{done:?}");
    let service = on(&restored, &[]);
    assert_eq!(texts_of(&service, &held[0]).await, before_last);
    for (id, expected) in held.iter().zip(&expected) {
        assert_eq!(texts_of(&service, id).await.as_ref(), Some(expected));
    }
    let there = texts_of(&service, &during).await.expect("it had begun");
    assert!(
        there.len() >= 2,
        "two were answered before the last backup began: {there:?}"
    );
    assert_eq!(there[..], said[..there.len()]);
    // And it goes on.
    let more = hold(&service, "after", 60..63).await;
    assert_eq!(
        texts_of(&service, &more).await.map(|texts| texts.len()),
        Some(1)
    );
}

#[tokio::test]
async fn what_cannot_be_a_backup_is_refused_with_what_to_do() {
    let data = tempfile::tempdir().expect("a directory");
    let other = tempfile::tempdir().expect("a directory");
    let service = on(data.path(), &[]);
    hold(&service, "kept", 0..3).await;
    let good = other.path().join("good");
    assert!(
        command(&["backup", text(&good), "--data", text(data.path())])
            .status
            .success()
    );
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&good.metadata().expect("there").permissions());
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    let bytes = std::fs::read(&good).expect("a file");
    let write = |name: &str, bytes: &[u8]| {
        let path = other.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let half = write("half", &bytes[..bytes.len() / 2]);
    let text_file = write("text", b"this is no database, whatever it is called");
    let empty = write("empty", b"");
    let mut newer = bytes.clone();
    // The user version, at its place in the header of the file.
    newer[60..64].copy_from_slice(&99u32.to_be_bytes());
    let newer = write("newer", &newer);
    let live = data.path().join("symbl.db");
    let absent = other.path().join("absent");
    for (file, expected) in [
        (&half, "take another backup"),
        (&text_file, "take another backup"),
        (&empty, "no database of symbl-service"),
        (&newer, "is of version 99"),
        (&live, "no backup but the database of a service"),
        (&absent, "does not exist"),
    ] {
        let to = other.path().join("to");
        let refused = command(&["restore", text(file), "--data", text(&to)]);
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && why.contains(expected),
            "{file:?}: {why}"
        );
        assert!(!to.join("symbl.db").exists(), "{file:?}");
    }
    let refused = command(&["restore", text(&good), "--data", text(data.path())]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && why.contains("is not empty"),
        "{why}"
    );
    let refused = command(&["backup", text(&good), "--data", text(data.path())]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("exists"), "{why}");
    let refused = command(&["backup", text(&absent), "--data", text(other.path())]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && why.contains("does not exist"),
        "{why}"
    );
    assert_eq!(
        files_with(other.path(), "SQLite format 3").len(),
        3,
        "no part is left behind"
    );
}

/// Returns the lines of an audit log.
fn audited(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    lines.collect()
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_and_has_no_texts_and_no_tokens() {
    let data = tempfile::tempdir().expect("a directory");
    let log = data.path().join("audit.log");
    let service = Service::start(|command| {
        keep(command, &data.path().join("data"), "acme");
        command.arg("--audit-log").arg(&log);
    });
    let token = token(&service, "acme", "hush").await;
    let mut request = start_request();
    request["speaker"] = json!({"userId": "a@b.example", "name": "Ada"});
    let path = format!("/v1/streaming/secretly?access_token={token}");
    let (mut client, _) = Client::open(&service.address, &path, &[])
        .await
        .expect("an upgrade");
    let id = client.start(&request).await;
    let mut samples = speech(0..3, 16_000);
    samples.extend(silence(Duration::from_millis(600), 16_000));
    client.send_audio(&linear16(&samples)).await;
    client.until("message_response").await;
    client.stop().await;
    client.rest().await;
    let base = format!("/v1/conversations/{id}");
    for request in [
        "GET /v1/conversations".to_owned(),
        format!("GET {base}/messages"),
        format!("GET {base}/transcript?format=srt"),
        format!("POST {base}/share"),
        "GET /v1/conversations/4711/messages".to_owned(),
        format!("DELETE {base}"),
        "GET /healthz".to_owned(),
    ] {
        let mark = if request.contains('?') { '&' } else { '?' };
        let query = format!("{request}{mark}access_token={token}");
        http(&service.address, &query, "").await;
    }
    http(&service.address, &format!("GET {base}/messages"), "").await;
    let expected = [
        ("list", None, 200, "acme"),
        ("read", Some(id.as_str()), 200, "acme"),
        ("export", Some(id.as_str()), 200, "acme"),
        ("share", Some(id.as_str()), 200, "acme"),
        ("read", Some("4711"), 404, "acme"),
        ("deletion", Some(id.as_str()), 200, "acme"),
        ("read", Some(id.as_str()), 401, ""),
    ];
    let lines = until("all lines", async || {
        Some(audited(&log)).filter(|lines| lines.len() >= expected.len())
    })
    .await;
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (what, conversation, status, account)) in lines.iter().zip(expected) {
        assert_eq!(line["what"], what, "{line}");
        assert_eq!(line["conversation"].as_str(), conversation, "{line}");
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["account"], account, "{line}");
        assert_eq!(line["address"], "127.0.0.1", "{line}");
        let time = line["time"].as_str().expect("a time");
        assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
    }
    let text = std::fs::read_to_string(&log).expect("a file");
    assert!(
        !text.contains(&token) && !text.contains("w0") && !text.contains("hush"),
        "{text}"
    );
    // It is rotated: moved away, and opened anew.
    let moved = data.path().join("audit.1");
    std::fs::rename(&log, &moved).expect("moved");
    let pid = service.child.id().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(sent.expect("kill").success());
    until("a line in the new file", async || {
        http(
            &service.address,
            &format!("GET /v1/conversations?access_token={token}"),
            "",
        )
        .await;
        audited(&log).first().cloned()
    })
    .await;
    let before = audited(&moved).len();
    assert!(before >= expected.len());
    let begun = Instant::now();
    stop(service);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_audit_log_that_cannot_be_written_is_refused_at_the_start() {
    let refused = command(&[
        "--recognizer",
        "scripted",
        "--listen",
        "127.0.0.1:0",
        "--audit-log",
        "/nowhere/audit.log",
    ]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && why.contains("/nowhere/audit.log"),
        "{why}"
    );
}
