// SPDX-License-Identifier: MPL-2.0

//! Tests how the service reads client → server messages: tolerantly.

use super::{fixture, full_request, linear16, started, text_frames};
use serde_json::{Map, Value, json};
use symbl_protocol::request::{ClientMessageError, STOP_REQUEST};
use symbl_protocol::{
    ClientMessage, Encoding, InsightType, PING_TEXT, RequestError, StartRequest, StreamFormat,
    StreamPlace,
};

fn start_with(members: Value) -> Result<ClientMessage, ClientMessageError> {
    let mut message = json!({"type": "start_request"});
    let all = message.as_object_mut().unwrap();
    all.extend(members.as_object().unwrap().clone());
    ClientMessage::parse(&message.to_string())
}

fn reading_refused(members: Value) -> RequestError {
    match start_with(members.clone()) {
        Err(ClientMessageError::Field(error)) => error,
        other => panic!("{members} gave {other:?}"),
    }
}

#[test]
fn every_client_fixture_is_understood() {
    let frames = text_frames("client->server");
    assert!(frames.len() >= 9, "only {} fixtures", frames.len());
    for (name, text) in frames {
        let message = ClientMessage::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        match name.split("_request").next().unwrap() {
            "client_start" => assert!(matches!(message, ClientMessage::Start(_)), "{name}"),
            "client_modify" => assert!(matches!(message, ClientMessage::Modify { .. }), "{name}"),
            "client_bookmark" => {
                assert_eq!(message, ClientMessage::Unknown("bookmark_request".into()));
            }
            _ => assert_eq!(message, ClientMessage::Stop, "{name}"),
        }
    }
}

#[test]
fn the_full_fixture_is_read_member_by_member() {
    let read = started(&fixture("client_start_request_full.json"));
    let expected = StartRequest {
        identify_content: true,
        redact_content: true,
        redaction_string: Some("****".into()),
        extra: Map::new(), // unknown members are ignored
        ..full_request()
    };
    assert_eq!(read, expected);
}

#[test]
fn the_fixtures_of_the_sdks_are_read() {
    let js = started(&fixture("client_start_request_js_sdk.json"));
    assert_eq!(js.timezone_offset, Some(480));
    assert_eq!(js.disconnect_on_stop_request, Some(false));
    assert_eq!(js.speaker_user_id.as_deref(), Some("u@example.com"));
    let python = started(&fixture("client_start_request_python_sdk.json"));
    assert_eq!(python.format.sample_rate(), 44_100);
    assert_eq!((python.speaker_name, python.trackers.len()), (None, 0));
    let agora = started(&fixture("client_start_request_agora.json"));
    assert!(agora.sentiment);
    assert_eq!(agora.format, linear16());
    assert_eq!(agora.trackers[0].vocabulary, ["leaking"]);
    let minimal = started(&fixture("client_start_request_minimal.json"));
    assert_eq!(minimal, StartRequest::new(linear16()));
    assert_eq!(
        ClientMessage::parse(&fixture("client_modify_request_web_sdk.json")).unwrap(),
        ClientMessage::Modify {
            encoding: None,
            sample_rate: Some(48_000)
        }
    );
}

#[test]
fn nulls_are_as_good_as_absent() {
    let text = json!({
        "type": "start_request", "insightTypes": null, "customVocabulary": null, "trackers": null,
        "speaker": null, "noConnectionTimeout": null, "disconnectOnStopRequest": null,
        "disconnectOnStopRequestTimeout": null, "meetingTitle": null, "enableAllTrackers": null,
        "config": {"confidenceThreshold": null, "languageCode": null, "timezoneOffset": null,
            "trackers": null, "sentiment": null, "meetingTitle": null,
            "speechRecognition": {"encoding": null, "sampleRateHertz": null}}})
    .to_string();
    assert_eq!(started(&text), StartRequest::new(linear16()));
    for bare in [
        r#"{"type":"start_request"}"#,
        r#"{"type":"start_request","config":null}"#,
    ] {
        assert_eq!(started(bare), StartRequest::new(linear16()));
    }
}

#[test]
fn a_format_is_found_in_every_spelling_and_place() {
    for config in [
        json!({"speechRecognition": {"encoding": "opus", "sampleRateHertz": 48000.0}}),
        json!({"speechRecognition": {"encoding": "OPUS", "sampleRateHertz": 4.8e4}}),
        json!({"encoding": "Opus", "sampleRateHertz": 48000}),
        json!({"sampleRateHertz": 48000, "speechRecognition": {"encoding": "oPuS"}}),
        json!({"encoding": "FLAC", "speechRecognition": {"encoding": "Opus", "sampleRateHertz": 48000}}),
    ] {
        let text = json!({"type": "start_request", "config": config}).to_string();
        let format = StreamFormat::new(Encoding::Opus, 48_000).unwrap();
        assert_eq!(started(&text).format, format, "{text}");
    }
}

#[test]
fn members_are_found_in_both_of_their_places() {
    for both in [
        json!({"type": "start_request", "enableAllTrackers": true, "sentiments": true,
            "meetingTitle": "T", "speaker": {"email": "a@b"}}),
        json!({"type": "start_request", "speaker": {"userId": "a@b", "email": "c@d"},
            "config": {"trackers": {"enableAllTrackers": true}, "sentiment": true, "meetingTitle": "T"}}),
    ] {
        let request = started(&both.to_string());
        assert!(request.enable_all_trackers && request.sentiment, "{both}");
        assert_eq!(request.meeting_title.as_deref(), Some("T"));
        assert_eq!(request.speaker_user_id.as_deref(), Some("a@b"));
    }
}

#[test]
fn unknown_members_types_and_empty_entries_are_ignored() {
    let text = json!({"type": "start_request", "id": "x", "unheardOf": {"a": [1]},
        "insightTypes": ["question", "mood", "question", "topic", null],
        "customVocabulary": ["pump", "", null],
        "noConnectionTimeout": true, // as the Go SDK declares it
        "trackers": [{"name": "A", "vocabulary": ["", "x"], "categories": []}]})
    .to_string();
    let request = started(&text);
    assert_eq!(
        request.insight_types,
        [InsightType::Question, InsightType::Topic]
    );
    assert_eq!(request.custom_vocabulary, ["pump"]);
    assert_eq!(request.trackers[0].vocabulary, ["x"]);
    assert_eq!(request.no_connection_timeout, None);
}

#[test]
fn an_empty_string_is_as_good_as_absent() {
    let text = json!({"type": "start_request", "meetingTitle": "",
        "speaker": {"userId": "", "name": ""}, "config": {"languageCode": "",
            "meetingTitle": "", "speechRecognition": {"encoding": ""}}});
    assert_eq!(started(&text.to_string()), StartRequest::new(linear16()));
}

#[test]
fn the_service_reads_thresholds_that_the_builder_refuses() {
    for threshold in [0.0, 0.1, 1.0] {
        let text = json!({"type": "start_request", "config": {"confidenceThreshold": threshold}});
        let request = started(&text.to_string());
        assert_eq!(request.confidence_threshold, Some(threshold));
    }
}

#[test]
fn the_greatest_delay_of_a_final_is_read() {
    for (value, expected) in [
        (Value::Null, None),
        (json!(1), Some(1.0)),
        (json!(2.5), Some(2.5)),
        (json!(25), Some(25.0)),
    ] {
        let text = json!({"type": "start_request", "config": {"maxFinalDelay": value}});
        let request = started(&text.to_string());
        assert_eq!(request.max_final_delay, expected, "{text}");
    }
}

#[test]
fn the_wish_for_progress_is_read() {
    for (value, expected) in [
        (Value::Null, false),
        (json!(false), false),
        (json!(true), true),
    ] {
        let text = json!({"type": "start_request", "config": {"recognitionProgress": value}});
        let request = started(&text.to_string());
        assert_eq!(request.recognition_progress, expected, "{text}");
    }
}

#[test]
fn the_wish_for_finals_only_is_read() {
    for (value, expected) in [
        (Value::Null, true),
        (json!(true), true),
        (json!(false), false),
    ] {
        let recognition = json!({"interimResults": value});
        let text = json!({"type": "start_request", "config": {"speechRecognition": recognition}});
        let request = started(&text.to_string());
        assert_eq!(request.interim_results, expected, "{text}");
    }
    // As the official JavaScript SDK has it beside an encoding in `config`.
    let text = json!({"type": "start_request", "config": {"interimResults": false}});
    assert!(!started(&text.to_string()).interim_results);
}

#[test]
fn values_that_cannot_be_are_refused_by_the_service() {
    let of_config = |name: &str, value: Value| json!({"config": {name: value}});
    let of_rate = |rate: Value| of_config("speechRecognition", json!({"sampleRateHertz": rate}));
    for (members, field, range) in [
        (
            json!({"noConnectionTimeout": 5000}),
            "noConnectionTimeout",
            "0 to 1800",
        ),
        (
            json!({"noConnectionTimeout": -1}),
            "noConnectionTimeout",
            "0 to 1800",
        ),
        (
            json!({"noConnectionTimeout": 1.5}),
            "noConnectionTimeout",
            "whole number",
        ),
        (
            json!({"noConnectionTimeout": 1e300}),
            "noConnectionTimeout",
            "0 to 1800",
        ),
        (
            json!({"noConnectionTimeout": "300"}),
            "noConnectionTimeout",
            "whole number",
        ),
        (
            json!({"disconnectOnStopRequestTimeout": 1801}),
            "disconnectOnStopRequestTimeout",
            "0 to 1800",
        ),
        (
            json!({"disconnectOnStopRequest": "false"}),
            "disconnectOnStopRequest",
            "true or false",
        ),
        (
            of_rate(json!(4000)),
            "config.speechRecognition.sampleRateHertz",
            "8000 to 48000",
        ),
        (
            of_rate(json!(16000.5)),
            "config.speechRecognition.sampleRateHertz",
            "whole number",
        ),
        (
            of_rate(json!(u64::MAX)),
            "config.speechRecognition.sampleRateHertz",
            "8000 to 48000",
        ),
        (
            of_config(
                "speechRecognition",
                json!({"encoding": "MULAW", "sampleRateHertz": 16000}),
            ),
            "config.speechRecognition.sampleRateHertz",
            "8000 Hz",
        ),
        (
            of_config("encoding", json!("MP3")),
            "config.speechRecognition.encoding",
            "LINEAR16, FLAC, MULAW or Opus",
        ),
        (
            of_config("confidenceThreshold", json!(1.5)),
            "config.confidenceThreshold",
            "0.0 to 1.0",
        ),
        (
            of_config("confidenceThreshold", json!("high")),
            "config.confidenceThreshold",
            "number",
        ),
        (
            of_config("maxFinalDelay", json!(0.9)),
            "config.maxFinalDelay",
            "1.0 to 25.0",
        ),
        (
            of_config("maxFinalDelay", json!(25.1)),
            "config.maxFinalDelay",
            "1.0 to 25.0",
        ),
        (
            of_config("maxFinalDelay", json!("soon")),
            "config.maxFinalDelay",
            "number",
        ),
        (
            of_config("speechRecognition", json!({"interimResults": "no"})),
            "config.speechRecognition.interimResults",
            "true or false",
        ),
        (
            of_config("recognitionProgress", json!("yes")),
            "config.recognitionProgress",
            "true or false",
        ),
        (
            of_config("timezoneOffset", json!(900)),
            "config.timezoneOffset",
            "-840 to 840",
        ),
        (
            of_config("languageCode", json!(7)),
            "config.languageCode",
            "string",
        ),
        (json!({"config": []}), "config", "object"),
        (json!({"speaker": "Mara"}), "speaker", "object"),
        (
            json!({"insightTypes": "question"}),
            "insightTypes",
            "array of strings",
        ),
        (
            json!({"customVocabulary": [1]}),
            "customVocabulary",
            "array of strings",
        ),
        (json!({"trackers": {}}), "trackers", "array like"),
        (
            json!({"trackers": [{"name": "A"}]}),
            "trackers",
            "array like",
        ),
        (
            json!({"trackers": [{"name": "A", "vocabulary": [""]}]}),
            "trackers",
            "array like",
        ),
    ] {
        let error = reading_refused(members.clone());
        assert_eq!(error.field, field, "{members}");
        assert!(error.allowed.contains(range), "{members}: {error}");
    }
}

#[test]
fn the_place_in_a_stream_is_read_and_checked() {
    let longest = "aZ09-".repeat(12) + "wxyz";
    let place = |members: Value| {
        let text = json!({"type": "start_request", "x_stream": members}).to_string();
        started(&text).stream
    };
    assert_eq!(place(Value::Null), None);
    for (attempt, position) in [(1, 0), (3, 12_345_678_901_234_567), (1 << 62, 1 << 62)] {
        let read =
            place(json!({"id": longest, "attempt": attempt, "position": position, "more": 1}));
        let expected = StreamPlace {
            id: longest.clone(),
            attempt,
            position,
        };
        assert_eq!(read, Some(expected));
    }
    let doubles = place(json!({"id": "a", "attempt": 2.0, "position": 3e9})).unwrap();
    assert_eq!((doubles.attempt, doubles.position), (2, 3_000_000_000));

    for (bad, field, allowed) in [
        (json!([]), "x_stream", "object"),
        (json!("a"), "x_stream", "object"),
        (json!({}), "x_stream.id", "1 to 64"),
        (json!({"id": null}), "x_stream.id", "1 to 64"),
        (json!({"id": ""}), "x_stream.id", "1 to 64"),
        (json!({"id": 7}), "x_stream.id", "1 to 64"),
        (
            json!({"id": longest.clone() + "z"}),
            "x_stream.id",
            "1 to 64",
        ),
        (json!({"id": "a b"}), "x_stream.id", "1 to 64"),
        (json!({"id": "é"}), "x_stream.id", "1 to 64"),
        (json!({"id": "a"}), "x_stream.attempt", "from 1"),
        (
            json!({"id": "a", "attempt": 0}),
            "x_stream.attempt",
            "from 1",
        ),
        (
            json!({"id": "a", "attempt": 1.5}),
            "x_stream.attempt",
            "from 1",
        ),
        (
            json!({"id": "a", "attempt": "1"}),
            "x_stream.attempt",
            "from 1",
        ),
        (
            json!({"id": "a", "attempt": u64::MAX}),
            "x_stream.attempt",
            "from 1",
        ),
        (
            json!({"id": "a", "attempt": 1}),
            "x_stream.position",
            "from 0",
        ),
        (
            json!({"id": "a", "attempt": 1, "position": null}),
            "x_stream.position",
            "from 0",
        ),
        (
            json!({"id": "a", "attempt": 1, "position": -1}),
            "x_stream.position",
            "from 0",
        ),
        (
            json!({"id": "a", "attempt": 1, "position": 1e300}),
            "x_stream.position",
            "from 0",
        ),
    ] {
        let error = reading_refused(json!({"x_stream": bad}));
        assert_eq!(error.field, field, "{bad}");
        assert!(error.allowed.contains(allowed), "{bad}: {error}");
    }
}

#[test]
fn a_modify_request_is_read_from_both_places_and_checked() {
    let modify = |members: Value| {
        let mut message = members;
        message["type"] = json!("modify_request");
        ClientMessage::parse(&message.to_string())
    };
    let both = ClientMessage::Modify {
        encoding: Some(Encoding::Linear16),
        sample_rate: Some(8_000),
    };
    let format = json!({"encoding": "linear16", "sampleRateHertz": 8000.0});
    assert_eq!(modify(json!({"speechRecognition": format})).unwrap(), both);
    assert_eq!(
        modify(json!({"config": {"speechRecognition": format}})).unwrap(),
        both
    );
    let neither = ClientMessage::Modify {
        encoding: None,
        sample_rate: None,
    };
    assert_eq!(modify(json!({})).unwrap(), neither);
    for bad in [
        json!({"sampleRateHertz": 4000}),
        json!({"encoding": "MULAW", "sampleRateHertz": 48000}),
        json!({"encoding": "SPEEX"}),
    ] {
        let refused = modify(json!({"speechRecognition": bad}));
        assert!(
            matches!(refused, Err(ClientMessageError::Field(_))),
            "{bad}"
        );
    }
}

#[test]
fn stops_and_pings_are_told_apart() {
    let parse = |text| ClientMessage::parse(text).unwrap();
    assert_eq!(parse(STOP_REQUEST), ClientMessage::Stop);
    assert_eq!(parse(r#"{"type":"stop_recognition"}"#), ClientMessage::Stop);
    // The form of the Python SDK.
    assert_eq!(parse("{'type': 'stop_request'}"), ClientMessage::Stop);
    assert_eq!(parse(PING_TEXT), ClientMessage::Ping);
    assert_eq!(
        parse(r#"{"type":"dance"}"#),
        ClientMessage::Unknown("dance".into())
    );
}

#[test]
fn what_is_no_message_is_malformed() {
    for text in [
        "",
        "hello",
        "{'type': 'start_request'}",
        "[]",
        "null",
        "{}",
        r#"{"type":null}"#,
        r#"{"type":5}"#,
        r#"{"type":"start_request""#,
    ] {
        let refused = ClientMessage::parse(text);
        assert!(
            matches!(refused, Err(ClientMessageError::Malformed(_))),
            "{text}: {refused:?}"
        );
    }
    let deep = "[".repeat(100_000);
    assert!(ClientMessage::parse(&deep).is_err());
}
