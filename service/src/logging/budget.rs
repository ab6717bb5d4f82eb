// SPDX-License-Identifier: MPL-2.0

//! Decides how many log lines a client may cause. Pure: the time is an argument.
//!
//! Each socket has a budget. So has the network it comes from, because a client can
//! open one socket after the other. A conversation writes about eight lines from its
//! beginning to its end, so only a very noisy client reaches a limit.

use crate::rate::{Bucket, Expires, Network, Rate, Table};
use std::time::{Duration, Instant};

/// Budget of one connection: two lines per second.
pub(super) const SOCKET: Rate = Rate {
    burst: 100,
    interval: Duration::from_millis(500),
};

/// Budget of one network: twenty lines per second, which are about 5 kB.
pub(super) const NETWORK: Rate = Rate {
    burst: 1000,
    interval: Duration::from_millis(50),
};

/// Minimum time between two reports of a network's suppressed lines while its sockets
/// come and go.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// The lines of one connection.
#[derive(Debug, Default)]
pub(super) struct Socket {
    bucket: Bucket,
    suppressed: u64,
}

/// The lines of one network.
#[derive(Debug, Default)]
struct Lines {
    bucket: Bucket,
    suppressed: u64,
    told: Option<Instant>,
}

impl Expires for Lines {
    fn is_idle(&self, now: Instant) -> bool {
        self.suppressed == 0 && self.bucket.is_full(now)
    }
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineVerdict {
    /// Written, after a line with the number of suppressed ones if that is not zero.
    Write { suppressed: u64 },
    /// Not written.
    Suppress,
}

/// The lines of all networks.
#[derive(Debug, Default)]
pub(super) struct Budget(Table<Lines>);

impl Budget {
    /// Decides about a line that a socket of this network causes.
    pub(super) fn line(
        &mut self,
        socket: &mut Socket,
        network: Network,
        now: Instant,
    ) -> LineVerdict {
        let lines = self.0.of(network, now);
        if !socket.bucket.take(SOCKET, now) {
            socket.suppressed += 1;
            return LineVerdict::Suppress;
        }
        if !lines.bucket.take(NETWORK, now) {
            lines.suppressed += 1;
            return LineVerdict::Suppress;
        }
        lines.told = Some(now);
        LineVerdict::Write {
            suppressed: std::mem::take(&mut socket.suppressed)
                + std::mem::take(&mut lines.suppressed),
        }
    }

    /// Returns how many suppressed lines to report now that the socket is closed.
    pub(super) fn close(&mut self, socket: &Socket, network: Network, now: Instant) -> u64 {
        let lines = self.0.of(network, now);
        lines.suppressed += socket.suppressed;
        if lines.suppressed == 0 {
            return 0;
        }
        let since = lines.told.map(|told| now.saturating_duration_since(told));
        if !lines.bucket.take(NETWORK, now) && since.is_some_and(|since| since < TOLD_EVERY) {
            return 0;
        }
        lines.told = Some(now);
        std::mem::take(&mut lines.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const SECOND: Duration = Duration::from_secs(1);

    fn network(last: u8) -> Network {
        Network::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_socket_that_floods_gets_its_burst_and_one_line_for_the_rest() {
        let mut budget = Budget::default();
        let mut socket = Socket::default();
        let begin = Instant::now();
        let mut written = 0;
        for _ in 0..50_000 {
            if budget.line(&mut socket, network(1), begin) != LineVerdict::Suppress {
                written += 1;
            }
        }
        assert_eq!(written, SOCKET.burst);
        let suppressed = 50_000 - u64::from(SOCKET.burst);
        let verdict = budget.line(&mut socket, network(1), begin + SECOND);
        assert_eq!(verdict, LineVerdict::Write { suppressed });
        let verdict = budget.line(&mut socket, network(1), begin + SECOND);
        assert_eq!(verdict, LineVerdict::Write { suppressed: 0 });
        // Another socket of the same network has its own budget.
        let verdict = budget.line(&mut Socket::default(), network(1), begin);
        assert_eq!(verdict, LineVerdict::Write { suppressed: 0 });
    }

    #[test]
    fn a_network_that_dials_and_dials_gets_twenty_lines_a_second() {
        let mut budget = Budget::default();
        let begin = Instant::now();
        let (mut written, mut told) = (0, 0);
        for number in 0..60_000 {
            let now = begin + Duration::from_millis(number);
            let mut socket = Socket::default();
            for _ in 0..3 {
                if let LineVerdict::Write { suppressed } = budget.line(&mut socket, network(1), now)
                {
                    written += 1;
                    told += suppressed;
                }
            }
            told += budget.close(&socket, network(1), now);
        }
        // The limit for one minute.
        let most = NETWORK.burst + 60 * 20 + 10;
        assert!(written <= most, "{written} lines");
        let now = begin + 70 * SECOND;
        told += budget.close(&Socket::default(), network(1), now);
        assert_eq!(u64::from(written) + told, 180_000, "every line is counted");
        let verdict = budget.line(&mut Socket::default(), network(2), begin);
        assert_eq!(verdict, LineVerdict::Write { suppressed: 0 });
    }

    #[test]
    fn suppressed_lines_are_reported_when_their_socket_closes() {
        let mut budget = Budget::default();
        let mut socket = Socket::default();
        let now = Instant::now();
        for _ in 0..SOCKET.burst + 7 {
            budget.line(&mut socket, network(1), now);
        }
        assert_eq!(budget.close(&socket, network(1), now), 7);
        assert_eq!(budget.close(&Socket::default(), network(1), now), 0);
    }
}
