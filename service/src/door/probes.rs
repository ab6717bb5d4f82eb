// SPDX-License-Identifier: MPL-2.0

//! What programs ask that look after the service: `/livez`, `/readyz`, `/healthz`,
//! `/version` and `/metrics`. None asks for a token, and no answer is confidential.

use crate::door::http::Shared;
use crate::door::ops;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

/// Paths that may be asked for under any name of a host.
pub(crate) const OPEN: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// The API that clients speak.
const API: &str = "v1";

/// Returns the paths; `/metrics` is left out if it has an address of its own.
pub(crate) fn routes(with_metrics: bool) -> Router<Shared> {
    let routes = Router::new()
        .route("/healthz", get(health))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/version", get(version));
    match with_metrics {
        true => routes.route("/metrics", get(metrics)),
        false => routes,
    }
}

/// Returns the paths of the address that only serves these.
pub(crate) fn router(shared: Shared) -> Router {
    routes(true).with_state(shared)
}

/// Answers if new entries can be stored.
async fn health(State(shared): State<Shared>) -> Response {
    match shared.records.probe().await {
        Ok(()) => Json(json!({"status": "ok"})).into_response(),
        Err(reason) => {
            let reason = reason.reason();
            let message = "What is said cannot be stored; see the log of the service.";
            let body = json!({"status": "failing", "reason": reason, "message": message});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// Answers that the process answers.
async fn live() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// Answers if a client that comes now would be served: the engines are loaded, what is said
/// can be stored, another stream would be admitted, the clock is that of the cluster, and the
/// service is not about to end.
async fn ready(State(shared): State<Shared>) -> Response {
    let engines: Vec<&str> = shared.hearing.engines.all().map(|e| e.name()).collect();
    let store = match shared.records.probe().await {
        Ok(()) => "ok".to_owned(),
        Err(reason) => reason.reason().to_string(),
    };
    let full = !shared.hearing.admission.admits() || shared.places.available_permits() == 0;
    let clock = shared.records.clock();
    let stopping = *shared.shutdown.borrow();
    let draining = shared.hub.sockets.is_draining();
    let failing = [
        (store != "ok", "store"),
        (full, "load"),
        (draining && !stopping, "draining"),
        (clock.is_some(), "clock"),
        (stopping, "stopping"),
    ];
    let why: Vec<&str> = failing
        .iter()
        .filter_map(|(fails, why)| fails.then_some(*why))
        .collect();
    let (status, text) = match why.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let mut body = json!({
        "status": text,
        "why": why,
        "engines": engines,
        "store": store,
        "load": shared.hearing.admission.load(),
    });
    if let Some(clock) = clock {
        body["clock"] = clock.into();
    }
    (status, Json(body)).into_response()
}

/// Answers which release this is.
async fn version() -> Response {
    let body = json!({
        "name": "symbl-service",
        "version": env!("CARGO_PKG_VERSION"),
        "revision": option_env!("SYMBL_REVISION"),
        "api": API,
    });
    Json(body).into_response()
}

/// Answers with the metrics.
async fn metrics(State(shared): State<Shared>) -> Response {
    let hub = &shared.hub;
    hub.metrics
        .load(shared.hearing.admission.load(), hub.awaited());
    let draining = hub.sockets.is_draining();
    let left = draining.then(|| hub.sockets.count());
    hub.metrics.left_to_drain(left.unwrap_or(0));
    ops::metrics(&hub.metrics)
}
