// SPDX-License-Identifier: MPL-2.0

//! The slot of a speaker's socket in its conversation, and what follows when it leaves.

use crate::clock::nanos;
use crate::conversation::hub::Hub;
pub(crate) use crate::conversation::running::Leave;
use crate::conversation::running::{Conversation, Member};
use std::sync::Arc;
use std::time::{Duration, Instant};
pub(crate) use symbl_log::fence::SUPERSEDED;

/// The slot of a speaker's socket in its conversation.
#[derive(Debug)]
pub(crate) struct SocketSlot {
    pub(crate) hub: Arc<Hub>,
    pub(crate) conversation: Arc<Conversation>,
    pub(crate) member: u64,
    /// The last entry that was sent before the socket joined.
    pub(crate) told: u64,
    /// The member, while its socket is being closed.
    pub(crate) closing: Option<Member>,
}

impl SocketSlot {
    /// Records the speaker of this socket, and how long the conversation waits for it
    /// after a loss: as long as before if `keep` is `None`.
    pub(crate) fn speaks(&self, speaker: Option<&str>, keep: Option<Duration>) {
        self.conversation.speaks(self.member, speaker, keep);
    }

    /// Records the start request that came on this socket, and closes the sockets of
    /// earlier start requests of its stream. The service may not have seen yet that those
    /// are dead.
    pub(crate) fn supersede(&self, stream: &str, attempt: u64) {
        let mut state = self.conversation.state();
        for outbox in state.supersede(self.member, stream, attempt) {
            outbox.close(SUPERSEDED, "superseded");
        }
    }

    /// Returns `true` if a client that loses its connection may rejoin this conversation.
    pub(crate) fn is_kept(&self) -> bool {
        let keep = match &self.closing {
            Some(member) => member.keep(),
            None => self.conversation.state().keep(self.member),
        };
        !keep.is_zero()
    }

    /// Takes the member out of the conversation while its socket is being closed, so that
    /// it is sent nothing more. Call [`SocketSlot::leave`] when the socket is closed.
    pub(crate) fn close(&mut self) {
        let mut state = self.conversation.state();
        if let Some(member) = state.take(self.member) {
            state.leaving.extend(member.speaker().map(str::to_owned));
            self.closing = Some(member);
            state.closing += 1;
            let number = self.conversation.number;
            self.hub.tell_of_closing(number, &state);
        }
        drop(state);
        self.conversation.changed();
    }

    /// Keeps the conversation open for a stream that outlives its socket. Call the returned
    /// closure when that stream has ended.
    pub(crate) fn owe(&self) -> impl FnOnce() + Send + use<> {
        let mut state = self.conversation.state();
        let closing = self.closing.as_ref().and_then(Member::speaker);
        let speaker = closing.map(str::to_owned).or(state.speaker_of(self.member));
        state.owing += 1;
        state.leaving.extend(speaker.clone());
        drop(state);
        let (hub, conversation) = (Arc::downgrade(&self.hub), Arc::clone(&self.conversation));
        move || {
            // Without a hub the service has ended.
            if let Some(hub) = hub.upgrade() {
                hub.settle(&conversation, speaker.as_deref());
            }
        }
    }

    /// Gives the slot back. Without members, the conversation then waits for its lost
    /// speakers or ends.
    pub(crate) fn leave(self, how: Leave) {
        let Self {
            hub,
            conversation,
            member,
            closing,
            ..
        } = self;
        let now = Instant::now();
        let mut state = conversation.state();
        // A session that is told waits for the lock of the state.
        conversation.changed();
        let left = match closing {
            Some(member) => {
                state.closing = state.closing.saturating_sub(1);
                state.has_left(member.speaker());
                conversation.closed.notify_waiters();
                Some(member)
            }
            None => state.take(member),
        };
        let lost = left.and_then(|member| state.left(member, how, now));
        if !state.members.is_empty() || state.closing > 0 {
            let keep = state.longest_keep(now);
            hub.tell_of_closing(conversation.number, &state);
            drop(state);
            let keep = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
            hub.log.keep(conversation.number, keep);
            hub.part(&conversation, lost);
            return;
        }
        let mut wait = state.wait(now);
        let mut is_full = false;
        if !wait.is_zero() {
            state.place_to_wait = hub.place_to_wait(conversation.bytes(&state));
            is_full = state.place_to_wait.is_none();
        }
        if is_full {
            wait = Duration::ZERO;
        }
        state.ends = Some(now + wait);
        // Other nodes are told so by what follows.
        state.seat = None;
        drop(state);
        let (connection, id) = (&conversation.key.connection_id, &conversation.id);
        if is_full {
            tracing::warn!(
                connection,
                conversation = id,
                "too many conversations wait already, or they take too much memory; this one \
                 is over (--max-waiting, --max-waiting-memory)"
            );
        }
        if wait.is_zero() {
            hub.end_if_left(&conversation);
            return;
        }
        let seconds = wait.as_secs();
        tracing::info!(event = "waiting", connection, conversation = id, seconds);
        // After a restart, the service compares this with its wall clock.
        let ends = hub.wall.now().saturating_add(nanos(wait));
        hub.part(&conversation, lost);
        hub.log.close(conversation.number, ends);
        hub.close_after(wait, &conversation);
    }
}
