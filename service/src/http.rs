// SPDX-License-Identifier: MPL-2.0

//! The HTTP side: paths, tokens, and what is said to a request that is no
//! WebSocket. Error bodies are `{"message": …}`, as the API's errors are.

use crate::config::ServerConfig;
use crate::fault::OnLine;
use crate::hub::Hub;
use crate::socket;
use crate::token::{TokenError, Tokens};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, RawQuery, State, WebSocketUpgrade};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) tokens: Arc<Tokens>,
    /// One permit for each streaming socket that may still come.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) shutdown: watch::Receiver<bool>,
    /// Held by every socket: all of them are gone when the other end says so.
    pub(crate) alive: mpsc::Sender<()>,
}

/// Longest connection id in bytes.
const LONGEST_ID: usize = 256;

/// Largest body of a token request.
const LARGEST_BODY: usize = 64 * 1024;

/// Messages above this are not even assembled.
const LARGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// What a request without a good token is told.
const REFUSED: &str = "Token validation failed for provided token.";

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v1/streaming/{id}", any(streaming))
        .route("/v1/realtime/insights/{id}", any(streaming))
        .route("/oauth2/token:generate", post(generate_token))
        .route("/v1/conversations/{id}/messages", get(messages))
        .merge(crate::trackers::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(shared)
}

pub(crate) fn error(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({ "message": message });
    (status, axum::Json(body)).into_response()
}

/// What a request without a good token is answered.
pub(crate) fn refused() -> Response {
    error(StatusCode::UNAUTHORIZED, REFUSED)
}

/// Whether a request beside the sockets has a good token.
pub(crate) fn is_admitted(shared: &Shared, headers: &HeaderMap, query: Option<&str>) -> bool {
    shared.tokens.admits(offered_tokens(headers, query, &[]))
}

async fn not_found() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "Nothing is here. This is symbl-service: open a WebSocket at /v1/streaming/{connectionId}, \
         POST to /oauth2/token:generate for a token, \
         or GET /v1/conversations/{conversationId}/messages.",
    )
}

async fn wrong_method() -> Response {
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        "This path does not take this method.",
    )
}

async fn generate_token(State(shared): State<Shared>, body: Bytes) -> Response {
    match shared.tokens.generate(&body) {
        Ok(granted) => axum::Json(granted).into_response(),
        Err(reason) => {
            let status = match reason {
                TokenError::Malformed(_) => StatusCode::BAD_REQUEST,
                TokenError::Unauthorized => StatusCode::UNAUTHORIZED,
                TokenError::Signing(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            error(status, &reason.to_string())
        }
    }
}

/// What was said in a conversation, so far or altogether.
async fn messages(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if !shared
        .tokens
        .admits(offered_tokens(&headers, query.as_deref(), &[]))
    {
        return error(StatusCode::UNAUTHORIZED, REFUSED);
    }
    let verbose = query
        .iter()
        .flat_map(|query| query.split('&'))
        .any(|pair| pair == "verbose=true");
    match id
        .ok()
        .and_then(|Path(id)| shared.hub.messages(&id, verbose))
    {
        Some(messages) => axum::Json(messages).into_response(),
        None => error(
            StatusCode::NOT_FOUND,
            "No conversation with this id is running, or was over not long ago.",
        ),
    }
}

async fn streaming(
    State(shared): State<Shared>,
    ConnectInfo(OnLine(line)): ConnectInfo<OnLine>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let mut upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(WebSocketUpgradeRejection::MethodNotGet(_)) => return wrong_method().await,
        Err(reason) => {
            let message = format!("This path is for WebSockets only: {reason}.");
            let mut response = error(StatusCode::UPGRADE_REQUIRED, &message);
            response.headers_mut().extend([
                (
                    axum::http::header::UPGRADE,
                    HeaderValue::from_static("websocket"),
                ),
                (
                    axum::http::header::CONNECTION,
                    HeaderValue::from_static("upgrade"),
                ),
            ]);
            return response;
        }
    };
    if let Some(response) = line.in_place_of_upgrade().await {
        return response;
    }
    let id = match id {
        Ok(Path(id)) if id.len() <= LONGEST_ID => id,
        _ => {
            let message = format!("The connection id must be UTF-8 of at most {LONGEST_ID} bytes.");
            return error(StatusCode::BAD_REQUEST, &message);
        }
    };
    let offered = offered_protocols(&headers);
    if !shared
        .tokens
        .admits(offered_tokens(&headers, query.as_deref(), &offered))
    {
        return error(StatusCode::UNAUTHORIZED, REFUSED);
    }
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        let mut response = error(
            StatusCode::TOO_MANY_REQUESTS,
            "The limit of concurrent streaming connections is reached.",
        );
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    // Clients abort unless the very value is echoed. Where several are offered,
    // the token among them is the one that was meant.
    let chosen = offered
        .iter()
        .find(|protocol| shared.tokens.is_valid(protocol))
        .or_else(|| offered.first())
        .and_then(|protocol| HeaderValue::from_str(protocol).ok());
    if let Some(protocol) = chosen {
        upgrade.set_selected_protocol(protocol);
    }
    let on_line = Arc::clone(&line);
    let mut response = upgrade
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
        .on_upgrade(move |websocket| async move {
            let Shared {
                config,
                hub,
                shutdown,
                alive,
                ..
            } = shared;
            socket::serve(websocket, id, config, hub, shutdown, line).await;
            drop((place, alive));
        });
    on_line.spoil(&mut response);
    response
}

fn offered_protocols(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|protocol| !protocol.is_empty())
        .collect()
}

/// All tokens of a handshake, wherever they stand.
fn offered_tokens<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    protocols: &'a [&'a str],
) -> impl Iterator<Item = &'a str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    // A JWT has no character that would be escaped in a query.
    let query = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.strip_prefix("access_token="));
    text(API_KEY)
        .into_iter()
        .chain(bearer)
        .chain(query)
        .chain(protocols.iter().copied())
}
