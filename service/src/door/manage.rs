// SPDX-License-Identifier: MPL-2.0

//! The Management API's paths for trackers.
//!
//! `/v1/manage/tracker` and `/v1/manage/trackers` are the older and the newer
//! name; both take one tracker or, as an array, several. A `PUT` replaces name and
//! vocabulary, and a `PATCH` changes them. Bodies above 1 MB are refused, as the reference says.

use crate::door::connection::LARGEST_BODY;
use crate::door::handshake::Account;
use crate::door::http::{Shared, error};
use crate::door::rest::{Asked, away};
use crate::door::symbl::bounds::shortened;
use crate::door::unhonoured::Unhonoured;
use crate::trackers::{KeptTracker, TrackerError, TrackerStore, check};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use json_patch::{Patch, PatchOperation};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use symbl_protocol::Tracker;

pub(crate) fn routes() -> Router<Shared> {
    let all = get(list).post(create);
    let one = get(read).put(replace).patch(patch).delete(delete);
    Router::new()
        .route("/v1/manage/tracker", all.clone())
        .route("/v1/manage/trackers", all)
        .route("/v1/manage/trackers/bulk", post(create))
        .route("/v1/manage/tracker/{id}", one.clone())
        .route("/v1/manage/trackers/{id}", one)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// A tracker as it is sent.
#[derive(Deserialize)]
struct Sent {
    name: String,
    vocabulary: Vec<String>,
    /// Members that a tracker of this service does not have.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl SentTrackers {
    /// Returns what these trackers ask for in vain. The id in a body is that of the path.
    fn unhonoured(&self) -> Unhonoured {
        let others = |sent: &Sent| Unhonoured::body(&sent.others, &["id"]);
        match self {
            Self::One(sent) => others(sent),
            Self::Several(several) => several
                .iter()
                .map(others)
                .fold(Unhonoured::default(), Unhonoured::and),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SentTrackers {
    Several(Vec<Sent>),
    One(Sent),
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

async fn list(State(shared): State<Shared>, account: Account, Query(asked): Asked) -> Response {
    let name = asked.iter().rev().find(|(name, _)| name == "name");
    let listed = ask(&shared, account, |store, account| store.list(account)).await;
    answer(listed, |mut trackers| {
        if let Some((_, name)) = name {
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
    let sent = match parse(body) {
        Ok(sent) => sent,
        Err((status, why)) => return error(status, &why),
    };
    let unhonoured = sent.unhonoured();
    let (sent, single) = match sent {
        SentTrackers::One(sent) => (vec![sent], true),
        SentTrackers::Several(sent) => (sent, false),
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
    let answer = answer(made, |trackers| match (single, trackers.as_slice()) {
        (true, [tracker]) => json!({ "tracker": tracker }),
        _ => json!({ "trackers": trackers }),
    });
    unhonoured.tell(answer)
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
    let sent = match parse(body) {
        Ok(sent) => sent,
        Err((status, why)) => return error(status, &why),
    };
    let unhonoured = sent.unhonoured();
    let SentTrackers::One(sent) = sent else {
        return error(
            StatusCode::BAD_REQUEST,
            "One tracker is expected, not an array.",
        );
    };
    let replaced = match checked(sent) {
        Err(refused) => Err(refused),
        Ok(tracker) => {
            ask(&shared, account, move |store, account| {
                store.replace(account, &id, tracker)
            })
            .await
        }
    };
    unhonoured.tell(answer(replaced, one))
}

/// Changes a tracker by the operations of a JSON Patch (RFC 6902).
async fn patch(
    State(shared): State<Shared>,
    account: Account,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), &rejection.body_text()),
    };
    let Ok(changes) = serde_json::from_slice::<Patch>(&body) else {
        let expected = "An array of operations of RFC 6902 is expected, such as \
                        [{\"op\": \"replace\", \"path\": \"/name\", \"value\": \"Pricing\"}].";
        return error(StatusCode::BAD_REQUEST, expected);
    };
    let changed = ask(&shared, account, move |store, account| {
        let trackers = store.list(account)?;
        let found = trackers.into_iter().find(|tracker| tracker.id == id);
        let tracker = changed(found.ok_or(TrackerError::NotFound)?, &changes)?;
        store.replace(account, &id, tracker)
    });
    answer(changed.await, one)
}

/// Most tokens in the path of a patch: `/vocabulary/3` has two.
const DEEPEST: usize = 2;

/// Returns a tracker after a JSON Patch.
fn changed(tracker: KeptTracker, changes: &Patch) -> Result<Tracker, TrackerError> {
    // Each `copy` may double the tracker, and values below values may nest without end.
    let grows = |change: &PatchOperation| {
        let depth = change.path().tokens().count();
        depth > DEEPEST || matches!(change, PatchOperation::Copy(_))
    };
    if changes.iter().any(grows) {
        let message = "A patch may add, remove, replace, move and test `/name`, `/vocabulary` and \
                       `/vocabulary/NUMBER`.";
        return Err(TrackerError::Invalid(message.to_owned()));
    }
    let mut value = json!({"name": tracker.name, "vocabulary": tracker.vocabulary});
    json_patch::patch(&mut value, changes).map_err(|reason| {
        TrackerError::Invalid(format!("The patch cannot be applied: {reason}."))
    })?;
    let sent: Sent = serde_json::from_value(value).map_err(|_| {
        let message = "The patch must leave `name` a string and `vocabulary` an array of strings.";
        TrackerError::Invalid(message.to_owned())
    })?;
    match sent.others.keys().next() {
        None => checked(sent),
        Some(name) => Err(TrackerError::Invalid(format!(
            "A tracker has no member `{}`, only `name` and `vocabulary`.",
            shortened(name)
        ))),
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
                TrackerError::Away(_) => {
                    tracing::warn!(%reason, "the database does not answer");
                    return away();
                }
                TrackerError::Store(_) => {
                    tracing::error!(%reason, "the database does not answer");
                    let message = "The database does not answer; see the log of the service.";
                    return error(StatusCode::INTERNAL_SERVER_ERROR, message);
                }
            };
            error(status, &reason.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(changes: serde_json::Value) -> Result<(String, Vec<String>), String> {
        let tracker = KeptTracker {
            id: "1".to_owned(),
            name: "Pricing".to_owned(),
            vocabulary: vec!["price".to_owned(), "cost".to_owned()],
        };
        let changes: Patch = serde_json::from_value(changes).expect("a patch");
        let changed = changed(tracker, &changes).map_err(|reason| reason.to_string())?;
        Ok((changed.name, changed.vocabulary))
    }

    #[test]
    fn a_patch_changes_the_name_and_single_phrases() {
        let changes = json!([
            {"op": "replace", "path": "/name", "value": "Money"},
            {"op": "add", "path": "/vocabulary/-", "value": "discount"},
            {"op": "remove", "path": "/vocabulary/0"},
        ]);
        let phrases = ["cost", "discount"].map(str::to_owned).to_vec();
        assert_eq!(after(changes), Ok(("Money".to_owned(), phrases)));
    }

    #[test]
    fn a_patch_that_leaves_no_tracker_or_could_grow_without_end_is_refused() {
        for (changes, why) in [
            (json!([{"op": "remove", "path": "/name"}]), "leave `name`"),
            (
                json!([{"op": "remove", "path": "/none"}]),
                "cannot be applied",
            ),
            (
                json!([{"op": "add", "path": "/categories", "value": []}]),
                "no member `categories`",
            ),
            (
                json!([{"op": "copy", "from": "", "path": "/x"}]),
                "may add, remove",
            ),
            (
                json!([{"op": "add", "path": "/a/b/c", "value": 1}]),
                "may add, remove",
            ),
        ] {
            let refused = after(changes.clone()).expect_err("a refusal");
            assert!(refused.contains(why), "{changes}: {refused}");
        }
    }
}
