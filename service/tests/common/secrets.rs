// SPDX-License-Identifier: MPL-2.0

//! A call with secrets, and where they must not be.

use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::analysis::redaction::{Kind, Redaction};
use symbl_service::recognizer::scripted::silence;
use symbl_service::{RedactionPolicy, Server, ServerConfig};

/// A call with secrets, said in eight finals. The card is read in two of them.
pub const CALL: &[&str] = &[
    "hello this is svetlana from accounting",
    "you can write to zanzibar dot quixote at example dot com please",
    "my number is 415-555-0187, can you call me back tomorrow?",
    "my card number is 4539 1488",
    "0343 6467 thanks and i live at 17742 hawthorne street",
    "my social is 219-09-9999 and the member is M778899",
    "i was born on march 3rd 1979",
    "i will send the quarterly report on friday",
];

/// What no reader may find. All of them are in `CALL`, as they stand here.
pub const SECRETS: &[&str] = &[
    "svetlana",
    "zanzibar",
    "quixote",
    "0187",
    "4539",
    "1488",
    "0343",
    "6467",
    "17742",
    "hawthorne",
    "219-09-9999",
    "778899",
    "1979",
];

/// What may be read.
pub const PLAIN: &[&str] = &["quarterly report", "accounting", "thanks"];

pub fn everything() -> RedactionPolicy {
    let mut redaction = Redaction::of(&Kind::ALL);
    redaction.add("member", "m[0-9]{6}").expect("a pattern");
    RedactionPolicy {
        redaction,
        ..RedactionPolicy::default()
    }
}

pub async fn serve(data: Option<&Path>, redaction: RedactionPolicy) -> Server {
    let mut config = ServerConfig::new(Arc::new(Prompter(CALL)));
    config.data = data.map(Path::to_owned);
    config.redaction = redaction;
    Server::bind(config).await.expect("a free port")
}

pub fn request() -> Value {
    let mut request = start_request();
    request["insightTypes"] = json!(["question", "action_item", "follow_up", "topic"]);
    request["config"]["detectEntities"] = true.into();
    request["config"]["trackers"] = json!({"interimResults": true});
    request["trackers"] = json!([{"name": "Contact", "vocabulary": ["call me back", "my card"]}]);
    request
}

/// Says the whole call, and returns what the client was sent.
pub async fn call(server: &Server, name: &str, request: &Value) -> (String, Vec<Heard>) {
    let (mut client, id) = Client::started(server, name, request).await;
    for _ in CALL {
        let half = silence(Duration::from_millis(500), 16_000);
        client.send_audio(&linear16(&half)).await;
    }
    client.stop().await;
    (id, client.rest().await)
}

/// Returns what is around a secret in a text, in any case of letters. Digits inside of a longer
/// number or of an id are no secret.
pub fn found(text: &str, secret: &str) -> Option<String> {
    let text = text.to_lowercase();
    let is_of_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    let is_number = secret.starts_with(|c: char| c.is_ascii_digit());
    let found = text.match_indices(secret).find(|(at, _)| {
        let before = text[..*at].ends_with(is_of_id);
        let behind = text[at + secret.len()..].starts_with(is_of_id);
        !is_number || !before && !behind
    });
    found.map(|(at, _)| {
        let from = text.floor_char_boundary(at.saturating_sub(80));
        text[from..text.ceil_char_boundary(at + 40)].to_owned()
    })
}

/// Fails if a secret is in these bytes.
pub fn has_no_secret(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in SECRETS {
        assert_eq!(found(&text, secret), None, "{secret} is in {what}");
    }
}

/// Reads all files below a directory.
pub fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut read = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => read.extend(files(&path)),
            false => read.push((
                path.display().to_string(),
                std::fs::read(&path).expect("a file"),
            )),
        }
    }
    read
}
