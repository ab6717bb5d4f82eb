// SPDX-License-Identifier: MPL-2.0

//! A socket of a service whose log several nodes share. What the log takes is told when the
//! log has answered, and what it has already is told again as its audio comes again.

use super::{Answer, Answers, Conversation, Heard, Service, Telling, words};
use crate::audio::Ms;
use crate::nodes::database::Starting;
use crate::nodes::{Ask, Reply};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use symbl_log::fence::{Refusal, was_said};
use symbl_protocol::StreamPlace;
use symbl_protocol::reply::{self, Person};

/// A final as the log keeps it. Its words have their times in the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Final {
    pub id: i64,
    pub number: u64,
    pub words: Vec<Heard>,
    pub place: Option<StreamPlace>,
    speaker: Person<'static>,
    /// The beginning of its start, from the beginning of the conversation.
    offset: Duration,
    /// How many words its first message has.
    cut: usize,
}

impl Final {
    pub fn of(
        id: i64,
        words: Vec<Heard>,
        place: Option<StreamPlace>,
        speaker: Person<'static>,
    ) -> Self {
        let cut = words.len();
        let (number, offset) = (0, Duration::ZERO);
        Self {
            id,
            number,
            words,
            place,
            speaker,
            offset,
            cut,
        }
    }

    fn until(&self) -> u64 {
        self.words.last().map_or(0, |word| word.end)
    }
}

/// What a socket knows beside what every service does.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Its number, and the number of finals that it has made.
    pub(super) socket: u64,
    finals: i64,
    /// Up to where the words of its stream are in the log already.
    said_until: u64,
    /// Finals behind its position, which the client may not have.
    unheard: VecDeque<Arc<Final>>,
    /// Where its audio begins in the stream.
    position: u64,
    /// The next start is to begin a new conversation.
    anew: bool,
}

impl Shared {
    /// Returns where the earliest final begins that is still to be told again.
    pub(super) fn owed(&self) -> Option<u64> {
        let first = self.unheard.iter().filter_map(|said| said.words.first());
        let first = first.map(|word| word.start).min()?;
        Some(first.saturating_sub(self.position))
    }
}

impl Service {
    /// Makes this the socket with this number on one of several nodes.
    pub fn on_a_node(mut self, socket: u64) -> Self {
        self.shared.socket = socket;
        self
    }

    pub(super) fn is_shared(&self) -> bool {
        self.settings.cluster.nodes > 0
    }

    /// Lets the next start begin a new conversation.
    pub fn begin_anew(&mut self) {
        self.shared.anew = true;
    }

    /// Returns the question whether a start is in time, and where it goes on.
    pub(super) fn starting(&mut self) -> Answer {
        let shared = &mut self.shared;
        shared.position = self.place.as_ref().map_or(0, |place| place.position);
        shared.unheard.clear();
        Answer::Ask(Ask::Start(Starting {
            place: self.place.clone(),
            member: self.speaker.id.unwrap_or_default(),
            anew: std::mem::take(&mut shared.anew),
        }))
    }

    /// Asks the log to take what was heard, without the words that it has already.
    pub(super) fn say(
        &mut self,
        heard: &[Heard],
        conversation: &mut Conversation,
        answers: &mut Answers,
    ) {
        self.hear_again(conversation, answers);
        let Some(place) = self.place.clone() else {
            return;
        };
        for Heard { word, start, end } in heard {
            conversation.ledger.hear(&place, *word, *start, *end);
        }
        let position = place.position;
        let heard: Vec<Heard> = heard
            .iter()
            .map(|heard| Heard {
                start: heard.start + position,
                end: heard.end + position,
                ..*heard
            })
            .skip_while(|word| was_said(word.start, word.end, self.shared.said_until))
            .collect();
        if heard.is_empty() {
            return;
        }
        self.shared.finals += 1;
        let socket = i64::try_from(self.shared.socket).unwrap_or(0);
        let id = -(socket << 20 | self.shared.finals);
        let cut = match heard.len() > 3 && self.rng.bool() {
            true => self.rng.usize(1..heard.len()),
            false => heard.len(),
        };
        let said = Final {
            cut,
            offset: self.offset,
            ..Final::of(id, heard, Some(place), self.speaker)
        };
        answers.push((0, Answer::Ask(Ask::Say(said))));
    }

    /// Tells the finals again whose audio has come again; after a stop, all.
    pub(super) fn hear_again(&mut self, conversation: &mut Conversation, answers: &mut Answers) {
        let Some(decoder) = &self.decoder else {
            return;
        };
        let heard = self.clock.nanos(decoder.label().sample_rate());
        let now = match self.stopped {
            true => u64::MAX,
            false => self.shared.position + heard,
        };
        while self
            .shared
            .unheard
            .front()
            .is_some_and(|said| said.until() <= now)
            && let Some(said) = self.shared.unheard.pop_front()
        {
            self.tell(&said, conversation, answers);
        }
    }

    /// Takes the answer of the log.
    pub fn answered(
        &mut self,
        reply: Reply,
        now: Duration,
        conversation: &mut Conversation,
    ) -> Answers {
        let mut answers = Vec::new();
        match reply {
            Reply::Begun {
                conversation: id,
                said_until,
                unheard,
            } => {
                let id = u64::try_from(id).unwrap_or(0);
                if conversation.id != id {
                    conversation.id = id;
                    conversation.since = None;
                    conversation.history.clear();
                }
                self.offset = now - *conversation.since.get_or_insert(now);
                self.shared.said_until = said_until;
                // The socket that said them may not have heard that they are stored.
                let words = unheard.iter().flat_map(|said| &said.words);
                words.for_each(|heard| conversation.ledger.store(heard.word));
                self.shared.unheard = unheard.into();
                answers = self.started(id);
            }
            Reply::Stored(said) => {
                for Heard { word, .. } in &said.words {
                    conversation.ledger.store(*word);
                }
                self.tell(&said, conversation, &mut answers);
            }
            Reply::Refused(Refusal::Already | Refusal::Superseded) => {}
            Reply::Refused(Refusal::Over) => answers = self.fail("conversation_over"),
            Reply::Failed => answers = self.fail("storage_failed"),
        }
        answers
    }

    /// Ends the stream, of which not all could be stored.
    fn fail(&mut self, code: &str) -> Answers {
        (self.decoder, self.stopped, self.failed) = (None, false, true);
        self.shared.unheard.clear();
        let text = reply::error("The stream ends", code, None);
        let end = match self.drains {
            true => Answer::Incomplete,
            false => Answer::Text(reply::processing_terminated()),
        };
        vec![(0, Answer::Text(text)), (0, end)]
    }

    /// Returns `true` if a final of this start could not be stored.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Tells a final, as far as it is behind the position of this start.
    fn tell(&mut self, said: &Final, conversation: &mut Conversation, answers: &mut Answers) {
        let position = self.shared.position;
        let is_before = |word: &&Heard| word.start.midpoint(word.end) < position;
        let before = said.words.iter().take_while(is_before).count();
        let rest: Vec<Heard> = said.words[before..]
            .iter()
            .map(|word| Heard {
                start: word.start.saturating_sub(position),
                end: word.end.saturating_sub(position),
                ..*word
            })
            .collect();
        if rest.is_empty() {
            return;
        }
        let spellings = self.spellings(&rest);
        let spoken = words(&rest, &spellings);
        let text = spellings.join(" ");
        let text = reply::final_result(&text, &spoken, 0.9, Some(said.speaker), 0);
        self.twice(0, text, answers);
        if !self.settings.messages {
            return;
        }
        // Told again, a message has the times of this start.
        let base = said.place.as_ref().map_or(0, |place| place.position);
        let kept = said.offset + Duration::from_nanos(position.saturating_sub(base));
        let mut delay: Ms = self.ponder + self.rng.u32(1..200);
        for (n, part) in [
            before..said.cut.max(before),
            said.cut.max(before)..said.words.len(),
        ]
        .into_iter()
        .enumerate()
        {
            let part: Vec<Heard> = said.words[part]
                .iter()
                .map(|word| Heard {
                    start: word.start.saturating_sub(position),
                    end: word.end.saturating_sub(position),
                    ..*word
                })
                .collect();
            if part.is_empty() {
                continue;
            }
            delay += self.rng.u32(0..30);
            let spellings = self.spellings(&part);
            let spoken = words(&part, &spellings);
            let id = format!("m{}-{}-{n}", conversation.id, said.number);
            let telling = Telling {
                id: &id,
                from: said.speaker,
                offset: self.offset,
                kept,
                sequence: said.number,
                // Told again, it has the same findings.
                luck: Some((said.number % 6) as u8),
            };
            self.message(&telling, &spoken, delay, conversation, answers);
        }
    }
}
