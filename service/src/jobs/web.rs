// SPDX-License-Identifier: MPL-2.0

//! Sends one request to a server that may be called, at the address that was checked.
//!
//! There is no client library with connection pools, redirects and proxies here: each of them
//! would choose where to connect by itself. A redirect is an answer like any other.

use crate::jobs::address::Permit;
use crate::workers::{Undone, Workers};
use axum::body::{Body, Bytes};
use axum::http::header::{HOST, USER_AGENT};
use axum::http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_platform_verifier::BuilderVerifierExt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Url;

/// How long a look-up, a connection, a TLS handshake and the head of an answer may take each.
const LONGEST_STEP: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    #[error("the name cannot be looked up: {0}")]
    Name(String),
    #[error("{0} has no address that may be called: private addresses need a host that is named")]
    Private(String),
    #[error("it does not answer: {0}")]
    Connection(String),
    #[error("it took too long")]
    Slow,
}

impl From<Elapsed> for WebError {
    fn from(_: Elapsed) -> Self {
        Self::Slow
    }
}

impl From<Undone> for WebError {
    fn from(error: Undone) -> Self {
        Self::Name(error.to_string())
    }
}

fn connection(error: impl std::fmt::Display) -> WebError {
    WebError::Connection(error.to_string())
}

/// Returns the first address of the host that may be called.
async fn look_up(permit: &Permit, workers: &Workers) -> Result<SocketAddr, WebError> {
    let host = (permit.name.clone(), permit.port);
    let found = workers.run(move || host.to_socket_addrs());
    let found = timeout(LONGEST_STEP, found).await??;
    let mut found = found.map_err(|error| WebError::Name(error.to_string()))?;
    let allowed = found.find(|address| permit.allows(address.ip()));
    allowed.ok_or_else(|| WebError::Private(permit.name.clone()))
}

/// Returns the roots that servers are trusted by.
fn tls() -> Arc<ClientConfig> {
    static TLS: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let make = || {
        // The system's roots, which may have those of a company, or else those of browsers.
        if let Ok(builder) = ClientConfig::builder().with_platform_verifier() {
            return Arc::new(builder.with_no_client_auth());
        }
        let mut roots = RootCertStore::empty();
        let known = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
        roots.add_parsable_certificates(known);
        let config = ClientConfig::builder().with_root_certificates(roots);
        Arc::new(config.with_no_client_auth())
    };
    Arc::clone(TLS.get_or_init(make))
}

/// Sends a request and returns the answer, whose body is still to be read. The request has no
/// `Host` yet.
pub(crate) async fn send(
    mut request: Request<Body>,
    url: &Url,
    permit: &Permit,
    workers: &Workers,
) -> Result<Response<Incoming>, WebError> {
    let address = look_up(permit, workers).await?;
    let tcp = timeout(LONGEST_STEP, TcpStream::connect(address)).await?;
    let tcp = tcp.map_err(connection)?;
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    *request.uri_mut() = path.parse().map_err(connection)?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&authority).map_err(connection)?);
    let own = concat!("symbl-service/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(own));
    if !permit.is_tls {
        return exchange(TokioIo::new(tcp), request).await;
    }
    let name = ServerName::try_from(permit.name.clone()).map_err(connection)?;
    let secured = TlsConnector::from(tls()).connect(name, tcp);
    let secured = timeout(LONGEST_STEP, secured).await?.map_err(connection)?;
    exchange(TokioIo::new(secured), request).await
}

async fn exchange<T>(io: TokioIo<T>, request: Request<Body>) -> Result<Response<Incoming>, WebError>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let made = timeout(LONGEST_STEP, http1::handshake(io)).await?;
    let (mut sender, driving) = made.map_err(connection)?;
    tokio::spawn(async move {
        // The errors are those of the request.
        let _ = driving.await;
    });
    let answer = timeout(LONGEST_STEP, sender.send_request(request)).await?;
    answer.map_err(connection)
}

/// Returns the next piece of a body, or `None` at its end.
pub(crate) async fn piece(
    body: &mut Incoming,
    patience: Duration,
) -> Result<Option<Bytes>, WebError> {
    use hyper::body::Body as _;
    use std::pin::Pin;
    loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        match timeout(patience, next).await? {
            None => return Ok(None),
            Some(Err(error)) => return Err(connection(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => return Ok(Some(bytes)),
                // Trailers.
                Err(_) => continue,
            },
        }
    }
}
