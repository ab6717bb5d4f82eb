// SPDX-License-Identifier: MPL-2.0

//! One socket's place in its room, and what its leaving means for the others.

use crate::hub::Hub;
use crate::room::Room;
use crate::store::{self, Record};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One socket's place in its room.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) hub: Arc<Hub>,
    pub(crate) room: Arc<Room>,
    pub(crate) member: u64,
    pub(crate) is_closing: bool,
}

/// How a socket left its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It was done.
    Finished,
    /// It may come back.
    Lost,
}

impl Seat {
    /// How long the room is kept after its last member was lost.
    pub(crate) fn keep_for(&self, timeout: Duration) {
        self.room.state().no_connection_timeout = timeout;
    }

    /// Whether who is lost is promised to find the conversation again.
    pub(crate) fn is_kept(&self) -> bool {
        !self.room.state().no_connection_timeout.is_zero()
    }

    /// The member was told everything and is told no more; [`Seat::leave`]
    /// follows when its socket is closed.
    pub(crate) fn close(&mut self) {
        let mut state = self.room.state();
        state.members.retain(|(id, _)| *id != self.member);
        if !self.is_closing {
            self.is_closing = true;
            state.closing += 1;
        }
    }

    /// The room has to wait with its end for a stream of the member that goes on
    /// without it, until what this gives is called.
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
            is_closing,
        } = self;
        let wait = {
            let mut state = room.state();
            state.members.retain(|(id, _)| *id != member);
            if is_closing {
                state.closing = state.closing.saturating_sub(1);
                room.closed.notify_waiters();
            }
            if !state.members.is_empty() || state.closing > 0 {
                return;
            }
            let mut wait = match how {
                Leave::Lost => state.no_connection_timeout,
                Leave::Finished => Duration::ZERO,
            };
            if !wait.is_zero() {
                state.place_to_wait = hub.place_to_wait();
                if state.place_to_wait.is_none() {
                    tracing::warn!("too many conversations wait already; this one is over");
                    wait = Duration::ZERO;
                }
            }
            state.ends = Some(Instant::now() + wait);
            wait
        };
        if wait.is_zero() {
            hub.close_room(&room);
            return;
        }
        let conversation = room.state().conversation.number();
        tracing::info!(
            event = "waiting",
            connection = room.key.connection_id,
            conversation,
            seconds = wait.as_secs()
        );
        hub.store.post(Record::Lost {
            conversation,
            ends: store::now().saturating_add(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX)),
        });
        hub.close_after(wait, room);
    }
}
