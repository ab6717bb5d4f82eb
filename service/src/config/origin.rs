// SPDX-License-Identifier: MPL-2.0

//! Names of web pages' origins and of hosts, as the user gives them.

use std::str::FromStr;
use url::{Host, Url};

/// The origin of web pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Any origin.
    Any,
    /// This scheme, host and port, as browsers write them: `https://app.example:8443`.
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

/// A host name that a service without credentials accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHost {
    /// Any name.
    Any,
    /// This name, with any port.
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

#[cfg(test)]
mod tests {
    use super::*;

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
