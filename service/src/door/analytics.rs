// SPDX-License-Identifier: MPL-2.0

//! `GET …/analytics`: who spoke when, how fast and how long.
//!
//! Facts: Symbl Conversation API reference, "GET Analytics". The percentages of talk and
//! listen time are those of the total talk time, and that of an overlap is that of the talk
//! time of both speakers. Members that begin with `x_` are extensions.

use crate::conversation::tally::Tallied;
use crate::door::asked::Readable;
use crate::door::http::Shared;
use crate::door::rest::{failed, undone, unknown};
use crate::door::spoken::{self, Read};
use crate::store::{Sentence, StoreError, Whose};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use symbl_analysis::analytics::{Analytics, MemberReport, Report, Said};
use symbl_analysis::{questions, sentiment};
use symbl_protocol::reply;
use symbl_protocol::timestamp::format_rfc3339;

/// The name of a speaker of whom nothing is known.
const UNKNOWN: &str = "Unknown Speaker";

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/v1/conversations/{id}/analytics", get(analytics))
}

/// Counts a conversation from its beginning to its end.
pub(crate) async fn counted(
    shared: &Shared,
    whose: Whose,
) -> Result<Option<Analytics>, StoreError> {
    let begin = |read: Read| Analytics::new(read.start);
    let mut times = Vec::new();
    let visit = move |analytics: &mut Analytics, said: Sentence| {
        count(analytics, &said, &mut times);
    };
    spoken::read(shared.records.as_ref(), whose, begin, visit).await
}

/// Counts a message. `times` is room that is used again.
fn count(analytics: &mut Analytics, said: &Sentence, times: &mut Vec<(i64, i64)>) {
    times.clear();
    times.extend(said.words.iter().map(|(_, start, stop)| (*start, *stop)));
    let words = match times.is_empty() {
        true => {
            times.push((said.start, said.stop));
            said.text.split_whitespace().count()
        }
        false => times.len(),
    };
    let counted = Said {
        times,
        words,
        questions: questions(&said.text),
        polarity: sentiment::polarity(&said.text),
    };
    analytics.said(&said.member, counted);
}

/// What is known of members, by their ids.
pub(crate) type Members = HashMap<String, Map<String, Value>>;

/// Returns what is known of the members of a conversation, and their ids in order.
pub(crate) async fn members(
    shared: &Shared,
    whose: Whose,
) -> Result<Option<(Vec<String>, Members)>, StoreError> {
    let Some(mut found) = shared.records.members(whose).await? else {
        return Ok(None);
    };
    let Value::Array(list) = found["members"].take() else {
        return Ok(Some(Default::default()));
    };
    let (mut order, mut members) = (Vec::new(), Members::new());
    for member in list {
        if let (Some(id), Value::Object(member)) = (member["id"].as_str(), &member) {
            order.push(id.to_owned());
            members.insert(id.to_owned(), member.clone());
        }
    }
    Ok(Some((order, members)))
}

async fn analytics(State(shared): State<Shared>, Readable(whose): Readable) -> Response {
    let (order, members) = match members(&shared, whose.clone()).await {
        Ok(Some(found)) => found,
        Ok(None) => return unknown(),
        Err(reason) => return failed(&reason),
    };
    let mut analytics = match counted(&shared, whose).await {
        Ok(Some(analytics)) => analytics,
        Ok(None) => return unknown(),
        Err(reason) => return failed(&reason),
    };
    // Also members who said nothing have listened.
    for member in &order {
        analytics.member(member);
    }
    // The last count takes long if the conversation is, and must delay no other client.
    match shared.hub.workers.run(move || analytics.report()).await {
        Ok(report) => Json(told(&report, &members)).into_response(),
        Err(reason) => {
            let message = "The analytics could not be counted; see the log of the service.";
            undone(&reason, "analytics were not counted", message)
        }
    }
}

/// Returns seconds with at most three decimals.
pub(crate) fn seconds(nanos: i64) -> Value {
    rounded(nanos as f64 / 1e9)
}

/// Returns a number with at most three decimals.
pub(crate) fn rounded(number: f64) -> Value {
    ((number * 1000.0).round() / 1000.0 + 0.0).into()
}

/// Returns how much of the whole a part is, in percent.
pub(crate) fn percent(part: i64, whole: i64) -> Value {
    match whole {
        ..=0 => 0.0.into(),
        whole => rounded(part as f64 * 100.0 / whole as f64),
    }
}

/// Returns the report in the form of the API.
pub(crate) fn told(report: &Report, members: &Members) -> Value {
    let metric = |kind: &str, time: i64, of: i64| json!({"type": kind, "percent": percent(time, of), "seconds": seconds(time)});
    let each = report.members.iter();
    json!({
        "metrics": [
            metric("total_silence", report.silence, report.duration),
            metric("total_talk_time", report.talk, report.duration),
            metric("total_overlap", report.overlap, report.talk),
        ],
        "members": each.map(|one| member(report, one, members)).collect::<Vec<Value>>(),
        "x_sentiment": polarity(report.polarity),
    })
}

/// Returns the figures of a conversation that runs, in the form of the API.
pub(crate) fn live_analytics(tallied: &Tallied) -> Value {
    let speakers = tallied.speakers.iter().map(|(id, speaker)| {
        let mut member = Map::new();
        let known = [("name", &speaker.name), ("email", &speaker.user_id)];
        for (key, value) in known {
            if let Some(value) = value {
                member.insert(key.to_owned(), value.as_str().into());
            }
        }
        (id.clone(), member)
    });
    told(&tallied.report, &speakers.collect())
}

/// Returns a sentiment as the API has it.
pub(crate) fn polarity(polarity: f64) -> Value {
    reply::sentiment((polarity * 1000.0).round() / 1000.0 + 0.0)
}

/// Returns the id, the name and the `userId` of a member.
pub(crate) fn person(key: &str, members: &Members) -> Map<String, Value> {
    let known = members.get(key);
    let get = |name: &str| known.and_then(|member| member.get(name)).cloned();
    let mut person = Map::new();
    let (name, address) = (get("name"), get("email"));
    let name = match (name, &address) {
        (None, None) => Some(UNKNOWN.into()),
        (name, _) => name,
    };
    person.insert("id".to_owned(), key.into());
    for (key, value) in [("name", name), ("userId", address)] {
        if let Some(value) = value {
            person.insert(key.to_owned(), value);
        }
    }
    person
}

fn member(report: &Report, one: &MemberReport, members: &Members) -> Value {
    let overlaps = one.overlaps.iter().filter_map(|(other, length)| {
        let other = report.members.get(*other)?;
        let mut with = person(&other.key, members);
        let both = one.talk.saturating_add(other.talk);
        with.insert("percent".to_owned(), percent(*length, both));
        with.insert("seconds".to_owned(), seconds(*length));
        Some(Value::Object(with))
    });
    let share =
        |time: i64| json!({"percentage": percent(time, report.talk), "seconds": seconds(time)});
    let mut told = person(&one.key, members);
    let mut insert = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
    insert("pace", json!({"wpm": one.pace().round() as u64}));
    insert("talkTime", share(one.talk));
    insert("listenTime", share(one.listen));
    let overlaps: Vec<Value> = overlaps.collect();
    insert(
        "overlap",
        json!({"overlapDuration": seconds(one.overlap), "overlappingMembers": overlaps}),
    );
    let monologue = match one.monologue {
        None => json!({"seconds": 0.0}),
        Some((from, to)) => json!({
            "seconds": seconds(to.saturating_sub(from)),
            "startTime": format_rfc3339(from),
            "endTime": format_rfc3339(to),
        }),
    };
    insert("x_longestMonologue", monologue);
    insert("x_interruptions", one.interruptions.into());
    insert("x_interrupted", one.interrupted.into());
    insert("x_questions", one.questions.into());
    insert("x_words", one.words.into());
    insert("x_messages", one.messages.into());
    insert("x_sentiment", polarity(one.polarity));
    Value::Object(told)
}
