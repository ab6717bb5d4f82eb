// SPDX-License-Identifier: MPL-2.0

//! Applications of the official clients, and what they say about themselves.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use symbl_service::Auth;

/// In the form that the Web SDK insists on.
pub const APP_ID: &str = "3f1c9b2e3f1c9b2e3f1c9b2e3f1c9b2e3f1c9b2e3f1c9b2e3f1c9b2e3f1c9b2e";
pub const APP_SECRET: &str = "9b2e5d7a9b2e5d7a9b2e5d7a9b2e5d7a9b2e5d7a9b2e5d7a9b2e5d7a9b2e5d7a\
                              1c3f8e4b1c3f8e4b1c3f8e4b1c3f8e4b1c3f8e4b1c3f8e4b1c3f8e4b1c3f8e4b";

/// Sets credentials, so that a client needs them to get a token and needs a token to connect.
pub fn closed(config: &mut symbl_service::ServerConfig) {
    config.auth = Auth::App {
        id: APP_ID.into(),
        secret: APP_SECRET.into(),
    };
}

/// Returns the path of a file beside this one.
pub fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

/// Returns a command that limits the time of an application and gives it the credentials.
pub fn patience() -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "150"])
        .env("SYMBL_APP_ID", APP_ID)
        .env("SYMBL_APP_SECRET", APP_SECRET);
    command
}

/// Runs an application: it prints lines of JSON, `{"please": …}` for what the test
/// is to do meanwhile, and at the end what its client told it.
pub fn run(command: &mut Command, mut please: impl FnMut(&str)) -> Value {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("timeout");
    let mut complaints = child.stderr.take().expect("it is piped");
    let complaints = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = complaints.read_to_string(&mut text);
        text
    });
    let mut seen = Value::Null;
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line.expect("text");
        // Some clients print their log among it.
        let Ok(value @ Value::Object(_)) = serde_json::from_str(&line) else {
            continue;
        };
        match value["please"].as_str() {
            Some(what) => please(what),
            None => seen = value,
        }
    }
    let status = child.wait().expect("an end");
    let complaints = complaints.join().expect("no panic");
    assert!(status.success(), "{status}: {complaints}");
    assert!(!seen.is_null(), "it said nothing: {complaints}");
    seen
}

/// Returns the arguments of each call of a handler.
pub fn told<'a>(seen: &'a Value, handler: &str) -> Vec<&'a Value> {
    let calls = seen["calls"].as_array().expect("a list").iter();
    calls
        .filter(|call| call["handler"] == handler)
        .map(|call| &call["said"])
        .collect()
}

/// Returns the items of a list.
pub fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().expect("a list").iter()
}

/// Returns the texts of messages or insights.
pub fn contents<'a>(items: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let text = |item: &'a Value| item["payload"]["content"].as_str().expect("a text");
    items.into_iter().map(text).collect()
}

/// Returns the words of texts, in lower case and without marks.
pub fn words(texts: &[&str]) -> Vec<String> {
    texts
        .join(" ")
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .map(str::to_lowercase)
        .collect()
}

/// Returns the words that the scripted recogniser finds for these numbers.
pub fn scripted(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("w{n}")).collect()
}
