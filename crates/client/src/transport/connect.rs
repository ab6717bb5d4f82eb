// SPDX-License-Identifier: MPL-2.0

//! Opens a socket: name, TCP, a proxy if there is one, TLS, WebSocket upgrade.
//!
//! [`connect`] is one future without a deadline of its own. The owner sets the
//! deadline and cancels it by dropping the future: sockets close, and a pending
//! look-up of a name or read of a file ends by itself without effect. This module
//! must never decide to dial again; the [`Failure`] says if that can help. It must
//! never put a token into a text, even if a server has sent it back.
//!
//! `hyper` makes the upgrade and not `tungstenite`, for three reasons. `tungstenite`
//! writes the request with its token into the log at trace level. It keeps only that
//! part of a refusal's body which came in one read with the head. It takes
//! `Connection: keep-alive, Upgrade` for an error. After the upgrade the socket
//! belongs to `tungstenite`.
//!
//! Sources: Symbl Streaming API reference, section on authentication (`X-API-KEY`);
//! RFC 6455 section 4.1; RFC 8305 for the race of the addresses.

mod dial;
mod names;
mod refusal;
mod tcp;
mod tunnel;

pub(super) use refusal::{Answer, redacted};
pub(super) use tcp::Tcp;
#[cfg(test)]
mod tests;

use super::endpoint::Endpoint;
use super::files;
use super::secret::Secret;
use super::tls;
use crate::session::{Failure, Reason};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::{Host, Position, Url};

/// Maximum size of a message from a service, in bytes. Results are a few kilobytes. A
/// larger message is an error of the socket.
pub const MAX_MESSAGE: usize = 8 << 20;

/// Size of one read, in bytes. Most results fit. `tungstenite` zeroes this much
/// before each read, so its own 128 KiB would cost more than all other work for a
/// chunk, and as much memory per sink.
const READ_BUFFER: usize = 4 << 10;

/// The user agent of our requests.
pub(super) const AGENT: &str = concat!("gst-plugin-symbl/", env!("CARGO_PKG_VERSION"));

/// A connected socket, ready for messages.
pub type Socket = WebSocketStream<Box<dyn ByteStream>>;

/// The header with which a service announces that it stores replayed audio only once, if
/// the start request has the place of the audio in its stream.
const ANNOUNCEMENT: HeaderName = HeaderName::from_static("x-symbl-service");

/// A connected socket, and what the answer to the upgrade says about the service.
pub(super) struct Opened {
    pub(super) socket: Socket,
    /// `true` if the answer had the header `X-Symbl-Service`, whatever its value.
    pub(super) announced: bool,
}

/// The byte stream of a socket: TCP, or TLS over TCP.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// Returns the TCP connection at the bottom.
    fn tcp(&self) -> &TcpStream;
}

impl ByteStream for Tcp {
    fn tcp(&self) -> &TcpStream {
        self.stream()
    }
}

impl ByteStream for TlsStream<Tcp> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0.stream()
    }
}

/// Dials `endpoint`. Await it within the tokio runtime; dropping the future at any
/// point cancels the dial.
///
/// # Errors
///
/// Returns the step that failed as the failure's reason: `Settings` (address, token
/// or CA file), `Dns`, `Tcp`, `Proxy`, `Tls`, `Auth`, `Limit`, `Http` (an HTTP status
/// in place of the upgrade), `Handshake` (an answer that is not a WebSocket upgrade).
pub async fn connect(endpoint: &Endpoint) -> Result<Socket, Failure> {
    Ok(open(endpoint).await?.socket)
}

/// Dials as [`connect`] does, for what a subscriber has not seen: `after` is the last
/// sequence number that it knows, or -1.
pub(super) async fn connect_after(
    endpoint: &Endpoint,
    after: Option<i64>,
) -> Result<Socket, Failure> {
    Ok(open_after(endpoint, after).await?.socket)
}

/// Dials as [`connect`] does. Also returns what the service says about itself.
pub(super) async fn open(endpoint: &Endpoint) -> Result<Opened, Failure> {
    open_after(endpoint, None).await
}

async fn open_after(endpoint: &Endpoint, after: Option<i64>) -> Result<Opened, Failure> {
    let token = files::read_token(&endpoint.token).await?;
    let mut url = endpoint.url_with(token.as_ref())?;
    if let Some(after) = after {
        url.query_pairs_mut()
            .append_pair("after", &after.to_string());
    }
    let place = HostPort::of(&url)?;
    let key = generate_key();
    let header_token = token.as_ref().filter(|_| !endpoint.token_in_query);
    let request = request(&url, &key, header_token)?;
    let stream = reach(endpoint, &url).await?;
    upgrade(stream, request, &key, &place, token.as_ref()).await
}

/// Connects to the service at `url`, through the proxy if there is one, and with TLS
/// if the scheme requires it.
pub(super) async fn reach(endpoint: &Endpoint, url: &Url) -> Result<Box<dyn ByteStream>, Failure> {
    let place = &HostPort::of(url)?;
    let gateway = endpoint.proxy.before(url)?;
    let tcp = async {
        match &gateway {
            Some(gateway) => tunnel::open(gateway, place).await,
            None => dial::dial(place).await,
        }
    };
    if !matches!(url.scheme(), "https" | "wss") {
        return Ok(Box::new(tcp.await?));
    }
    let (connector, name) = connector(endpoint, place).await?;
    let tcp = tcp.await?;
    let stream = connector.connect(name, tcp).await;
    let stream = stream.map_err(|error| tls::failure(&place.to_string(), &error))?;
    Ok(Box::new(stream))
}

/// Host and port to dial.
pub(super) struct HostPort {
    host: Host<String>,
    port: u16,
    /// `true` for a proxy, `false` for a service.
    is_proxy: bool,
}

impl HostPort {
    pub(super) fn of(url: &Url) -> Result<Self, Failure> {
        match (url.host(), url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Self {
                host: host.to_owned(),
                port,
                is_proxy: false,
            }),
            _ => Err(Failure::fatal(
                Reason::Settings,
                "base-url names no host; it should look like http://127.0.0.1:8787",
            )),
        }
    }

    /// Returns the host and port of a proxy's address: see [`HostPort::of`].
    pub(super) fn of_proxy(url: &Url) -> Result<Self, Failure> {
        let place = Self::of(url)?;
        Ok(Self {
            is_proxy: true,
            ..place
        })
    }

    pub(super) fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        }
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

async fn connector(
    endpoint: &Endpoint,
    place: &HostPort,
) -> Result<(TlsConnector, ServerName<'static>), Failure> {
    let name = match &place.host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| {
            Failure::fatal(
                Reason::Settings,
                format!("{place} cannot be asked for by TLS: {error}; check base-url"),
            )
        })?,
        Host::Ipv4(address) => ServerName::IpAddress(std::net::IpAddr::from(*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress(std::net::IpAddr::from(*address).into()),
    };
    let config = files::tls_config(endpoint.ca_file.clone(), endpoint.tls_verify).await?;
    Ok((TlsConnector::from(config), name))
}

/// Asks for the upgrade, and turns the answer into a socket or a failure.
async fn upgrade(
    stream: Box<dyn ByteStream>,
    request: Request<Empty<Bytes>>,
    key: &str,
    place: &HostPort,
    token: Option<&Secret>,
) -> Result<Opened, Failure> {
    let broken = |error: hyper::Error| refusal::broken(place, &error);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal::refused(place, response, token).await);
        }
        check(&response, key).map_err(|why| refusal::no_upgrade(place, why))?;
        let announced = response.headers().contains_key(ANNOUNCEMENT);
        let upgraded = hyper::upgrade::on(response).await.map_err(broken)?;
        Ok((upgraded, announced))
    };
    let mut exchange = pin!(exchange);
    let mut connection = pin!(connection.with_upgrades());
    // The connection only moves bytes. The exchange gets its errors too.
    let (upgraded, announced) = tokio::select! {
        upgraded = &mut exchange => upgraded?,
        _ = &mut connection => exchange.await?,
    };
    let parts = upgraded
        .downcast::<TokioIo<Box<dyn ByteStream>>>()
        .map_err(|_| {
            Failure::fatal(
                Reason::Internal,
                "the upgraded stream is another one; please report this",
            )
        })?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let socket = WebSocketStream::from_partially_read(
        parts.io.into_inner(),
        parts.read_buf.into(),
        Role::Client,
        Some(config),
    )
    .await;
    Ok(Opened { socket, announced })
}

fn request(url: &Url, key: &str, token: Option<&Secret>) -> Result<Request<Empty<Bytes>>, Failure> {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let mut request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, host)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, key)
        .header(USER_AGENT, AGENT);
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(token.expose()).map_err(|_| {
            Failure::fatal(
                Reason::Settings,
                "the access token cannot stand in an HTTP header; give the token alone",
            )
        })?;
        value.set_sensitive(true);
        request = request.header(HeaderName::from_static("x-api-key"), value);
    }
    request.body(Empty::new()).map_err(|_| {
        Failure::fatal(
            Reason::Settings,
            format!("no HTTP request can be made for {host}; check base-url and streaming-path"),
        )
    })
}

/// Checks that a 101 is the requested upgrade (RFC 6455, section 4.1). Returns what
/// is wrong otherwise.
fn check(response: &Response<Incoming>, key: &str) -> Result<(), &'static str> {
    let headers = response.headers();
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    if !has_token(headers, &UPGRADE, "websocket") {
        Err("it does not upgrade to websocket")
    } else if !has_token(headers, &CONNECTION, "upgrade") {
        Err("its Connection header does not say Upgrade")
    } else if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        Err("its Sec-WebSocket-Accept does not answer our key")
    } else if headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        Err("it chose a subprotocol where none was offered")
    } else if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        Err("it chose an extension where none was offered")
    } else {
        Ok(())
    }
}

/// Returns `true` if a header with a comma-separated list contains `token`.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(token))
}
