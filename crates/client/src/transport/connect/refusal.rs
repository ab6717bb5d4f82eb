// SPDX-License-Identifier: MPL-2.0

//! Describes an answer that is not the upgrade, in words for people.
//!
//! All of it comes from a peer that may be anything: a login page, a proxy, another
//! protocol. Texts are shortened, and control characters and the token are removed
//! from them, in case the peer has sent it back.

use super::HostPort;
use crate::session::{Failure, Reason};
use crate::transport::secret::Secret;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, LOCATION, RETRY_AFTER};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::time::{Duration, SystemTime};

/// Maximum size of a body that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Maximum wait for the body. The status is known already, and its text is not worth
/// more.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// Maximum length of the quoted text, in characters.
const MAX_SAID: usize = 80;

/// An answer other than the requested one, fit to be shown.
pub(in crate::transport) struct Answer {
    pub(in crate::transport) status: u16,
    /// The essential part of its body.
    pub(in crate::transport) said: String,
    pub(in crate::transport) retry_after: Option<Duration>,
}

impl Answer {
    /// Reads the answer, within the limits of this module. Removes `secret` from its
    /// text.
    pub(in crate::transport) async fn of(
        response: Response<Incoming>,
        secret: Option<&Secret>,
    ) -> Self {
        let (head, body) = response.into_parts();
        let said = match head.headers.get(LOCATION) {
            Some(target) if head.status.is_redirection() => {
                format!("it redirects to {}", without_query(target))
            }
            _ => short(&redacted(read(body).await, secret)),
        };
        Self {
            status: head.status.as_u16(),
            said: redacted(said, secret),
            retry_after: head.headers.get(RETRY_AFTER).and_then(retry_after),
        }
    }
}

/// Returns the failure for an HTTP status other than 101.
pub(super) async fn refused(
    place: &HostPort,
    response: Response<Incoming>,
    token: Option<&Secret>,
) -> Failure {
    let answer = Answer::of(response, token).await;
    let failure = Failure::http(answer.status, &answer.said, answer.retry_after);
    Failure {
        message: format!("{place}: {}", failure.message),
        ..failure
    }
}

/// Returns the failure for a 101 that is not the requested upgrade.
pub(super) fn no_upgrade(place: &HostPort, why: &str) -> Failure {
    Failure {
        http_status: Some(101),
        ..Failure::fatal(
            Reason::Handshake,
            format!(
                "the WebSocket upgrade at {place} failed: {why}; \
                 check base-url, streaming-path and any proxy on the way"
            ),
        )
    }
}

/// Returns the failure for a peer that closed the connection or does not answer in
/// HTTP.
pub(super) fn broken(place: &HostPort, error: &hyper::Error) -> Failure {
    if error.is_parse() {
        Failure::fatal(
            Reason::Handshake,
            format!(
                "{place} does not answer in HTTP ({error}); \
                 check the port in base-url, and use https:// if the service has TLS"
            ),
        )
    } else {
        Failure::retryable(
            Reason::Handshake,
            format!(
                "the connection to {place} ended before the WebSocket upgrade ({error}); \
                 check the service's log, and use https:// if the service has TLS"
            ),
        )
    }
}

/// Reads as much of a body as comes within [`BODY_PATIENCE`].
async fn read(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            bytes.extend(frame.into_data().unwrap_or_default());
            if bytes.len() >= MAX_BODY {
                break;
            }
        }
    };
    // What came in time is used, even if it is not all.
    let _ = tokio::time::timeout(BODY_PATIENCE, reading).await;
    bytes.truncate(MAX_BODY);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the essential part of a body: `message` of a JSON object, the title of a
/// page, or its beginning.
fn short(body: &str) -> String {
    let message = serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|json| Some(json.get("message")?.as_str()?.to_owned()));
    let text = message
        .or_else(|| title(body))
        .unwrap_or_else(|| without_tags(body));
    let mut said = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() && !said.is_empty() {
            said.push(' ');
        }
        said.push_str(word);
    }
    match said.char_indices().nth(MAX_SAID) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said,
    }
}

/// Returns the content of the first `<title>`, if there is one.
fn title(page: &str) -> Option<String> {
    // Converting ASCII to lower case keeps the byte positions.
    let lower = page.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let start = open + lower.get(open..)?.find('>')? + 1;
    let end = start + lower.get(start..)?.find("</title")?;
    let title = page.get(start..end)?.trim();
    (!title.is_empty()).then(|| title.to_owned())
}

/// Returns the text between the tags of a page. Other text stays as it is.
fn without_tags(page: &str) -> String {
    if !page.trim_start().starts_with('<') {
        return page.to_owned();
    }
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text
}

/// Returns a redirect's target without its query, which may be ours and contain the
/// token.
fn without_query(target: &HeaderValue) -> String {
    let target = String::from_utf8_lossy(target.as_bytes());
    short(target.split(['?', '#']).next().unwrap_or_default())
}

/// Replaces our token by `***` wherever the peer has sent it back, in any spelling.
pub(in crate::transport) fn redacted(said: String, token: Option<&Secret>) -> String {
    let Some(token) = token.map(Secret::expose).filter(|token| !token.is_empty()) else {
        return said;
    };
    let encoded = utf8_percent_encode(token, NON_ALPHANUMERIC).to_string();
    let said = said.replace(token, "***").replace(&encoded, "***");
    // A part of the token, or an unknown spelling of it, hides the whole text.
    let plain = percent_decode_str(&said).decode_utf8_lossy();
    let beginning = token.get(..8).unwrap_or(token);
    if plain.contains(beginning) {
        "***".to_owned()
    } else {
        said
    }
}

/// Reads `Retry-After` in either form. A date in the past gives zero.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}
