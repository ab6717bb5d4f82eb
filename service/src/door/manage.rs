// SPDX-License-Identifier: MPL-2.0

//! The Management API's paths for trackers.
//!
//! `/v1/manage/tracker` and `/v1/manage/trackers` are the older and the newer
//! name; both take one tracker or, as an array, several. A `PUT` replaces name and
//! vocabulary. Bodies above 1 MB are refused, as the reference says.

use crate::door::connection::LARGEST_BODY;
use crate::door::handshake::Account;
use crate::door::http::{Shared, error};
use crate::trackers::{KeptTracker, TrackerError, TrackerStore, check};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use symbl_protocol::Tracker;

pub(crate) fn routes() -> Router<Shared> {
    let all = get(list).post(create);
    let one = get(read).put(replace).delete(delete);
    Router::new()
        .route("/v1/manage/tracker", all.clone())
        .route("/v1/manage/trackers", all)
        .route("/v1/manage/trackers/bulk", post(create))
        .route("/v1/manage/tracker/{id}", one.clone())
        .route("/v1/manage/trackers/{id}", one)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// A tracker as it is sent; other members are for other services.
#[derive(Deserialize)]
struct Sent {
    name: String,
    vocabulary: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SentTrackers {
    Several(Vec<Sent>),
    One(Sent),
}

#[derive(Deserialize)]
struct Filter {
    name: Option<String>,
}

/// Asks the store about an account, on a thread that may block.
async fn ask<T: Send + 'static>(
    shared: &Shared,
    Account(account): Account,
    ask: impl FnOnce(&dyn TrackerStore, &str) -> Result<T, TrackerError> + Send + 'static,
) -> Result<T, TrackerError> {
    let store = Arc::clone(&shared.hub.trackers);
    let workers = &shared.hub.workers;
    let asked = workers.run(move || ask(store.as_ref(), &account)).await;
    asked.map_err(|error| TrackerError::Store(error.to_string()))?
}

async fn list(State(shared): State<Shared>, account: Account, filter: Query<Filter>) -> Response {
    let listed = ask(&shared, account, |store, account| store.list(account)).await;
    answer(listed, |mut trackers| {
        if let Some(name) = &filter.name {
            trackers.retain(|tracker| tracker.name == *name);
        }
        json!({ "trackers": trackers })
    })
}

async fn create(
    State(shared): State<Shared>,
    account: Account,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let (sent, single) = match parse(body) {
        Ok(SentTrackers::One(sent)) => (vec![sent], true),
        Ok(SentTrackers::Several(sent)) => (sent, false),
        Err((status, why)) => return error(status, &why),
    };
    let checked: Result<Vec<Tracker>, TrackerError> = sent.into_iter().map(checked).collect();
    let made = match checked {
        Err(refused) => Err(refused),
        Ok(trackers) => {
            ask(&shared, account, |store, account| {
                store.create(account, trackers)
            })
            .await
        }
    };
    answer(made, |trackers| match (single, trackers.as_slice()) {
        (true, [tracker]) => json!({ "tracker": tracker }),
        _ => json!({ "trackers": trackers }),
    })
}

async fn read(State(shared): State<Shared>, account: Account, Path(id): Path<String>) -> Response {
    let listed = ask(&shared, account, |store, account| store.list(account)).await;
    let found = listed.and_then(|trackers| {
        let found = trackers.into_iter().find(|tracker| tracker.id == id);
        found.ok_or(TrackerError::NotFound)
    });
    answer(found, one)
}

async fn replace(
    State(shared): State<Shared>,
    account: Account,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match parse(body) {
        Ok(SentTrackers::One(sent)) => {
            let replaced = match checked(sent) {
                Err(refused) => Err(refused),
                Ok(tracker) => {
                    ask(&shared, account, move |store, account| {
                        store.replace(account, &id, tracker)
                    })
                    .await
                }
            };
            answer(replaced, one)
        }
        Ok(SentTrackers::Several(_)) => error(
            StatusCode::BAD_REQUEST,
            "One tracker is expected, not an array.",
        ),
        Err((status, why)) => error(status, &why),
    }
}

async fn delete(
    State(shared): State<Shared>,
    account: Account,
    Path(id): Path<String>,
) -> Response {
    let deleted = ask(&shared, account, move |store, account| {
        store.delete(account, &id).map(|()| id)
    });
    answer(
        deleted.await,
        |id| json!({ "id": id, "type": "tracker", "deleted": true }),
    )
}

fn one(tracker: KeptTracker) -> serde_json::Value {
    json!({ "tracker": tracker })
}

fn parse(body: Result<Bytes, BytesRejection>) -> Result<SentTrackers, (StatusCode, String)> {
    let body = body.map_err(|rejection| (rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body).map_err(|_| {
        let expected = "A JSON object with \"name\" (string) and \"vocabulary\" (array of \
                        strings) is expected, or an array of them.";
        (StatusCode::BAD_REQUEST, expected.to_owned())
    })
}

fn checked(sent: Sent) -> Result<Tracker, TrackerError> {
    let tracker = Tracker {
        name: sent.name,
        vocabulary: sent.vocabulary,
    };
    check(&tracker)?;
    Ok(tracker)
}

fn answer<T>(
    result: Result<T, TrackerError>,
    body: impl FnOnce(T) -> serde_json::Value,
) -> Response {
    match result {
        Ok(value) => Json(body(value)).into_response(),
        Err(reason) => {
            let status = match reason {
                TrackerError::Invalid(_) | TrackerError::Full => StatusCode::BAD_REQUEST,
                TrackerError::NameTaken(_) => StatusCode::CONFLICT,
                TrackerError::NotFound => StatusCode::NOT_FOUND,
                TrackerError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            error(status, &reason.to_string())
        }
    }
}
