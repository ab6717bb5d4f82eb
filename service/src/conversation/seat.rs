// SPDX-License-Identifier: MPL-2.0

//! One socket's place in its room, and what its leaving means for the others.

use crate::conversation::hub::Hub;
pub(crate) use crate::conversation::room::Leave;
use crate::conversation::room::{Member, Room};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The close code of a socket whose stream goes on with another one.
pub(crate) const SUPERSEDED: u16 = 4103;

/// One socket's place in its room.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) hub: Arc<Hub>,
    pub(crate) room: Arc<Room>,
    pub(crate) member: u64,
    /// The last entry that was told before the socket came.
    pub(crate) told: u64,
    /// Set while the socket is being closed.
    pub(crate) closing: Option<Member>,
}

impl Seat {
    /// Says who speaks here, and how long the conversation waits for this speaker after
    /// a loss; `None`: as before.
    pub(crate) fn speaks(&self, speaker: Option<&str>, keep: Option<Duration>) {
        self.room.state().speaks(self.member, speaker, keep);
    }

    /// Says which start request of a stream came here, and closes the sockets of earlier
    /// ones, which may not have been seen to be dead.
    pub(crate) fn supersede(&self, stream: &str, attempt: u64) {
        let mut state = self.room.state();
        for outbox in state.supersede(self.member, stream, attempt) {
            outbox.close(SUPERSEDED, "superseded");
        }
    }

    /// Returns `true` if a client that loses its connection may rejoin this conversation.
    pub(crate) fn is_kept(&self) -> bool {
        let keep = match &self.closing {
            Some(member) => member.keep(),
            None => self.room.state().keep(self.member),
        };
        !keep.is_zero()
    }

    /// The member was told everything and is told no more; [`Seat::leave`]
    /// follows when its socket is closed.
    pub(crate) fn close(&mut self) {
        let mut state = self.room.state();
        if let Some(member) = state.take(self.member) {
            self.closing = Some(member);
            state.closing += 1;
        }
    }

    /// Keeps the room open for a stream that outlives its socket. Call the returned
    /// closure when that stream has ended.
    pub(crate) fn owe(&self) -> impl FnOnce() + Send + use<> {
        self.room.state().owing += 1;
        let (hub, room) = (Arc::downgrade(&self.hub), Arc::clone(&self.room));
        move || {
            // A service that is gone has nothing to end.
            if let Some(hub) = hub.upgrade() {
                hub.settle(&room);
            }
        }
    }

    /// Gives the seat back.
    pub(crate) fn leave(self, how: Leave) {
        let Self {
            hub,
            room,
            member,
            closing,
            ..
        } = self;
        let now = Instant::now();
        let mut state = room.state();
        let left = match closing {
            Some(member) => {
                state.closing = state.closing.saturating_sub(1);
                room.closed.notify_waiters();
                Some(member)
            }
            None => state.take(member),
        };
        if let Some(member) = left {
            state.left(member, how, now);
        }
        if !state.members.is_empty() || state.closing > 0 {
            let keep = state.longest_keep(now);
            drop(state);
            let keep = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
            hub.log.keep(room.number, keep);
            return;
        }
        let mut wait = state.wait(now);
        let mut is_full = false;
        if !wait.is_zero() {
            state.place_to_wait = hub.place_to_wait(room.bytes(&state));
            is_full = state.place_to_wait.is_none();
        }
        if is_full {
            wait = Duration::ZERO;
        }
        state.ends = Some(now + wait);
        drop(state);
        let (connection, conversation) = (&room.key.connection_id, &room.id);
        if is_full {
            tracing::warn!(
                connection,
                conversation,
                "too many conversations wait already, or they take too much memory; this one \
                 is over (--max-waiting, --max-waiting-memory)"
            );
        }
        if wait.is_zero() {
            hub.close_room(&room);
            return;
        }
        let seconds = wait.as_secs();
        tracing::info!(event = "waiting", connection, conversation, seconds);
        // The next service compares it with what the wall clock shows then.
        let ends = hub.wall.now().saturating_add(nanos(wait));
        hub.log.close(room.number, ends);
        hub.close_after(wait, &room);
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
