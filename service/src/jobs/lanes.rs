// SPDX-License-Identifier: MPL-2.0

//! Decides which receivers of webhooks are called at the same time, so that a slow or dead one
//! delays no other. Pure.
//!
//! A receiver is an account and a host. It gets few of the places, and one only while it fails;
//! an account gets half of them, and so do all receivers together that fail. So there is always
//! a place for a receiver that answers.

use crate::store::jobs::{Receiver, Room};
use std::collections::HashMap;
use std::time::Duration;

/// Webhooks that are sent at the same time.
const PLACES: usize = 16;

/// Those of them that an account may have, and all receivers together that fail.
const HALF: usize = PLACES / 2;

/// Webhooks that a receiver is sent at the same time.
const EACH: usize = 2;

/// A receiver that fails and has not been called for so long counts as a new one. It is longer
/// than the longest delay between two attempts.
const FORGOTTEN: Duration = Duration::from_secs(2 * 3600);

/// What the log says of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It fails, and did not before.
    Fails,
    /// It takes webhooks again.
    Recovered { failures: u64, lasted: Duration },
}

/// The calls that are made now, and the receivers that fail.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    calls: HashMap<Receiver, usize>,
    failing: HashMap<Receiver, Failing>,
}

#[derive(Debug)]
struct Failing {
    since: Duration,
    last: Duration,
    failures: u64,
}

impl Lanes {
    /// Returns which webhooks may be begun now, or `None` if no place is free.
    pub(crate) fn room(&self) -> Option<Room> {
        let free = PLACES.saturating_sub(self.calls.values().sum());
        let known = self.calls.keys().chain(self.failing.keys());
        let full = known.filter(|receiver| self.is_full(receiver));
        let mut full: Vec<Receiver> = full.cloned().collect();
        full.sort();
        full.dedup();
        let accounts = self.calls.keys().map(|receiver| &receiver.account);
        let full_accounts = accounts.filter(|account| self.of_account(account) >= HALF);
        let mut full_accounts: Vec<String> = full_accounts.cloned().collect();
        full_accounts.sort();
        full_accounts.dedup();
        (free > 0).then_some(Room {
            most: free,
            most_of_receiver: EACH,
            most_of_account: HALF,
            full,
            full_accounts,
        })
    }

    fn of_account(&self, account: &str) -> usize {
        let calls = self.calls.iter();
        let own = calls.filter(|(receiver, _)| receiver.account == account);
        own.map(|(_, count)| count).sum()
    }

    fn is_full(&self, receiver: &Receiver) -> bool {
        let own = self.calls.get(receiver).copied().unwrap_or(0);
        if !self.failing.contains_key(receiver) {
            return own >= EACH;
        }
        let calls = self.calls.iter();
        let failing = calls.filter(|(receiver, _)| self.failing.contains_key(receiver));
        own >= 1 || failing.map(|(_, count)| count).sum::<usize>() >= HALF
    }

    /// Takes a place for a call. Returns `false` if the receiver may have none now.
    pub(crate) fn begin(&mut self, receiver: &Receiver) -> bool {
        let is_free = self.calls.values().sum::<usize>() < PLACES
            && self.of_account(&receiver.account) < HALF
            && !self.is_full(receiver);
        if is_free {
            *self.calls.entry(receiver.clone()).or_default() += 1;
        }
        is_free
    }

    /// Gives the place of a call back. `taken` says whether the receiver took the webhook; it is
    /// `None` if that is not known. `now` is the time since some moment.
    pub(crate) fn end(
        &mut self,
        receiver: &Receiver,
        taken: Option<bool>,
        now: Duration,
    ) -> Option<Change> {
        if let Some(count) = self.calls.get_mut(receiver) {
            *count -= 1;
            if *count == 0 {
                self.calls.remove(receiver);
            }
        }
        self.failing
            .retain(|_, failing| now.saturating_sub(failing.last) < FORGOTTEN);
        match (taken?, self.failing.get_mut(receiver)) {
            (true, None) => None,
            (true, Some(failing)) => {
                let recovered = Change::Recovered {
                    failures: failing.failures,
                    lasted: now.saturating_sub(failing.since),
                };
                self.failing.remove(receiver);
                Some(recovered)
            }
            (false, Some(failing)) => {
                failing.failures += 1;
                failing.last = now;
                None
            }
            (false, None) => {
                let begun = Failing {
                    since: now,
                    last: now,
                    failures: 1,
                };
                self.failing.insert(receiver.clone(), begun);
                Some(Change::Fails)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(9000);

    fn receiver(account: &str, host: usize) -> Receiver {
        Receiver::of(account, &format!("https://h{host}.example/hook"))
    }

    #[test]
    fn a_receiver_has_few_places_and_one_while_it_fails() {
        let mut lanes = Lanes::default();
        let (one, two) = (receiver("a", 1), receiver("a", 2));
        assert!(lanes.begin(&one) && lanes.begin(&one) && !lanes.begin(&one));
        assert_eq!(
            lanes.room().expect("places").full,
            std::slice::from_ref(&one)
        );
        assert!(lanes.begin(&two), "it does not wait for the other");
        assert_eq!(lanes.end(&one, Some(false), NOW), Some(Change::Fails));
        assert!(!lanes.begin(&one), "one call goes on");
        assert_eq!(lanes.end(&one, Some(false), NOW), None, "that is known");
        assert!(lanes.begin(&one) && !lanes.begin(&one));
        let later = NOW + Duration::from_secs(60);
        let recovered = Change::Recovered {
            failures: 2,
            lasted: Duration::from_secs(60),
        };
        assert_eq!(lanes.end(&one, Some(true), later), Some(recovered));
        assert_eq!(lanes.end(&two, Some(true), later), None);
        assert!(lanes.begin(&one) && lanes.begin(&one));
    }

    #[test]
    fn dead_receivers_and_one_account_never_have_all_places() {
        let mut lanes = Lanes::default();
        // Each failed once.
        for host in 0..40 {
            let dead = receiver(&format!("account {host}"), host);
            assert!(lanes.begin(&dead));
            lanes.end(&dead, Some(false), NOW);
        }
        let begun =
            (0..40).filter(|host| lanes.begin(&receiver(&format!("account {host}"), *host)));
        assert_eq!(begun.count(), HALF);
        assert_eq!(lanes.room().expect("places").full.len(), 40);
        let begun = (100..140).filter(|host| lanes.begin(&receiver("b", *host)));
        assert_eq!(begun.count(), HALF);
        assert_eq!(lanes.room(), None, "all are taken");
        lanes.end(&receiver("b", 100), Some(true), NOW);
        assert!(
            !lanes.begin(&receiver("account 39", 39)),
            "the dead have theirs"
        );
        assert!(lanes.begin(&receiver("c", 100)));
        lanes.end(&receiver("c", 100), None, NOW);
        assert!(lanes.begin(&receiver("b", 100)));
        lanes.end(&receiver("account 0", 0), Some(true), NOW);
        assert_eq!(lanes.room().expect("a place").full_accounts, ["b"]);
    }

    #[test]
    fn a_receiver_that_nothing_is_sent_to_any_more_is_forgotten() {
        let mut lanes = Lanes::default();
        let dead = receiver("a", 1);
        lanes.begin(&dead);
        lanes.end(&dead, Some(false), NOW);
        lanes.begin(&dead);
        let change = lanes.end(&dead, Some(false), NOW + FORGOTTEN);
        assert_eq!(change, Some(Change::Fails));
        assert_eq!(lanes.failing.len(), 1);
    }
}
