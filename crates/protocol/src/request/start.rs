// SPDX-License-Identifier: MPL-2.0

//! Writes a client's `start_request`.
//!
//! It leaves out what is not set, and refuses what the service would refuse. It must
//! never send a null of its own. Members and ranges are those of the Symbl Streaming
//! API reference.

use super::{InsightType, RequestError, Tracker, shortened, speech_recognition};
use crate::StreamFormat;
use serde_json::{Map, Value, json};
use std::fmt::Debug;
use std::ops::RangeInclusive;

/// Range of `noConnectionTimeout` and `disconnectOnStopRequestTimeout`, in seconds.
pub(super) const TIMEOUT_SECONDS: RangeInclusive<u32> = 0..=1_800;

/// Range of `timezoneOffset`, in minutes from UTC, positive to the east.
pub(super) const TIMEZONE_MINUTES: RangeInclusive<i32> = -840..=840;

pub(super) const MAX_FINAL_DELAY: &str = "config.maxFinalDelay";
/// Range of `maxFinalDelay`, in seconds. No utterance is longer than 25 s.
pub(super) const FINAL_DELAY_SECONDS: RangeInclusive<f64> = 1.0..=25.0;

/// Range of the attempt of a [`StreamPlace`]. A double that is too large for a 64-bit
/// integer saturates above this bound.
pub(super) const ATTEMPTS: RangeInclusive<u64> = 1..=1 << 62;

/// Range of the position of a [`StreamPlace`], in nanoseconds: at most 146 years.
pub(super) const POSITIONS: RangeInclusive<u64> = 0..=1 << 62;

pub(super) const STREAM_ID: &str = "x_stream.id";
pub(super) const STREAM_ID_SHAPE: &str = "must be 1 to 64 characters of A-Z, a-z, 0-9 and -";

pub(super) const START_TYPE: &str = "start_request";

/// The place of a start in a stream of audio. With it a service stores audio only once,
/// even if it is sent again.
///
/// It is sent only to a service that announces itself (header `X-Symbl-Service` in the
/// answer to the upgrade).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPlace {
    /// `x_stream.id`: the stream, the same in all attempts to transcribe it. 1 to 64
    /// characters of `A`–`Z`, `a`–`z`, `0`–`9` and `-`.
    pub id: String,
    /// `x_stream.attempt`: the number of this start request in its stream, from 1 to 2⁶².
    /// A higher one supersedes all lower ones.
    pub attempt: u64,
    /// `x_stream.position`: the place in the stream of the first audio after this request,
    /// in nanoseconds of audio, at most 2⁶². Audio that was never sent does not count. Audio
    /// that is sent again has the position that it had the first time.
    pub position: u64,
}

impl StreamPlace {
    /// Returns the tag of the stream with this id: eight hexadecimal digits (FNV-1a, 32 bits)
    /// that tell the streams of one client apart. The id itself is for its client alone,
    /// because who knows it can begin the stream again.
    pub fn tag(id: &str) -> String {
        let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = id.bytes().fold(0x811c_9dc5, mix);
        format!("{hash:08x}")
    }

    /// Returns `true` if `id` may name a stream.
    pub(super) fn is_id(id: &str) -> bool {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    }

    fn validate(&self) -> Result<(), RequestError> {
        if !Self::is_id(&self.id) {
            return Err(RequestError {
                field: STREAM_ID,
                value: shortened(&self.id),
                allowed: STREAM_ID_SHAPE.to_owned(),
            });
        }
        within("x_stream.attempt", Some(self.attempt), ATTEMPTS)?;
        within("x_stream.position", Some(self.position), POSITIONS)
    }

    fn to_value(&self) -> Value {
        json!({"id": self.id, "attempt": self.attempt, "position": self.position})
    }
}

/// A `start_request`. Fields that are `None`, `false` or empty are not sent.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRequest {
    /// `config.speechRecognition`: the format of all audio that follows.
    pub format: StreamFormat,
    /// `insightTypes`: the kinds of insights to report.
    pub insight_types: Vec<InsightType>,
    /// `customVocabulary`: words and phrases that are likely to be said. None is
    /// empty.
    pub custom_vocabulary: Vec<String>,
    /// `config.confidenceThreshold`: 0.5–1.0. Insights with less confidence are not
    /// reported. The service accepts 0.0–1.0.
    pub confidence_threshold: Option<f64>,
    /// `config.meetingTitle`.
    pub meeting_title: Option<String>,
    /// `config.languageCode`: BCP-47 tag. The service uses `en-US` if it is absent.
    pub language_code: Option<String>,
    /// `config.timezoneOffset`: minutes from UTC, −840 to 840.
    pub timezone_offset: Option<i32>,
    /// `trackers`: the phrases to report.
    pub trackers: Vec<Tracker>,
    /// `config.trackers.interimResults`: report matches in interim text too.
    pub interim_trackers: bool,
    /// `config.trackers.enableAllTrackers`: use the trackers of the account too.
    pub enable_all_trackers: bool,
    /// `config.speechRecognition.interimResults`: report what is not final yet, too. The
    /// recognition of `symbl-service` takes less of a processor without.
    pub interim_results: bool,
    /// `config.maxFinalDelay`: seconds from the start of a word to its final, 1–25. An
    /// extension that only `symbl-service` honours.
    pub max_final_delay: Option<f64>,
    /// `config.recognitionProgress`: report how far the recognition has come, with
    /// [`crate::ServerMessage::RecognitionProgress`]. An extension that only
    /// `symbl-service` honours.
    pub recognition_progress: bool,
    /// `config.detectEntities`.
    pub detect_entities: bool,
    /// `config.detectPhrases`: mark the actionable part of each message.
    pub detect_phrases: bool,
    /// `config.analytics`: report how long each speaker has spoken, with
    /// `analytics` messages. An extension that only `symbl-service` honours.
    pub analytics: bool,
    /// `config.sentiment`.
    pub sentiment: bool,
    /// `config.redaction.identifyContent`: report personal data, as entities.
    pub identify_content: bool,
    /// `config.redaction.redactContent`: hide personal data in all that is reported.
    pub redact_content: bool,
    /// `config.redaction.redactionString`: what is written in place of hidden words, 1–16
    /// characters. The service writes `****` if it is absent.
    pub redaction_string: Option<String>,
    /// `speaker.userId`: often an e-mail address.
    pub speaker_user_id: Option<String>,
    /// `speaker.name`.
    pub speaker_name: Option<String>,
    /// `noConnectionTimeout`: seconds for which the conversation outlives its last
    /// socket, 0–1,800.
    pub no_connection_timeout: Option<u32>,
    /// `disconnectOnStopRequest`: close the socket after a stop. The service does so
    /// if it is absent.
    pub disconnect_on_stop_request: Option<bool>,
    /// `disconnectOnStopRequestTimeout`: seconds for which a stopped socket stays
    /// open, 0–1,800.
    pub disconnect_on_stop_request_timeout: Option<u32>,
    /// `x_stream`: the place of the following audio in its stream, for a service that
    /// announces itself.
    pub stream: Option<StreamPlace>,
    /// Additional members, merged in last as a JSON merge patch: objects are merged
    /// member by member, and a null removes a member. So a new field of the API needs
    /// no new release. Everything but `type` may be replaced.
    pub extra: Map<String, Value>,
}

impl StartRequest {
    /// Creates a request that sets only the format.
    pub fn new(format: StreamFormat) -> Self {
        Self {
            format,
            insight_types: Vec::new(),
            custom_vocabulary: Vec::new(),
            confidence_threshold: None,
            meeting_title: None,
            language_code: None,
            timezone_offset: None,
            trackers: Vec::new(),
            interim_trackers: false,
            enable_all_trackers: false,
            interim_results: true,
            max_final_delay: None,
            recognition_progress: false,
            detect_entities: false,
            detect_phrases: false,
            analytics: false,
            sentiment: false,
            identify_content: false,
            redact_content: false,
            redaction_string: None,
            speaker_user_id: None,
            speaker_name: None,
            no_connection_timeout: None,
            disconnect_on_stop_request: None,
            disconnect_on_stop_request_timeout: None,
            stream: None,
            extra: Map::new(),
        }
    }

    /// Returns the text frame to send.
    ///
    /// # Errors
    ///
    /// Returns the first field that is out of its range, or `type` if `extra` changes
    /// it.
    pub fn to_json(&self) -> Result<String, RequestError> {
        self.validate()?;
        let mut request = present([
            ("type", Some(START_TYPE.into())),
            (
                "insightTypes",
                list(&self.insight_types, |kind| json!(kind.as_str())),
            ),
            (
                "customVocabulary",
                list(&self.custom_vocabulary, |phrase| json!(phrase)),
            ),
            ("trackers", list(&self.trackers, |tracker| json!(tracker))),
            ("config", object(self.config())),
            (
                "speaker",
                object(present([
                    ("userId", text(&self.speaker_user_id)),
                    ("name", text(&self.speaker_name)),
                ])),
            ),
            (
                "disconnectOnStopRequest",
                self.disconnect_on_stop_request.map(Value::from),
            ),
            (
                "disconnectOnStopRequestTimeout",
                self.disconnect_on_stop_request_timeout.map(Value::from),
            ),
            (
                "noConnectionTimeout",
                self.no_connection_timeout.map(Value::from),
            ),
            ("x_stream", self.stream.as_ref().map(StreamPlace::to_value)),
        ]);
        merge(&mut request, &self.extra);
        Ok(Value::Object(request).to_string())
    }

    fn config(&self) -> Map<String, Value> {
        let mut recognition = speech_recognition(self.format);
        if !self.interim_results {
            recognition["interimResults"] = Value::Bool(false);
        }
        let redaction = present([
            ("identifyContent", flag(self.identify_content)),
            ("redactContent", flag(self.redact_content)),
            ("redactionString", text(&self.redaction_string)),
        ]);
        let tracking = present([
            ("interimResults", flag(self.interim_trackers)),
            ("enableAllTrackers", flag(self.enable_all_trackers)),
        ]);
        present([
            ("meetingTitle", text(&self.meeting_title)),
            (
                "confidenceThreshold",
                self.confidence_threshold.map(Value::from),
            ),
            ("timezoneOffset", self.timezone_offset.map(Value::from)),
            ("languageCode", text(&self.language_code)),
            ("maxFinalDelay", self.max_final_delay.map(Value::from)),
            ("recognitionProgress", flag(self.recognition_progress)),
            ("sentiment", flag(self.sentiment)),
            ("detectEntities", flag(self.detect_entities)),
            ("detectPhrases", flag(self.detect_phrases)),
            ("analytics", flag(self.analytics)),
            ("speechRecognition", Some(recognition)),
            ("trackers", object(tracking)),
            ("redaction", object(redaction)),
        ])
    }

    fn validate(&self) -> Result<(), RequestError> {
        if let Some(at) = self
            .custom_vocabulary
            .iter()
            .position(|p| p.trim().is_empty())
        {
            return Err(RequestError {
                field: "customVocabulary",
                value: format!("an empty entry at index {at}"),
                allowed: "every entry must be a word or phrase".to_owned(),
            });
        }
        for (index, tracker) in self.trackers.iter().enumerate() {
            tracker.validate(index)?;
        }
        within(
            "config.confidenceThreshold",
            self.confidence_threshold,
            0.5..=1.0,
        )?;
        within(
            "config.timezoneOffset",
            self.timezone_offset,
            TIMEZONE_MINUTES,
        )?;
        within(MAX_FINAL_DELAY, self.max_final_delay, FINAL_DELAY_SECONDS)?;
        within(
            "noConnectionTimeout",
            self.no_connection_timeout,
            TIMEOUT_SECONDS,
        )?;
        within(
            "disconnectOnStopRequestTimeout",
            self.disconnect_on_stop_request_timeout,
            TIMEOUT_SECONDS,
        )?;
        if let Some(place) = &self.stream {
            place.validate()?;
        }
        match self.extra.get("type") {
            Some(kind) if kind != START_TYPE => Err(RequestError {
                field: "type",
                value: shortened(&kind.to_string()),
                allowed: format!("additional members must leave it \"{START_TYPE}\""),
            }),
            _ => Ok(()),
        }
    }
}

/// Returns the text, unless it is empty: an application clears a property with an
/// empty string.
fn text(value: &Option<String>) -> Option<Value> {
    value
        .as_deref()
        .filter(|text| !text.is_empty())
        .map(Value::from)
}

fn flag(set: bool) -> Option<Value> {
    set.then_some(Value::Bool(true))
}

fn list<T>(items: &[T], write: impl Fn(&T) -> Value) -> Option<Value> {
    (!items.is_empty()).then(|| items.iter().map(write).collect())
}

/// Returns the members that have a value.
fn present<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
        .collect()
}

fn object(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then_some(Value::Object(members))
}

/// Applies a JSON merge patch (RFC 7396).
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (target.get_mut(name), value) {
            (_, Value::Null) => {
                target.shift_remove(name);
            }
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (_, Value::Object(new)) => {
                let mut fresh = Map::new();
                merge(&mut fresh, new);
                target.insert(name.clone(), Value::Object(fresh));
            }
            (_, value) => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Refuses a value that is out of its range. NaN is out of every range.
pub(super) fn within<T: PartialOrd + Debug>(
    field: &'static str,
    value: Option<T>,
    range: RangeInclusive<T>,
) -> Result<(), RequestError> {
    match value {
        Some(value) if !range.contains(&value) => Err(RequestError {
            field,
            value: format!("{value:?}"),
            allowed: format!("must be {:?} to {:?}", range.start(), range.end()),
        }),
        _ => Ok(()),
    }
}
