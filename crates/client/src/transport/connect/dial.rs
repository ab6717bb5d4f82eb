// SPDX-License-Identifier: MPL-2.0

//! Connects to a host by TCP: look-up of the name, and a race of the addresses.
//!
//! A host with a dead IPv6 route must not cost the user the seconds of a TCP timeout.
//! So the address families alternate, and each attempt gets only a short head start
//! before the next one (RFC 8305, without its resolver part). This module must never
//! write a byte: `TCP_NODELAY` has to be set before the first one.

use super::{HostPort, Tcp, names};
use crate::session::{Failure, Reason};
use crate::transport::threads::no_thread;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use url::Host;

/// Time that an attempt runs alone before the next address is tried as well.
const HEAD_START: Duration = Duration::from_millis(250);

/// Size of the system's send buffer, in bytes; Linux takes twice as much. Its content
/// is ahead of every ping and is sent again after a loss. The default grows to
/// megabytes, which is minutes of audio. This size is two seconds at 16 kHz, and
/// enough for twenty times real time at a round trip of 100 ms.
const SEND_BUFFER: u32 = 64 << 10;

/// Connects to `place`.
pub(super) async fn dial(place: &HostPort) -> Result<Tcp, Failure> {
    let addresses = look_up(place).await?;
    race(take_turns(addresses), HEAD_START, open)
        .await
        .map(Tcp::from)
        .map_err(|error| tcp_failure(place, &error))
}

async fn look_up(place: &HostPort) -> Result<Vec<SocketAddr>, Failure> {
    let at = |address: IpAddr| SocketAddr::new(address, place.port);
    let name = match &place.host {
        Host::Ipv4(address) => return Ok(vec![at((*address).into())]),
        Host::Ipv6(address) => return Ok(vec![at((*address).into())]),
        Host::Domain(name) => name.as_str(),
    };
    let (reason, what) = match place.is_proxy {
        true => (Reason::Proxy, "the address of the proxy"),
        false => (Reason::Dns, "base-url"),
    };
    let failed = |why: String| {
        Failure::retryable(
            reason,
            format!("cannot find {place}: {why}; check {what} and this machine's network"),
        )
    };
    let found = names::look_up(name)
        .await
        .map_err(|error| no_thread(&format!("look up {place}"), &error))?;
    let addresses = found.map_err(failed)?;
    if addresses.is_empty() {
        return Err(failed("the name has no address".to_owned()));
    }
    Ok(addresses.into_iter().map(at).collect())
}

/// Keeps the system's order, but lets the address families alternate.
fn take_turns(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut these, mut others): (VecDeque<_>, VecDeque<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut turns = VecDeque::new();
    while let Some(address) = these.pop_front() {
        turns.push_back(address);
        turns.extend(others.pop_front());
    }
    turns.extend(others);
    turns
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_send_buffer_size(SEND_BUFFER)?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Tries the addresses in turn: the next one after `head_start`, or at once when one
/// fails. The first success wins, and the other attempts are dropped. If all fail,
/// returns the last error.
async fn race<T, F: Future<Output = io::Result<T>>>(
    mut addresses: VecDeque<SocketAddr>,
    head_start: Duration,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut running = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        running.extend(addresses.pop_front().map(&attempt));
        let mut alone = std::pin::pin!(tokio::time::sleep(head_start));
        loop {
            tokio::select! {
                ended = running.next() => match ended {
                    Some(Ok(winner)) => return Ok(winner),
                    Some(Err(error)) => {
                        last = error;
                        if !addresses.is_empty() {
                            break;
                        }
                    }
                    None => return Err(last),
                },
                () = &mut alone, if !addresses.is_empty() => break,
            }
        }
    }
}

fn tcp_failure(place: &HostPort, error: &io::Error) -> Failure {
    if place.is_proxy {
        return Failure::retryable(
            Reason::Proxy,
            format!("cannot connect to the proxy {place}: {error}; check its address"),
        );
    }
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused if place.is_loopback() => {
            "nothing listens there: start symbl-service, or set base-url to where it runs"
        }
        io::ErrorKind::ConnectionRefused => "check that the service runs, and the port in base-url",
        _ => "check base-url, and the network and firewall on the way",
    };
    Failure::retryable(
        Reason::Tcp,
        format!("cannot connect to {place}: {error}; {hint}"),
    )
}

#[cfg(test)]
mod tests {
    use super::{race, take_turns};
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::io::{self, ErrorKind};
    use std::net::SocketAddr;
    use std::time::Duration;

    const NEVER: Duration = Duration::from_secs(3600);
    const SOON: Duration = Duration::from_secs(20);

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn address_families_take_turns_in_the_order_of_the_system() {
        let given = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let turns = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(take_turns(given), turns);
        let given = addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(take_turns(given.clone()), given);
        assert_eq!(take_turns(Vec::new()), VecDeque::new());
    }

    #[tokio::test]
    async fn an_address_that_never_answers_holds_up_the_next_for_the_head_start_only() {
        let all = addresses(&["[::1]:1", "1.1.1.1:1"]);
        let race = race(all.clone().into(), Duration::from_millis(1), |address| {
            let dead = address == all[0];
            async move {
                if dead {
                    std::future::pending::<()>().await;
                }
                Ok(address)
            }
        });
        let winner = tokio::time::timeout(SOON, race).await;
        assert_eq!(winner.expect("a winner in time").unwrap(), all[1]);
    }

    #[tokio::test]
    async fn an_address_that_fails_makes_room_for_the_next_at_once() {
        let all = addresses(&["[::1]:1", "1.1.1.1:1"]);
        let winner = race(all.clone().into(), NEVER, |address| {
            let refused = address == all[0];
            async move {
                if refused {
                    return Err(io::Error::from(ErrorKind::ConnectionRefused));
                }
                Ok(address)
            }
        })
        .await;
        assert_eq!(winner.unwrap(), all[1]);
    }

    #[tokio::test]
    async fn an_address_that_answers_in_its_head_start_is_the_only_one_tried() {
        let all = addresses(&["[::1]:1", "1.1.1.1:1"]);
        let tried = RefCell::new(Vec::new());
        let winner = race(all.clone().into(), NEVER, |address| {
            tried.borrow_mut().push(address);
            async move {
                tokio::task::yield_now().await;
                Ok(address)
            }
        })
        .await;
        assert_eq!(winner.unwrap(), all[0]);
        assert_eq!(*tried.borrow(), all[..1]);
    }

    #[tokio::test]
    async fn when_all_addresses_fail_the_last_error_is_told() {
        let all = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1"]);
        let tried = RefCell::new(Vec::new());
        let error = race(all.clone().into(), NEVER, |address| {
            tried.borrow_mut().push(address);
            let kind = match tried.borrow().len() {
                3 => ErrorKind::ConnectionRefused,
                _ => ErrorKind::NetworkUnreachable,
            };
            async move { Err::<(), _>(io::Error::from(kind)) }
        })
        .await
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(*tried.borrow(), all);
    }
}
