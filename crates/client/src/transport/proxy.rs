// SPDX-License-Identifier: MPL-2.0

//! Decides which proxy is used for a service, if any.
//!
//! The client asks a proxy by HTTP CONNECT to pass on bytes. So the proxy sees
//! nothing of TLS but the name of the service. This module must never show the user
//! name or the password in a proxy's address: not in `Debug` and not in a failure.
//!
//! Sources: RFC 9110, sections 9.3.6 (CONNECT) and 11.7 (proxy credentials);
//! `NO_PROXY` as curl reads it.

use super::connect::HostPort;
use super::secret::Secret;
use crate::session::{Failure, Reason};
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use std::fmt;
use url::{Position, Url};

/// Environment variables with the address of a proxy for `https`.
const ENV_PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
/// Environment variables with the hosts that are dialed directly.
const ENV_NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The settings of proxies.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Proxy {
    /// From the application, for all services.
    pub address: Option<Secret>,
    /// From the environment, for services with TLS. Used if `address` is not set.
    pub environment: Option<Secret>,
    /// Hosts, domains and networks that are dialed directly, separated by commas. The
    /// loopback is always dialed directly.
    pub no_proxy: String,
}

/// A proxy to dial in place of the service.
pub(super) struct Gateway {
    pub(super) place: HostPort,
    /// The user name and the password in the form in which they are sent.
    pub(super) authorization: Option<HeaderValue>,
    /// The password, which must not appear in a text.
    pub(super) password: Option<Secret>,
}

impl Proxy {
    /// Reads the settings of the environment. `variable` looks up a variable; an
    /// empty one counts as absent.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&str; 2]| {
            let texts = names.into_iter().filter_map(&variable);
            let mut texts = texts.map(|text| text.trim().to_owned());
            texts.find(|text| !text.is_empty())
        };
        Self {
            address: None,
            environment: first(ENV_PROXY).map(Secret::new),
            no_proxy: first(ENV_NO_PROXY).unwrap_or_default(),
        }
    }

    /// Returns `address` without user name and password.
    pub fn shown(&self) -> Option<String> {
        self.address.as_ref().map(shown)
    }

    /// Checks that `address` can be used.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it, and how it should look.
    pub fn check(&self) -> Result<(), Failure> {
        match &self.address {
            Some(address) => parsed(address, "proxy").map(drop),
            None => Ok(()),
        }
    }

    /// Returns the proxy for the service at `url`, if there is one.
    pub(super) fn before(&self, url: &Url) -> Result<Option<Gateway>, Failure> {
        if HostPort::of(url)?.is_loopback() {
            return Ok(None);
        }
        let secure = matches!(url.scheme(), "https" | "wss");
        let (address, name) = match (&self.address, &self.environment) {
            (Some(address), _) => (address, "proxy"),
            (None, Some(address)) if secure => (address, "HTTPS_PROXY"),
            (None, _) => return Ok(None),
        };
        let proxy = parsed(address, name)?;
        let scheme = if secure { "https" } else { "http" };
        let host = &url[Position::BeforeHost..Position::AfterPort];
        let service = format!("{scheme}://{host}/").parse::<Uri>();
        let matcher = Matcher::builder().all(proxy.as_str()).no(&self.no_proxy);
        let Some(found) = service.ok().and_then(|uri| matcher.build().intercept(&uri)) else {
            return Ok(None);
        };
        let password = proxy.password().unwrap_or(proxy.username());
        let password = percent_encoding::percent_decode_str(password).decode_utf8_lossy();
        Ok(Some(Gateway {
            place: HostPort::of_proxy(&proxy)?,
            authorization: found.basic_auth().cloned(),
            password: (!password.is_empty()).then(|| Secret::new(password)),
        }))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.shown())
            .field("environment", &self.environment.as_ref().map(shown))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// Parses the address of a proxy, whose scheme may be left out.
fn url(address: &Secret) -> Option<Url> {
    let text = address.expose().trim();
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    url.ok().filter(Url::has_host)
}

fn shown(address: &Secret) -> String {
    let Some(url) = url(address) else {
        return "***".to_owned();
    };
    let host = &url[Position::BeforeHost..Position::AfterPort];
    match url.username().is_empty() && url.password().is_none() {
        true => format!("{}://{host}", url.scheme()),
        false => format!("{}://***@{host}", url.scheme()),
    }
}

fn parsed(address: &Secret, name: &str) -> Result<Url, Failure> {
    let problem = match url(address) {
        None => "is no address",
        Some(url) if url.scheme() == "http" => return Ok(url),
        Some(_) => "is not one of HTTP",
    };
    let message = format!(
        "the {name} {} {problem}; it should look like http://host:port or \
         http://user:password@host:port, with all special characters in the password \
         percent-encoded",
        shown(address)
    );
    Err(Failure::fatal(Reason::Settings, message))
}

#[cfg(test)]
mod tests {
    use super::Proxy;
    use crate::session::Reason;
    use crate::transport::secret::Secret;
    use url::Url;

    fn given(address: &str) -> Proxy {
        Proxy {
            address: Some(Secret::new(address)),
            ..Proxy::default()
        }
    }

    /// Returns the host and port of the proxy for the service at `url`.
    fn before(proxy: &Proxy, url: &str) -> Option<String> {
        let found = proxy.before(&Url::parse(url).unwrap()).unwrap();
        found.map(|gateway| gateway.place.to_string())
    }

    #[test]
    fn the_property_is_for_all_services_and_the_environment_for_those_with_tls() {
        let proxy = given("http://proxy:3128");
        for url in ["ws://h/", "wss://h/", "http://h/", "https://h:9/"] {
            assert_eq!(before(&proxy, url).as_deref(), Some("proxy:3128"), "{url}");
        }
        let variable = |name: &str| (name == "https_proxy").then(|| " proxy:3128 ".to_owned());
        let proxy = Proxy::from_environment(variable);
        for (url, found) in [
            ("ws://h/", None),
            ("http://h/", None),
            ("wss://h/", Some("proxy:3128")),
            ("https://h/", Some("proxy:3128")),
        ] {
            assert_eq!(before(&proxy, url).as_deref(), found, "{url}");
        }
        assert_eq!(before(&Proxy::default(), "wss://h/"), None);
    }

    #[test]
    fn the_loopback_and_no_proxy_are_dialed_directly() {
        let variable = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://proxy".to_owned()),
            "NO_PROXY" => Some("direct.example, .inner.example,10.0.0.0/8".to_owned()),
            _ => None,
        };
        let environment = Proxy::from_environment(variable);
        let property = Proxy {
            address: environment.environment.clone(),
            ..environment.clone()
        };
        for proxy in [environment, property] {
            for (host, found) in [
                ("localhost", None),
                ("127.0.0.1", None),
                ("[::1]", None),
                ("direct.example", None),
                ("sub.direct.example", None),
                ("a.inner.example", None),
                ("10.1.2.3", None),
                ("other.example", Some("proxy:80")),
                ("indirect.example", Some("proxy:80")),
                ("11.1.2.3", Some("proxy:80")),
            ] {
                let url = format!("wss://{host}:8787/v1/streaming/abc");
                assert_eq!(before(&proxy, &url).as_deref(), found, "{host}");
            }
        }
    }

    #[test]
    fn credentials_are_sent_decoded_and_not_shown() {
        let proxy = given("http://us%40er:s3cr3t%3Aword@proxy:3128");
        let url = Url::parse("ws://h/").unwrap();
        let gateway = proxy.before(&url).unwrap().unwrap();
        // `us@er:s3cr3t:word` in base64.
        let authorization = gateway.authorization.unwrap();
        assert_eq!(authorization, "Basic dXNAZXI6czNjcjN0OndvcmQ=");
        assert!(authorization.is_sensitive());
        assert_eq!(gateway.password, Some(Secret::new("s3cr3t:word")));
        assert_eq!(proxy.shown().as_deref(), Some("http://***@proxy:3128"));
        let debug = format!("{proxy:?}");
        assert!(
            !debug.contains("s3cr3t") && !debug.contains("us%40er"),
            "{debug}"
        );
        assert_eq!(given("proxy").shown().as_deref(), Some("http://proxy"));
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_and_its_password_not_shown() {
        for address in [
            "socks5://user:s3cr3t@proxy",
            "https://user:s3cr3t@proxy",
            "http://user:s3cr3t",
            "http://user:s3cr3t/word@proxy",
            "http://",
        ] {
            let failure = given(address).check().unwrap_err();
            assert_eq!(
                (failure.reason, failure.retryable),
                (Reason::Settings, false)
            );
            let shown = format!("{failure:?} {:?}", given(address));
            assert!(!shown.contains("s3cr3t"), "{shown}");
            assert!(failure.message.contains("http://user:password@host:port"));
        }
        assert_eq!(given("http://proxy:1/").check(), Ok(()));
        assert_eq!(Proxy::default().check(), Ok(()));
    }
}
