// SPDX-License-Identifier: MPL-2.0

//! Checks requests: finds the token and its account, and what a request for a WebSocket
//! must have before it is upgraded.

use crate::conversation::hub::ConversationKey;
use crate::door::http::{self, Shared};
use crate::door::listener::Peer;
use crate::door::symbl::client::ClientKind;
use crate::door::token::{Access, Refused, Scope};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, FromRequestParts, Path, WebSocketUpgrade};
use axum::http::header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// Longest connection id in bytes.
const LONGEST_ID: usize = 256;

/// How much is read from a socket at once, in bytes: an audio message of the usual size
/// and some more. The library fills this many bytes with zeros before each read. With its
/// default of 128 KiB, that would take a fifth of the service's time.
const READ_BUFFER: usize = 8 << 10;

/// The answer to a request without a valid token.
const REFUSED: &str = "Token validation failed for provided token.";

/// The answer to a request with a token whose time is over.
const EXPIRED: &str = "Token validation failed for provided token: it has expired. \
                       Ask for another token.";

/// The answer to a request that a share token is not for.
const BEYOND_SHARE: &str = "This token only lets you read the conversation that was shared. \
                            Use a token of the application for anything else.";

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The account that a request may do everything with: the application of its token, or an
/// empty name in a service without credentials. A share token does not give it. A path that
/// share tokens may read asks for [`Access`] instead.
#[derive(Debug, Clone)]
pub(crate) struct Account(pub(crate) String);

impl FromRequestParts<Shared> for Account {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        account(parts, shared, &[])
    }
}

impl FromRequestParts<Shared> for Access {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        access(parts, shared, &[])
    }
}

#[allow(clippy::result_large_err)] // The error is the answer, made once per request.
fn account(parts: &Parts, shared: &Shared, protocols: &[&str]) -> Result<Account, Response> {
    let Access { account, scope } = access(parts, shared, protocols)?;
    match scope {
        Scope::Account => Ok(Account(account)),
        Scope::Conversation(_) => Err(beyond_share()),
    }
}

#[allow(clippy::result_large_err)] // As above.
fn access(parts: &Parts, shared: &Shared, protocols: &[&str]) -> Result<Access, Response> {
    let mut offered = offered_tokens(&parts.headers, parts.uri.query(), protocols).peekable();
    // A request without a token is no attempt to guess one.
    let has_token = offered.peek().is_some();
    let refused = match shared.tokens.check(offered) {
        Ok(access) => return Ok(access),
        Err(refused) => refused,
    };
    // Nor is a token that the service has made, however long ago.
    if refused == Refused::Expired {
        return Err(http::error(StatusCode::UNAUTHORIZED, EXPIRED));
    }
    let peer = parts.extensions.get::<ConnectInfo<Peer>>();
    let wait = peer.filter(|_| has_token);
    let wait = wait.and_then(|ConnectInfo(peer)| shared.guesses.fail(peer.address));
    Err(match wait {
        Some(wait) => http::guessing(wait),
        None => http::error(StatusCode::UNAUTHORIZED, REFUSED),
    })
}

/// Returns the account of a request, if it has a token that is accepted.
pub(crate) fn account_of(headers: &HeaderMap, uri: &Uri, shared: &Shared) -> Option<String> {
    let protocols = offered_protocols(headers);
    let offered = offered_tokens(headers, uri.query(), &protocols);
    let access = shared.tokens.check(offered).ok()?;
    Some(access.account)
}

/// Returns the answer to a request that the bearer of a share token may not make.
pub(crate) fn beyond_share() -> Response {
    http::error(StatusCode::FORBIDDEN, BEYOND_SHARE)
}

/// A request for a WebSocket that may be upgraded.
pub(crate) struct Visit {
    upgrade: WebSocketUpgrade,
    /// The conversation that it is about.
    pub(crate) key: ConversationKey,
    /// The connection that it came on.
    pub(crate) peer: Peer,
    /// The kind of the client.
    pub(crate) client: ClientKind,
}

impl FromRequestParts<Shared> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let mut upgrade = match WebSocketUpgrade::from_request_parts(parts, shared).await {
            Ok(upgrade) => upgrade,
            Err(WebSocketUpgradeRejection::MethodNotGet(_)) => {
                return Err(http::wrong_method().await);
            }
            Err(reason) => return Err(upgrade_required(&reason)),
        };
        let peer = ConnectInfo::<Peer>::from_request_parts(parts, shared).await;
        let ConnectInfo(peer) = peer.map_err(IntoResponse::into_response)?;
        if let Some(response) = peer.seams.before_upgrade().await {
            return Err(response);
        }
        let id = match Path::<String>::from_request_parts(parts, shared).await {
            Ok(Path(id)) if id.len() <= LONGEST_ID => id,
            _ => {
                let message =
                    format!("The connection id must be UTF-8 of at most {LONGEST_ID} bytes.");
                return Err(http::error(StatusCode::BAD_REQUEST, &message));
            }
        };
        let offered = offered_protocols(&parts.headers);
        let Account(account) = account(parts, shared, &offered)?;
        // Clients abort unless the answer has one of their values. If a client offers
        // several, it means the token.
        let chosen = offered
            .iter()
            .find(|protocol| shared.tokens.is_valid(protocol))
            .or_else(|| offered.first())
            .and_then(|protocol| HeaderValue::from_str(protocol).ok());
        if let Some(protocol) = chosen {
            upgrade.set_selected_protocol(protocol);
        }
        // A message that is larger than allowed gets an error before its socket is closed.
        // One that is twice as large is not even assembled.
        let largest = shared.config.limits.message.saturating_mul(2);
        Ok(Self {
            upgrade: upgrade
                .read_buffer_size(READ_BUFFER)
                .max_message_size(largest)
                .max_frame_size(largest),
            key: ConversationKey {
                account,
                connection_id: id,
            },
            peer,
            client: ClientKind::of(parts.uri.query()),
        })
    }
}

impl Visit {
    /// Returns the upgrade, the conversation and the client's connection.
    pub(crate) fn into_parts(self) -> (WebSocketUpgrade, ConversationKey, Peer) {
        (self.upgrade, self.key, self.peer)
    }
}

fn upgrade_required(reason: &WebSocketUpgradeRejection) -> Response {
    let message = format!("This path is for WebSockets only: {reason}.");
    let mut response = http::error(StatusCode::UPGRADE_REQUIRED, &message);
    response.headers_mut().extend([
        (UPGRADE, HeaderValue::from_static("websocket")),
        (CONNECTION, HeaderValue::from_static("upgrade")),
    ]);
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

/// Returns the tokens of a request from all places in which clients send them.
fn offered_tokens<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    protocols: &'a [&'a str],
) -> impl Iterator<Item = &'a str> {
    // A JWT has no characters that a query would escape.
    let query = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.strip_prefix("access_token="));
    credentials(headers)
        .chain(query)
        .chain(protocols.iter().copied())
}

/// Returns the tokens in the headers of a request.
pub(crate) fn credentials(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    text(API_KEY).into_iter().chain(bearer)
}
