// SPDX-License-Identifier: MPL-2.0

//! Server → client messages, written by `symbl-service`.
//!
//! Each function returns a text frame. Names, order and types of the members are
//! those of a trace of the original service, and where the trace has none, those of
//! the Symbl Streaming API reference: `seconds` and `nanos` are strings,
//! `metadata.words` is a JSON array inside a string, offsets are seconds with at most
//! two decimals, and whole numbers have no decimals.
//!
//! This module only writes what it is given. It must never read a clock, count
//! sequence numbers or make up ids. The answer to a ping is [`super::PONG_TEXT`].

mod shape;

use super::{InsightType, StreamFormat};
use serde_json::{Map, Value, json};
use shape::{
    entity_reference, gather, insight, message, message_reference, number, present,
    seconds_and_nanos, topic,
};
use std::time::Duration;

/// A participant of the conversation. A member that is `None` is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Person<'a> {
    /// UUID made by the service, the same throughout the conversation; `None` for a
    /// person that a speaker only mentioned.
    pub id: Option<&'a str>,
    /// The `userId` that the client gave.
    pub user_id: Option<&'a str>,
    /// Display name.
    pub name: Option<&'a str>,
}

/// A word and its place in the audio of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpokenWord<'a> {
    /// The word, with punctuation and case.
    pub text: &'a str,
    /// Start, from the first audio after the `start_request`.
    pub start: Duration,
    /// End, from the first audio after the `start_request`. Not before `start`.
    pub end: Duration,
}

/// An interim: the utterance in progress, as far as it was recognised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interim<'a> {
    /// The text.
    pub text: &'a str,
    /// Start of the utterance, from the first audio after the last `start_request`. It is
    /// an extension: the original service does not send it.
    pub start: Option<Duration>,
    /// The words of the text. Empty if their times are not known, as in the interims of
    /// the original service.
    pub words: &'a [SpokenWord<'a>],
    /// How many of the first words the engine has settled: no later interim changes them.
    /// Without `words`, words of the text are counted, which spaces separate. It is an
    /// extension, and is left out if it is 0.
    pub stable: usize,
    /// The speaker.
    pub user: Option<Person<'a>>,
}

/// A stream of audio that its client names, and the place in it at which the times of words
/// count from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamZero<'a> {
    /// The stream's id. Only its tag is written.
    pub id: &'a str,
    /// The place, in nanoseconds of the stream's audio.
    pub position: u64,
}

/// One sentence. It begins with its first word and ends with its last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Message<'a> {
    /// UUID.
    pub id: &'a str,
    /// The speaker.
    pub from: Person<'a>,
    /// The sentence.
    pub text: &'a str,
    /// The words as the engine recognised them.
    pub original_text: &'a str,
    /// Minutes from UTC as the client gave them; 0 if it gave none.
    pub timezone_offset: i32,
    /// The words of the sentence. May be empty.
    pub words: &'a [SpokenWord<'a>],
    /// Where the words' stream starts in the conversation: zero for the first
    /// `start_request` of the conversation.
    pub stream_offset: Duration,
    /// Wall-clock time of the conversation's start, in nanoseconds since the Unix
    /// epoch.
    pub conversation_start: i64,
    /// The stream of the words, if its client names it. With it the message says where its
    /// audio stands, by which the client knows it again: an extension.
    pub stream: Option<StreamZero<'a>>,
    /// The entities in the sentence. Empty if the client did not ask for them.
    pub entities: &'a [Entity<'a>],
    /// The polarity, −1.0–1.0, if the client asked for the sentiment.
    pub sentiment: Option<f64>,
    /// The actionable parts of the sentence, if the client asked for them.
    pub phrases: Option<&'a [String]>,
}

/// A speaker that was corrected, and the messages that are of this speaker since.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corrected<'a> {
    /// The speaker with the name and the address that count now.
    pub from: Person<'a>,
    /// Ids of the messages. Empty if only the name or the address is new.
    pub message_ids: &'a [String],
}

/// Polarities further from 0 than this are positive or negative.
const NEUTRAL: f64 = 0.3;

/// Returns the figures of the talk so far. `analytics` is an object with the members of the
/// answer to `GET …/analytics`.
pub fn analytics_response(analytics: Value) -> String {
    let mut response = Map::new();
    response.insert("type".into(), "analytics_response".into());
    if let Value::Object(members) = analytics {
        response.extend(members);
    }
    Value::Object(response).to_string()
}

/// Returns a correction of who said messages that were told before.
pub fn speaker_response(corrected: &[Corrected<'_>]) -> String {
    let speakers = corrected
        .iter()
        .map(|one| json!({"from": shape::person(&one.from), "messageIds": one.message_ids}));
    json!({"type": "speaker_response", "speakers": speakers.collect::<Vec<_>>()}).to_string()
}

/// Returns the sentiment that a polarity suggests: `negative`, `neutral` or `positive`.
pub fn suggested(polarity: f64) -> &'static str {
    match polarity {
        low if low < -NEUTRAL => "negative",
        high if high > NEUTRAL => "positive",
        _ => "neutral",
    }
}

/// Returns a `sentiment` member.
pub fn sentiment(polarity: f64) -> Value {
    json!({"polarity": {"score": polarity}, "suggested": suggested(polarity)})
}

/// Returns a `phrases` member.
pub fn phrases(phrases: &[String]) -> Value {
    let each = phrases.iter();
    each.map(|text| json!({"type": "action_phrase", "text": text}))
        .collect()
}

/// A question, action item or follow-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Insight<'a> {
    /// UUID.
    pub id: &'a str,
    /// The kind. Topics have a message of their own.
    pub kind: InsightType,
    /// The sentence.
    pub text: &'a str,
    /// Confidence, 0.0–1.0.
    pub confidence: f64,
    /// Pairs of key and value. Values are strings, even if they are numbers.
    pub hints: &'a [(String, String)],
    /// The assignee: the person responsible.
    pub assignee: Option<Person<'a>>,
    /// The speaker.
    pub from: Person<'a>,
    /// Id of the message that contains the insight.
    pub message_id: &'a str,
    /// The due date.
    pub due_by: Option<&'a str>,
}

/// A topic of the conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Topic<'a> {
    /// UUID.
    pub id: &'a str,
    /// The phrase.
    pub text: &'a str,
    /// Relevance, 0.0–1.0.
    pub score: f64,
    /// Ids of the messages that the topic comes from.
    pub message_ids: &'a [String],
    /// The words that carry the meaning of the phrase.
    pub root_words: &'a [String],
}

/// One place where a phrase of a tracker occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackerMatch<'a> {
    /// Id of a tracker that the service keeps; `None` for a tracker of the request.
    pub tracker_id: Option<&'a str>,
    /// The tracker's name.
    pub name: &'a str,
    /// The vocabulary entry that matched.
    pub value: &'a str,
    /// Id of the message. For an interim: the id that its message will have, or a new
    /// UUID.
    pub message_id: &'a str,
    /// Text of the message.
    pub text: &'a str,
    /// Character offset in `text`; −1 if the match is similar, not exact.
    pub offset: i64,
}

/// An entity in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entity<'a> {
    /// The type: `date`, `person`, …
    pub kind: &'a str,
    /// The subtype, if the type has several.
    pub sub_type: Option<&'a str>,
    /// The words of the entity, as they stand in `text`.
    pub value: &'a str,
    /// Text of the message.
    pub text: &'a str,
    /// Character offset in `text`.
    pub offset: usize,
    /// Id of the message.
    pub message_id: &'a str,
    /// Start and end of the message, in nanoseconds since the Unix epoch.
    pub span: (i64, i64),
}

/// Writes that the service accepts audio.
pub fn started_listening() -> String {
    enveloped(json!({"type": "started_listening"}))
}

/// Writes that the conversation exists.
pub fn conversation_created(conversation_id: &str) -> String {
    of_conversation("conversation_created", conversation_id)
}

/// Writes that the recognition runs.
pub fn recognition_started(conversation_id: &str) -> String {
    of_conversation("recognition_started", conversation_id)
}

/// Writes that the stop request was accepted. Results may still follow.
pub fn recognition_stopped() -> String {
    enveloped(json!({"type": "recognition_stopped"}))
}

/// Writes the same, where the connection stays open and the client knows this extension:
/// `told` is `true` once all results of the start were sent. A client that is sent `false`
/// is sent this message again when that is so.
pub fn recognition_stopped_telling(told: bool) -> String {
    enveloped(json!({"type": "recognition_stopped", "x_told": told}))
}

/// Writes that nothing more will come for this conversation.
pub fn conversation_completed(conversation_id: &str) -> String {
    of_conversation("conversation_completed", conversation_id)
}

/// Writes that a subscriber gets the messages of this conversation from now on.
/// `last_sequence_number` is that of the last final so far, or -1: an extension of our own
/// service, by which a subscriber knows where it came in.
pub fn subscription_started(conversation_id: &str, last_sequence_number: Option<i64>) -> String {
    let mut data = json!({"conversationId": conversation_id});
    if let Some(number) = last_sequence_number {
        data["x_lastSequenceNumber"] = number.into();
    }
    enveloped(json!({"type": "subscription_started", "data": data}))
}

/// Writes that the service expects the following audio in this format.
pub fn session_modified(format: StreamFormat) -> String {
    enveloped(json!({
        "type": "session_modified",
        "data": {"speechRecognition": {
            "encoding": format.encoding().as_str(),
            "sampleRateHertz": format.sample_rate(),
        }},
    }))
}

/// Writes that the service ended the session by itself, because of silence or of an
/// idle limit.
pub fn processing_terminated() -> String {
    enveloped(json!({"type": "processing_terminated"}))
}

/// Writes an interim, with confidence 0.
///
/// `time_offset_ms` counts from the start of the session to now; it is not audio
/// time.
pub fn interim_result(interim: &Interim<'_>, time_offset_ms: u64) -> String {
    recognition_result(false, interim, 0.0, time_offset_ms)
}

/// Writes a final: the text of a whole utterance, with its words and a confidence of
/// 0.0–1.0.
///
/// `time_offset_ms` counts from the start of the session to now; it is not audio time.
pub fn final_result(
    text: &str,
    words: &[SpokenWord<'_>],
    confidence: f64,
    user: Option<Person<'_>>,
    time_offset_ms: u64,
) -> String {
    let result = Interim {
        text,
        words,
        user,
        ..Interim::default()
    };
    recognition_result(true, &result, confidence, time_offset_ms)
}

/// Writes how far the recognition has come: no final that is still to come begins before
/// `audio_time`. It is an extension, which the original service does not send.
///
/// The time is written in whole milliseconds, rounded down so that it promises no more.
pub fn recognition_progress(audio_time: Duration) -> String {
    let seconds = audio_time.as_millis() as f64 / 1000.0;
    enveloped(json!({"type": "recognition_progress", "audioTime": number(seconds)}))
}

/// Writes sentences. `sequence_number` counts these messages of the conversation from
/// 0.
pub fn message_response(messages: &[Message<'_>], sequence_number: u64) -> String {
    json!({
        "type": "message_response",
        "messages": messages.iter().map(message).collect::<Value>(),
        "sequenceNumber": sequence_number,
    })
    .to_string()
}

/// Writes insights. `sequence_number` is that of the message response they derive
/// from.
pub fn insight_response(insights: &[Insight<'_>], sequence_number: u64) -> String {
    json!({
        "type": "insight_response",
        "insights": insights.iter().map(insight).collect::<Value>(),
        "sequenceNumber": sequence_number,
    })
    .to_string()
}

/// Writes topics. This message has no sequence number.
pub fn topic_response(topics: &[Topic<'_>]) -> String {
    json!({
        "type": "topic_response",
        "topics": topics.iter().map(topic).collect::<Value>(),
    })
    .to_string()
}

/// Writes matches, grouped by tracker and vocabulary entry in the order of their
/// first occurrence.
///
/// `is_final` is `false` for matches in interim text. `sequence_number` is that of the
/// message response they derive from. An interim has none yet.
pub fn tracker_response(
    matches: &[TrackerMatch<'_>],
    is_final: bool,
    sequence_number: Option<u64>,
) -> String {
    let trackers: Value = gather(matches, |found| (found.tracker_id, found.name))
        .into_iter()
        .map(|((id, name), of_tracker)| {
            let entries: Value = gather(&of_tracker, |found| found.value)
                .into_iter()
                .map(|(value, of_entry)| {
                    let references: Value = of_entry.iter().map(message_reference).collect();
                    json!({
                        "type": "vocabulary",
                        "value": value,
                        "messageRefs": references,
                        "insightRefs": [],
                    })
                })
                .collect();
            let mut members = Map::new();
            if let Some(id) = id {
                members.insert("id".into(), id.into());
            }
            members.insert("name".into(), name.into());
            members.insert("matches".into(), entries);
            Value::Object(members)
        })
        .collect();
    let mut response = json!({
        "type": "tracker_response",
        "isFinal": is_final,
        "trackers": trackers,
    });
    if let Some(number) = sequence_number {
        response["sequenceNumber"] = number.into();
    }
    response.to_string()
}

/// Writes entities, grouped by type and words in the order of their first occurrence.
/// `sequence_number` is that of the message response they derive from.
pub fn entity_response(entities: &[Entity<'_>], sequence_number: u64) -> String {
    let entities: Value = gather(entities, |found| (found.kind, found.sub_type))
        .into_iter()
        .map(|((kind, sub_type), of_type)| {
            let matches: Value = gather(&of_type, |found| found.value)
                .into_iter()
                .map(|(value, places)| {
                    let references: Value = places.iter().map(entity_reference).collect();
                    json!({"detectedValue": value, "messageRefs": references})
                })
                .collect();
            let mut members = Map::new();
            members.insert("type".into(), kind.into());
            if let Some(sub_type) = sub_type {
                members.insert("subType".into(), sub_type.into());
            }
            members.insert("category".into(), "General".into());
            members.insert("matches".into(), matches);
            Value::Object(members)
        })
        .collect();
    json!({
        "type": "entity_response",
        "entities": entities,
        "sequenceNumber": sequence_number,
    })
    .to_string()
}

/// Writes an error inside the session. `message` says what failed, `details` says why
/// and what is allowed. `code` is a stable name, an extension of ours.
pub fn error(message: &str, details: &str, code: Option<&str>) -> String {
    error_members(message, details, code).to_string()
}

/// Writes an error in the envelope of type `message`, which some clients expect.
pub fn enveloped_error(message: &str, details: &str, code: Option<&str>) -> String {
    enveloped(error_members(message, details, code))
}

/// Writes a warning. `message` and `details` say which part of a request the service
/// does not fulfil, `fields` are the paths of the members that asked for it, and
/// `code` is a stable name. The original service has no such message. The official
/// SDKs ignore unknown types.
pub fn warning(message: &str, details: &str, code: &str, fields: &[String]) -> String {
    json!({
        "type": "warning",
        "message": message,
        "details": details,
        "code": code,
        "fields": fields,
    })
    .to_string()
}

fn error_members(message: &str, details: &str, code: Option<&str>) -> Value {
    let mut members = Map::new();
    members.insert("type".into(), "error".into());
    members.insert("details".into(), details.into());
    members.insert("message".into(), message.into());
    if let Some(code) = code {
        members.insert("code".into(), code.into());
    }
    Value::Object(members)
}

fn enveloped(message: Value) -> String {
    json!({"type": "message", "message": message}).to_string()
}

fn of_conversation(kind: &str, conversation_id: &str) -> String {
    enveloped(json!({"type": kind, "data": {"conversationId": conversation_id}}))
}

fn recognition_result(
    is_final: bool,
    result: &Interim<'_>,
    confidence: f64,
    time_offset_ms: u64,
) -> String {
    let Interim {
        text,
        start,
        words,
        stable,
        user,
    } = *result;
    let words: Value = words
        .iter()
        .map(|word| {
            json!({
                "word": word.text,
                "startTime": seconds_and_nanos(word.start),
                "endTime": seconds_and_nanos(word.end),
            })
        })
        .collect();
    let mut alternative = json!({
        "words": words,
        "transcript": text,
        "confidence": number(confidence),
    });
    if let Some(members) = alternative.as_object_mut() {
        if let Some(start) = start {
            members.insert("startTime".into(), seconds_and_nanos(start));
        }
        if stable > 0 {
            members.insert("x_stableWords".into(), stable.into());
        }
    }
    let mut result = Map::new();
    result.insert("type".into(), "recognition_result".into());
    result.insert("isFinal".into(), is_final.into());
    result.insert(
        "payload".into(),
        json!({"raw": {"alternatives": [alternative]}}),
    );
    result.insert("punctuated".into(), json!({"transcript": text}));
    if let Some(user) = user {
        let members = [
            ("userId", user.user_id),
            ("name", user.name),
            ("id", user.id),
        ];
        result.insert("user".into(), present(members));
    }
    json!({"type": "message", "message": result, "timeOffset": time_offset_ms}).to_string()
}
