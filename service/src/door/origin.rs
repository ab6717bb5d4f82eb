// SPDX-License-Identifier: MPL-2.0

//! Which web pages may use the HTTP side: what a browser asks before it lets a page
//! of another origin have an answer (CORS, Fetch Standard 3.2).
//!
//! It must never let in any page by default: where no token is asked for, whoever
//! can read an answer can read every conversation. A browser opens sockets for any page
//! without such a question; the `gate` sees to them, and to requests that change
//! something.

use axum::http::{HeaderValue, Method};
use std::str::FromStr;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use url::{Host, Url};

/// How long a browser may remember that it was let in.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Where web pages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Anywhere.
    Any,
    /// Scheme, host and port, as browsers write them: `https://app.example:8443`.
    Of(String),
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an origin is a scheme, a host and perhaps a port, such as https://app.example, or *")]
pub struct OriginError;

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let url = Url::parse(text).map_err(|_| OriginError)?;
        let origin = url.origin().ascii_serialization();
        let bare = text.strip_suffix('/').unwrap_or(text);
        if url.host().is_none() || !origin.eq_ignore_ascii_case(bare) {
            return Err(OriginError);
        }
        Ok(Self::Of(origin))
    }
}

/// A name under which the service may be asked where it asks nobody for credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHost {
    /// Any name.
    Any,
    /// This one, under any port.
    Named(String),
}

/// A text that is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a host is a name without scheme and port, such as captions.example, or *")]
pub struct HostError;

impl FromStr for AllowedHost {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        match Host::parse(text) {
            Ok(Host::Domain(name)) => Ok(Self::Named(name)),
            // An address is allowed anyway.
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => Ok(Self::Named(text.to_owned())),
            Err(_) => Err(HostError),
        }
    }
}

/// Lets in pages of `allowed`, and those of this machine.
pub(crate) fn layer(allowed: Vec<Origin>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            allows(&allowed, origin)
        }))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .max_age(REMEMBERED)
}

/// Returns `true` for origins of this machine and those that are allowed.
pub(crate) fn allows(allowed: &[Origin], origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    is_local(origin)
        || allowed.iter().any(|allowed| match allowed {
            Origin::Any => true,
            Origin::Of(allowed) => allowed == origin,
        })
}

fn is_local(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_machine_and_those_that_are_named_may_come_in() {
        let named = ["https://app.example".parse().unwrap()];
        let may = |origin: &'static str| allows(&named, &HeaderValue::from_static(origin));
        for origin in [
            "http://localhost:8080",
            "https://localhost",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "https://app.example",
        ] {
            assert!(may(origin), "{origin}");
        }
        for origin in [
            "null",
            "http://app.example",
            "https://app.example:8443",
            "https://localhost.app.example",
            "https://127.0.0.1.example",
            "http://192.168.0.2",
        ] {
            assert!(!may(origin), "{origin}");
        }
    }

    #[test]
    fn a_host_has_neither_scheme_nor_port() {
        let named = |text: &str| Ok(AllowedHost::Named(text.to_owned()));
        assert_eq!("*".parse(), Ok(AllowedHost::Any));
        assert_eq!("Captions.example".parse(), named("captions.example"));
        for text in [
            "",
            "a b",
            "https://a.example",
            "a.example:8787",
            "a.example/x",
        ] {
            assert_eq!(text.parse::<AllowedHost>(), Err(HostError), "{text}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        let of = |text: &str| Ok(Origin::Of(text.to_owned()));
        assert_eq!("*".parse(), Ok(Origin::Any));
        assert_eq!("https://App.example/".parse(), of("https://app.example"));
        assert_eq!("http://a.example:81".parse(), of("http://a.example:81"));
        for text in [
            "",
            "app.example",
            "https://app.example/page",
            "null",
            "file:///x",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError), "{text}");
        }
    }
}
