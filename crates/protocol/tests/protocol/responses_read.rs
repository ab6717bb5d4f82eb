// SPDX-License-Identifier: MPL-2.0

//! Tests server → client: each message gets its kind, and none is lost.

use super::{
    CONVERSATION, fixture, fixture_directory, messages, parse, parse_fixture, result, text_frames,
};
use serde_json::{Value, json};
use symbl_protocol::response::{RecognitionResult, ServiceError};
use symbl_protocol::timestamp::{format_rfc3339, parse_rfc3339};
use symbl_protocol::{PONG_TEXT, ParseError, ServerMessage};

fn service_error(message: ServerMessage) -> ServiceError {
    match message {
        ServerMessage::Error(error) => error,
        other => panic!("not an error: {other:?}"),
    }
}

#[test]
fn c19_every_fixture_parses_to_its_kind() {
    use ServerMessage as M;
    let frames = text_frames("server->client");
    assert!(frames.len() >= 25, "only {} fixtures", frames.len());
    for (name, text) in frames {
        let message = ServerMessage::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let stem = name.split('.').next().unwrap();
        let expected = match stem {
            "started_listening" => matches!(message, M::StartedListening),
            "conversation_created" => matches!(message, M::ConversationCreated { .. }),
            "recognition_started" => matches!(message, M::RecognitionStarted { .. }),
            "recognition_stopped" => matches!(message, M::RecognitionStopped { .. }),
            "processing_terminated" => matches!(message, M::ProcessingTerminated { .. }),
            "subscription_started" => matches!(message, M::SubscriptionStarted { .. }),
            "topic_response" => matches!(message, M::TopicResponse { .. }),
            "entity_response" => matches!(message, M::EntityResponse { .. }),
            "pong" => matches!(message, M::Pong),
            "bookmark_response" | "unknown_type" | "user_defined" => {
                matches!(message, M::Unknown { .. })
            }
            _ if stem.starts_with("conversation_completed") => {
                matches!(message, M::ConversationCompleted { .. })
            }
            _ if stem.starts_with("recognition_result") => {
                matches!(message, M::RecognitionResult(_))
            }
            _ if stem.starts_with("session_modified") => {
                matches!(message, M::SessionModified { .. })
            }
            _ if stem.starts_with("message_response") => {
                matches!(message, M::MessageResponse { .. })
            }
            _ if stem.starts_with("insight_response") => {
                matches!(message, M::InsightResponse { .. })
            }
            _ if stem.starts_with("tracker_response") => {
                matches!(message, M::TrackerResponse { .. })
            }
            _ if stem.starts_with("error") => matches!(message, M::Error(_)),
            _ => panic!("no expectation for {name}"),
        };
        assert!(expected, "{name}: {message:?}");
    }
}

#[test]
fn c19_every_fixture_is_in_the_index() {
    let index: Value = serde_json::from_str(&fixture("index.json")).unwrap();
    for entry in std::fs::read_dir(fixture_directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "index.json" || index.get(&name).is_some(), "{name}");
    }
}

#[test]
fn c19_unknown_types_keep_their_original_text() {
    for (text, kind) in [
        (
            "{\"type\":\"some_future_response\", \"a\":1.50}",
            "some_future_response",
        ),
        (
            "{\"type\":\"message\",\"message\":{\"type\":\"mood\",\"b\":[ ]}}",
            "mood",
        ),
        (
            "{\"type\":\"message\",\"message\":{\"no\":\"type\"}}",
            "message",
        ),
        ("{\"type\":\"message\",\"message\":null}", "message"),
        ("{\"type\":7}", ""),
        ("{ }", ""),
    ] {
        let expected = ServerMessage::Unknown {
            kind: kind.into(),
            json: text.into(),
        };
        assert_eq!(ServerMessage::parse(text).unwrap(), expected);
    }
}

#[test]
fn c19_unknown_members_change_nothing() {
    let mut message: Value =
        serde_json::from_str(&fixture("recognition_result_interim.json")).unwrap();
    let expected = result(parse(&message));
    message["future"] = json!({"a": [null]});
    message["message"]["payload"]["future"] = json!(1);
    message["message"]["user"]["future"] = json!([]);
    let read = result(parse(&message));
    assert_eq!(
        RecognitionResult {
            json: String::new(),
            ..read
        },
        RecognitionResult {
            json: String::new(),
            ..expected
        },
    );
}

#[test]
fn c19_inner_messages_are_understood_without_their_envelope() {
    let bare = json!({"type": "recognition_started", "data": {"conversationId": CONVERSATION}});
    assert_eq!(
        parse(&bare),
        ServerMessage::RecognitionStarted {
            conversation_id: Some(CONVERSATION.into())
        }
    );
}

#[test]
fn c19_items_and_frames_keep_their_text_byte_for_byte() {
    let item = "{ \"payload\" : {\"content\":\"caf\\u00e9 \\/ Ω\"},\r\n\t\"n\": 1.00e2, \"n\": 2 }";
    let text = format!("{{\"type\":\"message_response\",\"messages\":[ {item} ,\n{item}]}}");
    let read = messages(ServerMessage::parse(&text).unwrap());
    assert_eq!(read.len(), 2);
    for message in read {
        assert_eq!(message.json, item);
        assert_eq!(message.text, "café / Ω");
    }
    let text = fixture("recognition_result_interim.json");
    assert_eq!(result(ServerMessage::parse(&text).unwrap()).json, text);
}

#[test]
fn c22_wrong_types_of_lists_give_no_items() {
    for bad in [
        Value::Null,
        json!({}),
        json!("x"),
        json!(5),
        json!([null, 5, "x", []]),
    ] {
        for (kind, list) in [
            ("message_response", "messages"),
            ("insight_response", "insights"),
            ("topic_response", "topics"),
            ("tracker_response", "trackers"),
            ("entity_response", "entities"),
        ] {
            let count = match parse(&json!({"type": kind, list: bad})) {
                ServerMessage::MessageResponse { messages, .. } => messages.len(),
                ServerMessage::InsightResponse { insights, .. } => insights.len(),
                ServerMessage::TopicResponse { topics } => topics.len(),
                ServerMessage::TrackerResponse { matches, .. } => matches.len(),
                ServerMessage::EntityResponse { entities } => entities.len(),
                other => panic!("{other:?}"),
            };
            assert_eq!(count, 0, "{kind} with {bad}");
        }
    }
}

#[test]
fn c22_sequence_numbers_are_read_as_they_come() {
    let read = |number: Value| match parse(&json!({"type": "message_response",
        "messages": [], "sequenceNumber": number}))
    {
        ServerMessage::MessageResponse {
            sequence_number, ..
        } => sequence_number,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(json!(7)), Some(7));
    assert_eq!(read(json!(7.0)), Some(7));
    assert_eq!(read(json!(u64::MAX)), Some(u64::MAX));
    assert_eq!(read(json!(-1)), None);
    assert_eq!(read(json!("7")), None);
    assert_eq!(read(Value::Null), None);
}

#[test]
fn c23_the_end_of_a_conversation_is_understood_in_both_placements() {
    let flat = parse_fixture("conversation_completed_flat.json");
    let ServerMessage::ConversationCompleted {
        conversation_id,
        summary_url,
    } = flat
    else {
        panic!("{flat:?}");
    };
    assert_eq!(conversation_id.as_deref(), Some(CONVERSATION));
    assert!(summary_url.unwrap().starts_with("https://meetinginsights."));
    let nested = ServerMessage::ConversationCompleted {
        conversation_id: Some(CONVERSATION.into()),
        summary_url: None,
    };
    assert_eq!(parse_fixture("conversation_completed.json"), nested);
    let numeric = json!({"type": "message", "message": {"type": "conversation_completed",
        "data": {"conversationId": 5318203764539392_u64}}});
    assert_eq!(parse(&numeric), nested);
}

#[test]
fn c18_the_conversation_id_is_read_from_whatever_message_has_it() {
    let id = Some(CONVERSATION.to_owned());
    assert_eq!(
        parse_fixture("conversation_created.json"),
        ServerMessage::ConversationCreated {
            conversation_id: id.clone()
        }
    );
    assert_eq!(
        parse_fixture("recognition_started.json"),
        ServerMessage::RecognitionStarted {
            conversation_id: id.clone()
        }
    );
    assert_eq!(
        parse_fixture("subscription_started.json"),
        ServerMessage::SubscriptionStarted {
            conversation_id: id,
            last_sequence_number: None,
        }
    );
}

#[test]
fn c24_errors_are_read_in_both_forms() {
    let error = service_error(parse_fixture("error.json"));
    assert_eq!(error.message.as_deref(), Some("Invalid start_request"));
    assert!(error.details.unwrap().contains("between 8000 and 48000"));
    assert_eq!(error.json, fixture("error.json"));
    let error = service_error(parse_fixture("error_envelope.json"));
    assert_eq!(error.message.as_deref(), Some("Invalid state"));
    assert_eq!(
        error.details.as_deref(),
        Some("No active recognition for this connection")
    );
    assert_eq!(error.code, None);
}

#[test]
fn c24_errors_are_read_by_their_other_names() {
    let text = r#"{"type":"error","errorMessage":"m","detail":{"why": [1]},"errorCode":429}"#;
    let error = service_error(ServerMessage::parse(text).unwrap());
    assert_eq!(error.message.as_deref(), Some("m"));
    assert_eq!(error.details.as_deref(), Some("{\"why\": [1]}"));
    assert_eq!(error.code.as_deref(), Some("429"));
    let bare = service_error(ServerMessage::parse(r#"{"type":"error","details":null}"#).unwrap());
    assert_eq!((bare.message, bare.details, bare.code), (None, None, None));
}

#[test]
fn c25_a_pong_is_not_json_and_no_error() {
    assert_eq!(
        ServerMessage::parse(PONG_TEXT).unwrap(),
        ServerMessage::Pong
    );
}

#[test]
fn what_is_no_json_object_is_told_without_its_content() {
    for text in [
        "",
        "<html>secret</html>",
        "{\"type\":\"secret\"",
        "{} {}",
        "{'type':'secret'}",
    ] {
        let error = ServerMessage::parse(text).unwrap_err();
        assert!(
            matches!(error, ParseError::NotJson { length, .. } if length == text.len()),
            "{text}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for text in ["null", "5", "\"x\"", "[{}]", " [] "] {
        let expected = ParseError::NotAnObject { length: text.len() };
        assert_eq!(ServerMessage::parse(text), Err(expected));
    }
}

#[test]
fn what_nobody_needs_never_costs_a_caption() {
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    for member in [
        &format!("\"deep\":{deep}"),
        "\"huge\":1e999999",
        "\"half\":\"\\ud83d\"",
        "\"\\ud83d\":1",
        "\"long\":123456789012345678901234567890",
    ] {
        let text = format!(
            "{{{member},\"type\":\"message_response\",\"messages\":[{{{member},\"payload\":{{\"content\":\"Yes.\",{member}}}}}]}}"
        );
        let read = messages(ServerMessage::parse(&text).unwrap());
        assert_eq!(read[0].text, "Yes.");
    }
    let cut = r#"{"type":"message_response","messages":[{"text":"so \ud83d"}]}"#;
    assert!(
        messages(ServerMessage::parse(cut).unwrap())[0]
            .text
            .starts_with("so \u{fffd}")
    );
}

#[test]
fn instants_are_read_with_any_offset_and_written_in_utc_with_milliseconds() {
    assert_eq!(parse_rfc3339("1970-01-01T00:00:01.5Z"), Some(1_500_000_000));
    assert_eq!(
        parse_rfc3339("2024-03-06T00:00:00-07:00"),
        parse_rfc3339("2024-03-06T07:00:00Z")
    );
    for bad in [
        "",
        "now",
        "2024-03-06",
        "2024-13-06T00:00:00Z",
        "9999-01-01T00:00:00Z",
    ] {
        assert_eq!(parse_rfc3339(bad), None, "{bad}");
    }
    let instant = parse_rfc3339("2022-10-05T19:47:01.463999Z").unwrap();
    assert_eq!(format_rfc3339(instant), "2022-10-05T19:47:01.463Z");
    assert_eq!(format_rfc3339(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(format_rfc3339(-1), "1969-12-31T23:59:59.999Z");
    assert_eq!(format_rfc3339(i64::MAX), "2262-04-11T23:47:16.854Z");
    assert_eq!(format_rfc3339(i64::MIN), "1677-09-21T00:12:43.145Z");
}

#[test]
fn a_nul_character_becomes_one_that_can_be_shown() {
    let item = json!({"id": "a\0b", "payload": {"content": "be\0fore"}});
    let message = parse(&json!({"type": "message_response", "messages": [item]}));
    let ServerMessage::MessageResponse { messages, .. } = message else {
        panic!("not a message response");
    };
    assert_eq!(messages[0].id.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(messages[0].text, "be\u{fffd}fore");
}
