// SPDX-License-Identifier: MPL-2.0

//! Keeps web pages out of a service without credentials, and logs refused requests.
//!
//! A page in a browser can reach the ports of its machine and of its network. Two ways
//! lead past the browser's own rules, and this module closes both:
//!
//! - DNS rebinding: the page's own name resolves to the service's address, so that the
//!   browser takes the service for the page's server. Such a request has that name as its
//!   `Host`, which is not a name of this service.
//! - CSRF: the page sends what needs no permission, which is a WebSocket handshake, or a
//!   POST as a form sends it. Browsers say in `Origin` where the page comes from.
//!
//! A service with credentials checks neither: a page has no token, and the service may
//! have any name, for example behind a reverse proxy. Every service refuses a body that is
//! not JSON, which the body of a form is not.

use crate::config::origin::{AllowedHost, Origin};
use crate::config::{Auth, ServerConfig};
use crate::door::http::{Why, error};
use crate::door::probes::OPEN;
use crate::door::symbl::bounds::shortened;
use crate::door::{origin, process, socketio};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN, UPGRADE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A request for a token changes nothing, and clients send its body with any type or none.
const TOKEN: &str = "/oauth2/token:generate";

/// The rules for requests.
#[derive(Debug)]
pub(crate) struct Gate {
    /// `None` where credentials are asked for.
    open: Option<Allowed>,
}

#[derive(Debug)]
struct Allowed {
    hosts: Vec<AllowedHost>,
    origins: Vec<Origin>,
}

impl Gate {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let open = matches!(config.auth, Auth::None).then(|| Allowed {
            hosts: config.hosts.clone(),
            origins: config.origins.clone(),
        });
        Self { open }
    }

    /// Returns why a request is refused, if it is.
    fn refusal(&self, request: &Request) -> Option<(StatusCode, String)> {
        let path = request.uri().path();
        let headers = request.headers();
        if let Some(allowed) = self.open.as_ref().filter(|_| !OPEN.contains(&path)) {
            let of_target = request.uri().authority().map(Authority::as_str);
            let of_header = headers.get_all(HOST).iter().map(HeaderValue::to_str);
            let hosts = of_target.map(Ok).into_iter().chain(of_header);
            for host in hosts {
                let host = host.unwrap_or_default();
                if !allowed.host(host) {
                    return Some((StatusCode::FORBIDDEN, foreign_host(host)));
                }
            }
            if let Some(origin) = headers.get(ORIGIN)
                && (changes(request.method()) || headers.contains_key(UPGRADE))
                && !allowed.origin(origin, headers)
            {
                return Some((StatusCode::FORBIDDEN, foreign_origin(origin)));
            }
        }
        let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
        // Without a WebSocket, sessions get their packets as text. Recordings have any type. Pages of other origins are
        // refused above.
        let takes_any = path == TOKEN || socketio::is_path(path) || process::takes_recording(path);
        if has_body && !takes_any && !is_json(headers) {
            let message = "The body must be JSON: send the header Content-Type: application/json.";
            return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, message.to_owned()));
        }
        None
    }
}

impl Allowed {
    /// Returns `true` if `host`, with or without a port, is an address or a name of ours.
    fn host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return self.hosts.contains(&AllowedHost::Any);
        };
        let name = authority.host();
        // The parser takes more than a name and a port, such as `[::1].evil.example`.
        let is_port = |rest: &str| {
            let port = rest.strip_prefix(':');
            rest.is_empty()
                || port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if !host.strip_prefix(name).is_some_and(is_port) {
            return self.hosts.contains(&AllowedHost::Any);
        }
        let bracketed = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let is_address = match bracketed {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<Ipv4Addr>().is_ok(),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        is_address
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|allowed| match allowed {
                AllowedHost::Any => true,
                AllowedHost::Named(known) => known.eq_ignore_ascii_case(name),
            })
    }

    /// Returns `true` for pages of this machine, for allowed pages, and for the service's
    /// own origin, which some clients send that are not browsers.
    fn origin(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let text = origin.to_str().unwrap_or_default();
        let own = text.split_once("://").map(|(_, authority)| authority);
        origin::allows(&self.origins, origin)
            || own.is_some_and(|own| host.is_some_and(|host| own.eq_ignore_ascii_case(host)))
    }
}

fn changes(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

fn is_json(headers: &HeaderMap) -> bool {
    let sent = headers
        .get(CONTENT_TYPE)
        .and_then(|sent| sent.to_str().ok());
    let kind = sent.and_then(|sent| sent.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn foreign_host(host: &str) -> String {
    let host = shortened(host);
    format!(
        "{host:?} is no name of this service. A web page could have it resolve to this address, \
         and nobody is asked for credentials here. Use the IP address or localhost, or start the \
         service with --allow-host and the name, or with credentials."
    )
}

fn foreign_origin(origin: &HeaderValue) -> String {
    let origin = shortened(origin.to_str().unwrap_or_default());
    format!(
        "Web pages of {origin:?} may not use this service. Start it with --allow-origin and that \
         origin to allow it."
    )
}

/// Refuses requests, and logs those that this module or a later one has refused.
pub(crate) async fn check(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    // The query may have a token.
    let path = shortened(request.uri().path());
    let (response, why) = match gate.refusal(&request) {
        Some((status, why)) => (error(status, &why), why),
        None => {
            let response = next.run(request).await;
            let why = response.extensions().get::<Why>();
            let why = why.map(|Why(why)| why.clone()).unwrap_or_default();
            (response, why)
        }
    };
    let status = response.status();
    let is_refusal = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::TOO_MANY_REQUESTS,
    ]
    .contains(&status);
    if is_refusal {
        let status = status.as_u16();
        tracing::info!(status, %method, path, why, "request refused");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn gate(hosts: &[&str], origins: &[&str]) -> Gate {
        let hosts = hosts.iter().map(|host| host.parse().expect("a host"));
        let origins = origins
            .iter()
            .map(|origin| origin.parse().expect("an origin"));
        Gate {
            open: Some(Allowed {
                hosts: hosts.collect(),
                origins: origins.collect(),
            }),
        }
    }

    fn refused(gate: &Gate, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        gate.refusal(&request).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn a_host_is_an_address_localhost_or_a_name_that_was_given() {
        let named = gate(&["Captions.example"], &[]);
        let of = |gate: &Gate, host: &str| refused(gate, "GET", "/x", &[("Host", host)]);
        for host in [
            "127.0.0.1",
            "127.0.0.1:8787",
            "192.168.1.5:8787",
            "[::1]:8787",
            "[2001:db8::1]",
            "localhost:8787",
            "LOCALHOST",
            "localhost.",
            "captions.example:443",
        ] {
            assert_eq!(of(&named, host), None, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8787",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "captions.example.evil.example",
            "xcaptions.example",
            "captions.example@evil.example",
            "evil.example#captions.example",
            "a b",
            "[::1].evil.example",
            "[::1]evil.example:80",
            "[127.0.0.1]",
            "127.0.0.1]",
            "localhost8787",
        ] {
            assert_eq!(of(&named, host), Some(403), "{host}");
            assert_eq!(of(&gate(&["*"], &[]), host), None, "{host}");
            let closed = Gate { open: None };
            assert_eq!(of(&closed, host), None, "{host}");
        }
        assert_eq!(refused(&named, "GET", "/x", &[]), None, "no browser");
        assert_eq!(
            refused(&named, "GET", "http://evil.example/x", &[]),
            Some(403)
        );
        let probe = [("Host", "evil.example")];
        for path in OPEN {
            assert_eq!(refused(&named, "GET", path, &probe), None, "{path}");
        }
        let two = [("Host", "localhost"), ("Host", "evil.example")];
        assert_eq!(refused(&named, "GET", "/x", &two), Some(403));
    }

    #[test]
    fn an_origin_that_changes_something_is_local_allowed_or_the_services_own() {
        let gate = gate(&[], &["https://app.example"]);
        let host = ("Host", "192.168.1.5:8787");
        let upgrade = ("Upgrade", "websocket");
        for (origin, expected) in [
            ("http://localhost:3000", None),
            ("http://127.0.0.1", None),
            ("https://app.example", None),
            ("http://192.168.1.5:8787", None),
            ("http://192.168.1.5", Some(403)),
            ("http://evil.example", Some(403)),
            ("null", Some(403)),
            ("", Some(403)),
        ] {
            let origin = ("Origin", origin);
            assert_eq!(refused(&gate, "DELETE", "/x", &[host, origin]), expected);
            assert_eq!(refused(&gate, "POST", TOKEN, &[host, origin]), expected);
            let socket = [host, origin, upgrade];
            assert_eq!(refused(&gate, "GET", "/x", &socket), expected);
            // CORS decides if the page may read the answer.
            assert_eq!(refused(&gate, "GET", "/x", &[host, origin]), None);
        }
    }

    #[test]
    fn a_body_that_changes_something_is_json() {
        let gate = gate(&[], &[]);
        for (kind, expected) in [
            (Some("application/json"), None),
            (Some("Application/JSON; charset=utf-8"), None),
            (Some("text/plain"), Some(415)),
            (Some("text/plain; application/json"), Some(415)),
            (Some("application/x-www-form-urlencoded"), Some(415)),
            (None, Some(415)),
        ] {
            let headers: Vec<_> = kind
                .map(|kind| ("Content-Type", kind))
                .into_iter()
                .collect();
            for method in ["POST", "PUT"] {
                assert_eq!(refused(&gate, method, "/x", &headers), expected, "{kind:?}");
            }
            assert_eq!(refused(&gate, "POST", TOKEN, &headers), None);
            assert_eq!(refused(&gate, "DELETE", "/x", &headers), None);
        }
    }
}
