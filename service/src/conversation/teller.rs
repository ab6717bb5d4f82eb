// SPDX-License-Identifier: MPL-2.0

//! The order in which a conversation's entries are told: that of the log, each once.
//!
//! Entries come from those who append them, and may come late, twice or not at all. What is
//! missing is named, to be read from the log; this module reads nothing itself.

use super::entry::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Entries that are remembered after they were told, and their size in bytes.
const MOST_REMEMBERED: usize = 64;
const MOST_BYTES: usize = 64 << 10;

/// An entry, and the socket whose audio it came of, if that is one of this process.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) entry: Arc<Entry>,
    pub(crate) origin: Option<u64>,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Next {
    /// This is told now.
    Tell(Item),
    /// Entries after the first number and before the second one are to be read from the
    /// log and put in.
    Read(u64, u64),
    /// All that is known was told.
    Nothing,
}

/// What was told of a log, and what waits to be.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    told: u64,
    waiting: BTreeMap<u64, Item>,
    /// Entries up to here that do not wait are not in the log, or of kinds that are not
    /// known.
    complete: u64,
    ring: VecDeque<Arc<Entry>>,
    ring_bytes: usize,
}

impl Teller {
    /// Begins behind the entry with this number.
    pub(crate) fn behind(head: u64) -> Self {
        Self {
            told: head,
            ..Self::default()
        }
    }

    /// Returns the number of the last entry that was told.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    /// Takes an entry that is in the log.
    pub(crate) fn put(&mut self, item: Item) {
        let seq = item.entry.seq;
        if seq > self.told {
            let waiting = self.waiting.entry(seq).or_insert(item.clone());
            // Whoever read it from the log does not know where it came from.
            waiting.origin = waiting.origin.or(item.origin);
        }
    }

    /// Takes what the log has of the entries up to this number.
    pub(crate) fn fill(&mut self, entries: Vec<Arc<Entry>>, up_to: u64) {
        for entry in entries {
            self.put(Item {
                entry,
                origin: None,
            });
        }
        self.complete = self.complete.max(up_to);
    }

    /// Returns what is to be done next; an entry counts as told then.
    pub(crate) fn next(&mut self) -> Next {
        let Some(first) = self.waiting.first_entry() else {
            return Next::Nothing;
        };
        let complete = self.complete.max(self.told);
        if *first.key() > complete + 1 {
            return Next::Read(complete, *first.key());
        }
        let item = first.remove();
        self.told = item.entry.seq;
        self.remember(Arc::clone(&item.entry));
        Next::Tell(item)
    }

    /// Returns all entries after this number that were told, if they are remembered.
    pub(crate) fn since(&self, after: u64) -> Option<Vec<Arc<Entry>>> {
        let first = self.ring.front().map_or(self.told + 1, |entry| entry.seq);
        let later = self.ring.iter().filter(|entry| entry.seq > after).cloned();
        (after + 1 >= first).then(|| later.collect())
    }

    fn remember(&mut self, entry: Arc<Entry>) {
        self.ring_bytes += bytes(&entry);
        self.ring.push_back(entry);
        while self.ring.len() > MOST_REMEMBERED || self.ring_bytes > MOST_BYTES {
            let Some(oldest) = self.ring.pop_front() else {
                break;
            };
            self.ring_bytes -= bytes(&oldest);
        }
    }
}

fn bytes(entry: &Entry) -> usize {
    let said = entry.body.said().map_or(0, |said| said.bytes());
    size_of::<Entry>() + said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::entry::{Body, Transcribed};

    fn item(seq: u64) -> Item {
        let said = Transcribed {
            number: seq,
            ..Transcribed::default()
        };
        Item {
            entry: Arc::new(Entry {
                seq,
                at: 0,
                body: Body::Said(Box::new(said)),
            }),
            origin: Some(seq),
        }
    }

    fn told(teller: &mut Teller) -> Vec<u64> {
        let mut told = Vec::new();
        while let Next::Tell(item) = teller.next() {
            told.push(item.entry.seq);
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
    fn the_newest_are_remembered_within_a_bound() {
        let mut teller = Teller::behind(0);
        for seq in 1..=200 {
            teller.put(item(seq));
        }
        told(&mut teller);
        let since = teller.since(198).expect("remembered");
        let since: Vec<u64> = since.iter().map(|entry| entry.seq).collect();
        assert_eq!(since, [199, 200]);
        assert_eq!(teller.since(200).expect("nothing is later").len(), 0);
        assert!(teller.since(10).is_none(), "forgotten");
        assert!(teller.ring.len() <= MOST_REMEMBERED && teller.ring_bytes <= MOST_BYTES);
    }
}
