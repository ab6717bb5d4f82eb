// SPDX-License-Identifier: MPL-2.0

//! A service that says what is scripted when it has heard the audio of it.

use crate::common::dialogue::final_result;
use crate::common::peer::{
    Message, Peer, Record, Script, close, conversation_completed, recognition_stopped,
};
use crate::talk::{Talk, Timed};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes in a millisecond of the audio.
const BYTES: usize = 32;

/// How the service speaks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Says {
    /// How much audio behind a sentence it hears before it says the final, in milliseconds.
    pub lag: u64,
    /// It says how far it has heard after each second, as `symbl-service` does.
    pub progress: bool,
}

/// A scripted service for one connection.
pub struct Prompter {
    peer: Arc<Peer>,
    ended: Arc<AtomicBool>,
}

/// A message, and how much audio the service hears before it says it, in milliseconds.
type Cue = (u64, Message);

impl Prompter {
    /// Starts the service. It answers the stop when all has been said.
    pub fn start(talk: &Talk, says: Says) -> Self {
        let peer = Arc::new(Peer::start(Script::no_stop_answer()));
        let ended = Arc::new(AtomicBool::new(false));
        let cues = cues(talk, says);
        let (own, over) = (Arc::clone(&peer), Arc::clone(&ended));
        std::thread::spawn(move || speak(&own, &over, cues));
        Self { peer, ended }
    }

    /// Returns the value for the property `base-url`.
    pub fn base_url(&self) -> String {
        self.peer.base_url()
    }

    /// Returns how many connections there were.
    pub fn connections(&self) -> usize {
        self.peer.records().len()
    }

    /// Returns how much audio has come on the first connection, in milliseconds.
    pub fn heard(&self) -> u64 {
        self.peer.records().first().map_or(0, heard)
    }
}

impl Drop for Prompter {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn cues(talk: &Talk, says: Says) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    let mut heard = 0;
    // Until `end`, no sentence begins.
    let mut hear = |cues: &mut Vec<Cue>, end: u64| {
        while says.progress && heard + 1000 <= end {
            heard += 1000;
            cues.push((heard, progress(heard)));
        }
    };
    for sentence in &talk.sentences {
        let (Some(first), Some(last)) = (sentence.first(), sentence.last()) else {
            continue;
        };
        hear(&mut cues, first.start);
        let words: Vec<(&str, u64, u64)> = sentence
            .iter()
            .map(|Timed { text, start, end }| (text.as_str(), *start, *end))
            .collect();
        let at = (last.end + says.lag).min(talk.duration);
        cues.push((at, Message::text(final_result(&words))));
    }
    hear(&mut cues, talk.duration);
    cues
}

/// Returns how much audio a connection has brought, in milliseconds.
fn heard(record: &Record) -> u64 {
    let audio = record.audio_messages().into_iter();
    (audio.map(<[u8]>::len).sum::<usize>() / BYTES) as u64
}

fn progress(millis: u64) -> Message {
    let seconds = millis as f64 / 1000.0;
    Message::text(format!(
        r#"{{"type":"message","message":{{"type":"recognition_progress","audioTime":{seconds}}}}}"#
    ))
}

fn speak(peer: &Peer, over: &AtomicBool, cues: Vec<Cue>) {
    let wait = |reached: &dyn Fn(&Record) -> bool| {
        let first = |records: &[_]| records.first().is_some_and(reached);
        while !peer.wait_for(first, Duration::from_millis(100)) {
            if over.load(Ordering::Relaxed) {
                return false;
            }
        }
        true
    };
    for (at, message) in cues {
        if !wait(&|record| heard(record) >= at) {
            return;
        }
        peer.say(0, message);
    }
    if wait(&|record| record.has("stop_request")) {
        for message in [recognition_stopped(), conversation_completed(), close(1000)] {
            peer.say(0, message);
        }
    }
}
