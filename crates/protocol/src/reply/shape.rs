// SPDX-License-Identifier: MPL-2.0

//! Builds the parts of the messages as JSON values.
//!
//! Order and types of the members are those of a trace of the original service. These
//! functions must never fail, whatever number they are given.

use super::{Entity, Insight, Message, Person, Topic, TrackerMatch, phrases, sentiment};
use crate::StreamPlace;
use crate::timestamp::format_rfc3339;
use serde_json::{Map, Value, json};
use std::time::Duration;

pub(super) fn message(message: &Message<'_>) -> Value {
    let words: Value = message
        .words
        .iter()
        .map(|word| {
            let mut members = Map::new();
            members.insert("word".into(), word.text.into());
            members.extend(span(message, word.start, word.end));
            Value::Object(members)
        })
        .collect();
    let start = message.words.first().map_or(Duration::ZERO, |w| w.start);
    let end = message.words.last().map_or(start, |w| w.end);
    let mut value = json!({
        "from": person(&message.from),
        "payload": content(message.text),
        "id": message.id,
        "channel": {"id": "realtime-api"},
        "metadata": {
            "disablePunctuation": true,
            "timezoneOffset": message.timezone_offset,
            "originalContent": message.original_text,
            "words": words.to_string(),
            "originalMessageId": message.id,
        },
        "dismissed": false,
        "duration": span(message, start, end),
    });
    if !message.entities.is_empty() {
        value["entities"] = message.entities.iter().map(named).collect();
    }
    if let Some(polarity) = message.sentiment {
        value["sentiment"] = sentiment(polarity);
    }
    if let Some(stream) = message.stream.filter(|_| !message.words.is_empty()) {
        let at = |time: Duration| {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            stream.position.saturating_add(nanos)
        };
        let tag = StreamPlace::tag(stream.id);
        value["x_place"] = json!({"stream": tag, "from": at(start), "until": at(end)});
    }
    if let Some(found) = message.phrases {
        value["phrases"] = phrases(found);
    }
    value
}

/// Returns an entity as a member of its message.
fn named(found: &Entity<'_>) -> Value {
    let mut members = Map::new();
    members.insert("type".into(), found.kind.into());
    if let Some(sub_type) = found.sub_type {
        members.insert("subType".into(), sub_type.into());
    }
    members.insert("category".into(), "General".into());
    members.insert("detectedValue".into(), found.value.into());
    members.insert("offset".into(), found.offset.into());
    Value::Object(members)
}

/// Returns the four members that place a message or a word in time.
fn span(message: &Message<'_>, start: Duration, end: Duration) -> Map<String, Value> {
    let offset = message.stream_offset.saturating_add(start);
    let duration = end.saturating_sub(start);
    let instant = |since_start: Duration| {
        let nanos = i64::try_from(since_start.as_nanos()).unwrap_or(i64::MAX);
        format_rfc3339(message.conversation_start.saturating_add(nanos))
    };
    let mut members = Map::new();
    members.insert("startTime".into(), instant(offset).into());
    members.insert(
        "endTime".into(),
        instant(offset.saturating_add(duration)).into(),
    );
    members.insert("timeOffset".into(), hundredths(offset));
    members.insert("duration".into(), hundredths(duration));
    members
}

pub(super) fn insight(insight: &Insight<'_>) -> Value {
    let hints: Value = insight
        .hints
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    let mut members = Map::new();
    members.insert("id".into(), insight.id.into());
    members.insert("confidence".into(), number(insight.confidence));
    members.insert("hints".into(), hints);
    members.insert("type".into(), insight.kind.as_str().into());
    if let Some(assignee) = &insight.assignee {
        members.insert("assignee".into(), person(assignee));
    }
    members.insert("tags".into(), json!([]));
    members.insert("dismissed".into(), false.into());
    members.insert("payload".into(), content(insight.text));
    members.insert("from".into(), person(&insight.from));
    members.insert("entities".into(), Value::Null);
    members.insert("messageReference".into(), json!({"id": insight.message_id}));
    if let Some(due_by) = insight.due_by {
        members.insert("dueBy".into(), json!({"value": due_by}));
    }
    Value::Object(members)
}

pub(super) fn topic(topic: &Topic<'_>) -> Value {
    let references: Value = topic
        .message_ids
        .iter()
        .map(|id| json!({"id": id, "relation": "text instance"}))
        .collect();
    let root_words: Value = topic
        .root_words
        .iter()
        .map(|word| json!({"text": word}))
        .collect();
    json!({
        "id": topic.id,
        "messageReferences": references,
        "phrases": topic.text,
        "rootWords": root_words,
        "score": number(topic.score),
        "type": "topic",
    })
}

pub(super) fn message_reference(found: &TrackerMatch<'_>) -> Value {
    json!({"id": found.message_id, "text": found.text, "offset": found.offset})
}

pub(super) fn entity_reference(found: &Entity<'_>) -> Value {
    let (start, end) = found.span;
    json!({
        "id": found.message_id,
        "startTime": format_rfc3339(start),
        "endTime": format_rfc3339(end),
        "text": found.text,
        "offset": found.offset,
    })
}

/// Groups `matches` by `key`, in the order of the first member of each group.
pub(super) fn gather<T: Copy, K: PartialEq>(
    matches: &[T],
    key: impl Fn(&T) -> K,
) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for found in matches {
        let name = key(found);
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, group)) => group.push(*found),
            None => groups.push((name, vec![*found])),
        }
    }
    groups
}

pub(super) fn person(person: &Person<'_>) -> Value {
    present([
        ("id", person.id),
        ("name", person.name),
        ("userId", person.user_id),
    ])
}

pub(super) fn present(members: [(&str, Option<&str>); 3]) -> Value {
    members
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
}

fn content(text: &str) -> Value {
    json!({"content": text, "contentType": "text/plain"})
}

pub(super) fn seconds_and_nanos(time: Duration) -> Value {
    json!({
        "seconds": time.as_secs().to_string(),
        "nanos": format!("{:09}", time.subsec_nanos()),
    })
}

/// Returns seconds with at most two decimals.
fn hundredths(time: Duration) -> Value {
    let rounded = time.saturating_add(Duration::from_millis(5)).as_millis() / 10;
    number(rounded as f64 / 100.0)
}

/// Returns a number as the original service writes it: whole numbers have no
/// decimals.
pub(super) fn number(value: f64) -> Value {
    // From 2^53 on, a double does not represent every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        Value::from(value as i64)
    } else if value.is_finite() {
        Value::from(value)
    } else {
        Value::from(0)
    }
}
