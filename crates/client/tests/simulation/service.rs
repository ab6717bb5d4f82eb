// SPDX-License-Identifier: MPL-2.0

//! The service at the other end of a link. It recognises the words that the audio carries.
//!
//! A word counts if at least half of it was heard, as for the scripted recogniser of the
//! real service. The spelling of a word holds its number. "yes" and "no" have it in their
//! punctuation, which a comparison of words ignores.

use crate::audio::{Decoder, Ms, WORD, word_of};
use crate::ledger::Ledger;
use crate::nodes::Ask;
use crate::schedule::Settings;
use crate::source::PAUSE;
use fastrand::Rng;
use serde_json::json;
use std::time::Duration;
use symbl_protocol::ClientMessage;
use symbl_protocol::InsightType;
use symbl_protocol::StreamPlace;
use symbl_protocol::reply::{
    self, Insight, Message, Person, SpokenWord, StreamZero, Topic, TrackerMatch,
};
use symbl_protocol::timestamp::format_rfc3339;

/// An action of the service in answer to a frame, after a delay. Answers without a delay keep
/// their order, and so do those with a delay.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Sends this text in its order.
    Text(String),
    /// Sends this text, which was sent already.
    Again(String),
    /// Sends this text after all others.
    Told(String),
    /// Sends this text after all others, and closes normally.
    Last(String),
    /// Closes after all others, because results of a stopped start are missing.
    Incomplete,
    /// Asks the log that several nodes share. What follows waits for its answer.
    Ask(Ask),
}

/// Returns the spelling of a word.
pub fn spelling(word: u16, distinct: bool) -> String {
    if distinct {
        return format!("w{word}");
    }
    let base = if word.is_multiple_of(3) { "no" } else { "yes" };
    let mut text = base.to_owned();
    for bit in 0..8 {
        text.push(if word >> bit & 1 == 1 { '!' } else { '.' });
    }
    text
}

/// Returns the word with this spelling.
pub fn word_spelled(text: &str) -> Option<u16> {
    if let Some(number) = text.strip_prefix('w') {
        return number.parse().ok();
    }
    let marks = text.trim_start_matches(|c: char| c.is_alphabetic());
    let bits = marks.chars().rev();
    Some(bits.fold(0, |number, mark| number << 1 | u16::from(mark == '!')))
}

/// A word as the service heard it. Its times are in nanoseconds of this start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    pub word: u16,
    pub start: u64,
    pub end: u64,
}

mod shared;
pub use shared::Final;

/// The conversation, which outlives a link.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub id: u64,
    /// The time of its beginning, on the world's clock.
    pub since: Option<Duration>,
    /// The number of messages so far.
    pub messages: u64,
    /// The messages as the Conversation API returns them, with ids of its own.
    pub history: Vec<serde_json::Value>,
    /// The words that are stored of this conversation and of those before it.
    pub ledger: Ledger,
    /// Each two words in a row of one utterance.
    pub pairs: Vec<(u16, u16)>,
}

impl Conversation {
    /// Returns a new conversation.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            since: None,
            messages: 0,
            history: Vec::new(),
            ledger: Ledger::default(),
            pairs: Vec::new(),
        }
    }

    /// Returns a copy for a link that the client has given up. The copy takes the ledger, which
    /// the caller gives back, and has no messages, because the client gets none of them.
    pub fn aside(&mut self) -> Self {
        Self {
            since: self.since,
            ledger: std::mem::take(&mut self.ledger),
            ..Self::new(self.id)
        }
    }
}

/// Counts samples across changes of the label.
#[derive(Default)]
struct Clock {
    base: u64,
    samples: u64,
}

impl Clock {
    fn nanos(&self, rate: u32) -> u64 {
        self.base + self.samples * 1_000_000_000 / u64::from(rate)
    }
}

/// One socket of the service, from the upgrade on.
pub struct Service {
    settings: Settings,
    rng: Rng,
    decoder: Option<Decoder>,
    clock: Clock,
    /// The code of the current stretch, and its beginning.
    run: (u8, u64),
    utterance: Vec<Heard>,
    stopped: bool,
    /// The last start was stopped, and another one has not come.
    drains: bool,
    /// A final of this start could not be stored, so that the service takes no more of it.
    failed: bool,
    /// The service was asked to close after a stop.
    disconnects: bool,
    /// The place of this start in its stream, if the service wants to know it.
    place: Option<StreamPlace>,
    /// The speaker of this start.
    speaker: Person<'static>,
    /// The client announced a change of format that the service does not take.
    refused: bool,
    /// How long after their finals messages come.
    pub ponder: Ms,
    /// How many of the next results are sent twice.
    pub repeat: u8,
    /// The beginning of this start, from the beginning of the conversation.
    offset: Duration,
    /// The client asked how far the service has heard.
    tells_progress: bool,
    /// The audio of this start when it was last told, in nanoseconds.
    told_progress: u64,
    /// What it has with several nodes.
    shared: shared::Shared,
}

/// What a message says of itself.
struct Telling<'a> {
    id: &'a str,
    from: Person<'static>,
    /// The beginning of its start, from the beginning of the conversation.
    offset: Duration,
    /// The same of the start under which it was heard first, which the history has.
    kept: Duration,
    sequence: u64,
    /// What is found in it; `None`: that is drawn.
    luck: Option<u8>,
}

/// Answers, each with its delay in milliseconds.
pub type Answers = Vec<(Ms, Answer)>;

/// The speakers.
pub const PEOPLE: [Person<'static>; 3] = [
    person("3a1b", "me@example.com", "Me"),
    person("9c2f", "you@example.com", "You"),
    person("11d0", "they@example.com", "They"),
];

const fn person(id: &'static str, user_id: &'static str, name: &'static str) -> Person<'static> {
    Person {
        id: Some(id),
        user_id: Some(user_id),
        name: Some(name),
    }
}

impl Service {
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            rng: Rng::with_seed(seed),
            decoder: None,
            clock: Clock::default(),
            run: (0, 0),
            utterance: Vec::new(),
            stopped: false,
            drains: false,
            failed: false,
            disconnects: true,
            place: None,
            speaker: PEOPLE[0],
            refused: false,
            ponder: 0,
            repeat: 0,
            offset: Duration::ZERO,
            tells_progress: false,
            told_progress: 0,
            shared: shared::Shared::default(),
        }
    }

    /// Returns `true` between a start and a stop.
    pub fn is_processing(&self) -> bool {
        self.decoder.is_some() && !self.stopped
    }

    /// Takes a text message.
    pub fn text(
        &mut self,
        text: &str,
        now: Duration,
        conversation: &mut Conversation,
    ) -> Result<Answers, String> {
        let message = ClientMessage::parse(text).map_err(|e| format!("sent {text}: {e}"))?;
        match message {
            ClientMessage::Modify { .. } | ClientMessage::Stop if self.failed => Ok(Vec::new()),
            ClientMessage::Start(_) if self.decoder.is_some() => {
                Err("a second start request".into())
            }
            ClientMessage::Start(request) => {
                (self.drains, self.failed) = (false, false);
                self.place = request.stream;
                match &self.place {
                    None if self.settings.announces => return Err("no place".into()),
                    Some(_) if !self.settings.announces => {
                        return Err("a place for a service that did not announce itself".into());
                    }
                    Some(place) if !self.is_shared() && !conversation.ledger.begin(place) => {
                        return Err(format!("{place:?}, which is superseded"));
                    }
                    _ => {}
                }
                if !request.interim_results && !self.settings.announces {
                    return Err("finals only, of a service that did not announce itself".into());
                }
                self.decoder = Some(Decoder::new(request.format));
                let named = |person: &&Person| person.user_id == request.speaker_user_id.as_deref();
                let named = PEOPLE.iter().find(named);
                self.speaker = *named.ok_or("a start with an unknown speaker")?;
                self.tells_progress = request.recognition_progress;
                self.told_progress = 0;
                self.disconnects = request.disconnect_on_stop_request != Some(false);
                if self.is_shared() {
                    return Ok(vec![(0, self.starting())]);
                }
                self.offset = now - *conversation.since.get_or_insert(now);
                Ok(self.started(conversation.id))
            }
            ClientMessage::Modify {
                encoding,
                sample_rate,
            } => {
                let decoder = self.decoder.as_mut().ok_or("a modify before a start")?;
                if !self.settings.modifies {
                    self.refused = true;
                    let text = reply::error("Bad request", "no modify_request in mid-stream", None);
                    return Ok(vec![(0, Answer::Text(text))]);
                }
                let label = symbl_protocol::StreamFormat::new(
                    encoding.unwrap_or(decoder.label().encoding()),
                    sample_rate.unwrap_or(decoder.label().sample_rate()),
                )
                .map_err(|e| e.to_string())?;
                self.clock = Clock {
                    base: self.clock.nanos(decoder.label().sample_rate()),
                    samples: 0,
                };
                decoder.relabel(label)?;
                Ok(vec![(0, Answer::Text(reply::session_modified(label)))])
            }
            ClientMessage::Stop if self.decoder.is_none() => Err("a stop before a start".into()),
            ClientMessage::Stop if self.stopped => Err("a second stop request".into()),
            ClientMessage::Stop => {
                (self.stopped, self.drains) = (true, true);
                self.change(0);
                let tells = !self.disconnects && self.place.is_some();
                let stopped = match tells {
                    true => reply::recognition_stopped_telling(false),
                    false => reply::recognition_stopped(),
                };
                let mut answers = vec![(0, Answer::Text(stopped))];
                self.finalise(conversation, &mut answers);
                self.hear_again(conversation, &mut answers);
                if self.disconnects {
                    let completed = reply::conversation_completed(&conversation.id.to_string());
                    answers.push((0, Answer::Last(completed)));
                } else {
                    if tells {
                        let told = reply::recognition_stopped_telling(true);
                        answers.push((0, Answer::Told(told)));
                    }
                    // The next start counts from zero.
                    self.decoder = None;
                    self.stopped = false;
                    self.refused = false;
                    self.clock = Clock::default();
                    self.run = (0, 0);
                }
                Ok(answers)
            }
            other => Err(format!("unexpected {other:?}")),
        }
    }

    /// Returns the answers to a start.
    fn started(&mut self, id: u64) -> Answers {
        let id = id.to_string();
        let mut replies = vec![
            reply::started_listening(),
            reply::conversation_created(&id),
            reply::recognition_started(&id),
        ];
        self.rng.shuffle(&mut replies);
        let spread = self.rng.u32(0..50);
        let with_delay = |(n, text)| (n * spread, Answer::Text(text));
        (0..).zip(replies).map(with_delay).collect()
    }

    /// Takes a binary message.
    pub fn audio(
        &mut self,
        data: &[u8],
        conversation: &mut Conversation,
    ) -> Result<Answers, String> {
        if self.failed {
            return Ok(Vec::new());
        }
        let decoder = self
            .decoder
            .as_mut()
            .ok_or("audio before the start request")?;
        if self.stopped {
            return Err("audio after the stop request".into());
        }
        if self.refused {
            return Ok(Vec::new());
        }
        let rate = decoder.label().sample_rate();
        let mut stretches = Vec::new();
        decoder.decode(data, &mut stretches)?;
        let mut answers = Vec::new();
        for (code, samples) in stretches {
            if code != self.run.0 {
                let before = self.utterance.len();
                self.change(code);
                if self.utterance.len() > before {
                    self.interim(&mut answers);
                }
            }
            self.clock.samples += samples;
            let silence = self.clock.nanos(rate) - self.run.1;
            if code == 0 && silence >= PAUSE || self.utterance.len() >= 10 {
                self.finalise(conversation, &mut answers);
            }
        }
        if self.utterance.len() > 2 && self.rng.u8(0..8) == 0 {
            self.finalise(conversation, &mut answers);
        }
        self.hear_again(conversation, &mut answers);
        self.tell_progress(rate, &mut answers);
        Ok(answers)
    }

    /// Says once per second of audio how far it has heard, if it was asked to.
    fn tell_progress(&mut self, rate: u32, answers: &mut Answers) {
        let now = self.clock.nanos(rate);
        if !self.tells_progress || now < self.told_progress + 1_000_000_000 {
            return;
        }
        self.told_progress = now;
        let begun = (self.run.0 != 0).then_some(self.run.1);
        let owed = self.utterance.first().map(|word| word.start).or(begun);
        let owed = owed.into_iter().chain(self.shared.owed()).min();
        let time = Duration::from_nanos(owed.unwrap_or(now));
        answers.push((0, Answer::Text(reply::recognition_progress(time))));
    }

    /// Finalises all words that were heard, because the socket is gone.
    pub fn orphaned(&mut self, conversation: &mut Conversation) -> Answers {
        let mut answers = Vec::new();
        if self.failed {
            return answers;
        }
        self.finalise(conversation, &mut answers);
        answers
    }

    /// Ends the current stretch, and begins one of another code.
    fn change(&mut self, code: u8) {
        let now = self
            .decoder
            .as_ref()
            .map_or(0, |decoder| self.clock.nanos(decoder.label().sample_rate()));
        let (last, start) = std::mem::replace(&mut self.run, (code, now));
        let half = u64::from(WORD) * 1_000_000 / 2;
        if let Some(word) = word_of(last)
            && now - start >= half
        {
            self.utterance.push(Heard {
                word,
                start,
                end: now,
            });
        }
    }

    fn spellings(&self, heard: &[Heard]) -> Vec<String> {
        heard
            .iter()
            .map(|heard| spelling(heard.word, self.settings.distinct))
            .collect()
    }

    fn interim(&mut self, answers: &mut Answers) {
        if !self.settings.interims {
            return;
        }
        let spellings = self.spellings(&self.utterance);
        let words = words(&self.utterance, &spellings);
        let text = spellings.join(" ");
        let start = self.utterance.first().map(|w| w.start);
        let start = start.filter(|_| self.settings.distinct);
        let interim = reply::Interim {
            text: &text,
            start: start.map(Duration::from_nanos),
            words: if self.settings.interim_words {
                &words
            } else {
                &[]
            },
            user: Some(self.speaker),
            ..reply::Interim::default()
        };
        let text = reply::interim_result(&interim, 0);
        answers.push((0, Answer::Text(text)));
    }

    fn finalise(&mut self, conversation: &mut Conversation, answers: &mut Answers) {
        let heard = std::mem::take(&mut self.utterance);
        if heard.is_empty() {
            return;
        }
        let pairs = heard.iter().zip(heard.iter().skip(1));
        let pairs = pairs.map(|(first, second)| (first.word, second.word));
        conversation.pairs.extend(pairs);
        if self.is_shared() {
            return self.say(&heard, conversation, answers);
        }
        if let Some(place) = &self.place {
            for Heard { word, start, end } in &heard {
                conversation.ledger.say(place, *word, *start, *end);
            }
        }
        let spellings = self.spellings(&heard);
        let words = words(&heard, &spellings);
        let text = reply::final_result(&spellings.join(" "), &words, 0.9, Some(self.speaker), 0);
        self.twice(0, text, answers);
        if !self.settings.messages {
            return;
        }
        let mut delay = self.ponder + self.rng.u32(1..200);
        let cut = if words.len() > 3 && self.rng.bool() {
            self.rng.usize(1..words.len())
        } else {
            words.len()
        };
        for part in [&words[..cut], &words[cut..]] {
            if !part.is_empty() {
                delay += self.rng.u32(0..30);
                let sequence = conversation.messages;
                conversation.messages += 1;
                let id = format!("m{}-{sequence}", conversation.id);
                let telling = Telling {
                    id: &id,
                    from: self.speaker,
                    offset: self.offset,
                    kept: self.offset,
                    sequence,
                    luck: None,
                };
                self.message(&telling, part, delay, conversation, answers);
            }
        }
    }

    /// Sends a message, and perhaps a finding in it.
    fn message(
        &mut self,
        telling: &Telling<'_>,
        words: &[SpokenWord<'_>],
        delay: Ms,
        conversation: &mut Conversation,
        answers: &mut Answers,
    ) {
        let Telling {
            id,
            from,
            offset,
            kept,
            sequence,
            luck,
        } = *telling;
        let texts: Vec<&str> = words.iter().map(|word| word.text).collect();
        let text = texts.join(" ");
        let message = Message {
            id,
            from,
            text: &text,
            original_text: &text,
            timezone_offset: 0,
            words,
            stream_offset: offset,
            conversation_start: conversation_start(conversation),
            stream: self.place.as_ref().map(|place| StreamZero {
                id: &place.id,
                position: place.position,
            }),
            entities: &[],
            sentiment: None,
            phrases: None,
        };
        let stored = Message {
            stream_offset: kept,
            ..message
        };
        remember(&stored, conversation);
        let response = reply::message_response(&[message], sequence);
        self.twice(delay, response, answers);
        let finding = match luck.unwrap_or_else(|| self.rng.u8(0..6)) {
            0 => reply::insight_response(
                &[Insight {
                    id: &format!("i{id}"),
                    kind: InsightType::Question,
                    text: &text,
                    confidence: 0.9,
                    hints: &[],
                    assignee: None,
                    from,
                    message_id: id,
                    due_by: None,
                }],
                sequence,
            ),
            1 => reply::topic_response(&[Topic {
                id: &format!("t{id}"),
                text: &text,
                score: 0.9,
                message_ids: &[id.to_owned()],
                root_words: &[],
            }]),
            2 => reply::tracker_response(
                &[TrackerMatch {
                    tracker_id: None,
                    name: "words",
                    value: texts[0],
                    message_id: id,
                    text: &text,
                    offset: 0,
                }],
                true,
                Some(sequence),
            ),
            _ => return,
        };
        let later = delay + self.rng.u32(0..100);
        self.twice(later, finding, answers);
    }

    /// Sends a text, and sends it again if results are to be sent twice.
    fn twice(&mut self, delay: Ms, text: String, answers: &mut Answers) {
        let again = (self.repeat > 0).then(|| {
            self.repeat -= 1;
            (delay + self.rng.u32(0..500), Answer::Again(text.clone()))
        });
        answers.push((delay, Answer::Text(text)));
        answers.extend(again);
    }
}

/// Returns the wall clock at the beginning of the conversation.
fn conversation_start(conversation: &Conversation) -> i64 {
    let since = conversation.since.unwrap_or_default();
    1_700_000_000_000_000_000 + i64::try_from(since.as_nanos()).unwrap_or(0)
}

/// Adds the message to the history.
fn remember(message: &Message<'_>, conversation: &mut Conversation) {
    let instant = |time: Duration| {
        let time = message.stream_offset + time;
        let nanos = i64::try_from(time.as_nanos()).unwrap_or(0);
        format_rfc3339(message.conversation_start + nanos)
    };
    let words: Vec<_> = message
        .words
        .iter()
        .map(|word| {
            json!({
                "word": word.text,
                "startTime": instant(word.start),
                "endTime": instant(word.end),
            })
        })
        .collect();
    let id = format!("h{}", message.id);
    let known = |other: &serde_json::Value| other["id"].as_str() == Some(&id);
    if conversation.history.iter().any(known) {
        return;
    }
    conversation.history.push(json!({
        "id": id,
        "text": message.text,
        "from": {"id": message.from.id, "name": message.from.name, "email": message.from.user_id},
        "startTime": words.first().map(|word| word["startTime"].clone()),
        "endTime": words.last().map(|word| word["endTime"].clone()),
        "words": words,
    }));
}

fn words<'a>(heard: &[Heard], spellings: &'a [String]) -> Vec<SpokenWord<'a>> {
    heard
        .iter()
        .zip(spellings)
        .map(|(heard, text)| SpokenWord {
            text,
            start: Duration::from_nanos(heard.start),
            end: Duration::from_nanos(heard.end),
        })
        .collect()
}

/// Returns a text that no client expects.
pub fn noise(kind: u8) -> String {
    match kind {
        0 => "{".into(),
        1 => "[]".into(),
        2 => r#"{"type":"user_defined","x":1}"#.into(),
        _ => reply::error("Something failed", "and nobody knows why", None),
    }
}
