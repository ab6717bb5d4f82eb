// SPDX-License-Identifier: MPL-2.0

//! How often a client may do something: token buckets, and one for each network.
//!
//! Everything here is pure: the time is an argument. Memory is bounded, however many
//! addresses a client has: an IPv6 client counts by its /64, which one subscriber of
//! a provider has whole, and a table holds [`MOST_NETWORKS`] networks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Networks that a table tells apart. Those beyond it share one entry.
const MOST_NETWORKS: usize = 10_000;

/// So many at once, and then one in each interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) interval: Duration,
}

impl Rate {
    /// Returns how long an empty bucket takes to fill.
    fn time_to_fill(self) -> Duration {
        self.interval.saturating_mul(self.burst)
    }
}

/// A token bucket. It keeps the time until it is full again rather than a number of
/// tokens, so that it needs no arithmetic with fractions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes a token; returns `false` if there is none.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let is_free = self.wait(rate, now).is_zero();
        if is_free {
            self.full_at = Some(now + self.missing(now) + rate.interval);
        }
        is_free
    }

    /// Returns how long it takes until there is a token.
    pub(crate) fn wait(&self, rate: Rate, now: Instant) -> Duration {
        let needed = self.missing(now) + rate.interval;
        needed.saturating_sub(rate.time_to_fill())
    }

    /// Returns `true` if the bucket is full: it says no more than a new one.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.missing(now).is_zero()
    }

    fn missing(&self, now: Instant) -> Duration {
        let full_at = self.full_at.unwrap_or(now);
        full_at.saturating_duration_since(now)
    }
}

/// What counts as one client: an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    /// Returns the network of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(prefix))
            }
        })
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// An entry of a [`Table`], which may be dropped when it says no more than a new one.
pub(crate) trait Expires: Default {
    /// Returns `true` if the entry says no more than a new one.
    fn is_idle(&self, now: Instant) -> bool;
}

/// An entry for each network, up to [`MOST_NETWORKS`].
#[derive(Debug)]
pub(crate) struct Table<E> {
    entries: HashMap<Network, E>,
    /// Shared by the networks that the table has no room for.
    others: E,
    most: usize,
}

impl<E: Default> Default for Table<E> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            others: E::default(),
            most: MOST_NETWORKS,
        }
    }
}

impl<E: Expires> Table<E> {
    /// Returns the entry of a network.
    pub(crate) fn of(&mut self, network: Network, now: Instant) -> &mut E {
        if self.entries.len() >= self.most && !self.entries.contains_key(&network) {
            self.entries.retain(|_, entry| !entry.is_idle(now));
            if self.entries.len() >= self.most {
                return &mut self.others;
            }
        }
        self.entries.entry(network).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        interval: Duration::from_secs(2),
    };

    impl Expires for Bucket {
        fn is_idle(&self, now: Instant) -> bool {
            self.is_full(now)
        }
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_in_each_interval() {
        let begin = Instant::now();
        let mut bucket = Bucket::default();
        let mut taken = Vec::new();
        for second in 0..10 {
            let now = begin + Duration::from_secs(second);
            let tries = if second == 0 { 9 } else { 1 };
            taken.push((0..tries).filter(|_| bucket.take(RATE, now)).count());
        }
        assert_eq!(taken, [3, 0, 1, 0, 1, 0, 1, 0, 1, 0]);
        let now = begin + Duration::from_secs(9);
        assert_eq!(bucket.wait(RATE, now), Duration::from_secs(1));
        assert!(!bucket.is_full(now));
        assert!(bucket.is_full(now + Duration::from_secs(6)));
    }

    #[test]
    fn an_ipv6_client_is_its_64_and_an_embedded_ipv4_address_is_itself() {
        let of = |text: &str| Network::of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn networks_beyond_the_bound_share_an_entry_until_others_are_idle() {
        let begin = Instant::now();
        let mut table = Table::<Bucket> {
            most: 2,
            ..Table::default()
        };
        let network = |last| Network::of(IpAddr::from([192, 0, 2, last]));
        for last in 0..9 {
            table.of(network(last), begin).take(RATE, begin);
        }
        assert_eq!(table.entries.len(), 2);
        assert!(!table.of(network(8), begin).take(RATE, begin), "shared");
        assert!(table.of(network(0), begin).take(RATE, begin), "its own");
        let later = begin + Duration::from_secs(60);
        assert!(table.of(network(8), later).take(RATE, later));
        assert_eq!(table.entries.len(), 1);
    }
}
