// SPDX-License-Identifier: MPL-2.0

//! A conversation that is not over: its sockets, what they share, and the lost speakers
//! that may rejoin. The `hub` decides which socket joins and leaves which conversation.

use super::bus::order::Order;
use super::entry::{Body, Entry, Sent, Speaker};
use super::form::{Audience, Form, Interim, Recipient, Rendered};
use super::log::{Committed, Log, LogError, Sending};
use super::session::{Hint, Timeouts, ends, until};
use super::tally::{Tallied, Tally};
use super::teller::{Item, Next, Teller};
use crate::clock::ConversationClock;
use crate::conversation::participants::Participants;
use crate::outbox::Text;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use symbl_analysis::{TopicFinding, Topics};
use symbl_protocol::reply;
use tokio::sync::{Notify, OwnedSemaphorePermit, broadcast, oneshot, watch};

/// While a conversation has fewer sockets than this, the next one joins past admission: a
/// speaker may dial again before the service sees that its old socket is dead.
const MOST_SOCKETS: usize = 2;

/// The same number, while lost speakers may rejoin.
const MOST_SOCKETS_WITH_LOST: usize = 4;

/// Most entries that are read from the log at once.
const MOST_READ: usize = 500;

/// Most interims that wait for a socket which watches; older ones are left out.
const MOST_HINTS: usize = 8;

/// Most entries of before a restart in which topics are looked for.
const REMEMBERED: u64 = 200;

/// The key of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ConversationKey {
    /// The application's account: the same connection id of another one is another key.
    pub(crate) account: String,
    pub(crate) connection_id: String,
}

/// A conversation: its sockets, its log and its topics.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) key: ConversationKey,
    /// The conversation's id: as the store has it, and as clients get it.
    pub(crate) number: i64,
    pub(crate) id: String,
    /// As clients of sessions know it: a random UUID.
    pub(crate) session: String,
    /// When it began, nanoseconds since the Unix epoch.
    pub(crate) opened: i64,
    pub(crate) clock: ConversationClock,
    pub(crate) log: Arc<dyn Log>,
    state: Mutex<ConversationState>,
    /// Held while the speakers that have left are given to the log, and while a speaker
    /// comes. So no speaker that has come back leaves after that. It is locked before all
    /// others.
    presence: Mutex<()>,
    /// Held while an entry is sent, so that all sockets are sent all entries in the order
    /// of the log. It is locked before the state.
    teller: Mutex<Teller>,
    /// The topics. No other lock is taken while it is held.
    topics: Mutex<Subjects>,
    /// The memory of the topics, for callers that must not wait for `topics`.
    topics_bytes: AtomicUsize,
    /// Notified whenever a socket that was being closed is closed.
    pub(crate) closed: Notify,
    /// Counts what sessions show: entries that were sent, sockets that come and go, the end.
    changes: watch::Sender<u64>,
    /// Interims, for sessions.
    hints: broadcast::Sender<Arc<Hint>>,
    /// What is counted of the talk. No other lock is taken while it is held.
    tally: Mutex<Tally>,
    /// What was told and shown of streams on other nodes. It is locked while the teller is.
    order: Mutex<Order>,
    /// The last figures, for sessions.
    tallied: watch::Sender<Option<Arc<Tallied>>>,
}

#[derive(Debug)]
pub(crate) struct ConversationState {
    pub(crate) participants: Participants,
    pub(crate) members: Vec<Member>,
    /// The sockets of subscribers.
    pub(crate) listeners: Vec<Listener>,
    pub(crate) next_member: u64,
    /// Number of sockets that join past admission and are no members yet.
    pub(crate) joining: usize,
    /// Number of members that were sent everything and whose sockets are being closed.
    pub(crate) closing: usize,
    /// Number of streams whose sockets are gone and that still owe results.
    pub(crate) owing: usize,
    /// `true` once no socket may join any more. The conversation is finished when no
    /// stream owes results.
    pub(crate) is_over: bool,
    /// Set if this node has a seat in the conversation, which keeps it from ending whatever
    /// other nodes do: how often this node was declared gone before it got that.
    pub(crate) seat: Option<u64>,
    /// `true` while the other nodes are asked whether it ends.
    pub(crate) is_ending: bool,
    /// `true` once the end of the conversation was given to the log.
    pub(crate) is_finished: bool,
    /// When that was, nanoseconds since the Unix epoch.
    pub(crate) over: Option<i64>,
    /// `true` if the end was put off since the conversation began to wait for it.
    is_postponed: bool,
    /// The lost speakers that may rejoin.
    pub(crate) owed: Vec<Owed>,
    /// The speakers of sockets that are being closed, and of streams that still owe results.
    pub(crate) leaving: Vec<String>,
    /// Until then, speakers of before a restart may rejoin.
    pub(crate) grace: Option<Instant>,
    /// When the conversation ends. Set while it has no members.
    pub(crate) ends: Option<Instant>,
    /// Held while the conversation waits without members.
    pub(crate) place_to_wait: Option<PlaceToWait>,
}

/// The topics of a conversation.
#[derive(Debug, Default)]
struct Subjects {
    topics: Topics,
    /// `true` for a conversation of before a restart, until its log was read.
    is_forgotten: bool,
}

/// How far a socket has heard a conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    /// The number of the last entry that it has.
    pub(crate) seq: u64,
    /// How often the log had lost its last entries then.
    rewinds: usize,
}

impl Heard {
    /// Returns how far a socket has heard that has all of a conversation that is over.
    pub(crate) fn at_the_end(seq: u64) -> Self {
        Self { seq, rewinds: 0 }
    }

    /// Goes back to what is still in the log. Returns `true` if the log has lost entries.
    pub(crate) fn recall(&mut self, teller: &Teller) -> bool {
        self.seq = teller.still_heard(self.seq, self.rewinds);
        let rewinds = teller.rewinds();
        std::mem::replace(&mut self.rewinds, rewinds) != rewinds
    }
}

/// The socket of a subscriber.
#[derive(Debug)]
pub(crate) struct Listener {
    id: u64,
    outbox: Recipient,
    /// The last entry that it has already, perhaps from another node.
    heard: u64,
}

/// The socket of a speaker.
#[derive(Debug)]
pub(crate) struct Member {
    /// Members that joined later have greater ids.
    pub(crate) id: u64,
    outbox: Recipient,
    /// The id of its speaker, once the client has named one.
    speaker: Option<String>,
    /// How long the conversation waits for this speaker (`noConnectionTimeout`).
    keep: Duration,
    /// The stream that it sends, and which start request of it.
    stream: Option<(String, u64)>,
    /// The ids of other speakers that are heard in its audio.
    heard: Vec<String>,
}

/// A lost speaker that the conversation waits for.
#[derive(Debug)]
pub(crate) struct Owed {
    /// The id of the speaker. It is not known after a restart.
    speaker: Option<String>,
    keep: Duration,
    until: Instant,
}

/// The permits of a conversation that waits: one of the conversations, and its memory.
#[derive(Debug)]
pub(crate) struct PlaceToWait {
    pub(crate) _conversation: OwnedSemaphorePermit,
    pub(crate) _bytes: OwnedSemaphorePermit,
}

/// How a socket left its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The client has finished.
    Finished,
    /// The connection was lost, and the client may rejoin.
    Lost,
}

impl Member {
    /// Returns how long the conversation waits for this speaker.
    pub(crate) fn keep(&self) -> Duration {
        self.keep
    }

    /// Returns the id of its speaker.
    pub(crate) fn speaker(&self) -> Option<&str> {
        self.speaker.as_deref()
    }
}

impl ConversationState {
    pub(crate) fn new(participants: Participants) -> Self {
        Self {
            participants,
            members: Vec::new(),
            listeners: Vec::new(),
            next_member: 0,
            joining: 0,
            closing: 0,
            owing: 0,
            is_over: false,
            seat: None,
            is_ending: false,
            is_finished: false,
            over: None,
            is_postponed: false,
            owed: Vec::new(),
            leaving: Vec::new(),
            grace: None,
            ends: None,
            place_to_wait: None,
        }
    }

    /// Returns all sockets. Those of speakers have the member's id.
    fn sockets(&self) -> impl Iterator<Item = (Option<u64>, &Recipient)> {
        self.sockets_behind(u64::MAX)
    }

    /// Returns the sockets that were not sent the entry with this number before.
    fn sockets_behind(&self, seq: u64) -> impl Iterator<Item = (Option<u64>, &Recipient)> {
        let members = self.members.iter();
        let members = members.map(|member| (Some(member.id), &member.outbox));
        let listeners = self.listeners.iter();
        let listeners = listeners.filter(move |listener| listener.heard < seq);
        members.chain(listeners.map(|listener| (None, &listener.outbox)))
    }

    /// Notes that the log has no entries after this number any more, and will have others.
    pub(super) fn rewind(&mut self, head: u64) {
        for listener in &mut self.listeners {
            listener.heard = listener.heard.min(head);
        }
    }

    /// Returns the forms in which the sockets are sent entries.
    fn forms(&self) -> Vec<&'static dyn Form> {
        let mut forms: Vec<&'static dyn Form> = Vec::new();
        for form in self.sockets().filter_map(|(_, outbox)| outbox.form()) {
            if !forms.iter().any(|known| std::ptr::addr_eq(*known, form)) {
                forms.push(form);
            }
        }
        forms
    }

    /// Sends messages to the sockets, but for those of subscribers that have the entry with the
    /// number `seq`. Their audio came from the socket `origin`.
    fn tell(&self, rendered: &[(&'static dyn Form, Rendered)], seq: u64, origin: Option<u64>) {
        for (member, outbox) in self.sockets_behind(seq) {
            let messages = rendered.iter().find(|(form, _)| outbox.is_told_in(*form));
            let messages = messages.map_or(&[][..], |(_, messages)| messages);
            for (audience, text) in messages {
                if *audience == Audience::All || member.is_none() || member == origin {
                    outbox.send(text.clone());
                }
            }
        }
    }

    /// Closes the sockets of all speakers with this code.
    pub(crate) fn send_away(&self, code: u16, reason: &'static str) {
        for member in &self.members {
            member.outbox.close(code, reason);
        }
    }

    /// Tells the subscribers that the conversation is over, and closes their sockets.
    pub(crate) fn dismiss(&mut self) {
        let text: Text = reply::conversation_completed(self.participants.id()).into();
        for Listener { outbox, .. } in self.listeners.drain(..) {
            outbox.send(text.clone());
            outbox.close(1000, "");
        }
    }

    /// Returns `true` if the conversation has members, or a speaker may rejoin.
    pub(crate) fn is_live(&self) -> bool {
        !self.is_over && self.ends.is_none_or(|ends| Instant::now() < ends)
    }

    /// Returns `true` if another socket may join, however full the service is. It may
    /// while the conversation has few sockets. Without that limit, one connection id would
    /// be a way around admission.
    pub(crate) fn joins_past_admission(&mut self, now: Instant) -> bool {
        let _ = self.wait(now);
        let bound = match self.owed.is_empty() {
            true => MOST_SOCKETS,
            false => MOST_SOCKETS_WITH_LOST,
        };
        self.is_live() && self.members.len() + self.joining + self.closing < bound
    }

    /// Returns `true` if a client that joins may be one that comes back: speakers are lost, or this
    /// node knows of no socket, because those that were here were on another one.
    pub(crate) fn expects_return(&mut self, now: Instant) -> bool {
        let _ = self.wait(now);
        let sockets = self.members.len() + self.joining + self.closing;
        self.is_live() && (sockets == 0 || !self.owed.is_empty())
    }

    /// Returns `true` if streams of this node speak in the conversation, or still owe results.
    pub(crate) fn has_streams(&self) -> bool {
        !self.members.is_empty() || self.closing > 0 || self.owing > 0
    }

    /// Returns `true` if all that is left are sockets that are being closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.members.is_empty() && self.closing > 0
    }

    /// Adds a speaker's socket and returns its id.
    pub(crate) fn enter(&mut self, outbox: impl Into<Recipient>) -> u64 {
        let id = self.next_member;
        self.next_member += 1;
        self.ends = None;
        self.place_to_wait = None;
        self.owed.retain(|owed| owed.speaker.is_some());
        self.members.push(Member {
            id,
            outbox: outbox.into(),
            speaker: None,
            keep: Duration::ZERO,
            stream: None,
            heard: Vec::new(),
        });
        id
    }

    /// Adds the socket of a subscriber that has the entries up to the number `heard`. Returns
    /// its id.
    pub(crate) fn listen(&mut self, outbox: Recipient, heard: u64) -> u64 {
        let id = self.next_member;
        self.next_member += 1;
        self.listeners.push(Listener { id, outbox, heard });
        id
    }

    /// Returns the speakers that have not left: those with a socket, those whose last
    /// results are to come, and those that are lost and may rejoin. `None` if it is not known
    /// yet, after a restart.
    fn here(&self, now: Instant) -> Option<Vec<String>> {
        if self.grace.is_some_and(|grace| now < grace) {
            return None;
        }
        let members = self.members.iter();
        let members = members.flat_map(|m| m.speaker.iter().chain(&m.heard));
        let owed = self.owed.iter().filter(|owed| now < owed.until);
        let owed = owed.filter_map(|owed| owed.speaker.as_ref());
        let here = members.chain(&self.leaving).chain(owed);
        Some(here.cloned().collect())
    }

    /// Records that a speaker is heard in the audio of a socket. Returns `false` if that is
    /// known.
    pub(crate) fn hears(&mut self, id: u64, speaker: &str) -> bool {
        let member = self.members.iter_mut().find(|member| member.id == id);
        match member.filter(|member| !member.heard.iter().any(|known| known == speaker)) {
            Some(member) => {
                member.heard.push(speaker.to_owned());
                true
            }
            None => false,
        }
    }

    /// Returns the speaker of a socket.
    pub(crate) fn speaker_of(&self, id: u64) -> Option<String> {
        let member = self.members.iter().find(|member| member.id == id)?;
        member.speaker.clone()
    }

    /// Records that a speaker is no longer leaving, because it has left.
    pub(crate) fn has_left(&mut self, speaker: Option<&str>) {
        let is_it = |leaving: &String| Some(leaving.as_str()) == speaker;
        if let Some(at) = self.leaving.iter().position(is_it) {
            self.leaving.swap_remove(at);
        }
    }

    /// Removes a speaker's socket and returns it.
    pub(crate) fn take(&mut self, id: u64) -> Option<Member> {
        let at = self.members.iter().position(|member| member.id == id)?;
        Some(self.members.remove(at))
    }

    /// Returns how long the conversation waits for this socket's speaker.
    pub(crate) fn keep(&self, id: u64) -> Duration {
        let member = self.members.iter().find(|member| member.id == id);
        member.map_or(Duration::ZERO, |member| member.keep)
    }

    /// Records the speaker of a socket. A lost speaker has rejoined with that. Without
    /// `keep`, the conversation would wait for the speaker as long as before.
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

    /// Records the start request of a stream that came on a socket. Returns the sockets of
    /// earlier start requests of that stream.
    pub(crate) fn supersede(&mut self, id: u64, stream: &str, attempt: u64) -> Vec<Recipient> {
        let mut earlier = Vec::new();
        for member in &mut self.members {
            if member.id == id {
                member.stream = Some((stream.to_owned(), attempt));
                continue;
            }
            let is_earlier = |(known, of_it): &(String, u64)| known == stream && *of_it < attempt;
            if member.stream.as_ref().is_some_and(is_earlier) {
                earlier.push(member.outbox.clone());
            }
        }
        earlier
    }

    /// Records that a socket has left. The conversation waits for a lost speaker, unless
    /// the speaker has a newer socket: then it rejoined before its loss was seen. Returns how
    /// long it waits.
    pub(crate) fn left(&mut self, member: Member, how: Leave, now: Instant) -> Option<Duration> {
        let Member {
            id, speaker, keep, ..
        } = member;
        let returned = |other: &Member| other.id > id && other.speaker == speaker;
        let returned = speaker.is_some() && self.members.iter().any(returned);
        let waits = how == Leave::Lost && !keep.is_zero() && !returned;
        waits.then(|| {
            self.owed.push(Owed {
                speaker,
                keep,
                until: now + keep,
            });
            keep
        })
    }

    /// Waits until then for any speaker, because the store does not know which speaker was
    /// lost.
    pub(crate) fn await_any_speaker(&mut self, until: Instant, keep: Duration) {
        self.ends = Some(until);
        self.owed.push(Owed {
            speaker: None,
            keep,
            until,
        });
    }

    /// Puts off the end of a conversation that waits for any speaker.
    fn postpone(&mut self, until: Instant) {
        let waiting = self.owed.iter_mut().find(|owed| owed.speaker.is_none());
        if let (Some(waiting), Some(ends)) = (waiting, self.ends)
            && until > ends
        {
            waiting.until = until;
            self.ends = Some(until);
            self.is_postponed = true;
        }
    }

    /// Waits for no lost speaker any more. Returns `false` if a speaker is there.
    pub(crate) fn dissolve(&mut self, now: Instant) -> bool {
        let is_left = self.members.is_empty() && self.closing == 0 && self.joining == 0;
        if is_left {
            self.owed.clear();
            self.ends = Some(now);
        }
        is_left
    }

    /// Returns how long the conversation still waits, if its end was put off since the last
    /// call.
    pub(crate) fn postponed(&mut self, now: Instant) -> Option<Duration> {
        let ends = self
            .ends
            .filter(|_| std::mem::take(&mut self.is_postponed))?;
        Some(ends.saturating_duration_since(now))
    }

    /// Returns how long the conversation still waits for its lost speakers.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        self.owed.retain(|owed| owed.until > now);
        let waits = self.owed.iter().map(|owed| owed.until - now);
        waits.max().unwrap_or_default()
    }

    /// Returns how long the conversation would wait if all its sockets were lost now. The
    /// store keeps this for the time after a restart.
    pub(crate) fn longest_keep(&mut self, now: Instant) -> Duration {
        let present = self.members.iter().map(|member| member.keep).max();
        self.wait(now).max(present.unwrap_or_default())
    }
}

impl Conversation {
    pub(crate) fn new(
        key: ConversationKey,
        participants: Participants,
        log: Arc<dyn Log>,
        clock: ConversationClock,
    ) -> Self {
        Self::behind(key, participants, log, clock, 0)
    }

    /// Returns a conversation of before a restart, whose log has entries up to `head`.
    pub(crate) fn behind(
        key: ConversationKey,
        participants: Participants,
        log: Arc<dyn Log>,
        clock: ConversationClock,
        head: u64,
    ) -> Self {
        Self {
            number: participants.number(),
            id: participants.id().to_owned(),
            session: participants.session().to_owned(),
            opened: participants.opened().unwrap_or_else(|| clock.now()),
            key,
            clock,
            log,
            state: Mutex::new(ConversationState::new(participants)),
            presence: Mutex::default(),
            teller: Mutex::new(Teller::behind(head)),
            topics: Mutex::new(Subjects {
                topics: Topics::default(),
                is_forgotten: head > 0,
            }),
            topics_bytes: AtomicUsize::new(0),
            closed: Notify::new(),
            changes: watch::Sender::new(0),
            hints: broadcast::Sender::new(MOST_HINTS),
            tally: Mutex::default(),
            order: Mutex::default(),
            tallied: watch::Sender::new(None),
        }
    }

    /// Returns `true` if the conversation began as a session, without a speaker.
    fn began_as_session(&self) -> bool {
        self.key.connection_id == self.session
    }

    /// Tells sessions that something is new.
    pub(crate) fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns `true` if a session or a subscriber watches.
    pub(crate) fn is_watched(&self) -> bool {
        self.changes.receiver_count() > 0 || !self.state().listeners.is_empty()
    }

    /// Returns a receiver that is notified when something is new.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Shows an interim to sessions. The first audio of its start request came at `zero`,
    /// nanoseconds since the Unix epoch.
    pub(crate) fn show(&self, interim: &Interim<'_>, zero: i64) {
        if self.hints.receiver_count() > 0 {
            // It is not shown if the last receiver has just gone.
            let _ = self.hints.send(Arc::new(Hint::of(interim, zero)));
        }
    }

    /// Returns a receiver of interims.
    pub(crate) fn hints(&self) -> broadcast::Receiver<Arc<Hint>> {
        self.hints.subscribe()
    }

    /// Returns a receiver of the figures of the talk. It first gets those that were told
    /// last, if there are any.
    pub(crate) fn tallied(&self) -> watch::Receiver<Option<Arc<Tallied>>> {
        let mut receiver = self.tallied.subscribe();
        receiver.mark_changed();
        receiver
    }

    /// Counts the talk so far and shows it to sessions. With `own`, the caller wants the
    /// figures too; else they are only counted if a session wants them. Returns `None` if
    /// nothing is new, or if another count was made just now and this is not the `last` one.
    /// Blocks.
    pub(crate) fn tally(&self, own: bool, last: bool) -> Option<Arc<Tallied>> {
        if !own && self.tallied.receiver_count() == 0 {
            return None;
        }
        let mut tally = match last {
            true => self.tally.lock().unwrap_or_else(PoisonError::into_inner),
            // Another stream counts now.
            false => self.tally.try_lock().ok()?,
        };
        if !last && !tally.is_due(Instant::now()) {
            return None;
        }
        let tallied = match tally.count(self.log.as_ref(), self.number) {
            Ok(tallied) => Arc::new(tallied?),
            Err(error) => {
                tracing::warn!(%error, "the log of a conversation cannot be read to count it");
                return None;
            }
        };
        self.tallied.send_replace(Some(Arc::clone(&tallied)));
        Some(tallied)
    }

    /// Appends a text that a client sent, and sends it to all sockets. Blocks.
    pub(crate) fn write(
        self: &Arc<Self>,
        sent: Sent,
        timeouts: Timeouts,
    ) -> Result<Sending, LogError> {
        let now = self.clock.now();
        let ends = self
            .began_as_session()
            .then(|| ends(self.opened, now, timeouts));
        let sending = self
            .log
            .send(self.number, sent, ends, self.committed(None))?;
        self.tell();
        if let (Sending::Stored(_), Some(ends)) = (sending, ends) {
            self.state().postpone(Instant::now() + until(ends, now));
        }
        Ok(sending)
    }

    /// Sends all sockets entries that were appended elsewhere, and takes over the speakers of
    /// them. Blocks.
    pub(crate) fn attributed(self: &Arc<Self>, speakers: &[Speaker], entries: &[Arc<Entry>]) {
        self.state().participants.adopt(speakers);
        self.committed(None)(entries);
        self.tell();
    }

    /// Returns the function that takes the entries of a commit. Their audio came from the
    /// socket `origin`, if they come from audio.
    pub(crate) fn committed(self: &Arc<Self>, origin: Option<u64>) -> Committed {
        let conversation = Arc::clone(self);
        Box::new(move |entries| {
            let mut teller = conversation.teller();
            for entry in entries {
                teller.put(Item {
                    entry: Arc::clone(entry),
                    origin,
                });
            }
        })
    }

    /// Returns the same for entries that come later, but for the end. The receiver gets how
    /// many there are, and nothing if they are not written.
    pub(crate) fn committed_later(self: &Arc<Self>) -> (Committed, oneshot::Receiver<usize>) {
        let (number, coming) = oneshot::channel();
        let take = self.committed(None);
        let committed = move |entries: &[Arc<Entry>]| {
            let told = |entry: &&Arc<Entry>| entry.body != Body::Over;
            let entries: Vec<_> = entries.iter().filter(told).cloned().collect();
            take(&entries);
            // The service may be ending.
            let _ = number.send(entries.len());
        };
        (Box::new(committed), coming)
    }

    /// Returns the same for the last entries of a conversation that other nodes may go on
    /// with. The receiver gets `true` if it is over.
    pub(crate) fn committed_at_the_end(self: &Arc<Self>) -> (Committed, oneshot::Receiver<bool>) {
        let (tell, over) = oneshot::channel();
        let take = self.committed(None);
        let committed = move |entries: &[Arc<Entry>]| {
            let is_end = |entry: &Arc<Entry>| entry.body == Body::Over;
            let told: Vec<_> = entries.iter().filter(|e| !is_end(e)).cloned().collect();
            take(&told);
            // The service may be ending.
            let _ = tell.send(entries.iter().any(is_end));
        };
        (Box::new(committed), over)
    }

    /// Sends all sockets the entries up to this number, which other nodes have written. All
    /// entries of this node up to there must have been put in. Blocks.
    pub(crate) fn catch_up(&self, head: u64) {
        loop {
            let told = self.told();
            if told >= head {
                return;
            }
            let mut entries = match self.log.read(self.number, told, MOST_READ) {
                Ok(entries) => entries,
                Err(error) => {
                    let id = &self.id;
                    tracing::warn!(%error, conversation = id, "entries of others are told later");
                    return;
                }
            };
            let whole = entries.len() < MOST_READ;
            let last = entries.last().map_or(told, |entry| entry.seq);
            // Later ones may be of this node, which still puts them in.
            entries.retain(|entry| entry.seq <= head && entry.body != Body::Over);
            let up_to = if whole { head } else { last.min(head) };
            let is_new = !entries.is_empty();
            self.teller().fill(entries, up_to);
            self.tell();
            // The last ones may be of kinds that a newer release has added.
            self.teller().pass(up_to);
            if !is_new || whole {
                return;
            }
        }
    }

    /// Learns the speaker of an entry, who may have come on another node, and which interims
    /// of it are too late from now on.
    fn learn(&self, entry: &Entry) {
        match &entry.body {
            Body::Said(said) => self.order().said(said.start, entry.seq),
            Body::Member(speaker) | Body::Renamed(speaker) => {
                let speakers = std::slice::from_ref(speaker);
                self.state().participants.adopt(speakers);
            }
            Body::Attributed(all) => {
                let speakers: Vec<Speaker> = all.iter().map(|one| one.speaker.clone()).collect();
                self.state().participants.adopt(&speakers);
            }
            _ => {}
        }
    }

    /// Records the speaker of a socket; see [`ConversationState::speaks`].
    pub(crate) fn speaks(&self, member: u64, speaker: Option<&str>, keep: Option<Duration>) {
        let _presence = self.presence();
        self.state().speaks(member, speaker, keep);
    }

    /// Appends to the log which speakers have left, if that is known. Returns the receiver of
    /// [`committed_later`](Self::committed_later).
    pub(crate) fn note_who_left(self: &Arc<Self>) -> Option<oneshot::Receiver<usize>> {
        let _presence = self.presence();
        let state = self.state();
        let here = state.here(Instant::now()).filter(|_| !state.is_finished);
        drop(state);
        let here = here?;
        let (committed, coming) = self.committed_later();
        self.log.left(self.number, here, committed);
        Some(coming)
    }

    fn presence(&self) -> MutexGuard<'_, ()> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the teller. It must be locked before the state.
    pub(crate) fn teller(&self) -> MutexGuard<'_, Teller> {
        self.teller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks what was told and shown of streams. The teller must be locked before it, and
    /// no other lock is taken while it is held.
    pub(super) fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the last entry that was sent.
    pub(crate) fn told(&self) -> u64 {
        self.teller().told()
    }

    /// Sends all sockets the entries of the log that were not sent yet. May read from the
    /// log, so the calling thread must be one that may block.
    pub(crate) fn tell(&self) {
        self.tell_with(true);
    }

    /// Sends all sockets the entries that were not sent yet, as far as they are known. Returns
    /// `false` if some have to be read from the log.
    pub(super) fn tell_known(&self) -> bool {
        self.tell_with(false)
    }

    fn tell_with(&self, reads: bool) -> bool {
        let mut is_news = false;
        loop {
            let mut teller = self.teller();
            match teller.next() {
                Next::Nothing => {
                    drop(teller);
                    if is_news {
                        self.changed();
                    }
                    return true;
                }
                Next::Tell(Item { entry, origin }) => {
                    if self.log.registry().is_some() {
                        self.learn(&entry);
                    }
                    self.send_entry(entry.seq, |form| form.render(&entry), origin);
                    is_news = true;
                }
                Next::Read(after, before) => {
                    drop(teller);
                    if !reads || !self.read(after, before) {
                        self.changed();
                        return false;
                    }
                }
            }
        }
    }

    /// Sends at once what is in no log. Its audio came from the socket `origin`.
    pub(crate) fn hint(&self, render: impl Fn(&dyn Form) -> Rendered, origin: u64) {
        self.send(render, Some(origin));
    }

    /// Sends messages to all sockets, to each in its own form. The state is not locked
    /// while they are rendered.
    pub(super) fn send(&self, render: impl Fn(&dyn Form) -> Rendered, origin: Option<u64>) {
        self.send_entry(u64::MAX, render, origin);
    }

    /// Sends the messages of the entry with the number `seq` in the same way, but to the
    /// subscribers that have it.
    pub(super) fn send_entry(
        &self,
        seq: u64,
        render: impl Fn(&dyn Form) -> Rendered,
        origin: Option<u64>,
    ) {
        let forms = self.state().forms();
        let rendered = forms.into_iter().map(|form| (form, render(form)));
        let rendered: Vec<_> = rendered.collect();
        self.state().tell(&rendered, seq, origin);
    }

    /// Reads entries between these two numbers from the log, for the teller.
    fn read(&self, after: u64, before: u64) -> bool {
        match self.log.read(self.number, after, MOST_READ) {
            Ok(mut entries) => {
                let whole = entries.len() < MOST_READ;
                let last = entries.last().map_or(after, |entry| entry.seq);
                let up_to = if whole {
                    before - 1
                } else {
                    last.min(before - 1)
                };
                // The appends that made the entries from `before` on put them in.
                entries.retain(|entry| entry.seq < before);
                self.teller().fill(entries, up_to);
                true
            }
            Err(error) => {
                let id = &self.id;
                tracing::error!(%error, conversation = id, "entries are told later");
                false
            }
        }
    }

    /// Returns how far a socket has heard that has all entries up to this number.
    pub(crate) fn heard_up_to(&self, seq: u64) -> Heard {
        let rewinds = self.teller().rewinds();
        Heard { seq, rewinds }
    }

    /// Sends a subscriber's socket this first message and then all that is sent from now
    /// on. Returns `None` if the conversation is over.
    pub(crate) fn listen_now(
        self: &Arc<Self>,
        outbox: &Recipient,
        first: String,
    ) -> Option<ListenerSlot> {
        let mut state = self.state();
        if !state.is_live() {
            return None;
        }
        outbox.send(first);
        let listener = state.listen(outbox.clone(), 0);
        drop(state);
        let conversation = Arc::clone(self);
        Some(ListenerSlot {
            conversation,
            listener,
        })
    }

    /// Adds a subscriber's socket if no entry after what it has `heard` was sent to the others. It
    /// is not sent what it has heard, which this node may not have told yet. Otherwise returns
    /// the entries after that as an error, if they are remembered.
    pub(crate) fn listen_from(
        self: &Arc<Self>,
        heard: &mut Heard,
        outbox: &Recipient,
    ) -> Result<ListenerSlot, Option<Vec<Arc<Entry>>>> {
        let teller = self.teller();
        heard.recall(&teller);
        if teller.told() > heard.seq {
            return Err(teller.since(heard.seq));
        }
        let listener = self.state().listen(outbox.clone(), heard.seq);
        let conversation = Arc::clone(self);
        Ok(ListenerSlot {
            conversation,
            listener,
        })
    }

    /// Returns the topics that these sentences add. Sentences of before a restart are read
    /// from the log first.
    pub(crate) fn topics_of(&self, sentences: &[(String, &str)]) -> Vec<TopicFinding> {
        let mut subjects = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut subjects.is_forgotten) {
            drop(subjects);
            let before = self.said_before();
            subjects = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in before.iter().filter_map(|entry| entry.body.said()) {
                for message in &entry.messages {
                    let id = message.id.to_string();
                    let _ = subjects.topics.sentence(&id, &message.text);
                }
            }
        }
        let found = sentences.iter();
        let found = found.flat_map(|(id, text)| subjects.topics.sentence(id, text));
        let found = found.collect();
        let bytes = subjects.topics.bytes();
        self.topics_bytes.store(bytes, Ordering::Relaxed);
        found
    }

    /// Reads the last entries of before the restart, for the topics.
    fn said_before(&self) -> Vec<Arc<Entry>> {
        let head = self.teller().told();
        let after = head.saturating_sub(REMEMBERED);
        let read = self.log.read(self.number, after, MOST_READ);
        read.unwrap_or_else(|error| {
            tracing::warn!(%error, conversation = self.id, "topics begin anew");
            Vec::new()
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, ConversationState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns about how much memory the conversation takes while it waits without
    /// members, in bytes.
    pub(crate) fn bytes(&self, state: &ConversationState) -> usize {
        let key = self.key.account.len() + self.key.connection_id.len();
        let topics = self.topics_bytes.load(Ordering::Relaxed);
        size_of::<Self>() + 2 * key + topics + state.participants.bytes()
    }
}

/// A socket that joins past admission and is no member of its conversation yet.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) conversation: Arc<Conversation>,
    /// Its client may be one that comes back.
    pub(crate) returns: bool,
}

impl Drop for Joining {
    fn drop(&mut self) {
        let mut state = self.conversation.state();
        state.joining = state.joining.saturating_sub(1);
    }
}

/// The slot of a subscriber's socket in its conversation. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct ListenerSlot {
    pub(crate) conversation: Arc<Conversation>,
    pub(crate) listener: u64,
}

impl Drop for ListenerSlot {
    fn drop(&mut self) {
        let mut state = self.conversation.state();
        state
            .listeners
            .retain(|listener| listener.id != self.listener);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Outbox;

    const S: Duration = Duration::from_secs(1);

    fn state() -> ConversationState {
        ConversationState::new(Participants::new())
    }

    fn starts(state: &mut ConversationState, speaker: &str, keep: Option<Duration>) -> u64 {
        let id = state.enter(Outbox::new(8).0);
        state.speaks(id, Some(speaker), keep);
        id
    }

    fn leaves(state: &mut ConversationState, id: u64, how: Leave, now: Instant) -> Duration {
        let member = state.take(id).expect("a member");
        let _ = state.left(member, how, now);
        state.wait(now)
    }

    #[test]
    fn the_longest_wait_for_a_lost_speaker_counts() {
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
    fn a_speaker_that_left_cleanly_or_rejoined_before_its_loss_is_not_waited_for() {
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
        assert!(state.expects_return(now), "it is on another node");
        let ada = starts(&mut state, "ada", Some(10 * S));
        assert!(state.joins_past_admission(now));
        assert!(!state.expects_return(now), "nobody is lost");
        state.joining = 1;
        assert!(!state.joins_past_admission(now), "one is on its way");
        state.joining = 0;
        let _bob = starts(&mut state, "bob", None);
        assert!(!state.joins_past_admission(now));
        let _eve = starts(&mut state, "eve", None);
        let _ = leaves(&mut state, ada, Leave::Lost, now);
        assert!(state.joins_past_admission(now), "ada may come back");
        assert!(state.expects_return(now));
        assert!(!state.joins_past_admission(now + 10 * S), "too late");
        assert!(!state.expects_return(now + 10 * S));
        state.enter(Outbox::new(8).0);
        state.closing = 1;
        assert!(!state.joins_past_admission(now));
        state.closing = 0;
        state.is_over = true;
        assert!(!state.joins_past_admission(now));
    }

    #[test]
    fn after_a_restart_the_first_speaker_counts_as_rejoined() {
        let now = Instant::now();
        let mut state = state();
        state.await_any_speaker(now + 10 * S, 100 * S);
        assert_eq!(state.wait(now), 10 * S);
        let ada = starts(&mut state, "ada", Some(S));
        assert_eq!(
            leaves(&mut state, ada, Leave::Finished, now),
            Duration::ZERO
        );
    }
}
