// SPDX-License-Identifier: MPL-2.0

//! Sessions for Socket.IO clients: conversations as clients see them that read and write.
//!
//! The events and their members are those of the published session protocol of moveo.ai;
//! this is an independent implementation of their shapes. docs/sessions.md has them all.
//!
//! The library (socketioxide) is the transport only. Its rooms and its broadcasts lose
//! events for clients that read slowly, and its handlers run out of order. So each socket
//! has one task (`socket`) with a queue of what came and a place in the session's log.

mod polls;
mod rates;
mod render;
mod socket;

use crate::audit::Audit;
use crate::conversation::session::Sessions;
use crate::conversation::sockets::Sockets;
use crate::door::handshake::credentials;
use crate::door::http::{self, Shared};
use crate::door::listener::Peer;
use crate::door::stall::WriteLimit;
use crate::door::throttle::Guesses;
use crate::door::token::{Access, Refused, Tokens};
use crate::hearing::masking::RedactionPolicy;
use crate::metrics::Metrics;
use crate::workers::Workers;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{RETRY_AFTER, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use polls::Polls;
use render::RenderCaches;
use socket::{Arrived, Starting};
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::SocketRef;
use socketioxide::handler::{ConnectHandler, FromConnectParts, Value as Packet};
use socketioxide::{ParserConfig, SocketIo};
use std::convert::Infallible;
use std::fmt;
use std::future::ready;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use symbl_protocol::session::{Introduction, introduction};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::{Instrument, Span};

/// Longest time between two pings, and how long an answer may take. As the vendor has it.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be open without a session's socket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest message of a client in bytes.
const LARGEST: usize = 64 * 1024;
/// Events that wait for one client. If they are as many when a ping is due, the client is
/// disconnected, and comes back.
const MOST_WAITING: usize = 512;
/// Histories that are read and written at the same time.
const HISTORIES: usize = 16;
/// How much is read from a socket at once, in bytes. Clients send little.
const READ_BUFFER: usize = 2 << 10;
/// How long a shutdown waits for connections that are being opened.
const OPENING_PATIENCE: Duration = Duration::from_millis(500);

/// What all sockets of sessions share.
pub(crate) struct Door {
    sessions: Sessions,
    tokens: Arc<Tokens>,
    guesses: Arc<Guesses>,
    metrics: Arc<Metrics>,
    workers: Arc<Workers>,
    caches: RenderCaches,
    /// Sockets that may be open at the same time.
    most: usize,
    /// One permit for each socket that may still be opened.
    places: Arc<Semaphore>,
    /// One permit for each connection that may still be opened, before its socket is.
    openings: Arc<Semaphore>,
    histories: Semaphore,
    /// Texts that a socket may send in a second.
    sends: u32,
    /// What is hidden in them.
    redaction: RedactionPolicy,
    audit: Audit,
    /// Events that wait for one socket's task.
    inbox: usize,
    shutdown: watch::Receiver<bool>,
    /// All open sockets.
    pub(super) sockets: Arc<Sockets>,
    /// The connections of the clients.
    polls: Polls,
    /// `true` when the service has closed all connections.
    closed: watch::Sender<bool>,
    /// Held by every socket, so that a shutdown waits for it.
    alive: mpsc::WeakSender<()>,
}

/// What a client may do, and until when.
pub(crate) struct Pass {
    access: Access,
    /// Seconds since the Unix epoch.
    expires: Option<u64>,
    address: Option<IpAddr>,
    _place: OwnedSemaphorePermit,
    _alive: mpsc::Sender<()>,
}

impl Pass {
    /// Returns how long the token is still valid, if that ends.
    fn expires_in(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        // A token is valid in its last second, too.
        let expires = Duration::from_secs(self.expires?.saturating_add(1));
        Some(expires.saturating_sub(now))
    }
}

/// Returns the paths of sessions.
pub(crate) fn router(shared: &Shared) -> Router<Shared> {
    let limits = &shared.config.limits;
    let most = limits.session_sockets;
    let door = Arc::new(Door {
        sessions: shared.sessions.clone(),
        tokens: Arc::clone(&shared.tokens),
        guesses: Arc::clone(&shared.guesses),
        metrics: Arc::clone(&shared.hub.metrics),
        workers: Arc::clone(&shared.hub.workers),
        caches: RenderCaches::default(),
        most,
        places: Arc::new(Semaphore::new(most)),
        openings: Arc::new(Semaphore::new(most)),
        histories: Semaphore::new(HISTORIES),
        sends: limits.session_sends,
        redaction: shared.config.redaction.clone(),
        audit: shared.config.audit.clone(),
        inbox: limits.session_inbox.max(1),
        shutdown: shared.shutdown.clone(),
        sockets: Arc::clone(&shared.hub.sockets),
        polls: Polls::default(),
        closed: watch::Sender::new(false),
        alive: shared.alive.downgrade(),
    });
    // A poll waits for a ping at most, and must not take as long as a request may.
    let ping = PING_INTERVAL.min(limits.request / 2);
    let parser = ParserConfig::common()
        .max_incoming_binaries(8)
        .max_incoming_binary_buf_size(LARGEST);
    let (service, io) = SocketIo::builder()
        // The routes below decide.
        .req_path("/")
        .ping_interval(ping)
        .ping_timeout(PING_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .max_payload(LARGEST as u64)
        .ws_max_message_size(LARGEST)
        .ws_max_frame_size(LARGEST)
        .ws_read_buffer_size(READ_BUFFER)
        .max_buffer_size(MOST_WAITING)
        .with_parser(parser)
        .build_svc();
    let handle = DoorHandle(Arc::new(Mutex::new(Some(Arc::clone(&door)))));
    let entering = handle.clone();
    let enter = move |socket: SocketRef, Given(about): Given| {
        let door = entering.get();
        async move {
            let door = door.ok_or(Denied::ServerBusy)?;
            door.enter(&socket, about)
        }
    };
    let serving = handle.clone();
    let serve = move |socket: SocketRef| {
        let door = serving.get();
        async move {
            if let Some(door) = door {
                door.serve(socket).await;
            }
        }
    };
    io.ns("/", serve.with(enter));
    tokio::spawn(close(io, handle, limits.shutdown / 2));
    Router::new()
        .route_service("/socket.io", service.clone())
        .route_service("/socket.io/", service.clone())
        .route_service("/v1/web/{integration}/ws", service.clone())
        .route_service("/v1/web/{integration}/ws/", service)
        .layer(from_fn_with_state(door, open))
}

/// Returns `true` for the paths of sessions.
pub(crate) fn is_path(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    path == "/socket.io" || integration(path).is_some()
}

/// Returns the integration's id in a path.
fn integration(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let id = path.strip_prefix("/v1/web/")?.strip_suffix("/ws")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// The library's way to the door. The library keeps its handlers for ever if sockets are
/// open when the service ends. So they hold this, and it lets go of the door, with which
/// the log and its files are let go.
#[derive(Clone)]
struct DoorHandle(Arc<Mutex<Option<Arc<Door>>>>);

impl DoorHandle {
    /// Returns the door, unless the service has ended.
    fn get(&self) -> Option<Arc<Door>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn let_go(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Closes all connections when the service ends. Clients come back by themselves.
async fn close(io: SocketIo, handle: DoorHandle, patience: Duration) {
    let Some(door) = handle.get() else {
        return;
    };
    let mut shutdown = door.shutdown.clone();
    // The wait also ends if the server was dropped.
    let _ = shutdown.wait_for(|stop| *stop).await;
    // A client whose connection is open and whose socket is not would be told that there is
    // no such namespace, and give up.
    let all = u32::try_from(door.most).unwrap_or(u32::MAX);
    let _ = timeout(OPENING_PATIENCE, door.openings.acquire_many(all)).await;
    // A client that reads nothing would delay this.
    let _ = timeout(patience, io.close()).await;
    // The library tells the sockets nothing of it.
    door.closed.send_replace(true);
    handle.let_go();
}

/// A connection that is being opened. It counts until its socket is open or refused, or the
/// time for that is over.
#[derive(Debug, Clone)]
struct Opening(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Opening {
    fn end(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Lets new connections in, unless too many are being opened or the service ends.
async fn open(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let client = query.split('&').find_map(|pair| pair.strip_prefix("sid="));
    let client = client.map(str::to_owned);
    let is_upgrade = request.headers().contains_key(UPGRADE);
    let writes = request.extensions().get::<WriteLimit>().cloned();
    let writes = writes.filter(|_| is_upgrade);
    if let Some(writes) = &writes {
        writes.set(PING_INTERVAL + PING_TIMEOUT);
    }
    if let Some(client) = client {
        let polls = door.polls.clone();
        drop(door);
        let response = tokio::select! {
            biased;
            () = polls.ended(&client), if !is_upgrade => {
                http::unavailable("The service ends; connect again.")
            }
            response = next.run(request) => response,
        };
        if let Some(writes) = writes
            && response.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            polls.upgraded(&client, &writes);
        }
        return response;
    }
    let place = Arc::clone(&door.openings).try_acquire_owned();
    let Some(place) = place.ok().filter(|_| !*door.shutdown.borrow()) else {
        door.metrics.refused.count("limit");
        let message = "Too many connections are being opened, or the service ends; try again.";
        let mut response = http::error(StatusCode::SERVICE_UNAVAILABLE, message);
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    let opening = Opening(Arc::new(Mutex::new(Some(place))));
    request.extensions_mut().insert(opening.clone());
    let response = next.run(request).await;
    let is_open =
        response.status().is_success() || response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_open {
        tokio::spawn(async move {
            sleep(CONNECT_TIMEOUT).await;
            opening.end();
        });
    }
    response
}

/// What a client says when it connects.
struct Given(Introduction);

impl FromConnectParts<LocalAdapter> for Given {
    type Error = Infallible;

    fn from_connect_parts(
        _: &Arc<socketioxide::socket::Socket<LocalAdapter>>,
        auth: &Option<Packet>,
    ) -> Result<Self, Infallible> {
        let text = match auth {
            Some(Packet::Str(text, _)) => Some(text.as_str()),
            _ => None,
        };
        Ok(Self(introduction(text)))
    }
}

/// Why a client's socket is not opened, as it is told (`connect_error`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    Unauthorized,
    TokenExpired,
    ServerBusy,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthorized => "unauthorized",
            Self::TokenExpired => "token_expired",
            Self::ServerBusy => "server_busy",
        })
    }
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid => Self::Unauthorized,
            Refused::Expired => Self::TokenExpired,
        }
    }
}

impl Door {
    /// Checks a client before its socket is opened, and prepares its task. What the client
    /// sends from now on waits for that.
    fn enter(&self, socket: &SocketRef, mut about: Introduction) -> Result<(), Denied> {
        let parts = socket.req_parts();
        if let Some(opening) = parts.extensions.get::<Opening>() {
            opening.end();
        }
        let name = about.name.take();
        about.name = name.map(|name| self.redaction.name(&name));
        let entered = self.admit(socket, about.token.take());
        let pass = entered.inspect_err(|denied| {
            self.metrics.refused.count(match denied {
                Denied::Unauthorized | Denied::TokenExpired => "unauthorized",
                Denied::ServerBusy => "limit",
            });
            tracing::info!(reason = %denied, "a session's socket is refused");
        })?;
        let (sender, inbox) = mpsc::channel(self.inbox);
        let gone = Arc::new(Notify::new());
        // The library calls this where it reads an event, and so in order.
        socket.on_fallback(move |socket: SocketRef, arrived: Arrived| {
            socket::queue(&sender, &socket, arrived);
            ready(())
        });
        let ended = Arc::clone(&gone);
        socket.on_disconnect(move || {
            ended.notify_one();
            ready(())
        });
        let starting = Starting {
            inbox,
            gone,
            pass,
            about,
        };
        let starting = Arc::new(Mutex::new(Some(starting)));
        socket.extensions.insert(starting);
        Ok(())
    }

    /// Returns what the bearer of a token may do.
    fn admit(&self, socket: &SocketRef, token: Option<String>) -> Result<Pass, Denied> {
        let parts = socket.req_parts();
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let offered = || {
            token
                .as_deref()
                .into_iter()
                .chain(credentials(&parts.headers))
        };
        let (access, expires) = match self.tokens.pass(offered()) {
            Ok(pass) => pass,
            Err(refused) => {
                // A socket without a token is no attempt to guess one.
                let is_guess = refused == Refused::Invalid && offered().next().is_some();
                if let Some(ConnectInfo(peer)) = peer.filter(|_| is_guess) {
                    self.guesses.fail(peer.address);
                }
                return Err(refused.into());
            }
        };
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Denied::ServerBusy)?;
        let alive = self.alive.upgrade().ok_or(Denied::ServerBusy)?;
        Ok(Pass {
            access,
            expires,
            address: peer.map(|ConnectInfo(peer)| peer.address),
            _place: place,
            _alive: alive,
        })
    }

    /// Serves a socket that was opened.
    async fn serve(self: Arc<Self>, socket: SocketRef) {
        let starting = socket.extensions.remove::<Arc<Mutex<Option<Starting>>>>();
        let starting = starting.and_then(|starting| {
            let mut starting = starting.lock().unwrap_or_else(PoisonError::into_inner);
            starting.take()
        });
        let Some(starting) = starting else {
            return;
        };
        let parts = socket.req_parts();
        let integration = integration(parts.uri.path()).map(str::to_owned);
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let span = peer.map_or_else(Span::none, |ConnectInfo(peer)| peer.span.clone());
        socket::serve(self, socket, starting, integration)
            .instrument(span)
            .await;
    }
}
