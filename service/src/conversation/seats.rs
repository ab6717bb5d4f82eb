// SPDX-License-Identifier: MPL-2.0

//! Gives up the seats of this node that it does not use.
//!
//! A seat keeps its conversation from ending, on whatever nodes it is. A node gets one with a
//! join, and does not know of it if the answer comes too late or never: the connection to the
//! database breaks after the commit and the repeated join leads to another conversation, or the
//! socket has not waited for the answer. So the node compares its seats with the conversations
//! that it has speakers in.

use super::hub::{Conversation, ConversationKey, Hub};
use super::log::LogError;
use super::registry::Seated;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::sleep;

/// Time between two looks. A seat is given up by the second one that finds it unused.
const LOOK: Duration = Duration::from_secs(5);

/// What this node needs, to know which of its seats it uses.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<Uses>);

#[derive(Debug, Default)]
struct Uses {
    /// How many sockets of each connection id are about to join.
    joins: HashMap<ConversationKey, usize>,
    /// Conversations that are no longer those of their connection ids. Their last streams may
    /// still speak in them.
    replaced: Vec<Weak<Conversation>>,
}

/// A socket that is about to join, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    seats: &'a Seats,
    key: &'a ConversationKey,
}

impl Seats {
    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the seats in the conversations of a connection id until what this returns is
    /// dropped. Those that are given up before are so before a join that is asked for now.
    pub(super) fn hold<'a>(&'a self, key: &'a ConversationKey) -> UnderWay<'a> {
        *self.uses().joins.entry(key.clone()).or_default() += 1;
        UnderWay { seats: self, key }
    }

    /// Notes that a conversation is no longer that of its connection id.
    pub(super) fn replaced(&self, conversation: &Arc<Conversation>) {
        self.uses().replaced.push(Arc::downgrade(conversation));
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut uses = self.seats.uses();
        if let Some(many) = uses.joins.get_mut(self.key) {
            *many -= 1;
            if *many == 0 {
                uses.joins.remove(self.key);
            }
        }
    }
}

impl Conversation {
    /// Returns `true` if this node needs its seat, or will give it up itself.
    fn uses_seat(&self) -> bool {
        let state = self.state();
        let has_seat = state.seat.is_some() || state.joining > 0;
        !state.is_finished && (has_seat || state.has_streams())
    }
}

impl Hub {
    /// Returns the conversations in which this node uses its seat.
    fn used_seats(&self, uses: &mut Uses) -> HashSet<i64> {
        uses.replaced.retain(|one| one.strong_count() > 0);
        let mut all: Vec<Arc<Conversation>> = self.conversations().values().cloned().collect();
        all.extend(uses.replaced.iter().filter_map(Weak::upgrade));
        let used = all.iter().filter(|conversation| conversation.uses_seat());
        used.map(|conversation| conversation.number).collect()
    }

    /// Gives up the seats that this node does not use and did not use when it looked `before`.
    /// Blocks.
    fn give_up_unused_seats(&self, before: &mut HashSet<i64>) -> Result<(), LogError> {
        let Some(registry) = self.log.registry() else {
            return Ok(());
        };
        let used = self.used_seats(&mut self.seats.uses());
        let found = registry.seats_but(used.into_iter().collect())?;
        let (again, new): (Vec<Seated>, Vec<Seated>) = found
            .into_iter()
            .partition(|seat| before.contains(&seat.conversation));
        *before = new.iter().map(|seat| seat.conversation).collect();
        if again.is_empty() {
            return Ok(());
        }
        // While this is locked, no socket begins to join.
        let mut uses = self.seats.uses();
        let used = self.used_seats(&mut uses);
        for Seated { conversation, keys } in again {
            let is_asked_for = keys.iter().any(|key| uses.joins.contains_key(key));
            if is_asked_for || used.contains(&conversation) {
                continue;
            }
            registry.vacate(conversation, self.wall.now());
            tracing::warn!(
                event = "seat given up",
                conversation,
                "this node was counted in a conversation that it has no speaker in: an answer of \
                 the database came too late or never"
            );
        }
        Ok(())
    }
}

/// Looks for seats that this node does not use, until the service ends.
pub(super) async fn watch(hub: Weak<Hub>) {
    let (mut unused, mut is_failing) = (HashSet::new(), false);
    loop {
        sleep(LOOK).await;
        let Some(hub) = hub.upgrade() else { return };
        let (looking, mut before) = (Arc::clone(&hub), std::mem::take(&mut unused));
        let looked = hub.workers.run(move || {
            let looked = looking.give_up_unused_seats(&mut before);
            looked.map(|()| before)
        });
        let looked = looked.await.map_err(LogError::from);
        match looked.and_then(|looked| looked) {
            Ok(before) => (unused, is_failing) = (before, false),
            Err(error) if !std::mem::replace(&mut is_failing, true) => {
                tracing::warn!(%error, "seats that nobody uses are given up later");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallClock;
    use crate::conversation::hub::Leave;
    use crate::conversation::hub::tests::{hub_with_log, key};
    use crate::conversation::memory::MemoryLog;
    use crate::conversation::others::tests::Elsewhere;
    use crate::limits::Limits;
    use crate::outbox::Outbox;
    use futures_util::poll;

    type Seated = Arc<Mutex<Vec<super::Seated>>>;

    /// Returns the hub of a node that has these seats, by their connection ids.
    fn hub(seats: &[&str], is_silent: bool) -> (Arc<Hub>, Seated) {
        let mut registry = Elsewhere::new();
        registry.is_silent = is_silent;
        let all = Arc::clone(&registry.seats);
        seat(
            &all,
            seats.iter().zip(1..).map(|(id, number)| (*id, number)),
        );
        let mut log = MemoryLog::default();
        log.registry = Some(Box::new(registry));
        let hub = hub_with_log(&Limits::default(), WallClock::default(), Arc::new(log));
        (hub, all)
    }

    fn seat<'a>(all: &Seated, seats: impl IntoIterator<Item = (&'a str, i64)>) {
        let seats = seats.into_iter().map(|(id, conversation)| super::Seated {
            conversation,
            keys: id.split_whitespace().map(key).collect(),
        });
        all.lock().expect("the seats").extend(seats);
    }

    fn left(seats: &Seated) -> Vec<i64> {
        let seats = seats.lock().expect("the seats");
        seats.iter().map(|seat| seat.conversation).collect()
    }

    #[tokio::test]
    async fn a_seat_is_given_up_that_two_looks_find_unused() {
        let (hub, seats) = hub(&["x", ""], false);
        let mut before = HashSet::new();
        hub.give_up_unused_seats(&mut before).expect("an answer");
        assert_eq!(left(&seats), [1, 2], "a join may just have been answered");
        seat(&seats, [("z", 3)]);
        hub.give_up_unused_seats(&mut before).expect("an answer");
        assert_eq!(left(&seats), [3]);
        hub.give_up_unused_seats(&mut before).expect("an answer");
        assert!(left(&seats).is_empty());
    }

    #[tokio::test]
    async fn no_seat_is_given_up_that_a_join_is_about_to_use() {
        let (hub, seats) = hub(&["x", "y"], true);
        let (wanted, mut before) = (key("x"), HashSet::new());
        let mut joining = Box::pin(hub.join(&wanted, Outbox::new(8).0, false));
        assert!(poll!(&mut joining).is_pending());
        for _ in 0..2 {
            hub.give_up_unused_seats(&mut before).expect("an answer");
        }
        assert_eq!(left(&seats), [1]);
        // Its client has hung up.
        drop(joining);
        for _ in 0..2 {
            hub.give_up_unused_seats(&mut before).expect("an answer");
        }
        assert!(left(&seats).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_conversation_with_sockets_keeps_its_seat_also_when_another_one_replaces_it() {
        let (hub, seats) = hub(&[], false);
        let slot = async || hub.join(&key("x"), Outbox::new(8).0, true).await;
        let first = slot().await;
        let owed = first.owe();
        let second = slot().await;
        let numbers = [first.conversation.number, second.conversation.number];
        assert_ne!(numbers[0], numbers[1]);
        seat(&seats, numbers.map(|number| ("x", number)));
        let mut before = HashSet::new();
        let mut look_twice = || {
            for _ in 0..2 {
                hub.give_up_unused_seats(&mut before).expect("an answer");
            }
            left(&seats)
        };
        assert_eq!(look_twice(), numbers);
        first.leave(Leave::Finished);
        assert_eq!(look_twice(), numbers, "a stream of it still speaks");
        second.leave(Leave::Finished);
        assert_eq!(look_twice(), [numbers[0]]);
        owed();
        assert!(look_twice().is_empty());
    }
}
