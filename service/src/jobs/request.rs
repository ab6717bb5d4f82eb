// SPDX-License-Identifier: MPL-2.0

//! What a request of the Async API asks for: its parameters, from the query or a JSON body, and
//! as they are kept with the job. Pure.
//!
//! Names and forms are those of the Async API's reference. Its samples send numbers and truth
//! values as strings too, and lists in a query as JSON, so each is read in both ways. What the
//! service does not do is refused ([`Wrong::NotDone`]) or told in [`Read::warnings`].

use crate::hearing::masking::RedactionPolicy;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use symbl_protocol::Tracker;
use symbl_protocol::timestamp::parse_rfc3339;

/// Longest text of a parameter in bytes.
const LONGEST_TEXT: usize = 1024;

/// Most messages of a text.
const MOST_MESSAGES: usize = 100_000;

/// Longest message in bytes. It is looked into at once.
const LONGEST_MESSAGE: usize = 64 << 10;

/// Most phrases of the vocabulary and all trackers, and bytes in one.
const MOST_PHRASES: usize = 5000;
const LONGEST_PHRASE: usize = 256;

/// What is worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Text(Vec<Message>),
    /// A recording in the spool.
    Upload,
    /// A recording to be fetched into the spool first.
    Url(String),
    /// So many messages of a text, once their job has ended: what they say is in the
    /// conversation only.
    Said(usize),
}

/// A request, as it is kept with its job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobRequest {
    pub(crate) kind: Kind,
    #[serde(flatten)]
    pub(crate) options: Options,
    /// What there is to tell of its recording, though the job was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warning: Option<String>,
}

/// A message of a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) content: String,
    #[serde(flatten)]
    pub(crate) from: Person,
    /// Nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<i64>,
}

/// A speaker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Person {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<String>,
}

impl Person {
    /// Takes what the service hides out of the name.
    pub(crate) fn mask(&mut self, policy: &RedactionPolicy) {
        self.name = self.name.take().map(|name| policy.name(&name));
    }
}

/// The parameters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confidence: Option<f64>,
    pub(crate) entities: bool,
    /// The actionable part of each message is marked.
    pub(crate) phrases: bool,
    pub(crate) all_trackers: bool,
    pub(crate) trackers: Vec<Named>,
    pub(crate) vocabulary: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) language: Option<String>,
    /// Each channel is a speaker.
    pub(crate) separate: bool,
    pub(crate) channels: Vec<Channel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook: Option<String>,
    /// Of a new conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Map<String, Value>>,
}

/// A tracker of the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) vocabulary: Vec<String>,
}

/// The speaker of a channel. The first channel is 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Channel {
    pub(crate) number: usize,
    pub(crate) speaker: Person,
}

/// What was read of a request.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) options: Options,
    /// Parameters that change nothing, and why.
    pub(crate) warnings: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Wrong {
    /// A parameter has a wrong value (400).
    #[error("{0}")]
    Value(String),
    /// It asks for what the service does not do (501).
    #[error("{0}")]
    NotDone(String),
}

impl JobRequest {
    /// Returns what is kept of a request when its job has ended.
    pub(crate) fn over(self) -> Self {
        let kind = match self.kind {
            Kind::Text(messages) => Kind::Said(messages.len()),
            other => other,
        };
        Self { kind, ..self }
    }
}

fn must(name: &str, what: &str) -> Wrong {
    Wrong::Value(format!("`{name}` must be {what}."))
}

impl Options {
    /// Returns the parameters without what the service hides in their texts.
    pub(crate) fn masked(mut self, policy: &RedactionPolicy) -> Self {
        self.name = self.name.map(|name| policy.text(&name));
        self.metadata = self.metadata.map(|metadata| policy.metadata(metadata));
        for channel in &mut self.channels {
            channel.speaker.mask(policy);
        }
        self
    }

    /// Returns the speaker of a channel, counted from 1.
    pub(crate) fn speaker(&self, number: usize) -> Person {
        let known = self.channels.iter().find(|known| known.number == number);
        known.map_or_else(
            || Person {
                name: Some(format!("Speaker {number}")),
                user_id: None,
            },
            |known| known.speaker.clone(),
        )
    }

    /// Returns the trackers for the analysis.
    pub(crate) fn own_trackers(&self) -> Vec<Tracker> {
        let own = self.trackers.iter().map(|tracker| Tracker {
            name: tracker.name.clone(),
            vocabulary: tracker.vocabulary.clone(),
        });
        own.collect()
    }
}

/// Returns the parameters of a query as members of an object. What is JSON counts as such. A
/// name that comes again makes a list.
pub(crate) fn of_query(query: &[(String, String)]) -> Map<String, Value> {
    let mut members = Map::new();
    for (name, text) in query.iter().filter(|(name, _)| name != "access_token") {
        let is_json = text.starts_with(['[', '{', '"']);
        let json = is_json.then(|| {
            let list = || serde_json::from_str(&format!("[{text}]"));
            serde_json::from_str::<Value>(text).or_else(|_| list()).ok()
        });
        let value = json.flatten().unwrap_or_else(|| text.as_str().into());
        match members.get_mut(name) {
            None => drop(members.insert(name.clone(), value)),
            Some(Value::Array(several)) => several.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    members
}

/// Reads the parameters. `is_recording` is `true` for audio and video.
///
/// # Errors
///
/// A value is wrong, or something is not done.
pub(crate) fn read(members: &Map<String, Value>, is_recording: bool) -> Result<Read, Wrong> {
    let (mut options, mut warnings) = (Options::default(), Vec::new());
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        let is_of_recording = matches!(
            name.as_str(),
            "customVocabulary"
                | "languageCode"
                | "mode"
                | "enableSeparateRecognitionPerChannel"
                | "channelMetadata"
                | "enableSpeakerDiarization"
                | "diarizationSpeakerCount"
        );
        if is_of_recording && !is_recording {
            warnings.push(format!("`{name}` is for recordings; a text has no sound."));
            continue;
        }
        match name.as_str() {
            "name" => options.name = Some(text(name, value)?),
            "confidenceThreshold" => {
                let found = number(value).filter(|number| (0.0..=1.0).contains(number));
                options.confidence = Some(found.ok_or_else(|| must(name, "a number from 0 to 1"))?);
            }
            "detectEntities" => options.entities = truth(name, value)?,
            "enableAllTrackers" => options.all_trackers = truth(name, value)?,
            "trackers" => options.trackers = trackers(value)?,
            "customVocabulary" => options.vocabulary = phrases(name, value)?,
            "languageCode" => options.language = Some(text(name, value)?),
            "enableSeparateRecognitionPerChannel" => options.separate = truth(name, value)?,
            "channelMetadata" => options.channels = channels(value)?,
            "webhookUrl" if value == "" => {}
            "webhookUrl" => options.webhook = Some(text(name, value)?),
            "metadata" => {
                let object = value.as_object().cloned();
                options.metadata = Some(object.ok_or_else(|| must(name, "an object"))?);
            }
            "mode" => match value.as_str() {
                // The recognisers take speech of a telephone and of a meeting alike.
                Some("phone" | "default") => {}
                _ => return Err(must(name, "phone or default")),
            },
            // Both are computed when they are asked for, whether they were announced or not.
            "enableSummary" | "sentiment" => drop(truth(name, value)?),
            "redaction" | "enableRedaction" if is_nothing(value) => {}
            "redaction" | "enableRedaction" => {
                return Err(Wrong::NotDone(format!(
                    "`{name}` is not done for jobs: what was said would be stored as it is. Start the \
                 service with --redact, or leave the parameter out."
                )));
            }
            "detectPhrases" => options.phrases = truth(name, value)?,
            "enableSpeakerDiarization" => {
                if truth(name, value)? {
                    warnings.push(
                        "`enableSpeakerDiarization` is not done: all of a channel is one speaker. \
                         Send one channel for each speaker, with \
                         `enableSeparateRecognitionPerChannel`."
                            .to_owned(),
                    );
                }
            }
            "diarizationSpeakerCount" => {
                let count = number(value).filter(|count| (1.0..=1000.0).contains(count));
                count.ok_or_else(|| must(name, "a number from 1"))?;
                warnings.push(
                    "`diarizationSpeakerCount` is not done: see `enableSpeakerDiarization`."
                        .to_owned(),
                );
            }
            "entities" => warnings.push(
                "`entities` is not done: entities of your own are not looked for. `trackers` \
                 finds phrases of your own."
                    .to_owned(),
            ),
            // Of the body, not of the options.
            "messages" | "url" => {}
            other => warnings.push(format!("`{}` is not known.", shortened(other))),
        }
    }
    if !options.channels.is_empty() && !options.separate {
        warnings.push(
            "`channelMetadata` is for `enableSeparateRecognitionPerChannel=true`; without it the \
             channels are mixed."
                .to_owned(),
        );
    }
    let tracked = options.trackers.iter().flat_map(|t| &t.vocabulary);
    if options.vocabulary.len() + tracked.count() > MOST_PHRASES {
        let what = format!("at most {MOST_PHRASES} phrases together");
        return Err(must("customVocabulary` and `trackers", &what));
    }
    Ok(Read { options, warnings })
}

/// Reads the messages of a text.
pub(crate) fn messages(members: &Map<String, Value>) -> Result<Vec<Message>, Wrong> {
    let shape = "a list of messages, each with `payload.content`";
    let list = members.get("messages").and_then(Value::as_array);
    let list = list.filter(|list| !list.is_empty() && list.len() <= MOST_MESSAGES);
    let list = list.ok_or_else(|| must("messages", shape))?;
    list.iter()
        .enumerate()
        .map(|(at, one)| message(at, one))
        .collect()
}

/// Most warnings of members that are not known.
const MOST_UNKNOWN: usize = 20;

/// Returns a warning for each member of messages that changes nothing, where it is first.
pub(crate) fn unknown(members: &Map<String, Value>) -> Vec<String> {
    const KNOWN: [(&str, &[&str]); 4] = [
        ("", &["payload", "from", "duration"]),
        ("payload", &["content", "contentType"]),
        ("from", &["name", "userId", "email"]),
        ("duration", &["startTime", "endTime"]),
    ];
    let (mut told, mut warnings) = (BTreeSet::new(), Vec::new());
    let list = members.get("messages").and_then(Value::as_array);
    for (at, message) in list.into_iter().flatten().enumerate() {
        for (part, known) in KNOWN {
            let (found, dot) = match part {
                "" => (message, ""),
                part => (&message[part], "."),
            };
            for (name, value) in found.as_object().into_iter().flatten() {
                let is_known = known.contains(&name.as_str()) || is_nothing(value);
                if is_known || told.len() >= MOST_UNKNOWN || !told.insert((part, name)) {
                    continue;
                }
                let name = shortened(name);
                warnings.push(format!("`messages[{at}].{part}{dot}{name}` is not known."));
            }
        }
    }
    warnings
}

/// Checks that a part of a message is an object, if it is there.
fn check_object(name: &str, value: &Value) -> Result<(), Wrong> {
    match value {
        Value::Null | Value::Object(_) => Ok(()),
        _ => Err(must(name, "an object")),
    }
}

fn message(at: usize, value: &Value) -> Result<Message, Wrong> {
    let field = |name: &str| format!("messages[{at}].{name}");
    for part in ["payload", "from", "duration"] {
        check_object(&field(part), &value[part])?;
    }
    let content = value["payload"]["content"].as_str();
    let content = content.filter(|content| !content.trim().is_empty());
    let content = content.ok_or_else(|| must(&field("payload.content"), "a text"))?;
    if content.len() > LONGEST_MESSAGE {
        let what =
            format!("a text of at most {LONGEST_MESSAGE} bytes; send it as several messages");
        return Err(must(&field("payload.content"), &what));
    }
    let kind = &value["payload"]["contentType"];
    if !kind.is_null() && kind != "text/plain" {
        return Err(must(&field("payload.contentType"), "text/plain"));
    }
    let time = |name: &str| match &value["duration"][name] {
        Value::Null => Ok(None),
        Value::String(text) if parse_rfc3339(text).is_some() => Ok(parse_rfc3339(text)),
        _ => Err(must(
            &field(&format!("duration.{name}")),
            "a time in RFC 3339",
        )),
    };
    let (start, end) = (time("startTime")?, time("endTime")?);
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        return Err(must(
            &field("duration.endTime"),
            "no time before `startTime`",
        ));
    }
    Ok(Message {
        content: content.to_owned(),
        from: person(&field("from"), &value["from"])?,
        start,
        end,
    })
}

/// Reads a speaker with `name`, and `userId` or `email`.
fn person(name: &str, value: &Value) -> Result<Person, Wrong> {
    let part = |part: &str| match &value[part] {
        Value::Null => Ok(None),
        found => text(&format!("{name}.{part}"), found).map(Some),
    };
    Ok(Person {
        name: part("name")?,
        user_id: part("userId")?.or(part("email")?),
    })
}

fn channels(value: &Value) -> Result<Vec<Channel>, Wrong> {
    let shape = "a list such as [{\"channel\": 1, \"speaker\": {\"name\": \"Ada\"}}]";
    let wrong = || must("channelMetadata", shape);
    let list = value.as_array().ok_or_else(wrong)?;
    let channel = |one: &Value| {
        let number =
            number(&one["channel"]).filter(|n| n.fract() == 0.0 && (1.0..=64.0).contains(n));
        Ok(Channel {
            number: number.ok_or_else(wrong)? as usize,
            speaker: person("channelMetadata.speaker", &one["speaker"])?,
        })
    };
    list.iter().map(channel).collect()
}

fn trackers(value: &Value) -> Result<Vec<Named>, Wrong> {
    let list = match value {
        Value::Object(_) => Value::Array(vec![value.clone()]),
        list => list.clone(),
    };
    let found = Tracker::parse_list(&list.to_string());
    let found = found.map_err(|error| Wrong::Value(format!("{error}.")))?;
    let all = found
        .iter()
        .flat_map(|t| t.vocabulary.iter().chain([&t.name]));
    check_phrases("trackers", all)?;
    let named = found.into_iter().map(|tracker| Named {
        name: tracker.name,
        vocabulary: tracker.vocabulary,
    });
    Ok(named.collect())
}

fn phrases(name: &str, value: &Value) -> Result<Vec<String>, Wrong> {
    let found: Option<Vec<String>> = match value {
        Value::String(text) => Some(text.split(',').map(|one| one.trim().to_owned()).collect()),
        Value::Array(list) => {
            let texts = list.iter().map(|one| one.as_str().map(str::to_owned));
            texts.collect()
        }
        _ => None,
    };
    let mut found = found.ok_or_else(|| must(name, "a list of phrases"))?;
    found.retain(|phrase| !phrase.trim().is_empty());
    check_phrases(name, found.iter())?;
    Ok(found)
}

fn check_phrases<'a>(name: &str, mut all: impl Iterator<Item = &'a String>) -> Result<(), Wrong> {
    match all.any(|phrase| phrase.len() > LONGEST_PHRASE) {
        true => Err(must(
            name,
            &format!("of phrases with at most {LONGEST_PHRASE} bytes"),
        )),
        false => Ok(()),
    }
}

fn text(name: &str, value: &Value) -> Result<String, Wrong> {
    let found = value.as_str().filter(|text| text.len() <= LONGEST_TEXT);
    let what = format!("a text of at most {LONGEST_TEXT} bytes");
    found.map(str::to_owned).ok_or_else(|| must(name, &what))
}

/// Returns `true` for a value that asks for nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text.eq_ignore_ascii_case("false"),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.values().all(is_nothing),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn truth(name: &str, value: &Value) -> Result<bool, Wrong> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(must(name, "true or false")),
    }
}

fn number(value: &Value) -> Option<f64> {
    let found = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    };
    found.filter(|number: &f64| number.is_finite())
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
