// SPDX-License-Identifier: MPL-2.0

//! Tests builders, readers and the service's own messages against the fixtures in
//! `tests/fixtures/symbl-messages`.
//!
//! A test whose name starts with `c` and a number is the parsing or building part of
//! that conformance test of the client.

mod any_input;
mod findings_read;
mod history_read;
mod mended;
mod replies;
mod replies_findings;
mod requests_read;
mod requests_written;
mod responses_read;
mod results_read;

use serde_json::{Value, json};
use std::path::PathBuf;
use symbl_protocol::reply::Person;
use symbl_protocol::response::{Message, Participant, RecognitionResult};
use symbl_protocol::{
    ClientMessage, Encoding, InsightType, ServerMessage, StartRequest, StreamFormat, Tracker,
};

const CONVERSATION: &str = "5318203764539392";
const MARA: Person<'_> = Person {
    id: Some("0d9a1f52-7c3e-4a7b-8f16-5b2c9e7d4a10"),
    user_id: Some("mara@example.org"),
    name: Some("Mara Lind"),
};
const IVO: Person<'_> = Person {
    id: Some("c41b7e08-2f95-4d63-a0be-93f8d1c6725e"),
    user_id: Some("ivo@example.org"),
    name: Some("Ivo Stern"),
};

fn fixture_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/symbl-messages")
}

/// Returns the text of a fixture.
fn fixture(name: &str) -> String {
    std::fs::read_to_string(fixture_directory().join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the names and texts of the fixtures that travel in text frames in this
/// direction.
fn text_frames(direction: &str) -> Vec<(String, String)> {
    let index: Value = serde_json::from_str(&fixture("index.json")).unwrap();
    index
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, about)| about["transport"] == "ws-text" && about["direction"] == direction)
        .map(|(name, _)| (name.clone(), fixture(name)))
        .collect()
}

fn linear16() -> StreamFormat {
    StreamFormat::new(Encoding::Linear16, 16_000).unwrap()
}

/// Returns the start request that the service reads from `text`.
fn started(text: &str) -> StartRequest {
    match ClientMessage::parse(text).unwrap() {
        ClientMessage::Start(request) => *request,
        other => panic!("not a start_request: {other:?}"),
    }
}

fn full_request() -> StartRequest {
    let Value::Object(extra) = json!({"config": {"redaction":
        {"identifyContent": true, "redactContent": true, "redactionString": "****"}}})
    else {
        unreachable!()
    };
    StartRequest {
        insight_types: InsightType::ALL.to_vec(),
        custom_vocabulary: vec!["Lindqvist".into(), "gland seal".into()],
        confidence_threshold: Some(0.7),
        meeting_title: Some("Shift handover".into()),
        language_code: Some("en-US".into()),
        timezone_offset: Some(60),
        trackers: vec![Tracker {
            name: "Maintenance".into(),
            vocabulary: vec!["leaking".into(), "order spare parts".into()],
        }],
        interim_trackers: true,
        enable_all_trackers: true,
        detect_entities: true,
        sentiment: true,
        speaker_user_id: Some("mara@example.org".into()),
        speaker_name: Some("Mara Lind".into()),
        no_connection_timeout: Some(900),
        disconnect_on_stop_request: Some(false),
        disconnect_on_stop_request_timeout: Some(300),
        extra,
        ..StartRequest::new(StreamFormat::new(Encoding::Opus, 48_000).unwrap())
    }
}

fn parse(message: &Value) -> ServerMessage {
    ServerMessage::parse(&message.to_string()).unwrap()
}

fn parse_fixture(name: &str) -> ServerMessage {
    ServerMessage::parse(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn result(message: ServerMessage) -> RecognitionResult {
    match message {
        ServerMessage::RecognitionResult(result) => result,
        other => panic!("not a recognition_result: {other:?}"),
    }
}

fn messages(message: ServerMessage) -> Vec<Message> {
    match message {
        ServerMessage::MessageResponse { messages, .. } => messages,
        other => panic!("not a message_response: {other:?}"),
    }
}

fn mara() -> Participant {
    Participant {
        id: Some("0d9a1f52-7c3e-4a7b-8f16-5b2c9e7d4a10".into()),
        user_id: Some("mara@example.org".into()),
        name: Some("Mara Lind".into()),
    }
}

/// Returns a fixture without its white space. Order, types and digits are unchanged.
fn compact(name: &str) -> String {
    let value: Value = serde_json::from_str(&fixture(name)).unwrap();
    value.to_string()
}

fn parsed(text: &str) -> ServerMessage {
    ServerMessage::parse(text).unwrap()
}
