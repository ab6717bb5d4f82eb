// SPDX-License-Identifier: MPL-2.0

//! Reads what a client sent, as the service reads it.
//!
//! It accepts all forms in which the official SDKs differ from each other and from
//! the reference. It must never replace an impossible value by a guess: a client that
//! asks for 5,000 seconds must learn that it does not get them.
//!
//! Sources: Symbl Streaming API reference, source of the official SDKs.

use super::start::{
    ATTEMPTS, FINAL_DELAY_SECONDS, MAX_FINAL_DELAY, POSITIONS, START_TYPE, STREAM_ID,
    STREAM_ID_SHAPE, TIMEOUT_SECONDS, TIMEZONE_MINUTES, within,
};
use super::{
    InsightType, RequestError, StartRequest, StreamPlace, TRACKERS_SHAPE, Tracker, shortened,
};
use crate::{Encoding, PING_TEXT, StreamFormat};
use serde_json::{Map, Value};
use std::fmt::Debug;
use std::ops::RangeInclusive;

const ENCODING: &str = "config.speechRecognition.encoding";
const SAMPLE_RATE: &str = "config.speechRecognition.sampleRateHertz";

/// What the official Python SDK (`symbl` 2.0.6) sends in place of a `stop_request`: a
/// `dict` in Python's own notation.
const PYTHON_STOP: &str = "{'type': 'stop_request'}";

/// The rates that at least one encoding allows, in hertz. [`StreamFormat`] checks the
/// pair.
const SAMPLE_RATES: RangeInclusive<u32> = 8_000..=48_000;

/// A message of a client, read tolerantly by the service.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientMessage {
    /// `start_request`. [`ClientMessage::parse`] has checked its values and ignored
    /// unknown members.
    Start(Box<StartRequest>),
    /// `modify_request`, with `speechRecognition` at the top level or in `config`.
    /// Absent members stay as they are.
    Modify {
        /// New encoding, if given.
        encoding: Option<Encoding>,
        /// New rate in hertz, if given: 8,000–48,000. If the encoding is given too,
        /// it allows this rate.
        sample_rate: Option<u32>,
    },
    /// `stop_request`, the legacy `stop_recognition`, or the form of the official
    /// Python SDK, which is not JSON.
    Stop,
    /// [`PING_TEXT`].
    Ping,
    /// Any other type, with its name.
    Unknown(String),
}

/// Why a text frame of a client was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClientMessageError {
    /// Not a JSON object with a string `type`.
    #[error("not a JSON object with a string `type`: {0}")]
    Malformed(String),
    /// A field has an impossible value.
    #[error(transparent)]
    Field(#[from] RequestError),
}

impl ClientMessage {
    /// Reads one text frame. Null counts as absent, whole numbers may be doubles, and
    /// encodings may be in any case. A missing encoding is LINEAR16, and a missing
    /// rate is 16,000.
    ///
    /// Unknown members, unknown insight types and empty vocabulary entries are
    /// ignored. So is a boolean `noConnectionTimeout`, which the official Go SDK can
    /// send. Any other member of a wrong type is an error.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not JSON or a value is out of its range.
    pub fn parse(text: &str) -> Result<Self, ClientMessageError> {
        if text.trim() == PING_TEXT {
            return Ok(Self::Ping);
        }
        if text.trim() == PYTHON_STOP {
            return Ok(Self::Stop);
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ClientMessageError::Malformed(error.to_string()))?;
        let Value::Object(members) = value else {
            return Err(ClientMessageError::Malformed("not an object".to_owned()));
        };
        let message = Members(Some(&members));
        let Some(Value::String(kind)) = message.get("type") else {
            return Err(ClientMessageError::Malformed(
                "`type` is missing or not a string".to_owned(),
            ));
        };
        Ok(match kind.as_str() {
            START_TYPE => Self::Start(Box::new(start_request(message)?)),
            "modify_request" => modify_request(message)?,
            "stop_request" | "stop_recognition" => Self::Stop,
            other => Self::Unknown(other.to_owned()),
        })
    }
}

fn start_request(message: Members<'_>) -> Result<StartRequest, RequestError> {
    let config = message.object("config", "config")?;
    let recognition = config.speech_recognition()?;
    let (encoding, sample_rate) = format(config, recognition)?;
    let format = StreamFormat::new(
        encoding.unwrap_or(Encoding::Linear16),
        sample_rate.unwrap_or(16_000),
    )?;
    let tracking = config.object("config.trackers", "trackers")?;
    let redaction = config.object("config.redaction", "redaction")?;
    let speaker = message.object("speaker", "speaker")?;
    let request = StartRequest {
        insight_types: insight_types(message)?,
        custom_vocabulary: strings("customVocabulary", message.get("customVocabulary"))?,
        confidence_threshold: config.number("config.confidenceThreshold", "confidenceThreshold")?,
        meeting_title: config
            .string("config.meetingTitle", "meetingTitle")?
            .or(message.string("meetingTitle", "meetingTitle")?),
        language_code: config.string("config.languageCode", "languageCode")?,
        timezone_offset: config.integer(
            "config.timezoneOffset",
            "timezoneOffset",
            TIMEZONE_MINUTES,
        )?,
        trackers: match message.get("trackers") {
            Some(value) => usable(trackers(value)?)?,
            None => Vec::new(),
        },
        interim_trackers: tracking
            .boolean("config.trackers.interimResults", "interimResults")?
            .unwrap_or(false),
        enable_all_trackers: tracking
            .boolean("config.trackers.enableAllTrackers", "enableAllTrackers")?
            .or(message.boolean("enableAllTrackers", "enableAllTrackers")?)
            .unwrap_or(false),
        interim_results: recognition
            .boolean("config.speechRecognition.interimResults", "interimResults")?
            .or(config.boolean("config.interimResults", "interimResults")?)
            .unwrap_or(true),
        max_final_delay: config.number(MAX_FINAL_DELAY, "maxFinalDelay")?,
        recognition_progress: config
            .boolean("config.recognitionProgress", "recognitionProgress")?
            .unwrap_or(false),
        detect_entities: config
            .boolean("config.detectEntities", "detectEntities")?
            .unwrap_or(false),
        detect_phrases: config
            .boolean("config.detectPhrases", "detectPhrases")?
            .or(message.boolean("detectPhrases", "detectPhrases")?)
            .unwrap_or(false),
        analytics: config
            .boolean("config.analytics", "analytics")?
            .unwrap_or(false),
        sentiment: config
            .boolean("config.sentiment", "sentiment")?
            .or(config.boolean("config.sentiments", "sentiments")?)
            .or(message.boolean("sentiment", "sentiment")?)
            .or(message.boolean("sentiments", "sentiments")?)
            .unwrap_or(false),
        identify_content: redaction
            .boolean("config.redaction.identifyContent", "identifyContent")?
            .unwrap_or(false),
        redact_content: redaction
            .boolean("config.redaction.redactContent", "redactContent")?
            .unwrap_or(false),
        redaction_string: redaction_string(redaction)?,
        speaker_user_id: speaker
            .string("speaker.userId", "userId")?
            .or(speaker.string("speaker.email", "email")?),
        speaker_name: speaker.string("speaker.name", "name")?,
        no_connection_timeout: match message.get("noConnectionTimeout") {
            Some(Value::Bool(_)) => None,
            _ => message.integer(
                "noConnectionTimeout",
                "noConnectionTimeout",
                TIMEOUT_SECONDS,
            )?,
        },
        disconnect_on_stop_request: message
            .boolean("disconnectOnStopRequest", "disconnectOnStopRequest")?,
        disconnect_on_stop_request_timeout: message.integer(
            "disconnectOnStopRequestTimeout",
            "disconnectOnStopRequestTimeout",
            TIMEOUT_SECONDS,
        )?,
        stream: stream_place(message.object("x_stream", "x_stream")?)?,
        ..StartRequest::new(format)
    };
    within(
        "config.confidenceThreshold",
        request.confidence_threshold,
        0.0..=1.0,
    )?;
    within(
        MAX_FINAL_DELAY,
        request.max_final_delay,
        FINAL_DELAY_SECONDS,
    )?;
    Ok(request)
}

/// Reads `redactionString`: what is written in place of hidden words.
fn redaction_string(redaction: Members<'_>) -> Result<Option<String>, RequestError> {
    const FIELD: &str = "config.redaction.redactionString";
    let Some(text) = redaction.string(FIELD, "redactionString")? else {
        return Ok(None);
    };
    let is_short = (1..=16).contains(&text.chars().count());
    match is_short && !text.trim().is_empty() && !text.contains(char::is_control) {
        true => Ok(Some(text)),
        false => Err(wrong(
            FIELD,
            &Value::String(text),
            "must have 1 to 16 characters that can be seen",
        )),
    }
}

/// Reads `x_stream`. A service that guessed at a member that is absent could store audio
/// twice, or not at all.
fn stream_place(place: Members<'_>) -> Result<Option<StreamPlace>, RequestError> {
    if place.0.is_none() {
        return Ok(None);
    }
    let id = match place.require(STREAM_ID, "id", STREAM_ID_SHAPE)? {
        Value::String(id) if StreamPlace::is_id(id) => id.clone(),
        other => return Err(wrong(STREAM_ID, other, STREAM_ID_SHAPE)),
    };
    Ok(Some(StreamPlace {
        id,
        attempt: place.require_integer("x_stream.attempt", "attempt", ATTEMPTS)?,
        position: place.require_integer("x_stream.position", "position", POSITIONS)?,
    }))
}

fn modify_request(message: Members<'_>) -> Result<ClientMessage, RequestError> {
    let config = message.object("config", "config")?;
    let at_top = message.speech_recognition()?;
    let recognition = if at_top.0.is_some() {
        at_top
    } else {
        config.speech_recognition()?
    };
    let (encoding, sample_rate) = format(config, recognition)?;
    if let (Some(encoding), Some(sample_rate)) = (encoding, sample_rate) {
        StreamFormat::new(encoding, sample_rate)?;
    }
    Ok(ClientMessage::Modify {
        encoding,
        sample_rate,
    })
}

/// Reads the format from `speechRecognition`, or from `config`, where the options of
/// the SDKs have it.
fn format(
    config: Members<'_>,
    recognition: Members<'_>,
) -> Result<(Option<Encoding>, Option<u32>), RequestError> {
    let name = recognition
        .string(ENCODING, "encoding")?
        .or(config.string("config.encoding", "encoding")?);
    let encoding = match name {
        None => None,
        Some(name) => Some(Encoding::from_wire(&name).ok_or_else(|| RequestError {
            field: ENCODING,
            value: shortened(&name),
            allowed: "must be LINEAR16, FLAC, MULAW or Opus".to_owned(),
        })?),
    };
    let sample_rate = recognition
        .integer(SAMPLE_RATE, "sampleRateHertz", SAMPLE_RATES)?
        .or(config.integer("config.sampleRateHertz", "sampleRateHertz", SAMPLE_RATES)?);
    Ok((encoding, sample_rate))
}

fn insight_types(message: Members<'_>) -> Result<Vec<InsightType>, RequestError> {
    let names = strings("insightTypes", message.get("insightTypes"))?;
    let mut kinds = Vec::new();
    for kind in names.iter().filter_map(|name| InsightType::from_wire(name)) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

/// Returns the entries that are neither null nor empty.
fn strings(field: &'static str, value: Option<&Value>) -> Result<Vec<String>, RequestError> {
    let entries = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(other) => return Err(wrong(field, other, "must be an array of strings")),
    };
    let mut strings = Vec::new();
    for entry in entries {
        match entry {
            Value::Null => {}
            Value::String(text) if text.trim().is_empty() => {}
            Value::String(text) => strings.push(text.clone()),
            other => return Err(wrong(field, other, "must be an array of strings")),
        }
    }
    Ok(strings)
}

/// Reads the array of trackers. The caller has to validate each tracker.
pub(super) fn trackers(value: &Value) -> Result<Vec<Tracker>, RequestError> {
    let Value::Array(entries) = value else {
        return Err(wrong("trackers", value, TRACKERS_SHAPE));
    };
    entries
        .iter()
        .map(|entry| tracker(entry).ok_or_else(|| wrong("trackers", entry, TRACKERS_SHAPE)))
        .collect()
}

fn tracker(entry: &Value) -> Option<Tracker> {
    let vocabulary = entry.get("vocabulary")?.as_array()?;
    Some(Tracker {
        name: entry.get("name")?.as_str()?.to_owned(),
        vocabulary: vocabulary
            .iter()
            .map(|phrase| phrase.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
    })
}

/// Removes empty phrases, which can match nothing, and validates the rest.
fn usable(mut trackers: Vec<Tracker>) -> Result<Vec<Tracker>, RequestError> {
    for (index, tracker) in trackers.iter_mut().enumerate() {
        tracker
            .vocabulary
            .retain(|phrase| !phrase.trim().is_empty());
        tracker.validate(index)?;
    }
    Ok(trackers)
}

fn wrong(field: &'static str, value: &Value, allowed: &str) -> RequestError {
    RequestError {
        field,
        value: shortened(&value.to_string()),
        allowed: allowed.to_owned(),
    }
}

/// The members of an object that may be absent. A member that is null counts as
/// absent.
#[derive(Clone, Copy)]
struct Members<'a>(Option<&'a Map<String, Value>>);

impl<'a> Members<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        self.0?.get(name).filter(|value| !value.is_null())
    }

    fn object(self, field: &'static str, name: &str) -> Result<Self, RequestError> {
        match self.get(name) {
            None => Ok(Self(None)),
            Some(Value::Object(members)) => Ok(Self(Some(members))),
            Some(other) => Err(wrong(field, other, "must be an object")),
        }
    }

    /// Returns the member, or refuses that it is absent.
    fn require(
        self,
        field: &'static str,
        name: &str,
        allowed: &str,
    ) -> Result<&'a Value, RequestError> {
        self.get(name)
            .ok_or_else(|| wrong(field, &Value::Null, allowed))
    }

    /// Returns a whole number that must be there.
    fn require_integer<T>(
        self,
        field: &'static str,
        name: &str,
        range: RangeInclusive<T>,
    ) -> Result<T, RequestError>
    where
        T: TryFrom<i64> + PartialOrd + Debug,
    {
        let allowed = whole_number(&range);
        let absent = || wrong(field, &Value::Null, &allowed);
        self.integer(field, name, range)?.ok_or_else(absent)
    }

    fn speech_recognition(self) -> Result<Self, RequestError> {
        self.object("config.speechRecognition", "speechRecognition")
    }

    fn string(self, field: &'static str, name: &str) -> Result<Option<String>, RequestError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(wrong(field, other, "must be a string")),
        }
    }

    fn boolean(self, field: &'static str, name: &str) -> Result<Option<bool>, RequestError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(set)) => Ok(Some(*set)),
            Some(other) => Err(wrong(field, other, "must be true or false")),
        }
    }

    fn number(self, field: &'static str, name: &str) -> Result<Option<f64>, RequestError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| wrong(field, value, "must be a number")),
        }
    }

    /// Reads a whole number, which may be written as a double.
    fn integer<T>(
        self,
        field: &'static str,
        name: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, RequestError>
    where
        T: TryFrom<i64> + PartialOrd + Debug,
    {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let whole = value.as_i64().or_else(|| {
            let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
            Some(number as i64) // saturates, and is out of the range then
        });
        whole
            .and_then(|whole| T::try_from(whole).ok())
            .filter(|whole| range.contains(whole))
            .map(Some)
            .ok_or_else(|| wrong(field, value, &whole_number(&range)))
    }
}

fn whole_number<T: Debug>(range: &RangeInclusive<T>) -> String {
    let (start, end) = (range.start(), range.end());
    format!("must be a whole number from {start:?} to {end:?}")
}
