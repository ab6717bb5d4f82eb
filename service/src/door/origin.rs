// SPDX-License-Identifier: MPL-2.0

//! Decides which web pages may read the service's answers: what a browser asks before it
//! gives a page an answer of another origin (CORS, Fetch Standard 3.2).
//!
//! It must never allow any page by default. In a service without credentials, a page that
//! can read an answer can read every conversation. A browser opens WebSockets for any page
//! without asking; the `gate` decides about those, and about requests that change
//! something.

use crate::config::origin::Origin;
use crate::door::unhonoured::WARNING;
use axum::http::{HeaderValue, Method};
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use url::{Host, Url};

/// How long a browser may remember that a page is allowed.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Returns the layer that allows pages of `allowed` and pages of this machine.
pub(crate) fn layer(allowed: Vec<Origin>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            allows(&allowed, origin)
        }))
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([WARNING])
        .max_age(REMEMBERED)
}

/// Returns `true` for origins of this machine and for allowed origins.
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
