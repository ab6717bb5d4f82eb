// SPDX-License-Identifier: MPL-2.0

//! docs/annotations.md as a reader copies it: its requests are sent in their order to a
//! service, and their answers have the members of those that the document shows.

use crate::common::annotated::{Api, LINES};
use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Server, ServerConfig};

const WRITTEN: &str = "127.0.0.1:8787";

const DOCUMENT: &str = include_str!("../../../docs/annotations.md");

/// Returns the blocks after comments that begin like this, and where each one ends.
fn blocks(comment: &str) -> Vec<(String, usize)> {
    let begin = format!("<!-- {comment} -->\n```");
    let found = DOCUMENT.match_indices(&begin).map(|(at, _)| {
        let body = &DOCUMENT[at + begin.len()..];
        let (_, body) = body.split_once('\n').expect("a language");
        let (body, _) = body.split_once("\n```").expect("an end");
        let end = at + begin.len() + body.len();
        (body.to_owned(), end)
    });
    found.collect()
}

/// Asserts that two values have the same members, with values of the same types.
fn same_shape(value: &Value, shown: &Value, path: &str) {
    match (value, shown) {
        (Value::Object(members), Value::Object(known)) => {
            let names = |object: &serde_json::Map<String, Value>| {
                let mut names: Vec<String> = object.keys().cloned().collect();
                names.sort();
                names
            };
            assert_eq!(names(members), names(known), "{path}");
            for (name, member) in members {
                same_shape(member, &known[name], &format!("{path}.{name}"));
            }
        }
        (Value::Array(items), Value::Array(known)) => {
            assert_eq!(items.len(), known.len(), "{path}");
            for (item, known) in items.iter().zip(known) {
                same_shape(item, known, &format!("{path}[]"));
            }
        }
        (Value::String(text), Value::String(shown)) => {
            let is_free = [
                "id",
                "conversationId",
                "startTime",
                "endTime",
                "x_sessionId",
                "message",
            ];
            let name = path.rsplit('.').next().unwrap_or_default();
            assert!(
                is_free.contains(&name) || text == shown,
                "{path}: {text} is not {shown}"
            );
        }
        (value, shown) => assert_eq!(value, shown, "{path}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_document_is_answered_as_it_shows() {
    let server = Server::bind(ServerConfig::new(Arc::new(Prompter(LINES)))).await;
    let server = server.expect("a free port");
    let mut request = start_request();
    request["speaker"] = json!({"userId": "ada@example.org", "name": "Ada"});
    let (mut client, id) = Client::started(&server, "docs", &request).await;
    let length = Duration::from_millis(2100);
    client.send_audio(&linear16(&silence(length, 16_000))).await;
    client.stop().await;
    client.rest().await;
    let api = Api {
        server: &server,
        token: String::new(),
    };
    api.until_over(&id).await;
    let requests = blocks("run by service/tests/conversations/annotated_docs.rs");
    let answers = blocks("answer, compared by service/tests/conversations/annotated_docs.rs");
    assert_eq!((requests.len(), answers.len()), (6, 4));
    for (index, (text, end)) in requests.iter().enumerate() {
        let text = text.replace(WRITTEN, &server.local_addr().to_string());
        let id = id.clone();
        let run = tokio::task::spawn_blocking(move || {
            Command::new("bash")
                .args(["-euo", "pipefail", "-c", &text])
                .env("ID", id)
                .output()
                .expect("bash")
        });
        let output = run.await.expect("run");
        let log = String::from_utf8_lossy(&output.stderr);
        let answer = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{index}: {log}{answer}");
        println!("{answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let next = requests.get(index + 1).map_or(usize::MAX, |(_, end)| *end);
        let shown = answers.iter().find(|(_, at)| (*end..next).contains(at));
        match shown {
            Some((shown, _)) => {
                let shown: Value = serde_json::from_str(shown).expect("JSON");
                same_shape(&answer, &shown, &index.to_string());
            }
            None => {
                let first = &answer["conversations"][0];
                assert_eq!(first["id"], id_of(&server, "Pump 7").await, "{answer}");
            }
        }
    }
    server.shutdown().await;
}

/// Returns the id of the conversation with this name.
async fn id_of(server: &Server, name: &str) -> Value {
    let request = format!(
        "GET /v1/conversations?filter=name=={}",
        name.replace(' ', "%20")
    );
    let (_, body) = http(server, &request, "").await;
    let list: Value = serde_json::from_str(&body).expect("JSON");
    list["conversations"][0]["id"].clone()
}
