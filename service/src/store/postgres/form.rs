// SPDX-License-Identifier: MPL-2.0

//! Records as the functions of the database take them, and their answers.
//!
//! The functions see names and texts in the form of [`put`], and never look into a body.

use super::text::{put, take};
use super::words::vector;
use crate::conversation::entry::{Body, Entry, Sent, Speaker, Transcribed};
use crate::conversation::log::{Begun, Sending, StartRecord, Verdict};
use crate::ids::new_id;
use crate::store::StoreError;
use crate::store::sqlite::entries::{MOST_UNHEARD, body_in, body_of};
use crate::store::sqlite::record::{Outcome, Record, as_sql, from_sql};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use symbl_protocol::timestamp::format_rfc3339;

/// Returns the conversation that a record belongs to, by which batches are sorted.
pub(super) fn conversation_of(record: &Record) -> i64 {
    match record {
        Record::Start(start) => start.conversation,
        Record::Sent { conversation, .. }
        | Record::Said { conversation, .. }
        | Record::Keep { conversation, .. }
        | Record::Closed { conversation, .. }
        | Record::Left { conversation, .. }
        | Record::Over { conversation, .. } => *conversation,
        Record::Alive { .. } => 0,
    }
}

/// Returns a record for the function `symbl_write`. With `again`, the answer to the same
/// record may have been lost.
pub(super) fn asked(record: &Record, at: i64, again: bool) -> Value {
    match record {
        Record::Start(start) => started(start, again),
        Record::Said { conversation, said } => spoken(*conversation, said, at, again),
        Record::Sent {
            conversation,
            sent,
            ends,
        } => json!({
            "k": "sent", "c": conversation, "at": at, "ends": ends,
            "client": put(&sent.client_id), "corrects": sent.corrects,
            "lexemes": sent.corrects.map(|_| vector(&sent.text)),
            "body": body_of(&Body::Sent(sent.clone())),
        }),
        Record::Keep { conversation, keep } => {
            json!({"k": "keep", "c": conversation, "keep": keep})
        }
        Record::Closed {
            conversation,
            ends,
            at,
        } => json!({
            "k": "closed", "c": conversation, "at": at, "ends": ends,
            "body": body_of(&Body::Closed { ends: *ends }),
        }),
        Record::Left {
            conversation,
            here,
            at,
        } => {
            let here: Vec<String> = here.iter().map(|id| put(id)).collect();
            json!({"k": "left", "c": conversation, "at": at, "here": here})
        }
        Record::Over { conversation, at } => {
            json!({"k": "over", "c": conversation, "at": at, "body": body_of(&Body::Over)})
        }
        Record::Alive { .. } => json!({"k": "alive"}),
    }
}

/// Returns a speaker with its texts as they are stored. The bodies of entries about
/// speakers have them so, because the database makes some of these entries.
pub(super) fn stored(speaker: &Speaker) -> Speaker {
    Speaker {
        id: put(&speaker.id),
        user_id: speaker.user_id.as_deref().map(put),
        name: speaker.name.as_deref().map(put),
    }
}

/// Returns a speaker as the client has described it.
pub(super) fn speaker(stored: Speaker) -> Speaker {
    Speaker {
        id: take(stored.id),
        user_id: stored.user_id.map(take),
        name: stored.name.map(take),
    }
}

fn started(start: &StartRecord, again: bool) -> Value {
    let title = start.title.clone();
    let member = start.speaker.as_ref().map(stored).map(|speaker| {
        json!({
            "id": speaker.id, "user_id": speaker.user_id, "name": speaker.name,
            "body": body_of(&Body::Member(speaker.clone())),
        })
    });
    let stream = start.stream_position.as_ref().map(|at| {
        json!({
            "stream": put(&at.stream), "attempt": as_sql(at.attempt),
            "position": as_sql(at.position), "most": MOST_UNHEARD,
        })
    });
    json!({
        "k": "start", "c": start.conversation, "at": start.at, "again": again,
        "account": put(&start.account), "connection": put(&start.connection_id),
        "title": start.title.as_deref().map(put), "keep": start.keep,
        "session": put(&start.session), "ends": start.ends,
        "body": body_of(&Body::Opened { title }), "member": member, "stream": stream,
    })
}

fn spoken(conversation: i64, said: &Transcribed, at: i64, again: bool) -> Value {
    let first = said.messages.first().map(|message| said.span_of(message).0);
    let part = said.part.as_ref().map(|part| {
        json!({
            "stream": put(&part.stream), "attempt": as_sql(part.attempt),
            "from": as_sql(part.from), "until": as_sql(part.until),
        })
    });
    let messages = said.messages.iter().enumerate().map(|(n, message)| {
        let (start, stop) = said.span_of(message);
        let words = said.words_of(message).iter();
        let words = words.map(|word| (&word.text, said.wall(word.start), said.wall(word.end)));
        let words: Vec<(&String, i64, i64)> = words.collect();
        json!({
            "id": message.id, "n": n, "speaker": put(&said.speaker.id),
            "text": put(&message.text), "start": start, "stop": stop,
            "words": json!(words).to_string(), "confidence": said.confidence,
            "lexemes": vector(&message.text),
        })
    });
    let mut record = json!({
        "k": "said", "c": conversation, "at": at, "again": again, "start": said.start,
        "first": first, "part": part, "phrases": said.phrases, "messages": messages.collect::<Vec<_>>(),
        "body": body_of(&Body::Said(Box::new(said.clone()))),
    });
    let mut add = |name: &str, found: Vec<Value>| {
        if !found.is_empty() {
            record[name] = found.into();
        }
    };
    let insights = said.insights.iter().enumerate().map(|(n, insight)| {
        json!({
            "id": insight.id, "message": insight.message, "n": n, "kind": put(&insight.kind),
            "text": put(&insight.text), "score": insight.score,
            "by_speaker": insight.by_speaker,
            "assignee": insight.assignee.as_deref().map(put),
            "due": insight.due.map(format_rfc3339),
        })
    });
    add("insights", insights.collect());
    let topics = said.topics.iter().enumerate().map(|(n, topic)| {
        let messages = topic.messages.iter().filter_map(|id| id.parse().ok());
        let messages: Vec<i64> = messages.collect();
        json!({
            "id": topic.id, "n": n, "text": put(&topic.text), "score": topic.score,
            "messages": messages,
        })
    });
    add("topics", topics.collect());
    let trackers = said.trackers.iter().map(|found| {
        json!({
            "id": new_id(), "name": put(&found.name), "message": found.message,
            "value": put(&found.value), "place": found.offset,
        })
    });
    add("trackers", trackers.collect());
    let entities = said.entities.iter().map(|entity| {
        json!({
            "id": new_id(), "message": entity.message, "kind": put(&entity.kind),
            "value": put(&entity.value), "text": put(&entity.text),
            "place": i64::try_from(entity.offset).unwrap_or(i64::MAX),
        })
    });
    add("entities", entities.collect());
    record
}

/// An entry as the database gives it.
#[derive(Debug, Deserialize)]
struct Given {
    seq: i64,
    at: i64,
    number: Option<i64>,
    zero: Option<i64>,
    body: Option<String>,
}

/// The answer to a record.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    v: String,
    seq: i64,
    at: i64,
    number: i64,
    zero: i64,
    body: Option<String>,
    said_until: i64,
    unheard: Vec<Given>,
    entries: Vec<Given>,
}

/// Returns an entry from its columns, or `None` if its kind is unknown.
pub(super) fn entry(
    seq: i64,
    at: i64,
    number: Option<i64>,
    zero: Option<i64>,
    body: &str,
) -> Option<Arc<Entry>> {
    let body = match body_in(body)? {
        Body::Said(mut said) => {
            said.number = number.map_or(said.number, from_sql);
            said.zero = zero.unwrap_or(said.zero);
            Body::Said(said)
        }
        Body::Member(one) => Body::Member(speaker(one)),
        Body::Left(one) => Body::Left(speaker(one)),
        Body::Renamed(one) => Body::Renamed(speaker(one)),
        other => other,
    };
    let seq = from_sql(seq);
    Some(Arc::new(Entry { seq, at, body }))
}

fn entries(given: Vec<Given>) -> Vec<Arc<Entry>> {
    let given = given.into_iter();
    given
        .filter_map(|e| entry(e.seq, e.at, e.number, e.zero, e.body.as_deref()?))
        .collect()
}

/// Returns what became of a record.
pub(super) fn outcome(record: &Record, answer: Value) -> Result<Outcome, StoreError> {
    let answer: Answer = serde_json::from_value(answer)
        .map_err(|error| StoreError::Commit(format!("the answer cannot be read: {error}")))?;
    Ok(match record {
        Record::Start(_) => {
            let begun = match answer.v.as_str() {
                "superseded" => Begun::Superseded,
                _ => Begun::Here {
                    said_until: from_sql(answer.said_until),
                    unheard: entries(answer.unheard),
                },
            };
            Outcome::Begun(begun, entries(answer.entries))
        }
        Record::Said { said, .. } => said_outcome(said, &answer),
        Record::Sent { sent, .. } => sent_outcome(sent, &answer),
        Record::Closed { .. } | Record::Left { .. } => Outcome::Left(entries(answer.entries)),
        Record::Over { at, .. } => {
            let is_over = answer.v == "over";
            let mut entries = entries(answer.entries);
            if is_over && entries.is_empty() {
                // It was over before, or nothing of it was ever stored.
                entries.push(Arc::new(Entry {
                    seq: 0,
                    at: *at,
                    body: Body::Over,
                }));
            }
            Outcome::Left(entries)
        }
        Record::Keep { .. } | Record::Alive { .. } => Outcome::Written,
    })
}

fn said_outcome(said: &Transcribed, answer: &Answer) -> Outcome {
    match answer.v.as_str() {
        "stored" => {
            let mut said = said.clone();
            said.number = from_sql(answer.number);
            said.zero = answer.zero;
            let (seq, at) = (from_sql(answer.seq), answer.at);
            let body = Body::Said(Box::new(said));
            let entry = Arc::new(Entry { seq, at, body });
            Outcome::Said(Verdict::Stored(seq), Some(entry))
        }
        "already" => Outcome::Said(Verdict::Already, None),
        "superseded" => Outcome::Said(Verdict::Superseded, None),
        _ => Outcome::Said(Verdict::Over, None),
    }
}

fn sent_outcome(sent: &Sent, answer: &Answer) -> Outcome {
    let (seq, at) = (from_sql(answer.seq), answer.at);
    let entry = |body| Arc::new(Entry { seq, at, body });
    let sending = match answer.v.as_str() {
        "stored" => {
            let entry = entry(Body::Sent(sent.clone()));
            return Outcome::Sent(Sending::Stored(seq), Some(entry));
        }
        "known" => match answer.body.as_deref().and_then(body_in) {
            Some(Body::Sent(known)) if sent.is_again(&known) => Sending::Already(seq),
            _ => Sending::Taken,
        },
        "no_such_message" => Sending::NoSuchMessage,
        _ => Sending::Over,
    };
    Outcome::Sent(sending, None)
}
