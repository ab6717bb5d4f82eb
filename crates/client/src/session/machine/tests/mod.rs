// SPDX-License-Identifier: MPL-2.0

//! Tests of the session, with the service in memory and a clock that the test moves.
//!
//! [`Rig`] plays the owner of the connection and the service. Each file holds the tests of one
//! subject.

mod audio;
mod backlog;
mod close;
mod drain;
mod identity;
mod link;
mod needs;
mod outage;
mod replay;
mod results;
mod stall;
mod told;
mod unread;

use super::*;
use crate::session::event::{GapReason, SessionEvent};
use crate::session::timeline::Instants;
use crate::session::{AudioFormat, LeakyPolicy, Reason, StallAction};
use serde_json::{Value, json};
use std::time::Duration;
use symbl_protocol::{Encoding, StartRequest, StreamFormat, response};

const MS: u64 = 1_000_000;
const LISTENING: &str = r#"{"type":"message","message":{"type":"started_listening"}}"#;
const STOPPED: &str = r#"{"type":"message","message":{"type":"recognition_stopped"}}"#;
const COMPLETED: &str = r#"{"type":"message","message":{"type":"conversation_completed"}}"#;

/// A session, its clock, and its outputs so far.
struct Rig {
    session: Session,
    now: Time,
    writable: bool,
    pushed: u64,
    sent: Vec<Output>,
    events: Vec<Event>,
}

impl Rig {
    fn new(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let format = StreamFormat::new(Encoding::Linear16, 16_000).unwrap();
        let mut config = SessionConfig::new(StartRequest::new(format));
        change(&mut config);
        let mut session = Session::new(config);
        session.set_upstream(false, false);
        let mut rig = Self {
            session,
            now: Time::ZERO,
            writable: true,
            pushed: 0,
            sent: Vec::new(),
            events: Vec::new(),
        };
        rig.session.start(rig.now);
        rig.session.set_format(rig.now, AudioFormat::new(format));
        rig.pump();
        rig
    }

    /// Returns a rig whose session is connected and listens.
    fn listening() -> Self {
        Self::listening_with(|_| {})
    }

    fn listening_with(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut rig = Self::new(change);
        rig.input(Input::Connected { announced: false });
        rig.text(LISTENING);
        rig
    }

    fn pump(&mut self) {
        while let Some(output) = self.session.poll(self.now, self.writable) {
            match output {
                Output::Event(event) => self.events.push(*event),
                output => self.sent.push(output),
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle(self.now, input);
        self.pump();
    }

    fn text(&mut self, text: &str) {
        self.input(Input::Text(text));
    }

    fn lose(&mut self) {
        self.input(Input::Closed(Failure::closed(1006, "")));
    }

    /// Lets time pass, and does what falls due on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
    }

    /// Pushes audio whose samples are numbered, so that a test sees where it stands.
    fn speak_at(&mut self, running_time: u64, millis: u64) {
        let first = self.pushed;
        let data: Vec<u8> = (first..first + millis * 16)
            .flat_map(|n| (n as i16).to_le_bytes())
            .collect();
        self.session.push_audio(
            self.now,
            &Audio {
                data: &data,
                instants: Instants {
                    running_time: Some(running_time),
                    stream_time: Some(running_time),
                    utc: None,
                },
                duration: None,
                speed: 1.0,
            },
        );
        self.pushed += millis * 16;
        self.pump();
    }

    fn speak(&mut self, millis: u64) {
        self.speak_at(self.pushed * MS / 16, millis);
    }

    /// Returns the audio of all binary messages, as sample numbers.
    fn heard(&self) -> Vec<i16> {
        self.sent
            .iter()
            .filter_map(|output| match output {
                Output::Binary(data) => Some(data),
                _ => None,
            })
            .flat_map(|data| {
                data.chunks(2)
                    .map(|s| i16::from_le_bytes([s[0], s[1]]))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn texts(&self) -> Vec<Value> {
        self.sent
            .iter()
            .filter_map(|output| match output {
                Output::Text(text) => Some(serde_json::from_str(text).unwrap()),
                _ => None,
            })
            .collect()
    }

    fn dials(&self) -> usize {
        self.sent.iter().filter(|o| **o == Output::Dial).count()
    }

    fn finals(&self) -> Vec<(String, Option<u64>)> {
        self.events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Transcript {
                    text,
                    is_final: true,
                    ..
                } => Some((text.clone(), event.placement.and_then(|p| p.running_time))),
                _ => None,
            })
            .collect()
    }

    fn messages(&self) -> Vec<String> {
        let texts = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Message { text, .. } => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    }

    fn drained(&self) -> Option<(bool, u64)> {
        self.events.iter().find_map(|event| match event.kind {
            EventKind::Drained {
                complete,
                unconfirmed,
            } => Some((complete, unconfirmed)),
            _ => None,
        })
    }

    fn gaps(&self) -> Vec<(u64, u64, GapReason)> {
        self.events
            .iter()
            .filter_map(|event| match event.kind {
                EventKind::Gap { reason } => {
                    let at = event.placement.unwrap();
                    Some((
                        at.running_time.unwrap() / MS,
                        at.duration.unwrap() / MS,
                        reason,
                    ))
                }
                _ => None,
            })
            .collect()
    }

    fn accounts_for_everything(&self) {
        let stats = self.session.stats(self.now);
        assert_eq!(
            stats.audio_sent + stats.audio_spooled + stats.audio_dropped,
            self.session.upstream.chunker.position(),
            "{stats:?}"
        );
    }
}

fn final_of(words: &[(&str, u64, u64)]) -> String {
    let time = |ms: u64| json!({"seconds": (ms / 1000).to_string(), "nanos": format!("{:09}", ms % 1000 * MS)});
    let list: Vec<Value> = words
        .iter()
        .map(|(word, start, end)| json!({"word": word, "startTime": time(*start), "endTime": time(*end)}))
        .collect();
    let text = words.iter().map(|w| w.0).collect::<Vec<_>>().join(" ");
    json!({"type":"message","message":{"type":"recognition_result","isFinal":true,
        "payload":{"raw":{"alternatives":[{"words":list,"transcript":text,"confidence":0.9}]}},
        "punctuated":{"transcript":text}}})
    .to_string()
}

/// Returns the message that follows finals of these words.
fn message_of(id: &str, words: &str) -> String {
    format!(
        r#"{{"type":"message_response","messages":[{{"id":"{id}","payload":{{"content":"{words}"}}}}]}}"#
    )
}

fn named(kind: &str, id: &str) -> String {
    json!({"type":"message","message":{"type":kind,"data":{"conversationId":id}}}).to_string()
}
