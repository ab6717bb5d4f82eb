// SPDX-License-Identifier: MPL-2.0

//! The load: clients that speak to a service in real time, and those that listen.
//!
//! A role of its own process, and as light as it can be, because it shares the
//! processors with what it measures: one thread, frames that are rendered and masked
//! once for all, one ticker. Audio is due by the clock alone: a client that is held
//! up says the rest as soon as it can, and words are timed from when they were due.

use super::super::Problem;
use super::super::child;
use super::super::clock::{self, Spread};
use super::speaker::{Audio, FRAME, Reader, Speaker, connect, subscribe};
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

pub const ROLE: &str = "load";

/// Streams begin within so long of each other, so that neither their frames nor
/// their utterances come all at once.
const STAGGER: u64 = 2000;

/// Handshakes at the same time.
const AT_ONCE: usize = 32;

/// From the stop to the last word of all.
const DRAIN: Duration = Duration::from_secs(12);

/// A word that comes later is not in real time, in nanoseconds.
const REAL_TIME: u64 = 500_000_000;

/// Who speaks and who listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    pub service: SocketAddr,
    pub speakers: usize,
    /// All speakers are in one conversation, or each in its own.
    pub together: bool,
    /// Of the first speaker's conversation.
    pub subscribers: usize,
    /// From the first frame to the first word that is timed.
    pub settle: Duration,
    pub window: Duration,
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Word {
    /// Everybody is there; the first frame is due now.
    Speaking,
    /// It was told to end, and has.
    Done(Done),
}

/// How it was: words of the window, but for what is missing, which is of all.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// From the end of a word's audio to its interim.
    pub interims: Spread,
    /// From the end of an utterance's audio to its final.
    pub finals: Spread,
    /// Sockets on which no word was late.
    pub in_time: usize,
    /// Results that came.
    pub results: u64,
    /// Words that were not heard of in an interim, or in a final.
    pub missing: u64,
    /// From when a frame was due to when it was written.
    pub behind: Spread,
}

/// What all tasks keep.
struct Books {
    /// When the first frame is due, on the common clock.
    begins: u64,
    load: Load,
    interims: Vec<u64>,
    finals: Vec<u64>,
    behind: Vec<u64>,
    results: u64,
}

impl Books {
    /// Whether what is due at this time is timed.
    fn counts(&self, due: u64) -> bool {
        let since = Duration::from_nanos(due.saturating_sub(self.begins));
        since >= self.load.settle && since < self.load.settle + self.load.window
    }

    /// When the audio of a speaker's word is complete.
    fn due(&self, speaker: usize, word: u64) -> u64 {
        let frame = begin(&self.load, speaker) + (2 * word + 1) * FRAME;
        self.begins + frame * 1_000_000
    }
}

/// Milliseconds from the beginning to a speaker's first frame.
fn begin(load: &Load, speaker: usize) -> u64 {
    speaker as u64 * STAGGER / load.speakers.max(1) as u64
}

/// Words of one speaker that a socket has heard of.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    interims: u64,
    finals: u64,
}

/// What a socket heard: by speaker, and whether any was late.
struct Heard {
    /// Whose socket it is: live results of others go to those who only listen.
    own: Option<usize>,
    told: Vec<Told>,
    late: bool,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    message: Option<Said<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    is_final: Option<bool>,
    #[serde(borrow)]
    punctuated: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Text<'a> {
    transcript: &'a str,
}

/// Whether a result is final, how many words it has, and the number of the last.
fn result(text: &str) -> Option<(bool, u64, u64)> {
    // Results look like this; who is no result needs no parser.
    if !text.starts_with(r#"{"type":"message","#) {
        return None;
    }
    let said = serde_json::from_str::<Envelope<'_>>(text).ok()?.message?;
    let text = said.punctuated?.transcript;
    let last = text.rsplit(' ').next()?;
    let last = last.trim_matches(|c: char| !c.is_ascii_digit());
    let words = text.split(' ').count() as u64;
    Some((said.is_final?, words, last.parse().ok()?))
}

async fn hear<S>(
    mut socket: WebSocketStream<S>,
    own: Option<usize>,
    books: Rc<RefCell<Books>>,
    mut over: watch::Receiver<bool>,
) -> Heard
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut heard = Heard {
        own,
        told: vec![Told::default(); own.map_or(books.borrow().load.speakers, |_| 1)],
        late: false,
    };
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            _ = over.wait_for(|over| *over) => None,
        };
        let Some(Ok(message)) = message else { break };
        let at = clock::now();
        let text = match &message {
            Message::Text(text) => text.as_str(),
            Message::Close(_) => break,
            _ => continue,
        };
        let Some((is_final, words, code)) = result(text) else {
            continue;
        };
        let (speaker, word) = Audio::word(code);
        let Some(told) = heard.told.get_mut(own.map_or(speaker, |_| 0)) else {
            continue;
        };
        let mut books = books.borrow_mut();
        books.results += 1;
        let due = books.due(own.unwrap_or(speaker), word);
        let wait = at.saturating_sub(due);
        heard.late |= wait > REAL_TIME && books.counts(due);
        let waits = if is_final {
            told.finals += words;
            books.counts(due).then_some(&mut books.finals)
        } else {
            told.interims += 1;
            books.counts(due).then_some(&mut books.interims)
        };
        if let Some(waits) = waits {
            waits.push(wait);
        }
    }
    heard
}

pub fn play(load: Load) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, run(load))
}

async fn run(load: Load) -> Result<(), Problem> {
    let ended = std::sync::Arc::new(AtomicBool::new(false));
    let end = std::sync::Arc::clone(&ended);
    child::listen(move |_| end.store(true, Ordering::Release));
    let audio = Audio::new(if load.together { load.speakers } else { 1 })?;
    let books = Rc::new(RefCell::new(Books {
        begins: u64::MAX,
        load: load.clone(),
        interims: Vec::new(),
        finals: Vec::new(),
        behind: Vec::new(),
        results: 0,
    }));
    let (over, is_over) = watch::channel(false);
    let mut hearers = JoinSet::new();
    let mut speakers = Vec::with_capacity(load.speakers);
    let connecting = (0..load.speakers).map(|number| connect(&load, number));
    let mut connecting = iter(connecting).buffered(AT_ONCE);
    while let Some(connected) = connecting.next().await {
        let (reader, writer): (Reader, _) = connected?;
        let own = Some(speakers.len());
        hearers.spawn_local(hear(reader, own, Rc::clone(&books), is_over.clone()));
        speakers.push(Speaker::new(writer));
    }
    let subscribing = (0..load.subscribers).map(|_| subscribe(&load));
    let mut subscribing = iter(subscribing).buffer_unordered(AT_ONCE);
    while let Some(subscribed) = subscribing.next().await {
        hearers.spawn_local(hear(subscribed?, None, Rc::clone(&books), is_over.clone()));
    }
    child::say(&Word::Speaking)?;
    let begins = clock::now();
    books.borrow_mut().begins = begins;
    let mut heard = Vec::new();
    {
        let speaking = speak(&mut speakers, &audio, &load, &books, &ended);
        tokio::pin!(speaking);
        loop {
            tokio::select! {
                () = &mut speaking => break,
                Some(one) = hearers.join_next() => heard.push(one?),
            }
        }
    }
    let end = Instant::now() + DRAIN;
    while let Ok(Some(one)) = timeout_at(end, hearers.join_next()).await {
        heard.push(one?);
    }
    // Who is still told something by now has heard what it has heard.
    over.send_replace(true);
    while let Some(one) = hearers.join_next().await {
        heard.push(one?);
    }
    let mut done = Done::default();
    for heard in heard {
        done.in_time += usize::from(!heard.late);
        for (index, told) in heard.told.iter().enumerate() {
            let said = speakers.get(heard.own.unwrap_or(index));
            let said = said.map_or(0, |speaker| speaker.said / 2);
            done.missing += said.saturating_sub(told.interims) + said.saturating_sub(told.finals);
        }
    }
    let mut books = books.borrow_mut();
    done.results = books.results;
    done.interims = Spread::of(&mut books.interims);
    done.finals = Spread::of(&mut books.finals);
    done.behind = Spread::of(&mut books.behind);
    child::say(&Word::Done(done))
}

/// Says every frame when it is due, until it is told to end; then says all that is
/// left, and stops all.
async fn speak(
    speakers: &mut [Speaker],
    audio: &Audio,
    load: &Load,
    books: &RefCell<Books>,
    ended: &AtomicBool,
) {
    let mut wheel: Vec<Vec<usize>> = vec![Vec::new(); FRAME as usize];
    for speaker in 0..speakers.len() {
        if let Some(slot) = wheel.get_mut((begin(load, speaker) % FRAME) as usize) {
            slot.push(speaker);
        }
    }
    let begins = books.borrow().begins;
    let mut tick = interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = 0;
    while speakers.iter().any(|speaker| !speaker.is_done()) {
        tick.tick().await;
        let ending = ended.load(Ordering::Acquire);
        while next <= clock::now().saturating_sub(begins) / 1_000_000 {
            let due = begins + next * 1_000_000;
            for &number in wheel.get((next % FRAME) as usize).into_iter().flatten() {
                let Some(speaker) = speakers.get_mut(number) else {
                    continue;
                };
                if next < begin(load, number) {
                    continue;
                }
                speaker.say(audio, if load.together { number } else { 0 }, ending);
                let mut books = books.borrow_mut();
                if books.counts(due) {
                    books.behind.push(clock::now().saturating_sub(due));
                }
            }
            next += 1;
        }
        for speaker in speakers.iter_mut() {
            speaker.flush();
        }
    }
}
