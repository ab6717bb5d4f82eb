// SPDX-License-Identifier: MPL-2.0

//! HTTP requests beside the socket: a token for an application, the messages of a
//! conversation, the list of conversations, and what subscribers were sent.
//!
//! A request is one future on a connection of its own, so it disturbs no WebSocket.
//! The owner sets a deadline and cancels it by dropping the future, as with
//! [`connect`](super::connect). Redirects are not followed: the request carries a
//! secret, which goes to `base-url` or nowhere. This module must never put that
//! secret into a text, even if a server has sent it back.
//!
//! Sources: Symbl API reference, sections on authentication (`token:generate`) and on
//! the Conversation API (`Authorization: Bearer`).

use super::connect::{AGENT, Answer, HostPort, reach};
use super::endpoint::{AppCredentials, Endpoint};
use super::files::read_token;
use super::secret::Secret;
use crate::session::{Failure, Reason};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::pin::pin;
use std::time::Duration;
use url::{Position, Url};

/// Maximum size of a list of messages, in bytes: those of a day of speech. The
/// original API has no pages and no way to ask for the last messages only.
const MAX_MESSAGES: usize = 32 << 20;

/// Maximum size of the answer with a token, in bytes.
const MAX_GRANT: usize = 64 << 10;

/// A token that the service has generated.
pub(super) struct Granted {
    pub(super) token: String,
    /// Remaining lifetime according to the service; zero if it gives none.
    pub(super) lifetime: Duration,
}

/// Asks the service to generate a token.
///
/// # Errors
///
/// Returns the errors of [`connect`](super::connect::connect), except those of the
/// upgrade. Refused credentials give a fatal `Auth`. A service that cannot answer at
/// the moment gives a retryable failure.
pub(super) async fn generate_token(
    endpoint: &Endpoint,
    app: &AppCredentials,
) -> Result<Granted, Failure> {
    let body = serde_json::json!({
        "type": "application",
        "appId": app.id,
        "appSecret": app.secret.expose(),
    });
    let url = endpoint.token_url()?;
    let request = request(Method::POST, &url)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()));
    let call = Call {
        what: What::Token,
        place: HostPort::of(&url)?,
        secret: Some(&app.secret),
        limit: MAX_GRANT,
    };
    let answer = call.make(endpoint, &url, request).await?;
    call.granted(&answer)
}

/// Returns the messages of a conversation that began at `since` or later, in
/// nanoseconds since the Unix epoch, as JSON text. A service that cannot filter by
/// time returns all of them.
///
/// # Errors
///
/// Returns the errors of [`connect`](super::connect::connect), except those of the
/// upgrade. A conversation that the service does not know (yet) gives a retryable
/// failure.
pub(super) async fn messages(
    endpoint: &Endpoint,
    conversation_id: &str,
    since: i64,
    token: Option<&Secret>,
) -> Result<String, Failure> {
    let url = endpoint.messages_url(conversation_id, since)?;
    get(endpoint, What::Messages, &url, token).await
}

/// Returns a page of the list of conversations, the oldest first, as JSON text. Has no
/// deadline.
///
/// # Errors
///
/// As for [`events`].
pub async fn conversations(
    endpoint: &Endpoint,
    limit: u32,
    offset: u32,
) -> Result<String, Failure> {
    let token = read_token(&endpoint.token).await?;
    let mut url = endpoint.conversations_url()?;
    url.query_pairs_mut()
        .append_pair("order", "asc")
        .append_pair("limit", &limit.to_string())
        .append_pair("offset", &offset.to_string());
    get(endpoint, What::Conversations, &url, token.as_ref()).await
}

/// Where a page of events begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Behind the entry with this number of the log.
    Entry(u64),
    /// Behind the final with this sequence number; -1 is before the first one.
    Final(i64),
}

/// Returns a page of what the subscribers of a conversation were sent, as JSON text: an
/// extension of our own service. Has no deadline.
///
/// # Errors
///
/// Returns the errors of [`connect`](super::connect::connect), except those of the
/// upgrade. A conversation that the service does not know gives a fatal failure with the
/// HTTP status 404.
pub async fn events(
    endpoint: &Endpoint,
    conversation_id: &str,
    after: After,
) -> Result<String, Failure> {
    let token = read_token(&endpoint.token).await?;
    let mut url = endpoint.conversation_url(conversation_id, "events")?;
    let (name, after) = match after {
        After::Entry(seq) => ("after", seq.to_string()),
        After::Final(number) => ("afterSequenceNumber", number.to_string()),
    };
    url.query_pairs_mut().append_pair(name, &after);
    get(endpoint, What::Events, &url, token.as_ref()).await
}

/// Asks the Conversation API, and returns its answer as text without the token.
async fn get(
    endpoint: &Endpoint,
    what: What,
    url: &Url,
    token: Option<&Secret>,
) -> Result<String, Failure> {
    let mut request = request(Method::GET, url).header(ACCEPT, "application/json");
    if let Some(token) = token {
        let bearer = format!("Bearer {}", token.expose());
        let mut value = HeaderValue::try_from(bearer).map_err(|_| {
            Failure::fatal(
                Reason::Settings,
                "the access token cannot stand in an HTTP header; give the token alone",
            )
        })?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let call = Call {
        what,
        place: HostPort::of(url)?,
        secret: token,
        limit: MAX_MESSAGES,
    };
    let body = request.body(Full::default());
    let answer = call.make(endpoint, url, body).await?;
    let text = String::from_utf8(answer.into())
        .map_err(|_| call.nonsense("it is not UTF-8", "check base-url"))?;
    let harmless = token.and_then(|token| token.cut_out_of(&text));
    Ok(harmless.unwrap_or(text))
}

fn request(method: Method, url: &Url) -> hyper::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(CONNECTION, "close")
        .header(USER_AGENT, AGENT)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Token,
    Messages,
    Conversations,
    Events,
}

/// One request, with what the error texts about it need.
struct Call<'a> {
    what: What,
    place: HostPort,
    /// The secret that error texts must not contain.
    secret: Option<&'a Secret>,
    /// Maximum size of the answer, in bytes.
    limit: usize,
}

impl Call<'_> {
    /// Makes the request, and returns the body of a successful answer.
    async fn make(
        &self,
        endpoint: &Endpoint,
        url: &Url,
        request: Result<Request<Full<Bytes>>, hyper::http::Error>,
    ) -> Result<Bytes, Failure> {
        let request = request.map_err(|_| {
            let message = format!(
                "no HTTP request can be made for {}; check base-url",
                self.place
            );
            Failure::fatal(Reason::Settings, message)
        })?;
        let stream = reach(endpoint, url).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        let exchange = async {
            let response = sender.send_request(request).await;
            let response = response.map_err(|error| self.broken(&error))?;
            if !response.status().is_success() {
                return Err(self.refused(Answer::of(response, self.secret).await));
            }
            self.read(response).await
        };
        let mut exchange = pin!(exchange);
        let mut connection = pin!(connection);
        // The connection only moves bytes. The exchange gets its errors too.
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        let announced = response.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > self.limit as u64) {
            return Err(self.too_large());
        }
        match Limited::new(response.into_body(), self.limit)
            .collect()
            .await
        {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Err(error) => Err(Failure::retryable(
                Reason::Read,
                format!(
                    "the answer of {} to {} broke off: {error}",
                    self.place,
                    self.request()
                ),
            )),
        }
    }

    fn granted(&self, answer: &[u8]) -> Result<Granted, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Grant {
            access_token: String,
            #[serde(default)]
            expires_in: f64,
        }
        // The parser's error may quote the text, which may contain a token.
        let grant: Grant = serde_json::from_slice(answer).map_err(|_| {
            self.nonsense(
                "it is no JSON object with an accessToken",
                "check base-url, or give an access-token",
            )
        })?;
        Ok(Granted {
            token: grant.access_token,
            lifetime: Duration::try_from_secs_f64(grant.expires_in).unwrap_or_default(),
        })
    }

    fn request(&self) -> &'static str {
        match self.what {
            What::Token => "the request for a token",
            What::Messages => "the request for the conversation's messages",
            What::Conversations => "the request for the list of conversations",
            What::Events => "the request for what was said",
        }
    }

    fn refused(&self, answer: Answer) -> Failure {
        let status = answer.status;
        let (reason, retryable, hint) = match (status, self.what) {
            (400..=403, What::Token) => (Reason::Auth, false, "check app-id and app-secret"),
            (401 | 403, _) => (Reason::Auth, false, "check the access token"),
            (408 | 500..=599, _) => (Reason::Http, true, "it is tried again later"),
            (429, _) => (
                Reason::Limit,
                true,
                "too many requests; it is tried again later",
            ),
            (404, What::Messages) => (Reason::Http, true, "it does not know the conversation"),
            (_, What::Token) => (
                Reason::Http,
                false,
                "this service gives no tokens: check base-url, or give an access-token",
            ),
            (404, What::Events) => (Reason::Http, false, "it does not know the conversation"),
            (_, What::Messages | What::Conversations | What::Events) => (
                Reason::Http,
                false,
                "this service has no Conversation API: check base-url",
            ),
        };
        let said = match answer.said.as_str() {
            "" => String::new(),
            said => format!(" ({said})"),
        };
        Failure {
            http_status: Some(status),
            retryable,
            retry_after: answer.retry_after,
            ..Failure::retryable(
                reason,
                format!(
                    "{} answered {} with HTTP {status}{said}; {hint}",
                    self.place,
                    self.request()
                ),
            )
        }
    }

    fn broken(&self, error: &hyper::Error) -> Failure {
        let hint = "check the port in base-url, and use https:// if the service has TLS";
        if error.is_parse() {
            return self.nonsense("it is not HTTP", hint);
        }
        Failure::retryable(
            Reason::Read,
            format!(
                "the connection to {} ended before the answer to {} ({error}); {hint}",
                self.place,
                self.request()
            ),
        )
    }

    fn too_large(&self) -> Failure {
        let why = format!("it has more than {} bytes", self.limit);
        self.nonsense(&why, "check base-url")
    }

    /// Returns the failure for an answer that no service of this API gives.
    fn nonsense(&self, why: &str, hint: &str) -> Failure {
        Failure::fatal(
            Reason::Protocol,
            format!(
                "the answer of {} to {} cannot be used: {why}; {hint}",
                self.place,
                self.request()
            ),
        )
    }
}

#[cfg(test)]
mod tests;
