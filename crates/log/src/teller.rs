// SPDX-License-Identifier: MPL-2.0

//! Decides which entry of a conversation is sent next: all entries, in the order of the
//! log, each once.
//!
//! The appends put entries in. An entry may come late, twice or not at all. The teller
//! names the entries that are missing, and its caller reads them from the log. This module
//! reads nothing itself.

use crate::planted::{Bug, planted};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Most entries that are remembered after they were sent, and their largest size in bytes.
const MOST_REMEMBERED: usize = 64;
const MOST_BYTES: usize = 64 << 10;

/// An entry of a log.
pub trait Numbered {
    /// Returns its number: 1, 2, 3 …
    fn seq(&self) -> u64;

    /// Returns about how much memory it takes.
    fn bytes(&self) -> usize;
}

/// An entry, and the socket that its audio came from, if that is known.
#[derive(Debug)]
pub struct Item<E> {
    /// The entry.
    pub entry: Arc<E>,
    /// The number of the socket.
    pub origin: Option<u64>,
}

impl<E> Clone for Item<E> {
    fn clone(&self) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            origin: self.origin,
        }
    }
}

/// What the caller must do next.
#[derive(Debug)]
pub enum Next<E> {
    /// Send this entry.
    Tell(Item<E>),
    /// Read the entries after the first number and before the second one from the log, and
    /// put them in.
    Read(u64, u64),
    /// Nothing: all known entries were sent.
    Nothing,
}

/// The entries of a log that were sent, and those that wait to be sent.
#[derive(Debug)]
pub struct Teller<E> {
    told: u64,
    waiting: BTreeMap<u64, Item<E>>,
    /// Up to this number, an entry that does not wait is not in the log, or its kind is
    /// unknown.
    complete: u64,
    ring: VecDeque<Arc<E>>,
    ring_bytes: usize,
    /// The numbers that it was rewound to, in order.
    rewound: Vec<u64>,
}

impl<E> Default for Teller<E> {
    fn default() -> Self {
        Self {
            told: 0,
            waiting: BTreeMap::new(),
            complete: 0,
            ring: VecDeque::new(),
            ring_bytes: 0,
            rewound: Vec::new(),
        }
    }
}

impl<E: Numbered> Teller<E> {
    /// Returns a teller that begins after the entry with this number.
    pub fn behind(head: u64) -> Self {
        Self {
            told: head,
            ..Self::default()
        }
    }

    /// Returns the number of the last entry that was sent.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// Takes an entry that is in the log.
    pub fn put(&mut self, item: Item<E>) {
        let seq = item.entry.seq();
        if seq > self.told || planted(Bug::ToldEntryTakenAgain) {
            let waiting = self.waiting.entry(seq).or_insert(item.clone());
            // The origin is not known for an entry that was read from the log.
            waiting.origin = waiting.origin.or(item.origin);
        }
    }

    /// Takes the entries of the log up to this number, as far as the log has them.
    pub fn fill(&mut self, entries: Vec<Arc<E>>, up_to: u64) {
        for entry in entries {
            self.put(Item {
                entry,
                origin: None,
            });
        }
        self.complete = self.complete.max(up_to);
    }

    /// Passes over the entries up to this number: the log has no more that are known here, because
    /// a newer release has written them.
    pub fn pass(&mut self, up_to: u64) {
        let is_waiting = self
            .waiting
            .first_key_value()
            .is_some_and(|(seq, _)| *seq <= up_to);
        if !is_waiting {
            self.told = self.told.max(up_to);
        }
    }

    /// Returns what the caller must do next. An entry that is returned counts as sent.
    #[allow(clippy::should_implement_trait)] // nothing is over where there is nothing to do
    pub fn next(&mut self) -> Next<E> {
        let Some(first) = self.waiting.first_entry() else {
            return Next::Nothing;
        };
        let complete = self.complete.max(self.told);
        if *first.key() > complete + 1 && !planted(Bug::MissingEntryPassedOver) {
            return Next::Read(complete, *first.key());
        }
        let item = first.remove();
        self.told = item.entry.seq();
        self.remember(Arc::clone(&item.entry));
        Next::Tell(item)
    }

    /// Returns all entries after this number that were sent, if they are remembered.
    pub fn since(&self, after: u64) -> Option<Vec<Arc<E>>> {
        let first = self.ring.front().map_or(self.told + 1, |entry| entry.seq());
        let later = self
            .ring
            .iter()
            .filter(|entry| entry.seq() > after)
            .cloned();
        (after + 1 >= first).then(|| later.collect())
    }

    /// Returns all entries that are known: those that were sent and are remembered, and those
    /// that wait right behind them. A log that has lost its last entries gets them from here.
    pub fn known(&self) -> Vec<Arc<E>> {
        let behind = (self.told + 1..).zip(&self.waiting);
        let behind = behind.take_while(|(next, (seq, _))| next == *seq);
        let behind = behind.map(|(_, (_, item))| Arc::clone(&item.entry));
        self.ring.iter().cloned().chain(behind).collect()
    }

    /// Forgets all entries after this number, because the log has others, or none. What it
    /// has in their place is sent.
    pub fn rewind(&mut self, head: u64) {
        self.rewound.push(head);
        self.told = self.told.min(head);
        self.complete = self.complete.min(head);
        let _ = self.waiting.split_off(&head.saturating_add(1));
        while let Some(last) = self.ring.pop_back_if(|last| last.seq() > head) {
            self.ring_bytes -= last.bytes();
        }
    }

    /// Returns how often the log has lost its last entries.
    pub fn rewinds(&self) -> usize {
        self.rewound.len()
    }

    /// Returns up to which number a reader has what is in the log, if it had all entries up to
    /// `seq` when the log had lost its last ones so many times.
    pub fn still_heard(&self, seq: u64, rewinds: usize) -> u64 {
        let since = self.rewound.iter().skip(rewinds);
        since.copied().fold(seq, u64::min)
    }

    fn remember(&mut self, entry: Arc<E>) {
        self.ring_bytes += entry.bytes();
        self.ring.push_back(entry);
        while self.ring.len() > MOST_REMEMBERED || self.ring_bytes > MOST_BYTES {
            let Some(oldest) = self.ring.pop_front() else {
                break;
            };
            self.ring_bytes -= oldest.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Entry(u64);

    impl Numbered for Entry {
        fn seq(&self) -> u64 {
            self.0
        }

        fn bytes(&self) -> usize {
            100
        }
    }

    fn item(seq: u64) -> Item<Entry> {
        Item {
            entry: Arc::new(Entry(seq)),
            origin: Some(seq),
        }
    }

    fn told(teller: &mut Teller<Entry>) -> Vec<u64> {
        let mut told = Vec::new();
        while let Next::Tell(item) = teller.next() {
            told.push(item.entry.seq());
        }
        told
    }

    #[test]
    fn entries_are_told_in_the_order_of_the_log_and_once() {
        let mut teller = Teller::behind(3);
        for seq in [3, 5, 4, 4, 5] {
            teller.put(item(seq));
        }
        assert_eq!(told(&mut teller), [4, 5]);
        for seq in [4, 5] {
            teller.put(item(seq));
        }
        assert!(matches!(teller.next(), Next::Nothing));
    }

    #[test]
    fn what_is_missing_is_read_and_not_passed_over() {
        let mut teller = Teller::behind(0);
        teller.put(item(3));
        assert!(matches!(teller.next(), Next::Read(0, 3)));
        assert_eq!(teller.told(), 0);
        teller.put(item(1));
        // The log does not have the second one.
        assert_eq!(told(&mut teller), [1]);
        assert!(matches!(teller.next(), Next::Read(1, 3)));
        teller.fill(Vec::new(), 2);
        assert_eq!(told(&mut teller), [3]);
    }

    #[test]
    fn entries_of_unknown_kinds_are_passed_over_and_none_that_waits() {
        let mut teller = Teller::behind(3);
        teller.fill(Vec::new(), 5);
        teller.pass(5);
        assert_eq!(teller.told(), 5);
        teller.put(item(7));
        teller.pass(7);
        assert_eq!(teller.told(), 5, "the seventh has to be told");
        teller.fill(Vec::new(), 6);
        assert_eq!(told(&mut teller), [7]);
        teller.pass(2);
        assert_eq!(teller.told(), 7);
    }

    #[test]
    fn after_a_rewind_the_entries_of_the_log_are_told_in_place_of_those_that_it_lost() {
        let mut teller = Teller::behind(3);
        for seq in [4, 5, 6] {
            teller.put(item(seq));
        }
        assert_eq!(told(&mut teller), [4, 5, 6]);
        for seq in [7, 9] {
            teller.put(item(seq));
        }
        let known: Vec<u64> = teller.known().iter().map(|entry| entry.seq()).collect();
        assert_eq!(known, [4, 5, 6, 7], "the ninth may be one of several");
        teller.rewind(4);
        assert_eq!(teller.told(), 4);
        assert_eq!(teller.known().len(), 1);
        assert_eq!(teller.ring_bytes, 100);
        assert!(matches!(teller.next(), Next::Nothing));
        for seq in [5, 6] {
            teller.put(item(seq));
        }
        assert_eq!(told(&mut teller), [5, 6]);
        teller.rewind(100);
        assert_eq!(teller.told(), 6);
        assert_eq!(teller.rewinds(), 2);
        let heard = [0, 1, 2].map(|rewinds| teller.still_heard(6, rewinds));
        assert_eq!(heard, [4, 6, 6]);
        assert_eq!(teller.still_heard(3, 0), 3);
    }

    #[test]
    fn the_newest_are_remembered_within_a_bound() {
        let mut teller = Teller::behind(0);
        for seq in 1..=200 {
            teller.put(item(seq));
        }
        told(&mut teller);
        let since = teller.since(198).expect("remembered");
        let since: Vec<u64> = since.iter().map(|entry| entry.seq()).collect();
        assert_eq!(since, [199, 200]);
        assert_eq!(teller.since(200).expect("nothing is later").len(), 0);
        assert!(teller.since(10).is_none(), "forgotten");
        assert!(teller.ring.len() <= MOST_REMEMBERED && teller.ring_bytes <= MOST_BYTES);
    }
}
