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
mod tests {
    use super::*;
    use serde_json::json;

    fn of(query: &[(&str, &str)]) -> Map<String, Value> {
        let pairs = query
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        of_query(&pairs.collect::<Vec<_>>())
    }

    #[test]
    fn a_query_and_a_body_say_the_same() {
        let query = of(&[
            ("name", "Sales call"),
            ("confidenceThreshold", "0.6"),
            ("detectEntities", "true"),
            ("customVocabulary", r#"["Platform","Discussion"]"#),
            (
                "trackers",
                r#"[{"name":"Promo","vocabulary":["we have a sale"]}]"#,
            ),
            ("enableSeparateRecognitionPerChannel", "true"),
            (
                "channelMetadata",
                r#"[{"channel":1,"speaker":{"name":"Ada","email":"ada@example.org"}}]"#,
            ),
        ]);
        let body = json!({
            "name": "Sales call", "confidenceThreshold": 0.6, "detectEntities": true,
            "customVocabulary": ["Platform", "Discussion"],
            "trackers": [{"name": "Promo", "vocabulary": ["we have a sale"]}],
            "enableSeparateRecognitionPerChannel": true,
            "channelMetadata": [{"channel": 1, "speaker": {"name": "Ada", "email": "ada@example.org"}}],
        });
        let of_query = read(&query, true).expect("read").options;
        let of_body = read(body.as_object().expect("an object"), true).expect("read");
        assert_eq!(of_query, of_body.options);
        assert!(of_body.warnings.is_empty(), "{:?}", of_body.warnings);
        assert_eq!(
            of_query.speaker(1).user_id.as_deref(),
            Some("ada@example.org")
        );
        assert_eq!(of_query.speaker(2).name.as_deref(), Some("Speaker 2"));
        let kept = JobRequest {
            kind: Kind::Upload,
            options: of_query,
            warning: None,
        };
        let json = serde_json::to_string(&kept).expect("JSON");
        assert_eq!(
            serde_json::from_str::<JobRequest>(&json).expect("read"),
            kept
        );
    }

    #[test]
    fn a_vocabulary_comes_in_each_form_of_the_reference() {
        for given in ["Platform,Discussion", r#""Platform", "Discussion""#] {
            let read = read(&of(&[("customVocabulary", given)]), true).expect("read");
            assert_eq!(
                read.options.vocabulary,
                ["Platform", "Discussion"],
                "{given}"
            );
        }
        let twice = of(&[
            ("customVocabulary", "Platform"),
            ("customVocabulary", "Discussion"),
        ]);
        assert_eq!(
            read(&twice, true).expect("read").options.vocabulary,
            ["Platform", "Discussion"]
        );
    }

    #[test]
    fn what_is_not_done_is_told_or_refused() {
        for (name, value) in [
            ("enableSpeakerDiarization", "true"),
            ("entities", "[]"),
            ("channelMetadata", r#"[{"channel":1,"speaker":{}}]"#),
            ("frobnicate", "1"),
        ] {
            let read = read(&of(&[(name, value)]), true).expect("read");
            assert_eq!(read.warnings.len(), 1, "{name}: {:?}", read.warnings);
            assert!(read.warnings[0].contains(name), "{:?}", read.warnings);
        }
        let refused = read(&of(&[("redaction", "true")]), true);
        assert!(matches!(refused, Err(Wrong::NotDone(_))), "{refused:?}");
        let of_text = read(&of(&[("languageCode", "en-US")]), false).expect("read");
        assert_eq!(of_text.warnings.len(), 1);
    }

    #[test]
    fn what_asks_for_nothing_is_nothing() {
        for value in [
            json!(false),
            json!("false"),
            json!({}),
            json!({"redact": false}),
        ] {
            let body = json!({"redaction": value, "webhookUrl": ""});
            let read = read(body.as_object().expect("an object"), false).expect("read");
            assert_eq!(read.options, Options::default());
            assert!(read.warnings.is_empty(), "{:?}", read.warnings);
        }
    }

    #[test]
    fn members_of_messages_that_are_not_known_are_told_once() {
        let message = json!({"payload": {"content": "a", "mood": "x"}, "from": {"nick": "A"},
            "duration": {"length": 1}, "colour": "red", "empty": null});
        let body = json!({"messages": [{"payload": {"content": "a"}}, message, message]});
        let warnings = unknown(body.as_object().expect("an object"));
        assert_eq!(
            warnings,
            [
                "`messages[1].colour` is not known.",
                "`messages[1].payload.mood` is not known.",
                "`messages[1].from.nick` is not known.",
                "`messages[1].duration.length` is not known.",
            ]
        );
    }

    #[test]
    fn the_text_of_a_job_that_is_over_is_not_kept() {
        let message = Message {
            content: "secret".to_owned(),
            ..Message::default()
        };
        let request = JobRequest {
            kind: Kind::Text(vec![message; 3]),
            options: Options::default(),
            warning: None,
        };
        let kept = request.over();
        assert_eq!(kept.kind, Kind::Said(3));
        let json = serde_json::to_string(&kept).expect("JSON");
        assert!(!json.contains("secret"), "{json}");
        assert_eq!(
            serde_json::from_str::<JobRequest>(&json).expect("read"),
            kept
        );
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_name() {
        for (name, value) in [
            ("confidenceThreshold", "1.5"),
            ("confidenceThreshold", "NaN"),
            ("detectEntities", "perhaps"),
            ("mode", "radio"),
            ("channelMetadata", "{}"),
            ("channelMetadata", r#"[{"channel":0}]"#),
            ("trackers", "[{}]"),
            ("diarizationSpeakerCount", "0"),
            ("customVocabulary", r#"[1]"#),
            ("metadata", "[]"),
        ] {
            let refused = read(&of(&[(name, value)]), true);
            let Err(Wrong::Value(why)) = refused else {
                panic!("{name}={value}: {refused:?}");
            };
            assert!(why.contains(name), "{why}");
        }
        let long = "x".repeat(LONGEST_TEXT + 1);
        assert!(read(&of(&[("name", &long)]), true).is_err());
    }

    #[test]
    fn messages_have_texts_speakers_and_times() {
        let body = |message: Value| json!({"messages": [message]}).as_object().cloned();
        let read = |message| messages(&body(message).expect("an object"));
        let whole = read(json!({
            "payload": {"content": "Hello.", "contentType": "text/plain"},
            "from": {"name": "John", "userId": "john@example.com"},
            "duration": {"startTime": "2020-07-21T16:04:19.99Z", "endTime": "2020-07-21T16:04:20.99Z"},
        }));
        let whole = whole.expect("read");
        assert_eq!(
            whole[0].end.zip(whole[0].start).map(|(e, s)| e - s),
            Some(1_000_000_000)
        );
        assert_eq!(whole[0].from.name.as_deref(), Some("John"));
        assert!(read(json!({"payload": {"content": "Hello."}})).is_ok());
        for wrong in [
            json!({}),
            json!({"payload": {"content": " "}}),
            json!({"payload": {"content": "x".repeat(LONGEST_MESSAGE + 1)}}),
            json!({"payload": {"content": "x", "contentType": "text/html"}}),
            json!({"payload": {"content": "x"}, "duration": {"startTime": "today"}}),
            json!({"payload": {"content": "x"}, "duration":
                {"startTime": "2020-07-21T16:04:20Z", "endTime": "2020-07-21T16:04:19Z"}}),
            json!({"payload": {"content": "x"}, "from": {"name": 7}}),
            json!({"payload": {"content": "x"}, "from": "Ada"}),
            json!({"payload": {"content": "x"}, "duration": 7}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(messages(&Map::new()).is_err());
    }
}
