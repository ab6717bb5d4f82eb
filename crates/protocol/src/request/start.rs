// SPDX-License-Identifier: MPL-2.0

//! `start_request` as the client writes it.
//!
//! Leaves out what is not set and refuses what the service would refuse; it
//! must never send a null of its own. Members and ranges are those of the Symbl
//! Streaming API reference.

use super::{InsightType, RequestError, Tracker, shortened, speech_recognition};
use crate::StreamFormat;
use serde_json::{Map, Value, json};
use std::fmt::Debug;
use std::ops::RangeInclusive;

/// Seconds of `noConnectionTimeout` and `disconnectOnStopRequestTimeout`.
pub(super) const TIMEOUT_SECONDS: RangeInclusive<u32> = 0..=1_800;

/// Minutes from UTC, east positive.
pub(super) const TIMEZONE_MINUTES: RangeInclusive<i32> = -840..=840;

/// Of a [`StreamPlace`], the attempt. The bound is below what a double saturates to when it
/// is read as a 64-bit integer.
pub(super) const ATTEMPTS: RangeInclusive<u64> = 1..=1 << 62;

/// Of a [`StreamPlace`], the position in nanoseconds: 146 years at most.
pub(super) const POSITIONS: RangeInclusive<u64> = 0..=1 << 62;

pub(super) const STREAM_ID: &str = "x_stream.id";
pub(super) const STREAM_ID_SHAPE: &str = "must be 1 to 64 characters of A-Z, a-z, 0-9 and -";

pub(super) const START_TYPE: &str = "start_request";

/// The place of a start in a stream of audio: what a service needs to know so that it stores
/// audio once that it is sent again.
///
/// Only a service that announces itself (header `X-Symbl-Service` in the answer to the
/// upgrade) is sent this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPlace {
    /// `x_stream.id`: names the stream in all attempts to transcribe it; 1 to 64 characters
    /// of `A`–`Z`, `a`–`z`, `0`–`9` and `-`.
    pub id: String,
    /// `x_stream.attempt`: counts the start requests of this stream from 1, at most 2⁶². A
    /// higher one supersedes all lower ones.
    pub attempt: u64,
    /// `x_stream.position`: nanoseconds of this stream's audio that come before the first
    /// audio that is sent after this request, at most 2⁶². Audio that was never sent does not
    /// count; audio that is sent again has the position that it had the first time.
    pub position: u64,
}

impl StreamPlace {
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

/// `start_request`: fields left at `None`, `false` or empty are not sent.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRequest {
    /// `config.speechRecognition`: of all audio that follows.
    pub format: StreamFormat,
    /// `insightTypes`: kinds to be reported.
    pub insight_types: Vec<InsightType>,
    /// `customVocabulary`: words and phrases that are likely to be said; none empty.
    pub custom_vocabulary: Vec<String>,
    /// `config.confidenceThreshold`: 0.5–1.0, insights below are not reported. The
    /// service reads 0.0–1.0.
    pub confidence_threshold: Option<f64>,
    /// `config.meetingTitle`.
    pub meeting_title: Option<String>,
    /// `config.languageCode`: BCP-47 tag; the service takes `en-US` when it is absent.
    pub language_code: Option<String>,
    /// `config.timezoneOffset`: minutes from UTC, −840 to 840.
    pub timezone_offset: Option<i32>,
    /// `trackers`: phrases to be told about.
    pub trackers: Vec<Tracker>,
    /// `config.trackers.interimResults`: matches in interim text too.
    pub interim_trackers: bool,
    /// `config.trackers.enableAllTrackers`: the trackers of the account too.
    pub enable_all_trackers: bool,
    /// `config.detectEntities`.
    pub detect_entities: bool,
    /// `config.sentiment`.
    pub sentiment: bool,
    /// `speaker.userId`: often an e-mail address.
    pub speaker_user_id: Option<String>,
    /// `speaker.name`.
    pub speaker_name: Option<String>,
    /// `noConnectionTimeout`: seconds that the conversation outlives its last socket, 0–1,800.
    pub no_connection_timeout: Option<u32>,
    /// `disconnectOnStopRequest`: whether the service closes after a stop; absent means it does.
    pub disconnect_on_stop_request: Option<bool>,
    /// `disconnectOnStopRequestTimeout`: seconds that a stopped socket stays open, 0–1,800.
    pub disconnect_on_stop_request_timeout: Option<u32>,
    /// `x_stream`: where the audio that follows stands in its stream, for a service that
    /// announces itself.
    pub stream: Option<StreamPlace>,
    /// Merged in last, objects member by member, a null takes a member away: a
    /// new field needs no new release. Anything but `type` may be replaced.
    pub extra: Map<String, Value>,
}

impl StartRequest {
    /// A request with nothing but the format.
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
            detect_entities: false,
            sentiment: false,
            speaker_user_id: None,
            speaker_name: None,
            no_connection_timeout: None,
            disconnect_on_stop_request: None,
            disconnect_on_stop_request_timeout: None,
            stream: None,
            extra: Map::new(),
        }
    }

    /// The text frame to send.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range; `extra` with another `type`.
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
            ("sentiment", flag(self.sentiment)),
            ("detectEntities", flag(self.detect_entities)),
            ("speechRecognition", Some(speech_recognition(self.format))),
            ("trackers", object(tracking)),
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

/// An empty string is as good as none: that is how a property is unset.
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

/// The members that are there.
fn present<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
        .collect()
}

fn object(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then_some(Value::Object(members))
}

/// JSON merge patch (RFC 7396).
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

/// Refuses a value out of its range; whatever is not a number is out of it.
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
