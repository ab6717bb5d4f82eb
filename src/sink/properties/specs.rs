// SPDX-License-Identifier: MPL-2.0

//! The param specs.
//!
//! Defaults are those of [`Settings::default`] and nowhere else; a blurb ends
//! with unit, range and the states in which the property may change, made from
//! the same numbers as the param spec, so that the two cannot drift apart.
//!
//! Facts: GStreamer plugin writer's guide (property flags), `docs/properties.md`.

use crate::sink::State;
use crate::sink::settings::{Settings, TIMEZONE_MAX, TIMEZONE_UNSET};
use gst::glib;
use gst::prelude::*;

/// One hour, the longest of the durations in milliseconds.
const HOUR_MS: u32 = 3_600_000;
/// Fastest replay: beyond it no link and no service keeps up.
const CATCH_UP_MAX: f64 = 1000.0;

const NULL_READY: &str = "May change in NULL and READY.";
const ANY_STATE: &str = "May change in any state.";
const READ_ONLY: &str = "Read-only.";

/// All properties, in the order of `docs/properties.md`.
pub fn specs() -> Vec<glib::ParamSpec> {
    let d = Settings::default();
    vec![
        string(
            "base-url",
            "Base URL",
            "Address of the service, http or https; the environment variable \
            SYMBL_BASE_URL replaces the default.",
            Some(&d.base_url),
        ),
        string(
            "streaming-path",
            "Streaming path",
            "Path of the streaming endpoint at the service; \
            the connection id is appended.",
            Some(&d.streaming_path),
        ),
        secret(
            "access-token",
            "Access token",
            "Token sent to the service as X-API-KEY, used at the next dial; \
            can be written and not read. The environment variable SYMBL_ACCESS_TOKEN is used where none of this, \
            access-token-file, app-id and app-secret is set.",
        ),
        string(
            "access-token-file",
            "Access token file",
            "File that holds the token, read again at every dial.",
            None,
        ),
        string(
            "app-id",
            "App id",
            "Id of the application that the service generates tokens for, together with app-secret; \
            the environment variable SYMBL_APP_ID is used where it is not set.",
            None,
        ),
        secret(
            "app-secret",
            "App secret",
            "Secret of the application; can be written and not read. The environment variable \
            SYMBL_APP_SECRET is used where it is not set.",
        ),
        boolean(
            "token-in-query",
            "Token in query",
            "Send the token as access_token in the URL, \
            for a service that needs it there; proxies may log it.",
            d.token_in_query,
        ),
        string(
            "ca-file",
            "CA file",
            "PEM file with trusted roots, in addition to those of the platform.",
            None,
        ),
        boolean(
            "tls-verify",
            "Verify TLS",
            "Check the certificate of the service; \
            without it anybody on the way can read the audio and the token.",
            d.tls_verify,
        ),
        string(
            "proxy",
            "Proxy",
            "Proxy on the way to the service, http://host:port or http://user:password@host:port; \
            what is before the @ is not shown. The loopback and the hosts in the environment variable \
            NO_PROXY are reached without it. Where it is not set, the environment variable HTTPS_PROXY \
            is used for a service with https.",
            None,
        ),
        string(
            "connection-id",
            "Connection id",
            "Name of the connection; sinks with the same id are in the same \
            conversation. Unset, it is a new UUID at every change from READY to PAUSED.",
            None,
        ),
        live_string(
            "conversation-id",
            "Conversation id",
            "Id that the service gave to the conversation, once known.",
        ),
        insight_types(&d),
        custom_vocabulary(),
        string(
            "trackers",
            "Trackers",
            "JSON array of {\"name\": string, \"vocabulary\": [string]}: \
            phrases to be told about. What is not such JSON is refused.",
            None,
        ),
        boolean(
            "enable-all-trackers",
            "Enable all trackers",
            "Also look for all trackers of the account.",
            d.enable_all_trackers,
        ),
        boolean(
            "interim-trackers",
            "Interim trackers",
            "Also look for trackers in text that is not final yet.",
            d.interim_trackers,
        ),
        boolean(
            "detect-entities",
            "Detect entities",
            "Look for named entities.",
            d.detect_entities,
        ),
        boolean(
            "sentiment",
            "Sentiment",
            "Rate the sentiment of each message.",
            d.sentiment,
        ),
        double(
            "confidence-threshold",
            "Confidence threshold",
            "Least confidence of an insight to be told.",
            "Without unit",
            (0.5, 1.0),
            d.confidence_threshold,
        ),
        string(
            "meeting-title",
            "Meeting title",
            "Title of the conversation at the service.",
            None,
        ),
        string(
            "language-code",
            "Language code",
            "Language that is spoken, as a BCP 47 tag.",
            Some(&d.language_code),
        ),
        timezone_offset(&d),
        string_of_the_moment(
            "speaker-id",
            "Speaker id",
            "Id of who speaks in the audio that follows, often an e-mail address.",
        ),
        string_of_the_moment(
            "speaker-name",
            "Speaker name",
            "Name of who speaks in the audio that follows.",
        ),
        uint(
            "no-connection-timeout",
            "No-connection timeout",
            "How long the service keeps the conversation open \
            for a reconnect.",
            "In seconds",
            (0, 1800),
            d.no_connection_timeout,
        ),
        boolean(
            "disconnect-on-stop-request",
            "Disconnect on stop request",
            "Whether the service closes the \
            connection when the stream ends.",
            d.disconnect_on_stop_request,
        ),
        uint(
            "disconnect-on-stop-request-timeout",
            "Disconnect-on-stop-request timeout",
            "How long the service keeps \
            a stopped connection.",
            "In seconds",
            (0, 1800),
            d.disconnect_on_stop_request_timeout,
        ),
        string(
            "start-request-extra",
            "Start request extra",
            "JSON object merged into start_request, for members \
            that have no property. What is not a JSON object is refused.",
            None,
        ),
        boolean(
            "interim-results",
            "Interim results",
            "Post transcripts that are not final yet.",
            d.interim_results,
        ),
        millis(
            "chunk-duration",
            "Chunk duration",
            "Audio in one message to the service; \
            also cut at 8192 bytes.",
            (10, 1000),
            d.chunk_duration,
        ),
        millis(
            "alignment-threshold",
            "Alignment threshold",
            "How far timestamps may be off the count of samples, as in GstAudioBaseSink \
            (in milliseconds here, not in nanoseconds).",
            (1, HOUR_MS),
            d.alignment_threshold,
        ),
        millis(
            "discont-wait",
            "Discont wait",
            "How long timestamps have to stay further off until they count and not the samples, \
            as in GstAudioBaseSink; 0: at once.",
            (0, HOUR_MS),
            d.discont_wait,
        ),
        millis(
            "buffer-duration",
            "Buffer duration",
            "How much audio is kept for a service that is slow or away.",
            (100, HOUR_MS),
            d.buffer_duration,
        ),
        enumeration(
            "leaky",
            "Leaky",
            "What happens to new audio when the buffer is full.",
            d.leaky,
        ),
        double(
            "catch-up-rate",
            "Catch-up rate",
            "Fastest sending of audio that has waited or is sent again.",
            "In times real time",
            (1.0, CATCH_UP_MAX),
            d.catch_up_rate,
        ),
        millis(
            "connect-timeout",
            "Connect timeout",
            "Longest time from looking up the name of the service to its \
            start acknowledgement.",
            (1, HOUR_MS),
            d.connect_timeout,
        ),
        millis(
            "ping-interval",
            "Ping interval",
            "Time between two pings.",
            (100, HOUR_MS),
            d.ping_interval,
        ),
        millis(
            "pong-timeout",
            "Pong timeout",
            "Longest time without anything from the service after a ping.",
            (100, HOUR_MS),
            d.pong_timeout,
        ),
        millis(
            "reconnect-max-delay",
            "Reconnect max delay",
            "Longest wait between two dials; the waits double, \
            jittered, from at most 500 ms.",
            (1, HOUR_MS),
            d.reconnect_max_delay,
        ),
        uint(
            "reconnect-timeout",
            "Reconnect timeout",
            "Give up after this long without a session; 0 never does.",
            "In milliseconds",
            (0, u32::MAX),
            d.reconnect_timeout,
        ),
        millis(
            "stall-timeout",
            "Stall timeout",
            "How long speech (5 s of audible audio or more) may go without \
            any result; 0: for ever.",
            (0, HOUR_MS),
            d.stall_timeout,
        ),
        enumeration(
            "stall-action",
            "Stall action",
            "What to do then.",
            d.stall_action,
        ),
        millis(
            "drain-timeout",
            "Drain timeout",
            "At EOS, longest wait for the last results.",
            (0, HOUR_MS),
            d.drain_timeout,
        ),
        millis(
            "admission-timeout",
            "Admission timeout",
            "At EOS, how long a service that asked to come later is dialed for the first \
            session; drain-timeout at least.",
            (0, HOUR_MS),
            d.admission_timeout,
        ),
        enumeration(
            "pause-policy",
            "Pause policy",
            "What a pause of the pipeline means for the service.",
            d.pause_policy,
        ),
        enumeration(
            "caps-change-policy",
            "Caps change policy",
            "How the service is told of new caps.",
            d.caps_change_policy,
        ),
        boolean(
            "history-recovery",
            "History recovery",
            "After a reconnect, get the messages that were missed from the Conversation API.",
            d.history_recovery,
        ),
        enumeration(
            "on-fatal",
            "On fatal",
            "What a failure that no retry can help does to the pipeline.",
            d.on_fatal,
        ),
        glib::ParamSpecEnum::builder_with_default("state", State::default())
            .nick("State")
            .blurb(&format!(
                "Where the conversation with the service stands; notified. {READ_ONLY}"
            ))
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(&format!(
                "Counters since the element was started, kept after disconnect; \
                durations in nanoseconds. {READ_ONLY}"
            ))
            .read_only()
            .build(),
    ]
}

fn string(name: &str, nick: &str, meaning: &str, default: Option<&str>) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(&format!("{meaning} {NULL_READY}"))
        .default_value(default)
        .mutable_ready()
        .build()
}

fn string_of_the_moment(name: &str, nick: &str, meaning: &str) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(&format!("{meaning} {ANY_STATE}"))
        .mutable_playing()
        .build()
}

fn secret(name: &str, nick: &str, meaning: &str) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(&format!("{meaning} {ANY_STATE}"))
        .write_only()
        .mutable_playing()
        .build()
}

fn live_string(name: &str, nick: &str, meaning: &str) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(&format!("{meaning} Notified. {READ_ONLY}"))
        .read_only()
        .build()
}

fn boolean(name: &str, nick: &str, meaning: &str, default: bool) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name)
        .nick(nick)
        .blurb(&format!("{meaning} {NULL_READY}"))
        .default_value(default)
        .mutable_ready()
        .build()
}

fn uint(
    name: &str,
    nick: &str,
    meaning: &str,
    unit: &str,
    (min, max): (u32, u32),
    default: u32,
) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder(name)
        .nick(nick)
        .blurb(&format!("{meaning} {unit}, {min} to {max}. {NULL_READY}"))
        .minimum(min)
        .maximum(max)
        .default_value(default)
        .mutable_ready()
        .build()
}

fn millis(
    name: &str,
    nick: &str,
    meaning: &str,
    range: (u32, u32),
    default: u32,
) -> glib::ParamSpec {
    uint(name, nick, meaning, "In milliseconds", range, default)
}

fn double(
    name: &str,
    nick: &str,
    meaning: &str,
    unit: &str,
    (min, max): (f64, f64),
    default: f64,
) -> glib::ParamSpec {
    glib::ParamSpecDouble::builder(name)
        .nick(nick)
        .blurb(&format!(
            "{meaning} {unit}, {min:.1} to {max:.1}. {NULL_READY}"
        ))
        .minimum(min)
        .maximum(max)
        .default_value(default)
        .mutable_ready()
        .build()
}

fn enumeration<T>(name: &str, nick: &str, meaning: &str, default: T) -> glib::ParamSpec
where
    T: StaticType + glib::translate::FromGlib<i32> + glib::translate::IntoGlib<GlibType = i32>,
{
    glib::ParamSpecEnum::builder_with_default(name, default)
        .nick(nick)
        .blurb(&format!("{meaning} {NULL_READY}"))
        .mutable_ready()
        .build()
}

fn insight_types(d: &Settings) -> glib::ParamSpec {
    glib::ParamSpecFlags::builder("insight-types")
        .nick("Insight types")
        .blurb(&format!("Kinds of insights to ask for. {NULL_READY}"))
        .default_value(d.insight_types)
        .mutable_ready()
        .build()
}

fn custom_vocabulary() -> glib::ParamSpec {
    let phrase = glib::ParamSpecString::builder("phrase")
        .nick("Phrase")
        .blurb("A word or phrase, not empty.")
        .build();
    gst::ParamSpecArray::builder("custom-vocabulary")
        .nick("Custom vocabulary")
        .blurb(&format!(
            "Words and phrases that the recogniser should expect, none of them empty. {NULL_READY}"
        ))
        .element_spec(&phrase)
        .mutable_ready()
        .build()
}

fn timezone_offset(d: &Settings) -> glib::ParamSpec {
    glib::ParamSpecInt::builder("timezone-offset")
        .nick("Timezone offset")
        .blurb(&format!(
            "Offset of the local time from UTC. In minutes, -{TIMEZONE_MAX} to {TIMEZONE_MAX}; \
             {TIMEZONE_UNSET}: not sent. {NULL_READY}"
        ))
        .minimum(TIMEZONE_UNSET)
        .maximum(TIMEZONE_MAX)
        .default_value(d.timezone_offset)
        .mutable_ready()
        .build()
}
