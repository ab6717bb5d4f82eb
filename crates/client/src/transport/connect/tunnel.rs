// SPDX-License-Identifier: MPL-2.0

//! Opens a TCP connection to the service through a proxy.
//!
//! The proxy gets the host and port of the service and our credentials for the proxy,
//! and nothing else. The proxy looks up the name of the service. Every failure until
//! it accepts has the reason `Proxy`.
//!
//! Sources: RFC 9110, sections 9.3.6 (CONNECT) and 15.5.8 (407).

use super::refusal::{Answer, redacted};
use super::{AGENT, HostPort, Tcp, dial};
use crate::session::{Failure, Reason};
use crate::transport::proxy::Gateway;
use crate::transport::secret::Secret;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::pin::pin;

/// The proxy refused the credentials, or requires some.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// Asks the proxy to connect to `place`.
pub(super) async fn open(gateway: &Gateway, place: &HostPort) -> Result<Tcp, Failure> {
    let tcp = dial::dial(&gateway.place).await?;
    let request = request(gateway, place)?;
    let broken = |error: hyper::Error| broken(gateway, &error);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp))
        .await
        .map_err(broken)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        if !response.status().is_success() {
            return Err(refused(gateway, place, response).await);
        }
        hyper::upgrade::on(response).await.map_err(broken)
    };
    let mut exchange = pin!(exchange);
    let mut connection = pin!(connection.with_upgrades());
    // The connection only moves bytes. The exchange gets its errors too.
    let upgraded = tokio::select! {
        upgraded = &mut exchange => upgraded?,
        _ = &mut connection => exchange.await?,
    };
    let parts = upgraded.downcast::<TokioIo<Tcp>>().map_err(|_| {
        Failure::fatal(
            Reason::Internal,
            "the stream through the proxy is another one; please report this",
        )
    })?;
    if !parts.read_buf.is_empty() {
        // A service does not speak first, so these bytes come from another peer.
        return Err(failure(
            gateway,
            "says more than that it is connected; check its address",
        ));
    }
    Ok(parts.io.into_inner())
}

fn request(gateway: &Gateway, place: &HostPort) -> Result<Request<Empty<Bytes>>, Failure> {
    let target = place.to_string();
    let mut request = Request::connect(&target)
        .header(HOST, &target)
        .header(USER_AGENT, AGENT);
    if let Some(authorization) = &gateway.authorization {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    request.body(Empty::new()).map_err(|_| {
        Failure::fatal(
            Reason::Settings,
            format!("a proxy cannot be asked for {target}; check base-url"),
        )
    })
}

async fn refused(gateway: &Gateway, place: &HostPort, response: Response<Incoming>) -> Failure {
    let answer = Answer::of(response, gateway.password.as_ref()).await;
    // The answer may also contain the credentials as they were sent.
    let sent = gateway.authorization.as_ref().and_then(|a| a.to_str().ok());
    let sent = sent
        .and_then(|sent| sent.strip_prefix("Basic "))
        .map(Secret::new);
    let said = match redacted(answer.said, sent.as_ref()) {
        said if said.is_empty() => said,
        said => format!(" ({said})"),
    };
    let status = answer.status;
    let what = match (status, &gateway.authorization) {
        (PROXY_AUTHENTICATION_REQUIRED, Some(_)) => format!(
            "refuses the user name and the password in its address, with HTTP 407{said}; check them"
        ),
        (PROXY_AUTHENTICATION_REQUIRED, None) => format!(
            "wants a user name and a password, with HTTP 407{said}; give its address as \
             http://user:password@host:port"
        ),
        _ => format!(
            "does not connect to {place} and answers HTTP {status}{said}; \
             check base-url, and what the proxy allows"
        ),
    };
    Failure {
        http_status: Some(status),
        retryable: status != PROXY_AUTHENTICATION_REQUIRED,
        retry_after: answer.retry_after,
        ..failure(gateway, &what)
    }
}

fn broken(gateway: &Gateway, error: &hyper::Error) -> Failure {
    let what = match error.is_parse() {
        true => format!("does not answer in HTTP ({error}); check its address"),
        false => format!("ended the connection without an answer ({error}); check its address"),
    };
    failure(gateway, &what)
}

fn failure(gateway: &Gateway, what: &str) -> Failure {
    Failure::retryable(Reason::Proxy, format!("the proxy {} {what}", gateway.place))
}
