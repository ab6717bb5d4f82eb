// SPDX-License-Identifier: MPL-2.0

//! The log that the nodes share, and an auditor of it.
//!
//! The rules are those of the service: `symbl_log::cluster`. The auditor keeps its own account
//! of each append and trusts none of them.

use crate::invariants::Broken;
use crate::service::{Final, Heard};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use symbl_client::session::Time;
use symbl_log::cluster::{
    Begun, Cluster, Ended, Entry, Fenced, Joined, Kind, Said, Start, StreamStart, Verdict, Wanted,
};
use symbl_log::fence;
use symbl_log::teller::Numbered;
use symbl_protocol::StreamPlace;

/// A node that was not heard of for so long is gone.
pub const LEASE: i64 = 5_000_000_000;

/// The only connection id.
const CONNECTION: &str = "talk";

/// The time of the database at the beginning of a run.
const ZERO: i64 = 1_700_000_000_000_000_000;

/// Returns a time as the database counts it.
pub fn stamp(now: Time) -> i64 {
    ZERO + i64::try_from(now.as_nanos()).unwrap_or(i64::MAX - ZERO)
}

/// An entry with its body.
#[derive(Debug)]
pub struct Written {
    pub seq: u64,
    pub body: Body,
}

#[derive(Debug)]
pub enum Body {
    Of(Kind),
    Said(Arc<Final>),
}

impl Numbered for Written {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn bytes(&self) -> usize {
        // A teller remembers about twenty of them.
        3000
    }
}

/// What a start request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Starting {
    /// `None` for a client that names no stream.
    pub place: Option<StreamPlace>,
    pub member: &'static str,
    /// It wants a new conversation, whatever goes on.
    pub anew: bool,
}

/// Finals that a client may not have.
type Finals = Vec<Arc<Final>>;

/// What became of a final.
#[derive(Debug, Clone)]
pub enum Saying {
    Stored(Arc<Final>),
    Refused(fence::Refusal),
}

#[derive(Debug, Default)]
pub struct Database {
    rules: Cluster,
    logs: BTreeMap<i64, Vec<Arc<Written>>>,
    last: i64,
    keep: i64,
    /// When each node was heard of, and those that are gone.
    heard_of: HashMap<String, i64>,
    gone: HashSet<String>,
    /// The latest attempt of each stream in a conversation.
    attempts: HashMap<(i64, String), u64>,
    words: HashSet<(i64, u16)>,
    /// The first fault that the auditor found.
    broken: Option<Broken>,
}

impl Database {
    pub fn new(keep: i64) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// Returns a new id.
    pub fn next(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    fn broken(&mut self, promise: &'static str, how: String) {
        self.broken.get_or_insert(Broken { promise, how });
    }

    /// Returns the first fault that the auditor found.
    pub fn check(&self) -> Result<(), Broken> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    pub fn enter(&mut self, node: &str, now: Time) {
        self.rules.enter(node, stamp(now));
        self.heard_of.insert(node.to_owned(), stamp(now));
    }

    /// Notes a sign of life. Returns `false` if the node was declared gone.
    pub fn beat(&mut self, node: &str, now: Time) -> bool {
        self.heard_of.insert(node.to_owned(), stamp(now));
        self.rules.beat(node, stamp(now))
    }

    /// Sweeps up after nodes that are gone. Returns `true` if there are new entries.
    pub fn sweep(&mut self, now: Time) -> bool {
        let now = stamp(now);
        for node in self.rules.declare_gone(LEASE, now) {
            let silent = now - self.heard_of.get(&node).copied().unwrap_or(0);
            if silent <= LEASE {
                let how = format!("{node} is declared gone after {silent} ns");
                self.broken("a_node_that_is_heard_of_is_not_gone", how);
            }
            self.gone.insert(node);
        }
        let closed = self.rules.unseat(now);
        let ended = self.rules.end(now);
        let is_new = !closed.is_empty() || !ended.is_empty();
        for (id, entry) in closed {
            self.note(id, vec![entry]);
        }
        for (id, entries) in ended {
            self.note(id, entries);
        }
        is_new
    }

    /// Returns the conversation of a start request, and gives the node a seat in it.
    pub fn join(&mut self, me: &str, anew: bool, now: Time) -> Result<i64, Fenced> {
        let new = self.next();
        let wanted = Wanted {
            connection: CONNECTION,
            new: Some(new),
            anew,
            // Its nodes say nothing of sockets that are being closed.
            regardless: true,
        };
        match self.rules.join(me, &wanted, stamp(now))? {
            Joined::Known { conversation, .. } => Ok(conversation),
            Joined::New | Joined::None | Joined::Closing => Ok(new),
        }
    }

    /// Writes a start request. Returns what became of it, with the finals that the client may
    /// not have.
    pub fn start(
        &mut self,
        me: &str,
        id: i64,
        starting: &Starting,
        again: bool,
    ) -> Result<Option<(u64, Finals)>, Fenced> {
        let place = starting.place.as_ref();
        let start = Start {
            conversation: id,
            connection: CONNECTION,
            keep: self.keep,
            ends: None,
            member: Some((starting.member, None)),
            stream: place.map(|place| StreamStart {
                stream: &place.id,
                attempt: place.attempt,
                position: place.position,
            }),
            again,
        };
        let (begun, entries) = self.rules.start(me, &start)?;
        self.note(id, entries);
        let Begun::Here {
            said_until,
            unheard,
        } = begun
        else {
            return Ok(None);
        };
        if let Some(place) = place {
            let latest = self.attempts.entry((id, place.id.clone())).or_default();
            let was = std::mem::replace(latest, place.attempt);
            if was > place.attempt {
                let how = format!("{place:?} begins after attempt {was}");
                self.broken("only_the_latest_attempt_writes", how);
            }
        }
        let log = self.logs.get(&id).into_iter().flatten();
        let finals = log.filter(|entry| unheard.contains(&entry.seq));
        let finals = finals.filter_map(|entry| match &entry.body {
            Body::Said(said) => Some(Arc::clone(said)),
            Body::Of(_) => None,
        });
        Ok(Some((said_until, finals.collect())))
    }

    /// Appends a final.
    pub fn say(&mut self, me: &str, id: i64, said: &Final, again: bool) -> Result<Saying, Fenced> {
        let asked = Said {
            message: said.id,
            part: said.place.as_ref().map(|place| {
                let part = fence::Part {
                    attempt: place.attempt,
                    from: said.words.first().map_or(0, |word| word.start),
                    until: said.words.last().map_or(0, |word| word.end),
                };
                (place.id.as_str(), part)
            }),
            again,
        };
        let (seq, number) = match self.rules.append(me, id, &asked)? {
            Verdict::Refused(refusal) => return Ok(Saying::Refused(refusal)),
            Verdict::Stored { seq, number } => (seq, number),
        };
        let log = self.logs.entry(id).or_default();
        if let Some(known) = log.iter().find(|entry| entry.seq == seq) {
            let Body::Said(said) = &known.body else {
                unreachable!("a final's number is that of another entry");
            };
            return Ok(Saying::Stored(Arc::clone(said)));
        }
        let finals = log
            .iter()
            .filter(|entry| matches!(entry.body, Body::Said(_)));
        let expected = finals.count() as u64;
        if number != expected {
            let how = format!("final {number} after {expected} others");
            self.broken("numbers_have_no_hole", how);
        }
        self.audit(me, id, said);
        let mut said = said.clone();
        said.number = number;
        let said = Arc::new(said);
        self.append(id, seq, Body::Said(Arc::clone(&said)));
        Ok(Saying::Stored(said))
    }

    /// Checks a final that is stored.
    fn audit(&mut self, me: &str, id: i64, said: &Final) {
        if self.gone.contains(me) {
            let how = format!("{me} has said {:?}", said.words);
            self.broken("a_node_that_is_gone_writes_nothing", how);
        }
        if let Some(place) = &said.place {
            let latest = self.attempts.get(&(id, place.id.clone())).copied();
            if latest != Some(place.attempt) {
                let how = format!("{:?} of {place:?}, after {latest:?}", said.words);
                self.broken("only_the_latest_attempt_writes", how);
            }
        }
        for Heard { word, .. } in &said.words {
            if !self.words.insert((id, *word)) {
                let how = format!("word {word} is twice in conversation {id}");
                self.broken("each_word_is_in_the_log_once", how);
            }
        }
    }

    /// Notes that a node has no speaker in the conversation any more, which is over at once or
    /// later.
    pub fn part(&mut self, me: &str, id: i64, at_once: bool, now: Time) -> Result<bool, Fenced> {
        let at = stamp(now);
        let entries = match at_once {
            true => match self.rules.over(me, id, at, true, at)? {
                Ended::GoesOn => Vec::new(),
                Ended::Over(entries) => entries,
            },
            false => {
                let ends = at + self.keep * 1_000_000_000;
                self.rules.close(me, id, ends)?.into_iter().collect()
            }
        };
        let others = self.rules.seats(id).filter(|node| *node != me).count();
        if others > 0 && !entries.is_empty() {
            let how = format!("{me} has left {id}, which {others} other nodes are in");
            self.broken("a_conversation_goes_on_where_somebody_is", how);
        }
        let is_new = !entries.is_empty();
        self.note(id, entries);
        Ok(is_new)
    }

    /// Returns the conversations in which a node has a seat.
    pub fn seats_of(&self, me: &str) -> Vec<i64> {
        self.rules.seats_of(me).collect()
    }

    /// Gives up a seat that a node does not use.
    pub fn vacate(&mut self, me: &str, id: i64, now: Time) -> Result<(), Fenced> {
        let entry = self.rules.vacate(me, id, stamp(now))?;
        self.note(id, entry.into_iter().collect());
        Ok(())
    }

    fn note(&mut self, id: i64, entries: Vec<Entry>) {
        for Entry { seq, kind } in entries {
            self.append(id, seq, Body::Of(kind));
        }
    }

    fn append(&mut self, id: i64, seq: u64, body: Body) {
        let log = self.logs.entry(id).or_default();
        let last = log.last().map_or(0, |entry| entry.seq);
        let is_over = log
            .last()
            .is_some_and(|entry| matches!(entry.body, Body::Of(Kind::Over)));
        let what = format!("{body:?}");
        log.push(Arc::new(Written { seq, body }));
        if seq != last + 1 {
            let how = format!("entry {seq} after {last}: {what}");
            self.broken("numbers_have_no_hole", how);
        }
        if is_over {
            let how = format!("entry {seq} of {id}: {what}");
            self.broken("nothing_is_written_after_the_end", how);
        }
    }

    /// Returns the number of the last entry.
    pub fn head(&self, id: i64) -> u64 {
        let log = self.logs.get(&id).and_then(|log| log.last());
        log.map_or(0, |entry| entry.seq)
    }

    /// Returns the entries after one number up to another.
    pub fn read(&self, id: i64, after: u64, up_to: u64) -> Vec<Arc<Written>> {
        let log = self.logs.get(&id).into_iter().flatten();
        let some = log.filter(|entry| entry.seq > after && entry.seq <= up_to);
        some.cloned().collect()
    }

    /// Returns the conversations that were begun.
    pub fn conversations(&self) -> impl Iterator<Item = i64> {
        self.logs.keys().copied()
    }

    /// Returns the latest conversation, over or not.
    pub fn latest(&self) -> Option<i64> {
        self.logs.keys().last().copied()
    }

    /// Returns `true` if a conversation is over.
    pub fn is_over(&self, id: i64) -> bool {
        let conversation = self.rules.conversation(id);
        conversation.is_none_or(|conversation| conversation.ended.is_some())
    }
}
