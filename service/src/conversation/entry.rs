// SPDX-License-Identifier: MPL-2.0

//! The entries of a conversation's log, numbered 1, 2, 3 … without a hole.
//!
//! An entry is written once and never changed. Each door renders its own wire form from
//! it. So a client that is sent it live, a late subscriber and a client after a restart
//! get the same. Interims are no entries.
//!
//! Times are nanoseconds: since the Unix epoch where a field says so, else of a stream's audio.

use super::attribution::Attribution;
use serde::{Deserialize, Serialize};
use std::ops::{Not, Range};
use symbl_log::fence;

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// 1 for the first one of its conversation.
    pub(crate) seq: u64,
    /// When it was written, nanoseconds since the Unix epoch.
    pub(crate) at: i64,
    pub(crate) body: Body,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    /// The conversation began.
    Opened {
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// A speaker that is new, or has a new name.
    Member(Speaker),
    /// The Conversation API gave a speaker another name or address.
    Renamed(Speaker),
    /// A speaker has gone for good. One that comes back is a member anew.
    Left(Speaker),
    /// A final, and everything that was found in it.
    Said(Box<Transcribed>),
    /// A text that a client sent.
    Sent(Sent),
    /// A client has corrected the speakers of messages. Entries before have those of before.
    Attributed(Vec<Attribution>),
    /// The last speaker's socket is gone. The conversation is over at `ends` unless a
    /// speaker rejoins.
    Closed { ends: i64 },
    /// The conversation is over.
    Over,
}

/// A participant, as the client describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Speaker {
    /// Made by the service, constant within the conversation.
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
}

/// The content of a `said` entry: a final, and everything that was found in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Transcribed {
    /// `sequenceNumber` on the wire: 0 for the first final of the conversation. The log
    /// gives it.
    pub(crate) number: u64,
    /// When the conversation's first audio came, nanoseconds since the Unix epoch. The log
    /// keeps the first one.
    pub(crate) zero: i64,
    /// When the first audio of this start request came, in the same unit. The times of
    /// the words count from here.
    pub(crate) start: i64,
    pub(crate) speaker: Speaker,
    /// The speaker's time zone, in minutes ahead of UTC.
    pub(crate) timezone_offset: i32,
    /// Milliseconds from the start request to this final.
    pub(crate) elapsed: u64,
    /// 0.0–1.0
    pub(crate) confidence: f64,
    pub(crate) text: String,
    pub(crate) words: Vec<Word>,
    pub(crate) messages: Vec<Message>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) insights: Vec<Insight>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) topics: Vec<Topic>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trackers: Vec<TrackerMatch>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) entities: Vec<Entity>,
    /// `true` if the client asked for the sentiment of its messages.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub(crate) sentiment: bool,
    /// `true` if the client asked for the actionable parts of its messages.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub(crate) phrases: bool,
    /// Which part of which stream it is, where the client numbers its streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<Part>,
}

/// A part of a stream that its client may send again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The stream's id, made by the client.
    pub(crate) stream: String,
    /// The number of the start request of that stream.
    pub(crate) attempt: u64,
    /// Position in the stream at which the audio of that start request begins.
    pub(crate) base: u64,
    /// Positions in the stream at which the first word begins and the last one ends.
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Part {
    /// Returns what the fences of the log look at.
    pub(crate) const fn heard(&self) -> fence::Part {
        fence::Part {
            attempt: self.attempt,
            from: self.from,
            until: self.until,
        }
    }
}

/// A word as it is written in its sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Word {
    pub(crate) text: String,
    /// From the first audio of its start.
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// A sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Sixteen decimal digits, the same on every door.
    pub(crate) id: i64,
    pub(crate) text: String,
    /// The words as recognised.
    pub(crate) original_text: String,
    /// Which words of the final.
    pub(crate) words: Range<usize>,
}

/// A question, an action item or a follow-up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Insight {
    pub(crate) id: i64,
    /// Id of the message that it was found in.
    pub(crate) message: i64,
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) score: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hints: Vec<(String, String)>,
    /// `true` if the speaker is the assignee.
    #[serde(default)]
    pub(crate) by_speaker: bool,
    /// The name of the assignee, if it is another person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assignee: Option<String>,
    /// Nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<i64>,
}

/// A topic of the conversation. It replaces an earlier topic with the same text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Topic {
    /// The same for the same text in the same conversation.
    pub(crate) id: i64,
    pub(crate) text: String,
    pub(crate) score: f64,
    /// Ids of messages.
    pub(crate) messages: Vec<String>,
    pub(crate) root_words: Vec<String>,
}

/// A phrase of a tracker that was said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrackerMatch {
    /// The id, for a tracker that the service keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tracker_id: Option<String>,
    pub(crate) name: String,
    pub(crate) value: String,
    /// Id of the message.
    pub(crate) message: i64,
    pub(crate) text: String,
    /// Characters from the start of the text; −1 for a phrase that is similar.
    pub(crate) offset: i64,
}

/// An entity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entity {
    /// Id of the message.
    pub(crate) message: i64,
    pub(crate) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sub_type: Option<String>,
    /// The words that name it.
    pub(crate) text: String,
    /// What is meant: the date of a day, else the words.
    pub(crate) value: String,
    /// Characters from the start of the message.
    pub(crate) offset: usize,
}

/// A text that a client sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// Made by the client: the same text sent again is the same entry.
    pub(crate) client_id: String,
    pub(crate) from: Speaker,
    pub(crate) text: String,
    /// Id of the message whose text this replaces. Without it, the text is a note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) corrects: Option<i64>,
}

impl Entry {
    /// Returns about how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let body = match &self.body {
            Body::Said(said) => said.bytes(),
            Body::Sent(sent) => sent.text.len() + sent.client_id.len(),
            Body::Attributed(all) => all.iter().map(|one| 128 + 8 * one.messages.len()).sum(),
            _ => 0,
        };
        size_of::<Self>() + body
    }
}

impl Sent {
    /// Returns `true` if a text under the same client id is this one, sent again.
    pub(crate) fn is_again(&self, known: &Self) -> bool {
        (&self.text, self.corrects) == (&known.text, known.corrects)
    }
}

impl Body {
    /// Returns the name of the kind, as the log has it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Member(_) => "member",
            Self::Renamed(_) => "renamed",
            Self::Left(_) => "left",
            Self::Said(_) => "said",
            Self::Sent(_) => "sent",
            Self::Attributed(_) => "attributed",
            Self::Closed { .. } => "closed",
            Self::Over => "over",
        }
    }

    /// Returns the content of a `said` entry.
    pub(crate) fn said(&self) -> Option<&Transcribed> {
        match self {
            Self::Said(said) => Some(said),
            _ => None,
        }
    }
}

impl Word {
    /// Returns the middle of the word, which decides on which side of an edge it is.
    pub(crate) fn middle(&self) -> u64 {
        self.start + self.end.saturating_sub(self.start) / 2
    }
}

impl Transcribed {
    /// Returns the words of a message.
    pub(crate) fn words_of(&self, message: &Message) -> &[Word] {
        self.words.get(message.words.clone()).unwrap_or_default()
    }

    /// Returns the time, since the Unix epoch, that is `since` nanoseconds after the first
    /// audio of this start request.
    pub(crate) fn wall(&self, since: u64) -> i64 {
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        self.start.saturating_add(since)
    }

    /// Returns when a message begins and ends, nanoseconds since the Unix epoch; one
    /// without words is at the start of the audio.
    pub(crate) fn span_of(&self, message: &Message) -> (i64, i64) {
        let words = self.words_of(message);
        let start = words
            .first()
            .map_or(self.start, |word| self.wall(word.start));
        let stop = words.last().map_or(start, |word| self.wall(word.end));
        (start, stop)
    }

    /// Returns about how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let words = self.words.iter().map(|word| word.text.len());
        let messages = self.messages.iter();
        let messages = messages.map(|message| message.text.len() + message.original_text.len());
        size_of::<Self>()
            + words.sum::<usize>()
            + self.words.len() * size_of::<Word>()
            + messages.sum::<usize>()
            + self.messages.len() * size_of::<Message>()
            + (self.insights.len() + self.topics.len()) * 256
            + (self.trackers.len() + self.entities.len()) * 128
    }

    /// Returns the part behind `position` in its stream, for a speaker that may not have
    /// received it. The speaker's audio begins at that position, at the time `start` since
    /// the Unix epoch. Returns `None` if nothing is behind it.
    pub(crate) fn behind(&self, position: u64, start: i64) -> Option<Self> {
        let part = self.part.as_ref()?;
        let is_before = |word: &&Word| part.base.saturating_add(word.middle()) < position;
        let skipped = self.words.iter().take_while(is_before).count();
        let moved = |time: u64| part.base.saturating_add(time).saturating_sub(position);
        let words = self.words.iter().skip(skipped).map(|word| Word {
            text: word.text.clone(),
            start: moved(word.start),
            end: moved(word.end),
        });
        let words: Vec<Word> = words.collect();
        words.first()?;
        let mut rest = Self {
            start,
            words,
            part: Some(Part {
                base: position,
                ..part.clone()
            }),
            ..self.clone()
        };
        if skipped > 0 {
            rest.text = joined(&rest.words);
        }
        rest.messages.retain(|message| message.words.end > skipped);
        let ids: Vec<i64> = rest.messages.iter().map(|message| message.id).collect();
        rest.insights.retain(|found| ids.contains(&found.message));
        rest.trackers.retain(|found| ids.contains(&found.message));
        rest.entities.retain(|found| ids.contains(&found.message));
        for message in &mut rest.messages {
            let is_cut = message.words.start < skipped;
            let moved = |index: usize| index.saturating_sub(skipped);
            message.words = moved(message.words.start)..moved(message.words.end);
            if is_cut {
                let words = rest.words.get(message.words.clone()).unwrap_or_default();
                message.text = joined(words);
                message.original_text = message.text.clone();
            }
        }
        Some(rest)
    }
}

fn joined(words: &[Word]) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: i64, words: Range<usize>) -> Message {
        Message {
            id,
            text: format!("Message {id}."),
            original_text: String::new(),
            words,
        }
    }

    #[test]
    fn what_lies_behind_a_place_is_left_with_what_was_found_in_it() {
        let word = |n: u64| Word {
            text: format!("w{n}"),
            start: 10 * n,
            end: 10 * n + 10,
        };
        let insight = |message| Insight {
            message,
            ..Insight::default()
        };
        let said = Transcribed {
            words: (0..4).map(word).collect(),
            messages: vec![message(1, 0..2), message(2, 2..4)],
            insights: vec![insight(1), insight(2)],
            part: Some(Part {
                base: 100,
                ..Part::default()
            }),
            ..Transcribed::default()
        };
        let all = said.behind(100, 7).expect("all of it");
        assert_eq!((all.messages.len(), all.start), (2, 7));
        let rest = said.behind(130, 7).expect("a part");
        assert_eq!(rest.text, "w3");
        assert_eq!(rest.part.as_ref().map(|part| part.base), Some(130));
        assert_eq!((rest.words[0].start, rest.words[0].end), (0, 10));
        assert_eq!(rest.messages.len(), 1);
        assert_eq!(
            (rest.messages[0].id, rest.messages[0].text.as_str()),
            (2, "w3")
        );
        assert_eq!(rest.insights, [insight(2)]);
        assert!(said.behind(140, 7).is_none());
    }
}
