// SPDX-License-Identifier: MPL-2.0

//! Decides which interims of other nodes are shown: none of an utterance after its final,
//! none before the final of the utterance before, and none that is older than one that was
//! shown. So listeners see what those on the speaker's own node see.

use super::Stamp;
use std::collections::VecDeque;

/// Most start requests of a conversation that are remembered.
const MOST: usize = 64;

/// What is done with an interim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is shown.
    Now,
    /// The final of its utterance was told, or a later interim was shown.
    Late,
    /// An entry before it was not told yet.
    Early,
}

/// What is known of a start request.
#[derive(Debug)]
struct Known {
    start_request: i64,
    /// The number of the entry of its last final that was told.
    last_final: u64,
    /// The count of the last interim that was shown.
    last_interim: u64,
}

/// What was told and shown of the streams of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The one that was heard of last is the last.
    streams: VecDeque<Known>,
}

impl Order {
    /// Records that a final of this start request was told.
    pub(crate) fn said(&mut self, start_request: i64, seq: u64) {
        self.with(start_request, |known| {
            known.last_final = known.last_final.max(seq);
        });
    }

    /// Decides what is done with an interim, where all entries up to `told` were told.
    pub(crate) fn place(&mut self, stamp: Stamp, told: u64) -> Place {
        if stamp.behind > told {
            return Place::Early;
        }
        self.with(stamp.start_request, |known| {
            if known.last_final > stamp.behind || known.last_interim >= stamp.count {
                return Place::Late;
            }
            known.last_interim = stamp.count;
            Place::Now
        })
    }

    /// Calls `change` with what is known of a start request.
    fn with<T>(&mut self, start_request: i64, change: impl FnOnce(&mut Known) -> T) -> T {
        let is_it = |known: &Known| known.start_request == start_request;
        let found = self.streams.iter().position(is_it);
        let known = found.and_then(|at| self.streams.remove(at));
        let mut known = known.unwrap_or(Known {
            start_request,
            last_final: 0,
            last_interim: 0,
        });
        let changed = change(&mut known);
        while self.streams.len() >= MOST {
            self.streams.pop_front();
        }
        self.streams.push_back(known);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(start_request: i64, count: u64, behind: u64) -> Stamp {
        Stamp {
            start_request,
            count,
            behind,
        }
    }

    #[test]
    fn no_interim_of_an_utterance_is_shown_after_its_final() {
        let mut order = Order::default();
        assert_eq!(order.place(stamp(1, 1, 0), 3), Place::Now);
        order.said(1, 4);
        assert_eq!(order.place(stamp(1, 2, 0), 4), Place::Late);
        assert_eq!(order.place(stamp(1, 3, 4), 4), Place::Now, "the next one");
        assert_eq!(order.place(stamp(2, 1, 0), 4), Place::Now, "another one");
    }

    #[test]
    fn no_interim_is_shown_before_the_final_of_the_utterance_before() {
        let mut order = Order::default();
        assert_eq!(order.place(stamp(1, 5, 4), 3), Place::Early);
        order.said(1, 4);
        assert_eq!(order.place(stamp(1, 5, 4), 4), Place::Now);
    }

    #[test]
    fn an_interim_that_was_overtaken_or_comes_twice_is_not_shown() {
        let mut order = Order::default();
        assert_eq!(order.place(stamp(1, 2, 0), 0), Place::Now);
        assert_eq!(order.place(stamp(1, 1, 0), 0), Place::Late);
        assert_eq!(order.place(stamp(1, 2, 0), 0), Place::Late);
        assert_eq!(order.place(stamp(1, 3, 0), 0), Place::Now);
    }

    #[test]
    fn the_start_requests_that_were_heard_of_last_are_remembered() {
        let mut order = Order::default();
        for start_request in 0..1000 {
            order.said(7_777, 9);
            order.said(start_request, 9);
        }
        assert!(order.streams.len() <= MOST);
        assert_eq!(order.place(stamp(7_777, 1, 0), 9), Place::Late);
        assert_eq!(order.place(stamp(999, 1, 0), 9), Place::Late);
    }
}
