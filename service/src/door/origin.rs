// SPDX-License-Identifier: MPL-2.0

//! Which web pages may use the HTTP side: what a browser asks before it lets a page
//! of another origin have an answer (CORS, Fetch Standard 3.2).
//!
//! It must never let in any page by default: where no token is asked for, whoever
//! can read an answer can read every conversation. A browser opens sockets for any page
//! without such a question; the `gate` sees to them, and to requests that change
//! something.

use crate::config::origin::Origin;
use axum::http::{HeaderValue, Method};
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use url::{Host, Url};

/// How long a browser may remember that it was let in.
const REMEMBERED: Duration = Duration::from_secs(3600);

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
}
