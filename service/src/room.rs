// SPDX-License-Identifier: MPL-2.0

//! The sockets of one connection id and what they share. Who comes and goes is
//! the `hub`'s to decide.

use crate::conversation::Conversation;
use crate::outbox::Outbox;
use crate::store::Store;
use axum::extract::ws::Utf8Bytes;
use gstsymbl::protocol::reply;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// What a room is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RoomKey {
    /// Whose it is: connection ids of two applications never meet.
    pub(crate) account: String,
    pub(crate) connection_id: String,
}

/// The sockets of one connection id, and what they talk about.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) key: RoomKey,
    pub(crate) store: Arc<Store>,
    pub(crate) state: Mutex<RoomState>,
    /// Held while a final is written and told, so that all finals are told in
    /// the order of their numbers; by the streams' own threads only.
    pub(crate) speaking: Mutex<()>,
    /// Told whenever a socket that was being closed is.
    pub(crate) closed: Notify,
}

#[derive(Debug)]
pub(crate) struct RoomState {
    pub(crate) conversation: Conversation,
    pub(crate) members: Vec<(u64, Outbox)>,
    /// Sockets that listen only.
    pub(crate) listeners: Vec<(u64, Outbox)>,
    pub(crate) next_member: u64,
    /// Members that were told everything and whose sockets are being closed.
    pub(crate) closing: usize,
    /// Streams whose members have gone and that still have something to say.
    pub(crate) owing: usize,
    /// Nobody finds the room any more: it is over when nothing is owed.
    pub(crate) is_over: bool,
    /// How long the room waits for a lost member.
    pub(crate) no_connection_timeout: Duration,
    /// Set while nobody is there: when the room ends.
    pub(crate) ends: Option<Instant>,
    /// Held while nobody is there.
    pub(crate) place_to_wait: Option<OwnedSemaphorePermit>,
}

impl RoomState {
    /// Sends to every socket of the room.
    pub(crate) fn broadcast(&self, text: String) {
        let text: Utf8Bytes = text.into();
        for (_, outbox) in self.members.iter().chain(&self.listeners) {
            outbox.send(text.clone());
        }
    }

    /// Sends to those who only listen.
    pub(crate) fn tell_listeners(&self, text: &Utf8Bytes) {
        for (_, outbox) in &self.listeners {
            outbox.send(text.clone());
        }
    }

    /// The conversation is over: lets those go who only listen.
    pub(crate) fn dismiss(&mut self) {
        let text: Utf8Bytes = reply::conversation_completed(self.conversation.id()).into();
        for (_, outbox) in self.listeners.drain(..) {
            outbox.send(text.clone());
            outbox.close(1000, "");
        }
    }

    /// Whether somebody is there or may come back.
    pub(crate) fn is_live(&self) -> bool {
        self.ends.is_none_or(|ends| Instant::now() < ends)
    }

    /// Whether all that is left are sockets that are being closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.members.is_empty() && self.closing > 0
    }

    /// A new member's number.
    pub(crate) fn enter(&mut self, outbox: Outbox) -> u64 {
        let member = self.next_member;
        self.next_member += 1;
        self.ends = None;
        self.place_to_wait = None;
        self.members.push((member, outbox));
        member
    }
}

impl Room {
    pub(crate) fn state(&self) -> MutexGuard<'_, RoomState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener's place in its room; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Ear {
    pub(crate) room: Arc<Room>,
    pub(crate) listener: u64,
}

impl Ear {
    /// What is listened to.
    pub(crate) fn conversation_id(&self) -> String {
        self.room.state().conversation.id().to_owned()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.listeners.retain(|(id, _)| *id != self.listener);
    }
}
