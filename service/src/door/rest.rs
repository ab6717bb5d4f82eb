// SPDX-License-Identifier: MPL-2.0

//! The Conversation API: what was said in a conversation, so far or altogether.
//!
//! Everything is looked up in the database, off the runtime's workers, and only
//! what belongs to the account that asks is found: to others a conversation is
//! as unknown (404) as one that never was. Lists may have any length: they are read and
//! sent in pieces, and no client makes the service hold a whole one.

use crate::clock::steady;
use crate::door::handshake::Account;
use crate::door::http::{Shared, error, unreadable};
use crate::door::ops;
use crate::store::{Filter, Found, Insights, List, Listing, Sort, StoreError, Wanted, find, list};
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, put};
use axum::{Json, Router};
use futures_util::{StreamExt, TryStreamExt, stream};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Value, json};
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};
use symbl_protocol::timestamp::parse_rfc3339;
use tokio::time::sleep;

/// Most conversations in one answer, as the reference has it.
const LONGEST_LIST: u32 = 65_536;

/// How long a request waits while others read.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a deletion waits until its words have left the files, and how often it asks.
const LONGEST_PURGE: Duration = Duration::from_secs(10);
const PURGE_AGAIN: Duration = Duration::from_millis(100);

const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// The paths of the API.
pub(crate) fn router() -> Router<Shared> {
    let base = "/v1/conversations/{id}";
    let at = |path: &str| format!("{base}{path}");
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/conversations", get(conversations))
        .route(base, part(Found::conversation).delete(delete))
        .route(&at("/messages"), get(messages))
        .route(&at("/members"), part(Found::members))
        .route(&at("/members/{member}"), put(rename))
        .route(&at("/insights"), insights(Insights::All))
        .route(&at("/action-items"), insights(Insights::ActionItems))
        .route(&at("/questions"), insights(Insights::Questions))
        .route(&at("/follow-ups"), insights(Insights::FollowUps))
        .route(&at("/topics"), list_of(Found::topics))
        .route(&at("/trackers-detected"), list_of(Found::trackers))
        .route(&at("/trackers"), list_of(Found::trackers))
        .route(&at("/entities"), list_of(Found::entities))
}

/// Answers whether what is said now is stored.
async fn health(State(shared): State<Shared>) -> Response {
    match shared.store.probe().await {
        Ok(()) => Json(json!({"status": "ok"})).into_response(),
        Err(reason) => {
            let reason = reason.reason();
            let message = "What is said cannot be stored; see the log of the service.";
            let body = json!({"status": "failing", "reason": reason, "message": message});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// What is counted.
async fn metrics(State(shared): State<Shared>) -> Response {
    let hub = &shared.hub;
    hub.metrics
        .load(shared.hearing.entrance.load(), hub.awaited());
    ops::metrics(&hub.metrics)
}

type Id = Result<Path<String>, PathRejection>;

/// What a request is told that the database does not answer.
fn failed(reason: &StoreError) -> Response {
    if let StoreError::Busy(_) = reason {
        let message = "Too many requests read at the same time; ask again later.";
        let mut response = error(StatusCode::SERVICE_UNAVAILABLE, message);
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    tracing::error!(%reason, "the database does not answer");
    let message = "The database does not answer; see the log of the service.";
    error(StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// Looks something up on a thread that may block.
async fn look<T: Send + 'static>(
    shared: &Shared,
    look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Response> {
    let looked = shared.store.look(PATIENCE, look).await;
    looked.map_err(|reason| failed(&reason))
}

/// What `answer` makes of a conversation of this account.
async fn of<T: Send + 'static>(
    shared: &Shared,
    account: Account,
    id: Id,
    answer: impl FnOnce(Found, &Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Response> {
    let Some(id) = number(id) else {
        return Err(unknown());
    };
    let delay = shared.config.history_delay;
    let found = look(shared, move |database| {
        match find(database, &account.0, id)? {
            Some(mut found) => {
                if !delay.is_zero() {
                    let delay = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
                    found.until = steady().saturating_sub(delay);
                }
                answer(found, database).map(Some)
            }
            None => Ok(None),
        }
    });
    found.await?.ok_or_else(unknown)
}

/// A list, and its first piece, which is all of it where no more follows.
type Begun = (Listing, (Vec<u8>, bool));

fn begin(mut listing: Listing, from: &Connection) -> rusqlite::Result<Begun> {
    let piece = listing.read(from)?;
    Ok((listing, piece))
}

/// Answers with a list. Pieces are read as the client takes them: while it does not,
/// nothing is read, and when it hangs up nothing more.
fn listed(shared: Shared, begun: Result<Begun, Response>) -> Response {
    let (listing, (first, more)) = match begun {
        Ok(begun) => begun,
        Err(response) => return response,
    };
    if !more {
        return (JSON, first).into_response();
    }
    let first = stream::once(ready(Ok(first)));
    let rest = stream::try_unfold(Some(listing), move |listing| {
        let store = Arc::clone(&shared.store);
        async move {
            let Some(mut listing) = listing else {
                return Ok::<_, StoreError>(None);
            };
            let read = move |database: &Connection| {
                let (piece, more) = listing.read(database)?;
                Ok((piece, more.then_some(listing)))
            };
            store.look(PATIENCE, read).await.map(Some)
        }
    });
    // An error ends the connection within the list, so that nobody takes it for whole.
    let rest =
        rest.inspect_err(|reason| tracing::error!(%reason, "a list was not read to its end"));
    (JSON, Body::from_stream(first.chain(rest))).into_response()
}

/// An id is a number in decimal digits.
fn number(id: Id) -> Option<i64> {
    let Path(id) = id.ok()?;
    id.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| id.parse().ok())?
}

fn unknown() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "No conversation with this id is known.",
    )
}

/// A path under which a part of a conversation is found that is never long.
fn part(
    answer: impl Fn(Found, &Connection) -> rusqlite::Result<Value> + Copy + Send + Sync + 'static,
) -> MethodRouter<Shared> {
    get(
        move |State(shared): State<Shared>, account: Account, id: Id| async move {
            match of(&shared, account, id, answer).await {
                Ok(value) => Json(value).into_response(),
                Err(response) => response,
            }
        },
    )
}

/// A path under which a list of things of a conversation is found.
fn list_of(
    answer: impl Fn(Found, &Connection) -> rusqlite::Result<Listing> + Copy + Send + Sync + 'static,
) -> MethodRouter<Shared> {
    get(
        move |State(shared): State<Shared>, account: Account, id: Id| async move {
            let begun = of(&shared, account, id, move |found, database| {
                begin(answer(found, database)?, database)
            });
            let begun = begun.await;
            listed(shared, begun)
        },
    )
}

fn insights(which: Insights) -> MethodRouter<Shared> {
    list_of(move |found, database| found.insights(database, which))
}

/// The query, decoded.
type Asked = Query<Vec<(String, String)>>;

async fn messages(
    State(shared): State<Shared>,
    account: Account,
    id: Id,
    Query(asked): Asked,
) -> Response {
    let wanted = match wanted_messages(&asked) {
        Ok(wanted) => wanted,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let begun = of(&shared, account, id, move |found, database| {
        begin(found.messages(wanted), database)
    });
    let begun = begun.await;
    listed(shared, begun)
}

/// What must stand in a parameter of the query, where something else does.
fn must(name: &str, what: &str) -> String {
    format!("`{name}` must be {what}.")
}

/// A time in a parameter of the query, in nanoseconds since the Unix epoch.
fn time(name: &str, value: &str) -> Result<i64, String> {
    // A `+` that was not escaped is a space.
    parse_rfc3339(&value.replace(' ', "+")).ok_or_else(|| must(name, "a time in RFC 3339"))
}

/// Which messages the query asks for. The original knows `verbose` only; the others are
/// named as those of the list of conversations.
fn wanted_messages(asked: &[(String, String)]) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    for (name, value) in asked {
        let count = || {
            let count = value.parse().ok().filter(|count| *count >= 0);
            count.ok_or_else(|| must(name, "a number from 0"))
        };
        match name.as_str() {
            "verbose" => wanted.verbose = value == "true",
            "startTime" => wanted.from = time(name, value)?,
            "endTime" => wanted.to = time(name, value)?,
            "limit" => wanted.limit = count()?,
            "offset" => wanted.offset = count()?,
            _ => {}
        }
    }
    Ok(wanted)
}

/// What the query says about the list, or what cannot be.
fn wanted(asked: &[(String, String)]) -> Result<List, String> {
    let mut wanted = List {
        limit: 20,
        offset: 0,
        descending: true,
        sort: Sort::Created,
        filter: Filter::default(),
        from: i64::MIN,
        to: i64::MAX,
    };
    for (name, value) in asked {
        let must = |what| must(name, what);
        match name.as_str() {
            "limit" => {
                let limit = value.parse().ok().filter(|n| *n <= LONGEST_LIST);
                wanted.limit = limit.ok_or_else(|| must("0 to 65536"))?;
            }
            "offset" => wanted.offset = value.parse().map_err(|_| must("a number"))?,
            "order" => {
                wanted.descending = match value.to_ascii_lowercase().as_str() {
                    "desc" => true,
                    "asc" => false,
                    _ => return Err(must("`asc` or `desc`")),
                }
            }
            "sort" => {
                wanted.sort = match value.as_str() {
                    "startTime" => Sort::Start,
                    "endTime" => Sort::End,
                    "name" => Sort::Name,
                    _ => return Err(must("`startTime`, `endTime` or `name`")),
                }
            }
            "filter" => {
                wanted.filter = Filter::parse(value).map_err(|error| format!("{error}."))?;
            }
            "startTime" => wanted.from = time(name, value)?,
            "endTime" => wanted.to = time(name, value)?,
            _ => {}
        }
    }
    Ok(wanted)
}

async fn conversations(
    State(shared): State<Shared>,
    Account(account): Account,
    Query(asked): Asked,
) -> Response {
    let wanted = match wanted(&asked) {
        Ok(wanted) => wanted,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let begun = look(&shared, move |database| {
        begin(list(database, &account, &wanted)?, database)
    });
    let begun = begun.await;
    listed(shared, begun)
}

/// What came of a part of a deletion.
enum Deleted {
    Nothing,
    /// The conversation is not over.
    Runs,
    APart,
    Whole,
}

/// Deletes a conversation in parts, so that what is said elsewhere is written in between.
/// The answer 200 comes when its words are in no file any more.
async fn delete(State(shared): State<Shared>, Account(account): Account, id: Id) -> Response {
    let Some(id) = number(id) else {
        return unknown();
    };
    let mut begun = false;
    loop {
        let account = account.clone();
        let deleted = shared.store.alter(move |database| {
            Ok(match find(database, &account, id)? {
                None => Deleted::Nothing,
                Some(found) if !found.is_over => Deleted::Runs,
                Some(found) if found.delete_some(database)? => Deleted::Whole,
                Some(_) => Deleted::APart,
            })
        });
        match deleted.await {
            Ok(Deleted::APart) => begun = true,
            Ok(Deleted::Whole) => break,
            // Somebody else deletes it too.
            Ok(Deleted::Nothing) if begun => break,
            Ok(Deleted::Nothing) => return unknown(),
            Ok(Deleted::Runs) => {
                return error(StatusCode::CONFLICT, "The conversation is not over yet.");
            }
            Err(reason) => return failed(&reason),
        }
    }
    let until = Instant::now() + LONGEST_PURGE;
    loop {
        match shared.store.purge().await {
            Ok(true) => {
                return Json(json!({"message": "The conversation is deleted."})).into_response();
            }
            // Another program reads, or the database is large and somebody speaks.
            Ok(false) if Instant::now() < until => sleep(PURGE_AGAIN).await,
            Ok(false) => {
                let message = "The conversation is deleted. Traces of its words stay in unused \
                               parts of the files until nobody speaks and no other program \
                               reads the database.";
                return (StatusCode::ACCEPTED, Json(json!({"message": message}))).into_response();
            }
            Err(reason) => return failed(&reason),
        }
    }
}

/// Body of a change of a member.
#[derive(Deserialize)]
struct Member {
    name: Option<String>,
    email: Option<String>,
}

async fn rename(
    State(shared): State<Shared>,
    Account(account): Account,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(reason) => return unreadable(&reason),
    };
    let Ok(Path((id, member))) = path else {
        return unknown();
    };
    let Some(number) = number(Ok(Path(id.clone()))) else {
        return unknown();
    };
    let Ok(Member { name, email }) = serde_json::from_slice(&body) else {
        let message = "The body must be a JSON object with `name`, `email` or both, as strings.";
        return error(StatusCode::BAD_REQUEST, message);
    };
    let limit = shared.config.limits.text;
    let longest = [&name, &email].map(|text| text.as_deref().map_or(0, str::len));
    if longest.iter().any(|length| *length > limit) {
        let message = format!("`name` and `email` may have at most {limit} bytes each.");
        return error(StatusCode::BAD_REQUEST, &message);
    }
    let answer = format!(
        "Member with id: {member} for conversationId: {id} updated successfully! The update \
         should be reflected in all messages and insights along with this conversation"
    );
    let hub = Arc::clone(&shared.hub);
    let renamed = shared.store.alter(move |database| {
        let Some(found) = find(database, &account, number)? else {
            return Ok(None);
        };
        let renamed = found.rename(database, &member, name.as_deref(), email.as_deref())?;
        Ok(renamed.then_some((account, member, name, email)))
    });
    let renamed = match renamed.await {
        Ok(renamed) => renamed,
        Err(reason) => return failed(&reason),
    };
    // Its locks may be waited for, which the writer must not do.
    let renamed = look(&shared, move |_| {
        let told = renamed.map(|(account, member, name, email)| {
            hub.rename(&account, number, &member, name.as_deref(), email.as_deref());
        });
        Ok(told.is_some())
    });
    match renamed.await {
        Ok(true) => Json(json!({ "message": answer })).into_response(),
        Ok(false) => error(
            StatusCode::NOT_FOUND,
            "No conversation with this id and member is known.",
        ),
        Err(response) => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_while_too_many_read_is_told_when_to_ask_again() {
        let response = failed(&StoreError::Busy(PATIENCE));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(RETRY_AFTER));
    }
}
