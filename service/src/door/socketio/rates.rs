// SPDX-License-Identifier: MPL-2.0

//! How often one socket may ask for something. Pure: the time is an argument.

use crate::rate::{Bucket, Rate};
use std::time::{Duration, Instant};
use symbl_protocol::session::Request;

/// `session:create` and `session:reconnect`: five at once, and then one a second.
const JOIN: Rate = Rate {
    burst: 5,
    interval: Duration::from_secs(1),
};

/// `session:history:sync`: ten pages at once, and then one in two seconds.
const HISTORY: Rate = Rate {
    burst: 10,
    interval: Duration::from_secs(2),
};

/// The rates of one socket.
#[derive(Debug)]
pub(super) struct Rates {
    send: Rate,
    /// Everything that comes, also what is refused: ten times as much as texts.
    all: Rate,
    sends: Bucket,
    joins: Bucket,
    histories: Bucket,
    events: Bucket,
}

impl Rates {
    /// Returns full buckets. `sends` texts may be sent in a second, and four times as many
    /// at once.
    pub(super) fn new(sends: u32) -> Self {
        let sends = sends.max(1);
        Self {
            send: Rate {
                burst: sends.saturating_mul(4),
                interval: Duration::from_secs(1) / sends,
            },
            all: Rate {
                burst: sends.saturating_mul(40),
                interval: Duration::from_millis(100) / sends,
            },
            sends: Bucket::default(),
            joins: Bucket::default(),
            histories: Bucket::default(),
            events: Bucket::default(),
        }
    }

    /// Counts an event, before it is read. Returns `false` if there are too many.
    pub(super) fn event(&mut self, now: Instant) -> bool {
        self.events.take(self.all, now)
    }

    /// Counts a request. Returns `false` if there are too many of its kind.
    pub(super) fn request(&mut self, request: &Request, now: Instant) -> bool {
        match request {
            Request::Create { .. } | Request::Reconnect { .. } => self.joins.take(JOIN, now),
            Request::History { .. } => self.histories.take(HISTORY, now),
            Request::Send { .. } => self.sends.take(self.send, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: &str) -> Request {
        let session_id = "s".to_owned();
        match kind {
            "create" => Request::Create { title: None },
            "reconnect" => Request::Reconnect {
                session_id,
                view: false,
            },
            "history" => Request::History {
                session_id,
                after: 0,
                limit: 1,
            },
            _ => Request::Send {
                session_id,
                text: "t".to_owned(),
                corrects: None,
                client_id: None,
            },
        }
    }

    #[test]
    fn each_kind_has_a_burst_and_then_its_rate() {
        let begin = Instant::now();
        for (kind, burst, in_ten_seconds) in [
            ("create", 5, 10),
            ("reconnect", 5, 10),
            ("history", 10, 5),
            ("send", 20, 50),
        ] {
            let mut rates = Rates::new(5);
            let mut taken = |now| rates.request(&request(kind), now);
            let at_once = (0..100).filter(|_| taken(begin)).count();
            assert_eq!(at_once, burst, "{kind}");
            let each = |tenth: u64| begin + Duration::from_millis(100 * tenth);
            let later = (1..=100_u64).filter(|tenth| taken(each(*tenth))).count();
            assert_eq!(later, in_ten_seconds, "{kind}");
        }
    }

    #[test]
    fn one_kind_leaves_the_others_alone() {
        let (mut rates, now) = (Rates::new(5), Instant::now());
        while rates.request(&request("send"), now) {}
        assert!(rates.request(&request("history"), now));
        assert!(rates.request(&request("reconnect"), now));
    }

    #[test]
    fn what_is_refused_counts_too() {
        let (mut rates, now) = (Rates::new(5), Instant::now());
        let at_once = (0..1000).filter(|_| rates.event(now)).count();
        assert_eq!(at_once, 200);
        assert!(rates.event(now + Duration::from_millis(20)));
    }
}
