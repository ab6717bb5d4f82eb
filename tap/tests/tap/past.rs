// SPDX-License-Identifier: MPL-2.0

//! Tests the list of conversations and the writing of those of the past.

use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_testkit::client::{Client, linear16, start_request};
use symbl_testkit::peer::{Peer, Script};
use symbl_testkit::service::Service;
use tokio::runtime::Runtime;

fn tap(base_url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-tap"));
    command
        .env_remove("SYMBL_ACCESS_TOKEN")
        .env_remove("SYMBL_BASE_URL")
        .args(["--base-url", base_url])
        .args(arguments);
    command
}

/// Runs the program to its end. Returns the exit code, standard output and standard error.
fn run(base_url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = tap(base_url, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Holds a conversation of a few sentences. Returns its id.
fn held(service: &Service, name: &str, sentences: u16) -> String {
    let address = service.url().trim_start_matches("http://").parse().unwrap();
    let address: std::net::SocketAddr = address;
    let mut request = start_request();
    request["config"]["meetingTitle"] = name.into();
    request["speaker"] = json!({"userId": "ada@example.org", "name": "Ada\u{202e}"});
    request["trackers"] = json!([{"name": "Two", "vocabulary": ["w2"]}]);
    Runtime::new().unwrap().block_on(async {
        let (mut client, id) = Client::started(&address, name, &request).await;
        for sentence in 0..sentences {
            let mut samples = speech(3 * sentence..3 * sentence + 3, 16_000);
            samples.extend(silence(Duration::from_millis(600), 16_000));
            client.send_audio(&linear16(&samples)).await;
            client.until("message_response").await;
        }
        client.stop().await;
        client.rest().await;
        id
    })
}

#[test]
fn conversations_are_listed_and_replayed_in_every_format() {
    let service = Service::start();
    let ids = ["one", "two", "three"].map(|name| held(&service, name, 2));
    let (code, out, err) = run(&service.url(), &["--list"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    for ((line, id), name) in lines.iter().zip(&ids).zip(["one", "two", "three"]) {
        assert!(line.starts_with(&format!("{id}  20")), "{line}");
        assert!(line.ends_with(&format!("  {name} (Ada\u{fffd})")), "{line}");
    }
    let (_, out, _) = run(&service.url(), &["--list", "--format", "jsonl"]);
    let listed = out.lines().map(|line| serde_json::from_str(line).unwrap());
    let listed: Vec<Value> = listed.collect();
    assert!(!out.contains('\u{202e}'), "{out}");
    for (conversation, id) in listed.iter().zip(&ids) {
        assert_eq!(conversation["id"], id.as_str());
        assert_eq!(conversation["members"][0]["name"], "Ada\u{202e}");
    }
    for (format, expected) in [
        ("text", "W0 w1 w2."),
        ("text", "> tracker     Two: \"w2\""),
        ("jsonl", "\"text\":\"W3 w4 w5.\""),
        ("srt", "--> "),
        ("webvtt", "<v Ada\u{fffd}>W0 w1 w2."),
    ] {
        let (code, out, err) = run(&service.url(), &["--replay", &ids[1], "--format", format]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{format}");
        assert!(out.contains(expected), "{format}: {out}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.srt");
    let file = path.to_str().unwrap();
    let arguments = ["--replay", &ids[0], "--format", "srt", "--output", file];
    assert_eq!(run(&service.url(), &arguments).0, Some(0));
    let captions = std::fs::read_to_string(&path).unwrap();
    let captions = subtp::srt::SubRip::parse(&captions).unwrap().subtitles;
    assert_eq!(captions.len(), 2);
}

#[test]
fn many_conversations_and_many_entries_come_in_pages() {
    let service = Service::start();
    let long = held(&service, "long", 60);
    let (code, out, _) = run(&service.url(), &["--replay", &long, "--format", "jsonl"]);
    assert_eq!(code, Some(0));
    let said = out.lines().filter(|line| line.contains("transcript"));
    assert_eq!(said.count(), 60);
    // A page has 100 conversations. The service has not so many here.
    let page = |from: u32, count: u32| {
        let all = (from..from + count).map(|id| json!({"id": id.to_string()}));
        json!({"conversations": all.collect::<Vec<Value>>()}).to_string()
    };
    let peer = Peer::start(Script::http(200, &[], &page(0, 7)));
    let (code, out, _) = run(&peer.base_url(), &["--list"]);
    assert_eq!((code, out.lines().count()), (Some(0), 7));
    assert_eq!(peer.records().len(), 1);
}

#[test]
fn what_cannot_be_listed_or_replayed_is_told_in_one_line() {
    let service = Service::start();
    let (code, out, err) = run(&service.url(), &["--replay", "1234567890123456"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        err.contains("knows no conversation \"1234567890123456\""),
        "{err}"
    );
    assert!(err.contains("--list"), "{err}");
    assert_eq!(
        run(&service.url(), &["--list"]),
        (Some(0), String::new(), String::new())
    );
    for (arguments, said) in [
        (&["--list", "--format", "srt"][..], "--list needs --format"),
        (&["--list", "call-17"], "cannot be used with"),
        (&["--replay", "1", "call-17"], "cannot be used with"),
        (&["--replay", "1", "--list"], "cannot be used with"),
        (&["--list", "--interim"], "cannot be used with"),
        (&["--replay", "1", "--wait", "5"], "cannot be used with"),
        (&["--list", "--ping-interval", "5"], "cannot be used with"),
        (&["--list", "--subscribe-path", "/x"], "cannot be used with"),
        (&[], "CONNECTION_ID"),
    ] {
        let (code, out, err) = run(&service.url(), arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(err.contains(said), "{err}");
    }
    let token = "Se+cr/et=7f3a9c2e1b";
    let peer = Peer::start(Script::http(401, &[], &format!("no such token: {token}")));
    for arguments in [&["--list"][..], &["--replay", "1"]] {
        let mut command = tap(&peer.base_url(), arguments);
        let output = command.env("SYMBL_ACCESS_TOKEN", token).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(err.contains("401") && !err.contains("7f3a9c2e1b"), "{err}");
    }
}

#[test]
fn a_long_replay_waits_for_its_reader_and_ends_with_it() {
    let service = Service::start();
    let id = held(&service, "pipe", 40);
    let mut child = tap(&service.url(), &["--replay", &id, "--format", "jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
