// SPDX-License-Identifier: MPL-2.0

//! What waits to be sent to other nodes, and when it is sent.
//!
//! Announcements go at once. Of each stream's interims the last one that waits is sent, five
//! times a second at most. What is too much is left out and counted.

use super::packet::{Message, Packet};
use super::{Shown, Volatile};
use crate::conversation::entry::{Body, Entry};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two interims of a stream.
const PACE: Duration = Duration::from_millis(200);

/// Most entries that wait to be announced.
const MOST_ENTRIES: usize = 1024;

/// Most messages of the node itself that wait.
const MOST_OWN: usize = 4096;

/// Most streams of which interims wait, or were sent just now.
const MOST_STREAMS: usize = 4096;

/// Most entries and most interims that are taken at once, so that streams never wait long
/// for what they put in.
const MOST_AT_ONCE: usize = 64;

/// Most packets of announcements with content that are taken at once.
const MOST_PACKETS: usize = 4;

/// How a server takes packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Largest packet in bytes.
    pub(crate) largest: usize,
    /// `true` if all nodes hear all packets, so that messages of several conversations are
    /// put together.
    pub(crate) together: bool,
    /// Time between two packets of interims, where they are put together.
    pub(crate) pace: Duration,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    All,
    /// The node itself.
    Own,
    /// The nodes that follow this conversation.
    Conversation(i64),
}

/// What is to be sent now.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) packets: Vec<(To, String)>,
    pub(crate) announcements: u64,
    pub(crate) interims: u64,
    pub(crate) own: u64,
}

/// A stream: its conversation and its start request.
type Stream = (i64, i64);

/// What waits of a stream: an interim and matches of trackers at most.
#[derive(Debug)]
struct Waiting {
    sent: Option<Instant>,
    due: Instant,
    waiting: Vec<Volatile>,
}

/// What waits.
#[derive(Debug)]
pub(crate) struct Outgoing {
    node: i64,
    own: VecDeque<Message>,
    entries: VecDeque<(i64, Arc<Entry>)>,
    /// `true` if entries were left out.
    has_news: bool,
    streams: HashMap<Stream, Waiting>,
    /// The streams of which something waits, by when it is due.
    due: BTreeSet<(Instant, Stream)>,
    /// An interim that the last packet had no room for.
    carried: Option<String>,
    /// When the next packet of interims may go.
    next_packet: Option<Instant>,
    dropped: u64,
    /// When streams were last forgotten.
    cleaned: Option<Instant>,
}

impl Outgoing {
    pub(crate) fn new(node: i64) -> Self {
        Self {
            node,
            own: VecDeque::new(),
            entries: VecDeque::new(),
            has_news: false,
            streams: HashMap::new(),
            due: BTreeSet::new(),
            carried: None,
            next_packet: None,
            dropped: 0,
            cleaned: None,
        }
    }

    /// Forgets all that waits.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            dropped: self.dropped,
            ..Self::new(self.node)
        };
    }

    /// Returns how many interims were left out since the last call.
    pub(crate) fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Puts in a message of the node itself.
    pub(crate) fn say(&mut self, message: Message) {
        if self.own.len() < MOST_OWN {
            self.own.push_back(message);
        }
    }

    /// Puts in an entry. Interims of its utterance are not sent any more.
    pub(crate) fn announce(&mut self, conversation: i64, entry: &Arc<Entry>) {
        if let Body::Said(said) = &entry.body {
            let stream = (conversation, said.start);
            if let Some(waiting) = self.streams.get_mut(&stream) {
                waiting.waiting.clear();
                self.due.remove(&(waiting.due, stream));
            }
        }
        match self.entries.len() < MOST_ENTRIES {
            true => self.entries.push_back((conversation, Arc::clone(entry))),
            false => self.has_news = true,
        }
    }

    /// Puts in an interim, in place of one of the same stream that waits.
    pub(crate) fn show(&mut self, conversation: i64, volatile: Volatile, now: Instant) {
        let stream = (conversation, volatile.stamp.start_request);
        if !self.streams.contains_key(&stream) && !self.has_room(now) {
            self.dropped += 1;
            return;
        }
        let of_stream = self.streams.entry(stream).or_insert(Waiting {
            sent: None,
            due: now,
            waiting: Vec::new(),
        });
        if of_stream.waiting.is_empty() {
            of_stream.due = of_stream.sent.map_or(now, |sent| now.max(sent + PACE));
            self.due.insert((of_stream.due, stream));
        }
        let is_match = |volatile: &Volatile| matches!(volatile.shown, Shown::Trackers(_));
        let kind = is_match(&volatile);
        let before = of_stream.waiting.len();
        of_stream.waiting.retain(|other| is_match(other) != kind);
        self.dropped += (before - of_stream.waiting.len()) as u64;
        of_stream.waiting.push(volatile);
    }

    /// Returns `true` if another stream has room. Forgets streams that have sent nothing for a
    /// while, though not at each call.
    fn has_room(&mut self, now: Instant) -> bool {
        let is_full = self.streams.len() >= MOST_STREAMS;
        if is_full && self.cleaned.is_none_or(|cleaned| cleaned + PACE <= now) {
            self.cleaned = Some(now);
            self.streams.retain(|_, stream| {
                let is_recent = stream.sent.is_some_and(|sent| now < sent + PACE);
                !stream.waiting.is_empty() || is_recent
            });
        }
        self.streams.len() < MOST_STREAMS
    }

    /// Returns when something is to be sent, if anything waits.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        if !self.own.is_empty() || !self.entries.is_empty() || self.has_news {
            return Some(now);
        }
        let first = self.due.first().map(|(due, _)| *due);
        let first = first.or(self.carried.as_ref().and(self.next_packet))?;
        Some(self.next_packet.map_or(first, |next| first.max(next)))
    }

    /// Takes what is to be sent now.
    pub(crate) fn take(&mut self, now: Instant, terms: Terms) -> Taken {
        let mut taken = Taken::default();
        if terms.together {
            self.take_together(terms, &mut taken);
            if self.next_packet.is_none_or(|next| next <= now) {
                self.take_packet_of_interims(now, terms, &mut taken);
            }
            return taken;
        }
        let own = self.take_own();
        for message in own {
            let to = match &message {
                Message::Beat => To::Own,
                _ => To::All,
            };
            taken.own += 1;
            self.put_alone(to, message.text(true), terms, &mut taken);
        }
        for (conversation, entry) in self.take_entries() {
            let message = Message::Entry(conversation, entry);
            let to = To::Conversation(conversation);
            taken.announcements += 1;
            self.put_alone(to, message.text(true), terms, &mut taken);
        }
        while taken.interims < MOST_AT_ONCE as u64 {
            let Some((conversation, text)) = self.next_interim(now, terms) else {
                break;
            };
            taken.interims += 1;
            self.put_alone(
                To::Conversation(conversation),
                Some(text),
                terms,
                &mut taken,
            );
        }
        taken
    }

    /// Takes the messages of the node itself, and that there is news if entries were left
    /// out.
    fn take_own(&mut self) -> VecDeque<Message> {
        let mut own = std::mem::take(&mut self.own);
        if std::mem::take(&mut self.has_news) {
            own.push_back(Message::News);
        }
        own
    }

    fn take_entries(&mut self) -> Vec<(i64, Arc<Entry>)> {
        let number = self.entries.len().min(MOST_AT_ONCE);
        self.entries.drain(..number).collect()
    }

    fn put_alone(&self, to: To, text: Option<String>, terms: Terms, taken: &mut Taken) {
        let mut packet = Packet::new(self.node, terms.largest);
        if text.is_some_and(|text| packet.add(&text)) {
            taken.packets.extend(packet.finish().map(|text| (to, text)));
        }
    }

    /// Takes announcements for all nodes. Those beyond a few packets are without content.
    fn take_together(&mut self, terms: Terms, taken: &mut Taken) {
        let node = self.node;
        let new = || Packet::new(node, terms.largest);
        let mut packet = new();
        let mut put = |message: Message, taken: &mut Taken| {
            let whole = taken.packets.len() < MOST_PACKETS;
            for text in [message.text(whole), message.text(false)] {
                let Some(text) = text else { return };
                if packet.add(&text) {
                    return;
                }
                let full = std::mem::replace(&mut packet, new());
                taken
                    .packets
                    .extend(full.finish().map(|text| (To::All, text)));
                if packet.add(&text) {
                    return;
                }
            }
        };
        for message in self.take_own() {
            taken.own += 1;
            put(message, taken);
        }
        for (conversation, entry) in self.take_entries() {
            taken.announcements += 1;
            put(Message::Entry(conversation, entry), taken);
        }
        taken
            .packets
            .extend(packet.finish().map(|text| (To::All, text)));
    }

    /// Takes as many interims as one packet has room for.
    fn take_packet_of_interims(&mut self, now: Instant, terms: Terms, taken: &mut Taken) {
        let mut packet = Packet::new(self.node, terms.largest);
        let carried = self.carried.take().map(|text| (0, text));
        let mut next = carried.or_else(|| self.next_interim(now, terms));
        while let Some((_, text)) = next {
            if !packet.add(&text) {
                self.carried = Some(text);
                break;
            }
            taken.interims += 1;
            next = self.next_interim(now, terms);
        }
        if let Some(text) = packet.finish() {
            taken.packets.push((To::All, text));
            self.next_packet = Some(now + terms.pace);
        }
    }

    /// Takes the interim that is due first, if it is due, as text that a packet has room for.
    fn next_interim(&mut self, now: Instant, terms: Terms) -> Option<(i64, String)> {
        loop {
            let (due, stream) = self.due.first().copied().filter(|(due, _)| *due <= now)?;
            let Some(of_stream) = self.streams.get_mut(&stream) else {
                self.due.remove(&(due, stream));
                continue;
            };
            // In the order in which they were made, or the second one would come too late.
            of_stream.waiting.sort_by_key(|one| one.stamp.count);
            let is_last = of_stream.waiting.len() <= 1;
            let volatile = (!of_stream.waiting.is_empty()).then(|| of_stream.waiting.remove(0));
            of_stream.sent = Some(now);
            if is_last {
                self.due.remove(&(due, stream));
            }
            let Some(volatile) = volatile else { continue };
            let fits = |text: &String| text.len() + 64 <= terms.largest;
            let (conversation, _) = stream;
            let text = Message::Volatile(conversation, volatile.clone()).text(true);
            let text = text.filter(fits).or_else(|| {
                let shown = match volatile.shown {
                    Shown::Interim(interim) => Shown::Interim(interim.without_times()),
                    other => other,
                };
                let smaller = Volatile { shown, ..volatile };
                Message::Volatile(conversation, smaller)
                    .text(true)
                    .filter(fits)
            });
            match text {
                Some(text) => return Some((conversation, text)),
                None => self.dropped += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests;
