// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::element::{CapsChangePolicy, InsightTypes, Leaky, PausePolicy, StallAction};
use serde_json::json;

fn format() -> StreamFormat {
    StreamFormat::new(Encoding::Mulaw, 8_000).unwrap()
}

fn sent(settings: &Settings) -> Value {
    let text = settings.start_request(format()).to_json().unwrap();
    serde_json::from_str(&text).unwrap()
}

fn refusal(change: impl FnOnce(&mut Settings)) -> String {
    let mut settings = Settings::default();
    change(&mut settings);
    let failure = settings.check().unwrap_err();
    assert_eq!(failure.reason, Reason::Settings);
    assert!(!failure.retryable);
    failure.message
}

#[test]
fn the_environment_gives_address_and_token_their_defaults() {
    let settings = Settings::from_environment(|name| match name {
        "SYMBL_BASE_URL" => Some(" https://symbl.example \n".into()),
        "SYMBL_ACCESS_TOKEN" => Some("token".into()),
        "SYMBL_APP_ID" => Some(" app\n".into()),
        "SYMBL_APP_SECRET" => Some("hush".into()),
        _ => None,
    });
    assert_eq!(settings.base_url, "https://symbl.example");
    assert_eq!(settings.token(), TokenSource::Value(Secret::new("token")));
    let without = Settings {
        environment_token: None,
        ..settings
    };
    assert_eq!(without.token(), app("app", "hush"));
}

#[test]
fn an_empty_environment_is_as_good_as_none() {
    let nothing = Settings::from_environment(|_| None);
    let empty = Settings::from_environment(|_| Some(" ".into()));
    assert_eq!(nothing, Settings::default());
    assert_eq!(empty, Settings::default());
}

fn app(id: &str, secret: &str) -> TokenSource {
    TokenSource::App(AppCredentials {
        id: id.into(),
        secret: Secret::new(secret),
    })
}

#[test]
fn what_was_set_precedes_the_environment_and_a_token_credentials() {
    let value = |token: &str| TokenSource::Value(Secret::new(token));
    let mut settings = Settings::default();
    assert_eq!(settings.token(), TokenSource::None);
    settings.environment_app_id = Some("environment".into());
    assert_eq!(settings.token(), TokenSource::None);
    settings.environment_app_secret = Some(Secret::new("hush"));
    assert_eq!(settings.token(), app("environment", "hush"));
    settings.environment_token = Some(Secret::new("environment"));
    assert_eq!(settings.token(), value("environment"));
    // A half that was set is completed by the environment.
    settings.app_id = Some("set".into());
    assert_eq!(settings.token(), app("set", "hush"));
    settings.app_secret = Some(Secret::new("hush hush"));
    assert_eq!(settings.token(), app("set", "hush hush"));
    settings.access_token_file = Some("/run/token".into());
    assert_eq!(settings.token(), TokenSource::File("/run/token".into()));
    settings.access_token = Some(Secret::new("set"));
    assert_eq!(settings.token(), value("set"));
}

#[test]
fn half_of_the_credentials_is_refused_where_nothing_else_is_given() {
    let id = |settings: &mut Settings| settings.app_id = Some("app".into());
    let secret = |settings: &mut Settings| settings.app_secret = Some(Secret::new("s3cr3t"));
    let message = refusal(id);
    assert!(message.starts_with("app-id is set"), "{message}");
    let message = refusal(secret);
    assert!(message.starts_with("app-secret is set"), "{message}");
    assert!(!message.contains("s3cr3t"));
    let mut settings = Settings::default();
    id(&mut settings);
    settings.access_token = Some(Secret::new("token"));
    assert_eq!(settings.check(), Ok(()));
    settings.access_token = None;
    settings.environment_app_secret = Some(Secret::new("s3cr3t"));
    assert_eq!(settings.check(), Ok(()));
}

#[test]
fn the_debug_output_has_no_secret() {
    let secret = Some(Secret::new("s3cr3t"));
    let mut settings = Settings {
        access_token: secret.clone(),
        environment_token: secret.clone(),
        app_id: Some("app".into()),
        app_secret: secret.clone(),
        environment_app_secret: secret,
        ..Settings::default()
    };
    for _ in 0..2 {
        let shown = format!("{settings:?} {:?}", settings.endpoint("id"));
        assert!(!shown.contains("s3cr3t"), "{shown}");
        settings.access_token = None;
    }
}

#[test]
fn defaults_make_this_start_request() {
    let expected = json!({
        "type": "start_request",
        "insightTypes": ["question", "action_item"],
        "config": {
            "confidenceThreshold": 0.5,
            "languageCode": "en-US",
            "speechRecognition": {"encoding": "MULAW", "sampleRateHertz": 8000},
        },
        "disconnectOnStopRequest": true,
        "disconnectOnStopRequestTimeout": 1800,
        "noConnectionTimeout": 300,
    });
    assert_eq!(sent(&Settings::default()), expected);
}

#[test]
fn every_setting_of_the_start_request_reaches_the_wire() {
    let trackers = r#"[{"name":"Price","vocabulary":["how much"]}]"#;
    let extra = r#"{"config":{"redaction":{"redactContent":true}},"x":1}"#;
    let settings = Settings {
        insight_types: InsightTypes::all(),
        custom_vocabulary: vec!["GStreamer".into()],
        trackers: Trackers::parse(Some(trackers.into())).unwrap(),
        enable_all_trackers: true,
        interim_trackers: true,
        detect_entities: true,
        sentiment: true,
        analytics: true,
        confidence_threshold: 0.75,
        meeting_title: Some("Standup".into()),
        language_code: "de-DE".into(),
        timezone_offset: -300,
        speaker_id: Some("u@example.com".into()),
        speaker_name: Some("U".into()),
        no_connection_timeout: 0,
        disconnect_on_stop_request: false,
        disconnect_on_stop_request_timeout: 5,
        start_request_extra: StartRequestExtra::parse(Some(extra.into())).unwrap(),
        ..Settings::default()
    };
    let expected = json!({
        "type": "start_request",
        "insightTypes": ["question", "action_item", "follow_up", "topic"],
        "customVocabulary": ["GStreamer"],
        "trackers": [{"name": "Price", "vocabulary": ["how much"]}],
        "config": {
            "meetingTitle": "Standup",
            "confidenceThreshold": 0.75,
            "timezoneOffset": -300,
            "languageCode": "de-DE",
            "sentiment": true,
            "analytics": true,
            "detectEntities": true,
            "speechRecognition": {"encoding": "MULAW", "sampleRateHertz": 8000},
            "trackers": {"interimResults": true, "enableAllTrackers": true},
            "redaction": {"redactContent": true},
        },
        "speaker": {"userId": "u@example.com", "name": "U"},
        "disconnectOnStopRequest": false,
        "disconnectOnStopRequestTimeout": 5,
        "noConnectionTimeout": 0,
        "x": 1,
    });
    assert_eq!(sent(&settings), expected);
}

#[test]
fn the_defaults_of_the_element_are_those_of_the_session() {
    let ours = Settings::default().session_config(7);
    let mut theirs = SessionConfig::new(ours.start.clone());
    theirs.seed = 7;
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

#[test]
fn every_setting_of_the_session_reaches_it_in_its_unit() {
    let settings = Settings {
        interim_results: false,
        chunk_duration: 11,
        alignment_threshold: 20,
        discont_wait: 21,
        buffer_duration: 1_200,
        leaky: Leaky::Oldest,
        catch_up_rate: 3.5,
        connect_timeout: 13,
        ping_interval: 1_400,
        pong_timeout: 1_500,
        reconnect_max_delay: 16,
        reconnect_timeout: 17,
        stall_timeout: 19,
        stall_action: StallAction::Reconnect,
        pause_policy: PausePolicy::Disconnect,
        caps_change_policy: CapsChangePolicy::Restart,
        drain_timeout: 18,
        admission_timeout: 20,
        history_recovery: true,
        ..Settings::default()
    };
    let config = settings.session_config(0);
    let ms = Duration::from_millis;
    assert!(!config.interim_results && config.history_recovery);
    assert_eq!(config.leaky, symbl_client::session::LeakyPolicy::Oldest);
    assert_eq!(
        config.stall_action,
        symbl_client::session::StallAction::Reconnect
    );
    assert_eq!(config.pause, symbl_client::session::PausePolicy::Disconnect);
    let restart = symbl_client::session::FormatChangePolicy::Restart;
    assert_eq!(config.format_change, restart);
    assert_eq!(config.catch_up_rate, 3.5);
    let durations = [
        (config.chunk_duration, ms(11)),
        (config.alignment_threshold, ms(20)),
        (config.discont_wait, ms(21)),
        (config.buffer_duration, ms(1_200)),
        (config.connect_timeout, ms(13)),
        (config.ping_interval, ms(1_400)),
        (config.pong_timeout, ms(1_500)),
        (config.reconnect_max_delay, ms(16)),
        (config.reconnect_timeout, ms(17)),
        (config.stall_timeout, ms(19)),
        (config.drain_timeout, ms(18)),
        (config.admission_timeout, ms(20)),
    ];
    for (found, expected) in durations {
        assert_eq!(found, expected);
    }
}

#[test]
fn the_endpoint_is_what_was_set() {
    let settings = Settings {
        base_url: "https://h".into(),
        streaming_path: "/v1/realtime/insights".into(),
        access_token: Some(Secret::new("t")),
        token_in_query: true,
        ca_file: Some("/etc/ca.pem".into()),
        tls_verify: false,
        connect_timeout: 13,
        ..Settings::default()
    };
    let endpoint = settings.endpoint("me");
    let url = endpoint.url().unwrap();
    assert_eq!(
        url.as_str(),
        "wss://h/v1/realtime/insights/me?access_token=t"
    );
    assert_eq!(endpoint.ca_file.as_deref(), Some("/etc/ca.pem".as_ref()));
    assert!(!endpoint.tls_verify);
    assert_eq!(endpoint.request_timeout, Duration::from_millis(13));
}

#[test]
fn defaults_can_start() {
    assert_eq!(Settings::default().check(), Ok(()));
}

#[test]
fn what_cannot_start_is_refused_with_name_value_and_advice() {
    let message = refusal(|s| s.base_url = "localhost:8787".into());
    assert!(message.contains("base-url \"localhost:8787\""), "{message}");
    assert!(message.contains("http://127.0.0.1:8787"), "{message}");

    let message = refusal(|s| s.streaming_path = "/v1?access_token=s3cr3t".into());
    assert!(
        message.contains("streaming-path") && message.contains("/v1/streaming"),
        "{message}"
    );
    assert!(!message.contains("s3cr3t"), "{message}");

    let message = refusal(|s| s.connection_id = Some("..".into()));
    assert!(message.contains("connection-id"), "{message}");

    let message = refusal(|s| s.access_token = Some(Secret::new("s3cr3t\nthing")));
    assert!(message.contains("access-token"), "{message}");
    assert!(!message.contains("s3cr3t"), "{message}");

    let message = refusal(|s| s.access_token_file = Some("/nonexistent/token".into()));
    assert!(
        message.contains("access-token-file /nonexistent/token"),
        "{message}"
    );

    let message = refusal(|s| s.ca_file = Some("/nonexistent/ca.pem".into()));
    assert!(message.contains("ca-file /nonexistent/ca.pem"), "{message}");

    let message = refusal(|s| {
        s.start_request_extra = StartRequestExtra::parse(Some(r#"{"type":"x"}"#.into())).unwrap();
    });
    assert!(message.contains("start_request"), "{message}");
}

#[test]
fn a_token_in_the_query_does_not_hinder_the_check() {
    let settings = Settings {
        token_in_query: true,
        access_token: Some(Secret::new("t")),
        ..Settings::default()
    };
    assert_eq!(settings.check(), Ok(()));
}

#[test]
fn the_ends_of_the_timezone_range_can_start() {
    for timezone_offset in [-TIMEZONE_MAX, 0, TIMEZONE_MAX, TIMEZONE_UNSET] {
        let settings = Settings {
            timezone_offset,
            ..Settings::default()
        };
        assert_eq!(settings.check(), Ok(()), "{timezone_offset}");
    }
}

#[test]
fn properties_of_the_text_pad_that_exclude_each_other_are_refused() {
    let commit = |settings: &mut Settings| settings.interim_text = InterimText::Commit;
    let message = refusal(|settings| {
        commit(settings);
        settings.interim_results = false;
    });
    assert!(message.contains("interim-results=true"), "{message}");
    let message = refusal(|settings| {
        commit(settings);
        settings.text_unit = TextUnit::Sentence;
    });
    assert!(message.contains("text-unit"), "{message}");
    let message = refusal(|settings| {
        settings.late_text = LateText::Keep;
        settings.text_unit = TextUnit::Cue;
    });
    assert!(message.contains("late-text"), "{message}");
    let mut settings = Settings::default();
    commit(&mut settings);
    settings.text_unit = TextUnit::Cue;
    assert_eq!(settings.check(), Ok(()));
}

#[test]
fn the_settings_of_a_text_track_are_those_of_the_properties() {
    let settings = Settings {
        latency: 3000,
        lateness: 500,
        text_unit: TextUnit::Cue,
        cue_columns: 32,
        cue_lines: 3,
        late_text: LateText::Drop,
        interim_text: InterimText::Commit,
        patience: 7000,
        ..Settings::default()
    };
    let expected = TrackConfig {
        latency: 3_000_000_000,
        lateness: 500_000_000,
        unit: track::TextUnit::Cue(Shape::new(32, 3)),
        late: track::LateText::Drop,
        commits_interims: true,
        patience: Duration::from_secs(7),
    };
    assert_eq!(settings.track_config(), expected);
    assert_eq!(Settings::default().track_config(), TrackConfig::default());
}
