// SPDX-License-Identifier: MPL-2.0

//! Conversations that several nodes share.
//!
//! The registry decides which conversation a connection id has, and whether one that a node
//! has left goes on. What other nodes write comes from the log: an announcement says that
//! something is new, and a regular look finds what no announcement told of.

use super::hub::{Conversation, ConversationKey, Hub, Joining};
use super::log::LogError;
use super::others::{attend, hear};
use super::participants::Participants;
use super::registry::{Head, Joined, Known, Memory, New, Registry, Remembered, Wanted};
use super::running::ConversationState;
use super::seats;
use super::session::until;
use crate::clock::ConversationClock;
use crate::workers::Undone;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use symbl_log::fence::GONE;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long an entry of another node whose announcement was lost waits at most.
const LOOK: Duration = Duration::from_millis(250);

/// How long a client that comes waits for the answer of the registry.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// Time between two attempts to reach the registry.
const PAUSE: Duration = Duration::from_millis(200);

impl From<Undone> for LogError {
    fn from(undone: Undone) -> Self {
        Self(undone.to_string())
    }
}

/// How a speaker gets into a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    /// A new conversation has yet to begin.
    pub(super) anew: bool,
    /// The nodes have decided that it goes on, so no socket of it that is being closed does.
    pub(super) regardless: bool,
    /// A conversation may begin, although other nodes do not know of it.
    pub(super) may_begin: bool,
}

/// For what speaker a node asks for a seat.
#[derive(Debug, Clone, Copy)]
struct Seating {
    anew: bool,
    regardless: bool,
}

impl Hub {
    /// Makes this node a part of the conversation of a connection id before a speaker joins
    /// it, until then at most.
    ///
    /// If the only sockets of the conversation, on whatever nodes they are, are being closed, it
    /// depends on their clients whether it goes on. Then this waits for them, until `patience`.
    pub(super) async fn take_a_seat(
        self: &Arc<Self>,
        key: &ConversationKey,
        anew: bool,
        patience: tokio::time::Instant,
    ) -> Seat {
        let Some(registry) = self.log.registry() else {
            return Seat {
                anew,
                regardless: false,
                may_begin: true,
            };
        };
        let is_here = |conversation: &Arc<Conversation>| {
            let state = conversation.state();
            let has_seat = state.seat == Some(registry.times_gone());
            has_seat && state.is_live() && !state.is_ending && !state.is_closing()
        };
        loop {
            let here = self.find(key);
            if !anew && here.as_ref().is_some_and(is_here) {
                return Seat {
                    anew,
                    regardless: false,
                    may_begin: false,
                };
            }
            let is_late = tokio::time::Instant::now() >= patience;
            let seating = Seating {
                anew,
                regardless: is_late,
            };
            match self.take_up(key, Some(seating)).await {
                Ok(true) => {
                    return Seat {
                        anew: false,
                        regardless: true,
                        may_begin: false,
                    };
                }
                Ok(false) => match here {
                    // The sockets may be on another node.
                    Some(here) => {
                        let _ = timeout(PAUSE, here.closed.notified()).await;
                    }
                    None => sleep(PAUSE).await,
                },
                Err(error) if is_late => {
                    // What is said will not be stored either, and the client is told so.
                    tracing::error!(%error, "other nodes are not asked for a conversation");
                    return Seat {
                        anew,
                        regardless: true,
                        may_begin: true,
                    };
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Tells other nodes if all that this one has in a conversation are sockets that are being
    /// closed. Call it while the state is locked.
    pub(super) fn tell_of_closing(&self, conversation: i64, state: &ConversationState) {
        if let Some(registry) = self.log.registry()
            && state.is_closing()
        {
            registry.closes(conversation, self.longest_closing);
        }
    }

    /// Takes up the conversation of a connection id that goes on on another node, so that
    /// this one knows it.
    ///
    /// # Errors
    ///
    /// The other nodes cannot be asked, for some seconds.
    pub(crate) async fn look_around(
        self: &Arc<Self>,
        key: &ConversationKey,
    ) -> Result<(), LogError> {
        if self.log.registry().is_none() || self.is_live(key) {
            return Ok(());
        }
        let asked = timeout(LONGEST_LOOK, self.take_up(key, None)).await;
        let late = |_| Err(LogError("the database does not answer".to_owned()));
        let asked = asked.unwrap_or_else(late).inspect_err(|error| {
            tracing::warn!(%error, "other nodes are not asked for a conversation");
        });
        asked.map(drop)
    }

    /// Asks for the conversation of a connection id and makes it known here. With a seat,
    /// there is one afterwards. Returns `false` if there is no seat because all sockets of the
    /// conversation are being closed.
    async fn take_up(
        self: &Arc<Self>,
        key: &ConversationKey,
        seat: Option<Seating>,
    ) -> Result<bool, LogError> {
        let here = seat.and_then(|_| self.find(key));
        let taken = self.take_up_with(key, seat, here.clone()).await;
        // A conversation that its last speaker has left meanwhile goes on while a speaker is
        // about to join it.
        if let (Some(here), Err(_) | Ok(false)) = (here, &taken) {
            self.end_if_left(&here);
        }
        taken
    }

    async fn take_up_with(
        self: &Arc<Self>,
        key: &ConversationKey,
        seat: Option<Seating>,
        here: Option<Arc<Conversation>>,
    ) -> Result<bool, LogError> {
        let participants = Participants::new();
        let new = seat.map(|seating| {
            let (conversation, session) = participants.ids();
            New {
                conversation,
                session,
                anew: seating.anew,
                regardless: seating.regardless,
            }
        });
        let has_seat = seat.is_some();
        let mut wanted = Wanted {
            account: key.account.clone(),
            connection_id: key.connection_id.clone(),
            new,
            here: here.as_ref().map(|here| here.number),
        };
        // Before the question: if the node is declared gone later, its seat is lost.
        let times_gone = self.log.registry().map_or(0, Registry::times_gone);
        let seat = has_seat.then_some(times_gone);
        // What is here does not end meanwhile.
        let _joining = here.map(|here| {
            here.state().joining += 1;
            Joining {
                conversation: here,
                returns: false,
            }
        });
        let joined = loop {
            let Some(registry) = self.log.registry() else {
                break Joined::None;
            };
            match (registry.join(wanted.clone()).await?, wanted.here.take()) {
                (Joined::Here, Some(here)) if self.stays(key, here, seat, false) => {
                    return Ok(true);
                }
                // It has gone from here meanwhile, and has to be read.
                (Joined::Here, _) => {}
                (joined, _) => break joined,
            }
        };
        match joined {
            Joined::None if has_seat => {
                return Err(LogError("the database gave no seat".to_owned()));
            }
            Joined::None | Joined::Here => {}
            Joined::Closing => return Ok(false),
            // Another socket has found it here meanwhile.
            Joined::New if self.stays(key, participants.ids().0, seat, false) => {}
            Joined::New => {
                let clock = ConversationClock::begin(self.wall.now());
                let conversation = self.conversation(key, participants, clock);
                conversation.state().seat = Some(times_gone);
                self.put(key, conversation);
            }
            Joined::Known(known) => self.adopt(key, *known, seat),
        }
        Ok(true)
    }

    /// Makes a conversation the one of its connection id here.
    fn put(self: &Arc<Self>, key: &ConversationKey, conversation: Arc<Conversation>) {
        let replaced = self.conversations().insert(key.clone(), conversation);
        if let Some(replaced) = replaced {
            self.retire(&replaced);
        }
    }

    /// Notes that a conversation which this node knows goes on, and the seat that the node got in
    /// it, if it got one. Returns `false` if the node does not know the conversation any more.
    fn stays(&self, key: &ConversationKey, number: i64, seat: Option<u64>, waits: bool) -> bool {
        let here = self.find(key).filter(|here| here.number == number);
        let Some(here) = here else { return false };
        let mut state = here.state();
        if !state.is_over {
            state.seat = seat.or(state.seat);
            state.is_ending = false;
            if seat.is_some() || !waits {
                state.ends = None;
            }
        }
        !state.is_over
    }

    /// Takes up a conversation that goes on.
    fn adopt(self: &Arc<Self>, key: &ConversationKey, known: Known, seat: Option<u64>) {
        let Known { open, waits } = known;
        if self.stays(key, open.id, seat, waits) {
            return;
        }
        let now = self.wall.now();
        let keep = Duration::from_secs(u64::try_from(open.keep).unwrap_or(0));
        let ends = Instant::now() + until(open.ends, now).min(Duration::from_secs(86_400));
        let latest = open.latest.max(open.zero).unwrap_or(0);
        let clock = ConversationClock::begin(now.max(latest));
        let head = open.head;
        let log = Arc::clone(&self.log);
        let participants = Participants::restored(open);
        let conversation = Conversation::behind(key.clone(), participants, log, clock, head);
        let conversation = Arc::new(conversation);
        let mut state = conversation.state();
        if waits {
            state.await_any_speaker(ends, keep);
        }
        if seat.is_some() {
            state.seat = seat;
            state.ends = None;
        }
        drop(state);
        let (connection, id) = (&key.connection_id, &conversation.id);
        tracing::info!(event = "taken up", connection, conversation = id);
        self.put(key, conversation);
    }

    /// Ends a conversation, unless it goes on on another node.
    pub(super) fn end_everywhere(self: &Arc<Self>, conversation: &Arc<Conversation>) {
        let mut state = conversation.state();
        if state.is_finished || std::mem::replace(&mut state.is_ending, true) {
            return;
        }
        state.seat = None;
        drop(state);
        let at = conversation.clock.now();
        let (committed, over) = conversation.committed_at_the_end();
        if let Some(registry) = self.log.registry() {
            registry.end(conversation.number, at, committed);
        }
        // The task must not keep the hub and its log open when the service has ended.
        let (hub, conversation) = (Arc::downgrade(self), Arc::clone(conversation));
        tokio::spawn(async move {
            let over = over.await;
            let Some(hub) = hub.upgrade() else { return };
            match over {
                Ok(false) if hub.goes_on(&conversation) => {}
                Ok(_) | Err(_) => hub.end_here(conversation, at).await,
            }
        });
    }

    /// Keeps a conversation that goes on on another node, for those who listen to it here.
    /// Returns `false` if it is not the one of its connection id any more.
    fn goes_on(&self, conversation: &Arc<Conversation>) -> bool {
        if !self.is_current(conversation) {
            return false;
        }
        let is_watched = conversation.is_watched();
        let mut state = conversation.state();
        let was_ending = std::mem::take(&mut state.is_ending);
        if was_ending {
            state.ends = None;
        }
        let is_left = was_ending && !is_watched && state.members.is_empty() && state.closing == 0;
        drop(state);
        if is_left {
            self.forget(conversation);
        }
        true
    }

    fn is_current(&self, conversation: &Arc<Conversation>) -> bool {
        let current = self.find(&conversation.key);
        current.is_some_and(|current| Arc::ptr_eq(&current, conversation))
    }

    /// Makes a conversation no longer the one of its connection id here, if it is.
    fn forget(&self, conversation: &Arc<Conversation>) {
        let mut conversations = self.conversations();
        let current = conversations.get(&conversation.key);
        if current.is_some_and(|current| Arc::ptr_eq(current, conversation)) {
            conversations.remove(&conversation.key);
        }
    }

    /// Ends a conversation that is over in the log.
    async fn end_here(self: &Arc<Self>, conversation: Arc<Conversation>, over: i64) {
        self.forget(&conversation);
        // Its last entries, which may have to be read.
        let telling = Arc::clone(&conversation);
        if let Err(error) = self.workers.run(move || telling.tell()).await {
            let id = &conversation.id;
            tracing::error!(%error, conversation = id, "entries are told later");
        }
        let mut state = conversation.state();
        state.is_over = true;
        if std::mem::replace(&mut state.is_finished, true) {
            return;
        }
        state.dismiss();
        state.place_to_wait = None;
        state.over = Some(over);
        drop(state);
        let (connection, id) = (&conversation.key.connection_id, &conversation.id);
        tracing::info!(event = "over", connection, conversation = id);
        conversation.closed.notify_waiters();
        conversation.changed();
    }

    /// Begins to tell what other nodes write.
    pub(super) fn follow_others(self: &Arc<Self>) {
        if let Some(registry) = self.log.registry() {
            let memory: Weak<Self> = Arc::downgrade(self);
            registry.remember_by(memory);
            let look = Arc::new(Notify::new());
            if let Some(notes) = registry.bus().notes() {
                tokio::spawn(hear(Arc::downgrade(self), notes, Arc::clone(&look)));
            }
            tokio::spawn(follow(Arc::downgrade(self), look));
            tokio::spawn(seats::watch(Arc::downgrade(self)));
        }
    }

    /// Tells what other nodes have written in these conversations. Returns those that are
    /// over, and when that was. Blocks.
    fn catch_up(
        &self,
        all: &[Arc<Conversation>],
    ) -> Result<Vec<(Arc<Conversation>, i64)>, LogError> {
        let Some(registry) = self.log.registry() else {
            return Ok(Vec::new());
        };
        let heads = registry.heads(all.iter().map(|c| c.number).collect())?;
        let all: HashMap<i64, &Arc<Conversation>> = all.iter().map(|c| (c.number, c)).collect();
        let mut over = Vec::new();
        for Head {
            conversation,
            head,
            over: at,
        } in heads
        {
            let Some(&conversation) = all.get(&conversation) else {
                continue;
            };
            if head > conversation.told() {
                registry.bus().counts().catchups.inc();
                conversation.catch_up(head);
            }
            over.extend(at.map(|at| (Arc::clone(conversation), at)));
        }
        Ok(over)
    }
}

impl Memory for Hub {
    fn remembered(&self) -> Vec<Remembered> {
        let all: Vec<Arc<Conversation>> = self.conversations().values().cloned().collect();
        let now = Instant::now();
        let all = all.into_iter().map(|conversation| {
            let teller = conversation.teller();
            let (told, entries) = (teller.told(), teller.known());
            drop(teller);
            let mut state = conversation.state();
            let keep = state.longest_keep(now).as_secs();
            Remembered {
                conversation: conversation.number,
                account: conversation.key.account.clone(),
                connection_id: conversation.key.connection_id.clone(),
                session: conversation.session.clone(),
                keep: i64::try_from(keep).unwrap_or(i64::MAX),
                has_speakers: state.has_streams(),
                told,
                entries,
            }
        });
        all.collect()
    }

    fn forget_after(&self, conversation: i64, head: u64) {
        let all: Vec<Arc<Conversation>> = self.conversations().values().cloned().collect();
        for conversation in all.iter().filter(|c| c.number == conversation) {
            let mut teller = conversation.teller();
            teller.rewind(head);
            conversation.state().rewind(head);
        }
    }
}

/// Tells what other nodes write, until the service ends.
async fn follow(hub: Weak<Hub>, look: Arc<Notify>) {
    let mut is_failing = false;
    let mut times_gone = 0;
    let mut followed = HashMap::new();
    loop {
        // The look does not wait for the bus.
        let _ = timeout(LOOK, look.notified()).await;
        let Some(hub) = hub.upgrade() else { return };
        let all: Vec<Arc<Conversation>> = hub.conversations().values().cloned().collect();
        if let Some(registry) = hub.log.registry() {
            attend(registry.bus(), &all, &mut followed);
        }
        let now_gone = hub.log.registry().map_or(0, Registry::times_gone);
        if std::mem::replace(&mut times_gone, now_gone) != now_gone {
            for conversation in &all {
                conversation
                    .state()
                    .send_away(GONE, "this node was not heard of for too long");
            }
        }
        if all.is_empty() {
            continue;
        }
        let looking = Arc::clone(&hub);
        let looked = hub.workers.run(move || looking.catch_up(&all)).await;
        let looked = looked.map_err(LogError::from).and_then(|looked| looked);
        match looked {
            Ok(over) => {
                is_failing = false;
                for (conversation, at) in over {
                    hub.end_here(conversation, at).await;
                }
            }
            Err(error) if !std::mem::replace(&mut is_failing, true) => {
                tracing::warn!(%error, "entries of other nodes are told later");
            }
            Err(_) => {}
        }
    }
}
