// SPDX-License-Identifier: MPL-2.0

//! `…/callscore`: the score of a call by a checklist. An extension: the documentation that
//! this service follows has no such request.
//!
//! `GET` uses the checklist that the service was started with (`--callscore`), `POST` the one
//! in its body. Both read only.

use crate::door::analytics::{Members, counted, members, person, rounded};
use crate::door::asked::{Readable, Sent};
use crate::door::http::{Shared, error};
use crate::door::rest::{answered, failed, undone, unknown};
use crate::door::spoken;
use crate::store::{Sentence, StoreError, Whose};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use symbl_analysis::score::{Checklist, Criterion, Heard, Quote, Score, Scorer, Verdict};

pub(crate) fn routes() -> Router<Shared> {
    let path = "/v1/conversations/{id}/callscore";
    Router::new()
        .route(path, get(by_default).post(by_request))
        .route("/v1/conversations/{id}/callscore/status", get(status))
}

/// Answers that the score can be asked for. It is computed when it is.
async fn status(State(shared): State<Shared>, Readable(whose): Readable) -> Response {
    let found = shared.records.find(whose).await;
    answered(found, |_| {
        Json(json!({"status": "completed"})).into_response()
    })
}

async fn by_default(State(shared): State<Shared>, Readable(whose): Readable) -> Response {
    match shared.config.callscore.clone() {
        Some(checklist) => scored(&shared, whose, &checklist).await,
        None => error(
            StatusCode::BAD_REQUEST,
            "This service has no checklist. Start it with --callscore FILE, or POST a checklist \
             to this path.",
        ),
    }
}

async fn by_request(
    State(shared): State<Shared>,
    Readable(whose): Readable,
    Sent(body): Sent,
) -> Response {
    match Checklist::parse(&body) {
        Ok(checklist) => scored(&shared, whose, &checklist).await,
        Err(message) => error(StatusCode::BAD_REQUEST, &message),
    }
}

/// Answers with the score.
async fn scored(shared: &Shared, whose: Whose, checklist: &Checklist) -> Response {
    let members = match members(shared, whose.clone()).await {
        Ok(Some((_, members))) => members,
        Ok(None) => return unknown(),
        Err(reason) => return failed(&reason),
    };
    let analytics = match counted(shared, whose.clone()).await {
        Ok(Some(analytics)) => analytics,
        Ok(None) => return unknown(),
        Err(reason) => return failed(&reason),
    };
    let report = match shared.hub.workers.run(move || analytics.report()).await {
        Ok(report) => report,
        Err(reason) => {
            let message = "The call could not be scored; see the log of the service.";
            return undone(&reason, "a call was not scored", message);
        }
    };
    let heard = match heard(shared, whose, checklist, &members).await {
        Ok(Some(heard)) => heard,
        Ok(None) => return unknown(),
        Err(reason) => return failed(&reason),
    };
    let each = report.members.iter();
    let talk = each.map(|one| (names(&one.key, &members), one.talk));
    let score = heard.scorer.finish(&talk.collect::<Vec<_>>(), report.talk);
    Json(told(checklist, &score, &heard.speakers, &members)).into_response()
}

/// The call as far as it was scored, and which member said a message that may be quoted.
struct Scored<'a> {
    scorer: Scorer<'a>,
    speakers: HashMap<i64, String>,
}

async fn heard<'a>(
    shared: &Shared,
    whose: Whose,
    checklist: &'a Checklist,
    members: &Members,
) -> Result<Option<Scored<'a>>, StoreError> {
    let begin = |read: spoken::Read| {
        let scored = Scored {
            scorer: Scorer::new(checklist),
            speakers: HashMap::new(),
        };
        (read.start, scored)
    };
    let visit = |(start, scored): &mut (i64, Scored<'a>), said: Sentence| {
        let speaker = names(&said.member, members);
        let quoted = scored.scorer.take(Heard {
            message: said.id,
            text: &said.text,
            speaker: &speaker,
            at: said.start.saturating_sub(*start),
            length: said.stop.saturating_sub(said.start),
        });
        if quoted {
            scored.speakers.insert(said.id, said.member);
        }
    };
    let read = spoken::read(shared.records.as_ref(), whose, begin, visit).await?;
    Ok(read.map(|(_, scored)| scored))
}

/// Returns what a member may be called in a checklist.
fn names<'a>(key: &'a str, members: &'a Members) -> Vec<&'a str> {
    let known = members.get(key);
    let get = |name: &str| {
        known
            .and_then(|member| member.get(name))
            .and_then(Value::as_str)
    };
    [Some(key), get("name"), get("email")]
        .into_iter()
        .flatten()
        .collect()
}

fn told(
    checklist: &Checklist,
    score: &Score,
    speakers: &HashMap<i64, String>,
    members: &Members,
) -> Value {
    let each = checklist.criteria.iter().zip(&score.verdicts);
    let met = score.verdicts.iter().filter(|verdict| verdict.met).count();
    let each = each.map(|(criterion, verdict)| told_of(criterion, verdict, speakers, members));
    let criteria: Vec<Value> = each.collect();
    json!({
        "name": checklist.name,
        "score": rounded(score.percent),
        "met": met,
        "of": criteria.len(),
        "criteria": criteria,
    })
}

fn told_of(
    criterion: &Criterion,
    verdict: &Verdict,
    speakers: &HashMap<i64, String>,
    members: &Members,
) -> Value {
    let quote = |quote: &Quote| {
        let mut told = Map::new();
        let mut insert = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
        insert("messageId", quote.message.to_string().into());
        insert("text", quote.text.as_str().into());
        if let Some(speaker) = speakers.get(&quote.message) {
            insert("from", person(speaker, members).into());
        }
        insert("timeOffset", rounded(quote.at as f64 / 1e9));
        if !quote.phrase.is_empty() {
            insert("phrase", quote.phrase.as_str().into());
            insert("offset", quote.offset.into());
        }
        Value::Object(told)
    };
    let mut told = json!({
        "name": criterion.name,
        "type": criterion.check.kind(),
        "weight": criterion.weight,
        "met": verdict.met,
        "quotes": verdict.quotes.iter().map(quote).collect::<Vec<Value>>(),
    });
    if let Some(ratio) = verdict.ratio {
        told["talkRatio"] = rounded(ratio);
    }
    told
}
