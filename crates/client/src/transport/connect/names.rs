// SPDX-License-Identifier: MPL-2.0

//! Looks up the addresses of a host with the system's resolver.
//!
//! The system's resolver blocks, for ten seconds and more if a name server does not
//! answer. It has threads of its own, and their number is bounded, so that a silent
//! name server delays no call to the application and no dial to another host:
//!
//! - a host is looked up once for all sinks that ask for it at the same time;
//! - at most eight look-ups begin within a second, the newest first, and at most 64 run;
//! - a host whose last look-up took longer than a second waits behind the others, and
//!   such hosts take up at most half of the threads;
//! - `localhost` is the loopback (RFC 6761, section 6.3) and needs no thread.
//!
//! An asynchronous resolver would need no threads, but it knows only DNS. It does not
//! find what the machine finds by nsswitch, mDNS or the resolver of a VPN.

use crate::transport::flights::Flights;
use crate::transport::threads::{Rule, ThreadPool, Undone};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::LazyLock;
use std::time::Duration;

/// Time after which a look-up no longer delays the next one.
const PATIENCE: Duration = Duration::from_secs(1);

/// The addresses, or the system's error for the name.
type Found = Result<Vec<IpAddr>, String>;

static NAMES: LazyLock<Flights<String, Found>> = LazyLock::new(|| {
    let pool = ThreadPool::new(Rule {
        name: "symbl-dns",
        prompt: 8,
        patience: PATIENCE,
        most: 64,
        newest_first: true,
        keeps_one: false,
    });
    Flights::new(pool, PATIENCE)
});

/// Looks up a host.
///
/// # Errors
///
/// Returns an error if the system gives no thread for the look-up.
pub(super) async fn look_up(name: &str) -> io::Result<Found> {
    if name == "localhost" {
        return Ok(Ok(vec![
            Ipv4Addr::LOCALHOST.into(),
            Ipv6Addr::LOCALHOST.into(),
        ]));
    }
    let asked = name.to_owned();
    match NAMES.get(name.to_owned(), move || system(&asked)).await {
        Ok(found) => Ok(found),
        Err(Undone::NoThread(error)) => Err(error),
        Err(Undone::Panicked(_)) => Err(io::Error::other("the look-up panicked")),
    }
}

fn system(name: &str) -> Found {
    let found = (name, 0).to_socket_addrs();
    let addresses = found.map_err(|error| error.to_string())?;
    Ok(addresses.map(|address: SocketAddr| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::look_up;

    #[tokio::test]
    async fn localhost_is_the_loopback() {
        let found = look_up("localhost").await.unwrap().unwrap();
        assert!(found.len() == 2 && found.iter().all(|address| address.is_loopback()));
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_told_in_the_words_of_the_system() {
        let found = look_up("no-such-host.invalid").await.unwrap();
        assert!(!found.unwrap_err().is_empty());
    }
}
