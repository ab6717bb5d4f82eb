// SPDX-License-Identifier: MPL-2.0

//! A log in memory, for tests. It passes the same suite as the service's stores:
//! `store::contract`.

use super::entry::{Body, Entry, Part, Sent, Speaker, Transcribed};
use super::log::{
    Begun, Committed, Log, LogError, OpenConversation, Sending, SessionRecord, StartRecord, Verdict,
};
use super::registry::Registry;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use symbl_log::fence::{self, Stream};

#[derive(Debug, Default)]
pub(crate) struct MemoryLog {
    /// What knows of other nodes, if there are any.
    pub(crate) registry: Option<Box<dyn Registry>>,
    /// The names of the threads that have read, in order.
    pub(crate) readers: Mutex<Vec<Option<String>>>,
    logs: Mutex<HashMap<i64, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    account: String,
    connection_id: String,
    session: String,
    opened: i64,
    keep: i64,
    ends: Option<i64>,
    ended: Option<i64>,
    zero: Option<i64>,
    number: u64,
    entries: Vec<Arc<Entry>>,
    members: Vec<Speaker>,
    streams: HashMap<String, Stream>,
}

impl Kept {
    fn append(&mut self, at: i64, body: Body) -> Arc<Entry> {
        let seq = self.entries.len() as u64 + 1;
        let entry = Arc::new(Entry { seq, at, body });
        self.entries.push(Arc::clone(&entry));
        entry
    }

    fn is_here(&self, id: &str) -> bool {
        let last = self
            .entries
            .iter()
            .rev()
            .find_map(|entry| match &entry.body {
                Body::Member(speaker) if speaker.id == id => Some(true),
                Body::Left(speaker) if speaker.id == id => Some(false),
                _ => None,
            });
        last.unwrap_or(false)
    }

    fn left(&mut self, at: i64, here: &[String]) -> Vec<Arc<Entry>> {
        let mut gone = self.members.clone();
        gone.retain(|member| !here.contains(&member.id) && self.is_here(&member.id));
        let gone = gone.into_iter();
        gone.map(|member| self.append(at, Body::Left(member)))
            .collect()
    }
}

impl MemoryLog {
    fn logs(&self) -> MutexGuard<'_, HashMap<i64, Kept>> {
        self.logs.lock().expect("no test panics here")
    }

    fn change(&self, conversation: i64, change: impl FnOnce(&mut Kept)) {
        if let Some(kept) = self
            .logs()
            .get_mut(&conversation)
            .filter(|kept| kept.ended.is_none())
        {
            change(kept);
        }
    }
}

impl Log for MemoryLog {
    fn registry(&self) -> Option<&dyn Registry> {
        self.registry.as_deref()
    }

    fn begin(&self, start: StartRecord, committed: Committed) -> Result<Begun, LogError> {
        let mut logs = self.logs();
        let kept = logs.entry(start.conversation).or_default();
        let mut new = Vec::new();
        if kept.entries.is_empty() {
            let title = start.title.clone();
            new.push(kept.append(start.at, Body::Opened { title }));
            (kept.session, kept.opened) = (start.session, start.at);
        }
        kept.account = start.account;
        kept.connection_id = start.connection_id;
        (kept.keep, kept.ends) = (start.keep, start.ends);
        if let Some(speaker) = start.speaker
            && !(kept.members.contains(&speaker) && kept.is_here(&speaker.id))
        {
            kept.members.retain(|known| known.id != speaker.id);
            kept.members.push(speaker.clone());
            new.push(kept.append(start.at, Body::Member(speaker)));
        }
        let mut begun = Begun::Here {
            said_until: 0,
            unheard: Vec::new(),
        };
        if let Some(at) = start.stream_position {
            let known = kept.streams.get(&at.stream).copied();
            begun = Begun::Superseded;
            if let Some(stream) = fence::begin(known, at.attempt, false) {
                let is_unheard = |entry: &&Arc<Entry>| {
                    let part = entry.body.said().and_then(|said| said.part.as_ref());
                    let part = part.filter(|part| part.stream == at.stream);
                    part.is_some_and(|part| part.until > at.position)
                };
                begun = Begun::Here {
                    said_until: stream.said_until,
                    unheard: kept.entries.iter().filter(is_unheard).cloned().collect(),
                };
                kept.streams.insert(at.stream, stream);
            }
        }
        committed(&new);
        Ok(begun)
    }

    fn append(
        &self,
        conversation: i64,
        mut said: Transcribed,
        committed: Committed,
    ) -> Result<Verdict, LogError> {
        let mut logs = self.logs();
        let unknown = || LogError("no such conversation".to_owned());
        let kept = logs.get_mut(&conversation).ok_or_else(unknown)?;
        let part = said.part.as_ref();
        let stream = part.and_then(|part| kept.streams.get_mut(&part.stream));
        let heard = part.map(Part::heard);
        if let Err(refusal) = fence::admit(kept.ended.is_some(), stream.as_deref(), heard.as_ref())
        {
            return Ok(refusal.into());
        }
        if let (Some(stream), Some(part)) = (stream, part) {
            stream.said(part.until);
        }
        said.number = kept.number;
        said.zero = *kept.zero.get_or_insert(said.start);
        kept.number += 1;
        let entry = kept.append(0, Body::Said(Box::new(said)));
        committed(std::slice::from_ref(&entry));
        Ok(Verdict::Stored(entry.seq))
    }

    fn send(
        &self,
        conversation: i64,
        sent: Sent,
        ends: Option<i64>,
        committed: Committed,
    ) -> Result<Sending, LogError> {
        let mut logs = self.logs();
        let unknown = || LogError("no such conversation".to_owned());
        let kept = logs.get_mut(&conversation).ok_or_else(unknown)?;
        for entry in &kept.entries {
            if let Body::Sent(known) = &entry.body
                && known.client_id == sent.client_id
            {
                return Ok(match sent.is_again(known) {
                    true => Sending::Already(entry.seq),
                    false => Sending::Taken,
                });
            }
        }
        let has = |message: i64| {
            let finals = kept.entries.iter().filter_map(|entry| entry.body.said());
            let mut messages = finals.flat_map(|said| &said.messages);
            messages.any(|known| known.id == message)
        };
        if sent.corrects.is_some_and(|message| !has(message)) {
            return Ok(Sending::NoSuchMessage);
        }
        if kept.ended.is_some() {
            return Ok(Sending::Over);
        }
        kept.ends = kept.ends.max(ends.filter(|_| kept.ends.is_some()));
        let entry = kept.append(0, Body::Sent(sent));
        committed(std::slice::from_ref(&entry));
        Ok(Sending::Stored(entry.seq))
    }

    fn session(&self, account: &str, session: &str) -> Result<Option<SessionRecord>, LogError> {
        let logs = self.logs();
        let is_it = |(_, kept): &(&i64, &Kept)| kept.account == account && kept.session == session;
        let found = logs.iter().find(is_it);
        Ok(found.map(|(id, kept)| SessionRecord {
            conversation: *id,
            connection_id: kept.connection_id.clone(),
            opened: kept.opened,
            over: kept.ended,
            head: kept.entries.len() as u64,
        }))
    }

    fn read(
        &self,
        conversation: i64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, LogError> {
        let reader = std::thread::current().name().map(str::to_owned);
        self.readers.lock().expect("a lock").push(reader);
        let logs = self.logs();
        let entries = logs
            .get(&conversation)
            .into_iter()
            .flat_map(|kept| &kept.entries);
        let later = entries.filter(|entry| entry.seq > after);
        Ok(later.take(limit).cloned().collect())
    }

    fn entry_of(&self, conversation: i64, number: i64) -> Result<u64, LogError> {
        let entries = self.read(conversation, 0, usize::MAX)?;
        let is_its = |entry: &&Arc<Entry>| {
            let said = entry.body.said();
            said.is_some_and(|said| i64::try_from(said.number).is_ok_and(|its| its <= number))
        };
        Ok(entries.iter().rfind(is_its).map_or(0, |entry| entry.seq))
    }

    fn keep(&self, conversation: i64, keep: i64) {
        self.change(conversation, |kept| kept.keep = keep);
    }

    fn close(&self, conversation: i64, ends: i64) {
        self.change(conversation, |kept| {
            kept.ends = Some(ends);
            kept.append(0, Body::Closed { ends });
        });
    }

    fn left(&self, conversation: i64, here: Vec<String>, committed: Committed) {
        let mut entries = Vec::new();
        self.change(conversation, |kept| entries = kept.left(0, &here));
        committed(&entries);
    }

    fn finish(&self, conversation: i64, at: i64, committed: Committed) {
        let mut entries = Vec::new();
        self.change(conversation, |kept| {
            entries = kept.left(at, &[]);
            entries.push(kept.append(at, Body::Over));
            kept.ended = Some(at);
        });
        committed(&entries);
    }

    fn reopen(&self, conversation: i64, ends: i64) -> Result<Option<OpenConversation>, LogError> {
        let mut logs = self.logs();
        let kept = logs.get_mut(&conversation);
        Ok(kept.map(|kept| {
            (kept.ended, kept.ends) = (None, Some(ends));
            kept.open(conversation)
        }))
    }

    fn still_open(&self) -> Result<Vec<OpenConversation>, LogError> {
        let logs = self.logs();
        let open = logs.iter().filter(|(_, kept)| kept.ended.is_none());
        Ok(open.map(|(id, kept)| kept.open(*id)).collect())
    }
}

impl Kept {
    fn open(&self, id: i64) -> OpenConversation {
        OpenConversation {
            id,
            account: self.account.clone(),
            connection_id: self.connection_id.clone(),
            session: self.session.clone(),
            opened: self.opened,
            zero: self.zero,
            head: self.entries.len() as u64,
            keep: self.keep,
            ends: self.ends.unwrap_or(i64::MAX),
            latest: None,
            members: self.members.clone(),
        }
    }
}
