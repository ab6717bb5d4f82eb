// SPDX-License-Identifier: MPL-2.0

//! What operators ask for: `GET /metrics`, and the count of requests for WebSockets that
//! were refused.

use crate::metrics::Metrics;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::fmt;
use std::sync::Arc;

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the answer to `GET /metrics`.
pub(crate) fn metrics(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, TYPE)], text).into_response(),
        // A string takes everything.
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Counts the requests for WebSockets that were refused.
pub(crate) async fn count(
    State(metrics): State<Arc<Metrics>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let socket = |path: &MatchedPath| {
        let path = path.as_str();
        ["streaming", "realtime", "subscribe"].contains(&path.split('/').nth(2).unwrap_or_default())
    };
    if path.as_ref().is_some_and(socket)
        && let Some(reason) = reason(response.status())
    {
        metrics.refused.count(reason);
    }
    response
}

fn reason(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::SWITCHING_PROTOCOLS => return None,
        StatusCode::BAD_REQUEST => "bad_id",
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "unknown_id",
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::UPGRADE_REQUIRED => "no_websocket",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        StatusCode::TOO_MANY_REQUESTS => "limit",
        StatusCode::SERVICE_UNAVAILABLE => "busy",
        _ => "other",
    })
}
