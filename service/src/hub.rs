// SPDX-License-Identifier: MPL-2.0

//! Which sockets belong together: connection ids and their conversations.
//!
//! All sockets of one connection id are members of one room, and a room holds
//! one conversation. The room ends when its last member has left cleanly, or
//! was lost and did not come back within `noConnectionTimeout`; the same
//! connection id then begins a new conversation (Symbl Streaming API reference).
//!
//! Rooms that somebody may come back to are found again when the service comes
//! back, if it has a directory for its data.
//!
//! Locks: a room's turn to speak first, then the map of rooms, then the state of
//! a room; never the other way round. None but the turn is held across a wait.

use crate::config::Limits;
use crate::conversation::Conversation;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
pub(crate) use crate::room::{Ear, Room, RoomKey, RoomState};
pub(crate) use crate::seat::{Leave, Seat};
use crate::store::{self, Record, Store, StoreError};
use crate::trackers::TrackerStore;
use gstsymbl::protocol::reply;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

/// All rooms.
#[derive(Debug)]
pub(crate) struct Hub {
    rooms: Mutex<HashMap<RoomKey, Arc<Room>>>,
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) trackers: Arc<dyn TrackerStore>,
    /// How long a socket that is being closed may hold its room up.
    longest_closing: Duration,
    /// One permit for each room that may still begin to wait.
    waiting: Arc<Semaphore>,
    /// How many rooms may wait.
    most_waiting: usize,
}

impl Hub {
    /// With the rooms that somebody may come back to, as the database has them; with
    /// the trackers of the database, if there are no others.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub(crate) fn open(
        limits: &Limits,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        trackers: Option<Arc<dyn TrackerStore>>,
    ) -> Result<Arc<Self>, StoreError> {
        let open = store.still_open()?;
        let hub = Arc::new(Self {
            rooms: Mutex::default(),
            trackers: trackers.unwrap_or_else(|| Arc::clone(&store) as Arc<dyn TrackerStore>),
            store,
            metrics,
            longest_closing: limits.close.saturating_mul(2),
            waiting: Arc::new(Semaphore::new(limits.waiting)),
            most_waiting: limits.waiting,
        });
        for open in open {
            let key = RoomKey {
                account: open.account.clone(),
                connection_id: open.connection_id.clone(),
            };
            let left = u64::try_from(open.ends.saturating_sub(store::now())).unwrap_or(0);
            let left = Duration::from_nanos(left);
            let keep = Duration::from_secs(u64::try_from(open.keep).unwrap_or(0));
            let room = hub.room(&key, Conversation::restored(open));
            {
                let mut state = room.state();
                state.no_connection_timeout = keep;
                state.ends = Some(Instant::now() + left);
                state.place_to_wait = hub.place_to_wait();
                tracing::info!(
                    event = "restored",
                    connection = key.connection_id,
                    conversation = state.conversation.id(),
                    seconds = left.as_secs()
                );
            }
            let replaced = hub.rooms().insert(key, Arc::clone(&room));
            if let Some(replaced) = replaced {
                hub.finish(&replaced);
            }
            hub.close_after(left, room);
        }
        Ok(hub)
    }

    fn room(&self, key: &RoomKey, conversation: Conversation) -> Arc<Room> {
        Arc::new(Room {
            key: key.clone(),
            store: Arc::clone(&self.store),
            state: Mutex::new(RoomState {
                conversation,
                members: Vec::new(),
                listeners: Vec::new(),
                next_member: 0,
                closing: 0,
                owing: 0,
                is_over: false,
                no_connection_timeout: Duration::ZERO,
                ends: None,
                place_to_wait: None,
            }),
            speaking: Mutex::default(),
            closed: Notify::new(),
        })
    }

    /// The conversation of a room is over.
    fn finish(&self, room: &Room) {
        let mut state = room.state();
        state.dismiss();
        state.place_to_wait = None;
        tracing::info!(
            event = "over",
            connection = room.key.connection_id,
            conversation = state.conversation.id()
        );
        self.store.post(Record::Finished {
            conversation: state.conversation.number(),
            at: store::now(),
        });
    }

    /// Somebody in a conversation that runs is called otherwise.
    pub(crate) fn rename(
        &self,
        account: &str,
        conversation: i64,
        member: &str,
        name: Option<&str>,
        user_id: Option<&str>,
    ) {
        for room in self.rooms().values() {
            let mut state = room.state();
            if room.key.account == account && state.conversation.number() == conversation {
                state.conversation.rename(member, name, user_id);
            }
        }
    }

    /// Ends a room after this time, unless somebody came back.
    pub(crate) fn close_after(self: &Arc<Self>, wait: Duration, room: Arc<Room>) {
        // A service that is gone has nothing to end.
        let hub = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let over = room.state().ends.is_some_and(|ends| ends <= Instant::now());
            if let Some(hub) = hub.upgrade().filter(|_| over) {
                hub.close_room(&room);
            }
        });
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomKey, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat in the room of this connection id; `anew`: in a new one.
    ///
    /// Where the only sockets of the room are being closed, whether their
    /// clients heard the end decides which conversation it is: that is waited
    /// for, at most as long as a closing may take.
    pub(crate) async fn join(self: &Arc<Self>, key: &RoomKey, outbox: Outbox, anew: bool) -> Seat {
        let patience = tokio::time::Instant::now() + self.longest_closing;
        loop {
            let room = match self.try_join(key, &outbox, anew) {
                Ok(seat) => return seat,
                Err(room) => room,
            };
            let closed = room.closed.notified();
            if !room.state().is_closing() {
                continue;
            }
            if timeout_at(patience, closed).await.is_err() {
                let member = room.state().enter(outbox);
                return self.seat(Arc::clone(&room), member);
            }
        }
    }

    /// A seat, or the room whose last sockets are being closed.
    fn try_join(
        self: &Arc<Self>,
        key: &RoomKey,
        outbox: &Outbox,
        anew: bool,
    ) -> Result<Seat, Arc<Room>> {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.get(key).filter(|_| !anew) {
            let mut state = room.state();
            if state.is_closing() {
                drop(state);
                return Err(Arc::clone(room));
            }
            if state.is_live() {
                let member = state.enter(outbox.clone());
                drop(state);
                return Ok(self.seat(Arc::clone(room), member));
            }
        }
        let room = self.room(key, Conversation::new());
        let member = room.state().enter(outbox.clone());
        let replaced = rooms.insert(key.clone(), Arc::clone(&room));
        drop(rooms);
        if let Some(replaced) = replaced {
            self.finish(&replaced);
        }
        Ok(self.seat(room, member))
    }

    /// A place for a room that waits for somebody to come back. Strangers could
    /// leave as many as they like.
    pub(crate) fn place_to_wait(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.waiting).try_acquire_owned().ok()
    }

    /// How many rooms wait for their last speaker to come back.
    pub(crate) fn awaited(&self) -> usize {
        let left = self.waiting.available_permits();
        self.most_waiting.saturating_sub(left)
    }

    /// Whether this connection id is in use, or somebody may come back to it.
    pub(crate) fn is_live(&self, key: &RoomKey) -> bool {
        self.rooms()
            .get(key)
            .is_some_and(|room| room.state().is_live())
    }

    /// Listens to the room of this connection id until the conversation is over,
    /// when the outbox is closed. `None`: there is no such room (any more).
    pub(crate) fn listen(&self, key: &RoomKey, outbox: Outbox) -> Option<Ear> {
        let rooms = self.rooms();
        let room = rooms.get(key)?;
        let mut state = room.state();
        if !state.is_live() {
            return None;
        }
        outbox.send(reply::subscription_started(state.conversation.id()));
        let listener = state.next_member;
        state.next_member += 1;
        state.listeners.push((listener, outbox));
        drop(state);
        Some(Ear {
            room: Arc::clone(room),
            listener,
        })
    }

    fn seat(self: &Arc<Self>, room: Arc<Room>, member: u64) -> Seat {
        Seat {
            hub: Arc::clone(self),
            room,
            member,
            is_closing: false,
        }
    }

    /// Forgets a room, unless somebody is in it or it has been replaced.
    pub(crate) fn close_room(&self, room: &Arc<Room>) {
        let mut rooms = self.rooms();
        let state = room.state();
        let is_over = state.members.is_empty() && state.closing == 0;
        drop(state);
        let is_current = rooms
            .get(&room.key)
            .is_some_and(|current| Arc::ptr_eq(current, room));
        if is_over && is_current {
            rooms.remove(&room.key);
            drop(rooms);
            let mut state = room.state();
            state.is_over = true;
            let owes = state.owing > 0;
            drop(state);
            if !owes {
                self.finish(room);
            }
        }
    }

    /// A stream whose member has gone has said what it owed.
    pub(crate) fn settle(&self, room: &Room) {
        let mut state = room.state();
        state.owing = state.owing.saturating_sub(1);
        let over = state.is_over && state.owing == 0;
        drop(state);
        if over {
            self.finish(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Kept, Refused};
    use crate::recognizer::scripted::Scripted;

    fn hub() -> Arc<Hub> {
        hub_with(&Limits::default())
    }

    fn hub_with(limits: &Limits) -> Arc<Hub> {
        let store = Arc::new(Store::open(None, limits).expect("memory"));
        let metrics = Metrics::new(Kept {
            recognizer: Arc::new(Scripted),
            refused: Refused::default(),
            counts: store.counts.clone(),
            log: crate::log::Lost::default(),
        });
        Hub::open(limits, store, Arc::new(metrics), None).expect("nothing to restore")
    }

    fn key(connection_id: &str) -> RoomKey {
        RoomKey {
            account: String::new(),
            connection_id: connection_id.to_owned(),
        }
    }

    async fn join(hub: &Arc<Hub>, connection_id: &str) -> (Seat, String) {
        let seat = hub.join(&key(connection_id), Outbox::new(8).0, false).await;
        let id = seat.room.state().conversation.id().to_owned();
        (seat, id)
    }

    #[tokio::test]
    async fn sockets_of_one_connection_id_share_a_conversation() {
        let hub = hub();
        let (first, a) = join(&hub, "x").await;
        let (second, b) = join(&hub, "x").await;
        let (_other, c) = join(&hub, "y").await;
        assert_eq!(a, b);
        assert_ne!(a, c);
        first.leave(Leave::Finished);
        let (_third, d) = join(&hub, "x").await;
        assert_eq!(a, d, "the second socket still holds the conversation");
        second.leave(Leave::Finished);
    }

    #[tokio::test]
    async fn a_finished_conversation_is_not_continued() {
        let hub = hub();
        let (seat, a) = join(&hub, "x").await;
        seat.keep_for(Duration::from_secs(1000));
        seat.leave(Leave::Finished);
        assert_ne!(join(&hub, "x").await.1, a);
    }

    #[tokio::test]
    async fn how_a_closing_ends_decides_which_conversation_comes_next() {
        let hub = hub();
        for (how, same) in [(Leave::Lost, true), (Leave::Finished, false)] {
            let (mut seat, a) = join(&hub, "x").await;
            seat.keep_for(Duration::from_secs(1000));
            seat.close();
            let next = join(&hub, "x");
            tokio::pin!(next);
            tokio::select! {
                biased;
                _ = &mut next => panic!("nobody knows yet"),
                () = async {} => seat.leave(how),
            }
            let (seat, b) = next.await;
            assert_eq!(a == b, same, "{how:?}");
            seat.leave(Leave::Finished);
        }
    }

    #[tokio::test]
    async fn a_lost_member_finds_its_conversation_within_the_time_only() {
        let hub = hub();
        let (seat, a) = join(&hub, "x").await;
        seat.keep_for(Duration::from_secs(1000));
        seat.leave(Leave::Lost);
        let (seat, b) = join(&hub, "x").await;
        assert_eq!(a, b);
        seat.keep_for(Duration::from_nanos(1));
        seat.leave(Leave::Lost);
        assert_ne!(join(&hub, "x").await.1, a);
    }

    #[tokio::test]
    async fn no_more_rooms_wait_than_are_allowed() {
        let limits = Limits {
            waiting: 1,
            ..Limits::default()
        };
        let hub = hub_with(&limits);
        let lose = async |connection_id| {
            let (seat, id) = join(&hub, connection_id).await;
            seat.keep_for(Duration::from_secs(1000));
            seat.leave(Leave::Lost);
            id
        };
        let kept = lose("x").await;
        let lost = lose("y").await;
        assert!(hub.is_live(&key("x")) && !hub.is_live(&key("y")));
        // Who comes back leaves the place to others.
        let (back, id) = join(&hub, "x").await;
        assert_eq!(id, kept);
        let kept = lose("y").await;
        assert_ne!(kept, lost);
        assert!(hub.is_live(&key("y")));
        back.leave(Leave::Finished);
    }

    #[tokio::test(start_paused = true)]
    async fn rooms_that_nobody_comes_back_to_are_forgotten() {
        let hub = hub();
        let (seat, _) = join(&hub, "x").await;
        seat.keep_for(Duration::from_nanos(1));
        seat.leave(Leave::Lost);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(hub.rooms().is_empty());
    }
}
