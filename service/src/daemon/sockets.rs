// SPDX-License-Identifier: MPL-2.0

//! Sockets that systemd has opened for the service (`LISTEN_FDS`).

use listenfd::ListenFd;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use symbl_service::Endpoint;

/// Takes the sockets over. They are in place of `--listen`.
pub(crate) fn inherited() -> Result<Vec<Endpoint>> {
    let mut given = ListenFd::from_env();
    (0..given.len())
        .map(|number| one(&mut given, number))
        .collect()
}

fn one(given: &mut ListenFd, number: usize) -> Result<Endpoint> {
    if let Ok(Some(socket)) = given.take_tcp_listener(number) {
        return Ok(Endpoint::Tcp(Arc::new(socket)));
    }
    if let Ok(Some(socket)) = given.take_unix_listener(number) {
        return Ok(Endpoint::UnixListener(Arc::new(socket)));
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        "socket activation gave something that is no listening stream socket",
    ))
}
