// SPDX-License-Identifier: MPL-2.0

//! The bus without its server: what is to be sent, what is heard, and if it works.
//!
//! A driver connects it to a server. It calls [`Exchange::begin`] when it is connected,
//! sends what [`Exchange::next`] returns, gives what it receives to [`Exchange::heard`], and
//! connects again when anything fails or [`Exchange::silence`] returns. The bus works while
//! the node hears itself.

use super::interest::Interest;
use super::outgoing::{Outgoing, Taken, Terms};
use super::packet::{Heard, Message, read};
use super::{Bus, Note, Volatile};
use crate::conversation::entry::Entry;
use crate::ids::new_id;
use crate::metrics::BusCounts;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, sleep_until};

/// Time between two messages of a node to itself, until it hears itself and afterwards.
const FIRST_BEATS: Duration = Duration::from_millis(100);
const BEATS: Duration = Duration::from_secs(1);

/// A node that does not hear itself for so long connects again.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);

/// Time between two times that a node says where it has listeners.
const REPEATS: Duration = Duration::from_secs(4);

/// The same, if other nodes ask.
const SOON: Duration = Duration::from_millis(300);

/// Most conversations in one message.
const MOST_LISTED: usize = 400;

/// Most notes that wait for this node.
const MOST_NOTES: usize = 4096;

/// If the bus works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// It has yet to be seen.
    Unknown,
    Up,
    Down,
}

#[derive(Debug)]
struct State {
    status: Status,
    outgoing: Outgoing,
    interest: Interest,
    /// The conversations that this node follows, and if it has listeners in them.
    followed: HashMap<i64, bool>,
    /// When the node heard itself, or began to listen for that.
    heard: Instant,
    next_beat: Instant,
    /// When the node last said where it has listeners, and will say it again.
    listed: Instant,
    next_list: Instant,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    node: i64,
    state: Mutex<State>,
    /// Rung when something new is to be sent.
    bell: Notify,
    /// Rung when other conversations are followed.
    followings: Notify,
    notes: mpsc::Sender<Note>,
    receiver: Mutex<Option<mpsc::Receiver<Note>>>,
    counts: BusCounts,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        let (notes, receiver) = mpsc::channel(MOST_NOTES);
        let node = new_id();
        let now = Instant::now();
        Self {
            node,
            state: Mutex::new(State {
                status: Status::Unknown,
                outgoing: Outgoing::new(node),
                interest: Interest::default(),
                followed: HashMap::new(),
                heard: now,
                next_beat: now,
                listed: now,
                next_list: now,
            }),
            bell: Notify::new(),
            followings: Notify::new(),
            notes,
            receiver: Mutex::new(Some(receiver)),
            counts: BusCounts::default(),
        }
    }

    /// Returns the id of this node on the bus.
    pub(crate) fn node(&self) -> i64 {
        self.node
    }

    /// Begins anew on a new connection.
    pub(crate) fn begin(&self) {
        let now = Instant::now();
        let mut state = self.state();
        state.outgoing.clear();
        (state.heard, state.next_beat, state.next_list) = (now, now, now);
    }

    /// Records that the connection is lost, or cannot be had.
    pub(crate) fn down(&self, why: &str) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.status, Status::Down);
        state.outgoing.clear();
        drop(state);
        self.counts.up.set(0);
        if before != Status::Down {
            tracing::warn!(
                why,
                "the bus is away: other nodes hear finals a little later and no interims"
            );
        }
    }

    /// Waits until something is to be sent, and returns it.
    pub(crate) async fn next(&self, terms: Terms) -> Taken {
        loop {
            let rung = self.bell.notified();
            let (taken, due) = self.take(Instant::now(), terms);
            if !taken.packets.is_empty() {
                self.counts
                    .messages("announcement_sent", taken.announcements);
                self.counts.messages("interim_sent", taken.interims);
                self.counts.messages("own_sent", taken.own);
                return taken;
            }
            tokio::select! {
                () = rung => {}
                () = sleep_until(due.into()) => {}
            }
        }
    }

    /// Takes what is to be sent now, and returns it with the time at which there may be more.
    fn take(&self, now: Instant, terms: Terms) -> (Taken, Instant) {
        let mut state = self.state();
        let is_up = state.status == Status::Up;
        if state.next_beat <= now {
            state.next_beat = now + if is_up { BEATS } else { FIRST_BEATS };
            state
                .outgoing
                .say(if is_up { Message::Beat } else { Message::Hello });
            // On a bus that tells nodes apart, a node does not hear its hello otherwise.
            if !is_up {
                state.outgoing.say(Message::Beat);
            }
            state.interest.forget(now);
        }
        if is_up && state.next_list <= now {
            (state.listed, state.next_list) = (now, now + REPEATS);
            let followed = state.followed.iter();
            let listened: Vec<i64> = followed.filter(|(_, l)| **l).map(|(c, _)| *c).collect();
            for part in listened.chunks(MOST_LISTED) {
                state.outgoing.say(Message::Listens(part.to_vec()));
            }
        }
        let taken = state.outgoing.take(now, terms);
        self.counts
            .interims_dropped
            .inc_by(state.outgoing.dropped());
        let mut due = state.next_beat;
        if is_up {
            due = due.min(state.next_list);
        }
        let waiting = state.outgoing.due(now);
        (taken, waiting.map_or(due, |waiting| due.min(waiting)))
    }

    /// Takes a packet.
    pub(crate) fn heard(&self, text: &str) {
        let Some((from, messages)) = read(text) else {
            return self.note(Note::News);
        };
        let now = Instant::now();
        if from == self.node {
            return self.heard_itself(now);
        }
        for message in messages {
            match message {
                Heard::Note(note) => self.note(note),
                Heard::Listens(all) => {
                    self.counts.messages("own_heard", 1);
                    let mut state = self.state();
                    for conversation in all {
                        state.interest.listens(from, conversation, now);
                    }
                }
                Heard::ListensNoMore(all) => {
                    self.counts.messages("own_heard", 1);
                    let mut state = self.state();
                    for conversation in all {
                        state.interest.listens_no_more(from, conversation);
                    }
                }
                Heard::Hello => {
                    self.counts.messages("own_heard", 1);
                    let mut state = self.state();
                    state.next_list = state.next_list.min(now.max(state.listed + SOON));
                    drop(state);
                    self.bell.notify_one();
                }
                Heard::Beat => self.counts.messages("own_heard", 1),
            }
        }
    }

    fn heard_itself(&self, now: Instant) {
        let mut state = self.state();
        state.heard = now;
        let before = std::mem::replace(&mut state.status, Status::Up);
        drop(state);
        if before == Status::Up {
            return;
        }
        self.counts.up.set(1);
        if before == Status::Down {
            tracing::info!("the bus is back");
        }
        // What was announced meanwhile was not heard.
        self.note(Note::News);
        self.bell.notify_one();
    }

    /// Passes a note on. If too many wait, it is left out: entries are found in the log.
    fn note(&self, note: Note) {
        let kind = match &note {
            Note::Volatile { .. } => "interim_heard",
            Note::Entry { .. } | Note::News => "announcement_heard",
        };
        self.counts.messages(kind, 1);
        let is_volatile = matches!(note, Note::Volatile { .. });
        if self.notes.try_send(note).is_err() && is_volatile {
            self.counts.interims_dropped.inc();
        }
    }

    /// Returns when the node has not heard itself for too long.
    pub(crate) async fn silence(&self) {
        loop {
            let since = self.state().heard.elapsed();
            match LONGEST_SILENCE.checked_sub(since) {
                Some(left) if !left.is_zero() => sleep(left).await,
                _ => return,
            }
        }
    }

    /// Returns the conversations that this node follows.
    pub(crate) fn followed(&self) -> Vec<i64> {
        self.state().followed.keys().copied().collect()
    }

    /// Waits until other conversations are followed.
    pub(crate) async fn follows_others(&self) {
        self.followings.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bus for Exchange {
    fn announce(&self, conversation: i64, entry: &Arc<Entry>) {
        let mut state = self.state();
        if state.status == Status::Down {
            return;
        }
        state.outgoing.announce(conversation, entry);
        drop(state);
        self.bell.notify_one();
    }

    fn volatile(&self, conversation: i64, volatile: Volatile) {
        let now = Instant::now();
        let mut state = self.state();
        if state.status != Status::Up {
            return;
        }
        state.outgoing.show(conversation, volatile, now);
        drop(state);
        self.bell.notify_one();
    }

    fn is_wanted(&self, conversation: i64) -> bool {
        let state = self.state();
        state.status == Status::Up && state.interest.is_wanted(conversation, Instant::now())
    }

    fn follow(&self, conversation: i64, listened: bool) {
        let mut state = self.state();
        let before = state.followed.insert(conversation, listened);
        if before.unwrap_or(false) != listened {
            state.outgoing.say(match listened {
                true => Message::Listens(vec![conversation]),
                false => Message::ListensNoMore(conversation),
            });
            self.bell.notify_one();
        }
        drop(state);
        if before.is_none() {
            self.followings.notify_one();
        }
    }

    fn unfollow(&self, conversation: i64) {
        let mut state = self.state();
        let before = state.followed.remove(&conversation);
        if before == Some(true) {
            state.outgoing.say(Message::ListensNoMore(conversation));
            self.bell.notify_one();
        }
        drop(state);
        if before.is_some() {
            self.followings.notify_one();
        }
    }

    fn notes(&self) -> Option<mpsc::Receiver<Note>> {
        self.receiver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn counts(&self) -> &BusCounts {
        &self.counts
    }
}

#[cfg(test)]
mod tests;
