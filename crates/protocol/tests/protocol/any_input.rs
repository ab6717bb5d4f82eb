// SPDX-License-Identifier: MPL-2.0

//! Tests that no input causes a panic or breaks the promise of a type.

use super::text_frames;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use std::time::Duration;
use symbl_protocol::reply;
use symbl_protocol::request::ClientMessageError;
use symbl_protocol::response::{Unreadable, Word};
use symbl_protocol::{
    ClientMessage, Encoding, InsightType, ServerMessage, StartRequest, StreamFormat, StreamPlace,
    Tracker,
};

/// Member names of the wire, so that arbitrary objects look like messages.
const NAMES: [&str; 49] = [
    "type",
    "message",
    "data",
    "conversationId",
    "summaryUrl",
    "isFinal",
    "payload",
    "raw",
    "alternatives",
    "words",
    "word",
    "startTime",
    "endTime",
    "seconds",
    "nanos",
    "transcript",
    "confidence",
    "punctuated",
    "user",
    "timeOffset",
    "messages",
    "content",
    "metadata",
    "duration",
    "insights",
    "topics",
    "trackers",
    "matches",
    "messageRefs",
    "insightRefs",
    "entities",
    "sequenceNumber",
    "details",
    "code",
    "config",
    "speechRecognition",
    "encoding",
    "sampleRateHertz",
    "vocabulary",
    "name",
    "x_stream",
    "id",
    "attempt",
    "position",
    "x_stableWords",
    "interimResults",
    "maxFinalDelay",
    "recognitionProgress",
    "audioTime",
];

const KINDS: [&str; 16] = [
    "message",
    "recognition_result",
    "recognition_progress",
    "analytics_response",
    "conversation_completed",
    "recognition_started",
    "message_response",
    "insight_response",
    "topic_response",
    "tracker_response",
    "entity_response",
    "error",
    "start_request",
    "modify_request",
    "stop_request",
    "else",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(vec![
            json!(1e308),
            json!(-1e308),
            json!("NaN"),
            json!("-5"),
            json!("1e99"),
            json!("[{\"word\":\"a\"")
        ]),
        select(KINDS.to_vec()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let member = (select(NAMES.to_vec()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            (select(KINDS.to_vec()), prop::collection::vec(member, 0..10)).prop_map(
                |(kind, members)| {
                    let mut object = Map::from_iter([("type".to_owned(), json!(kind))]);
                    object.extend(
                        members
                            .into_iter()
                            .map(|(name, value)| (name.to_owned(), value)),
                    );
                    Value::Object(object)
                }
            ),
        ]
    })
}

static FIXTURES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let both = ["server->client", "client->server"].into_iter();
    both.flat_map(text_frames).map(|(_, text)| text).collect()
});

/// Reads `text` as every kind of message, and checks what the types promise.
fn read(text: &str) {
    if let Ok(ClientMessage::Start(request)) = ClientMessage::parse(text)
        && let Some(StreamPlace { id, attempt, .. }) = request.stream
    {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        assert!((1..=64).contains(&id.len()) && id.bytes().all(is_plain));
        assert!(attempt >= 1);
    }
    let _ = Tracker::parse_list(text);
    let (message, flaw) = match ServerMessage::parse_mended(text) {
        Ok(read) => read,
        Err(_) => {
            let kind = Unreadable::of(text).kind;
            assert!(text.contains(&kind) && !kind.contains('\0'));
            return;
        }
    };
    // All `json` text is JSON, and it is unchanged if the input was JSON.
    let is_handed_on = |json: &str| {
        assert!(!json.contains('\0'));
        assert!(flaw.is_some() || text.contains(json));
    };
    match message {
        ServerMessage::RecognitionResult(result) => {
            is_handed_on(&result.json);
            assert!(flaw.is_some() || result.json == text);
            assert!(result.words.iter().all(|word| word.start <= word.end));
            let ends = result.words.iter().map(|Word { end, .. }| *end);
            in_nanoseconds(ends);
            assert!(result.confidence.is_none_or(|c| (0.0..=1.0).contains(&c)));
            let count = match result.words.len() {
                0 => result.text.split_whitespace().count(),
                count => count,
            };
            let is_possible = |stable| (1..=count).contains(&stable);
            assert!(result.stable_words.is_none_or(is_possible));
        }
        ServerMessage::RecognitionProgress { audio_time } => in_nanoseconds([audio_time]),
        ServerMessage::MessageResponse { messages, .. } => {
            for message in messages {
                is_handed_on(&message.json);
                in_nanoseconds(message.time_offset.into_iter().chain(message.duration));
                for word in message.words {
                    in_nanoseconds(word.time_offset.into_iter().chain(word.duration));
                }
            }
        }
        ServerMessage::InsightResponse { insights, .. } => {
            insights.iter().for_each(|item| is_handed_on(&item.json));
        }
        ServerMessage::TrackerResponse { matches, .. } => {
            matches.iter().for_each(|item| is_handed_on(&item.json));
        }
        ServerMessage::AnalyticsResponse {
            talk_time,
            silence,
            overlap,
            json,
        } => {
            is_handed_on(&json);
            in_nanoseconds(talk_time.into_iter().chain(silence).chain(overlap));
        }
        ServerMessage::Unknown { json, .. } => {
            is_handed_on(&json);
            assert!(flaw.is_some() || json == text);
        }
        _ => {}
    }
}

/// Checks that each time fits into 63 bits of nanoseconds, so that the sum of two times
/// does not overflow.
fn in_nanoseconds(times: impl IntoIterator<Item = Duration>) {
    for time in times {
        assert!(time <= Duration::from_nanos(i64::MAX as u64), "{time:?}");
    }
}

/// Lists the JSON pointers of all places in a value.
fn places(value: &Value, path: String, all: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                places(member, format!("{path}/{name}"), all);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, format!("{path}/{index}"), all);
            }
        }
        _ => {}
    }
    all.push(path);
}

fn any_format() -> impl Strategy<Value = StreamFormat> {
    prop_oneof![
        (8_000_u32..=48_000).prop_map(|rate| (Encoding::Linear16, rate)),
        (16_000_u32..=48_000).prop_map(|rate| (Encoding::Flac, rate)),
        Just((Encoding::Mulaw, 8_000)),
        select(vec![8_000, 12_000, 16_000, 24_000, 48_000]).prop_map(|rate| (Encoding::Opus, rate)),
    ]
    .prop_map(|(encoding, rate)| StreamFormat::new(encoding, rate).unwrap())
}

fn any_phrase() -> impl Strategy<Value = String> {
    "[^\\s]\\PC{0,12}"
}

prop_compose! {
    fn any_tracker()(name in any_phrase(), vocabulary in prop::collection::vec(any_phrase(), 1..4))
        -> Tracker { Tracker { name, vocabulary } }
}

prop_compose! {
    fn any_place()(id in "[A-Za-z0-9-]{1,64}", attempt in 1_u64..=1 << 62, position in 0_u64..=1 << 62)
        -> StreamPlace { StreamPlace { id, attempt, position } }
}

prop_compose! {
    fn any_request()(
        format in any_format(),
        insight_types in prop::sample::subsequence(InsightType::ALL.to_vec(), 0..=4),
        custom_vocabulary in prop::collection::vec(any_phrase(), 0..3),
        trackers in prop::collection::vec(any_tracker(), 0..3),
        (confidence_threshold, timezone_offset, max_final_delay) in (
            prop::option::of(0.5_f64..=1.0), prop::option::of(-840_i32..=840),
            prop::option::of(1.0_f64..=25.0)),
        (meeting_title, language_code, speaker_user_id, speaker_name) in (
            prop::option::of(any_phrase()), prop::option::of(any_phrase()),
            prop::option::of(any_phrase()), prop::option::of(any_phrase())),
        (interim_trackers, enable_all_trackers, detect_entities, sentiment) in any::<(bool, bool, bool, bool)>(),
        (recognition_progress, detect_phrases, analytics, finals_only) in any::<(bool, bool, bool, bool)>(),
        (no_connection_timeout, disconnect_on_stop_request, disconnect_on_stop_request_timeout) in (
            prop::option::of(0_u32..=1_800), any::<Option<bool>>(), prop::option::of(0_u32..=1_800)),
        stream in prop::option::of(any_place()),
    ) -> StartRequest {
        StartRequest {
            insight_types, custom_vocabulary, confidence_threshold, meeting_title, language_code,
            timezone_offset, max_final_delay, recognition_progress, trackers, interim_trackers,
            interim_results: !finals_only, enable_all_trackers, detect_entities,
            sentiment, detect_phrases, analytics, speaker_user_id, speaker_name, no_connection_timeout,
            disconnect_on_stop_request, disconnect_on_stop_request_timeout, stream,
            ..StartRequest::new(format)
        }
    }
}

proptest! {
    // Every run has the same inputs.
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(11),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        read(&text);
    }

    #[test]
    fn any_json_is_read_without_a_panic(value in any_json()) {
        read(&value.to_string());
    }

    #[test]
    fn any_json_in_an_envelope_is_read_without_a_panic(value in any_json()) {
        read(&json!({"type": "message", "message": value}).to_string());
    }

    #[test]
    fn fixtures_with_another_value_somewhere_are_read_without_a_panic(
        text in select(FIXTURES.clone()),
        place in any::<Index>(),
        value in any_json(),
    ) {
        let mut message: Value = serde_json::from_str(&text).unwrap_or_default();
        let mut all = Vec::new();
        places(&message, String::new(), &mut all);
        let path: &String = place.get(&all);
        if let Some(target) = message.pointer_mut(path) {
            *target = value;
        }
        read(&message.to_string());
    }

    #[test]
    fn fixtures_with_broken_text_are_read_without_a_panic(
        text in select(FIXTURES.clone()),
        at in any::<Index>(),
        end in any::<Index>(),
        insert in select(vec!["", "\"", "{", "]", "\\", ",", "0", "\u{0}", "é", "\\ud800", "null", "1e999", "NaN", "\u{feff}", "\n"]),
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len());
        // Mostly small changes, and sometimes the rest is cut off.
        let end = (at + end.index(4)).min(characters.len());
        characters.splice(at..end, insert.chars());
        read(&characters.iter().collect::<String>());
        read(&characters[..at].iter().collect::<String>());
    }

    #[test]
    fn any_request_that_is_written_is_read_as_it_was(request in any_request()) {
        let text = request.to_json().unwrap();
        prop_assert_eq!(ClientMessage::parse(&text).unwrap(), ClientMessage::Start(Box::new(request)));
    }

    #[test]
    fn any_audio_time_is_a_time_or_leaves_an_unknown_message(value in any_json()) {
        let progress = json!({"type": "recognition_progress", "audioTime": value});
        let text = json!({"type": "message", "message": progress}).to_string();
        read(&text);
        match ServerMessage::parse(&text) {
            Ok(ServerMessage::RecognitionProgress { .. }) => prop_assert!(value.is_number()),
            Ok(ServerMessage::Unknown { kind, json }) => {
                prop_assert_eq!(kind, "recognition_progress");
                prop_assert_eq!(json, text);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn any_progress_is_read_as_it_was_written(millis in 0_u64..=i64::MAX as u64 / 1_000_000, nanos in 0_u32..1_000_000) {
        let written = Duration::from_millis(millis) + Duration::from_nanos(nanos.into());
        let text = reply::recognition_progress(written);
        match ServerMessage::parse(&text) {
            Ok(ServerMessage::RecognitionProgress { audio_time }) => {
                // Up to about 100 days, a double is exact to the nanosecond.
                if millis < 1 << 33 {
                    prop_assert_eq!(audio_time, Duration::from_millis(millis));
                }
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn any_place_in_a_stream_is_read_or_refused_by_its_name(value in any_json(), name in select(vec!["id", "attempt", "position"])) {
        let mut place = json!({"id": "a-1", "attempt": 1, "position": 0});
        place[name] = value;
        let text = json!({"type": "start_request", "x_stream": place}).to_string();
        read(&text);
        match ClientMessage::parse(&text) {
            Ok(ClientMessage::Start(request)) => prop_assert!(request.stream.is_some()),
            Err(ClientMessageError::Field(error)) => prop_assert_eq!(error.field, format!("x_stream.{name}")),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn any_extra_members_leave_a_start_request(value in any_json(), request in any_request()) {
        let mut extra = match value {
            Value::Object(members) => members,
            other => Map::from_iter([("extra".to_owned(), other)]),
        };
        extra.remove("type");
        let text = StartRequest { extra, ..request }.to_json().unwrap();
        let message: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&message["type"], "start_request");
    }
}
