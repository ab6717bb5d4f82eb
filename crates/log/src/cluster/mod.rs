// SPDX-License-Identifier: MPL-2.0

//! What the nodes of a cluster share, as rules: nodes and their leases, conversations and who
//! is in them, and the numbers of entries.
//!
//! Each call is one transaction. Bodies of entries are the caller's: this module gives them
//! their place. Times are nanoseconds since the Unix epoch by one clock, which is that of the
//! database.

mod join;
mod write;

pub use join::{Joined, Wanted};
pub use write::{Begun, Ended, Said, Sent, Start, StreamStart, Verdict};

use crate::fence::Stream;
use crate::planted::{Bug, planted};
use std::collections::{BTreeMap, BTreeSet};

/// How long a node that is gone is remembered, in nanoseconds.
const REMEMBERED: i64 = 86_400_000_000_000;

const SECOND: i64 = 1_000_000_000;

/// The node that writes was declared gone: nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced;

/// An entry that was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the conversation: 1, 2, 3 …
    pub seq: u64,
    /// What it says.
    pub kind: Kind,
}

/// The kinds of entries, as far as the rules tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // see the service's entries
pub enum Kind {
    Opened,
    Member(String),
    Left(String),
    Closed { ends: i64 },
    Over,
}

#[derive(Debug, Clone)]
struct Node {
    beats: i64,
    gone: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    name: Option<String>,
    here: bool,
    node: String,
}

/// A conversation, over or not.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// The number of its last entry.
    pub head: u64,
    /// The number of its finals.
    pub finals: u64,
    /// How many seconds it waits for its speakers.
    pub keep: i64,
    /// When it is over unless a speaker comes.
    pub ends: Option<i64>,
    /// When it was over.
    pub ended: Option<i64>,
    members: BTreeMap<String, Member>,
    streams: BTreeMap<String, Stream>,
    /// The entries of finals of a stream: where they end, by stream and number.
    parts: BTreeMap<(String, u64), u64>,
    /// The number of the entry, and of the final, of each message.
    messages: BTreeMap<i64, (u64, u64)>,
    /// The entry of each id that a client gave.
    sent: BTreeMap<String, u64>,
}

impl Conversation {
    /// Appends an entry and returns its number, or `None` if the conversation is over.
    fn append(&mut self) -> Option<u64> {
        if self.ended.is_some() && !planted(Bug::EndIgnored) {
            return None;
        }
        self.head += 1;
        Some(self.head)
    }

    /// Appends that these members have left.
    fn leave(&mut self, is_gone: impl Fn(&str, &str) -> bool) -> Vec<Entry> {
        let gone = self.members.iter();
        let gone = gone.filter(|(id, member)| member.here && is_gone(id, &member.node));
        let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
        let mut entries = Vec::new();
        for id in gone {
            let Some(seq) = self.append() else { break };
            if let Some(member) = self.members.get_mut(&id) {
                member.here = false;
            }
            let kind = Kind::Left(id);
            entries.push(Entry { seq, kind });
        }
        entries
    }

    /// Returns what is known of a stream.
    pub fn stream(&self, id: &str) -> Option<&Stream> {
        self.streams.get(id)
    }
}

/// What the nodes share.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    nodes: BTreeMap<String, Node>,
    /// The conversation of each connection id, which may be yet to begin.
    rooms: BTreeMap<String, i64>,
    /// Which nodes have speakers in which conversation, which may be yet to begin. `Some` if all
    /// that a node has are sockets that are being closed: until when that may take.
    seats: BTreeMap<(i64, String), Option<i64>>,
    conversations: BTreeMap<i64, Conversation>,
}

impl Cluster {
    /// Makes a node known.
    pub fn enter(&mut self, node: &str, now: i64) {
        let (beats, gone) = (now, false);
        self.nodes.insert(node.to_owned(), Node { beats, gone });
    }

    /// Notes a sign of life. Returns `false` if the node was declared gone.
    pub fn beat(&mut self, node: &str, now: i64) -> bool {
        match self.nodes.get_mut(node) {
            Some(node) if !node.gone => {
                node.beats = now;
                true
            }
            _ => false,
        }
    }

    /// Notes that a node ends.
    pub fn leave(&mut self, node: &str, now: i64) {
        if let Some(node) = self.nodes.get_mut(node) {
            (node.gone, node.beats) = (true, now);
        }
    }

    /// Returns `true` if what this node writes is taken.
    pub fn lives(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| !node.gone)
    }

    fn writes(&self, node: &str) -> Result<(), Fenced> {
        match self.lives(node) || planted(Bug::GoneNodeWrites) {
            true => Ok(()),
            false => Err(Fenced),
        }
    }

    /// Returns a conversation.
    pub fn conversation(&self, id: i64) -> Option<&Conversation> {
        self.conversations.get(&id)
    }

    /// Returns the conversation of a connection id, over or not, begun or not.
    pub fn room(&self, connection: &str) -> Option<i64> {
        self.rooms.get(connection).copied()
    }

    /// Returns the nodes with speakers in a conversation.
    pub fn seats(&self, conversation: i64) -> impl Iterator<Item = &str> {
        let seats = self.seats.iter();
        let seats = seats.filter(move |((of, _), _)| *of == conversation);
        seats.map(|((_, node), _)| node.as_str())
    }

    /// Returns all that the nodes share, one line for each fact, in no order: for a comparison
    /// with the rows of a database.
    pub fn facts(&self) -> Vec<String> {
        let time = |time: Option<i64>| time.map_or("-".to_owned(), |time| time.to_string());
        let nodes = self.nodes.iter();
        let nodes = nodes.map(|(id, node)| format!("node {id} {} {}", node.gone, node.beats));
        let rooms = self.rooms.iter();
        let rooms = rooms.map(|(connection, of)| format!("room {connection} {of}"));
        let seats = self.seats.iter().map(|((of, node), closing)| {
            let closing = time(*closing);
            format!("seat {of} {node} {closing}")
        });
        let mut facts: Vec<String> = nodes.chain(rooms).chain(seats).collect();
        for (id, of) in &self.conversations {
            let (ends, ended) = (time(of.ends), time(of.ended));
            facts.push(format!(
                "conversation {id} {} {} {} {ends} {ended}",
                of.head, of.finals, of.keep
            ));
            let members = of.members.iter();
            facts.extend(members.map(|(name, member)| {
                format!("member {id} {name} {} {}", member.here, member.node)
            }));
            facts.extend(of.streams.iter().map(|(name, stream)| {
                let (attempt, begun) = (stream.attempt, stream.begun);
                format!("stream {id} {name} {attempt} {begun} {}", stream.said_until)
            }));
        }
        facts
    }

    fn is_seated(&self, conversation: i64) -> bool {
        self.seats(conversation).next().is_some()
    }

    /// Declares the nodes gone that were not heard of for a lease, and returns which.
    pub fn declare_gone(&mut self, lease: i64, now: i64) -> Vec<String> {
        let since = match planted(Bug::LeaseIgnored) {
            true => now - lease / 10,
            false => now - lease,
        };
        let mut gone = Vec::new();
        for (id, node) in &mut self.nodes {
            if !node.gone && node.beats < since {
                node.gone = true;
                gone.push(id.clone());
            }
        }
        let conversations = &self.conversations;
        let is_over = |id: &i64| conversations.get(id).is_some_and(|c| c.ended.is_some());
        self.rooms.retain(|_, id| !is_over(id));
        self.nodes
            .retain(|_, node| !node.gone || node.beats >= now - REMEMBERED);
        gone
    }

    /// Frees the seats of nodes that are gone. A conversation in which no other node has a
    /// seat waits for its speakers from the last sign of life of its last node. Returns the new
    /// entries.
    pub fn unseat(&mut self, now: i64) -> Vec<(i64, Entry)> {
        if planted(Bug::SeatsOfTheGoneKept) {
            return Vec::new();
        }
        let mut seats: Vec<(i64, Option<i64>, String)> = Vec::new();
        for (conversation, id) in self.seats.keys() {
            match self.nodes.get(id) {
                Some(node) if node.gone => {
                    seats.push((*conversation, Some(node.beats), id.clone()))
                }
                Some(_) => {}
                None => seats.push((*conversation, None, id.clone())),
            }
        }
        // One that is not even remembered comes last.
        seats.sort_by_key(|(of, beats, id)| (*of, beats.is_none(), *beats, id.clone()));
        let mut entries = Vec::new();
        for (id, beats, node) in seats {
            let since = beats.unwrap_or(now);
            let keep = self.conversations.get(&id).map_or(0, |one| one.keep);
            let entry = self.free(&node, id, since + keep * SECOND);
            entries.extend(entry.map(|entry| (id, entry)));
        }
        entries
    }

    /// Returns the conversations in which a node has a seat.
    pub fn seats_of(&self, node: &str) -> impl Iterator<Item = i64> {
        let seats = self.seats.keys();
        let seats = seats.filter(move |(_, of)| of == node);
        seats.map(|(conversation, _)| *conversation)
    }

    /// Gives up a seat that a node got and does not use, because the answer to its join was
    /// lost. Returns the new entry, if no other node has a seat in the conversation: that ends
    /// when it would have ended without this seat, and no earlier than now.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn vacate(&mut self, me: &str, id: i64, now: i64) -> Result<Option<Entry>, Fenced> {
        self.writes(me)?;
        let ends = self.conversations.get(&id).map_or(now, |one| {
            let is_awaited = one.members.values().any(|member| member.here);
            let keep = if is_awaited { one.keep } else { 0 };
            one.ends.unwrap_or(now + keep * SECOND)
        });
        Ok(self.free(me, id, ends))
    }

    /// Frees a seat. If no other node has a seat in the conversation, one that has begun is over
    /// at `ends` unless a speaker comes, and one that has not is forgotten.
    fn free(&mut self, node: &str, id: i64, ends: i64) -> Option<Entry> {
        let had_seat = self.seats.remove(&(id, node.to_owned())).is_some();
        if !had_seat || self.is_seated(id) {
            return None;
        }
        match self.conversations.get_mut(&id) {
            Some(conversation) if conversation.ended.is_none() => {
                conversation.ends = Some(ends);
                let kind = Kind::Closed { ends };
                let seq = conversation.append();
                seq.map(|seq| Entry { seq, kind })
            }
            Some(_) => None,
            None => {
                self.rooms.retain(|_, of| *of != id);
                None
            }
        }
    }

    /// Ends the conversations whose time is over. Returns the new entries of each. One that no
    /// node is in and that has no such time waits for its speakers from now on.
    pub fn end(&mut self, now: i64) -> Vec<(i64, Vec<Entry>)> {
        let seated: BTreeSet<i64> = self.seats.keys().map(|(of, _)| *of).collect();
        for (id, one) in &mut self.conversations {
            if one.ended.is_none() && one.ends.is_none() && !seated.contains(id) {
                one.ends = Some(now + one.keep * SECOND);
            }
        }
        let is_due = |(id, c): &(&i64, &Conversation)| {
            c.ended.is_none() && c.ends.is_some_and(|ends| ends <= now) && !self.is_seated(**id)
        };
        let due = self.conversations.iter().filter(is_due);
        let due: Vec<i64> = due.map(|(id, _)| *id).collect();
        let mut all = Vec::new();
        for id in due {
            if let Some(conversation) = self.conversations.get_mut(&id) {
                let at = conversation.ends.unwrap_or(now);
                all.push((id, conversation.finish(at)));
            }
        }
        all
    }
}
