// SPDX-License-Identifier: MPL-2.0

//! The messages of the Streaming and the Subscribe API.

use crate::table::{Fields, Message, Status, put, table};
use crate::{Fault, has, judge, server, token};
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::Server;
use symbl_service::recognizer::scripted::silence;
use symbl_testkit::client::{Client, Heard, linear16};

/// Opens a socket at a path of the table.
async fn open(server: &Server, token: &str, path: &str, id: &str) -> Client {
    let path = path.replace("{connectionId}", id);
    let opened = Client::open(server, &path, &[("x-api-key", token)]).await;
    opened.unwrap_or_else(|reason| panic!("{path}: {reason}")).0
}

/// Returns a start request with the fields that are honoured, and with one more.
fn start(fields: &Fields, more: Option<&str>) -> Value {
    let mut request = json!({"type": "start_request"});
    for (name, field) in fields {
        let is_honoured = field.status != Status::Refused && field.awaits.is_none();
        if is_honoured || more == Some(name) {
            put(&mut request, name, &field.example);
        }
    }
    request
}

/// Returns the fields of a start request in the table.
fn fields() -> Fields {
    let messages = table().streaming.client;
    let found = messages.into_iter().find(|row| row.kind == "start_request");
    found.expect("a row").fields
}

/// Returns the audio in which all lines are said.
fn audio() -> Vec<u8> {
    linear16(&silence(Duration::from_millis(2600), 16_000))
}

/// Holds a conversation in which all lines are said, and returns its id.
pub async fn held(server: &Server, token: &str, name: &str) -> String {
    let mut client = open(server, token, "/v1/streaming/{connectionId}", name).await;
    let id = client.start(&start(&fields(), None)).await;
    client.send_audio(&audio()).await;
    client.stop().await;
    client.rest().await;
    id
}

/// Receives messages until one is of this kind, and returns all of them. Also ends at an error
/// and at the end of the connection.
async fn until(client: &mut Client, kind: &str) -> Vec<Heard> {
    let mut sent = Vec::new();
    loop {
        let heard = client.next().await;
        let is_last = [kind, "error", "closed"].contains(&heard.kind());
        sent.push(heard);
        if is_last {
            return sent;
        }
    }
}

/// Returns what is wrong with a kind of message among those that were sent.
fn found(sent: &[Heard], row: &Message) -> Result<(), Fault> {
    let mut last = Err("it was not sent".to_owned());
    let of_kind = |heard: &&Heard| heard.kind() == row.kind;
    for message in sent.iter().filter(of_kind) {
        last = has(message.json(), &row.members, row.without.keys());
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Returns the message of a row for a client to send.
fn message(row: &Message) -> String {
    if row.kind.starts_with("__") {
        return row.kind.clone();
    }
    let mut request = row.body.clone().unwrap_or(json!({}));
    for (name, field) in &row.fields {
        if field.status != Status::Refused && field.awaits.is_none() {
            put(&mut request, name, &field.example);
        }
    }
    request["type"] = row.kind.as_str().into();
    request.to_string()
}

/// Sends the message of a row in a stream of its own, and returns what is wrong with what
/// follows.
async fn sends(server: &Server, token: &str, row: &Message) -> (Result<(), Fault>, Vec<Heard>) {
    let mut client = open(server, token, "/v1/streaming/{connectionId}", &row.kind).await;
    if row.kind != "start_request" {
        client.start(&json!({"type": "start_request"})).await;
    }
    client.send_audio(&audio()).await;
    client.send_text(&message(row)).await;
    let sent = match &row.answer {
        Some(kind) => until(&mut client, kind).await,
        None => {
            client.stop().await;
            client.rest().await
        }
    };
    let complaint = |heard: &&Heard| matches!(heard.kind(), "error" | "warning");
    let fault = match (sent.iter().find(complaint), &row.answer) {
        (Some(complaint), _) => Err(format!("{complaint:?}")),
        (None, Some(kind)) if sent.last().is_none_or(|last| last.kind() != kind) => {
            Err(format!("no {kind} came"))
        }
        _ => Ok(()),
    };
    (fault, sent)
}

#[tokio::test]
async fn every_message_of_the_table_is_understood_or_sent_with_its_members() {
    let server = server().await;
    let token = token(&server).await;
    let table = table().streaming;
    let mut faults = Vec::new();
    let mut sent = Vec::new();
    for row in &table.client {
        let (found, heard) = sends(&server, &token, row).await;
        judge(&mut faults, &row.kind, row.awaits.as_ref(), found);
        sent.extend(heard);
    }
    // A whole stream, one of its subscribers, and a message that is refused.
    let mut client = open(&server, &token, "/v1/streaming/{connectionId}", "whole").await;
    client.send_json(&start(&fields(), None)).await;
    sent.extend(until(&mut client, "recognition_started").await);
    let warning = sent.iter().find(|heard| heard.kind() == "warning");
    assert_eq!(warning, None, "of fields that are honoured");
    let mut subscriber = open(&server, &token, "/v1/subscribe/{connectionId}", "whole").await;
    sent.push(subscriber.next().await);
    client.send_audio(&audio()).await;
    client.stop().await;
    sent.extend(client.rest().await);
    let mut odd = open(&server, &token, "/v1/streaming/{connectionId}", "odd").await;
    odd.send_text("{").await;
    sent.extend(until(&mut odd, "error").await);
    for row in &table.server {
        judge(
            &mut faults,
            &row.kind,
            row.awaits.as_ref(),
            found(&sent, row),
        );
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[tokio::test]
async fn every_field_of_a_start_that_is_not_honoured_is_told_in_a_warning() {
    let server = server().await;
    let token = token(&server).await;
    let fields = fields();
    let mut faults = Vec::new();
    for (name, field) in &fields {
        if field.status != Status::Refused && field.awaits.is_none() {
            continue;
        }
        let mut client = open(&server, &token, "/v1/streaming/{connectionId}", "told").await;
        client.send_json(&start(&fields, Some(name))).await;
        let sent = until(&mut client, "recognition_started").await;
        let warning = sent.iter().find(|heard| heard.kind() == "warning");
        let told = warning.is_some_and(|warning| {
            let told = warning.json()["fields"].as_array().expect("a list").iter();
            // A warning may name the object that the field is in.
            let told: Vec<&str> = told.filter_map(Value::as_str).collect();
            told.iter().any(|told| name.starts_with(told))
        });
        let found = match (field.awaits.is_some(), told) {
            (true, true) => Err("it waits".to_owned()),
            (true, false) | (false, true) => Ok(()),
            (false, false) => Err(format!("no warning in {sent:?}")),
        };
        judge(&mut faults, name, field.awaits.as_ref(), found);
        client.close(1000).await;
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[tokio::test]
async fn every_path_of_a_socket_is_upgraded() {
    let server = server().await;
    let token = token(&server).await;
    let mut kept = Vec::new();
    for endpoint in table().streaming.paths {
        assert_ne!(endpoint.status, Status::Refused, "{}", endpoint.path);
        kept.push(open(&server, &token, &endpoint.path, "paths").await);
    }
    assert_eq!(kept.len(), 4);
}
