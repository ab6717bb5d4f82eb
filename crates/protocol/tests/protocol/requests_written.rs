// SPDX-License-Identifier: MPL-2.0

//! Tests how the client writes client → server messages: strictly.

use super::{fixture, full_request, linear16, started};
use serde_json::{Map, Value, json};
use symbl_protocol::{
    Encoding, ModifyRequest, RequestError, StartRequest, StreamFormat, StreamPlace, Tracker,
};

fn sent(request: &StartRequest) -> Value {
    serde_json::from_str(&request.to_json().unwrap()).unwrap()
}

fn refused(change: impl FnOnce(&mut StartRequest)) -> RequestError {
    let mut request = StartRequest::new(linear16());
    change(&mut request);
    request.to_json().unwrap_err()
}

#[test]
fn c9_encoding_and_rate_are_written_as_given() {
    for (encoding, name, rate) in [
        (Encoding::Linear16, "LINEAR16", 44_100),
        (Encoding::Flac, "FLAC", 48_000),
        (Encoding::Mulaw, "MULAW", 8_000),
        (Encoding::Opus, "Opus", 24_000),
    ] {
        let request = StartRequest::new(StreamFormat::new(encoding, rate).unwrap());
        assert_eq!(
            sent(&request)["config"]["speechRecognition"],
            json!({"encoding": name, "sampleRateHertz": rate})
        );
    }
}

#[test]
fn c9_only_rates_that_the_encoding_takes_make_a_format() {
    use Encoding::{Flac, Linear16, Mulaw, Opus};
    let taken = [
        (Linear16, 8_000),
        (Linear16, 22_050),
        (Linear16, 48_000),
        (Flac, 16_000),
        (Flac, 48_000),
        (Mulaw, 8_000),
        (Opus, 8_000),
        (Opus, 12_000),
        (Opus, 16_000),
        (Opus, 24_000),
        (Opus, 48_000),
    ];
    for (encoding, rate) in taken {
        let format = StreamFormat::new(encoding, rate).unwrap();
        assert_eq!((format.encoding(), format.sample_rate()), (encoding, rate));
    }
    let refused = [
        (Linear16, 7_999),
        (Linear16, 48_001),
        (Flac, 15_999),
        (Flac, 96_000),
        (Mulaw, 16_000),
        (Opus, 44_100),
        (Opus, 0),
    ];
    for (encoding, rate) in refused {
        let error = StreamFormat::new(encoding, rate).unwrap_err();
        assert_eq!(error.field, "config.speechRecognition.sampleRateHertz");
        assert_eq!(error.value, rate.to_string());
        assert!(error.allowed.contains("Hz"), "{error}");
    }
    let error = StreamFormat::new(Opus, 44_100).unwrap_err().to_string();
    assert_eq!(
        error,
        "config.speechRecognition.sampleRateHertz: 44100 is not allowed; \
         Opus takes 8000, 12000, 16000, 24000 or 48000 Hz"
    );
}

#[test]
fn c10_what_is_unset_is_left_out() {
    let request = StartRequest::new(linear16());
    assert_eq!(
        request.to_json().unwrap(),
        r#"{"type":"start_request","config":{"speechRecognition":{"encoding":"LINEAR16","sampleRateHertz":16000}}}"#
    );
    let emptied = StartRequest {
        meeting_title: Some(String::new()),
        language_code: Some(String::new()),
        speaker_user_id: Some(String::new()),
        speaker_name: Some(String::new()),
        ..StartRequest::new(linear16())
    };
    assert_eq!(emptied.to_json(), request.to_json());
}

#[test]
fn c10_no_null_is_ever_sent() {
    let text = full_request().to_json().unwrap();
    assert!(!text.contains("null"), "{text}");
    let mut request = StartRequest::new(linear16());
    request.language_code = Some("en-US".into());
    let Value::Object(extra) =
        json!({"config": {"languageCode": null}, "new": {"a": null, "b": 1}})
    else {
        unreachable!()
    };
    request.extra = extra;
    let message = sent(&request);
    assert_eq!(message["new"], json!({"b": 1}));
    assert_eq!(message["config"].get("languageCode"), None);
}

#[test]
fn c10_disconnect_on_stop_request_false_is_sent_without_a_timeout() {
    let mut request = StartRequest::new(linear16());
    request.disconnect_on_stop_request = Some(false);
    let message = sent(&request);
    assert_eq!(message["disconnectOnStopRequest"], json!(false));
    assert_eq!(message.get("disconnectOnStopRequestTimeout"), None);
}

#[test]
fn c10_timeouts_are_sent_as_numbers_zero_included() {
    let mut request = StartRequest::new(linear16());
    request.no_connection_timeout = Some(0);
    request.disconnect_on_stop_request_timeout = Some(1_800);
    let message = sent(&request);
    assert_eq!(message["noConnectionTimeout"], json!(0));
    assert_eq!(message["disconnectOnStopRequestTimeout"], json!(1800));
}

#[test]
fn c10_a_full_request_equals_the_fixture_byte_for_byte() {
    let fixture: Value = serde_json::from_str(&fixture("client_start_request_full.json")).unwrap();
    let text = full_request().to_json().unwrap();
    // The reference spells it `Opus`, and one SDK `OPUS`. Only the order of our own
    // members matters.
    let expected = fixture.to_string().replace("OPUS", "Opus");
    assert_eq!(text, expected);
}

#[test]
fn c10_trackers_stand_at_top_level_and_their_switches_in_config() {
    let mut request = StartRequest::new(linear16());
    request.trackers = Tracker::parse_list(r#"[{"name":"Pump","vocabulary":["leak"]}]"#).unwrap();
    let message = sent(&request);
    assert_eq!(
        message["trackers"],
        json!([{"name": "Pump", "vocabulary": ["leak"]}])
    );
    assert_eq!(message["config"].get("trackers"), None);
    request.interim_trackers = true;
    assert_eq!(
        sent(&request)["config"]["trackers"],
        json!({"interimResults": true})
    );
    request.interim_trackers = false;
    request.enable_all_trackers = true;
    assert_eq!(
        sent(&request)["config"]["trackers"],
        json!({"enableAllTrackers": true})
    );
}

#[test]
fn c10_extra_members_win_over_built_ones_and_leave_their_neighbours() {
    let mut request = StartRequest::new(linear16());
    request.language_code = Some("en-US".into());
    request.meeting_title = Some("T".into());
    let Value::Object(extra) = json!({
        "type": "start_request", "id": "x", "config": {"languageCode": "de-DE", "detectPhrases": true},
    }) else {
        unreachable!()
    };
    request.extra = extra;
    assert_eq!(
        sent(&request),
        json!({"type": "start_request", "id": "x", "config": {
            "meetingTitle": "T", "languageCode": "de-DE", "detectPhrases": true,
            "speechRecognition": {"encoding": "LINEAR16", "sampleRateHertz": 16000}}})
    );
}

#[test]
fn c10_extra_members_may_not_replace_the_type() {
    for kind in [json!("stop_request"), json!(null), json!(1)] {
        let error = refused(|request| {
            request.extra = Map::from_iter([("type".to_owned(), kind.clone())]);
        });
        assert_eq!((error.field, error.value), ("type", kind.to_string()));
    }
}

#[test]
fn c10_values_out_of_range_are_refused_with_field_value_and_range() {
    let threshold = "config.confidenceThreshold: 0.49 is not allowed; must be 0.5 to 1.0";
    let error = refused(|r| r.confidence_threshold = Some(0.49));
    assert_eq!(error.to_string(), threshold);
    for value in [1.01, f64::NAN, f64::INFINITY, -0.5] {
        let error = refused(|r| r.confidence_threshold = Some(value));
        assert_eq!(error.field, "config.confidenceThreshold");
    }
    let error = refused(|r| r.no_connection_timeout = Some(1_801));
    assert_eq!(
        error.to_string(),
        "noConnectionTimeout: 1801 is not allowed; must be 0 to 1800"
    );
    let error = refused(|r| r.disconnect_on_stop_request_timeout = Some(u32::MAX));
    assert_eq!(error.field, "disconnectOnStopRequestTimeout");
    for minutes in [-841, 841] {
        let error = refused(|r| r.timezone_offset = Some(minutes));
        assert_eq!(error.value, minutes.to_string());
        assert_eq!(error.allowed, "must be -840 to 840");
    }
}

#[test]
fn a_delay_of_finals_is_sent_if_it_is_in_its_range() {
    for seconds in [1.0, 2.5, 25.0] {
        let request = StartRequest {
            max_final_delay: Some(seconds),
            ..StartRequest::new(linear16())
        };
        let sent: Value = serde_json::from_str(&request.to_json().unwrap()).unwrap();
        assert_eq!(sent["config"]["maxFinalDelay"], json!(seconds));
    }
    for seconds in [0.9, 25.1, f64::NAN] {
        let error = refused(|r| r.max_final_delay = Some(seconds));
        assert_eq!(error.field, "config.maxFinalDelay");
    }
}

#[test]
fn progress_is_asked_for_only_if_it_is_wanted() {
    let mut request = StartRequest::new(linear16());
    assert_eq!(sent(&request)["config"].get("recognitionProgress"), None);
    request.recognition_progress = true;
    assert_eq!(sent(&request)["config"]["recognitionProgress"], json!(true));
}

#[test]
fn finals_only_are_asked_for_only_if_they_are_wanted() {
    let mut request = StartRequest::new(linear16());
    let asked = |request: &StartRequest| {
        let recognition = &sent(request)["config"]["speechRecognition"];
        recognition.get("interimResults").cloned()
    };
    assert_eq!(asked(&request), None);
    request.interim_results = false;
    assert_eq!(asked(&request), Some(json!(false)));
}

#[test]
fn c10_the_ends_of_the_ranges_are_taken() {
    for (threshold, minutes, seconds) in [(0.5, -840, 0), (1.0, 840, 1_800)] {
        let request = StartRequest {
            confidence_threshold: Some(threshold),
            timezone_offset: Some(minutes),
            no_connection_timeout: Some(seconds),
            disconnect_on_stop_request_timeout: Some(seconds),
            ..StartRequest::new(linear16())
        };
        assert_eq!(started(&request.to_json().unwrap()), request);
    }
}

#[test]
fn c10_empty_vocabulary_and_unusable_trackers_are_refused() {
    let error = refused(|r| r.custom_vocabulary = vec!["pump".into(), " ".into()]);
    assert_eq!(error.field, "customVocabulary");
    assert!(error.value.contains("index 1"), "{error}");
    let tracker = |name: &str, vocabulary: &[&str]| Tracker {
        name: name.into(),
        vocabulary: vocabulary.iter().map(|v| (*v).to_owned()).collect(),
    };
    for (bad, complaint) in [
        (tracker("", &["a"]), "without a name"),
        (tracker("A", &[]), "without a vocabulary"),
        (tracker("A", &["a", ""]), "an empty phrase"),
    ] {
        let error = refused(|r| r.trackers = vec![tracker("ok", &["ok"]), bad]);
        assert_eq!(error.field, "trackers");
        assert!(error.value.contains("entry 1"), "{error}");
        assert!(error.value.contains(complaint), "{error}");
    }
}

#[test]
fn a_list_of_trackers_is_read_from_json_or_refused_with_a_reason() {
    let list = r#"[{"name":"A","vocabulary":["x","y"],"id":"7"},{"name":"A","vocabulary":["z"]}]"#;
    let trackers = Tracker::parse_list(list).unwrap();
    assert_eq!(trackers.len(), 2);
    assert_eq!(trackers[0].vocabulary, ["x", "y"]);
    assert_eq!(Tracker::parse_list("[]").unwrap(), []);
    for bad in [
        "",
        "[",
        "{}",
        "null",
        r#"["x"]"#,
        r#"[{"name":"A"}]"#,
        r#"[{"vocabulary":["x"]}]"#,
        r#"[{"name":"A","vocabulary":"x"}]"#,
        r#"[{"name":"A","vocabulary":[1]}]"#,
        r#"[{"name":"A","vocabulary":[]}]"#,
        r#"[{"name":"A","vocabulary":[""]}]"#,
    ] {
        let error = Tracker::parse_list(bad).unwrap_err();
        assert_eq!(error.field, "trackers", "{bad}");
        assert!(
            error.allowed.contains("must be an array like"),
            "{bad}: {error}"
        );
    }
    let long = format!("[{}", "x".repeat(100_000));
    assert!(Tracker::parse_list(&long).unwrap_err().to_string().len() < 500);
}

#[test]
fn c27_a_modify_request_has_its_format_at_top_level() {
    let format = StreamFormat::new(Encoding::Linear16, 8_000).unwrap();
    let fixture: Value = serde_json::from_str(&fixture("client_modify_request_docs.json")).unwrap();
    assert_eq!(ModifyRequest { format }.to_json(), fixture.to_string());
}

#[test]
fn the_place_in_a_stream_is_written_at_top_level() {
    let mut request = StartRequest::new(linear16());
    let id = "0b3f8e0a-5f0e-4d5c-9f0f-6b7f1f0c2d3e".to_owned();
    request.stream = Some(StreamPlace {
        id: id.clone(),
        attempt: 2,
        position: 12_345_678_901_234_567,
    });
    assert_eq!(
        sent(&request)["x_stream"],
        json!({"id": id, "attempt": 2, "position": 12_345_678_901_234_567_u64})
    );
    request.stream = None;
    assert_eq!(sent(&request).get("x_stream"), None);
}

#[test]
fn a_place_in_a_stream_that_the_service_would_refuse_is_not_written() {
    let place = |id: &str, attempt, position| StreamPlace {
        id: id.to_owned(),
        attempt,
        position,
    };
    for (bad, field, allowed) in [
        (place("", 1, 0), "x_stream.id", "1 to 64"),
        (place(&"a".repeat(65), 1, 0), "x_stream.id", "1 to 64"),
        (place("a_b", 1, 0), "x_stream.id", "1 to 64"),
        (place("é", 1, 0), "x_stream.id", "1 to 64"),
        (place("a", 0, 0), "x_stream.attempt", "1 to"),
        (place("a", u64::MAX, 0), "x_stream.attempt", "1 to"),
        (place("a", 1, u64::MAX), "x_stream.position", "0 to"),
    ] {
        let error = refused(|request| request.stream = Some(bad.clone()));
        assert_eq!(error.field, field, "{bad:?}");
        assert!(error.allowed.contains(allowed), "{bad:?}: {error}");
    }
}
