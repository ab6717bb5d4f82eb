// SPDX-License-Identifier: MPL-2.0

//! The wire form of sessions: entries of the log as events. Pure.
//!
//! An entry is rendered once for all sockets ([`RenderCache`]). Live and history have the same
//! payloads, but for a text that a client sent: live it is `message:send:sync` for the others,
//! and in a history `message:send` for all.

use crate::conversation::attribution::Attribution;
use crate::conversation::entry::{Body, Entry, Insight, Sent, Speaker, Transcribed};
use crate::conversation::session::{Hint, Session, State, Status};
use crate::conversation::tally::Tallied;
use crate::door::analytics::live_analytics;
use crate::hearing::draft::local;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// The language of questions, action items and the like: the analysis knows English.
const LANGUAGE: &str = "en";

/// An event of an entry.
#[derive(Debug)]
pub(super) struct Rendered {
    /// Its name and payload where it is sent as it happens.
    live: (&'static str, Box<RawValue>),
    /// The same in a history, where that differs.
    past: Option<(&'static str, Box<RawValue>)>,
}

impl Rendered {
    /// Returns the name and the payload for a socket that is sent the entry as it happens.
    pub(super) fn live(&self) -> (&'static str, &RawValue) {
        (self.live.0, &self.live.1)
    }

    fn past(&self) -> (&'static str, &RawValue) {
        let (name, payload) = self.past.as_ref().unwrap_or(&self.live);
        (name, payload)
    }
}

/// The events of one entry, rendered at most once.
#[derive(Debug, Default)]
pub(super) struct EntryEvents(OnceLock<Vec<Rendered>>);

impl EntryEvents {
    fn of(&self, entry: &Entry, about: &About) -> &[Rendered] {
        self.0.get_or_init(|| render(entry, about))
    }
}

/// What the payloads of a session say about it.
#[derive(Debug, Clone)]
struct About {
    session_id: Arc<str>,
    conversation: i64,
}

/// Most entries of a session that are kept rendered.
const KEPT: usize = 1_024;

/// The rendered entries of one session.
#[derive(Debug)]
pub(super) struct RenderCache {
    about: About,
    /// The newest ones.
    by_entry: Mutex<BTreeMap<u64, Arc<EntryEvents>>>,
}

impl RenderCache {
    fn new(about: About) -> Self {
        let by_entry = Mutex::default();
        Self { about, by_entry }
    }

    /// Returns the events of an entry, rendered now if no socket has wanted them yet.
    pub(super) fn show(&self, entry: &Entry) -> Arc<Shown> {
        let events = self.events(entry.seq);
        // Without the lock of the others: one socket renders, and those that want the same
        // entry wait for it.
        events.of(entry, &self.about);
        Arc::new(Shown(events))
    }

    fn events(&self, seq: u64) -> Arc<EntryEvents> {
        let mut by_entry = self.by_entry.lock().unwrap_or_else(PoisonError::into_inner);
        let first = by_entry.first_key_value();
        // An entry before the newest ones is not kept.
        if by_entry.len() >= KEPT && first.is_some_and(|(first, _)| seq < *first) {
            return Arc::default();
        }
        let events = Arc::clone(by_entry.entry(seq).or_default());
        while by_entry.len() > KEPT {
            by_entry.pop_first();
        }
        events
    }

    /// Returns a history of these entries.
    pub(super) fn history(&self, entries: &[Arc<Entry>]) -> History {
        History(entries.iter().map(|entry| self.show(entry)).collect())
    }

    /// Returns the event of an interim.
    pub(super) fn interim(&self, hint: &Hint, now: i64) -> Option<Box<RawValue>> {
        let payload = json!({
            "session_id": *self.about.session_id,
            "utterance_id": format!("{}-{}", hint.speaker.id, hint.start),
            "from": person(&hint.speaker),
            "body": { "text": hint.text },
            "stable": hint.stable,
            "start": millis(hint.start),
            "timestamp": millis(now),
        });
        to_raw_value(&payload).ok()
    }

    /// Returns the event of the figures of the talk.
    pub(super) fn analytics(&self, tallied: &Tallied, now: i64) -> Option<Box<RawValue>> {
        let mut payload = live_analytics(tallied);
        payload["session_id"] = json!(*self.about.session_id);
        payload["timestamp"] = json!(millis(now));
        to_raw_value(&payload).ok()
    }

    /// Returns what a session's state is now.
    pub(super) fn state(&self, state: &State, now: i64) -> Value {
        let mut payload = json!({
            "session_id": *self.about.session_id,
            "status": status(state.status),
            "speakers": state.speakers,
            "timestamp": millis(now),
        });
        if state.is_deleted {
            payload["deleted"] = json!(true);
        }
        payload
    }
}

/// The events of an entry.
#[derive(Debug)]
pub(super) struct Shown(Arc<EntryEvents>);

impl Shown {
    pub(super) fn events(&self) -> &[Rendered] {
        self.0.0.get().map_or(&[], Vec::as_slice)
    }
}

/// The caches of all sessions that sockets have joined.
#[derive(Debug, Default)]
pub(super) struct RenderCaches(Mutex<HashMap<i64, Weak<RenderCache>>>);

impl RenderCaches {
    /// Returns the cache of a session.
    pub(super) fn of(&self, session: &Session) -> Arc<RenderCache> {
        let mut caches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = caches.get(&session.conversation).and_then(Weak::upgrade);
        if let Some(known) = known {
            return known;
        }
        caches.retain(|_, cache| cache.strong_count() > 0);
        let cache = Arc::new(RenderCache::new(About {
            session_id: Arc::clone(&session.id),
            conversation: session.conversation,
        }));
        caches.insert(session.conversation, Arc::downgrade(&cache));
        cache
    }
}

/// A history: an array of names and payloads.
#[derive(Debug)]
pub(super) struct History(Vec<Arc<Shown>>);

impl Serialize for History {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let events = || self.0.iter().flat_map(|shown| shown.events());
        let mut list = to.serialize_seq(Some(events().count()))?;
        for event in events() {
            list.serialize_element(&event.past())?;
        }
        list.end()
    }
}

/// Returns the word for a status.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Closed => "closed",
        Status::Expired => "expired",
    }
}

/// Returns what `session:created` and `session:reconnected` say: all members of the published
/// protocol. Those that this service has nothing for are `null`.
pub(super) fn details(
    session: &Session,
    account: &str,
    integration: Option<&str>,
    name: Option<&str>,
) -> Value {
    let (state, timeouts) = (session.state(), session.timeouts());
    let seconds = |time: Duration| time.as_secs();
    json!({
        "session_id": *session.id,
        "inactivity_timeout_seconds": seconds(timeouts.inactivity),
        "is_service_desk": false,
        "is_conversation": true,
        "is_handover": false,
        "assignee_agent_id": null,
        "assignee_brain_id": null,
        "keep_alive": seconds(timeouts.keep_alive),
        "status": status(state.status),
        "assignee_collection_id": null,
        "source": {
            "integration_id": integration,
            "channel": "web",
            "opt_out": false,
            "is_test": false,
            // The application's id is no secret of a link's bearer, and no UUID.
            "account_id": uuid_of(&format!("account/{account}")),
            "brain_id": null,
            "brain_parent_id": null,
            "brain_version": null,
            "desk_id": null,
            "session_timeout": seconds(timeouts.total),
            "account_slug": null,
            "department_id": null,
        },
        "context": { "user": { "display_name": name, "phone": null, "email": null } },
        "conversation_id": session.conversation.to_string(),
        "connection_id": *session.connection_id,
        "speakers": state.speakers,
        "seq": state.head,
    })
}

/// Returns the person that a text of this client is from: the same after each reconnect.
pub(super) fn author(session: &Session, name: Option<&str>, user_id: Option<&str>) -> Speaker {
    let is = user_id.or(name).unwrap_or_default();
    let who = format!("{}/author/{is}", session.id);
    Speaker {
        id: uuid_of(&who),
        user_id: user_id.map(str::to_owned),
        name: name.map(str::to_owned),
    }
}

/// Returns how payloads name a person.
pub(super) fn person(speaker: &Speaker) -> Value {
    json!({ "agent_id": speaker.id, "agent_name": speaker.name, "team_id": null })
}

/// Returns the UUID that always stands for this text.
fn uuid_of(text: &str) -> String {
    Uuid::new_v5(&Uuid::nil(), text.as_bytes()).to_string()
}

fn millis(nanos: i64) -> i64 {
    nanos / 1_000_000
}

/// Returns the events of an entry. Entries that are not content have none.
fn render(entry: &Entry, about: &About) -> Vec<Rendered> {
    match &entry.body {
        Body::Opened { .. } | Body::Closed { .. } | Body::Over => Vec::new(),
        Body::Member(speaker) => vec![joined(entry, about, speaker, false)],
        Body::Renamed(speaker) => vec![joined(entry, about, speaker, true)],
        Body::Left(speaker) => vec![left(entry, about, speaker)],
        Body::Said(said) => said_events(entry, about, said),
        Body::Sent(sent) => vec![sent_event(entry, about, sent)],
        Body::Attributed(all) => vec![attributed(entry, about, all)],
    }
    .into_iter()
    .flatten()
    .collect()
}

/// Returns an event, unless its payload cannot be written as JSON.
fn event(name: &'static str, payload: &Value) -> Option<Rendered> {
    let payload = to_raw_value(payload).ok()?;
    Some(Rendered {
        live: (name, payload),
        past: None,
    })
}

/// Returns a payload with the members of every event of an entry around its own.
fn payload(entry: &Entry, about: &About, own: Value) -> Value {
    let mut all = Map::new();
    all.insert("session_id".to_owned(), json!(*about.session_id));
    if let Value::Object(own) = own {
        all.extend(own);
    }
    all.insert("timestamp".to_owned(), json!(millis(entry.at)));
    all.insert("event_id".to_owned(), json!(entry.seq.to_string()));
    all.insert("seq".to_owned(), json!(entry.seq));
    Value::Object(all)
}

/// Returns how payloads name a member of the conversation.
fn member(speaker: &Speaker) -> Value {
    json!({ "id": speaker.id, "name": speaker.name, "user_id": speaker.user_id })
}

fn left(entry: &Entry, about: &About, speaker: &Speaker) -> Option<Rendered> {
    let own = json!({ "member": member(speaker) });
    event("conversation:member_left", &payload(entry, about, own))
}

fn joined(entry: &Entry, about: &About, speaker: &Speaker, is_renamed: bool) -> Option<Rendered> {
    let mut own = json!({ "member": member(speaker) });
    if is_renamed {
        own["renamed"] = json!(true);
    }
    event("conversation:member_joined", &payload(entry, about, own))
}

fn attributed(entry: &Entry, about: &About, all: &[Attribution]) -> Option<Rendered> {
    let attributions = all.iter().map(|one| {
        let ids = one.messages.iter().map(ToString::to_string);
        json!({
            "member": member(&one.speaker),
            "message_ids": ids.collect::<Vec<_>>(),
        })
    });
    let own = json!({ "attributions": attributions.collect::<Vec<_>>() });
    event("conversation:attributed", &payload(entry, about, own))
}

fn said_events(entry: &Entry, about: &About, said: &Transcribed) -> Vec<Option<Rendered>> {
    let messages = said.messages.iter().map(|message| {
        let (start, end) = said.span_of(message);
        let words = said.words_of(message).iter().map(|word| {
            json!({
                "word": word.text,
                "start": millis(said.wall(word.start)),
                "end": millis(said.wall(word.end)),
            })
        });
        let own = json!({
            "from": person(&said.speaker),
            "to": { "user_id": null },
            "body": { "text": message.text },
            "message_id": message.id.to_string(),
            "conversation_id": about.conversation.to_string(),
            "start": millis(start),
            "end": millis(end),
            "words": words.collect::<Vec<_>>(),
        });
        event("message:received", &payload(entry, about, own))
    });
    let insights = said.insights.iter().map(|found| insight(said, found));
    let topics = said.topics.iter().map(|topic| {
        let symbl = json!({
            "kind": "topic",
            "id": topic.id.to_string(),
            "text": topic.text,
            "score": topic.score,
            "message_ids": topic.messages,
        });
        (topic.text.clone(), symbl)
    });
    let trackers = said.trackers.iter().map(|found| {
        let symbl = json!({
            "kind": "tracker",
            "id": found.tracker_id,
            "text": found.text,
            "score": null,
            "name": found.name,
            "value": found.value,
            "message_id": found.message.to_string(),
        });
        (format!("Tracker: {} - {}", found.name, found.value), symbl)
    });
    let found = insights.chain(topics).chain(trackers).enumerate();
    let found = found.map(|(index, (text, symbl))| {
        // The same in each rendering, also after a restart.
        let id = format!("{}/{}/{index}", about.conversation, entry.seq);
        let own = json!({
            "output": { "responses": [{ "type": "text", "text": text }] },
            "brain_language": LANGUAGE,
            "request_id": uuid_of(&id),
            "symbl": symbl,
        });
        event("message:brain_received", &payload(entry, about, own))
    });
    messages.chain(found).collect()
}

/// Returns the text of an insight, and what else is known of it.
fn insight(said: &Transcribed, found: &Insight) -> (String, Value) {
    let mut symbl = json!({
        "kind": found.kind,
        "id": found.id.to_string(),
        "text": found.text,
        "score": found.score,
        "message_id": found.message.to_string(),
    });
    let assignee = match found.by_speaker {
        true => said.speaker.name.as_deref(),
        false => found.assignee.as_deref(),
    };
    if let Some(assignee) = assignee {
        symbl["assignee"] = json!(assignee);
    }
    let due = found.due.map(|due| local(due, said.timezone_offset));
    if let Some(due) = due.and_then(|due| due.format(&Rfc3339).ok()) {
        symbl["due"] = json!(due);
    }
    (found.text.clone(), symbl)
}

fn sent_event(entry: &Entry, about: &About, sent: &Sent) -> Option<Rendered> {
    let mut input = json!({ "text": sent.text });
    if let Some(corrects) = sent.corrects {
        input["corrects"] = json!(corrects.to_string());
    }
    let from = person(&sent.from);
    let live = json!({
        "from": from,
        "to": { "user_id": null },
        "body": { "text": sent.text },
        "input": input,
        "client_id": sent.client_id,
    });
    let past = json!({ "input": input, "from": from, "client_id": sent.client_id });
    let live = event("message:send:sync", &payload(entry, about, live))?;
    let past = to_raw_value(&payload(entry, about, past)).ok()?;
    Some(Rendered {
        past: Some(("message:send", past)),
        ..live
    })
}
