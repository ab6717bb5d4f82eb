// SPDX-License-Identifier: MPL-2.0

//! What operators ask for: `GET /metrics`, and the count of requests for WebSockets that
//! were refused.

use crate::metrics::Metrics;
use crate::traces::Answered;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the answer to `GET /metrics`.
pub(crate) fn metrics(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, TYPE)], text).into_response(),
        // A string takes everything.
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Traces each request, by the path that it has in the router. The ids and the query of an
/// address are not in it.
pub(crate) async fn trace(
    State(metrics): State<Arc<Metrics>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    if !metrics.traces.are_wanted() {
        return next.run(request).await;
    }
    let begun = Instant::now();
    let method = known(request.method());
    let headers = request.headers().clone();
    let response = next.run(request).await;
    metrics.traces.answered(&Answered {
        headers: &headers,
        method,
        route: path.as_ref().map_or("other", MatchedPath::as_str),
        status: response.status().as_u16(),
        begun,
    });
    response
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

/// Returns the name of a method of HTTP. Others, which any client may invent, have none.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
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
