// SPDX-License-Identifier: MPL-2.0

//! The places at which a server listens.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

/// One place to listen at.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// The first of these addresses that can be bound. A name has several.
    Addresses(Vec<SocketAddr>),
    /// A socket in the file system, which the service makes and removes. Its owner and its
    /// group may connect. It is never served over TLS.
    Unix(PathBuf),
    /// A socket that listens already, such as one of systemd's.
    Tcp(Arc<TcpListener>),
    /// A socket in the file system that listens already. The service does not remove it.
    UnixListener(Arc<UnixListener>),
}

/// A place at which a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// An address.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Bound {
    /// Returns the address, if it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Returns `true` if only this machine can reach it.
    pub fn is_local(&self) -> bool {
        let address = self.address();
        address.is_none_or(|address| address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
