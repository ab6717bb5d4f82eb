// SPDX-License-Identifier: MPL-2.0

//! Tests text that is nearly JSON, as some serialisers write it. No caption may be
//! lost for it.

use super::{compact, fixture, parse_fixture, result};
use serde_json::Value;
use std::time::Duration;
use symbl_protocol::ServerMessage;
use symbl_protocol::response::{Unreadable, history};

const FINAL: &str = r#"{"type":"message","message":{"type":"recognition_result","isFinal":true,
    "payload":{"raw":{"alternatives":[{"transcript":"hello there","confidence":0.5,"words":[
        {"word":"hello","startTime":{"seconds":"1","nanos":"0"},"endTime":{"seconds":"1","nanos":"400000000"}},
        {"word":"there","startTime":{"seconds":"2","nanos":"0"},"endTime":{"seconds":"2","nanos":"300000000"}}]}]}},
    "punctuated":{"transcript":"Hello there."}}}"#;

/// Returns [`FINAL`] with `new` in place of `old`.
fn with(old: &str, new: &str) -> String {
    assert!(FINAL.contains(old), "{old}");
    FINAL.replace(old, new)
}

#[test]
fn a_final_that_is_nearly_json_is_read() {
    for text in [
        format!("\u{feff}{FINAL}"),
        format!("{FINAL}\0"),
        format!("\u{1e}{FINAL}\n"),
        with("0.5", "NaN"),
        with("0.5", "-Infinity"),
        with("0.5", "Infinity"),
        with("0.5", "nan"),
        with("0.5", "+inf"),
        with("0.5", "undefined"),
        with("\"punctuated\"", "\"in\0side\":1,\"punctuated\""),
    ] {
        let (message, flaw) = ServerMessage::parse_mended(&text).unwrap();
        assert!(flaw.is_some(), "{text}");
        let result = result(message);
        assert!(result.is_final, "{text}");
        assert_eq!(result.text, "Hello there.", "{text}");
        assert_eq!(result.words.len(), 2, "{text}");
        assert_eq!(result.words[1].start, Duration::from_secs(2), "{text}");
        assert!(result.confidence.is_none_or(|c| c == 0.5), "{text}");
        // The application gets text that is JSON.
        serde_json::from_str::<Value>(&result.json).unwrap();
    }
}

#[test]
fn a_text_with_characters_that_json_wants_escaped_is_read() {
    for (raw, meant) in [
        ("Hello\tthere.", "Hello\tthere."),
        ("Hello\nthere.", "Hello\nthere."),
        ("Hello\0there.", "Hello\u{fffd}there."),
        ("Hello\u{1b}there.", "Hello\u{1b}there."),
        (r"Hello\'there.", "Hello'there."),
        (r"Hello\x41there.", r"Hellox41there."),
        (r"Hello\u12there.", r"Hello\u12there."),
        // Inside a string these are not bare words.
        (r"NaN: \b Infinity", "NaN: \u{8} Infinity"),
    ] {
        let text = with("Hello there.", raw).replace("0.5", "NaN");
        assert_eq!(result(ServerMessage::parse(&text).unwrap()).text, meant);
    }
}

#[test]
fn a_word_whose_time_is_not_a_number_has_no_place_and_stays_in_the_text() {
    let text = with(
        r#""seconds":"1","nanos":"0""#,
        r#""seconds":NaN,"nanos":"0""#,
    );
    let result = result(ServerMessage::parse(&text).unwrap());
    assert_eq!(result.text, "Hello there.");
    let words: Vec<&str> = result.words.iter().map(|w| w.word.as_str()).collect();
    assert_eq!(words, ["there"]);
}

#[test]
fn numbers_and_truths_in_strings_and_a_text_that_only_the_words_have_are_read() {
    let text = with("0.5", r#""0.5""#)
        .replace(r#""isFinal":true"#, r#""isFinal":"true""#)
        .replace(r#""hello there""#, "null")
        .replace(r#"{"transcript":"Hello there."}"#, "null");
    let (message, flaw) = ServerMessage::parse_mended(&text).unwrap();
    assert_eq!(flaw, None, "it is JSON");
    let result = result(message);
    assert_eq!((result.is_final, result.confidence), (true, Some(0.5)));
    assert_eq!(result.text, "hello there");
}

#[test]
fn what_is_json_is_read_as_it_stands() {
    let (message, flaw) = ServerMessage::parse_mended(FINAL).unwrap();
    assert_eq!(flaw, None);
    assert_eq!(result(message).json, FINAL);
}

#[test]
fn the_other_messages_and_the_history_are_mended_as_well() {
    let text = fixture("message_response.json").replacen(':', ":\u{b}", 1);
    let text = format!("\u{feff}{text}\0");
    let (message, flaw) = ServerMessage::parse_mended(&text).unwrap();
    assert!(flaw.is_some());
    let strict = parse_fixture("message_response.json");
    assert_eq!(super::messages(message), super::messages(strict));
    let list = r#"{"messages":[{"id":"1","text":"Yes.","sentiment":{"polarity":{"score":NaN}}}]}"#;
    assert_eq!(history(list).unwrap()[0].text, "Yes.");
}

#[test]
fn what_cannot_be_mended_says_what_it_was_as_far_as_that_can_be_told() {
    let cut = &compact("recognition_result_final.json");
    let cut = &cut[..cut.len() - 3];
    for (text, kind, may_be_final) in [
        (cut, "recognition_result", true),
        (
            r#"{"type":"recognition_result","isFinal": false,"x"}"#,
            "recognition_result",
            false,
        ),
        (
            r#"{'type': 'recognition_result', 'isFinal': True}"#,
            "",
            true,
        ),
        (
            r#"{'type': 'recognition_result', 'isFinal': False}"#,
            "",
            false,
        ),
        (
            r#"{"type":"message","message":{"type":"topic_response","to"#,
            "topic_response",
            false,
        ),
        (r#"{"type":"message","me"#, "message", false),
        ("<html>", "", false),
        (r#""type""#, "", false),
        (r#"{"type":"#, "", false),
        ("", "", false),
    ] {
        assert!(ServerMessage::parse(text).is_err(), "{text}");
        let expected = Unreadable {
            kind: kind.to_owned(),
            may_be_final,
        };
        assert_eq!(Unreadable::of(text), expected, "{text}");
    }
}

#[test]
fn a_control_character_in_the_name_of_a_member_is_escaped() {
    // With an escape in the name, the parser copies it, and checks neither kind.
    for name in ["a\0b", "a\\\"\0b", "a\\\\\u{1}b", "\\\"a\nb"] {
        let text = format!(r#"{{"type": "new", "{name}": 1}}"#);
        let (message, flaw) = ServerMessage::parse_mended(&text).unwrap();
        assert!(flaw.is_some(), "{text:?}");
        let ServerMessage::Unknown { json, .. } = message else {
            panic!("{message:?}");
        };
        assert!(!json.chars().any(|c| u32::from(c) < 0x20), "{json:?}");
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
    }
    // Escaped ones, and white space between the members, are nothing to mend.
    let text = "{\"type\": \"new\",\n\t\"a\\u0000\\n\": 1\r\n}";
    let (_, flaw) = ServerMessage::parse_mended(text).unwrap();
    assert_eq!(flaw, None);
}
