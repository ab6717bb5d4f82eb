// SPDX-License-Identifier: MPL-2.0

//! What a node writes: start requests, finals, texts, and that its speakers have gone.

use super::{Cluster, Conversation, Entry, Fenced, Kind, Member};
use crate::fence::{self, Part, Refusal};
use crate::planted::{Bug, planted};

/// A start request, in a conversation that may be new.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// The id of the conversation.
    pub conversation: i64,
    /// The account and the connection id.
    pub connection: &'a str,
    /// How many seconds it waits for its speakers.
    pub keep: i64,
    /// When it is over unless a speaker comes.
    pub ends: Option<i64>,
    /// The speaker's id and name.
    pub member: Option<(&'a str, Option<&'a str>)>,
    /// Where its audio begins, if its client names its streams.
    pub stream: Option<StreamStart<'a>>,
    /// The answer to the same request may have been lost.
    pub again: bool,
}

/// Where the audio of a start request begins.
#[derive(Debug, Clone, Copy)]
pub struct StreamStart<'a> {
    /// The id of the stream.
    pub stream: &'a str,
    /// The number of the start request of that stream.
    pub attempt: u64,
    /// Nanoseconds of audio before this start request.
    pub position: u64,
}

/// What became of a start request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is in the log.
    Here {
        /// Up to where the words of its stream are in the log.
        said_until: u64,
        /// The numbers of the entries behind its position, which the client may not have.
        unheard: Vec<u64>,
    },
    /// A later start request of the stream is in the log.
    Superseded,
}

/// A final.
#[derive(Debug, Clone)]
pub struct Said<'a> {
    /// The id of its first message, by which it is found again.
    pub message: i64,
    /// The part of a stream that it is, if its client names its streams.
    pub part: Option<(&'a str, Part)>,
    /// The answer to the same final may have been lost.
    pub again: bool,
}

/// What became of a final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has these numbers: of the entry, and among finals from 0.
    Stored {
        /// The number of the entry.
        seq: u64,
        /// The number of the final.
        number: u64,
    },
    /// A fence refused it.
    Refused(Refusal),
}

/// What became of a text that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The text is the entry with this number.
    Stored(u64),
    /// The client's id is that of the entry with this number.
    Known(u64),
    /// The conversation is over.
    Over,
}

/// What became of the end of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It goes on: on another node, or because it waits for a speaker.
    GoesOn,
    /// It is over, and these entries are new.
    Over(Vec<Entry>),
}

impl Cluster {
    /// Writes a start request. Returns what became of it and the new entries.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn start(&mut self, me: &str, start: &Start<'_>) -> Result<(Begun, Vec<Entry>), Fenced> {
        self.writes(me)?;
        let id = start.conversation;
        let is_new = !self.conversations.contains_key(&id);
        if is_new {
            let rooms = self.rooms.entry(start.connection.to_owned());
            rooms.or_insert(id);
        }
        if start.member.is_some() {
            self.seats.insert((id, me.to_owned()), None);
        }
        let conversation = self.conversations.entry(id).or_default();
        (conversation.keep, conversation.ends) = (start.keep, start.ends);
        let mut entries = Vec::new();
        if is_new && let Some(seq) = conversation.append() {
            let kind = Kind::Opened;
            entries.push(Entry { seq, kind });
        }
        if let Some((member, name)) = start.member {
            entries.extend(conversation.come(me, member, name));
        }
        let here = Begun::Here {
            said_until: 0,
            unheard: Vec::new(),
        };
        let (Some(_), Some(stream)) = (start.member, &start.stream) else {
            return Ok((here, entries));
        };
        Ok((conversation.begin(stream, start.again), entries))
    }

    /// Appends a final, unless a fence refuses it. A final of a conversation that was never
    /// begun counts as one of a conversation that is over.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn append(&mut self, me: &str, id: i64, said: &Said<'_>) -> Result<Verdict, Fenced> {
        self.writes(me)?;
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(Verdict::Refused(Refusal::Over));
        };
        Ok(conversation.say(said))
    }

    /// Appends a text that a client sent, unless it is there. If no node has a seat in the
    /// conversation, it is over at `ends` at the earliest.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn send(
        &mut self,
        me: &str,
        id: i64,
        client: &str,
        ends: Option<i64>,
    ) -> Result<Sent, Fenced> {
        self.writes(me)?;
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(Sent::Over);
        };
        if let Some(seq) = conversation.sent.get(client) {
            return Ok(Sent::Known(*seq));
        }
        let Some(seq) = conversation.append() else {
            return Ok(Sent::Over);
        };
        conversation.sent.insert(client.to_owned(), seq);
        conversation.ends = conversation.ends.map(|now| now.max(ends.unwrap_or(now)));
        Ok(Sent::Stored(seq))
    }

    /// Notes that a node has no speaker in the conversation any more. If no other node has one,
    /// the conversation will be over at `ends`. Returns the new entry.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn close(&mut self, me: &str, id: i64, ends: i64) -> Result<Option<Entry>, Fenced> {
        self.writes(me)?;
        self.seats.remove(&(id, me.to_owned()));
        if self.is_seated(id) && !planted(Bug::OtherSeatsIgnored) {
            return Ok(None);
        }
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(None);
        };
        if conversation.ended.is_none() {
            conversation.ends = Some(ends);
        }
        let kind = Kind::Closed { ends };
        Ok(conversation.append().map(|seq| Entry { seq, kind }))
    }

    /// Appends that the speakers of this node have left who are not `here`.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn left(&mut self, me: &str, id: i64, here: &[&str]) -> Result<Vec<Entry>, Fenced> {
        self.writes(me)?;
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(Vec::new());
        };
        Ok(conversation.leave(|member, node| node == me && !here.contains(&member)))
    }

    /// Ends a conversation, unless another node has a speaker in it. A node that only `asks`
    /// does not end one that waits for a speaker longer than that node knows.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn over(
        &mut self,
        me: &str,
        id: i64,
        at: i64,
        asks: bool,
        now: i64,
    ) -> Result<Ended, Fenced> {
        self.writes(me)?;
        let had_seat = self.seats.remove(&(id, me.to_owned())).is_some();
        let conversation = self.conversations.get(&id);
        let ends = conversation.and_then(|conversation| conversation.ends);
        let waits = asks && !had_seat && ends.is_some_and(|ends| ends > now);
        if waits || self.is_seated(id) && !planted(Bug::OtherSeatsIgnored) {
            return Ok(Ended::GoesOn);
        }
        let Some(conversation) = self.conversations.get_mut(&id) else {
            self.rooms.retain(|_, of| *of != id);
            return Ok(Ended::Over(Vec::new()));
        };
        Ok(Ended::Over(conversation.finish(at)))
    }

    /// Notes that all that a node has in the conversation are sockets that are being closed, and
    /// until when that may take.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn closing(&mut self, me: &str, id: i64, until: i64) -> Result<(), Fenced> {
        self.writes(me)?;
        if let Some(closing) = self.seats.get_mut(&(id, me.to_owned())) {
            *closing = Some(until);
        }
        Ok(())
    }

    /// Notes how many seconds a conversation waits for its speakers.
    ///
    /// # Errors
    ///
    /// The node was declared gone.
    pub fn keep(&mut self, me: &str, id: i64, keep: i64) -> Result<(), Fenced> {
        self.writes(me)?;
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.keep = keep;
        }
        Ok(())
    }
}

impl Conversation {
    /// Notes that a speaker is here. Returns an entry if it is new, is back, or has a new name.
    fn come(&mut self, me: &str, id: &str, name: Option<&str>) -> Option<Entry> {
        let known = self.members.get(id).cloned();
        let name = name.map(str::to_owned);
        let now = Member {
            name: name.or_else(|| known.as_ref()?.name.clone()),
            here: known.as_ref().is_none_or(|known| known.here),
            node: me.to_owned(),
        };
        let is_told = known.is_some_and(|known| known.here && known.name == now.name);
        self.members.insert(id.to_owned(), now);
        if is_told {
            return None;
        }
        let seq = self.append()?;
        if let Some(member) = self.members.get_mut(id) {
            member.here = true;
        }
        let kind = Kind::Member(id.to_owned());
        Some(Entry { seq, kind })
    }

    /// Makes a start request the latest of its stream, unless a later one is.
    fn begin(&mut self, start: &StreamStart<'_>, again: bool) -> Begun {
        let known = self.streams.get(start.stream).copied();
        let Some(stream) = fence::begin(known, start.attempt, again) else {
            return Begun::Superseded;
        };
        let parts = self.parts.iter();
        let unheard =
            parts.filter(|((id, _), until)| id == start.stream && **until > start.position);
        let unheard = unheard.map(|((_, seq), _)| *seq).collect();
        self.streams.insert(start.stream.to_owned(), stream);
        Begun::Here {
            said_until: stream.said_until,
            unheard,
        }
    }

    fn say(&mut self, said: &Said<'_>) -> Verdict {
        if said.again
            && !planted(Bug::LostAnswerForgotten)
            && let Some((seq, number)) = self.messages.get(&said.message)
        {
            let (seq, number) = (*seq, *number);
            return Verdict::Stored { seq, number };
        }
        let part = said.part.map(|(_, part)| part);
        let stream = said.part.and_then(|(id, _)| self.streams.get_mut(id));
        if let Err(refusal) = fence::admit(self.ended.is_some(), stream.as_deref(), part.as_ref()) {
            if planted(Bug::NumberOfTheRefusedKept) {
                self.head += 1;
            }
            return Verdict::Refused(refusal);
        }
        self.head += 1;
        self.finals += 1;
        if let (Some(stream), Some(part)) = (stream, part) {
            stream.said(part.until);
        }
        let (seq, number) = (self.head, self.finals - 1);
        if let Some((id, part)) = said.part {
            self.parts.insert((id.to_owned(), seq), part.until);
        }
        self.messages.insert(said.message, (seq, number));
        Verdict::Stored { seq, number }
    }

    /// Appends that all speakers have left and that the conversation is over, once.
    pub(super) fn finish(&mut self, at: i64) -> Vec<Entry> {
        let mut entries = self.leave(|_, _| true);
        if let Some(seq) = self.append() {
            self.ended = Some(at);
            let kind = Kind::Over;
            entries.push(Entry { seq, kind });
        }
        entries
    }
}
