// SPDX-License-Identifier: MPL-2.0

//! The address that the command listens on. A name is resolved once, at the start.

use crate::Failure;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;
use symbl_service::{AllowedHost, BindError, Server, ServerConfig};

/// Longest time that the look-up of a name may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The value of `--listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    Address(SocketAddr),
    Name(String, u16),
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
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
             [::]:8787 or localhost:8787",
        )?;
        Ok(Self::Name(name, port))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl Listen {
    /// Returns the name that clients may call the service by.
    pub(crate) fn name(&self) -> Option<AllowedHost> {
        match self {
            Self::Address(_) => None,
            Self::Name(name, _) => name.parse().ok(),
        }
    }

    /// Returns the addresses to try, in order.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let (name, port) = match self {
            Self::Address(address) => return Ok(vec![*address]),
            Self::Name(name, port) => (name.as_str(), *port),
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

/// Listens on the first of the addresses that can be bound.
pub(crate) async fn bind(listen: &Listen, mut config: ServerConfig) -> Result<Server, Failure> {
    let mut refused = None;
    for address in listen.addresses().await? {
        config.listen = address;
        match Server::bind(config.clone()).await {
            Err(error @ BindError::Listen { .. }) => refused = Some(error),
            other => return Ok(other?),
        }
    }
    Err(refused.map_or_else(
        || Failure::Resolve {
            listen: listen.to_string(),
            reason: "the name has no address".to_owned(),
        },
        Failure::Bind,
    ))
}
