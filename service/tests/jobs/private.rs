// SPDX-License-Identifier: MPL-2.0

//! What the text of a job says is in none of the files of a service that hides it, neither while
//! the job waits nor when it has ended. The test looks from outside: into the raw bytes.

use crate::common::jobs::*;
use crate::common::secrets::*;
use serde_json::{Value, json};
use std::path::Path;
use symbl_service::Server;

/// Returns a text with secrets, said by two speakers of these names.
fn said(names: [&str; 2]) -> Value {
    let messages = CALL.iter().zip(0..).map(|(said, number)| {
        let name = names[usize::from(number == 0)];
        json!({"payload": {"content": said}, "from": {"name": name}})
    });
    json!({"messages": messages.collect::<Vec<_>>()})
}

/// Returns such a text with secrets beside what is said, too.
fn labelled() -> String {
    let mut text = said(["Ada", "Bob 415-555-0187"]);
    text["name"] = "svetlana, zanzibar@example.com".into();
    text["metadata"] = json!({"of": "17742 Hawthorne Street"});
    text.to_string()
}

/// Fails if a secret is in a file of the service.
fn look(what: &str, data: &Path) {
    let files = files(data);
    assert!(!files.is_empty());
    for (name, bytes) in files {
        has_no_secret(&format!("{name} ({what})"), &bytes);
    }
}

#[tokio::test]
async fn what_is_hidden_is_in_no_file_while_a_text_waits_and_when_it_has_ended() {
    let data = tempfile::tempdir().expect("a directory");
    let bind = async |parallel| {
        let mut config = with_decoder();
        config.data = Some(data.path().to_owned());
        config.redaction = everything();
        config.jobs.parallel = parallel;
        Server::bind(config).await.expect("a server")
    };
    let server = bind(0).await;
    let (status, made) = ask(&server, "POST /v1/process/text", &labelled()).await;
    assert_eq!(status, 201, "{made}");
    look("it waits", data.path());
    server.shutdown().await;
    look("it waits for the next start", data.path());
    let server = bind(2).await;
    let job = ended(&server, &made).await;
    assert_eq!(job["status"], "completed", "{job}");
    let of = CALL.len();
    assert_eq!(job["progress"], json!({"messages": of, "of": of}));
    look("it has ended", data.path());
    let said = messages(&server, &made, "").await;
    let said = json!(said).to_string().to_lowercase();
    for plain in PLAIN.iter().chain(&["****"]) {
        assert!(said.contains(plain), "{plain} is hidden: {said}");
    }
    server.shutdown().await;
    look("the service has ended", data.path());
}

#[tokio::test]
async fn a_text_is_not_kept_with_a_job_that_has_failed() {
    let data = tempfile::tempdir().expect("a directory");
    let mut config = with_decoder();
    config.data = Some(data.path().to_owned());
    config.limits.speakers = 1;
    let server = Server::bind(config).await.expect("a server");
    let (_, made) = ask(
        &server,
        "POST /v1/process/text",
        &said(["Ada", "Bob"]).to_string(),
    )
    .await;
    let job = ended(&server, &made).await;
    assert_eq!(job["status"], "failed", "{job}");
    assert_eq!(job["progress"]["of"], CALL.len(), "{job}");
    let id = made["conversationId"].as_str().expect("an id");
    let (_, conversation) = get(&server, &format!("/v1/conversations/{id}"), "").await;
    assert_eq!(conversation["x_status"], "over", "{conversation}");
    server.shutdown().await;
    look("the service has ended", data.path());
}
