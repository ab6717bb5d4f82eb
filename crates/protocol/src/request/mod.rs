// SPDX-License-Identifier: MPL-2.0

//! Client → server messages: builders that write strictly, and the reader of the
//! service.
//!
//! A builder must never send a null or a value that the service would refuse. Members
//! and ranges are those of the Symbl Streaming API reference. The order on the wire
//! is that of the official SDKs.

mod read;
mod start;

pub use read::{ClientMessage, ClientMessageError};
pub use start::{StartRequest, StreamPlace};

use super::StreamFormat;
use serde_json::{Value, json};

const TRACKERS_SHAPE: &str =
    r#"must be an array like [{"name":"Maintenance","vocabulary":["leaking"]}]"#;

/// A request that the service would refuse.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: {value} is not allowed; {allowed}")]
pub struct RequestError {
    /// Path of the field on the wire, for example `config.confidenceThreshold`.
    pub field: &'static str,
    /// The refused value. Never a secret.
    pub value: String,
    /// What is allowed, as a part of a sentence: `must be 0.5 to 1.0`.
    pub allowed: String,
}

/// The kinds of insights that a client can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InsightType {
    /// `question`
    Question,
    /// `action_item`
    ActionItem,
    /// `follow_up`
    FollowUp,
    /// `topic`
    Topic,
}

impl InsightType {
    /// All kinds, in the order of the API reference.
    pub const ALL: [Self; 4] = [
        Self::Question,
        Self::ActionItem,
        Self::FollowUp,
        Self::Topic,
    ];

    /// Returns the name on the wire, for example `action_item`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::ActionItem => "action_item",
            Self::FollowUp => "follow_up",
            Self::Topic => "topic",
        }
    }

    /// Reads a name from the wire.
    pub fn from_wire(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A named set of phrases. The service reports where they are said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tracker {
    /// The name shown in results. Not empty.
    pub name: String,
    /// The phrases: at least one, and none empty.
    pub vocabulary: Vec<String>,
}

impl Tracker {
    /// Reads the JSON array of trackers in the form of a `start_request`. Members
    /// other than `name` and `vocabulary` are ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not JSON or not an array, or if an entry has
    /// no name or no vocabulary.
    pub fn parse_list(json: &str) -> Result<Vec<Self>, RequestError> {
        let value: Value = serde_json::from_str(json).map_err(|error| RequestError {
            field: "trackers",
            value: shortened(json),
            allowed: format!("{TRACKERS_SHAPE}, but this is not JSON: {error}"),
        })?;
        let trackers = read::trackers(&value)?;
        for (index, tracker) in trackers.iter().enumerate() {
            tracker.validate(index)?;
        }
        Ok(trackers)
    }

    fn validate(&self, index: usize) -> Result<(), RequestError> {
        let complaint = if self.name.trim().is_empty() {
            "without a name"
        } else if self.vocabulary.is_empty() {
            "without a vocabulary"
        } else if self
            .vocabulary
            .iter()
            .any(|phrase| phrase.trim().is_empty())
        {
            "with an empty phrase in its vocabulary"
        } else {
            return Ok(());
        };
        Err(RequestError {
            field: "trackers",
            value: format!("entry {index} {complaint}"),
            allowed: TRACKERS_SHAPE.to_owned(),
        })
    }
}

/// A `modify_request`, with `speechRecognition` at the top level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModifyRequest {
    /// The format of all audio that follows.
    pub format: StreamFormat,
}

impl ModifyRequest {
    /// Returns the text frame to send.
    pub fn to_json(&self) -> String {
        json!({"type": "modify_request", "speechRecognition": speech_recognition(self.format)})
            .to_string()
    }
}

/// The text frame of a stop request.
pub const STOP_REQUEST: &str = r#"{"type":"stop_request"}"#;

fn speech_recognition(format: StreamFormat) -> Value {
    json!({
        "encoding": format.encoding().as_str(),
        "sampleRateHertz": format.sample_rate(),
    })
}

/// Returns the beginning of a value, long enough to recognise it in an error message.
fn shortened(value: &str) -> String {
    const LONGEST: usize = 60;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}
