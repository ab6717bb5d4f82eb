// SPDX-License-Identifier: MPL-2.0

//! Tells the sockets of this node what other nodes say on the bus.
//!
//! An entry that comes with its content, and is the next one, is told at once. For all else
//! the log is read, by the look that `cluster` makes anyway.

use super::bus::order::Place;
use super::bus::{Bus, InterimCopy, Note, Shown, Stamp, Volatile};
use super::entry::Entry;
use super::form::{Interim, Live};
use super::hub::{Conversation, Hub};
use super::registry::Registry;
use super::teller::Item;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, mpsc};

/// Most notes that are taken at once.
const MOST_NOTES: usize = 256;

impl Conversation {
    /// Sends all sockets an entry of another node, if it is the next one. Returns `false` if
    /// the log has to be read.
    pub(super) fn heard(&self, entry: Arc<Entry>) -> bool {
        let mut teller = self.teller();
        let told = teller.told();
        if entry.seq > told + 1 {
            // Those before it may be of this node, which still puts them in.
            return false;
        }
        teller.put(Item {
            entry,
            origin: None,
        });
        drop(teller);
        self.tell_known()
    }

    /// Shows an interim of another node, if it is in time.
    pub(super) fn overheard(&self, volatile: &Volatile) -> Place {
        // While the teller is locked, no final is told.
        let teller = self.teller();
        let place = self.order().place(volatile.stamp, teller.told());
        if place != Place::Now {
            return place;
        }
        // It is of what is said next, which a subscriber may have heard elsewhere.
        let next = teller.told() + 1;
        match &volatile.shown {
            Shown::Interim(copy) => {
                let words = copy.words();
                let interim = copy.with(&words);
                self.show_others(next, &Live::Interim(interim));
                self.show(&interim, volatile.stamp.start_request);
            }
            Shown::Trackers(matches) => self.show_others(next, &Live::Trackers(matches)),
            Shown::Nothing(said) => self.send_entry(next, |form| form.said(said), None),
        }
        place
    }

    fn show_others(&self, next: u64, live: &Live<'_>) {
        self.send_entry(next, |form| form.live(live), None);
    }

    /// Returns the bus, if a listener on another node wants to see what is in no log.
    fn wanted(&self) -> Option<&dyn Bus> {
        let bus = self.log.registry().map(Registry::bus)?;
        bus.is_wanted(self.number).then_some(bus)
    }

    /// Shows listeners on other nodes what is in no log.
    pub(crate) fn show_elsewhere(&self, stamp: Stamp, shown: impl FnOnce() -> Shown) {
        if let Some(bus) = self.wanted() {
            let shown = shown();
            bus.volatile(self.number, Volatile { stamp, shown });
        }
    }
}

impl Shown {
    /// Returns a copy of an interim.
    pub(crate) fn interim(interim: &Interim<'_>) -> Self {
        Self::Interim(InterimCopy::of(interim))
    }
}

/// Tells which conversations this node follows, where that has changed.
pub(super) fn attend(bus: &dyn Bus, all: &[Arc<Conversation>], followed: &mut HashMap<i64, bool>) {
    let now = all.iter().map(|c| (c.number, c.is_watched()));
    let now: HashMap<i64, bool> = now.collect();
    for (conversation, listened) in &now {
        if followed.get(conversation) != Some(listened) {
            bus.follow(*conversation, *listened);
        }
    }
    for conversation in followed.keys().filter(|known| !now.contains_key(known)) {
        bus.unfollow(*conversation);
    }
    *followed = now;
}

/// Tells what other nodes say, until the service ends. Rings `look` where the log has to be
/// read.
pub(super) async fn hear(hub: Weak<Hub>, mut notes: mpsc::Receiver<Note>, look: Arc<Notify>) {
    let mut batch = Vec::with_capacity(MOST_NOTES);
    while notes.recv_many(&mut batch, MOST_NOTES).await > 0 {
        let Some(hub) = hub.upgrade() else { return };
        let named: HashSet<i64> = batch.iter().filter_map(Note::conversation).collect();
        let all: HashMap<i64, Arc<Conversation>> = hub
            .conversations()
            .values()
            .filter(|c| named.contains(&c.number))
            .map(|c| (c.number, Arc::clone(c)))
            .collect();
        let mut is_whole = true;
        for note in batch.drain(..) {
            is_whole &= hub.take_note(&all, note);
        }
        if !is_whole {
            look.notify_one();
        }
    }
}

impl Hub {
    /// Returns `false` if the log has to be read.
    fn take_note(&self, all: &HashMap<i64, Arc<Conversation>>, note: Note) -> bool {
        match note {
            Note::News => false,
            Note::Entry {
                conversation,
                seq,
                entry,
            } => match (all.get(&conversation), entry) {
                (None, _) => true,
                (Some(conversation), Some(entry)) => conversation.heard(entry),
                (Some(conversation), None) => conversation.told() >= seq,
            },
            Note::Volatile {
                conversation,
                volatile,
            } => {
                let place = all.get(&conversation).map(|c| c.overheard(&volatile));
                if matches!(place, Some(Place::Late | Place::Early))
                    && let Some(registry) = self.log.registry()
                {
                    registry.bus().counts().interims_dropped.inc();
                }
                place != Some(Place::Early)
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
