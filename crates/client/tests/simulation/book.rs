// SPDX-License-Identifier: MPL-2.0

//! Records all events of the session, in a form that the invariants can check.

use crate::service::word_spelled;
use std::collections::{HashMap, HashSet};
use symbl_client::session::event::PlacedWord;
use symbl_client::session::{Event, EventKind, Placement, Reason, SessionEvent, State, Time};
use symbl_protocol::response::Participant;

/// A word that was delivered, in a final or a message.
#[derive(Debug, Clone)]
pub struct Word {
    pub word: u16,
    pub running_time: Option<u64>,
    pub duration: Option<u64>,
    /// The wall clock at running time zero; only for the first word of a final.
    pub wall: Option<i64>,
    pub utterance: Option<String>,
    /// The user id of the speaker.
    pub speaker: Option<String>,
    /// The number of the event.
    pub event: usize,
}

/// An interim that was delivered.
#[derive(Debug, Clone)]
pub struct Interim {
    pub utterance: String,
    pub words: Vec<u16>,
    /// How many words of finals were delivered before.
    pub finals_before: usize,
}

/// An insight, topic or tracker match.
#[derive(Debug, Clone)]
pub struct Finding {
    pub message: Option<String>,
    pub placement: Option<Placement>,
}

#[derive(Debug, Clone)]
pub struct Conversation {
    pub event: SessionEvent,
    pub id: Option<String>,
    pub previous: Option<String>,
}

#[derive(Default)]
pub struct Book {
    events: usize,
    pub finals: Vec<Word>,
    pub messages: Vec<Word>,
    pub interims: Vec<Interim>,
    pub message_ids: HashMap<String, Option<Placement>>,
    pub findings: Vec<Finding>,
    finding_ids: HashSet<String>,
    /// Running times of the gaps.
    pub gaps: Vec<(u64, u64)>,
    pub placements: Vec<Placement>,
    pub conversations: Vec<Conversation>,
    /// The time of the end of the stream, until the session reports that it is drained.
    pub ending_since: Option<Time>,
    /// The last drained event: `complete`, and how much was not confirmed.
    pub drained: Option<(bool, u64)>,
    pub failed: Option<String>,
    /// How often the session reported that the wall clock was set.
    pub wall_clock_sets: usize,
    pub state: State,
    /// The generation of the last event.
    pub generation: u64,
    /// The first contradiction within the events.
    pub nonsense: Option<String>,
}

impl Book {
    fn nonsense(&mut self, what: String) {
        self.nonsense.get_or_insert(what);
    }

    fn words(
        &mut self,
        words: &[PlacedWord],
        utterance: Option<&str>,
        speaker: Option<Participant>,
    ) -> Vec<Word> {
        let speaker = speaker.and_then(|speaker| speaker.user_id);
        let mut told = Vec::new();
        for word in words {
            match word_spelled(&word.word) {
                Some(number) => told.push(Word {
                    word: number,
                    running_time: word.running_time,
                    duration: word.duration,
                    wall: None,
                    utterance: utterance.map(str::to_owned),
                    speaker: speaker.clone(),
                    event: self.events,
                }),
                None => self.nonsense(format!("the word {:?}, which nobody said", word.word)),
            }
        }
        told
    }

    pub fn write(&mut self, event: Event) {
        self.events += 1;
        let after_end = self.drained.is_some() && self.ending_since.is_none();
        if after_end && !matches!(event.kind, EventKind::State { .. }) {
            self.nonsense(format!("told after the end: {:?}", event.kind));
        }
        if event.generation < self.generation {
            self.nonsense(format!("generation {} came again", event.generation));
        }
        self.generation = event.generation;
        let place = event.placement;
        match event.kind {
            EventKind::Transcript {
                is_final,
                utterance_id,
                words,
                text,
                speaker,
                ..
            } => {
                self.placements.extend(place);
                if is_final {
                    if words.is_empty() {
                        self.nonsense("a final without words".into());
                    }
                    let mut words = self.words(&words, Some(&utterance_id), speaker);
                    if let Some(first) = words.first_mut() {
                        first.wall = place.and_then(|place| {
                            let running_time = i64::try_from(place.running_time?).ok()?;
                            Some(place.utc? - running_time)
                        });
                    }
                    self.finals.extend(words);
                } else {
                    let words = text.split_whitespace().filter_map(word_spelled);
                    self.interims.push(Interim {
                        utterance: utterance_id,
                        words: words.collect(),
                        finals_before: self.finals.len(),
                    });
                }
            }
            EventKind::Message {
                id,
                words,
                utterance_id,
                speaker,
                ..
            } => {
                self.placements.extend(place);
                let words = self.words(&words, utterance_id.as_deref(), speaker);
                self.messages.extend(words);
                let id = id.unwrap_or_default();
                if self.message_ids.insert(id.clone(), place).is_some() {
                    self.nonsense(format!("message {id} came twice"));
                }
            }
            EventKind::Insight(found) => self.finding(found.message_id, found.id, place),
            EventKind::Topic(found) => {
                self.finding(found.message_ids.first().cloned(), found.id, place);
            }
            EventKind::Tracker { found, .. } => self.finding(found.message_id, None, place),
            EventKind::Gap { .. } => self.gap(place),
            EventKind::Session {
                event: what,
                previous_conversation_id,
            } => self.conversations.push(Conversation {
                event: what,
                id: event.conversation_id.map(|id| id.to_string()),
                previous: previous_conversation_id.map(|id| id.to_string()),
            }),
            EventKind::Drained {
                complete,
                unconfirmed,
            } => {
                if self.ending_since.take().is_none() {
                    self.nonsense("drained without an end".into());
                }
                self.drained = Some((complete, unconfirmed));
            }
            EventKind::Failed(failure) => {
                if failure.retryable {
                    self.nonsense(format!("failed over {failure:?}"));
                }
                self.failed = Some(failure.message);
            }
            EventKind::State {
                state, previous, ..
            } => {
                if previous != self.state {
                    self.nonsense(format!("in {previous:?} after {:?}", self.state));
                }
                self.state = state;
            }
            EventKind::Warning(failure) if failure.reason == Reason::WallClock => {
                self.wall_clock_sets += 1;
            }
            EventKind::Entity(_)
            | EventKind::Analytics { .. }
            | EventKind::Heard
            | EventKind::Error { .. }
            | EventKind::Raw { .. }
            | EventKind::Stall { .. }
            | EventKind::Warning(_) => {}
        }
    }

    fn finding(
        &mut self,
        message: Option<String>,
        id: Option<String>,
        placement: Option<Placement>,
    ) {
        if let Some(id) = id
            && !self.finding_ids.insert(id.clone())
        {
            self.nonsense(format!("{id} was found twice"));
        }
        self.findings.push(Finding { message, placement });
    }

    fn gap(&mut self, place: Option<Placement>) {
        let start = place.and_then(|place| place.running_time);
        let length = place.and_then(|place| place.duration);
        match start.zip(length) {
            Some((_, 0)) => self.nonsense("a gap without a length".into()),
            Some((start, length)) => self.gaps.push((start, start + length)),
            None => self.nonsense("a gap without a time".into()),
        }
        self.placements.extend(place);
    }

    /// Returns how much of a stretch of running time lies in gaps, in nanoseconds. A gap may go
    /// over earlier ones: what was sent in between is lost too.
    pub fn lost(&self, start: u64, end: u64) -> u64 {
        let inside = self
            .gaps
            .iter()
            .map(|(from, to)| ((*from).max(start), (*to).min(end)));
        let mut inside: Vec<(u64, u64)> = inside.filter(|(from, to)| from < to).collect();
        inside.sort_unstable();
        let (mut lost, mut until) = (0, start);
        for (from, to) in inside {
            lost += to.saturating_sub(from.max(until));
            until = until.max(to);
        }
        lost
    }
}
