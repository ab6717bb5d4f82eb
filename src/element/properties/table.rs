// SPDX-License-Identifier: MPL-2.0

//! The table of the properties, in the order of `docs/properties.md`. No other place
//! describes a property. [`Settings`] is made from the table.
//!
//! A row that begins with `pub` is a value that the application sets. It has the field that
//! keeps the value, its type and default; then the name, the nick, the kind with its range,
//! the states in which the property may change and what follows from a change, and the
//! meaning. A row that begins with `live` is a value that only the element knows.

use super::kinds::*;
use super::{ANY_STATE, Property, READ_ONLY, READY, TEXT};
use crate::element::life::Life;
use crate::element::settings::{StartRequestExtra, TIMEZONE_UNSET, Trackers};
use crate::element::{
    CapsChangePolicy, InsightTypes, InterimText, LateText, Leaky, OnFatal, PausePolicy,
    StallAction, State, TextUnit,
};
use std::sync::LazyLock;
use symbl_client::transport::{Proxy, Secret};

/// Highest catch-up rate. No connection and no service keeps up with a higher one.
const CATCH_UP_MAX: f64 = 1000.0;
/// One hour, the longest of the durations in milliseconds.
const HOUR_MS: u32 = 3_600_000;
/// The longest delay of text, in milliseconds. No broadcaster waits longer.
const MINUTE_MS: u32 = 60_000;

/// Makes [`Settings`] and [`TABLE`] from one row per property.
macro_rules! properties {
    (
        $($(#[$beside_doc:meta])* beside $beside:ident: $beside_type:ty;)*
        $(
            $(pub $field:ident: $type:ty = $default:expr,)?
            $(live $live:ty = $none:expr,)?
            $name:literal, $nick:literal, $kind:expr, $use_:expr, $meaning:literal;
        )*
    ) => {
        /// The values that the application set. Durations are in the unit of the property.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($(
                #[doc = concat!("Value of `", $name, "`.")]
                pub $field: $type,
            )?)*
            $($(#[$beside_doc])* pub $beside: $beside_type,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    $($($field: $default,)?)*
                    $($beside: Default::default(),)*
                }
            }
        }

        /// All properties.
        pub(super) static TABLE: LazyLock<Vec<Property>> = LazyLock::new(rows);

        /// Makes the rows. Each class needs param specs of its own.
        pub(super) fn rows() -> Vec<Property> {
            vec![$({
                let about = About {
                    name: $name,
                    nick: $nick,
                    meaning: $meaning,
                    changes: $use_.changes,
                };
                $({
                    let kind: Kind<$type> = $kind;
                    Property::setting(about, kind, $use_, $default, |s| &s.$field, |s| &mut s.$field)
                })?
                $({
                    let kind: Kind<$live> = $kind;
                    Property::live(about, kind, $use_, $none)
                })?
            }),*]
        }
    };
}

properties! {
    /// Token from the environment, used if no property sets a token.
    beside environment_token: Option<Secret>;
    /// App id from the environment, used if `app-id` is not set.
    beside environment_app_id: Option<String>;
    /// App secret from the environment, used if `app-secret` is not set.
    beside environment_app_secret: Option<Secret>;

    pub base_url: String = "http://127.0.0.1:8787".into(),
        "base-url", "Base URL", string(), READY,
        "Address of the service, http or https; the environment variable SYMBL_BASE_URL replaces \
         the default.";
    pub streaming_path: String = "/v1/streaming".into(),
        "streaming-path", "Streaming path", string(), READY,
        "Path of the streaming endpoint at the service; the connection id is appended.";
    pub access_token: Option<Secret> = None,
        "access-token", "Access token", secret(), ANY_STATE.then(Life::hand_on_token),
        "Token sent to the service as X-API-KEY, used at the next dial; can be written and not \
         read. The environment variable SYMBL_ACCESS_TOKEN is used where none of this, \
         access-token-file, app-id and app-secret is set.";
    pub access_token_file: Option<String> = None,
        "access-token-file", "Access token file", optional_string(), READY.then(Life::hand_on_token),
        "File that holds the token, read again at every dial.";
    pub app_id: Option<String> = None,
        "app-id", "App id", optional_string(), READY.then(Life::hand_on_token),
        "Id of the application that the service generates tokens for, together with app-secret; \
         the environment variable SYMBL_APP_ID is used where it is not set.";
    pub app_secret: Option<Secret> = None,
        "app-secret", "App secret", secret(), ANY_STATE.then(Life::hand_on_token),
        "Secret of the application; can be written and not read. The environment variable \
         SYMBL_APP_SECRET is used where it is not set.";
    pub token_in_query: bool = false,
        "token-in-query", "Token in query", switch(), READY,
        "Send the token as access_token in the URL, for a service that needs it there; proxies \
         may log it.";
    pub ca_file: Option<String> = None,
        "ca-file", "CA file", optional_string(), READY,
        "PEM file with trusted roots, in addition to those of the platform.";
    pub tls_verify: bool = true,
        "tls-verify", "Verify TLS", switch(), READY,
        "Check the certificate of the service; without it anybody on the way can read the audio \
         and the token.";
    pub proxy: Proxy = Proxy::default(),
        "proxy", "Proxy", proxy(), READY,
        "Proxy on the way to the service, http://host:port or http://user:password@host:port; \
         what is before the @ is not shown. The loopback and the hosts in the environment \
         variable NO_PROXY are reached without it. Where it is not set, the environment variable \
         HTTPS_PROXY is used for a service with https.";
    pub connection_id: Option<String> = None,
        "connection-id", "Connection id", optional_string(),
        READY.then(Life::forget_connection_id).shows(Life::connection_id_in_use),
        "Name of the connection; sinks with the same id are in the same conversation. Unset, it \
         is a new UUID at every change from READY to PAUSED.";
    live Option<String> = None,
        "conversation-id", "Conversation id", optional_string(), READ_ONLY.shows(Life::conversation_id),
        "Id that the service gave to the conversation, once known. Notified.";
    pub insight_types: InsightTypes = InsightTypes::ACTION_ITEM | InsightTypes::QUESTION,
        "insight-types", "Insight types", insight_types(), READY,
        "Kinds of insights to ask for.";
    pub custom_vocabulary: Vec<String> = Vec::new(),
        "custom-vocabulary", "Custom vocabulary", phrases(), READY,
        "Words and phrases that the recogniser should expect, none of them empty.";
    pub trackers: Trackers = Trackers::default(),
        "trackers", "Trackers", trackers(), READY,
        "JSON array of {\"name\": string, \"vocabulary\": [string]}: phrases to be told about. \
         What is not such JSON is refused.";
    pub enable_all_trackers: bool = false,
        "enable-all-trackers", "Enable all trackers", switch(), READY,
        "Also look for all trackers of the account.";
    pub interim_trackers: bool = false,
        "interim-trackers", "Interim trackers", switch(), READY,
        "Also look for trackers in text that is not final yet.";
    pub detect_entities: bool = false,
        "detect-entities", "Detect entities", switch(), READY,
        "Look for named entities.";
    pub sentiment: bool = false,
        "sentiment", "Sentiment", switch(), READY,
        "Rate the sentiment of each message.";
    pub analytics: bool = false,
        "analytics", "Analytics", switch(), READY,
        "Count how long each speaker talks. Only symbl-service does.";
    pub confidence_threshold: f64 = 0.5,
        "confidence-threshold", "Confidence threshold", number("Without unit", 0.5, 1.0), READY,
        "Least confidence of an insight to be told.";
    pub meeting_title: Option<String> = None,
        "meeting-title", "Meeting title", optional_string(), READY,
        "Title of the conversation at the service.";
    pub language_code: String = "en-US".into(),
        "language-code", "Language code", string(), READY,
        "Language that is spoken, as a BCP 47 tag.";
    pub timezone_offset: i32 = TIMEZONE_UNSET,
        "timezone-offset", "Timezone offset", offset_from_utc(), READY,
        "Offset of the local time from UTC.";
    pub speaker_id: Option<String> = None,
        "speaker-id", "Speaker id", optional_string(), ANY_STATE.then(Life::hand_on_speaker),
        "Id of who speaks in the audio that follows, often an e-mail address.";
    pub speaker_name: Option<String> = None,
        "speaker-name", "Speaker name", optional_string(), ANY_STATE.then(Life::hand_on_speaker),
        "Name of who speaks in the audio that follows.";
    pub no_connection_timeout: u32 = 300,
        "no-connection-timeout", "No-connection timeout", seconds(0, 1800), READY,
        "How long the service keeps the conversation open for a reconnect.";
    pub disconnect_on_stop_request: bool = true,
        "disconnect-on-stop-request", "Disconnect on stop request", switch(), READY,
        "Whether the service closes the connection when the stream ends.";
    pub disconnect_on_stop_request_timeout: u32 = 1800,
        "disconnect-on-stop-request-timeout", "Disconnect-on-stop-request timeout",
        seconds(0, 1800), READY,
        "How long the service keeps a stopped connection.";
    pub start_request_extra: StartRequestExtra = StartRequestExtra::default(),
        "start-request-extra", "Start request extra", start_request_extra(), READY,
        "JSON object merged into start_request, for members that have no property. What is not a \
         JSON object is refused.";
    pub interim_results: bool = true,
        "interim-results", "Interim results", switch(), READY,
        "Post transcripts that are not final yet. If this and interim-trackers are off, \
         symbl-service is asked for finals only, which takes less of its processor; then other \
         listeners have none either.";
    pub chunk_duration: u32 = 100,
        "chunk-duration", "Chunk duration", millis(10, 1000), READY,
        "Audio in one message to the service; also cut at 8192 bytes.";
    pub alignment_threshold: u32 = 40,
        "alignment-threshold", "Alignment threshold", millis(1, HOUR_MS), READY,
        "How far timestamps may be off the count of samples, as in GstAudioBaseSink (in \
         milliseconds here, not in nanoseconds).";
    pub discont_wait: u32 = 1000,
        "discont-wait", "Discont wait", millis(0, HOUR_MS), READY,
        "How long timestamps have to stay further off until they count and not the samples, as in \
         GstAudioBaseSink; 0: at once.";
    pub buffer_duration: u32 = 60_000,
        "buffer-duration", "Buffer duration", millis(100, HOUR_MS), READY,
        "How much audio is kept for a service that is slow or away.";
    pub leaky: Leaky = Leaky::Auto,
        "leaky", "Leaky", choice(), READY,
        "What happens to new audio when the buffer is full.";
    pub catch_up_rate: f64 = 2.0,
        "catch-up-rate", "Catch-up rate", number("In times real time", 1.0, CATCH_UP_MAX), READY,
        "Fastest sending of audio that has waited or is sent again.";
    pub connect_timeout: u32 = 10_000,
        "connect-timeout", "Connect timeout", millis(1, HOUR_MS), READY,
        "Longest time from looking up the name of the service to its start acknowledgement.";
    pub ping_interval: u32 = 10_000,
        "ping-interval", "Ping interval", millis(100, HOUR_MS), READY,
        "Time between two pings.";
    pub pong_timeout: u32 = 10_000,
        "pong-timeout", "Pong timeout", millis(100, HOUR_MS), READY,
        "Longest time without anything from the service after a ping.";
    pub reconnect_max_delay: u32 = 30_000,
        "reconnect-max-delay", "Reconnect max delay", millis(1, HOUR_MS), READY,
        "Longest wait between two dials; the waits double, jittered, from at most 500 ms.";
    pub reconnect_timeout: u32 = 0,
        "reconnect-timeout", "Reconnect timeout", millis(0, u32::MAX), READY,
        "Give up after this long without a session; 0 never does.";
    pub stall_timeout: u32 = 30_000,
        "stall-timeout", "Stall timeout", millis(0, HOUR_MS), READY,
        "How long speech (5 s of audible audio or more; 30 s where symbl-service is asked for finals \
         only) may go without any result; 0: for ever.";
    pub stall_action: StallAction = StallAction::Report,
        "stall-action", "Stall action", choice(), READY,
        "What to do then.";
    pub drain_timeout: u32 = 10_000,
        "drain-timeout", "Drain timeout", millis(0, HOUR_MS), READY,
        "At EOS, longest wait for the last results.";
    pub admission_timeout: u32 = 300_000,
        "admission-timeout", "Admission timeout", millis(0, HOUR_MS), READY,
        "At EOS, how long a service that asked to come later is dialed for the first session; \
         drain-timeout at least.";
    pub pause_policy: PausePolicy = PausePolicy::Keep,
        "pause-policy", "Pause policy", choice(), READY,
        "What a pause of the pipeline means for the service.";
    pub caps_change_policy: CapsChangePolicy = CapsChangePolicy::Modify,
        "caps-change-policy", "Caps change policy", choice(), READY,
        "How the service is told of new caps.";
    pub history_recovery: bool = false,
        "history-recovery", "History recovery", switch(), READY,
        "After a reconnect, get the messages that were missed from the Conversation API.";
    pub on_fatal: OnFatal = OnFatal::Error,
        "on-fatal", "On fatal", choice(), READY,
        "What a failure that no retry can help does to the pipeline.";
    live State = State::default(),
        "state", "State", choice(), READ_ONLY.shows(Life::state),
        "Where the conversation with the service stands; notified.";
    live Option<gst::Structure> = None,
        "stats", "Statistics", structure(), READ_ONLY.shows(Life::stats),
        "Counters since the element was started, kept after disconnect; durations in nanoseconds.";

    pub latency: u32 = 8000,
        "latency", "Latency", millis(0, MINUTE_MS), TEXT,
        "How long a live pipeline waits for text, so that it is in step with the sound.";
    pub lateness: u32 = 0,
        "lateness", "Lateness", millis(0, MINUTE_MS), TEXT,
        "How much later than its sound a text is shown, so that the rest of the pipeline need not \
         wait for it.";
    pub text_unit: TextUnit = TextUnit::Word,
        "text-unit", "Text unit", choice(), TEXT,
        "How much text one buffer holds.";
    pub cue_columns: u32 = 42,
        "cue-columns", "Cue columns", uint("In characters", 16, 64), TEXT,
        "Longest line of a cue; 32 for EIA-608.";
    pub cue_lines: u32 = 2,
        "cue-lines", "Cue lines", uint("In lines", 1, 4), TEXT,
        "Most lines of a cue.";
    pub late_text: LateText = LateText::Move,
        "late-text", "Late text", choice(), TEXT,
        "What happens to text that comes after its time has passed on the pad.";
    pub interim_text: InterimText = InterimText::None,
        "interim-text", "Interim text", choice(), TEXT,
        "Whether text that is not final yet goes on the pad.";
    pub patience: u32 = 30_000,
        "patience", "Patience", millis(0, 10 * MINUTE_MS), TEXT,
        "For audio that is not live: how long after it was sent audio without any result counts \
         as silent, unless the service says how far it has heard.";
    pub sample_rate: u32 = 0,
        "sample-rate", "Sample rate", sample_rate(), TEXT,
        "Rate of raw audio that elements in front are asked for; 0: any.";
    live u32 = 0,
        "max-observed-delay", "Max observed delay", millis(0, u32::MAX),
        READ_ONLY.shows(Life::observed_delay).of_text(),
        "Longest time so far from the start of live speech to its final; notified.";
}
