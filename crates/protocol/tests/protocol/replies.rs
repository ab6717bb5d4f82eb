// SPDX-License-Identifier: MPL-2.0

//! Tests that the service's own messages equal the fixtures and that the client reads
//! them: life cycle, live results and sentences.

use super::{CONVERSATION, IVO, MARA, compact, parsed};
use serde_json::{Value, json};
use std::time::Duration;
use symbl_protocol::reply::{self, Interim, Message, SpokenWord, StreamZero};
use symbl_protocol::timestamp::parse_rfc3339;
use symbl_protocol::{Encoding, ServerMessage, StreamFormat, StreamPlace};

/// Words with their start and end, in milliseconds.
const SENTENCES: [(&str, u64, u64); 13] = [
    ("The", 800, 1000),
    ("pump", 1000, 1400),
    ("on", 1400, 1500),
    ("line", 1500, 1800),
    ("four", 1800, 2200),
    ("is", 2200, 2300),
    ("leaking", 2300, 2800),
    ("again.", 2800, 3200),
    ("I'll", 3900, 4100),
    ("order", 4100, 4400),
    ("new", 4400, 4600),
    ("seals", 4600, 5000),
    ("tomorrow.", 5000, 5600),
];

fn words() -> Vec<SpokenWord<'static>> {
    let word = |(text, start, end)| SpokenWord {
        text,
        start: Duration::from_millis(start),
        end: Duration::from_millis(end),
    };
    SENTENCES.into_iter().map(word).collect()
}

fn message<'a>(words: &'a [SpokenWord<'a>]) -> Message<'a> {
    Message {
        id: "e58c1d07-46ba-4f3e-9a72-0c6d81b2f935",
        from: MARA,
        text: "I will order new seals tomorrow.",
        original_text: "I'll order new seals tomorrow.",
        timezone_offset: 0,
        words,
        stream_offset: Duration::ZERO,
        conversation_start: parse_rfc3339("2024-03-05T09:00:03.250Z").unwrap(),
        stream: None,
        entities: &[],
        sentiment: None,
        phrases: None,
    }
}

#[test]
fn lifecycle_messages_equal_the_fixtures() {
    let format = StreamFormat::new(Encoding::Linear16, 48_000).unwrap();
    for (text, name) in [
        (reply::started_listening(), "started_listening.json"),
        (
            reply::conversation_created(CONVERSATION),
            "conversation_created.json",
        ),
        (
            reply::recognition_started(CONVERSATION),
            "recognition_started.json",
        ),
        (reply::recognition_stopped(), "recognition_stopped.json"),
        (
            reply::conversation_completed(CONVERSATION),
            "conversation_completed.json",
        ),
        (
            reply::session_modified(format),
            "session_modified_with_rate.json",
        ),
        (reply::processing_terminated(), "processing_terminated.json"),
    ] {
        assert_eq!(text, compact(name));
    }
}

#[test]
fn progress_is_written_as_seconds_and_promises_no_more_than_it_was_given() {
    for (nanos, seconds) in [
        (0, "0"),
        (12_300_000_000, "12.3"),
        (7_000_000_000, "7"),
        (1_999_999_999, "1.999"),
    ] {
        let text = reply::recognition_progress(Duration::from_nanos(nanos));
        let expected = format!(
            r#"{{"type":"message","message":{{"type":"recognition_progress","audioTime":{seconds}}}}}"#
        );
        assert_eq!(text, expected);
    }
}

#[test]
fn lifecycle_messages_come_back_as_what_they_are() {
    use ServerMessage as M;
    let id = Some(CONVERSATION.to_owned());
    let format = StreamFormat::new(Encoding::Opus, 48_000).unwrap();
    let modified = reply::session_modified(format);
    let terminated = reply::processing_terminated();
    for (text, expected) in [
        (reply::started_listening(), M::StartedListening),
        (
            reply::conversation_created(CONVERSATION),
            M::ConversationCreated {
                conversation_id: id.clone(),
            },
        ),
        (
            reply::recognition_started(CONVERSATION),
            M::RecognitionStarted {
                conversation_id: id.clone(),
            },
        ),
        (
            reply::recognition_stopped(),
            M::RecognitionStopped { told: None },
        ),
        (
            reply::recognition_stopped_telling(false),
            M::RecognitionStopped { told: Some(false) },
        ),
        (
            reply::recognition_stopped_telling(true),
            M::RecognitionStopped { told: Some(true) },
        ),
        (
            reply::conversation_completed(CONVERSATION),
            M::ConversationCompleted {
                conversation_id: id,
                summary_url: None,
            },
        ),
        (modified.clone(), M::SessionModified { json: modified }),
        (
            terminated.clone(),
            M::ProcessingTerminated { json: terminated },
        ),
    ] {
        assert_eq!(parsed(&text), expected);
    }
}

#[test]
fn the_place_of_a_message_comes_back_and_its_stream_is_not_named() {
    let words = words();
    let stream = StreamZero {
        id: "9f0c1c7e-0f5b-4a53-9a52-7c3d2f1e8b60",
        position: 1 << 60,
    };
    let placed = Message {
        stream: Some(stream),
        ..message(&words)
    };
    let text = reply::message_response(&[placed], 0);
    assert!(!text.contains(stream.id), "{text}");
    let ServerMessage::MessageResponse { messages, .. } = parsed(&text) else {
        panic!("{text}");
    };
    let nanos = |time: Duration| (1 << 60) + u64::try_from(time.as_nanos()).unwrap();
    let place = messages[0].place.clone().unwrap();
    assert_eq!(place.stream, StreamPlace::tag(stream.id));
    assert_eq!(place.from, nanos(words[0].start));
    assert_eq!(place.until, nanos(words.last().unwrap().end));
    // FNV-1a of 32 bits, by its reference values.
    let tags = ["", "a", "foobar"].map(StreamPlace::tag);
    assert_eq!(tags, ["811c9dc5", "e40c292c", "bf9cf968"]);
}

#[test]
fn recognition_results_equal_the_fixtures() {
    let interim = reply::interim_result(
        &Interim {
            text: "The pump on line",
            user: Some(MARA),
            ..Interim::default()
        },
        4512,
    );
    assert_eq!(interim, compact("recognition_result_interim.json"));
    let text = "The pump on line four is leaking again. I'll order new seals tomorrow.";
    let last = reply::final_result(text, &words(), 0.9471283555030823, Some(MARA), 8930);
    assert_eq!(last, compact("recognition_result_final.json"));
    let anonymous = reply::final_result("Yes.", &[], 1.0, None, 1);
    assert!(!anonymous.contains("\"user\"") && anonymous.contains("\"confidence\":1}"));
}

#[test]
fn an_interim_may_say_where_its_utterance_starts() {
    let start = Duration::from_millis(61_250);
    let written = reply::interim_result(
        &Interim {
            text: "so",
            start: Some(start),
            ..Interim::default()
        },
        0,
    );
    let ServerMessage::RecognitionResult(interim) = parsed(&written) else {
        panic!("no recognition_result");
    };
    assert_eq!(interim.start, Some(start));
}

#[test]
fn an_interim_may_have_words_of_which_the_first_are_stable() {
    let words = words();
    let written = |stable| {
        let interim = Interim {
            text: "The pump on line four",
            words: &words[..5],
            stable,
            ..Interim::default()
        };
        reply::interim_result(&interim, 0)
    };
    let ServerMessage::RecognitionResult(interim) = parsed(&written(3)) else {
        panic!("no recognition_result");
    };
    assert!(!interim.is_final);
    assert_eq!(interim.stable_words, Some(3));
    let read: Vec<_> = interim
        .words
        .iter()
        .map(|w| (w.word.as_str(), w.start, w.end))
        .collect();
    let told: Vec<_> = words[..5]
        .iter()
        .map(|w| (w.text, w.start, w.end))
        .collect();
    assert_eq!(read, told);
    assert!(
        !written(0).contains("x_stableWords"),
        "an engine that promises nothing says nothing"
    );
}

#[test]
fn recognition_results_come_back_with_text_words_and_times() {
    let ServerMessage::RecognitionResult(last) = parsed(&reply::final_result(
        "It's \"quoted\".",
        &words(),
        0.5,
        Some(IVO),
        77,
    )) else {
        panic!("not a recognition_result");
    };
    assert!(last.is_final);
    assert_eq!(last.text, "It's \"quoted\".");
    assert_eq!(
        (last.confidence, last.time_offset_ms),
        (Some(0.5), Some(77))
    );
    assert_eq!(last.user.unwrap().name.as_deref(), IVO.name);
    let read: Vec<_> = last
        .words
        .iter()
        .map(|w| (w.word.as_str(), w.start, w.end))
        .collect();
    let told: Vec<_> = words().iter().map(|w| (w.text, w.start, w.end)).collect();
    assert_eq!(read, told);
}

#[test]
fn message_responses_equal_the_fixture() {
    let words = words();
    let (first, second) = words.split_at(8);
    let text = "The pump on line four is leaking again.";
    let first = Message {
        id: "3b6f0a94-8d17-4c52-b1e3-7a20c95d4f61",
        text,
        original_text: text,
        ..message(first)
    };
    let written = reply::message_response(&[first, message(second)], 0);
    assert_eq!(written, compact("message_response.json"));
}

#[test]
fn messages_have_their_sentiment_and_phrases_if_they_were_asked_for() {
    let phrases = ["send the report".to_owned()];
    let asked = Message {
        sentiment: Some(-0.4),
        phrases: Some(&phrases),
        ..message(&[])
    };
    let text = reply::message_response(&[asked, message(&[])], 0);
    let told = r#""sentiment":{"polarity":{"score":-0.4},"suggested":"negative"}"#;
    assert_eq!(text.matches(told).count(), 1, "{text}");
    let told = r#""phrases":[{"text":"send the report","type":"action_phrase"}]"#;
    let other = r#""phrases":[{"type":"action_phrase","text":"send the report"}]"#;
    let count = text.matches(told).count() + text.matches(other).count();
    assert_eq!(count, 1, "{text}");
    assert_eq!(text.matches("sentiment").count(), 1, "{text}");
    let ServerMessage::MessageResponse { messages, .. } = parsed(&text) else {
        panic!("not a message_response");
    };
    assert_eq!(messages[0].sentiment, Some(-0.4));
    let each = [-1.0, -0.3, 0.3, 1.0].map(reply::suggested);
    assert_eq!(each, ["negative", "neutral", "neutral", "positive"]);
}

#[test]
fn the_figures_of_the_talk_come_back() {
    let metric =
        |kind: &str, seconds: f64| json!({"type": kind, "percent": 1.0, "seconds": seconds});
    let written = reply::analytics_response(json!({
        "metrics": [
            metric("total_silence", 1.5),
            metric("total_talk_time", 62.25),
            metric("total_overlap", 0.0),
        ],
        "members": [],
    }));
    assert!(
        written.starts_with(r#"{"type":"analytics_response","#),
        "{written}"
    );
    assert_eq!(
        parsed(&written),
        ServerMessage::AnalyticsResponse {
            talk_time: Some(Duration::from_millis(62_250)),
            silence: Some(Duration::from_millis(1_500)),
            overlap: Some(Duration::ZERO),
            json: written.clone(),
        }
    );
}

#[test]
fn message_responses_come_back_on_the_clock_of_the_conversation() {
    let words = words();
    let later = Message {
        timezone_offset: 480,
        stream_offset: Duration::from_secs(60),
        ..message(&words[8..])
    };
    let text = reply::message_response(&[later], 7);
    assert!(text.contains("\"timezoneOffset\":480"));
    let ServerMessage::MessageResponse {
        messages,
        sequence_number,
    } = parsed(&text)
    else {
        panic!("not a message_response");
    };
    assert_eq!(sequence_number, Some(7));
    let read = &messages[0];
    assert_eq!(read.id.as_deref(), Some(later.id));
    assert_eq!(
        (read.text.as_str(), read.original_text.as_deref()),
        (later.text, Some(later.original_text))
    );
    assert_eq!(read.time_offset, Some(Duration::from_millis(63_900)));
    assert_eq!(read.duration, Some(Duration::from_millis(1700)));
    assert_eq!(read.start_time, parse_rfc3339("2024-03-05T09:01:07.150Z"));
    assert_eq!(read.end_time, parse_rfc3339("2024-03-05T09:01:08.850Z"));
    assert_eq!(read.words.len(), 5);
    assert_eq!(read.words[4].time_offset, Some(Duration::from_secs(65)));
    assert_eq!(read.words[4].end_time, read.end_time);
}

#[test]
fn offsets_are_seconds_with_at_most_two_decimals() {
    let offsets = |micros: u64| {
        let word = [SpokenWord {
            text: "a",
            start: Duration::from_micros(micros),
            end: Duration::from_micros(micros),
        }];
        let text = reply::message_response(&[message(&word)], 0);
        let value: Value = serde_json::from_str(&text).unwrap();
        value["messages"][0]["duration"]["timeOffset"].to_string()
    };
    assert_eq!(offsets(0), "0");
    assert_eq!(offsets(5_000_000), "5");
    assert_eq!(offsets(800_000), "0.8");
    assert_eq!(offsets(1_230_000), "1.23");
    assert_eq!(offsets(1_234_999), "1.23");
    assert_eq!(offsets(1_235_000), "1.24");
    assert_eq!(offsets(999_996_000), "1000");
}

#[test]
fn messages_without_words_and_with_absurd_times_are_still_messages() {
    let empty = reply::message_response(&[message(&[])], 0);
    assert!(empty.contains(r#""words":"[]""#));
    let far = [SpokenWord {
        text: "a",
        start: Duration::MAX,
        end: Duration::ZERO,
    }];
    let text = reply::message_response(
        &[Message {
            stream_offset: Duration::MAX,
            ..message(&far)
        }],
        0,
    );
    let ServerMessage::MessageResponse { messages, .. } = parsed(&text) else {
        panic!("not a message_response");
    };
    assert_eq!(
        (messages[0].words.len(), messages[0].duration),
        (1, Some(Duration::ZERO))
    );
}

#[test]
fn numbers_that_json_does_not_know_are_zero() {
    for confidence in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let text = reply::final_result("a", &[], confidence, None, 0);
        assert!(text.contains("\"confidence\":0}"), "{text}");
    }
}
