// SPDX-License-Identifier: MPL-2.0

use super::*;
use serde_json::json;

fn of(query: &[(&str, &str)]) -> Map<String, Value> {
    let pairs = query
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    of_query(&pairs.collect::<Vec<_>>())
}

#[test]
fn a_query_and_a_body_say_the_same() {
    let query = of(&[
        ("name", "Sales call"),
        ("confidenceThreshold", "0.6"),
        ("detectEntities", "true"),
        ("customVocabulary", r#"["Platform","Discussion"]"#),
        (
            "trackers",
            r#"[{"name":"Promo","vocabulary":["we have a sale"]}]"#,
        ),
        ("enableSeparateRecognitionPerChannel", "true"),
        (
            "channelMetadata",
            r#"[{"channel":1,"speaker":{"name":"Ada","email":"ada@example.org"}}]"#,
        ),
    ]);
    let body = json!({
        "name": "Sales call", "confidenceThreshold": 0.6, "detectEntities": true,
        "customVocabulary": ["Platform", "Discussion"],
        "trackers": [{"name": "Promo", "vocabulary": ["we have a sale"]}],
        "enableSeparateRecognitionPerChannel": true,
        "channelMetadata": [{"channel": 1, "speaker": {"name": "Ada", "email": "ada@example.org"}}],
    });
    let of_query = read(&query, true).expect("read").options;
    let of_body = read(body.as_object().expect("an object"), true).expect("read");
    assert_eq!(of_query, of_body.options);
    assert!(of_body.warnings.is_empty(), "{:?}", of_body.warnings);
    assert_eq!(
        of_query.speaker(1).user_id.as_deref(),
        Some("ada@example.org")
    );
    assert_eq!(of_query.speaker(2).name.as_deref(), Some("Speaker 2"));
    let kept = JobRequest {
        kind: Kind::Upload,
        options: of_query,
        warning: None,
    };
    let json = serde_json::to_string(&kept).expect("JSON");
    assert_eq!(
        serde_json::from_str::<JobRequest>(&json).expect("read"),
        kept
    );
}

#[test]
fn a_vocabulary_comes_in_each_form_of_the_reference() {
    for given in ["Platform,Discussion", r#""Platform", "Discussion""#] {
        let read = read(&of(&[("customVocabulary", given)]), true).expect("read");
        assert_eq!(
            read.options.vocabulary,
            ["Platform", "Discussion"],
            "{given}"
        );
    }
    let twice = of(&[
        ("customVocabulary", "Platform"),
        ("customVocabulary", "Discussion"),
    ]);
    assert_eq!(
        read(&twice, true).expect("read").options.vocabulary,
        ["Platform", "Discussion"]
    );
}

#[test]
fn what_is_not_done_is_told_or_refused() {
    for (name, value) in [
        ("enableSpeakerDiarization", "true"),
        ("entities", "[]"),
        ("channelMetadata", r#"[{"channel":1,"speaker":{}}]"#),
        ("frobnicate", "1"),
    ] {
        let read = read(&of(&[(name, value)]), true).expect("read");
        assert_eq!(read.warnings.len(), 1, "{name}: {:?}", read.warnings);
        assert!(read.warnings[0].contains(name), "{:?}", read.warnings);
    }
    let refused = read(&of(&[("redaction", "true")]), true);
    assert!(matches!(refused, Err(Wrong::NotDone(_))), "{refused:?}");
    let of_text = read(&of(&[("languageCode", "en-US")]), false).expect("read");
    assert_eq!(of_text.warnings.len(), 1);
}

#[test]
fn what_asks_for_nothing_is_nothing() {
    for value in [
        json!(false),
        json!("false"),
        json!({}),
        json!({"redact": false}),
    ] {
        let body = json!({"redaction": value, "webhookUrl": ""});
        let read = read(body.as_object().expect("an object"), false).expect("read");
        assert_eq!(read.options, Options::default());
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    }
}

#[test]
fn members_of_messages_that_are_not_known_are_told_once() {
    let message = json!({"payload": {"content": "a", "mood": "x"}, "from": {"nick": "A"},
        "duration": {"length": 1}, "colour": "red", "empty": null});
    let body = json!({"messages": [{"payload": {"content": "a"}}, message, message]});
    let warnings = unknown(body.as_object().expect("an object"));
    assert_eq!(
        warnings,
        [
            "`messages[1].colour` is not known.",
            "`messages[1].payload.mood` is not known.",
            "`messages[1].from.nick` is not known.",
            "`messages[1].duration.length` is not known.",
        ]
    );
}

#[test]
fn the_text_of_a_job_that_is_over_is_not_kept() {
    let message = Message {
        content: "secret".to_owned(),
        ..Message::default()
    };
    let request = JobRequest {
        kind: Kind::Text(vec![message; 3]),
        options: Options::default(),
        warning: None,
    };
    let kept = request.over();
    assert_eq!(kept.kind, Kind::Said(3));
    let json = serde_json::to_string(&kept).expect("JSON");
    assert!(!json.contains("secret"), "{json}");
    assert_eq!(
        serde_json::from_str::<JobRequest>(&json).expect("read"),
        kept
    );
}

#[test]
fn a_wrong_value_is_refused_with_its_name() {
    for (name, value) in [
        ("confidenceThreshold", "1.5"),
        ("confidenceThreshold", "NaN"),
        ("detectEntities", "perhaps"),
        ("mode", "radio"),
        ("channelMetadata", "{}"),
        ("channelMetadata", r#"[{"channel":0}]"#),
        ("trackers", "[{}]"),
        ("diarizationSpeakerCount", "0"),
        ("customVocabulary", r#"[1]"#),
        ("metadata", "[]"),
    ] {
        let refused = read(&of(&[(name, value)]), true);
        let Err(Wrong::Value(why)) = refused else {
            panic!("{name}={value}: {refused:?}");
        };
        assert!(why.contains(name), "{why}");
    }
    let long = "x".repeat(LONGEST_TEXT + 1);
    assert!(read(&of(&[("name", &long)]), true).is_err());
}

#[test]
fn messages_have_texts_speakers_and_times() {
    let body = |message: Value| json!({"messages": [message]}).as_object().cloned();
    let read = |message| messages(&body(message).expect("an object"));
    let whole = read(json!({
        "payload": {"content": "Hello.", "contentType": "text/plain"},
        "from": {"name": "John", "userId": "john@example.com"},
        "duration": {"startTime": "2020-07-21T16:04:19.99Z", "endTime": "2020-07-21T16:04:20.99Z"},
    }));
    let whole = whole.expect("read");
    assert_eq!(
        whole[0].end.zip(whole[0].start).map(|(e, s)| e - s),
        Some(1_000_000_000)
    );
    assert_eq!(whole[0].from.name.as_deref(), Some("John"));
    assert!(read(json!({"payload": {"content": "Hello."}})).is_ok());
    for wrong in [
        json!({}),
        json!({"payload": {"content": " "}}),
        json!({"payload": {"content": "x".repeat(LONGEST_MESSAGE + 1)}}),
        json!({"payload": {"content": "x", "contentType": "text/html"}}),
        json!({"payload": {"content": "x"}, "duration": {"startTime": "today"}}),
        json!({"payload": {"content": "x"}, "duration":
            {"startTime": "2020-07-21T16:04:20Z", "endTime": "2020-07-21T16:04:19Z"}}),
        json!({"payload": {"content": "x"}, "from": {"name": 7}}),
        json!({"payload": {"content": "x"}, "from": "Ada"}),
        json!({"payload": {"content": "x"}, "duration": 7}),
    ] {
        assert!(read(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(messages(&Map::new()).is_err());
}
