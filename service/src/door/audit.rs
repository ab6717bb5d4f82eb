// SPDX-License-Identifier: MPL-2.0

//! Writes into the audit log what requests have read, exported, changed and deleted. Whose
//! request it was the token says, as for the handlers.

use crate::audit::Event;
use crate::door::handshake::account_of;
use crate::door::http::Shared;
use crate::door::listener::Peer;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

/// Returns what a request does, by its method and the pattern of its path. `None` for what concerns
/// no conversation.
pub(crate) fn what(method: &Method, path: &str) -> Option<(&'static str, &'static str)> {
    let rest = match path.strip_prefix("/v1/conversations") {
        Some(rest) => rest,
        None if path.contains("/subscribe/") => return Some(("subscribe", "read")),
        None if path == "/v1/search" => return Some(("http", "search")),
        None if path.starts_with("/v1/groups/") => return Some(("http", "list")),
        None if path.starts_with("/v1/process/") => return Some(("http", "change")),
        // With its conversation.
        None if path == "/v1/job/{id}" && *method == Method::DELETE => {
            return Some(("http", "deletion"));
        }
        None => return None,
    };
    let is_change = *method != Method::GET && *method != Method::HEAD;
    let last = rest.rsplit('/').next().unwrap_or_default();
    let what = match (method, last) {
        (&Method::DELETE, "{id}") => "deletion",
        (_, "transcript") => "export",
        (_, "share") => "share",
        (_, "{member}") if is_change => "rename",
        (_, "search") => "search",
        // It reads, whether it has a checklist in its body or not.
        (_, "callscore") => "read",
        _ if is_change => "change",
        (_, "") => "list",
        _ => "read",
    };
    Some(("http", what))
}

/// Writes a line for a request that concerns a conversation, when it is answered.
pub(crate) async fn write(
    State(shared): State<Shared>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let audit = shared.config.audit.clone();
    let known = path
        .as_ref()
        .and_then(|path| what(request.method(), path.as_str()));
    let (Some((door, what)), true) = (known, audit.is_on()) else {
        return next.run(request).await;
    };
    let method = request.method().clone();
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let address = peer.map(|ConnectInfo(peer)| peer.address);
    let account = account_of(request.headers(), request.uri(), &shared);
    let id = path.and_then(|path| id_in(path.as_str(), request.uri().path()));
    let response = next.run(request).await;
    audit.write(Event {
        account: account.as_deref().unwrap_or_default(),
        address,
        door,
        method: method.as_str(),
        what,
        conversation: id,
        status: response.status().as_u16(),
    });
    response
}

/// Returns the id in a path of which this is the pattern, shortened.
fn id_in(pattern: &str, path: &str) -> Option<String> {
    const LONGEST: usize = 128;
    let at = pattern.split('/').position(|part| part == "{id}")?;
    let id = path.split('/').nth(at)?;
    Some(id.chars().take(LONGEST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_its_method_and_path() {
        for (method, path, expected) in [
            ("GET", "/v1/conversations", Some("list")),
            ("GET", "/v1/conversations/{id}", Some("read")),
            ("DELETE", "/v1/conversations/{id}", Some("deletion")),
            ("GET", "/v1/conversations/{id}/messages", Some("read")),
            ("GET", "/v1/conversations/{id}/search", Some("search")),
            ("GET", "/v1/conversations/{id}/transcript", Some("export")),
            ("POST", "/v1/conversations/{id}/transcript", Some("export")),
            ("POST", "/v1/conversations/{id}/share", Some("share")),
            ("POST", "/v1/conversations/{id}/callscore", Some("read")),
            (
                "PUT",
                "/v1/conversations/{id}/members/{member}",
                Some("rename"),
            ),
            ("PATCH", "/v1/conversations/{id}", Some("change")),
            ("GET", "/v1/subscribe/{id}", Some("read")),
            ("GET", "/v1/search", Some("search")),
            ("GET", "/v1/groups/{id}/conversations", Some("list")),
            ("PUT", "/v1/process/text/{id}", Some("change")),
            ("GET", "/v1/job/{id}", None),
            ("DELETE", "/v1/job/{id}", Some("deletion")),
            ("GET", "/v1/streaming/{id}", None),
            ("GET", "/healthz", None),
        ] {
            let method: Method = method.parse().expect("a method");
            let found = what(&method, path).map(|(_, what)| what);
            assert_eq!(found, expected, "{method} {path}");
        }
    }

    #[test]
    fn the_id_stands_where_the_pattern_has_it() {
        let id = id_in(
            "/v1/conversations/{id}/members/{member}",
            "/v1/conversations/12/members/7",
        );
        assert_eq!(id.as_deref(), Some("12"));
    }
}
