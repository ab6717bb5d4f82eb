// SPDX-License-Identifier: MPL-2.0

//! The messages of the bus as text: JSON, several in a packet.
//!
//! What a later release adds is skipped. A packet that cannot be read at all says that
//! something is new.

use super::{Note, Shown, Stamp, Volatile};
use crate::conversation::entry::{Body, Entry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Largest entry that is sent along, in bytes. A larger one is read from the log.
const LARGEST_ENTRY: usize = 48 << 10;

/// What a node says to others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// An entry is in the log.
    Entry(i64, Arc<Entry>),
    Volatile(i64, Volatile),
    /// This node has listeners in these conversations.
    Listens(Vec<i64>),
    /// This node has none any more in this one.
    ListensNoMore(i64),
    /// This node is new on the bus, or back.
    Hello,
    /// A message to itself: the bus works.
    Beat,
    /// Something is new; what it is was left out.
    News,
}

/// What is heard of another node.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Note(Note),
    Listens(Vec<i64>),
    ListensNoMore(Vec<i64>),
    Hello,
    Beat,
}

/// A message as it is written. The letters of `k` are those of [`Message::text`].
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    k: char,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    c: Vec<i64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    n: u64,
    #[serde(default)]
    t: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    p: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    b: Option<&'a RawValue>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Message {
    /// Returns the message as text, or `None` if it has none. An entry that is too large,
    /// or is not to be `whole`, is announced without its content.
    pub(crate) fn text(&self, whole: bool) -> Option<String> {
        let body;
        let mut wire = Wire {
            k: 'x',
            c: Vec::new(),
            n: 0,
            t: 0,
            p: 0,
            b: None,
        };
        match self {
            Self::Entry(conversation, entry) => {
                (wire.k, wire.n, wire.t) = ('e', entry.seq, entry.at);
                wire.c.push(*conversation);
                // The end has to be read from the log, because it ends more than a list.
                if whole && entry.body != Body::Over {
                    body = serde_json::value::to_raw_value(&entry.body).ok()?;
                    wire.b = Some(&body)
                        .filter(|b| b.get().len() <= LARGEST_ENTRY)
                        .map(|b| &**b);
                }
            }
            Self::Volatile(conversation, Volatile { stamp, shown }) => {
                (wire.k, wire.n, wire.p) = ('i', stamp.count, stamp.behind);
                wire.t = stamp.start_request;
                wire.c.push(*conversation);
                body = serde_json::value::to_raw_value(shown).ok()?;
                wire.b = Some(&body);
            }
            Self::Listens(all) => (wire.k, wire.c) = ('l', all.clone()),
            Self::ListensNoMore(one) => (wire.k, wire.c) = ('u', vec![*one]),
            Self::Hello => wire.k = 'h',
            Self::Beat => wire.k = 'b',
            Self::News => {}
        }
        serde_json::to_string(&wire).ok()
    }
}

impl Wire<'_> {
    fn read(self) -> Option<Heard> {
        let first = self.c.first().copied();
        Some(match self.k {
            'e' => {
                let (seq, at) = (self.n, self.t);
                let body = self.b.and_then(|b| serde_json::from_str(b.get()).ok());
                Heard::Note(Note::Entry {
                    conversation: first?,
                    seq,
                    entry: body.map(|body| Arc::new(Entry { seq, at, body })),
                })
            }
            'i' => {
                let shown: Shown = serde_json::from_str(self.b?.get()).ok()?;
                let stamp = Stamp {
                    start_request: self.t,
                    count: self.n,
                    behind: self.p,
                };
                Heard::Note(Note::Volatile {
                    conversation: first?,
                    volatile: Box::new(Volatile { stamp, shown }),
                })
            }
            'l' => Heard::Listens(self.c),
            'u' => Heard::ListensNoMore(self.c),
            'h' => Heard::Hello,
            'b' => Heard::Beat,
            'x' => Heard::Note(Note::News),
            _ => return None,
        })
    }
}

/// Messages of one node, written one after the other.
#[derive(Debug)]
pub(crate) struct Packet {
    text: String,
    largest: usize,
    is_empty: bool,
}

/// What ends a packet.
const END: &str = "]}";

impl Packet {
    /// Returns an empty packet of a node, of at most `largest` bytes.
    pub(crate) fn new(node: i64, largest: usize) -> Self {
        Self {
            text: format!("{{\"f\":{node},\"m\":["),
            largest,
            is_empty: true,
        }
    }

    /// Adds a message. Returns `false` if there is no room for it.
    pub(crate) fn add(&mut self, message: &str) -> bool {
        let more = message.len() + usize::from(!self.is_empty) + END.len();
        if self.text.len() + more > self.largest {
            return false;
        }
        if !std::mem::take(&mut self.is_empty) {
            self.text.push(',');
        }
        self.text.push_str(message);
        true
    }

    /// Returns the text, if there is a message in it.
    pub(crate) fn finish(mut self) -> Option<String> {
        self.text.push_str(END);
        (!self.is_empty).then_some(self.text)
    }
}

/// Reads a packet. Returns the node that it comes from and what it says, or `None` if it is
/// no packet.
pub(crate) fn read(text: &str) -> Option<(i64, Vec<Heard>)> {
    #[derive(Deserialize)]
    struct Written<'a> {
        f: i64,
        #[serde(borrow)]
        m: Vec<&'a RawValue>,
    }
    let written: Written<'_> = serde_json::from_str(text).ok()?;
    let messages = written.m.iter();
    let messages = messages.filter_map(|message| {
        let wire: Wire<'_> = serde_json::from_str(message.get()).ok()?;
        wire.read()
    });
    Some((written.f, messages.collect()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::interim;
    use super::*;
    use crate::conversation::entry::Transcribed;

    fn entry(body: Body) -> Arc<Entry> {
        let (seq, at) = (4, 5);
        Arc::new(Entry { seq, at, body })
    }

    fn said(text: &str) -> Arc<Entry> {
        entry(Body::Said(Box::new(Transcribed {
            text: text.to_owned(),
            confidence: 0.1 + 0.2,
            ..Transcribed::default()
        })))
    }

    fn written(messages: &[Message]) -> String {
        let mut packet = Packet::new(77, 1 << 20);
        for message in messages {
            assert!(packet.add(&message.text(true).expect("a text")));
        }
        packet.finish().expect("not empty")
    }

    fn noted(seq: u64, entry: Option<Arc<Entry>>) -> Heard {
        Heard::Note(Note::Entry {
            conversation: 9,
            seq,
            entry,
        })
    }

    #[test]
    fn messages_come_as_they_were_sent() {
        let volatile = Volatile {
            stamp: Stamp {
                start_request: 1_700_000_000_000_000_001,
                count: 3,
                behind: 2,
            },
            shown: interim("gr\u{fc}\u{df}e \0 \"x\" 👋"),
        };
        let entry = said("it is \0 said");
        let text = written(&[
            Message::Entry(9, Arc::clone(&entry)),
            Message::Volatile(9, volatile.clone()),
            Message::Listens(vec![1, 2]),
            Message::ListensNoMore(3),
            Message::Hello,
            Message::Beat,
            Message::News,
        ]);
        assert!(!text.contains('\0'), "PostgreSQL takes no NUL");
        let (from, heard) = read(&text).expect("a packet");
        assert_eq!(from, 77);
        let volatile = Box::new(volatile);
        let note = Note::Volatile {
            conversation: 9,
            volatile,
        };
        assert_eq!(
            heard,
            [
                noted(4, Some(entry)),
                Heard::Note(note),
                Heard::Listens(vec![1, 2]),
                Heard::ListensNoMore(vec![3]),
                Heard::Hello,
                Heard::Beat,
                Heard::Note(Note::News),
            ]
        );
    }

    #[test]
    fn an_entry_that_is_too_large_or_the_end_is_announced_without_its_content() {
        let large = said(&"x".repeat(LARGEST_ENTRY));
        let all = [
            Message::Entry(9, large),
            Message::Entry(9, entry(Body::Over)),
        ];
        let text = written(&all);
        assert!(text.len() < 200, "{} bytes", text.len());
        let (_, heard) = read(&text).expect("a packet");
        assert_eq!(heard, [noted(4, None), noted(4, None)]);
    }

    #[test]
    fn what_cannot_be_read_is_skipped() {
        let text = r#"{"f":1,"v":2,"m":[{"k":"z"},{"k":"e","c":[9],"n":4,"b":{"sung":{}}},7,
            {"k":"i","c":[9],"b":{"smelt":1}},{"k":"i"},{"k":"e"},{"k":"h","new":[1]}]}"#;
        let (_, heard) = read(text).expect("a packet");
        assert_eq!(heard, [noted(4, None), Heard::Hello]);
        for odd in [
            "",
            "x",
            "{}",
            "[]",
            r#"{"f":"a","m":[]}"#,
            "{\"f\":1,\"m\":[",
        ] {
            assert!(read(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_packet_is_no_larger_than_it_may_be() {
        let mut packet = Packet::new(1, 60);
        let mut added = 0;
        while added < 60 && packet.add("{\"k\":\"h\",\"t\":0}") {
            added += 1;
        }
        let text = packet.finish().expect("not empty");
        assert!(added > 1 && text.len() <= 60, "{text}");
        assert_eq!(read(&text).expect("a packet").1.len(), added);
        assert!(Packet::new(1, 60).finish().is_none());
    }
}
