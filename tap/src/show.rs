// SPDX-License-Identifier: MPL-2.0

//! Turns the messages of the service into items to write.
//!
//! Sentences come from `message_response`: its times count from the start of the
//! conversation for all speakers. A live final says the same earlier, but its times
//! count from the start of its own stream, which a subscriber does not know.
//!
//! Sources: Symbl Streaming API reference, messages; a trace of the original service.

use std::io::{self, Write};
use std::time::Duration;
use symbl_captions::{CaptionWriter, Found, TimedWord, Utterance};
use symbl_protocol::ServerMessage;
use symbl_protocol::response::{Message, Participant};
use symbl_protocol::timestamp::format_rfc3339;

/// Writes each message that is worth writing.
pub struct Show<W: Write> {
    writer: CaptionWriter<W>,
    interim: bool,
    /// Wall-clock time of the conversation's zero, in nanoseconds since the Unix
    /// epoch.
    zero: Option<i64>,
    /// When the current message came, on the clock of the caller.
    now: Duration,
}

impl<W: Write> Show<W> {
    /// Creates an instance that writes to `writer`, with interims if `interim` is
    /// set.
    pub fn new(writer: CaptionWriter<W>, interim: bool) -> Self {
        Self {
            writer,
            interim,
            zero: None,
            now: Duration::ZERO,
        }
    }

    /// Writes the captions that wait for the next sentence. Call it when none will
    /// come soon.
    pub fn finish(&mut self) -> io::Result<()> {
        self.writer.finish()
    }

    /// Writes what a reader of the conversation wants from this message. `now` is the
    /// time of its arrival, on any monotonic clock.
    pub fn message(&mut self, message: &ServerMessage, now: Duration) -> io::Result<()> {
        self.now = now;
        match message {
            ServerMessage::RecognitionResult(result) if !result.is_final && self.interim => {
                self.writer.utterance(&Utterance {
                    text: &result.text,
                    is_final: false,
                    speaker: name(result.user.as_ref()),
                    ..Utterance::default()
                })
            }
            ServerMessage::MessageResponse { messages, .. } => {
                messages.iter().try_for_each(|message| self.said(message))
            }
            ServerMessage::InsightResponse { insights, .. } => {
                insights.iter().try_for_each(|insight| {
                    self.writer.found(&Found {
                        kind: &insight.kind,
                        text: &insight.text,
                        assignee: name(insight.assignee.as_ref()),
                        due: insight.due_by.as_deref(),
                        ..Found::default()
                    })
                })
            }
            ServerMessage::TrackerResponse {
                matches, is_final, ..
            } if *is_final || self.interim => matches.iter().try_for_each(|found| {
                self.writer.found(&Found {
                    kind: "tracker",
                    name: Some(&found.name),
                    text: &found.value,
                    ..Found::default()
                })
            }),
            ServerMessage::TopicResponse { topics } => topics.iter().try_for_each(|topic| {
                self.writer.found(&Found {
                    kind: "topic",
                    text: &topic.text,
                    ..Found::default()
                })
            }),
            ServerMessage::EntityResponse { entities } => entities.iter().try_for_each(|entity| {
                self.writer.found(&Found {
                    kind: "entity",
                    name: Some(entity.sub_type.as_deref().unwrap_or(&entity.kind)),
                    text: &entity.value,
                    ..Found::default()
                })
            }),
            _ => Ok(()),
        }
    }

    fn said(&mut self, message: &Message) -> io::Result<()> {
        let start = self.place(message.time_offset, message.start_time);
        let mut words = Vec::with_capacity(message.words.len());
        for word in &message.words {
            let Some(start) = self.place(word.time_offset, word.start_time) else {
                // If one word has no time, the times of the others are useless.
                words.clear();
                break;
            };
            let end = match word.duration {
                Some(duration) => start.saturating_add(duration),
                None => self.place(None, word.end_time).unwrap_or(start),
            };
            words.push(TimedWord {
                text: word.word.clone(),
                start,
                end,
            });
        }
        let end = match (start, message.duration) {
            (Some(start), Some(duration)) => Some(start.saturating_add(duration)),
            _ => self.place(None, message.end_time),
        };
        let utc = message.start_time.map(format_rfc3339);
        self.writer.utterance(&Utterance {
            text: &message.text,
            is_final: true,
            speaker: name(message.from.as_ref()),
            start,
            end,
            words: &words,
            utc: utc.as_deref(),
            heard_at: Some(self.now),
        })
    }

    /// Returns a place in the conversation: the service's offset if there is one,
    /// else the wall-clock time since the conversation's zero. The first message with
    /// a wall-clock time sets that zero.
    fn place(&mut self, offset: Option<Duration>, wall: Option<i64>) -> Option<Duration> {
        if let Some(offset) = offset {
            let zero = wall.zip(i64::try_from(offset.as_nanos()).ok());
            self.zero = self
                .zero
                .or(zero.and_then(|(wall, offset)| wall.checked_sub(offset)));
            return Some(offset);
        }
        let wall = wall?;
        let zero = *self.zero.get_or_insert(wall);
        let since = wall.checked_sub(zero)?;
        Some(Duration::from_nanos(u64::try_from(since).unwrap_or(0)))
    }
}

fn name(speaker: Option<&Participant>) -> Option<&str> {
    let speaker = speaker?;
    speaker.name.as_deref().or(speaker.user_id.as_deref())
}
