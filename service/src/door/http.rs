// SPDX-License-Identifier: MPL-2.0

//! The paths of the service, and the answers to requests that open no WebSocket. Error
//! bodies are `{"message": …}`, like those of the API.

use crate::config::ServerConfig;
use crate::conversation::hub::{ConversationKey, Hub};
use crate::conversation::quota::NoPlace;
use crate::conversation::session::Sessions;
use crate::door::gate::{self, Gate};
use crate::door::handshake::Visit;
use crate::door::listener::Peer;
use crate::door::rest::away;
use crate::door::symbl::socket::Guest;
use crate::door::symbl::subscriber::Listening;
use crate::door::symbl::{socket, subscriber};
use crate::door::throttle::Guesses;
use crate::door::token::{TokenError, Tokens};
use crate::door::unhonoured::Unhonoured;
use crate::door::{
    analytics, audit, bookmarks, callscore, connection, departing, groups, labels, manage, ops,
    origin, probes, process, refused, rest, retention, search, socketio, speakers, summary,
    unhonoured, web,
};
use crate::hearing::Hearing;
use crate::hearing::admission::{Demand, Full};
use crate::hearing::stream::Places;
use crate::jobs::Jobs;
use crate::seams::ConnectionSeams;
use crate::store::Records;
use crate::store::notes::Notes;
use crate::store::retention::Retention;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, RawQuery, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{Instrument, Span};

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) sessions: Sessions,
    pub(crate) records: Arc<dyn Records>,
    /// What clients add to conversations.
    pub(crate) notes: Arc<dyn Notes>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) retention: Arc<dyn Retention>,
    pub(crate) tokens: Arc<Tokens>,
    /// Failed authentications.
    pub(crate) guesses: Arc<Guesses>,
    /// One permit for each speaker's socket that may still be opened.
    pub(crate) places: Arc<Semaphore>,
    /// One permit for each subscriber's socket that may still be opened.
    pub(crate) listeners: Arc<Semaphore>,
    /// The engines, their admission and the workers.
    pub(crate) hearing: Hearing,
    pub(crate) shutdown: watch::Receiver<bool>,
    /// Held by every socket. The channel closes when all sockets are gone.
    pub(crate) alive: mpsc::Sender<()>,
}

/// Largest message of a subscriber, in bytes.
const LARGEST_OF_SUBSCRIBER: usize = 4 << 10;

/// The header by which clients know this service.
const SERVICE: HeaderName = HeaderName::from_static("x-symbl-service");

/// Largest body of a token request.
const LARGEST_BODY: usize = 64 * 1024;

pub(crate) fn router(shared: Shared) -> Router {
    let origins = origin::layer(shared.config.origins.clone());
    let counted = Arc::clone(&shared.hub.metrics);
    let patience = shared.config.limits.request;
    let gate = Arc::new(Gate::new(&shared.config));
    let sockets = Arc::clone(&shared.hub.sockets);
    Router::new()
        .route("/v1/streaming/{id}", any(streaming))
        .route("/v1/realtime/insights/{id}", any(streaming))
        .route("/v1/subscribe/{id}", any(subscribe))
        .route("/session/subscribe/{id}", any(subscribe))
        .route("/oauth2/token:generate", post(generate_token))
        .merge(rest::router())
        .merge(bookmarks::routes())
        .merge(groups::routes())
        .merge(labels::routes())
        .merge(analytics::routes())
        .merge(callscore::routes())
        .merge(summary::routes())
        .merge(probes::routes(shared.config.metrics_listen.is_none()))
        .merge(manage::routes())
        .merge(refused::routes())
        .merge(process::routes())
        .merge(search::routes())
        .merge(speakers::routes())
        .merge(retention::routes())
        .merge(socketio::router(&shared))
        .merge(web::router())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(sockets, departing::check))
        .layer(from_fn(unhonoured::check))
        .layer(from_fn_with_state(shared.clone(), audit::write))
        .layer(origins)
        .layer(from_fn_with_state(gate, gate::check))
        .layer(from_fn_with_state(Arc::clone(&counted), ops::count))
        .layer(from_fn_with_state(counted, ops::trace))
        .layer(from_fn_with_state(patience, connection::within))
        .with_state(shared)
}

pub(crate) fn error(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({ "message": message });
    let mut response = (status, axum::Json(body)).into_response();
    response.extensions_mut().insert(Why(message.to_owned()));
    response
}

/// The message of an error response, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Why(pub(crate) String);

async fn not_found() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "Nothing is here. This is symbl-service: open a WebSocket at /v1/streaming/{connectionId}, \
         POST to /oauth2/token:generate for a token, \
         or GET /v1/conversations/{conversationId}/messages.",
    )
}

pub(crate) async fn wrong_method() -> Response {
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        "This path does not take this method.",
    )
}

/// Returns the answer to a body that cannot be read, mostly because it is too large.
pub(crate) fn unreadable(reason: &BytesRejection) -> Response {
    match reason.status() {
        too_large @ StatusCode::PAYLOAD_TOO_LARGE => error(
            too_large,
            "The body is larger than this path takes; docs/service.md has the limits.",
        ),
        status => error(status, &format!("{}.", reason.body_text())),
    }
}

async fn generate_token(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // A client that guesses secrets does not learn if the next one is right.
    if let Some(wait) = shared.guesses.wait(peer.address) {
        return guessing(wait);
    }
    let body = match body {
        Ok(body) => body,
        Err(reason) => return unreadable(&reason),
    };
    match shared.tokens.generate(&body) {
        Ok(granted) => {
            let members = serde_json::from_slice(&body).unwrap_or_default();
            let unhonoured = Unhonoured::body(&members, &["type", "appId", "appSecret"]);
            unhonoured.tell(axum::Json(granted).into_response())
        }
        Err(reason) => {
            let status = match reason {
                TokenError::Malformed(_) => StatusCode::BAD_REQUEST,
                TokenError::Unauthorized => {
                    shared.guesses.fail(peer.address);
                    StatusCode::UNAUTHORIZED
                }
                TokenError::Signing(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            error(status, &reason.to_string())
        }
    }
}

async fn streaming(State(shared): State<Shared>, visit: Visit) -> Response {
    let hub = &shared.hub;
    if hub.look_around(&visit.key).await.is_err() {
        return away();
    }
    let joining = hub.join_past_admission(&visit.key);
    // A client that comes back is let in, however many are here.
    let place = Arc::clone(&shared.places).try_acquire_owned().ok();
    if place.is_none() && !joining.as_ref().is_some_and(|joining| joining.returns) {
        return full(
            &shared,
            "The limit of concurrent streaming connections is reached.",
            SOON,
        );
    }
    let admitted = shared
        .hearing
        .admission
        .enter(Demand::UNKNOWN, joining.is_some());
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(why) => {
            let message = match why {
                Full::Capacity => "As many streams are recognised as can be.",
                Full::Lag => "Recognition is behind the streams that are here.",
            };
            return full(&shared, message, LATER);
        }
    };
    let account = &visit.key.account;
    let of_account = match hub.quota.enter(account, joining.is_some()).await {
        Ok(of_account) => of_account,
        Err(NoPlace::Full) => {
            let message = "The application has as many streams as it may have.";
            return too_many(message, LATER);
        }
        Err(NoPlace::Unknown) => {
            let message = "The database does not say how many streams the application has.";
            return unavailable(message);
        }
    };
    let client = visit.client;
    let (upgrade, key, peer) = visit.into_parts();
    let span = client_span(&peer, &key);
    let guest = Guest {
        key,
        client,
        joining,
        places: Arc::new(Places::new(
            shared.hearing.clone(),
            admitted,
            (place, of_account),
        )),
        notes: Arc::clone(&shared.notes),
    };
    let seams = Arc::clone(&peer.seams);
    let serving = move |websocket| async move {
        let Shared {
            config,
            hub,
            shutdown,
            alive,
            ..
        } = shared;
        let open = hub.metrics.socket("streaming");
        socket::serve(websocket, guest, config, hub, shutdown, peer.seams).await;
        drop((open, alive));
    };
    let response = upgrade.on_upgrade(|websocket| serving(websocket).instrument(span));
    upgraded(response, seams.as_ref())
}

/// Reads `after` of a query: the last `sequenceNumber` that a subscriber knows. Returns
/// an error if it is not such a number.
fn after(query: Option<&str>) -> Result<Option<i64>, ()> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    let mut given = pairs.filter_map(|pair| pair.strip_prefix("after="));
    match given.next().map(str::parse) {
        None => Ok(None),
        Some(Ok(number)) if number >= -1 => Ok(Some(number)),
        Some(_) => Err(()),
    }
}

async fn subscribe(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    visit: Visit,
) -> Response {
    let Ok(after) = after(query.as_deref()) else {
        return error(
            StatusCode::BAD_REQUEST,
            "after must be the last sequenceNumber that you know, or -1 for all that was said.",
        );
    };
    if shared.hub.look_around(&visit.key).await.is_err() {
        return away();
    }
    if !shared.hub.is_live(&visit.key) {
        return error(
            StatusCode::NOT_FOUND,
            "Nobody speaks under this connection id, and nobody is expected to come back.",
        );
    }
    let Ok(place) = Arc::clone(&shared.listeners).try_acquire_owned() else {
        return too_many("The limit of subscribers is reached.", SOON);
    };
    let (upgrade, key, peer) = visit.into_parts();
    // A subscriber sends pings only, so the service keeps no large message of it.
    let upgrade = upgrade
        .max_message_size(LARGEST_OF_SUBSCRIBER)
        .max_frame_size(LARGEST_OF_SUBSCRIBER);
    let seams = Arc::clone(&peer.seams);
    let span = client_span(&peer, &key);
    let serving = move |websocket| async move {
        let Shared {
            config,
            hub,
            shutdown,
            alive,
            ..
        } = shared;
        let open = hub.metrics.socket("subscriber");
        let listening = Listening { key, after };
        subscriber::serve(
            websocket,
            listening,
            &config.limits,
            hub,
            shutdown,
            peer.seams,
        )
        .await;
        drop((open, place, alive));
    };
    let response = upgrade.on_upgrade(|websocket| serving(websocket).instrument(span));
    upgraded(response, seams.as_ref())
}

/// Returns the answer to an upgrade. Its header tells the client that it may name its
/// streams (`x_stream`).
fn upgraded(mut response: Response, seams: &dyn ConnectionSeams) -> Response {
    seams.upgraded(&mut response);
    let headers = response.headers_mut();
    headers.insert(SERVICE, HeaderValue::from_static("1"));
    response
}

/// Returns the span of a client whose connection id is known now.
fn client_span(peer: &Peer, key: &ConversationKey) -> Span {
    let span = peer.span.clone();
    span.record("connection", key.connection_id.as_str());
    span
}

/// Seconds until another socket may have closed.
const SOON: &str = "1";
/// Seconds until another conversation may be over, or recognition may have caught up.
const LATER: &str = "5";

fn too_many(message: &str, retry_after: &'static str) -> Response {
    later(StatusCode::TOO_MANY_REQUESTS, message, retry_after)
}

/// Returns the answer to a request that may come again after so many seconds.
pub(crate) fn later(status: StatusCode, message: &str, seconds: &'static str) -> Response {
    let mut response = error(status, message);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    response
}

/// Returns the answer of a service that is full. One of several services has its clients try
/// another.
fn full(shared: &Shared, message: &str, retry_after: &'static str) -> Response {
    match shared.hub.log.registry() {
        Some(_) => unavailable(message),
        None => too_many(message, retry_after),
    }
}

/// Returns the answer to a request that another service may take.
pub(crate) fn unavailable(message: &str) -> Response {
    later(StatusCode::SERVICE_UNAVAILABLE, message, SOON)
}

/// Returns the answer to a client whose address failed to authenticate too often.
pub(crate) fn guessing(wait: Duration) -> Response {
    let message = "Too many credentials or tokens from this address were wrong. Try again later, \
                   with the right ones.";
    let mut response = error(StatusCode::TOO_MANY_REQUESTS, message);
    let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}
