// SPDX-License-Identifier: MPL-2.0

//! Sessions: conversations as those see them who read and write, and do not speak.
//!
//! A session is active while its conversation runs. Then it is closed, and expired after
//! [`Timeouts::keep_alive`]. A conversation that began as a session has no speaker at first;
//! it waits for one as long as texts come ([`Timeouts::inactivity`], [`Timeouts::total`]).
//! All times come from the log, so a restart of the service changes none of them. A client
//! that only watches keeps no session active.
//!
//! A [`Watch`] is a place in the log of one conversation. Live entries and history come from
//! the same log, so nothing is left out or repeated between them.

use super::entry::{Entry, Sent, Speaker};
use super::form::Interim;
use super::hub::{ConversationKey, Hub};
use super::log::{Log, LogError, Sending, SessionRecord};
use super::running::{Conversation, Heard};
use super::tally::Tallied;
use crate::clock::nanos;
use crate::limits::Limits;
use crate::workers::Undone;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::sleep;

/// Most entries that are read from the log at once, and that [`Watch::next`] returns.
const PAGE: usize = 200;
/// Largest part of a history in bytes, but for its first entry.
const LARGEST_HISTORY: usize = 2 << 20;
/// Most texts of a socket that it may still be sent itself.
const MOST_OWN: usize = 1024;

/// How often and how many times a conversation is looked for that is just being ended.
const ENDING_LOOK: Duration = Duration::from_millis(20);
const ENDING_LOOKS: usize = 50;

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// A session without speakers is closed this long after its last text.
    pub(crate) inactivity: Duration,
    /// … and this long after its begin, whatever is written. Zero stands for no limit.
    pub(crate) total: Duration,
    /// A closed session expires after this time.
    pub(crate) keep_alive: Duration,
}

/// What may be done with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It can be read and written.
    Active,
    /// It can be read.
    Closed,
    /// Its time is over.
    Expired,
}

/// Returns the status of a session whose conversation was over at `over`. Times are
/// nanoseconds since the Unix epoch.
pub(crate) fn status(over: Option<i64>, now: i64, keep_alive: Duration) -> Status {
    match over {
        None => Status::Active,
        Some(over) if now < over.saturating_add(nanos(keep_alive)) => Status::Closed,
        Some(_) => Status::Expired,
    }
}

/// Returns when a session without speakers is over that began at `opened` and in which
/// something is written `now`. Times are nanoseconds since the Unix epoch.
pub(crate) fn ends(opened: i64, now: i64, timeouts: Timeouts) -> i64 {
    let ends = now.saturating_add(nanos(timeouts.inactivity));
    match timeouts.total.is_zero() {
        true => ends,
        false => ends.min(opened.saturating_add(nanos(timeouts.total))),
    }
}

/// Returns the time from `now` until then, zero if it has passed.
pub(crate) fn until(then: i64, now: i64) -> Duration {
    Duration::from_nanos(u64::try_from(then.saturating_sub(now)).unwrap_or(0))
}

/// Why something cannot be done with a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// The account has no such session, or it is expired.
    #[error("The provided session ID is invalid or the session has expired")]
    Unknown,
    /// Nothing can be written any more.
    #[error("The session is closed: it can be read, and nothing can be sent to it any more")]
    Closed,
    /// The conversation has no such message.
    #[error("The conversation has no message with the id in `corrects`")]
    NoSuchMessage,
    /// The client id of the text is that of another text.
    #[error(
        "The `client_id` belongs to another text of this session; take a new one, such as a UUID"
    )]
    ClientIdTaken,
    /// Too many conversations wait for a speaker already.
    #[error("Too many sessions wait for a speaker already; try again later")]
    Full,
    /// The service has too much to do.
    #[error("Too many requests wait for the database already; try again later")]
    Busy,
    /// The log cannot be read or written.
    #[error("The log does not answer; see the log of the service, and try again later")]
    Log(#[from] LogError),
}

impl From<Undone> for SessionError {
    fn from(_: Undone) -> Self {
        Self::Busy
    }
}

/// An interim, as sessions show it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hint {
    pub(crate) speaker: Speaker,
    /// Start of the utterance, nanoseconds since the Unix epoch.
    pub(crate) start: i64,
    pub(crate) text: String,
    /// How many of the first words are settled.
    pub(crate) stable: usize,
}

impl Hint {
    /// Copies an interim. The first audio of its start request came at `zero`, nanoseconds
    /// since the Unix epoch.
    pub(crate) fn of(interim: &Interim<'_>, zero: i64) -> Self {
        Self {
            speaker: interim.speaker.clone(),
            start: zero.saturating_add(nanos(interim.start)),
            text: interim.text.to_owned(),
            stable: interim.stable,
        }
    }
}

/// Tells those who have joined a conversation that it was deleted.
#[derive(Debug, Default)]
pub(crate) struct Deletions(Mutex<HashMap<i64, Weak<watch::Sender<bool>>>>);

impl Deletions {
    /// Records that a conversation was deleted.
    pub(crate) fn deleted(&self, conversation: i64) {
        let known = self.lock().get(&conversation).and_then(Weak::upgrade);
        if let Some(known) = known {
            known.send_replace(true);
        }
    }

    /// Returns what knows if a conversation was deleted since this was called first.
    fn of(&self, conversation: i64) -> Arc<watch::Sender<bool>> {
        let mut all = self.lock();
        if let Some(known) = all.get(&conversation).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, known| known.strong_count() > 0);
        let new = Arc::new(watch::Sender::new(false));
        all.insert(conversation, Arc::downgrade(&new));
        new
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Weak<watch::Sender<bool>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds and begins sessions.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    hub: Arc<Hub>,
    timeouts: Timeouts,
}

impl Sessions {
    pub(crate) fn new(hub: Arc<Hub>, limits: &Limits) -> Self {
        let timeouts = Timeouts {
            inactivity: limits.session_inactivity,
            total: limits.session_total,
            keep_alive: limits.session_keep_alive,
        };
        Self { hub, timeouts }
    }

    /// Begins a conversation without a speaker. A speaker joins it under the session's id as
    /// its connection id.
    ///
    /// # Errors
    ///
    /// Too many conversations wait for a speaker, or the log cannot be written.
    pub(crate) async fn create(
        &self,
        account: &str,
        title: Option<String>,
    ) -> Result<Session, SessionError> {
        let (hub, timeouts) = (Arc::clone(&self.hub), self.timeouts);
        let account = account.to_owned();
        let open = move || hub.open_session(&account, title, timeouts);
        let (conversation, wait) = self.hub.workers.run(open).await??;
        self.hub.close_after(wait, &conversation);
        Ok(self.running(conversation))
    }

    /// Returns the session of the account with this id, and with `view` also one that is
    /// expired.
    ///
    /// # Errors
    ///
    /// There is none, or the log cannot be read.
    pub(crate) async fn find(
        &self,
        account: &str,
        session: &str,
        view: bool,
    ) -> Result<Session, SessionError> {
        let log = Arc::clone(&self.hub.log);
        let (owner, id): (Arc<str>, Arc<str>) = (account.into(), session.into());
        let mut left = ENDING_LOOKS;
        let session = loop {
            let (log, owner, id) = (Arc::clone(&log), Arc::clone(&owner), Arc::clone(&id));
            let found = move || log.session(&owner, &id);
            let record = self.hub.workers.run(found.clone()).await??;
            let record = record.ok_or(SessionError::Unknown)?;
            let deleted = self.hub.deletions.of(record.conversation);
            let key = ConversationKey {
                account: account.to_owned(),
                connection_id: record.connection_id.clone(),
            };
            if record.over.is_none() && left == ENDING_LOOKS {
                // Without an answer it counts as one that has no socket here.
                let _ = self.hub.look_around(&key).await;
            }
            let running = self.hub.find(&key);
            let running = running.filter(|running| running.number == record.conversation);
            match running.filter(|running| running.state().over.is_none()) {
                Some(running) => break self.running(running),
                // Its last entries come with its end.
                None if record.over.is_none() && left > 0 => {
                    left -= 1;
                    sleep(ENDING_LOOK).await;
                }
                None => {
                    // It may have been deleted before `deleted` was there to be told.
                    let record = self.hub.workers.run(found).await??;
                    break self.over(session, record.ok_or(SessionError::Unknown)?, deleted);
                }
            }
        };
        match session.state().status {
            Status::Expired if !view => Err(SessionError::Unknown),
            _ => Ok(session),
        }
    }

    fn running(&self, conversation: Arc<Conversation>) -> Session {
        Session {
            id: conversation.session.as_str().into(),
            conversation: conversation.number,
            connection_id: conversation.key.connection_id.as_str().into(),
            hub: Arc::clone(&self.hub),
            timeouts: self.timeouts,
            deleted: self.hub.deletions.of(conversation.number),
            content: Content::Running(conversation),
        }
    }

    fn over(&self, id: &str, record: SessionRecord, deleted: Arc<watch::Sender<bool>>) -> Session {
        // If the log is slow, a conversation that is being ended has no time of that yet.
        let over = record.over.unwrap_or_else(|| self.hub.wall.now());
        Session {
            id: id.into(),
            conversation: record.conversation,
            connection_id: record.connection_id.into(),
            hub: Arc::clone(&self.hub),
            timeouts: self.timeouts,
            deleted,
            content: Content::Over {
                over,
                head: record.head,
            },
        }
    }
}

/// A session that was found.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// A random UUID.
    pub(crate) id: Arc<str>,
    /// The conversation's id as the store has it.
    pub(crate) conversation: i64,
    pub(crate) connection_id: Arc<str>,
    hub: Arc<Hub>,
    timeouts: Timeouts,
    /// Gets `true` when the conversation is deleted.
    deleted: Arc<watch::Sender<bool>>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Running(Arc<Conversation>),
    /// When it was over, and the number of its last entry.
    Over {
        over: i64,
        head: u64,
    },
}

/// The state of a session now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) status: Status,
    /// When it expires or has expired, nanoseconds since the Unix epoch. `None` while it is
    /// active.
    pub(crate) expires: Option<i64>,
    /// Number of speakers' sockets.
    pub(crate) speakers: usize,
    /// `true` once the conversation is deleted. It is then expired.
    pub(crate) is_deleted: bool,
    /// The number of the last entry that may be sent.
    pub(crate) head: u64,
}

/// A text that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// The number of its entry.
    pub(crate) seq: u64,
    /// `false` if it was sent before.
    pub(crate) is_new: bool,
}

/// A part of the log.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) entries: Vec<Arc<Entry>>,
    /// `true` if the log has later entries.
    pub(crate) more: bool,
    /// The number of the last entry that this part covers.
    pub(crate) until: u64,
}

/// Reads the entries behind `within.start` and up to `within.end`: at most `limit` and about
/// two megabytes, and at least one if there is any. Reads them in pages, so that no more is
/// held than is returned.
fn history(
    log: &dyn Log,
    conversation: i64,
    within: Range<u64>,
    limit: usize,
) -> Result<History, LogError> {
    let (mut until, head) = (within.start, within.end);
    let (mut entries, mut bytes) = (Vec::new(), 0);
    'pages: while until < head {
        let wanted = PAGE.min(limit - entries.len());
        if wanted == 0 {
            break;
        }
        let page = log.read(conversation, until, wanted)?;
        if page.is_empty() {
            // Only entries of unknown kinds are left.
            until = head;
        }
        for entry in page {
            if bytes > LARGEST_HISTORY {
                break 'pages;
            }
            if entry.seq > head {
                until = head;
                break 'pages;
            }
            bytes += entry.bytes();
            until = entry.seq;
            entries.push(entry);
        }
    }
    Ok(History {
        entries,
        more: until < head,
        until,
    })
}

impl Session {
    /// Returns how long sessions last.
    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Returns the session's state.
    pub(crate) fn state(&self) -> State {
        let (over, speakers, head) = match &self.content {
            Content::Over { over, head } => (Some(*over), 0, *head),
            Content::Running(conversation) => {
                let head = conversation.told();
                let state = conversation.state();
                (state.over, state.members.len(), head)
            }
        };
        let keep_alive = self.timeouts.keep_alive;
        let is_deleted = self.is_deleted();
        State {
            status: match is_deleted {
                true => Status::Expired,
                false => status(over, self.hub.wall.now(), keep_alive),
            },
            is_deleted,
            expires: over.map(|over| over.saturating_add(nanos(keep_alive))),
            speakers,
            head,
        }
    }

    fn is_deleted(&self) -> bool {
        *self.deleted.borrow()
    }

    /// Returns the entries after the one with the number `after`, in order: at most `limit`
    /// and about two megabytes, and at least one if there is any.
    ///
    /// # Errors
    ///
    /// The conversation is deleted, or the log cannot be read.
    pub(crate) async fn history(&self, after: u64, limit: usize) -> Result<History, SessionError> {
        if self.is_deleted() {
            return Err(SessionError::Unknown);
        }
        // What was not sent to the others yet comes to this socket as it does to them.
        let head = self.state().head;
        let (log, number) = (Arc::clone(&self.hub.log), self.conversation);
        let read = move || history(log.as_ref(), number, after..head, limit.max(1));
        Ok(self.hub.workers.run(read).await??)
    }

    /// Appends a text. One with the same client id is stored once.
    ///
    /// # Errors
    ///
    /// The session is closed or deleted, what the text corrects is unknown, its client id is that of
    /// another text, or the log cannot be written. In the last case, the text may be stored or not: send it again.
    pub(crate) async fn send(&self, sent: Sent) -> Result<Written, SessionError> {
        if self.is_deleted() {
            return Err(SessionError::Unknown);
        }
        let (log, number) = (Arc::clone(&self.hub.log), self.conversation);
        let sending = match &self.content {
            // One that was stored before is answered as it was then.
            Content::Over { .. } => {
                let send = move || log.send(number, sent, None, Box::new(|_| {}));
                self.hub.workers.run(send).await??
            }
            Content::Running(conversation) => {
                let (running, timeouts) = (Arc::clone(conversation), self.timeouts);
                let send = move || running.write(sent, timeouts);
                self.hub.workers.run(send).await??
            }
        };
        match sending {
            Sending::Stored(seq) => Ok(Written { seq, is_new: true }),
            Sending::Already(seq) => Ok(Written { seq, is_new: false }),
            Sending::Taken => Err(SessionError::ClientIdTaken),
            Sending::Over => Err(SessionError::Closed),
            Sending::NoSuchMessage => Err(SessionError::NoSuchMessage),
        }
    }

    /// Watches what happens from now on, with interims if wanted.
    pub(crate) fn watch(&self, interims: bool) -> Watch {
        let (changes, hints) = match &self.content {
            Content::Over { .. } => (None, None),
            Content::Running(conversation) => (
                Some(conversation.changes()),
                interims.then(|| conversation.hints()),
            ),
        };
        // A deletion is told, also one that came since the session was found.
        let reported = State {
            is_deleted: false,
            ..self.state()
        };
        let head = reported.head;
        let cursor = match &self.content {
            Content::Running(conversation) => conversation.heard_up_to(head),
            Content::Over { .. } => Heard::at_the_end(head),
        };
        Watch {
            cursor,
            deleted: self.deleted.subscribe(),
            session: self.clone(),
            reported,
            changes,
            hints,
            tallied: None,
            own: BTreeSet::new(),
        }
    }
}

/// An entry, and if the watching socket wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) entry: Arc<Entry>,
    pub(crate) own: bool,
}

/// What a [`Watch`] sees.
#[derive(Debug)]
pub(crate) enum Event {
    /// The next entries, none left out and none repeated.
    Entries(Vec<Seen>),
    /// An interim. Some are left out if they come too fast.
    Interim(Arc<Hint>),
    /// The figures of the talk so far.
    Analytics(Arc<Tallied>),
    /// The status or the number of speakers is another one.
    Changed(State),
    /// The log cannot be read.
    Unreadable(SessionError),
}

/// A socket's place in the log of a session.
#[derive(Debug)]
pub(crate) struct Watch {
    session: Session,
    /// Up to the last entry that was returned.
    cursor: Heard,
    reported: State,
    changes: Option<watch::Receiver<u64>>,
    deleted: watch::Receiver<bool>,
    hints: Option<broadcast::Receiver<Arc<Hint>>>,
    tallied: Option<watch::Receiver<Option<Arc<Tallied>>>>,
    /// Numbers of entries that this socket wrote.
    own: BTreeSet<u64>,
}

impl Watch {
    /// Makes the watch return the figures of the talk too, whenever they are counted.
    pub(crate) fn with_analytics(mut self) -> Self {
        if let Content::Running(conversation) = &self.session.content {
            self.tallied = Some(conversation.tallied());
        }
        self
    }

    /// Goes on after the entry with this number, if that is later.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        self.cursor.seq = self.cursor.seq.max(seq);
    }

    /// Records that this socket wrote the entry with this number.
    pub(crate) fn wrote(&mut self, seq: u64) {
        if seq > self.cursor.seq {
            self.own.insert(seq);
        }
        while self.own.len() > MOST_OWN {
            self.own.pop_first();
        }
    }

    /// Returns the number of the last entry that was returned or skipped.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor.seq
    }

    /// Waits for what happens next. Nothing is lost if the caller stops waiting.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            // Changes after this are seen by the next wait.
            if let Some(changes) = &mut self.changes {
                changes.mark_unchanged();
            }
            self.recall();
            let state = self.session.state();
            if state.head > self.cursor.seq && !state.is_deleted {
                match self.entries(state.head).await {
                    Ok(seen) if seen.is_empty() => continue,
                    Ok(seen) => return Event::Entries(seen),
                    Err(error) => return Event::Unreadable(error),
                }
            }
            let shown = |state: &State| (state.status, state.speakers, state.is_deleted);
            if shown(&state) != shown(&self.reported) {
                self.reported = state;
                return Event::Changed(state);
            }
            if let Some(event) = self.wait(state).await {
                return event;
            }
        }
    }

    /// Goes back to what is still in the log, if that has lost its last entries.
    fn recall(&mut self) {
        let Content::Running(conversation) = &self.session.content else {
            return;
        };
        if self.cursor.recall(&conversation.teller()) {
            // Others may have their numbers.
            self.own.clear();
        }
    }

    /// Waits for a change, an interim or figures. Returns `None` for a change.
    async fn wait(&mut self, state: State) -> Option<Event> {
        let now = self.session.hub.wall.now();
        let expires = state.expires.filter(|_| state.status != Status::Expired);
        let expiry = async {
            match expires {
                Some(expires) => sleep(until(expires, now)).await,
                None => std::future::pending().await,
            }
        };
        let deletion = async {
            let is_news = |deleted: &bool| *deleted && !state.is_deleted;
            // The sender is in the session, so the wait cannot fail before.
            drop(self.deleted.wait_for(is_news).await);
        };
        let change = async {
            // A conversation that is let go changes no more.
            let changed = match &mut self.changes {
                Some(changes) => changes.changed().await.is_ok(),
                None => false,
            };
            if !changed {
                std::future::pending::<()>().await;
            }
        };
        let hint = async {
            loop {
                let Some(hints) = &mut self.hints else {
                    return std::future::pending().await;
                };
                match hints.recv().await {
                    Ok(hint) => return hint,
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => self.hints = None,
                }
            }
        };
        let tallied = async {
            loop {
                let Some(tallied) = &mut self.tallied else {
                    return std::future::pending().await;
                };
                if tallied.changed().await.is_err() {
                    self.tallied = None;
                    continue;
                }
                let last = tallied.borrow_and_update().clone();
                if let Some(last) = last {
                    return last;
                }
            }
        };
        tokio::select! {
            biased;
            () = change => None,
            () = deletion => None,
            () = expiry => None,
            hint = hint => Some(Event::Interim(hint)),
            tallied = tallied => Some(Event::Analytics(tallied)),
        }
    }

    /// Returns the next entries up to the one with the number `head`. None if the log has
    /// only entries of unknown kinds there.
    async fn entries(&mut self, head: u64) -> Result<Vec<Seen>, SessionError> {
        let remembered = match &self.session.content {
            Content::Running(conversation) => conversation.teller().since(self.cursor.seq),
            Content::Over { .. } => None,
        };
        let mut entries = match remembered {
            Some(entries) => entries,
            None => {
                let session = &self.session;
                let (log, number) = (Arc::clone(&session.hub.log), session.conversation);
                let after = self.cursor.seq;
                let read = move || log.read(number, after, PAGE);
                session.hub.workers.run(read).await??
            }
        };
        entries.truncate(PAGE);
        entries.retain(|entry| entry.seq <= head);
        self.cursor.seq = entries.last().map_or(head, |entry| entry.seq);
        let seen = entries.into_iter().map(|entry| Seen {
            own: self.own.remove(&entry.seq),
            entry,
        });
        Ok(seen.collect())
    }
}

#[cfg(test)]
mod tests;
