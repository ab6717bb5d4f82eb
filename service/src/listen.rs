// SPDX-License-Identifier: MPL-2.0

//! The places that the command listens at. A name is resolved once, at the start.

use crate::Failure;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use symbl_service::{AllowedHost, Endpoint};

/// Longest time that the look-up of a name may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The value of `--listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    Address(SocketAddr),
    Name(String, u16),
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err("a path is expected behind unix:, such as unix:/run/symbl.sock"),
                false => Ok(Self::Unix(path.into())),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let parts = text.rsplit_once(':').and_then(|(name, port)| {
            let port = port.parse().ok()?;
            // `*` is refused here, because it is not the name of one host.
            matches!(name.parse(), Ok(AllowedHost::Named(_))).then(|| (name.to_owned(), port))
        });
        let (name, port) = parts.ok_or(
            "an IP address or a name, and a port, are expected, such as 0.0.0.0:8787, \
             [::]:8787 or localhost:8787, or unix: and a path",
        )?;
        Ok(Self::Name(name, port))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// Returns the name that clients may call the service by.
    pub(crate) fn name(&self) -> Option<AllowedHost> {
        match self {
            Self::Address(_) | Self::Unix(_) => None,
            Self::Name(name, _) => name.parse().ok(),
        }
    }

    /// Returns the addresses to try, in order.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let (name, port) = match self {
            Self::Address(address) => return Ok(vec![*address]),
            Self::Name(name, port) => (name.as_str(), *port),
            Self::Unix(_) => return Ok(Vec::new()),
        };
        let failed = |reason: String| Failure::Resolve {
            listen: self.to_string(),
            reason,
        };
        let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, port))).await;
        let found = found.map_err(|_| failed(format!("no answer in {} s", PATIENCE.as_secs())))?;
        let found: Vec<SocketAddr> = found.map_err(|error| failed(error.to_string()))?.collect();
        match found.is_empty() {
            true => Err(failed("the name has no address".to_owned())),
            false => Ok(found),
        }
    }
}

/// Returns where to listen, with every name resolved.
pub(crate) async fn endpoints(listen: &[Listen]) -> Result<Vec<Endpoint>, Failure> {
    let mut endpoints = Vec::new();
    for listen in listen {
        endpoints.push(match listen {
            Listen::Unix(path) => Endpoint::Unix(path.clone()),
            other => Endpoint::Addresses(other.addresses().await?),
        });
    }
    Ok(endpoints)
}
