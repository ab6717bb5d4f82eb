// SPDX-License-Identifier: MPL-2.0

//! What was said in a conversation, kept for the Conversation API.
//!
//! The newest messages are kept, within a bound. Must never ask a clock: times
//! are those that the sockets were told.
//!
//! Facts: Symbl Conversation API reference, "messages". Ids are numbers and not
//! those of the live messages; `timeOffset` counts from the first sentence and
//! not from the first audio; there is no paging.

use crate::conversation::Speaker;
use gstsymbl::protocol::timestamp::format_rfc3339;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::time::Duration;

/// Smallest message id, so that all have sixteen digits.
const FIRST_ID: u128 = 1_000_000_000_000_000;

/// The messages of a conversation.
#[derive(Debug)]
pub(crate) struct History {
    messages: VecDeque<Message>,
    /// More are not kept.
    bound: usize,
    /// When the first sentence of all began.
    first: Option<i64>,
}

/// A sentence that was said.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) speaker: Speaker,
    pub(crate) text: String,
    pub(crate) words: Vec<Word>,
    pub(crate) confidence: f64,
    /// Wall-clock time that its words count from, nanoseconds since the Unix epoch.
    pub(crate) stream_start: i64,
    id: String,
}

/// A word with its place in the audio of its stream.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

impl Message {
    /// A sentence with an id of its own.
    pub(crate) fn new(
        speaker: Speaker,
        text: String,
        words: Vec<Word>,
        confidence: f64,
        stream_start: i64,
    ) -> Self {
        let id = FIRST_ID + uuid::Uuid::new_v4().as_u128() % (9 * FIRST_ID);
        Self {
            speaker,
            text,
            words,
            confidence,
            stream_start,
            id: id.to_string(),
        }
    }

    fn start(&self) -> i64 {
        self.at(self.words.first().map_or(Duration::ZERO, |w| w.start))
    }

    fn at(&self, since_start: Duration) -> i64 {
        let nanos = i64::try_from(since_start.as_nanos()).unwrap_or(i64::MAX);
        self.stream_start.saturating_add(nanos)
    }

    /// The four members that place something of this message in time.
    fn span(&self, zero: i64, start: Duration, end: Duration) -> Map<String, Value> {
        let (from, to) = (self.at(start), self.at(end));
        let since = |earlier: i64, later: i64| {
            Duration::from_nanos(u64::try_from(later.saturating_sub(earlier)).unwrap_or(0))
        };
        let mut members = Map::new();
        members.insert("startTime".into(), format_rfc3339(from).into());
        members.insert("endTime".into(), format_rfc3339(to).into());
        members.insert("timeOffset".into(), hundredths(since(zero, from)));
        members.insert("duration".into(), hundredths(since(from, to)));
        members
    }

    fn json(&self, conversation_id: &str, zero: i64, verbose: bool) -> Value {
        let start = self.words.first().map_or(Duration::ZERO, |w| w.start);
        let end = self.words.last().map_or(start, |w| w.end);
        let mut members = Map::new();
        members.insert("id".into(), self.id.as_str().into());
        members.insert("text".into(), self.text.as_str().into());
        members.insert("from".into(), person(&self.speaker));
        members.append(&mut self.span(zero, start, end));
        members.insert("conversationId".into(), conversation_id.into());
        members.insert("phrases".into(), json!([]));
        if verbose {
            let words = self.words.iter().map(|word| {
                let mut members = Map::new();
                members.insert("word".into(), word.text.as_str().into());
                members.append(&mut self.span(zero, word.start, word.end));
                members.insert("score".into(), self.confidence.into());
                Value::Object(members)
            });
            members.insert("words".into(), words.collect());
        }
        Value::Object(members)
    }
}

/// The `userId` of the sockets is called `email` here.
fn person(speaker: &Speaker) -> Value {
    let mut members = Map::new();
    members.insert("id".into(), speaker.id.as_str().into());
    for (name, value) in [("name", &speaker.name), ("email", &speaker.user_id)] {
        if let Some(value) = value {
            members.insert(name.into(), value.as_str().into());
        }
    }
    Value::Object(members)
}

/// Seconds with at most two decimals; whole numbers carry none.
fn hundredths(time: Duration) -> Value {
    let rounded = time.saturating_add(Duration::from_millis(5)).as_millis() / 10;
    match u64::try_from(rounded / 100) {
        Ok(whole) if rounded.is_multiple_of(100) => whole.into(),
        _ => (rounded as f64 / 100.0).into(),
    }
}

impl History {
    /// An empty one that keeps so many messages.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            messages: VecDeque::new(),
            bound,
            first: None,
        }
    }

    /// Keeps a message, and forgets the oldest for it.
    pub(crate) fn push(&mut self, message: Message) {
        self.first.get_or_insert(message.start());
        self.messages.push_back(message);
        while self.messages.len() > self.bound {
            self.messages.pop_front();
        }
    }

    /// The answer to a request for them, in the order of their times; the words
    /// of each only where it is to be `verbose`.
    pub(crate) fn json(&self, conversation_id: &str, verbose: bool) -> Value {
        let zero = self.first.unwrap_or(0);
        let mut messages: Vec<&Message> = self.messages.iter().collect();
        messages.sort_by_key(|message| message.start());
        let messages = messages
            .into_iter()
            .map(|message| message.json(conversation_id, zero, verbose));
        json!({ "messages": messages.collect::<Value>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, at: u64) -> Message {
        let speaker = Speaker {
            id: "s".into(),
            user_id: Some("ada@example.org".into()),
            name: None,
        };
        let ms = Duration::from_millis;
        let word = Word {
            text: text.into(),
            start: ms(at),
            end: ms(at + 250),
        };
        Message::new(speaker, text.into(), vec![word], 0.5, 1_000_000_000_000)
    }

    fn texts(history: &History) -> Vec<String> {
        let json = history.json("c", false);
        let messages = json["messages"].as_array().unwrap().iter();
        messages
            .map(|m| m["text"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_message_is_written_as_the_reference_has_it() {
        let mut history = History::new(10);
        history.push(message("Hello.", 800));
        history.push(message("You.", 2_005));
        let json = history.json("c", true);
        let mut written = json["messages"][1].clone();
        let id = written["id"].take();
        assert_eq!(id.as_str().unwrap().len(), 16);
        let expected = json!({
            "id": null,
            "text": "You.",
            "from": {"id": "s", "email": "ada@example.org"},
            "startTime": "1970-01-01T00:16:42.005Z",
            "endTime": "1970-01-01T00:16:42.255Z",
            "timeOffset": 1.21,
            "duration": 0.25,
            "conversationId": "c",
            "phrases": [],
            "words": [{
                "word": "You.",
                "startTime": "1970-01-01T00:16:42.005Z",
                "endTime": "1970-01-01T00:16:42.255Z",
                "timeOffset": 1.21,
                "duration": 0.25,
                "score": 0.5,
            }],
        });
        assert_eq!(written, expected);
        assert_eq!(json["messages"][0]["timeOffset"], 0);
        assert_eq!(history.json("c", false)["messages"][1].get("words"), None);
    }

    #[test]
    fn messages_come_in_the_order_of_their_times() {
        let mut history = History::new(10);
        for (text, at) in [("one", 100), ("three", 3_000), ("two", 2_000)] {
            history.push(message(text, at));
        }
        assert_eq!(texts(&history), ["one", "two", "three"]);
    }

    #[test]
    fn the_oldest_make_room_and_the_zero_of_time_stays() {
        let mut history = History::new(2);
        for at in 0..5 {
            history.push(message(&at.to_string(), at * 1000));
        }
        assert_eq!(texts(&history), ["3", "4"]);
        assert_eq!(history.json("c", false)["messages"][0]["timeOffset"], 3);
        assert_eq!(texts(&History::new(2)), [""; 0]);
    }
}
