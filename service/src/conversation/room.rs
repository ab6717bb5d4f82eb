// SPDX-License-Identifier: MPL-2.0

//! The sockets of one connection id and what they share, and who of those that were lost
//! may come back. Who comes and goes is the `hub`'s to decide.

use crate::analysis::Topics;
use crate::clock::Clock;
use crate::conversation::state::Conversation;
use crate::outbox::Outbox;
use crate::store::Store;
use axum::extract::ws::Utf8Bytes;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use symbl_protocol::reply;
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// As long as a conversation has fewer sockets than this, the next one is let in past
/// admission: a speaker may dial again before its old socket is seen to be dead.
const MOST_SOCKETS: usize = 2;

/// The same, while speakers that were lost may come back.
const MOST_SOCKETS_WITH_LOST: usize = 4;

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
    /// The conversation's id: as the database has it, and as clients are told it.
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) clock: Clock,
    pub(crate) store: Arc<Store>,
    state: Mutex<RoomState>,
    /// Held while a final is written and told, so that all finals are told in
    /// the order of their numbers. Only the streams' own threads take it: no handshake
    /// and no other socket ever waits for it.
    pub(crate) speaking: Mutex<Topics>,
    /// What the topics take, for those that must not wait for them.
    topics_bytes: AtomicUsize,
    /// Told whenever a socket that was being closed is.
    pub(crate) closed: Notify,
}

#[derive(Debug)]
pub(crate) struct RoomState {
    pub(crate) conversation: Conversation,
    pub(crate) members: Vec<Member>,
    /// Sockets that listen only.
    pub(crate) listeners: Vec<(u64, Outbox)>,
    pub(crate) next_member: u64,
    /// Sockets that were let in past admission and have not entered yet.
    pub(crate) joining: usize,
    /// Members that were told everything and whose sockets are being closed.
    pub(crate) closing: usize,
    /// Streams whose members have gone and that still have something to say.
    pub(crate) owing: usize,
    /// Nobody may enter any more: it is finished when no stream owes anything.
    pub(crate) is_over: bool,
    /// The end of the conversation is stored.
    pub(crate) is_finished: bool,
    /// Speakers that were lost, and have not come back.
    pub(crate) owed: Vec<Owed>,
    /// Set while nobody is there: when the room ends.
    pub(crate) ends: Option<Instant>,
    /// Held while nobody is there.
    pub(crate) place_to_wait: Option<PlaceToWait>,
}

/// A socket that may speak.
#[derive(Debug)]
pub(crate) struct Member {
    /// Those that came later have greater ones.
    pub(crate) id: u64,
    outbox: Outbox,
    /// Who speaks, once it was said.
    speaker: Option<String>,
    /// How long the conversation waits for this speaker (`noConnectionTimeout`).
    keep: Duration,
}

/// A speaker that the conversation waits for.
#[derive(Debug)]
pub(crate) struct Owed {
    /// None: over a restart nobody knows who it was.
    speaker: Option<String>,
    keep: Duration,
    until: Instant,
}

/// One of the conversations that may wait, with the memory that it takes.
#[derive(Debug)]
pub(crate) struct PlaceToWait {
    pub(crate) _conversation: OwnedSemaphorePermit,
    pub(crate) _bytes: OwnedSemaphorePermit,
}

/// How a socket left its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It was done.
    Finished,
    /// It may come back.
    Lost,
}

impl Member {
    /// Returns how long the conversation waits for this speaker.
    pub(crate) fn keep(&self) -> Duration {
        self.keep
    }
}

impl RoomState {
    pub(crate) fn new(conversation: Conversation) -> Self {
        Self {
            conversation,
            members: Vec::new(),
            listeners: Vec::new(),
            next_member: 0,
            joining: 0,
            closing: 0,
            owing: 0,
            is_over: false,
            is_finished: false,
            owed: Vec::new(),
            ends: None,
            place_to_wait: None,
        }
    }

    /// Sends to every socket of the room.
    pub(crate) fn broadcast(&self, text: String) {
        let text: Utf8Bytes = text.into();
        let members = self.members.iter().map(|member| &member.outbox);
        for outbox in members.chain(self.listeners.iter().map(|(_, outbox)| outbox)) {
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

    /// Returns `true` if somebody is there or may come back.
    pub(crate) fn is_live(&self) -> bool {
        !self.is_over && self.ends.is_none_or(|ends| Instant::now() < ends)
    }

    /// Returns `true` if another socket may join, however full the service is: while the
    /// conversation has few of them. Otherwise one connection id would be a way around
    /// admission.
    pub(crate) fn joins_past_admission(&mut self, now: Instant) -> bool {
        let _ = self.wait(now);
        let bound = match self.owed.is_empty() {
            true => MOST_SOCKETS,
            false => MOST_SOCKETS_WITH_LOST,
        };
        self.is_live() && self.members.len() + self.joining + self.closing < bound
    }

    /// Returns `true` if all that is left are sockets that are being closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.members.is_empty() && self.closing > 0
    }

    /// Lets a socket in, and returns its number.
    pub(crate) fn enter(&mut self, outbox: Outbox) -> u64 {
        let id = self.next_member;
        self.next_member += 1;
        self.ends = None;
        self.place_to_wait = None;
        self.owed.retain(|owed| owed.speaker.is_some());
        self.members.push(Member {
            id,
            outbox,
            speaker: None,
            keep: Duration::ZERO,
        });
        id
    }

    /// Takes a socket out.
    pub(crate) fn take(&mut self, id: u64) -> Option<Member> {
        let at = self.members.iter().position(|member| member.id == id)?;
        Some(self.members.remove(at))
    }

    /// Returns how long the conversation waits for this socket's speaker.
    pub(crate) fn keep(&self, id: u64) -> Duration {
        let member = self.members.iter().find(|member| member.id == id);
        member.map_or(Duration::ZERO, |member| member.keep)
    }

    /// Says who speaks on a socket: a speaker that was lost has come back. Who does not
    /// say how long the conversation is to `keep` waiting is waited for as before.
    pub(crate) fn speaks(&mut self, id: u64, speaker: Option<&str>, keep: Option<Duration>) {
        let returned = |owed: &Owed| owed.speaker.as_deref() == speaker;
        let returned = self.owed.iter().position(returned);
        let returned = returned.map(|at| self.owed.remove(at));
        let member = self.members.iter_mut().find(|member| member.id == id);
        let Some(member) = member else { return };
        member.speaker = speaker.map(str::to_owned);
        if let Some(keep) = keep.or(returned.map(|owed| owed.keep)) {
            member.keep = keep;
        }
    }

    /// A socket has left. A speaker that was lost is owed a rejoin, unless it has come
    /// back before its loss was seen: another socket speaks for it, and came later.
    pub(crate) fn left(&mut self, member: Member, how: Leave, now: Instant) {
        let Member {
            id, speaker, keep, ..
        } = member;
        let returned = |other: &Member| other.id > id && other.speaker == speaker;
        let returned = speaker.is_some() && self.members.iter().any(returned);
        if how == Leave::Lost && !keep.is_zero() && !returned {
            self.owed.push(Owed {
                speaker,
                keep,
                until: now + keep,
            });
        }
    }

    /// Waits until then for a speaker of whom the database does not know who it was.
    pub(crate) fn await_anybody(&mut self, until: Instant, keep: Duration) {
        self.ends = Some(until);
        self.owed.push(Owed {
            speaker: None,
            keep,
            until,
        });
    }

    /// Returns how long the conversation has to wait for those that are owed a rejoin.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        self.owed.retain(|owed| owed.until > now);
        let waits = self.owed.iter().map(|owed| owed.until - now);
        waits.max().unwrap_or_default()
    }

    /// Returns how long the conversation would have to wait if all its sockets were lost
    /// now. That is what the database has for the next service.
    pub(crate) fn longest_keep(&mut self, now: Instant) -> Duration {
        let present = self.members.iter().map(|member| member.keep).max();
        self.wait(now).max(present.unwrap_or_default())
    }
}

impl Room {
    pub(crate) fn new(
        key: RoomKey,
        conversation: Conversation,
        store: Arc<Store>,
        clock: Clock,
    ) -> Self {
        Self {
            number: conversation.number(),
            id: conversation.id().to_owned(),
            key,
            clock,
            store,
            state: Mutex::new(RoomState::new(conversation)),
            speaking: Mutex::default(),
            topics_bytes: AtomicUsize::new(0),
            closed: Notify::new(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, RoomState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what the topics take now.
    pub(crate) fn measure(&self, topics: &Topics) {
        self.topics_bytes.store(topics.bytes(), Ordering::Relaxed);
    }

    /// Returns about how much memory the conversation takes while nobody is there.
    pub(crate) fn bytes(&self, state: &RoomState) -> usize {
        let key = self.key.account.len() + self.key.connection_id.len();
        let topics = self.topics_bytes.load(Ordering::Relaxed);
        size_of::<Self>() + 2 * key + topics + state.conversation.bytes()
    }
}

/// A socket that was let in past admission and has not entered its room yet.
#[derive(Debug)]
pub(crate) struct Joining(pub(crate) Arc<Room>);

impl Drop for Joining {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.joining = state.joining.saturating_sub(1);
    }
}

/// A listener's place in its room; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Ear {
    pub(crate) room: Arc<Room>,
    pub(crate) listener: u64,
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.listeners.retain(|(id, _)| *id != self.listener);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn state() -> RoomState {
        RoomState::new(Conversation::new())
    }

    fn starts(state: &mut RoomState, speaker: &str, keep: Option<Duration>) -> u64 {
        let id = state.enter(Outbox::new(8).0);
        state.speaks(id, Some(speaker), keep);
        id
    }

    fn leaves(state: &mut RoomState, id: u64, how: Leave, now: Instant) -> Duration {
        let member = state.take(id).expect("a member");
        state.left(member, how, now);
        state.wait(now)
    }

    #[test]
    fn the_longest_wait_that_is_owed_to_somebody_lost_counts() {
        let now = Instant::now();
        let mut state = state();
        let ada = starts(&mut state, "ada", Some(100 * S));
        let bob = starts(&mut state, "bob", Some(10 * S));
        let eve = starts(&mut state, "eve", None);
        assert_eq!(state.longest_keep(now), 100 * S);
        assert_eq!(leaves(&mut state, ada, Leave::Lost, now), 100 * S);
        let later = now + 40 * S;
        assert_eq!(leaves(&mut state, bob, Leave::Lost, later), 60 * S);
        assert_eq!(leaves(&mut state, eve, Leave::Lost, later), 60 * S);
        // Ada is back, and does not say it again.
        let ada = starts(&mut state, "ada", None);
        assert_eq!(state.wait(later), 10 * S);
        assert_eq!(leaves(&mut state, ada, Leave::Lost, later), 100 * S);
        assert_eq!(state.wait(later + 100 * S), Duration::ZERO);
    }

    #[test]
    fn nothing_is_owed_to_who_left_cleanly_or_came_back_before_it_was_lost() {
        let now = Instant::now();
        let mut state = state();
        let dead = starts(&mut state, "ada", Some(100 * S));
        let alive = starts(&mut state, "ada", Some(100 * S));
        let wait = leaves(&mut state, dead, Leave::Lost, now);
        assert_eq!(wait, Duration::ZERO, "she is there");
        let wait = leaves(&mut state, alive, Leave::Finished, now);
        assert_eq!(wait, Duration::ZERO);
    }

    #[test]
    fn a_conversation_takes_few_sockets_past_admission_and_more_for_lost_speakers() {
        let now = Instant::now();
        let mut state = state();
        let ada = starts(&mut state, "ada", Some(10 * S));
        assert!(state.joins_past_admission(now));
        state.joining = 1;
        assert!(!state.joins_past_admission(now), "one is on its way");
        state.joining = 0;
        let _bob = starts(&mut state, "bob", None);
        assert!(!state.joins_past_admission(now));
        let _eve = starts(&mut state, "eve", None);
        let _ = leaves(&mut state, ada, Leave::Lost, now);
        assert!(state.joins_past_admission(now), "ada may come back");
        assert!(!state.joins_past_admission(now + 10 * S), "too late");
        state.enter(Outbox::new(8).0);
        state.closing = 1;
        assert!(!state.joins_past_admission(now));
        state.closing = 0;
        state.is_over = true;
        assert!(!state.joins_past_admission(now));
    }

    #[test]
    fn over_a_restart_whoever_comes_first_has_come_back() {
        let now = Instant::now();
        let mut state = state();
        state.await_anybody(now + 10 * S, 100 * S);
        assert_eq!(state.wait(now), 10 * S);
        let ada = starts(&mut state, "ada", Some(S));
        assert_eq!(
            leaves(&mut state, ada, Leave::Finished, now),
            Duration::ZERO
        );
    }
}
