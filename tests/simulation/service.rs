// SPDX-License-Identifier: MPL-2.0

//! The other side of one link: recognises words that the samples carry.
//!
//! Sample value (n + 1) × [`STEP`] says word n, 0 is silence. A word counts when at least
//! half of it was heard, like the scripted recogniser of the real service.

use fastrand::Rng;
use gstsymbl::protocol::reply::{self, Word};
use gstsymbl::protocol::{ClientMessage, MAX_AUDIO_MESSAGE};
use std::time::Duration;

/// Distance of two words' sample values: loud enough to be heard.
pub const STEP: u16 = 300;

/// Samples of a word at 16 kHz.
pub const WORD: u64 = 3200;

/// What the service does in answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Sends this text.
    Text(String),
    /// Sends a pong.
    Pong,
    /// Closes with this code.
    Close(u16),
}

struct Heard {
    word: u64,
    start: u64,
    end: u64,
}

/// One socket of the service, from the upgrade on.
pub struct Service {
    conversation: String,
    rng: Rng,
    started: bool,
    samples: u64,
    /// Value of the running stretch of samples, and where it began.
    run: (u16, u64),
    utterance: Vec<Heard>,
}

impl Service {
    /// A socket into a conversation.
    pub fn new(conversation: String, seed: u64) -> Self {
        Self {
            conversation,
            rng: Rng::with_seed(seed),
            started: false,
            samples: 0,
            run: (0, 0),
            utterance: Vec::new(),
        }
    }

    /// A text message came.
    pub fn text(&mut self, text: &str) -> Result<Vec<Answer>, String> {
        match ClientMessage::parse(text).map_err(|e| format!("sent {text}: {e}"))? {
            ClientMessage::Start(_) if self.started => Err("a second start request".into()),
            ClientMessage::Start(_) => {
                self.started = true;
                let mut replies = vec![
                    reply::started_listening(),
                    reply::conversation_created(&self.conversation),
                    reply::recognition_started(&self.conversation),
                ];
                self.rng.shuffle(&mut replies);
                Ok(replies.into_iter().map(Answer::Text).collect())
            }
            ClientMessage::Stop if !self.started => Err("a stop before a start".into()),
            ClientMessage::Stop => {
                self.change(0);
                let mut answers = vec![Answer::Text(reply::recognition_stopped())];
                answers.extend(self.finalise());
                answers.push(Answer::Text(reply::conversation_completed(
                    &self.conversation,
                )));
                answers.push(Answer::Close(1000));
                Ok(answers)
            }
            other => Err(format!("unexpected {other:?}")),
        }
    }

    /// A binary message came.
    pub fn audio(&mut self, data: &[u8]) -> Result<Vec<Answer>, String> {
        if !self.started {
            return Err("audio before the start request".into());
        }
        if data.is_empty() || data.len() > MAX_AUDIO_MESSAGE || !data.len().is_multiple_of(2) {
            return Err(format!("a message of {} bytes", data.len()));
        }
        let mut answers = Vec::new();
        for sample in data.chunks_exact(2) {
            let value = u16::from_le_bytes([sample[0], sample[1]]);
            if value != self.run.0 {
                self.change(value);
            }
            self.samples += 1;
            let silent = value == 0 && self.samples - self.run.1 == 4800;
            if silent || self.utterance.len() >= 10 {
                answers.extend(self.finalise());
            }
        }
        if self.utterance.len() > 2 && self.rng.u8(0..4) == 0 {
            answers.extend(self.finalise());
        }
        Ok(answers)
    }

    fn change(&mut self, value: u16) {
        let (word, start) = std::mem::replace(&mut self.run, (value, self.samples));
        if word > 0 && self.samples - start >= WORD / 2 {
            self.utterance.push(Heard {
                word: u64::from(word / STEP) - 1,
                start,
                end: self.samples,
            });
        }
    }

    fn finalise(&mut self) -> Option<Answer> {
        let heard = std::mem::take(&mut self.utterance);
        if heard.is_empty() {
            return None;
        }
        let texts: Vec<String> = heard.iter().map(|h| format!("w{}", h.word)).collect();
        let time = |samples: u64| Duration::from_nanos(samples * 62_500);
        let words: Vec<Word<'_>> = heard
            .iter()
            .zip(&texts)
            .map(|(heard, text)| Word {
                text,
                start: time(heard.start),
                end: time(heard.end),
            })
            .collect();
        Some(Answer::Text(reply::final_result(
            &texts.join(" "),
            &words,
            1.0,
            None,
            0,
        )))
    }
}
