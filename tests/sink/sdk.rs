// SPDX-License-Identifier: MPL-2.0

//! The official JavaScript SDK, unmodified, with `symbl-service`.
//!
//! `tests/js/sdk.js` is the application. The SDK is installed by npm from the
//! lock file beside it, once for each build folder.

use crate::common::service::Service;
use crate::engine;
use crate::speech::absent;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use symbl_service::Auth;
use symbl_service::recognizer::scripted;

const APP_ID: &str = "3f1c";
const APP_SECRET: &str = "9b2e";

/// Only who has the credentials gets a token, and only with a token one gets in.
fn closed(config: &mut symbl_service::ServerConfig) {
    config.auth = Auth::App {
        id: APP_ID.into(),
        secret: APP_SECRET.into(),
    };
}

/// The folder with the installed SDK; `None` where Node.js is absent.
fn installed() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    for program in ["node", "npm"] {
        if let Err(error) = Command::new(program).arg("--version").output() {
            absent(&format!(
                "{program}: {error} (Debian packages nodejs and npm)"
            ));
            return None;
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("symbl-js");
    let modules = folder.join("node_modules");
    let lock = std::fs::read(source.join("package-lock.json")).expect("the lock file");
    // Written when all is there, so that half an installation is made anew.
    let done = folder.join("installed.json");
    if std::fs::read(&done).is_ok_and(|before| before == lock) {
        return Some(modules);
    }
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), folder.join(name)).expect("a copy");
    }
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&folder)
        .output()
        .expect("npm");
    assert!(
        output.status.success(),
        "npm ci: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::write(&done, lock).expect("a file");
    Some(modules)
}

/// What the SDK made of `samples`; `None` where Node.js is absent.
fn run(service: &Service, api: &str, samples: &[i16], words: usize) -> Option<Value> {
    let modules = installed()?;
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("talk.wav");
    engine::write_wav(&sound, samples);
    let output = Command::new("timeout")
        .args(["60", "node"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js/sdk.js"))
        .args([api, &service.url()])
        .arg(sound)
        .arg(words.to_string())
        .env("NODE_PATH", modules)
        .env("SYMBL_APP_ID", APP_ID)
        .env("SYMBL_APP_SECRET", APP_SECRET)
        .output()
        .expect("timeout");
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).expect("one JSON object"))
}

/// Words of all messages, in lower case and without marks.
fn words(seen: &Value) -> Vec<String> {
    contents(&seen["messages"])
        .join(" ")
        .split(' ')
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .map(str::to_lowercase)
        .collect()
}

fn contents(list: &Value) -> Vec<&str> {
    let items = list.as_array().expect("a list").iter();
    items
        .map(|item| item["payload"]["content"].as_str().expect("a text"))
        .collect()
}

fn assert_each_word_came_once(seen: &Value) {
    let expected: Vec<String> = (0..25).map(|n| format!("w{n}")).collect();
    assert_eq!(words(seen), expected, "{seen}");
    assert_eq!(seen["started"], 1);
    let transcripts = seen["transcripts"].as_array().unwrap();
    let finals = transcripts.iter().filter(|t| t["isFinal"] == true).count();
    assert_eq!((transcripts.len() - finals, finals), (25, 3), "{seen}");
    let trackers = seen["trackers"].as_array().unwrap();
    assert_eq!(trackers.len(), 1, "{seen}");
    assert_eq!(trackers[0]["name"], "Report");
    assert!(!seen["conversationId"].as_str().unwrap().is_empty());
}

#[test]
fn start_realtime_request_streams_to_the_last_word_and_stops() {
    let service = Service::with(closed);
    let samples = scripted::speech(0..25, 16_000);
    let Some(seen) = run(&service, "startRealtimeRequest", &samples, 25) else {
        return;
    };
    assert_each_word_came_once(&seen);
    assert_eq!(
        seen["stopped"]["data"]["conversationId"],
        seen["conversationId"]
    );
}

#[test]
fn create_stream_streams_and_stops() {
    let service = Service::with(closed);
    let mut samples = scripted::speech(0..25, 16_000);
    // So that the last utterance is over before the end.
    samples.extend(scripted::silence(Duration::from_millis(500), 16_000));
    let Some(seen) = run(&service, "createStream", &samples, 25) else {
        return;
    };
    assert_each_word_came_once(&seen);
}

#[test]
fn speech_gives_messages_insights_and_trackers() {
    let Some(service) = engine::service() else {
        return;
    };
    let sentences = [
        "Please send the report by Friday.",
        "When does the meeting start?",
    ];
    let Some(samples) = engine::spoken(&sentences) else {
        return;
    };
    let Some(seen) = run(&service, "startRealtimeRequest", &samples, 11) else {
        return;
    };
    let messages = contents(&seen["messages"]);
    assert_eq!(messages.len(), 2, "{seen}");
    assert_eq!(messages[1], "When does the meeting start?");
    let insights = seen["insights"].as_array().unwrap();
    let kinds: Vec<&Value> = insights.iter().map(|insight| &insight["type"]).collect();
    assert_eq!(kinds, ["action_item", "question"], "{seen}");
    assert_eq!(contents(&seen["insights"]), messages);
    let due = insights[0]["dueBy"]["value"].as_str().expect("a date");
    assert!(
        due.ends_with("T00:00:00Z"),
        "the beginning of a Friday: {due}"
    );
    assert_eq!(seen["trackers"][0]["name"], "Report", "{seen}");
}
