// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::element::settings::TIMEZONE_UNSET;
use crate::element::{
    CapsChangePolicy, InsightTypes, InterimText, LateText, Leaky, OnFatal, PausePolicy,
    StallAction, State, TextUnit,
};
use contract::{CONTRACT, Row};
use gst::glib::translate::IntoGlib;
use gst::prelude::*;
use symbl_client::transport::Secret;

mod contract;
mod documentation;

fn all() -> Vec<glib::ParamSpec> {
    gst::init().unwrap();
    text_specs()
}

fn spec(name: &str) -> glib::ParamSpec {
    all().into_iter().find(|s| s.name() == name).unwrap()
}

fn in_words(value: &glib::Value) -> String {
    match value.get::<Option<&str>>() {
        Ok(Some(text)) => format!("{text:?}"),
        Ok(None) => "NULL".into(),
        Err(_) if value.get::<Option<gst::Structure>>() == Ok(None) => "NULL".into(),
        Err(_) if value.type_().is_a(glib::Type::ENUM) => nick(value),
        Err(_) if value.type_().is_a(glib::Type::FLAGS) => nicks(value),
        Err(_) => value.serialize().unwrap().into(),
    }
}

fn nick(value: &glib::Value) -> String {
    let (_, value) = glib::EnumValue::from_value(value).unwrap();
    value.nick().into()
}

fn nicks(value: &glib::Value) -> String {
    let (_, values) = glib::FlagsValue::from_value(value).unwrap();
    let nicks: Vec<&str> = values.iter().map(|value| value.nick()).collect();
    nicks.join("+")
}

fn range(spec: &glib::ParamSpec) -> Option<String> {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        Some(format!("{} to {}", spec.minimum(), spec.maximum()))
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
        Some(format!("{} to {}", spec.minimum(), spec.maximum()))
    } else {
        let spec = spec.downcast_ref::<glib::ParamSpecDouble>()?;
        Some(format!("{:.1} to {:.1}", spec.minimum(), spec.maximum()))
    }
}

fn settable(spec: &glib::ParamSpec) -> bool {
    spec.flags().contains(glib::ParamFlags::WRITABLE)
}

/// Returns a value that is not the default.
fn another(spec: &glib::ParamSpec) -> glib::Value {
    let default = spec.default_value();
    match spec.name() {
        "insight-types" => InsightTypes::TOPIC.to_value(),
        "custom-vocabulary" => gst::Array::new(["one", "two words"]).to_value(),
        "leaky" => Leaky::Oldest.to_value(),
        "on-fatal" => OnFatal::Warning.to_value(),
        "stall-action" => StallAction::Reconnect.to_value(),
        "pause-policy" => PausePolicy::StopProcessing.to_value(),
        "caps-change-policy" => CapsChangePolicy::Reconnect.to_value(),
        "text-unit" => TextUnit::Cue.to_value(),
        "late-text" => LateText::Drop.to_value(),
        "interim-text" => InterimText::Commit.to_value(),
        "sample-rate" => 16_000u32.to_value(),
        "trackers" => r#"[{"name":"n","vocabulary":["v"]}]"#.to_value(),
        "start-request-extra" => r#"{"a":[1]}"#.to_value(),
        "timezone-offset" => 60i32.to_value(),
        "proxy" => "http://another:3128".to_value(),
        _ if spec.value_type() == bool::static_type() => {
            (!default.get::<bool>().unwrap()).to_value()
        }
        _ if spec.value_type() == u32::static_type() => {
            (default.get::<u32>().unwrap() + 1).to_value()
        }
        _ if spec.value_type() == f64::static_type() => {
            (default.get::<f64>().unwrap() + 0.25).to_value()
        }
        name => format!("another {name}").to_value(),
    }
}

#[test]
fn properties_are_those_of_the_contract_in_type_default_range_and_use() {
    let all = all();
    let found: Vec<&str> = all.iter().map(|s| s.name()).collect();
    assert_eq!(found, CONTRACT.map(|row| row.0));
    for (spec, Row(name, type_, default, how)) in all.iter().zip(CONTRACT) {
        assert_eq!(spec.value_type().name(), type_, "{name}");
        assert_eq!(in_words(spec.default_value()), default, "{name}");
        let flags = spec.flags();
        let mut found = range(spec).unwrap_or_default();
        match (
            flags.contains(glib::ParamFlags::READABLE),
            flags.contains(glib::ParamFlags::WRITABLE),
        ) {
            (true, false) => found += "read-only",
            (false, true) => found += "write-only",
            both => assert_eq!(both, (true, true), "{name}"),
        }
        if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
            found += ", playing";
        } else {
            assert_eq!(
                flags.contains(gst::PARAM_FLAG_MUTABLE_READY),
                settable(spec),
                "{name}"
            );
        }
        assert_eq!(found, how, "{name}");
    }
}

#[test]
fn every_default_is_the_one_of_the_settings() {
    let settings = Settings::default();
    for spec in all() {
        let ours = get(&settings, &spec);
        assert_eq!(
            in_words(&ours),
            in_words(spec.default_value()),
            "{}",
            spec.name()
        );
        assert_eq!(ours.type_(), spec.value_type(), "{}", spec.name());
    }
}

#[test]
fn a_value_that_is_set_can_be_read_back_and_changes_no_other() {
    let all = all();
    for spec in all.iter().filter(|spec| settable(spec)) {
        let mut settings = Settings::default();
        let value = another(spec);
        set(&mut settings, &value, spec).unwrap();
        assert_ne!(settings, Settings::default(), "{}", spec.name());
        for other in &all {
            let expected = match other.name() {
                "access-token" | "app-secret" => other.default_value(),
                name if name == spec.name() => &value,
                _ => other.default_value(),
            };
            let found = get(&settings, other);
            assert_eq!(
                in_words(&found),
                in_words(expected),
                "{} after {}",
                other.name(),
                spec.name()
            );
        }
        set(&mut settings, spec.default_value(), spec).unwrap();
        assert_eq!(settings, Settings::default(), "{}", spec.name());
    }
}

#[test]
fn a_secret_cannot_be_read_back() {
    for name in ["access-token", "app-secret"] {
        let spec = spec(name);
        let mut settings = Settings::default();
        set(&mut settings, &"s3cr3t".to_value(), &spec).unwrap();
        let secrets = [&settings.access_token, &settings.app_secret];
        let kept: Vec<&str> = secrets.into_iter().flatten().map(Secret::expose).collect();
        assert_eq!(kept, ["s3cr3t"], "{name}");
        assert_eq!(in_words(&get(&settings, &spec)), "NULL", "{name}");
    }
}

#[test]
fn user_name_and_password_of_a_proxy_cannot_be_read_back() {
    let spec = spec("proxy");
    let mut settings = Settings::default();
    let value = "http://user:s3cr3t@proxy:3128".to_value();
    set(&mut settings, &value, &spec).unwrap();
    let kept = settings.proxy.address.as_ref().map(Secret::expose);
    assert_eq!(kept, Some("http://user:s3cr3t@proxy:3128"));
    let shown: String = get(&settings, &spec).get().unwrap();
    assert_eq!(shown, "http://***@proxy:3128");
}

#[test]
fn an_empty_string_unsets_a_property() {
    for name in [
        "access-token",
        "connection-id",
        "trackers",
        "start-request-extra",
        "base-url",
        "language-code",
    ] {
        let spec = spec(name);
        let mut settings = Settings::default();
        set(&mut settings, &another(&spec), &spec).unwrap();
        set(&mut settings, &"".to_value(), &spec).unwrap();
        assert_eq!(settings, Settings::default(), "{name}");
    }
}

#[test]
fn invalid_json_is_refused_with_a_reason_and_the_old_value_stays() {
    let cases = [
        ("trackers", "[{", "not JSON"),
        ("trackers", "{}", "must be an array"),
        (
            "trackers",
            r#"[{"vocabulary":["v"]}]"#,
            "must be an array like",
        ),
        (
            "trackers",
            r#"[{"name":"n","vocabulary":[]}]"#,
            "without a vocabulary",
        ),
        ("start-request-extra", "{", "not JSON"),
        ("start-request-extra", "[]", "not an object"),
    ];
    for (name, text, said) in cases {
        let spec = spec(name);
        let mut settings = Settings::default();
        set(&mut settings, &another(&spec), &spec).unwrap();
        let before = settings.clone();
        let reason = set(&mut settings, &text.to_value(), &spec).unwrap_err();
        assert!(reason.contains(said), "{name}={text}: {reason}");
        assert_eq!(settings, before, "{name}={text}");
    }
}

#[test]
fn a_timezone_that_no_place_has_is_refused() {
    let spec = spec("timezone-offset");
    let mut settings = Settings::default();
    let reason = set(&mut settings, &(-841i32).to_value(), &spec).unwrap_err();
    assert_eq!(reason, "-841 minutes; allowed are -840 to 840");
    for minutes in [-840, 840, TIMEZONE_UNSET] {
        set(&mut settings, &minutes.to_value(), &spec).unwrap();
        assert_eq!(settings.timezone_offset, minutes);
    }
}

#[test]
fn the_vocabulary_is_written_as_gst_launch_writes_arrays() {
    let spec = spec("custom-vocabulary");
    let value =
        glib::Value::deserialize(r#"<"Symbl", "two words">"#, gst::Array::static_type()).unwrap();
    let mut settings = Settings::default();
    set(&mut settings, &value, &spec).unwrap();
    assert_eq!(settings.custom_vocabulary, ["Symbl", "two words"]);

    let value = gst::Array::new(["Symbl", ""]).to_value();
    let reason = set(&mut settings, &value, &spec).unwrap_err();
    assert_eq!(reason, "entry 1 is empty; leave it out");
    assert_eq!(settings.custom_vocabulary, ["Symbl", "two words"]);
}

#[test]
fn insight_types_are_written_as_flags() {
    let value = glib::Value::deserialize("follow-up+topic", InsightTypes::static_type()).unwrap();
    let mut settings = Settings::default();
    set(&mut settings, &value, &spec("insight-types")).unwrap();
    assert_eq!(
        settings.insight_types,
        InsightTypes::FOLLOW_UP | InsightTypes::TOPIC
    );
}

#[test]
fn a_blurb_is_a_sentence_that_ends_with_range_and_state() {
    for spec in all() {
        let (name, blurb) = (spec.name(), spec.blurb().unwrap());
        assert!(
            blurb.starts_with(char::is_uppercase) && !blurb.contains("  "),
            "{name}: {blurb}"
        );
        let state = match (
            settable(&spec),
            spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING),
        ) {
            (false, _) => "Read-only.",
            (true, true) => "May change in any state.",
            (true, false) => "May change in NULL and READY.",
        };
        assert!(blurb.ends_with(state), "{name}: {blurb}");
        match range(&spec) {
            Some(_) if name == "timezone-offset" => {
                assert!(blurb.contains("In minutes, -840 to 840"))
            }
            Some(range) => assert!(blurb.contains(&range), "{name}: {blurb}"),
            None => {}
        }
        let units = [
            "In milliseconds, ",
            "In seconds, ",
            "In minutes, ",
            "In times real time, ",
            "In characters, ",
            "In lines, ",
            "In hertz, ",
            "Without unit, ",
        ];
        let has_unit = units.iter().any(|unit| blurb.contains(unit));
        assert_eq!(has_unit, range(&spec).is_some(), "{name}: {blurb}");
    }
}

#[test]
fn only_secrets_and_speakers_may_change_while_audio_flows() {
    for spec in all().iter().filter(|spec| settable(spec)) {
        let live = ["access-token", "app-secret", "speaker-id", "speaker-name"];
        let is_live = live.contains(&spec.name());
        for (state, expected) in [
            (gst::State::Null, true),
            (gst::State::Ready, true),
            (gst::State::Paused, is_live),
            (gst::State::Playing, is_live),
        ] {
            assert_eq!(
                may_change(spec, state),
                expected,
                "{} in {state:?}",
                spec.name()
            );
        }
    }
}

#[test]
fn a_property_that_cannot_be_set_says_so() {
    let mut settings = Settings::default();
    let reason = set(&mut settings, &State::Failed.to_value(), &spec("state")).unwrap_err();
    assert_eq!(reason, "it cannot be set");
}

#[test]
fn enumerations_have_the_nicks_of_the_contract() {
    gst::init().unwrap();
    let nicks = |type_: glib::Type| -> Vec<String> {
        let class = glib::EnumClass::with_type(type_).unwrap();
        class
            .values()
            .iter()
            .map(|value| value.nick().to_string())
            .collect()
    };
    assert_eq!(nicks(Leaky::static_type()), ["auto", "none", "oldest"]);
    assert_eq!(nicks(OnFatal::static_type()), ["error", "warning"]);
    assert_eq!(nicks(StallAction::static_type()), ["report", "reconnect"]);
    let nicks_of_pauses = nicks(PausePolicy::static_type());
    assert_eq!(nicks_of_pauses, ["keep", "stop-processing", "disconnect"]);
    let nicks_of_changes = nicks(CapsChangePolicy::static_type());
    assert_eq!(nicks_of_changes, ["modify", "restart", "reconnect"]);
    let states = nicks(State::static_type());
    let contract = "idle connecting starting listening reconnecting stopping drained failed";
    assert_eq!(states.join(" "), contract);
    let class = glib::FlagsClass::with_type(InsightTypes::static_type()).unwrap();
    let flags: Vec<&str> = class.values().iter().map(|value| value.nick()).collect();
    assert_eq!(flags, ["action-item", "question", "follow-up", "topic"]);
}

#[test]
fn the_word_for_a_state_is_its_nick() {
    gst::init().unwrap();
    let class = glib::EnumClass::with_type(State::static_type()).unwrap();
    use symbl_client::session::State as Session;
    for state in [
        Session::Idle,
        Session::Connecting,
        Session::Starting,
        Session::Listening,
        Session::Reconnecting,
        Session::Stopping,
        Session::Drained,
        Session::Failed,
    ] {
        let ours = State::from(state);
        let value = class.value(ours.into_glib()).unwrap();
        assert_eq!(value.nick(), ours.as_str());
        assert_eq!(format!("{state:?}").to_lowercase(), ours.as_str());
    }
}
