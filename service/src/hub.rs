// SPDX-License-Identifier: MPL-2.0

//! Which sockets belong together: connection ids and their conversations.
//!
//! All sockets of one connection id are members of one room, and a room holds
//! one conversation. The room ends when its last member has left cleanly, or
//! was lost and did not come back within `noConnectionTimeout`; the same
//! connection id then begins a new conversation (Symbl Streaming API reference).
//!
//! Locks: the map of rooms or the rooms that are over first, then the state of a
//! room; never the other way round, never the first two together, and none is
//! held across a wait.

use crate::config::Limits;
use crate::conversation::Conversation;
use crate::outbox::Outbox;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All rooms.
#[derive(Debug)]
pub(crate) struct Hub {
    rooms: Mutex<HashMap<String, Arc<Room>>>,
    /// Rooms that are over, the oldest first: what was said there may be asked for.
    past: Mutex<VecDeque<Arc<Room>>>,
    /// Messages that each conversation keeps.
    kept_messages: usize,
    /// More rooms that are over are not kept.
    kept_conversations: usize,
}

/// The sockets of one connection id, and what they talk about.
#[derive(Debug)]
pub(crate) struct Room {
    connection_id: String,
    state: Mutex<RoomState>,
}

#[derive(Debug)]
pub(crate) struct RoomState {
    pub(crate) conversation: Conversation,
    members: Vec<(u64, Outbox)>,
    next_member: u64,
    /// How long the room waits for a lost member.
    no_connection_timeout: Duration,
    /// Set while nobody is there: when the room ends.
    ends: Option<Instant>,
}

impl RoomState {
    /// Sends to every socket of the room.
    pub(crate) fn broadcast(&self, text: String) {
        let text: Arc<str> = text.into();
        for (_, outbox) in &self.members {
            outbox.send(Arc::clone(&text));
        }
    }
}

impl Room {
    /// What its sockets have in common.
    pub(crate) fn connection_id(&self) -> &str {
        &self.connection_id
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, RoomState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One socket's place in its room.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Arc<Hub>,
    pub(crate) room: Arc<Room>,
    member: u64,
}

/// How a socket left its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It was done.
    Finished,
    /// It may come back.
    Lost,
}

impl Hub {
    /// Without any room.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            rooms: Mutex::default(),
            past: Mutex::default(),
            kept_messages: limits.kept_messages,
            kept_conversations: limits.kept_conversations,
        }
    }

    /// The messages of a conversation that runs or is over not too long.
    pub(crate) fn messages(&self, conversation_id: &str, verbose: bool) -> Option<Value> {
        let is_it = |room: &&Arc<Room>| room.state().conversation.id() == conversation_id;
        let running = self.rooms().values().find(is_it).cloned();
        let past = || self.past().iter().find(is_it).cloned();
        let room = running.or_else(past)?;
        let state = room.state();
        Some(state.conversation.history.json(conversation_id, verbose))
    }

    fn past(&self) -> MutexGuard<'_, VecDeque<Arc<Room>>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was said in a room that is over, for a while.
    fn remember(&self, room: Arc<Room>) {
        let mut past = self.past();
        past.push_back(room);
        while past.len() > self.kept_conversations {
            past.pop_front();
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat in the room of this connection id; `anew`: in a new one.
    pub(crate) fn join(self: &Arc<Self>, connection_id: &str, outbox: Outbox, anew: bool) -> Seat {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.get(connection_id).filter(|_| !anew) {
            let mut state = room.state();
            if state.ends.is_none_or(|ends| Instant::now() < ends) {
                let member = state.next_member;
                state.next_member += 1;
                state.ends = None;
                state.members.push((member, outbox));
                drop(state);
                return self.seat(Arc::clone(room), member);
            }
        }
        let room = Arc::new(Room {
            connection_id: connection_id.to_owned(),
            state: Mutex::new(RoomState {
                conversation: Conversation::new(self.kept_messages),
                members: vec![(0, outbox)],
                next_member: 1,
                no_connection_timeout: Duration::ZERO,
                ends: None,
            }),
        });
        let replaced = rooms.insert(connection_id.to_owned(), Arc::clone(&room));
        drop(rooms);
        if let Some(replaced) = replaced {
            self.remember(replaced);
        }
        self.seat(room, 0)
    }

    fn seat(self: &Arc<Self>, room: Arc<Room>, member: u64) -> Seat {
        Seat {
            hub: Arc::clone(self),
            room,
            member,
        }
    }

    /// Forgets a room, unless somebody is in it or it has been replaced.
    fn close_room(&self, room: &Arc<Room>) {
        let mut rooms = self.rooms();
        let is_over = room.state().members.is_empty();
        let is_current = rooms
            .get(&room.connection_id)
            .is_some_and(|current| Arc::ptr_eq(current, room));
        if is_over && is_current {
            rooms.remove(&room.connection_id);
            drop(rooms);
            self.remember(Arc::clone(room));
            tracing::info!(connection = room.connection_id, "conversation is over");
        }
    }
}

impl Seat {
    /// How long the room is kept after its last member was lost.
    pub(crate) fn keep_for(&self, timeout: Duration) {
        self.room.state().no_connection_timeout = timeout;
    }

    /// Gives the seat back.
    pub(crate) fn leave(self, how: Leave) {
        let Self { hub, room, member } = self;
        let wait = {
            let mut state = room.state();
            state.members.retain(|(id, _)| *id != member);
            if !state.members.is_empty() {
                return;
            }
            let wait = match how {
                Leave::Lost => state.no_connection_timeout,
                Leave::Finished => Duration::ZERO,
            };
            state.ends = Some(Instant::now() + wait);
            wait
        };
        if wait.is_zero() {
            hub.close_room(&room);
            return;
        }
        tracing::info!(
            connection = room.connection_id,
            seconds = wait.as_secs(),
            "nobody is connected; waiting for somebody to come back"
        );
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let over = room.state().ends.is_some_and(|ends| ends <= Instant::now());
            if over {
                hub.close_room(&room);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(hub: &Arc<Hub>, connection_id: &str) -> (Seat, String) {
        let seat = hub.join(connection_id, Outbox::new(8).0, false);
        let id = seat.room.state().conversation.id().to_owned();
        (seat, id)
    }

    #[tokio::test]
    async fn sockets_of_one_connection_id_share_a_conversation() {
        let hub = Arc::new(Hub::new(&Limits::default()));
        let (first, a) = join(&hub, "x");
        let (second, b) = join(&hub, "x");
        let (_other, c) = join(&hub, "y");
        assert_eq!(a, b);
        assert_ne!(a, c);
        first.leave(Leave::Finished);
        let (_third, d) = join(&hub, "x");
        assert_eq!(a, d, "the second socket still holds the conversation");
        second.leave(Leave::Finished);
    }

    #[tokio::test]
    async fn a_finished_conversation_is_not_continued() {
        let hub = Arc::new(Hub::new(&Limits::default()));
        let (seat, a) = join(&hub, "x");
        seat.keep_for(Duration::from_secs(1000));
        seat.leave(Leave::Finished);
        assert_ne!(join(&hub, "x").1, a);
    }

    #[tokio::test]
    async fn a_lost_member_finds_its_conversation_within_the_time_only() {
        let hub = Arc::new(Hub::new(&Limits::default()));
        let (seat, a) = join(&hub, "x");
        seat.keep_for(Duration::from_secs(1000));
        seat.leave(Leave::Lost);
        let (seat, b) = join(&hub, "x");
        assert_eq!(a, b);
        seat.keep_for(Duration::from_nanos(1));
        seat.leave(Leave::Lost);
        assert_ne!(join(&hub, "x").1, a);
    }

    #[tokio::test(start_paused = true)]
    async fn rooms_that_nobody_comes_back_to_are_forgotten() {
        let hub = Arc::new(Hub::new(&Limits::default()));
        let (seat, _) = join(&hub, "x");
        seat.keep_for(Duration::from_nanos(1));
        seat.leave(Leave::Lost);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(hub.rooms().is_empty());
    }

    #[tokio::test]
    async fn of_conversations_that_are_over_the_newest_are_remembered() {
        let limits = Limits {
            kept_conversations: 2,
            ..Limits::default()
        };
        let hub = Arc::new(Hub::new(&limits));
        let mut ids = Vec::new();
        for name in ["a", "b", "c"] {
            let (seat, id) = join(&hub, name);
            ids.push(id);
            seat.leave(Leave::Finished);
        }
        // One that was replaced before it was noticed that it is over.
        let (seat, id) = join(&hub, "d");
        ids.push(id);
        seat.keep_for(Duration::from_nanos(1));
        seat.leave(Leave::Lost);
        ids.push(join(&hub, "d").1);
        let known: Vec<bool> = ids
            .iter()
            .map(|id| hub.messages(id, true).is_some())
            .collect();
        assert_eq!(known, [false, false, true, true, true]);
    }
}
