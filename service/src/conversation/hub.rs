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
//! Locks: the state of a room is never taken under the map of rooms, nor the map under
//! the state of a room: whoever waits for one room keeps nobody from another one. A
//! room's turn to speak, which only the streams' threads take, comes before its state.
//! Each but that turn is held for a few calls only, and none of them across an await.

use super::form::Recipient;
use super::log::{Log, LogError, OpenConversation};
use crate::clock::{ConversationClock, WallClock};
use crate::conversation::room::PlaceToWait;
pub(crate) use crate::conversation::room::{Joining, Room, RoomKey};
pub(crate) use crate::conversation::seat::{Leave, Seat};
use crate::conversation::state::Conversation;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::trackers::TrackerStore;
use crate::trackers::phrasebook::Phrasebook;
use crate::workers::Workers;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

/// All rooms.
#[derive(Debug)]
pub(crate) struct Hub {
    rooms: Mutex<HashMap<RoomKey, Arc<Room>>>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) trackers: Arc<dyn TrackerStore>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) phrasebook: Phrasebook,
    pub(crate) wall: WallClock,
    /// One permit for each stream that may drain while its socket has started the next.
    pub(crate) draining: Arc<Semaphore>,
    /// How long a socket that is being closed may hold its room up.
    longest_closing: Duration,
    /// One permit for each room that may still begin to wait.
    waiting: Arc<Semaphore>,
    /// One permit for each byte that rooms which wait may still take.
    waiting_bytes: Arc<Semaphore>,
    /// How many rooms may wait.
    most_waiting: usize,
}

/// What a hub works with.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) trackers: Arc<dyn TrackerStore>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) wall: WallClock,
}

impl Hub {
    /// Opens it with the rooms that somebody may come back to, as the database has them.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub(crate) fn open(limits: &Limits, services: Services) -> Result<Arc<Self>, LogError> {
        let Services {
            log,
            metrics,
            trackers,
            workers,
            wall,
        } = services;
        let open = log.still_open()?;
        let hub = Arc::new(Self {
            rooms: Mutex::default(),
            trackers,
            log,
            metrics,
            workers,
            phrasebook: Phrasebook::new(limits.tracker_memory),
            wall,
            draining: Arc::new(Semaphore::new(limits.draining)),
            longest_closing: limits.close.saturating_mul(2),
            waiting: Arc::new(Semaphore::new(limits.waiting)),
            waiting_bytes: Arc::new(Semaphore::new(
                limits.waiting_memory.min(Semaphore::MAX_PERMITS),
            )),
            most_waiting: limits.waiting,
        });
        for open in open {
            hub.restore(open);
        }
        Ok(hub)
    }

    /// Takes up a conversation of before a restart.
    fn restore(self: &Arc<Self>, open: OpenConversation) {
        let key = RoomKey {
            account: open.account.clone(),
            connection_id: open.connection_id.clone(),
        };
        let wall = self.wall.now();
        let left = u64::try_from(open.ends.saturating_sub(wall)).unwrap_or(0);
        let left = Duration::from_nanos(left);
        let keep = Duration::from_secs(u64::try_from(open.keep).unwrap_or(0));
        // A wall clock that went back meanwhile does not take the conversation back.
        let latest = open.latest.max(open.zero).unwrap_or(0);
        let clock = ConversationClock::begin(wall.max(latest));
        let head = open.head;
        let (log, conversation) = (Arc::clone(&self.log), Conversation::restored(open));
        let room = Arc::new(Room::behind(key.clone(), conversation, log, clock, head));
        let mut state = room.state();
        state.await_anybody(Instant::now() + left, keep);
        state.place_to_wait = self.place_to_wait(room.bytes(&state));
        drop(state);
        tracing::info!(
            event = "restored",
            connection = key.connection_id,
            conversation = room.id,
            seconds = left.as_secs()
        );
        let replaced = self.rooms().insert(key, Arc::clone(&room));
        if let Some(replaced) = replaced {
            self.retire(&replaced);
        }
        self.close_after(left, &room);
    }

    fn room(
        &self,
        key: &RoomKey,
        conversation: Conversation,
        clock: ConversationClock,
    ) -> Arc<Room> {
        let log = Arc::clone(&self.log);
        Arc::new(Room::new(key.clone(), conversation, log, clock))
    }

    /// Lets nobody in any more. The conversation is over when no stream owes anything.
    fn retire(&self, room: &Room) {
        let mut state = room.state();
        state.is_over = true;
        let owes = state.owing > 0;
        drop(state);
        if !owes {
            self.finish(room);
        }
    }

    /// The conversation of a room is over.
    fn finish(&self, room: &Room) {
        // What came into the log after its stream gave up waiting was not told.
        room.tell();
        let mut state = room.state();
        if std::mem::replace(&mut state.is_finished, true) {
            return;
        }
        state.dismiss();
        state.place_to_wait = None;
        drop(state);
        tracing::info!(
            event = "over",
            connection = room.key.connection_id,
            conversation = room.id
        );
        self.log.finish(room.number, room.clock.now());
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
        let is_meant =
            |room: &&Arc<Room>| room.key.account == account && room.number == conversation;
        let room = self.rooms().values().find(is_meant).cloned();
        if let Some(room) = room {
            room.state().conversation.rename(member, name, user_id);
        }
    }

    /// Ends a room after this time, unless somebody came back.
    pub(crate) fn close_after(self: &Arc<Self>, wait: Duration, room: &Arc<Room>) {
        // A service that is gone has nothing to end, and keeps no log open for it.
        let (hub, room) = (Arc::downgrade(self), Arc::downgrade(room));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some((hub, room)) = hub.upgrade().zip(room.upgrade()) {
                hub.close_room(&room);
            }
        });
    }

    /// Returns the room of this connection id.
    fn find(&self, key: &RoomKey) -> Option<Arc<Room>> {
        self.rooms().get(key).cloned()
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomKey, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat in the room of this connection id; `anew`: in a new one.
    ///
    /// Where the only sockets of the room are being closed, whether their
    /// clients heard the end decides which conversation it is: that is waited
    /// for, at most as long as a closing may take.
    pub(crate) async fn join(
        self: &Arc<Self>,
        key: &RoomKey,
        recipient: impl Into<Recipient>,
        anew: bool,
    ) -> Seat {
        let outbox = recipient.into();
        let patience = tokio::time::Instant::now() + self.longest_closing;
        loop {
            let room = match self.try_join(key, &outbox, anew, false) {
                Ok(seat) => return seat,
                Err(room) => room,
            };
            let closed = room.closed.notified();
            if !room.state().is_closing() {
                continue;
            }
            if timeout_at(patience, closed).await.is_err()
                && let Ok(seat) = self.try_join(key, &outbox, anew, true)
            {
                return seat;
            }
        }
    }

    /// Takes a seat; or returns the room whose last sockets are being closed, unless the
    /// socket enters `regardless` of that.
    fn try_join(
        self: &Arc<Self>,
        key: &RoomKey,
        outbox: &Recipient,
        anew: bool,
        regardless: bool,
    ) -> Result<Seat, Arc<Room>> {
        loop {
            let found = self.find(key);
            if let Some(room) = found.as_ref().filter(|_| !anew) {
                // What is told from now on, the socket is told too.
                let teller = room.teller();
                let mut state = room.state();
                if state.is_closing() && !regardless {
                    drop((state, teller));
                    return Err(Arc::clone(room));
                }
                if state.is_live() {
                    let (member, told) = (state.enter(outbox.clone()), teller.told());
                    drop((state, teller));
                    return Ok(self.seat(Arc::clone(room), member, told));
                }
            }
            let clock = ConversationClock::begin(self.wall.now());
            let room = self.room(key, Conversation::new(), clock);
            let member = room.state().enter(outbox.clone());
            let mut rooms = self.rooms();
            let now = rooms.get(key);
            let is_as_found = match &found {
                Some(found) => now.is_none_or(|now| Arc::ptr_eq(now, found)),
                None => now.is_none(),
            };
            if !is_as_found {
                // Somebody else has put a room there meanwhile.
                continue;
            }
            rooms.insert(key.clone(), Arc::clone(&room));
            drop(rooms);
            if let Some(replaced) = found {
                self.retire(&replaced);
            }
            return Ok(self.seat(room, member, 0));
        }
    }

    /// Returns a place for a room of so many bytes that waits for somebody to come back.
    /// Strangers could leave as many as they like.
    pub(crate) fn place_to_wait(&self, bytes: usize) -> Option<PlaceToWait> {
        let bytes = u32::try_from(bytes).ok()?;
        let waiting = Arc::clone(&self.waiting).try_acquire_owned();
        let memory = Arc::clone(&self.waiting_bytes).try_acquire_many_owned(bytes);
        Some(PlaceToWait {
            _conversation: waiting.ok()?,
            _bytes: memory.ok()?,
        })
    }

    /// Returns how many rooms wait for a speaker to come back.
    pub(crate) fn awaited(&self) -> usize {
        let left = self.waiting.available_permits();
        self.most_waiting.saturating_sub(left)
    }

    /// Returns `true` if this connection id is in use, or somebody may come back to it.
    pub(crate) fn is_live(&self, key: &RoomKey) -> bool {
        self.find(key).is_some_and(|room| room.state().is_live())
    }

    /// Lets a socket join a conversation that goes on past admission, if it may; see
    /// [`crate::conversation::room::RoomState::joins_past_admission`]. Hold what this returns until the
    /// socket has joined.
    pub(crate) fn join_past_admission(&self, key: &RoomKey) -> Option<Joining> {
        let room = self.find(key)?;
        let mut state = room.state();
        if !state.joins_past_admission(Instant::now()) {
            return None;
        }
        state.joining += 1;
        drop(state);
        Some(Joining(room))
    }

    /// Returns the room of this connection id that a subscriber may listen to, if there is
    /// one.
    pub(crate) fn listenable(&self, key: &RoomKey) -> Option<Arc<Room>> {
        let room = self.find(key)?;
        let is_live = room.state().is_live();
        is_live.then_some(room)
    }

    fn seat(self: &Arc<Self>, room: Arc<Room>, member: u64, told: u64) -> Seat {
        Seat {
            hub: Arc::clone(self),
            room,
            member,
            told,
            closing: None,
        }
    }

    /// Ends a room, unless somebody is in it or may still come back to it.
    pub(crate) fn close_room(&self, room: &Arc<Room>) {
        let mut state = room.state();
        if !state.members.is_empty() || state.closing > 0 || state.is_live() {
            return;
        }
        // From now on nobody can enter it.
        state.is_over = true;
        drop(state);
        let mut rooms = self.rooms();
        let current = rooms.get(&room.key);
        if current.is_some_and(|current| Arc::ptr_eq(current, room)) {
            rooms.remove(&room.key);
        }
        drop(rooms);
        self.retire(room);
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
pub(crate) mod tests;
