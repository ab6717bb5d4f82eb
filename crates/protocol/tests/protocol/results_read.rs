// SPDX-License-Identifier: MPL-2.0

//! Tests server → client: live results, and the sentences of the conversation.

use super::{fixture, mara, messages, parse, parse_fixture, result};
use serde_json::{Value, json};
use std::time::Duration;
use symbl_protocol::ServerMessage;
use symbl_protocol::response::{Participant, RecognitionResult};
use symbl_protocol::timestamp::parse_rfc3339;

/// Returns a final with one word that has these times.
fn with_word_times(start: Value, end: Value) -> RecognitionResult {
    result(parse(&json!({"type": "message", "message": {
        "type": "recognition_result", "isFinal": true,
        "payload": {"raw": {"alternatives": [{"transcript": "yes", "words": [
            {"word": "yes", "startTime": start, "endTime": end}]}]}}}})))
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn c20_an_interim_has_text_and_no_words() {
    let interim = result(parse_fixture("recognition_result_interim.json"));
    assert!(!interim.is_final);
    assert_eq!(interim.text, "The pump on line");
    assert_eq!(interim.words, []);
    assert_eq!(interim.confidence, Some(0.0));
    assert_eq!(interim.time_offset_ms, Some(4512));
    assert_eq!(interim.user, Some(mara()));
}

#[test]
fn c20_a_final_has_words_with_audio_times() {
    let last = result(parse_fixture("recognition_result_final.json"));
    assert!(last.is_final);
    assert!(last.text.ends_with("I'll order new seals tomorrow."));
    assert_eq!(last.confidence, Some(0.9471283555030823));
    assert_eq!(last.words.len(), 13);
    assert_eq!(last.words[0].word, "The");
    assert_eq!(
        (last.words[0].start, last.words[0].end),
        (millis(800), millis(1000))
    );
    let word = &last.words[12];
    assert_eq!(
        (word.word.as_str(), word.start, word.end),
        ("tomorrow.", millis(5000), millis(5600))
    );
    assert_eq!(last.time_offset_ms, Some(8930));
}

#[test]
fn c21_two_messages_come_out_in_order_with_their_words() {
    let text = fixture("message_response.json");
    let ServerMessage::MessageResponse {
        messages,
        sequence_number,
    } = ServerMessage::parse(&text).unwrap()
    else {
        panic!("not a message_response");
    };
    assert_eq!(sequence_number, Some(0));
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].text, "The pump on line four is leaking again.");
    assert_eq!(messages[0].words.len(), 8);
    let second = &messages[1];
    assert_eq!(second.text, "I will order new seals tomorrow.");
    assert_eq!(
        second.original_text.as_deref(),
        Some("I'll order new seals tomorrow.")
    );
    assert_eq!(
        second.id.as_deref(),
        Some("e58c1d07-46ba-4f3e-9a72-0c6d81b2f935")
    );
    assert_eq!(second.from, Some(mara()));
    assert_eq!(second.start_time, parse_rfc3339("2024-03-05T09:00:07.150Z"));
    assert_eq!(second.end_time, parse_rfc3339("2024-03-05T09:00:08.850Z"));
    assert_eq!(second.time_offset, Some(millis(3900)));
    assert_eq!(second.duration, Some(millis(1700)));
    let word = &second.words[4];
    assert_eq!(word.word, "tomorrow.");
    assert_eq!(word.start_time, parse_rfc3339("2024-03-05T09:00:08.250Z"));
    assert_eq!(word.end_time, second.end_time);
    assert_eq!(word.time_offset, Some(millis(5000)));
    assert_eq!(word.duration, Some(millis(600)));
    assert!(text.contains(&second.json) && second.json.contains("\"dismissed\""));
}

#[test]
fn c21_words_are_taken_from_a_string_or_an_array() {
    let words = json!([{"word": "yes", "timeOffset": 1, "duration": 0.25}]);
    for words in [json!(words.to_string()), words] {
        let read = messages(parse(&json!({"type": "message_response", "messages": [
            {"payload": {"content": "Yes."}, "metadata": {"words": words}}]})));
        assert_eq!(read[0].words.len(), 1);
        assert_eq!(read[0].words[0].time_offset, Some(millis(1000)));
        assert_eq!(read[0].words[0].duration, Some(millis(250)));
        assert_eq!(read[0].words[0].start_time, None);
    }
}

#[test]
fn c21_malformed_words_drop_only_the_words() {
    for words in [
        json!("[{\"word\":\"yes\""),
        json!(""),
        json!("null"),
        json!("{}"),
        json!(5),
        json!([7, {"word": 3}, {}]),
        Value::Null,
    ] {
        let read = messages(parse(&json!({"type": "message_response", "messages": [
            {"payload": {"content": "Yes."}, "metadata": {"words": words, "originalContent": "yes"}},
            {"payload": {"content": "No."}}]})));
        assert_eq!(read.len(), 2, "{words}");
        assert_eq!(read[0].text, "Yes.");
        assert_eq!(read[0].original_text.as_deref(), Some("yes"));
        assert_eq!(read[0].words, [], "{words}");
    }
}

#[test]
fn c21_the_short_form_of_the_reference_is_enough() {
    let read = messages(parse_fixture("message_response_minimal.json"));
    assert_eq!(read[0].text, "Please close the valve before you leave.");
    let expected = Participant { id: None, ..mara() };
    assert_eq!(read[0].from, Some(expected));
    assert_eq!((read[0].start_time, read[0].duration), (None, None));
    let plain = json!({"type": "message_response", "messages": [{"text": "Hello."}]});
    assert_eq!(messages(parse(&plain))[0].text, "Hello.");
}

#[test]
fn c21_sentiment_is_read() {
    let read = messages(parse_fixture("message_response_sentiment.json"));
    assert_eq!(read[0].sentiment, Some(0.1));
}

#[test]
fn c22_seconds_and_nanos_may_be_strings_or_numbers() {
    for (time, expected) in [
        (json!({"seconds": "5", "nanos": "800000000"}), millis(5800)),
        (json!({"seconds": 5, "nanos": 800_000_000}), millis(5800)),
        (json!({"seconds": "5", "nanos": 800_000_000}), millis(5800)),
        (json!({"seconds": "5"}), millis(5000)),
        (json!({"nanos": "100000000"}), millis(100)),
        (
            json!({"seconds": "0", "nanos": "000000000"}),
            Duration::ZERO,
        ),
        (json!({"seconds": 5.25}), millis(5250)),
        (json!({"seconds": "1", "nanos": "2500000000"}), millis(3500)),
        (
            json!({"seconds": "123456789", "nanos": "123456789"}),
            Duration::new(123_456_789, 123_456_789),
        ),
    ] {
        let read = with_word_times(time.clone(), time.clone());
        assert_eq!(read.words[0].start, expected, "{time}");
        assert_eq!(read.words[0].end, expected, "{time}");
    }
}

#[test]
fn c22_times_that_cannot_be_lose_the_word_and_not_the_text() {
    for time in [
        json!({"seconds": "1e308"}),
        json!({"seconds": "12000000000"}), // 380 years: more than signed nanoseconds hold
        json!({"seconds": 1e308, "nanos": 1e308}),
        json!({"seconds": "18446744073709551615", "nanos": "999999999"}),
        json!({"seconds": "-1"}),
        json!({"seconds": 1, "nanos": -5}),
        json!({"seconds": "NaN"}),
        json!({"seconds": "inf"}),
        json!({"seconds": ""}),
        json!({"seconds": true}),
        json!({"seconds": null, "nanos": null}),
        json!({}),
        json!("5.8s"),
        Value::Null,
    ] {
        let read = with_word_times(time.clone(), json!({"seconds": "1"}));
        assert_eq!(read.words, [], "{time}");
        assert_eq!(read.text, "yes");
    }
    let read = with_word_times(json!({"seconds": "3"}), json!({"seconds": "1e99"}));
    assert_eq!(
        read.words[0].end,
        millis(3000),
        "an end that cannot be is the start"
    );
    let read = with_word_times(json!({"seconds": "3"}), json!({"seconds": "2"}));
    assert_eq!(
        read.words[0].end,
        millis(3000),
        "no word ends before it starts"
    );
}

#[test]
fn c22_absurd_offsets_count_as_absent() {
    for absurd in [
        json!(1e308),
        json!(1.2e10),
        json!(-1),
        json!("NaN"),
        json!(1e19),
        json!(true),
        json!({}),
    ] {
        let read = messages(parse(&json!({"type": "message_response", "messages": [{
            "payload": {"content": "Yes."},
            "duration": {"timeOffset": absurd, "duration": absurd, "startTime": absurd},
            "sentiment": {"polarity": {"score": absurd}}}]})));
        assert_eq!(read[0].text, "Yes.", "{absurd}");
        assert_eq!(read[0].time_offset, None, "{absurd}");
        assert_eq!(read[0].duration, None, "{absurd}");
        assert_eq!(read[0].start_time, None, "{absurd}");
    }
}

#[test]
fn c22_a_missing_user_or_offset_is_no_error() {
    let read = result(parse_fixture("recognition_result_final_no_user.json"));
    assert_eq!(read.user, None);
    assert_eq!(read.text, "Could you confirm the part number?");
    for empty in [
        Value::Null,
        json!({}),
        json!("Mara"),
        json!({"name": null, "id": ""}),
    ] {
        let read = result(parse(&json!({"type": "message", "message": {
            "type": "recognition_result", "user": empty, "punctuated": {"transcript": "a"}}})));
        assert_eq!((read.user, read.time_offset_ms), (None, None), "{empty}");
    }
}

#[test]
fn c22_a_speaker_known_by_mail_address_is_known_by_it() {
    let read = result(parse(&json!({"type": "message", "message": {
        "type": "recognition_result", "user": {"email": "mara@example.org"}}})));
    assert_eq!(read.user.unwrap().user_id, mara().user_id);
}

#[test]
fn c22_of_a_member_that_comes_twice_the_last_counts() {
    let text = r#"{"type":"message_response","messages":[{"text":"No."}],"messages":[{"text":"No.","text":"Yes."}]}"#;
    let read = messages(ServerMessage::parse(text).unwrap());
    assert_eq!(read[0].text, "Yes.");
}

#[test]
fn c22_the_text_is_the_punctuated_transcript_else_the_first_alternative() {
    let body = |punctuated: Value| {
        result(parse(
            &json!({"type": "message", "message": {"type": "recognition_result",
            "punctuated": punctuated, "payload": {"raw": {"alternatives": [
                {"transcript": "how are you"}, {"transcript": "who are you"}]}}}}),
        ))
    };
    assert_eq!(
        body(json!({"transcript": "How are you?"})).text,
        "How are you?"
    );
    for absent in [Value::Null, json!({}), json!({"transcript": 5}), json!([])] {
        assert_eq!(body(absent).text, "how are you");
    }
}

/// Returns an interim with this member and these words.
fn interim_with(stable: &Value, words: &Value, text: &str) -> RecognitionResult {
    result(parse(&json!({"type": "message", "message": {
        "type": "recognition_result", "isFinal": false,
        "payload": {"raw": {"alternatives": [
            {"transcript": text, "words": words, "x_stableWords": stable}]}}}})))
}

fn timed(words: &[&str]) -> Value {
    let time = json!({"seconds": "1"});
    words
        .iter()
        .map(|word| json!({"word": word, "startTime": time, "endTime": time}))
        .collect()
}

#[test]
fn an_interim_says_how_many_of_its_words_are_stable() {
    let words = timed(&["the", "pump", "on"]);
    for (stable, expected) in [
        (json!(1), Some(1)),
        (json!(3), Some(3)),
        (json!(2.0), Some(2)),
        (json!(0), None),
    ] {
        let read = interim_with(&stable, &words, "the pump on");
        assert_eq!(read.stable_words, expected, "{stable}");
    }
}

#[test]
fn without_word_times_the_words_of_the_text_are_counted() {
    let read = |stable| interim_with(&json!(stable), &json!([]), "  the  pump on").stable_words;
    assert_eq!((read(3), read(4)), (Some(3), None));
}

#[test]
fn a_promise_that_cannot_be_counts_as_absent() {
    for stable in [
        json!(-1),
        json!(4),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!("2"),
        json!("NaN"),
        json!(true),
        json!([2]),
        json!({"words": 2}),
        Value::Null,
    ] {
        let read = interim_with(&stable, &timed(&["the", "pump", "on"]), "the pump on");
        assert_eq!(read.stable_words, None, "{stable}");
        assert_eq!((read.text.as_str(), read.words.len()), ("the pump on", 3));
    }
}

#[test]
fn a_stable_word_without_a_time_is_not_counted() {
    let mut words = timed(&["the", "pump", "on"]);
    words[1]["startTime"] = json!(7);
    let read = interim_with(&json!(2), &words, "the pump on");
    assert_eq!((read.words.len(), read.stable_words), (2, Some(1)));
    words[0]["startTime"] = json!(7);
    let read = interim_with(&json!(2), &words, "the pump on");
    assert_eq!((read.words.len(), read.stable_words), (1, None));
}

#[test]
fn a_final_makes_no_promise() {
    let read = result(parse(&json!({"type": "message", "message": {
        "type": "recognition_result", "isFinal": true,
        "payload": {"raw": {"alternatives": [
            {"transcript": "yes", "words": timed(&["yes"]), "x_stableWords": 1}]}}}})));
    assert_eq!(read.stable_words, None);
}

fn progress(audio_time: &Value) -> ServerMessage {
    parse(&json!({"type": "message", "message": {
        "type": "recognition_progress", "audioTime": audio_time}}))
}

#[test]
fn progress_is_seconds_of_audio() {
    for (audio_time, expected) in [
        (json!(0), Duration::ZERO),
        (json!(-0.0), Duration::ZERO),
        (json!(12.3), millis(12_300)),
        (json!(7), millis(7000)),
        (json!(3599.999), millis(3_599_999)),
    ] {
        let expected = ServerMessage::RecognitionProgress {
            audio_time: expected,
        };
        assert_eq!(progress(&audio_time), expected, "{audio_time}");
    }
}

#[test]
fn progress_without_a_time_that_can_be_is_an_unknown_message() {
    for audio_time in [
        json!(-0.001),
        json!(1e308),
        json!(1.2e10), // 380 years: more than signed nanoseconds hold
        json!(u64::MAX),
        json!("NaN"),
        json!("12.3"),
        json!(true),
        json!([1]),
        json!({"seconds": "1"}),
        Value::Null,
    ] {
        match progress(&audio_time) {
            ServerMessage::Unknown { kind, json } => {
                assert_eq!(kind, "recognition_progress");
                assert!(json.contains(&audio_time.to_string()), "{json}");
            }
            other => panic!("{audio_time} gave {other:?}"),
        }
    }
    let bare = r#"{"type":"message","message":{"type":"recognition_progress"}}"#;
    let unknown = ServerMessage::Unknown {
        kind: "recognition_progress".to_owned(),
        json: bare.to_owned(),
    };
    assert_eq!(ServerMessage::parse(bare).unwrap(), unknown);
}
