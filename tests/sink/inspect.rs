// SPDX-License-Identifier: MPL-2.0

//! The output of `gst-inspect-1.0` for each element is the contract.
//!
//! After a wanted change, run `UPDATE_GOLDEN=1 cargo test --test sink inspect` and read the
//! difference.

use crate::common::plugin;
use gstsymbl::element::settings::Settings;
use std::collections::BTreeMap;
use std::path::Path;

fn printed() -> String {
    printed_of("symblsink")
}

fn printed_of(element: &str) -> String {
    let output = plugin::command("gst-inspect-1.0")
        .arg(element)
        .output()
        .expect("gst-inspect-1.0");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert_eq!(complaints, "");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Properties of the base classes, which differ between versions of GStreamer.
const INHERITED: [&str; 8] = [
    "blocksize",
    "last-sample",
    "max-bitrate",
    "name",
    "parent",
    "render-delay",
    "throttle-time",
    "ts-offset",
];

/// Returns the lines that depend on the element only, without version, path, date and
/// alignment.
fn stable(printed: &str) -> Vec<String> {
    let mut kept = Vec::new();
    let mut skipping = false;
    for line in printed.lines() {
        let indent = line.len() - line.trim_start().len();
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let about_the_build = [
            "Filename",
            "Version",
            "Source release date",
            "Documentation",
        ];
        if words.is_empty() || about_the_build.iter().any(|start| words.starts_with(start)) {
            continue;
        }
        if indent <= 2 {
            let name = words.split([' ', ':']).next().unwrap_or_default();
            skipping = INHERITED.contains(&name);
        }
        if !skipping {
            // Some versions print a space between a name and its colon.
            let words = words.replacen(" : ", ": ", 1);
            kept.push(format!("{}{words}", " ".repeat(indent.min(4))));
        }
    }
    kept
}

#[test]
fn the_elements_are_printed_as_in_the_contract() {
    for element in ["symblsink", "symbltranscriber"] {
        compare_with_golden(element);
    }
}

fn compare_with_golden(element: &str) {
    let golden = format!("tests/golden/{element}.txt");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(golden);
    let printed = stable(&printed_of(element));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, printed.join("\n") + "\n").expect("a writable file");
    }
    let expected = std::fs::read_to_string(&golden).expect("the golden file");
    let expected: Vec<&str> = expected.lines().collect();
    for (line, (printed, expected)) in printed.iter().zip(&expected).enumerate() {
        assert_eq!(printed, expected, "{element}, line {}", line + 1);
    }
    assert_eq!(printed.len(), expected.len());
}

/// The table of the contract: name, type and default as printed, unit and range.
const CONTRACT: [(&str, &str, &str); 58] = [
    ("base-url", "String", "\"http://127.0.0.1:8787\""),
    ("streaming-path", "String", "\"/v1/streaming\""),
    ("access-token", "String", "null"),
    ("access-token-file", "String", "null"),
    ("app-id", "String", "null"),
    ("app-secret", "String", "null"),
    ("token-in-query", "Boolean", "false"),
    ("ca-file", "String", "null"),
    ("tls-verify", "Boolean", "true"),
    ("proxy", "String", "null"),
    ("connection-id", "String", "null"),
    ("conversation-id", "String", "null"),
    ("insight-types", "Flags", "action-item+question"),
    ("custom-vocabulary", "GstValueArray", "\"< >\""),
    ("trackers", "String", "null"),
    ("enable-all-trackers", "Boolean", "false"),
    ("interim-trackers", "Boolean", "false"),
    ("detect-entities", "Boolean", "false"),
    ("sentiment", "Boolean", "false"),
    ("analytics", "Boolean", "false"),
    ("confidence-threshold", "Double 0.5 - 1", "0.5"),
    ("meeting-title", "String", "null"),
    ("language-code", "String", "\"en-US\""),
    ("timezone-offset", "Integer", "-2147483648"),
    ("speaker-id", "String", "null"),
    ("speaker-name", "String", "null"),
    ("no-connection-timeout", "Unsigned Integer 0 - 1800", "300"),
    ("disconnect-on-stop-request", "Boolean", "true"),
    (
        "disconnect-on-stop-request-timeout",
        "Unsigned Integer 0 - 1800",
        "1800",
    ),
    ("start-request-extra", "String", "null"),
    ("interim-results", "Boolean", "true"),
    ("chunk-duration", "Unsigned Integer 10 - 1000", "100"),
    ("alignment-threshold", "Unsigned Integer", "40"),
    ("discont-wait", "Unsigned Integer", "1000"),
    ("buffer-duration", "Unsigned Integer", "60000"),
    ("leaky", "Enum", "\"auto\""),
    ("catch-up-rate", "Double", "2"),
    ("connect-timeout", "Unsigned Integer", "10000"),
    ("ping-interval", "Unsigned Integer", "10000"),
    ("pong-timeout", "Unsigned Integer", "10000"),
    ("reconnect-max-delay", "Unsigned Integer", "30000"),
    ("reconnect-timeout", "Unsigned Integer", "0"),
    ("stall-timeout", "Unsigned Integer", "30000"),
    ("stall-action", "Enum", "\"report\""),
    ("drain-timeout", "Unsigned Integer", "10000"),
    ("admission-timeout", "Unsigned Integer", "300000"),
    ("pause-policy", "Enum", "\"keep\""),
    ("caps-change-policy", "Enum", "\"modify\""),
    ("history-recovery", "Boolean", "false"),
    ("on-fatal", "Enum", "\"error\""),
    ("state", "Enum", "\"idle\""),
    ("stats", "Boxed", ""),
    ("async", "Boolean", "false"),
    ("enable-last-sample", "Boolean", "false"),
    ("sync", "Boolean", "true"),
    ("qos", "Boolean", "false"),
    ("max-lateness", "Integer64", "-1"),
    ("processing-deadline", "Unsigned Integer64", "0"),
];

/// Returns the printed properties: the name, and all other text about it in one line.
fn properties(printed: &str) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::<String, String>::new();
    let mut name = String::new();
    let all = printed
        .split_once("Element Properties:")
        .expect("properties")
        .1;
    let all = all.split("Element Actions:").next().expect("a beginning");
    for line in all.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        if indent <= 2 {
            name = line.split(':').next().unwrap_or_default().trim().to_owned();
        }
        let said = properties.entry(name.clone()).or_default();
        said.push(' ');
        said.push_str(&line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    properties
}

fn default_of(said: &str) -> &str {
    let rest = said.split_once("Default: ").map_or("", |(_, rest)| rest);
    match rest.strip_prefix('"') {
        Some(quoted) => {
            let end = quoted.find('"').expect("a quote");
            &rest[..end + 2]
        }
        // Enumerations and flags have the number, then the nick.
        None if rest.contains(", \"") => {
            let nick = rest.split_once(", ").expect("a nick").1;
            let end = nick[1..].find('"').expect("a quote");
            &nick[..end + 2]
        }
        None => rest.split(' ').next().unwrap_or_default(),
    }
}

#[test]
fn every_default_printed_is_the_one_of_the_contract() {
    let properties = properties(&printed());
    for (name, kind, default) in CONTRACT {
        let said = properties.get(name).unwrap_or_else(|| panic!("no {name}"));
        let (type_, range) = match kind.find(|c: char| c.is_ascii_digit()) {
            Some(digit) if kind.contains(" - ") => kind.split_at(digit),
            _ => (kind, ""),
        };
        assert!(said.contains(type_.trim()), "{name}: {said}");
        assert!(said.contains(range), "{name}: {said}");
        let printed = default_of(said);
        if name == "insight-types" {
            let mut nicks: Vec<&str> = printed.trim_matches('"').split('+').collect();
            nicks.sort_unstable();
            assert_eq!(nicks.join("+"), default, "{name}: {said}");
        } else {
            assert_eq!(printed, default, "{name}: {said}");
        }
    }
    let known: Vec<&str> = CONTRACT.iter().map(|row| row.0).collect();
    let unknown: Vec<&String> = properties
        .keys()
        .filter(|name| !known.contains(&name.as_str()) && !INHERITED.contains(&name.as_str()))
        .collect();
    assert_eq!(
        unknown, [""; 0],
        "a property that the contract does not have"
    );
}

#[test]
fn every_default_printed_is_the_one_of_the_settings() {
    let properties = properties(&printed());
    let text = |value: &str| format!("\"{value}\"");
    let none = |value: &Option<String>| value.as_deref().map_or("null".to_owned(), text);
    // All fields are listed by name, so that a new field does not compile without a change here.
    let Settings {
        base_url,
        streaming_path,
        access_token,
        environment_token,
        access_token_file,
        app_id,
        environment_app_id,
        app_secret,
        environment_app_secret,
        token_in_query,
        ca_file,
        tls_verify,
        proxy,
        connection_id,
        insight_types,
        custom_vocabulary,
        trackers,
        enable_all_trackers,
        interim_trackers,
        detect_entities,
        sentiment,
        analytics,
        confidence_threshold,
        meeting_title,
        language_code,
        timezone_offset,
        speaker_id,
        speaker_name,
        no_connection_timeout,
        disconnect_on_stop_request,
        disconnect_on_stop_request_timeout,
        start_request_extra,
        interim_results,
        chunk_duration,
        alignment_threshold,
        discont_wait,
        buffer_duration,
        leaky,
        catch_up_rate,
        connect_timeout,
        ping_interval,
        pong_timeout,
        reconnect_max_delay,
        reconnect_timeout,
        stall_timeout,
        stall_action,
        pause_policy,
        caps_change_policy,
        drain_timeout,
        admission_timeout,
        history_recovery,
        on_fatal,
        // Of the text pad, which a sink has not.
        latency: _,
        lateness: _,
        text_unit: _,
        cue_columns: _,
        cue_lines: _,
        late_text: _,
        interim_text: _,
        patience: _,
        sample_rate: _,
    } = Settings::default();
    assert!(access_token.is_none() && environment_token.is_none());
    assert!(app_secret.is_none() && environment_app_secret.is_none());
    assert_eq!(environment_app_id, None);
    assert!(custom_vocabulary.is_empty());
    assert_eq!((trackers.text(), start_request_extra.text()), (None, None));
    let lower = |value: &dyn std::fmt::Debug| format!("\"{value:?}\"").to_lowercase();
    let expected = [
        ("base-url", text(&base_url)),
        ("streaming-path", text(&streaming_path)),
        ("access-token", "null".to_owned()),
        ("access-token-file", none(&access_token_file)),
        ("app-id", none(&app_id)),
        ("app-secret", "null".to_owned()),
        ("token-in-query", token_in_query.to_string()),
        ("ca-file", none(&ca_file)),
        ("tls-verify", tls_verify.to_string()),
        ("proxy", none(&proxy.shown())),
        ("connection-id", none(&connection_id)),
        ("custom-vocabulary", text("< >")),
        ("trackers", "null".to_owned()),
        ("enable-all-trackers", enable_all_trackers.to_string()),
        ("interim-trackers", interim_trackers.to_string()),
        ("detect-entities", detect_entities.to_string()),
        ("sentiment", sentiment.to_string()),
        ("analytics", analytics.to_string()),
        ("confidence-threshold", confidence_threshold.to_string()),
        ("meeting-title", none(&meeting_title)),
        ("language-code", text(&language_code)),
        ("timezone-offset", timezone_offset.to_string()),
        ("speaker-id", none(&speaker_id)),
        ("speaker-name", none(&speaker_name)),
        ("no-connection-timeout", no_connection_timeout.to_string()),
        (
            "disconnect-on-stop-request",
            disconnect_on_stop_request.to_string(),
        ),
        (
            "disconnect-on-stop-request-timeout",
            disconnect_on_stop_request_timeout.to_string(),
        ),
        ("start-request-extra", "null".to_owned()),
        ("interim-results", interim_results.to_string()),
        ("chunk-duration", chunk_duration.to_string()),
        ("alignment-threshold", alignment_threshold.to_string()),
        ("discont-wait", discont_wait.to_string()),
        ("buffer-duration", buffer_duration.to_string()),
        ("leaky", lower(&leaky)),
        ("catch-up-rate", catch_up_rate.to_string()),
        ("connect-timeout", connect_timeout.to_string()),
        ("ping-interval", ping_interval.to_string()),
        ("pong-timeout", pong_timeout.to_string()),
        ("reconnect-max-delay", reconnect_max_delay.to_string()),
        ("reconnect-timeout", reconnect_timeout.to_string()),
        ("stall-timeout", stall_timeout.to_string()),
        ("stall-action", lower(&stall_action)),
        ("pause-policy", lower(&pause_policy)),
        ("caps-change-policy", lower(&caps_change_policy)),
        ("drain-timeout", drain_timeout.to_string()),
        ("admission-timeout", admission_timeout.to_string()),
        ("history-recovery", history_recovery.to_string()),
        ("on-fatal", lower(&on_fatal)),
    ];
    for (name, default) in expected {
        assert_eq!(default_of(&properties[name]), default, "{name}");
    }
    let bits = format!("0x{:08x}", insight_types.bits());
    let said = &properties["insight-types"];
    assert!(said.contains(&bits), "{bits}: {said}");
}
