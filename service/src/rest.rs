// SPDX-License-Identifier: MPL-2.0

//! The Conversation API: what was said in a conversation, so far or altogether.
//!
//! Everything is looked up in the database, off the runtime's workers, and only
//! what belongs to the account that asks is found: to others a conversation is
//! as unknown (404) as one that never was.

use crate::handshake::Account;
use crate::http::{Shared, error, unreadable};
use crate::store::{Filter, Found, Insights, List, Sort, StoreError, find, list, now};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, put};
use axum::{Json, Router};
use gstsymbl::protocol::timestamp::parse_rfc3339;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most conversations in one answer, as the reference has it.
const LONGEST_LIST: u32 = 65_536;

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
        .route(&at("/topics"), part(Found::topics))
        .route(&at("/trackers-detected"), part(Found::trackers))
        .route(&at("/trackers"), part(Found::trackers))
        .route(&at("/entities"), part(Found::entities))
}

/// Whether the service serves: it answers, and so does its database.
async fn health(State(shared): State<Shared>) -> Response {
    let alive = look(shared, |database| {
        database.query_row("SELECT 1", [], |_| Ok(()))
    });
    match alive.await {
        Ok(()) => Json(json!({"status": "ok"})).into_response(),
        Err(_) => error(
            StatusCode::SERVICE_UNAVAILABLE,
            "The database does not answer; see the log of the service.",
        ),
    }
}

/// What is counted.
async fn metrics(State(shared): State<Shared>) -> Response {
    let hub = &shared.hub;
    hub.metrics.load(shared.entrance.load(hub.awaited()));
    hub.metrics.answer()
}

type Id = Result<Path<String>, PathRejection>;

/// Looks something up on a thread that may block.
async fn look<T: Send + 'static>(
    shared: Shared,
    look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Response> {
    let looked = tokio::task::spawn_blocking(move || shared.store.with(look)).await;
    let failed = |reason: &dyn std::fmt::Display| {
        tracing::error!(%reason, "the database does not answer");
        let message = "The database does not answer; see the log of the service.";
        error(StatusCode::INTERNAL_SERVER_ERROR, message)
    };
    looked
        .map_err(|reason| failed(&reason))?
        .map_err(|reason: StoreError| failed(&reason))
}

/// What `answer` makes of a conversation of this account.
async fn of(
    shared: Shared,
    account: Account,
    id: Id,
    answer: impl FnOnce(Found, &Connection) -> rusqlite::Result<Value> + Send + 'static,
) -> Response {
    let Some(id) = number(id) else {
        return unknown();
    };
    let delay = shared.config.history_delay;
    let found = look(shared, move |database| {
        match find(database, &account.0, id)? {
            Some(mut found) => {
                if !delay.is_zero() {
                    let delay = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
                    found.until = now().saturating_sub(delay);
                }
                answer(found, database).map(Some)
            }
            None => Ok(None),
        }
    });
    match found.await {
        Ok(Some(value)) => Json(value).into_response(),
        Ok(None) => unknown(),
        Err(response) => response,
    }
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

/// A path under which a part of a conversation is found.
fn part(
    answer: impl Fn(Found, &Connection) -> rusqlite::Result<Value> + Copy + Send + Sync + 'static,
) -> MethodRouter<Shared> {
    get(
        move |State(shared): State<Shared>, account: Account, id: Id| {
            of(shared, account, id, answer)
        },
    )
}

fn insights(which: Insights) -> MethodRouter<Shared> {
    part(move |found, database| found.insights(database, which))
}

/// The query, decoded.
type Asked = Query<Vec<(String, String)>>;

async fn messages(
    State(shared): State<Shared>,
    account: Account,
    id: Id,
    Query(asked): Asked,
) -> Response {
    let verbose = asked
        .iter()
        .any(|(name, value)| name == "verbose" && value == "true");
    of(shared, account, id, move |found, database| {
        found.messages(database, verbose)
    })
    .await
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
        let must = |what: &str| format!("`{name}` must be {what}.");
        let time = || {
            // A `+` that was not escaped is a space.
            parse_rfc3339(&value.replace(' ', "+")).ok_or_else(|| must("a time in RFC 3339"))
        };
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
            "startTime" => wanted.from = time()?,
            "endTime" => wanted.to = time()?,
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
    match look(shared, move |database| list(database, &account, &wanted)).await {
        Ok(value) => Json(value).into_response(),
        Err(response) => response,
    }
}

async fn delete(State(shared): State<Shared>, account: Account, id: Id) -> Response {
    let Some(id) = number(id) else {
        return unknown();
    };
    let deleted = look(shared, move |database| {
        let found = find(database, &account.0, id)?;
        if let Some(found) = found.filter(|found| found.is_over) {
            found.delete(database)?;
        }
        Ok(found)
    });
    match deleted.await {
        Ok(Some(found)) if found.is_over => {
            Json(json!({"message": "The conversation is deleted."})).into_response()
        }
        Ok(Some(_)) => error(StatusCode::CONFLICT, "The conversation is not over yet."),
        Ok(None) => unknown(),
        Err(response) => response,
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
    let hub = std::sync::Arc::clone(&shared.hub);
    let answer = format!(
        "Member with id: {member} for conversationId: {id} updated successfully! The update \
         should be reflected in all messages and insights along with this conversation"
    );
    let renamed = look(shared, move |database| {
        let Some(found) = find(database, &account, number)? else {
            return Ok(false);
        };
        let renamed = found.rename(database, &member, name.as_deref(), email.as_deref())?;
        if renamed {
            hub.rename(&account, number, &member, name.as_deref(), email.as_deref());
        }
        Ok(renamed)
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
