// SPDX-License-Identifier: MPL-2.0

//! Gives up the seats of this node that it does not use.
//!
//! A seat keeps its conversation from ending, on whatever nodes it is. A node gets one with a
//! join, and does not know of it if the answer is lost: the connection to the database breaks
//! after the commit and the repeated join leads to another conversation, or nobody waits for
//! the answer any more. So the node compares its seats with the conversations that it has
//! speakers in.

use super::hub::{Conversation, ConversationKey, Hub};
use super::log::LogError;
use super::registry::{Pending, Seated};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Time between two looks. A seat is given up with the second one that finds it unused.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// What this node has to know to tell which of its seats it uses.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<Uses>);

#[derive(Debug, Default)]
struct Uses {
    /// How many joins of each connection id are under way.
    joins: HashMap<ConversationKey, usize>,
    /// Conversations that are no longer those of their connection ids. Their last streams may
    /// still speak in them.
    replaced: Vec<Weak<Conversation>>,
}

/// A join that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    seats: &'a Seats,
    key: &'a ConversationKey,
}

impl Seats {
    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a seat in the conversation of a connection id. Hold the first that this returns
    /// until the conversation has the seat.
    pub(super) fn ask<'a, T>(
        &'a self,
        key: &'a ConversationKey,
        ask: impl FnOnce() -> Pending<T>,
    ) -> (UnderWay<'a>, Pending<T>) {
        let mut uses = self.uses();
        *uses.joins.entry(key.clone()).or_default() += 1;
        // Asked while locked: no seat is given up between the two.
        let pending = ask();
        drop(uses);
        (UnderWay { seats: self, key }, pending)
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

/// Returns `true` if this node needs its seat in a conversation, or will give it up itself.
fn is_used(conversation: &Conversation) -> bool {
    let state = conversation.state();
    let streams = state.members.len() + state.closing + state.owing + state.joining;
    !state.is_finished && (state.seat.is_some() || streams > 0)
}

impl Hub {
    fn used_seats(&self, uses: &mut Uses) -> HashSet<i64> {
        uses.replaced.retain(|one| one.strong_count() > 0);
        let mut all: Vec<Arc<Conversation>> = self.conversations().values().cloned().collect();
        all.extend(uses.replaced.iter().filter_map(Weak::upgrade));
        let used = all.iter().filter(|conversation| is_used(conversation));
        used.map(|conversation| conversation.number).collect()
    }

    /// Gives up the seats that this node does not use and did not use when it looked `before`.
    /// Blocks.
    pub(super) fn give_up_unused_seats(&self, before: &mut HashSet<i64>) -> Result<(), LogError> {
        let Some(registry) = self.log.registry() else {
            return Ok(());
        };
        let used = self.used_seats(&mut self.seats.uses());
        let found = registry.seats_but(used.into_iter().collect())?;
        let mut unused = HashSet::new();
        for Seated { conversation, key } in found {
            if !before.contains(&conversation) {
                unused.insert(conversation);
                continue;
            }
            // No join begins while this is locked.
            let mut uses = self.seats.uses();
            let is_asked_for = key.is_some_and(|key| uses.joins.contains_key(&key));
            if is_asked_for || self.used_seats(&mut uses).contains(&conversation) {
                continue;
            }
            registry.vacate(conversation, self.wall.now());
            drop(uses);
            tracing::warn!(
                event = "seat given up",
                conversation,
                "this node had a part in a conversation without knowing it, because an answer \
                 of the database was lost"
            );
        }
        *before = unused;
        Ok(())
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
            key: (!id.is_empty()).then(|| key(id)),
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
