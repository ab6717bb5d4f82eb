// SPDX-License-Identifier: MPL-2.0

//! Refuses new sockets and jobs while the service lets its clients go before it ends. A load
//! balancer then tries another node, and other clients try again.

use crate::conversation::sockets::Sockets;
use crate::door::{http, socketio};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;

/// Answers 503 to a request that would begin something.
pub(crate) async fn check(
    State(sockets): State<Arc<Sockets>>,
    request: Request,
    next: Next,
) -> Response {
    if !sockets.refuses() || !begins(&request) {
        return next.run(request).await;
    }
    http::unavailable("The service is about to end; try another one, or try again.")
}

/// Returns `true` if the request is for a socket or a job.
fn begins(request: &Request) -> bool {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let is_known = query.split('&').any(|pair| pair.starts_with("sid="));
    let is_socket = ["/v1/streaming/", "/v1/realtime/", "/v1/subscribe/"]
        .iter()
        .chain(&["/session/subscribe/"])
        .any(|start| path.starts_with(start));
    let is_job = path.starts_with("/v1/process/") && request.method() != Method::GET;
    is_socket || is_job || socketio::is_path(path) && !is_known
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn what_begins_a_socket_or_a_job_is_known_by_its_path() {
        for (method, path, expected) in [
            ("GET", "/v1/streaming/x", true),
            ("GET", "/v1/realtime/insights/x", true),
            ("GET", "/v1/subscribe/x?after=1", true),
            ("GET", "/session/subscribe/x", true),
            ("GET", "/socket.io/?EIO=4&transport=websocket", true),
            ("GET", "/v1/web/page/ws?EIO=4", true),
            ("POST", "/socket.io/?EIO=4&sid=abc", false),
            ("POST", "/v1/process/text", true),
            ("PUT", "/v1/process/audio/1", true),
            ("GET", "/v1/job/1", false),
            ("GET", "/v1/conversations/1/messages", false),
            ("GET", "/readyz", false),
            ("POST", "/oauth2/token:generate", false),
        ] {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::empty()).expect("a request");
            assert_eq!(begins(&request), expected, "{method} {path}");
        }
    }
}
