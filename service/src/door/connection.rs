// SPDX-License-Identifier: MPL-2.0

//! Serves HTTP/1.1 on the accepted connections, within time limits. A head that does not
//! come, a body that comes too slowly and an answer that the client does not read end the
//! connection. These limits do not apply to a connection that has become a WebSocket.
//!
//! The seams of a connection may lift its bounds.

use crate::door::listener::{Accepted, Listener, Peer};
use crate::door::stall::{Limited, WriteLimit};
use crate::door::{http, process};
use crate::limits::Limits;
use crate::seams::Stage;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower_service::Service;
use tracing::Instrument;

/// Longest head of a request in bytes. hyper answers 431 to a head that does not fit into
/// its buffer, which holds up to twice this when bytes come fast. [`within`] answers 431
/// to the others.
const LONGEST_HEAD: usize = 64 * 1024;

/// Accepts connections until `stop` is `true`. Accepted connections go on, and hold the
/// router until they end.
pub(crate) async fn accept_all(
    mut listener: Listener,
    router: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let mut stopped = stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // The wait also ends if the server was dropped.
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let span = accepted.peer.span.clone();
        let serving = serve(accepted, router.clone(), limits.clone(), stop.clone());
        tokio::spawn(serving.instrument(span));
    }
}

/// When a connection has to end that is no WebSocket. A body that goes on puts it off.
#[derive(Debug, Clone)]
pub(crate) struct Lifetime {
    length: Option<Duration>,
    ends: Arc<Mutex<Option<Instant>>>,
}

impl Lifetime {
    fn new(length: Option<Duration>) -> Self {
        let ends = length.and_then(|length| Instant::now().checked_add(length));
        let ends = Arc::new(Mutex::new(ends));
        Self { length, ends }
    }

    /// Lets the connection live as long from now on as it would from its beginning.
    pub(crate) fn extend(&self) {
        let ends = self
            .length
            .and_then(|length| Instant::now().checked_add(length));
        *self.ends() = ends;
    }

    fn ends(&self) -> MutexGuard<'_, Option<Instant>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end.
    async fn over(&self) {
        loop {
            let ends = *self.ends();
            match ends {
                None => sleep(Duration::MAX).await,
                Some(ends) if ends <= Instant::now() => return,
                Some(ends) => sleep_until(ends).await,
            }
        }
    }
}

async fn serve(
    accepted: Accepted,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let Accepted {
        stream,
        peer,
        place,
    } = accepted;
    let head = peer.seams.limit(Stage::Request, limits.handshake);
    let longest = limits.request.saturating_mul(2);
    let longest = peer.seams.limit(Stage::Request, longest);
    let lifetime = Lifetime::new(longest);
    let writes = WriteLimit::default();
    let stream = Limited::new(stream, writes.clone());
    let of_request = lifetime.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer.clone()));
        request.extensions_mut().insert(writes.clone());
        request.extensions_mut().insert(of_request.clone());
        // A router is always ready.
        router.clone().call(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).max_buf_size(LONGEST_HEAD);
    http.header_read_timeout(head);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection.with_upgrades());
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
            return;
        }
        _ = stop.wait_for(|stop| *stop) => {}
        () = lifetime.over() => {}
    }
    connection.as_mut().graceful_shutdown();
    if timeout(limits.request, connection).await.is_err() {
        tracing::debug!("an answer was not read in time");
    }
    drop(place);
}

/// Returns the length of a request's head in bytes, as it is written without needless
/// spaces.
fn head_length(request: &Request) -> usize {
    let (method, uri) = (request.method().as_str(), request.uri());
    let target = uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let place = uri.authority().map_or(0, |place| place.as_str().len());
    let line = method.len() + " ".len() + place + target + " HTTP/1.1\r\n".len();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>() + "\r\n".len()
}

/// Largest body of any request in bytes. Most paths take less.
pub(crate) const LARGEST_BODY: usize = 1024 * 1024;

/// Answers 431 to a head that is too long, 413 to a body whose declared length is too
/// large, and 408 to a request that takes too long, for example because of its body.
pub(crate) async fn within(
    State(limit): State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    if head_length(&request) > LONGEST_HEAD {
        let message = format!("The head of a request may have at most {LONGEST_HEAD} bytes.");
        return http::error(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &message);
    }
    // A recording may take as long as it makes progress, and has a limit of its own.
    if process::takes_recording(request.uri().path()) {
        return next.run(request).await;
    }
    let limit = match request.extensions().get::<ConnectInfo<Peer>>() {
        Some(ConnectInfo(peer)) => peer.seams.limit(Stage::Request, limit),
        None => Some(limit),
    };
    let Some(limit) = limit else {
        return next.run(request).await;
    };
    // A body that is only a little too large is read, so that its client can read the
    // answer.
    let is_large = request.body().size_hint().lower() > 4 * LARGEST_BODY as u64;
    if is_large && !process::takes_text(request.uri().path()) {
        let message = format!("A body may have at most {LARGEST_BODY} bytes.");
        return http::error(StatusCode::PAYLOAD_TOO_LARGE, &message);
    }
    timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let message = format!(
            "The request took longer than {} s; send its body at once.",
            limit.as_secs_f32()
        );
        http::error(StatusCode::REQUEST_TIMEOUT, &message)
    })
}
