// SPDX-License-Identifier: MPL-2.0

//! How long one conversation is kept: `PUT /v1/conversations/{id}/retention`. It is no path of
//! Symbl's API.

use crate::door::asked::{Own, Sent};
use crate::door::http::{Shared, error};
use crate::door::rest::{failed, unknown};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::time::Duration;

/// Most days that a conversation may be kept: a hundred years.
pub(crate) const MOST: f64 = 36_525.0;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/v1/conversations/{id}/retention", put(retain))
}

/// Returns the seconds that a number of days has, 0 for ever. `None` for what is no number of
/// days from 0 to [`MOST`].
pub(crate) fn seconds(days: &Value) -> Option<u32> {
    let days = days.as_f64().filter(|days| (0.0..=MOST).contains(days))?;
    // Less than a second would be for ever.
    Some((days * 86_400.0).ceil() as u32)
}

/// Returns how long the body asks for: `Some(None)` is what the service says, and `None` a
/// body that asks for no such time.
fn asked(body: &[u8]) -> Option<Option<Duration>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    match body.as_object()?.get("days")? {
        Value::Null => Some(None),
        days => seconds(days).map(|seconds| Some(Duration::from_secs(seconds.into()))),
    }
}

async fn retain(State(shared): State<Shared>, Own(whose): Own, Sent(body): Sent) -> Response {
    let Some(keep) = asked(&body) else {
        let message = format!(
            "The body must be a JSON object with `days`: how many days the conversation is kept \
             after its end, from 0 (for ever) to {MOST}, or null for as long as the service says."
        );
        return error(StatusCode::BAD_REQUEST, &message);
    };
    match shared.retention.retain(whose, keep).await {
        Ok(true) => {
            Json(json!({"message": "The conversation is kept as long as you say."})).into_response()
        }
        Ok(false) => unknown(),
        Err(reason) => failed(&reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_how_many_days() {
        let seconds = |seconds| Some(Some(Duration::from_secs(seconds)));
        for (body, expected) in [
            (r#"{"days": 1}"#, seconds(86_400)),
            (r#"{"days": 0}"#, seconds(0)),
            (r#"{"days": 0.000001}"#, seconds(1)),
            (r#"{"days": null}"#, Some(None)),
            (r#"{"days": -1}"#, None),
            (r#"{"days": 1e9}"#, None),
            (r#"{"days": "1"}"#, None),
            ("{}", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(asked(body.as_bytes()), expected, "{body}");
        }
    }
}
