// SPDX-License-Identifier: MPL-2.0

//! Which sockets belong together: connection ids and their conversations.
//!
//! All sockets of one connection id are members of one conversation. It ends when its
//! last member has left cleanly, or was lost and did not rejoin within
//! `noConnectionTimeout`. The connection id then begins a new conversation (Symbl
//! Streaming API reference).
//!
//! A service with a data directory restores the conversations that a speaker may rejoin
//! when it starts again.
//!
//! Locks: the map of conversations and the state of a conversation are never held
//! together, so a thread that waits for one conversation delays no other conversation.
//! The teller of a conversation is taken before its state, and [`Seats`] before the map and before
//! states. Every lock but the teller's is held for a few calls only, and no lock is held across
//! an await.

use super::cluster::Seat;
use super::entry::{Entry, Speaker};
use super::form::Recipient;
use super::log::{Log, LogError, OpenConversation, StartRecord};
use super::session::{Deletions, SessionError, Timeouts, ends, until};
use crate::clock::{ConversationClock, WallClock};
use crate::conversation::participants::Participants;
use crate::conversation::quota::Quota;
use crate::conversation::running::PlaceToWait;
pub(crate) use crate::conversation::running::{Conversation, ConversationKey, Joining};
use crate::conversation::seats::Seats;
pub(crate) use crate::conversation::slot::{Leave, SocketSlot};
use crate::conversation::sockets::Sockets;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::trackers::TrackerStore;
use crate::trackers::phrasebook::Phrasebook;
use crate::workers::Workers;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout_at;

mod reopen;

/// The conversations that are not over, by connection id.
#[derive(Debug)]
pub(crate) struct Hub {
    conversations: Mutex<HashMap<ConversationKey, Arc<Conversation>>>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) trackers: Arc<dyn TrackerStore>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) phrasebook: Phrasebook,
    pub(crate) wall: WallClock,
    /// The open sockets of speakers, subscribers and sessions.
    pub(crate) sockets: Arc<Sockets>,
    /// How many sockets of speakers each account may have.
    pub(crate) quota: Arc<Quota>,
    /// One permit for each stream that may drain after its socket has started the next
    /// one or is gone.
    pub(crate) draining: Arc<Semaphore>,
    /// How long a join waits for sockets that are being closed.
    pub(super) longest_closing: Duration,
    /// One permit for each conversation that may still begin to wait.
    waiting: Arc<Semaphore>,
    /// One permit for each byte that conversations which wait may still take.
    waiting_bytes: Arc<Semaphore>,
    /// How many conversations may wait.
    most_waiting: usize,
    /// Tells sessions that their conversation is deleted.
    pub(crate) deletions: Deletions,
    pub(super) seats: Seats,
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
    /// Opens the hub with the conversations of the log that a speaker may rejoin.
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
        // Several nodes share conversations: a node takes one up when a client comes for it.
        let open = match log.registry() {
            None => log.still_open()?,
            Some(_) => Vec::new(),
        };
        let quota = Arc::new(Quota::new(limits.account_streams, Arc::clone(&log)));
        let hub = Arc::new(Self {
            conversations: Mutex::default(),
            trackers,
            log,
            metrics,
            workers,
            phrasebook: Phrasebook::new(limits.tracker_memory),
            wall,
            sockets: Arc::default(),
            quota,
            draining: Arc::new(Semaphore::new(limits.draining)),
            longest_closing: limits.close.saturating_mul(2),
            waiting: Arc::new(Semaphore::new(limits.waiting)),
            waiting_bytes: Arc::new(Semaphore::new(
                limits.waiting_memory.min(Semaphore::MAX_PERMITS),
            )),
            most_waiting: limits.waiting,
            deletions: Deletions::default(),
            seats: Seats::default(),
        });
        for open in open {
            hub.restore(open);
        }
        hub.follow_others();
        Ok(hub)
    }

    /// Takes up a conversation of before a restart.
    fn restore(self: &Arc<Self>, open: OpenConversation) {
        let key = ConversationKey {
            account: open.account.clone(),
            connection_id: open.connection_id.clone(),
        };
        let wall = self.wall.now();
        let left = u64::try_from(open.ends.saturating_sub(wall)).unwrap_or(0);
        let left = Duration::from_nanos(left);
        let keep = Duration::from_secs(u64::try_from(open.keep).unwrap_or(0));
        // The conversation's time must not go back, even if the wall clock was set back.
        let latest = open.latest.max(open.zero).unwrap_or(0);
        let clock = ConversationClock::begin(wall.max(latest));
        let head = open.head;
        let (log, participants) = (Arc::clone(&self.log), Participants::restored(open));
        let conversation = Arc::new(Conversation::behind(
            key.clone(),
            participants,
            log,
            clock,
            head,
        ));
        let mut state = conversation.state();
        let until = Instant::now() + left;
        state.await_any_speaker(until, keep);
        state.grace = Some(until);
        state.place_to_wait = self.place_to_wait(conversation.bytes(&state));
        drop(state);
        tracing::info!(
            event = "restored",
            connection = key.connection_id,
            conversation = conversation.id,
            seconds = left.as_secs()
        );
        let replaced = self.conversations().insert(key, Arc::clone(&conversation));
        if let Some(replaced) = replaced {
            self.retire(&replaced);
        }
        self.close_after(left, &conversation);
        self.part_after(left, &conversation);
    }

    pub(super) fn conversation(
        &self,
        key: &ConversationKey,
        participants: Participants,
        clock: ConversationClock,
    ) -> Arc<Conversation> {
        let log = Arc::clone(&self.log);
        Arc::new(Conversation::new(key.clone(), participants, log, clock))
    }

    /// Closes the conversation to new sockets, and ends it if no stream owes results.
    pub(super) fn retire(self: &Arc<Self>, conversation: &Arc<Conversation>) {
        let mut state = conversation.state();
        state.is_over = true;
        let owes = state.owing > 0;
        drop(state);
        if self.log.registry().is_some() {
            self.seats.replaced(conversation);
        }
        if !owes {
            self.finish(conversation);
        }
    }

    /// Appends to the log which speakers have left. A lost speaker leaves after the time that the
    /// conversation waits for it.
    pub(crate) fn part(self: &Arc<Self>, conversation: &Arc<Conversation>, lost: Option<Duration>) {
        if let Some(coming) = conversation.note_who_left() {
            self.tell_later(conversation, coming, |_| {});
        }
        if let Some(wait) = lost {
            self.part_after(wait, conversation);
        }
    }

    fn part_after(self: &Arc<Self>, wait: Duration, conversation: &Arc<Conversation>) {
        let (hub, conversation) = (Arc::downgrade(self), Arc::downgrade(conversation));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some((hub, conversation)) = hub.upgrade().zip(conversation.upgrade()) {
                hub.part(&conversation, None);
            }
        });
    }

    /// Sends the sockets the entries of a commit that is on its way, and then does the rest.
    fn tell_later(
        &self,
        conversation: &Arc<Conversation>,
        mut coming: oneshot::Receiver<usize>,
        rest: impl FnOnce(&Conversation) + Send + 'static,
    ) {
        let conversation = Arc::clone(conversation);
        let come = match coming.try_recv() {
            Ok(number) => Some(number),
            // Nothing was stored.
            Err(TryRecvError::Closed) => Some(0),
            Err(TryRecvError::Empty) => None,
        };
        // This thread may not wait for the log.
        if come.is_some_and(|number| number == 0 || conversation.tell_known()) {
            return rest(&conversation);
        }
        let workers = Arc::clone(&self.workers);
        tokio::spawn(async move {
            let number = match come {
                Some(number) => number,
                None => coming.await.unwrap_or(0),
            };
            if number > 0 {
                let telling = Arc::clone(&conversation);
                if let Err(error) = workers.run(move || telling.tell()).await {
                    let id = &conversation.id;
                    tracing::error!(%error, conversation = id, "entries are told later");
                }
            }
            rest(&conversation);
        });
    }

    /// Ends a conversation: closes the sockets of its subscribers and appends the last
    /// entries to its log.
    fn finish(self: &Arc<Self>, conversation: &Arc<Conversation>) {
        if self.log.registry().is_some() {
            return self.end_everywhere(conversation);
        }
        // The log may have entries that were not sent, because their stream stopped
        // waiting for the log.
        conversation.tell();
        let mut state = conversation.state();
        if std::mem::replace(&mut state.is_finished, true) {
            return;
        }
        let over = conversation.clock.now();
        state.dismiss();
        state.place_to_wait = None;
        drop(state);
        tracing::info!(
            event = "over",
            connection = conversation.key.connection_id,
            conversation = conversation.id
        );
        let (committed, coming) = conversation.committed_later();
        self.log.finish(conversation.number, over, committed);
        // Sessions are sent the speakers that have left before the end.
        self.tell_later(conversation, coming, move |conversation| {
            conversation.state().over = Some(over);
            conversation.changed();
        });
    }

    /// Begins a conversation without a speaker. Blocks. Returns how long it waits for one.
    ///
    /// # Errors
    ///
    /// Too many conversations wait, or the log cannot be written.
    pub(crate) fn open_session(
        &self,
        account: &str,
        title: Option<String>,
        timeouts: Timeouts,
    ) -> Result<(Arc<Conversation>, Duration), SessionError> {
        let participants = Participants::new();
        let key = ConversationKey {
            account: account.to_owned(),
            connection_id: participants.session().to_owned(),
        };
        let clock = ConversationClock::begin(self.wall.now());
        let conversation = self.conversation(&key, participants, clock);
        let at = conversation.opened;
        let ends = ends(at, at, timeouts);
        let wait = until(ends, at);
        let mut state = conversation.state();
        state.await_any_speaker(Instant::now() + wait, timeouts.inactivity);
        let place = self.place_to_wait(conversation.bytes(&state));
        state.place_to_wait = Some(place.ok_or(SessionError::Full)?);
        drop(state);
        let start = StartRecord {
            conversation: conversation.number,
            account: key.account.clone(),
            connection_id: key.connection_id.clone(),
            session: conversation.session.clone(),
            title,
            at,
            keep: i64::try_from(timeouts.inactivity.as_secs()).unwrap_or(i64::MAX),
            speaker: None,
            ends: Some(ends),
            stream_position: None,
        };
        self.log.begin(start, conversation.committed(None))?;
        conversation.tell();
        self.conversations().insert(key, Arc::clone(&conversation));
        Ok((conversation, wait))
    }

    /// Returns the conversation with this number, if it is the account's and not over.
    pub(crate) fn running(&self, account: &str, number: i64) -> Option<Arc<Conversation>> {
        let is_meant = |conversation: &&Arc<Conversation>| {
            conversation.key.account == account && conversation.number == number
        };
        self.conversations().values().find(is_meant).cloned()
    }

    /// Tells all sockets of a conversation that is not over of entries that were appended to
    /// its log beside it, and takes over the speakers of them. Blocks.
    pub(crate) fn attributed(
        &self,
        account: &str,
        number: i64,
        speakers: &[Speaker],
        entries: &[Arc<Entry>],
    ) {
        if let Some(conversation) = self.running(account, number) {
            conversation.attributed(speakers, entries);
        }
    }

    /// Ends a conversation after this time, unless a speaker has rejoined.
    pub(crate) fn close_after(self: &Arc<Self>, wait: Duration, conversation: &Arc<Conversation>) {
        // The task must not keep the hub and its log open when the service has ended.
        let (hub, conversation) = (Arc::downgrade(self), Arc::downgrade(conversation));
        tokio::spawn(async move {
            let mut left = Some(wait);
            while let Some(wait) = left {
                tokio::time::sleep(wait).await;
                let Some((hub, conversation)) = hub.upgrade().zip(conversation.upgrade()) else {
                    return;
                };
                left = conversation.state().postponed(Instant::now());
                if left.is_none() {
                    hub.end_if_left(&conversation);
                }
            }
        });
    }

    /// Returns the conversation of this connection id.
    pub(crate) fn find(&self, key: &ConversationKey) -> Option<Arc<Conversation>> {
        self.conversations().get(key).cloned()
    }

    pub(super) fn conversations(
        &self,
    ) -> MutexGuard<'_, HashMap<ConversationKey, Arc<Conversation>>> {
        self.conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot in the conversation of this connection id. With `anew`, begins a new
    /// conversation.
    ///
    /// If the only sockets of the conversation are being closed, it depends on their
    /// clients if the conversation goes on. Then this waits for them, at most as long as a
    /// closing may take.
    pub(crate) async fn join(
        self: &Arc<Self>,
        key: &ConversationKey,
        recipient: impl Into<Recipient>,
        anew: bool,
    ) -> SocketSlot {
        let outbox = recipient.into();
        let patience = tokio::time::Instant::now() + self.longest_closing;
        let _under_way = self.log.registry().map(|_| self.seats.hold(key));
        let mut anew = anew;
        loop {
            let seat = self.take_a_seat(key, anew, patience).await;
            anew = seat.anew;
            let conversation = match self.try_join(key, &outbox, seat) {
                Ok(slot) => return slot,
                Err(conversation) => conversation,
            };
            // With other nodes, the one that takes a seat waits.
            let (Some(conversation), None) = (conversation, self.log.registry()) else {
                continue;
            };
            let closed = conversation.closed.notified();
            if !conversation.state().is_closing() {
                continue;
            }
            let regardless = true;
            if timeout_at(patience, closed).await.is_err()
                && let Ok(slot) = self.try_join(key, &outbox, Seat { regardless, ..seat })
            {
                return slot;
            }
        }
    }

    /// Takes a slot. Returns the conversation as an error if its last sockets are being closed,
    /// unless the seat says that it goes on `regardless` of that. The error may have none: then
    /// the conversation in which this node has a seat has ended meanwhile.
    fn try_join(
        self: &Arc<Self>,
        key: &ConversationKey,
        outbox: &Recipient,
        seat: Seat,
    ) -> Result<SocketSlot, Option<Arc<Conversation>>> {
        let Seat {
            anew,
            regardless,
            may_begin,
        } = seat;
        loop {
            let found = self.find(key);
            if let Some(conversation) = found.as_ref().filter(|_| !anew) {
                // With the teller locked, the socket is sent all entries after `told`.
                let teller = conversation.teller();
                let mut state = conversation.state();
                if state.is_closing() && !regardless {
                    drop((state, teller));
                    return Err(Some(Arc::clone(conversation)));
                }
                if state.is_live() {
                    let (member, told) = (state.enter(outbox.clone()), teller.told());
                    drop((state, teller));
                    return Ok(self.slot(Arc::clone(conversation), member, told));
                }
            }
            if !may_begin {
                // The nodes decide together which conversation is next.
                return Err(found);
            }
            let clock = ConversationClock::begin(self.wall.now());
            let conversation = self.conversation(key, Participants::new(), clock);
            let member = conversation.state().enter(outbox.clone());
            let mut conversations = self.conversations();
            let now = conversations.get(key);
            let is_as_found = match &found {
                Some(found) => now.is_none_or(|now| Arc::ptr_eq(now, found)),
                None => now.is_none(),
            };
            if !is_as_found {
                // Another socket has put a conversation there meanwhile.
                continue;
            }
            conversations.insert(key.clone(), Arc::clone(&conversation));
            drop(conversations);
            if let Some(replaced) = found {
                self.retire(&replaced);
            }
            return Ok(self.slot(conversation, member, 0));
        }
    }

    /// Returns a place for a conversation of this size in bytes that waits for a speaker
    /// to rejoin, if there is one. Without a limit, a client could leave any number of
    /// conversations behind.
    pub(crate) fn place_to_wait(&self, bytes: usize) -> Option<PlaceToWait> {
        let bytes = u32::try_from(bytes).ok()?;
        let waiting = Arc::clone(&self.waiting).try_acquire_owned();
        let memory = Arc::clone(&self.waiting_bytes).try_acquire_many_owned(bytes);
        Some(PlaceToWait {
            _conversation: waiting.ok()?,
            _bytes: memory.ok()?,
        })
    }

    /// Returns how many conversations wait for a speaker to come back.
    pub(crate) fn awaited(&self) -> usize {
        let left = self.waiting.available_permits();
        self.most_waiting.saturating_sub(left)
    }

    /// Returns `true` if this connection id has a conversation that is not over.
    pub(crate) fn is_live(&self, key: &ConversationKey) -> bool {
        self.find(key)
            .is_some_and(|conversation| conversation.state().is_live())
    }

    /// Lets a socket join a conversation past admission, if
    /// [`crate::conversation::running::ConversationState::joins_past_admission`] allows
    /// it. Hold what this returns until the socket has joined.
    pub(crate) fn join_past_admission(&self, key: &ConversationKey) -> Option<Joining> {
        let conversation = self.find(key)?;
        let mut state = conversation.state();
        let now = Instant::now();
        if !state.joins_past_admission(now) {
            return None;
        }
        let returns = state.expects_return(now);
        state.joining += 1;
        drop(state);
        Some(Joining {
            conversation,
            returns,
        })
    }

    /// Returns the conversation of this connection id that a subscriber may listen to, if there is
    /// one.
    pub(crate) fn listenable(&self, key: &ConversationKey) -> Option<Arc<Conversation>> {
        let conversation = self.find(key)?;
        let is_live = conversation.state().is_live();
        is_live.then_some(conversation)
    }

    fn slot(
        self: &Arc<Self>,
        conversation: Arc<Conversation>,
        member: u64,
        told: u64,
    ) -> SocketSlot {
        conversation.changed();
        SocketSlot {
            hub: Arc::clone(self),
            conversation,
            member,
            told,
            closing: None,
        }
    }

    /// Ends a conversation without speakers that waits for lost ones, who will not come.
    pub(crate) fn dissolve(self: &Arc<Self>, account: &str, number: i64) {
        let Some(conversation) = self.running(account, number) else {
            return;
        };
        if conversation.state().dissolve(Instant::now()) {
            self.end_if_left(&conversation);
        }
    }

    /// Ends a conversation, unless it has speakers' sockets or a speaker may rejoin it.
    pub(crate) fn end_if_left(self: &Arc<Self>, conversation: &Arc<Conversation>) {
        let mut state = conversation.state();
        if !state.members.is_empty() || state.closing > 0 || state.is_live() {
            return;
        }
        if self.log.registry().is_some() {
            // A stream that still owes results asks again when it has ended.
            let is_used = state.joining > 0 || state.owing > 0;
            drop(state);
            // Another node may have speakers in it. Who joins it now must not be shut out.
            if !is_used {
                self.end_everywhere(conversation);
            }
            return;
        }
        // From now on no socket can join it.
        state.is_over = true;
        drop(state);
        let mut conversations = self.conversations();
        let current = conversations.get(&conversation.key);
        if current.is_some_and(|current| Arc::ptr_eq(current, conversation)) {
            conversations.remove(&conversation.key);
        }
        drop(conversations);
        self.retire(conversation);
    }

    /// Records that a stream without a socket has ended, and ends the conversation if it
    /// waited for that.
    pub(crate) fn settle(
        self: &Arc<Self>,
        conversation: &Arc<Conversation>,
        speaker: Option<&str>,
    ) {
        let mut state = conversation.state();
        state.owing = state.owing.saturating_sub(1);
        state.has_left(speaker);
        let is_settled = state.owing == 0;
        let over = state.is_over && is_settled;
        drop(state);
        match over {
            true => self.finish(conversation),
            false => self.part(conversation, None),
        }
        if is_settled && !over && self.log.registry().is_some() {
            self.end_if_left(conversation);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
