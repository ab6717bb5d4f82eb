// SPDX-License-Identifier: MPL-2.0

//! The load: clients that speak to a service in real time, and subscribers.
//!
//! It runs in a process of its own and does as little as possible, because it shares
//! the processors with what it measures: one thread, one ticker, and frames that are
//! rendered and masked once for all clients. Only the clock decides when audio is
//! due. A client that was delayed sends the rest as soon as it can, and words are
//! timed from when they were due.

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

/// Time within which all streams begin, in milliseconds, so that neither their frames
/// nor their utterances come all at once.
const STAGGER: u64 = 2000;

/// Maximum number of handshakes at the same time.
const AT_ONCE: usize = 32;

/// Maximum time from the stop to the last word.
const DRAIN: Duration = Duration::from_secs(12);

/// Delay from which on a word is not in real time, in nanoseconds.
const REAL_TIME: u64 = 500_000_000;

/// The parameters of a load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    pub service: SocketAddr,
    pub speakers: usize,
    /// `true` if all speakers are in one conversation, `false` if each has its own.
    pub together: bool,
    /// Number of subscribers of the first speaker's conversation.
    pub subscribers: usize,
    /// Time from the first frame to the first word that is timed.
    pub settle: Duration,
    pub window: Duration,
}

/// What a load reports.
#[derive(Debug, Serialize, Deserialize)]
pub enum Word {
    /// All clients are connected, and the first frame is due now.
    Speaking,
    /// The load has ended, as it was told to.
    Done(Done),
}

/// The result: words of the window, except `missing`, which counts all words.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// Delay from the end of a word's audio to its interim.
    pub interims: Spread,
    /// Delay from the end of an utterance's audio to its final.
    pub finals: Spread,
    /// Number of sockets on which no word was late.
    pub in_time: usize,
    /// Number of results.
    pub results: u64,
    /// Number of words that were missing in the interims, or in the finals.
    pub missing: u64,
    /// Delay from when a frame was due to when it was written.
    pub behind: Spread,
}

/// The state that all tasks share.
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
    /// Returns `true` if a word that is due at this time belongs to the window.
    fn counts(&self, due: u64) -> bool {
        let since = Duration::from_nanos(due.saturating_sub(self.begins));
        since >= self.load.settle && since < self.load.settle + self.load.window
    }

    /// Returns when the audio of a speaker's word is complete.
    fn due(&self, speaker: usize, word: u64) -> u64 {
        let frame = begin(&self.load, speaker) + (2 * word + 1) * FRAME;
        self.begins + frame * 1_000_000
    }
}

/// Returns the time from the beginning to a speaker's first frame, in milliseconds.
fn begin(load: &Load, speaker: usize) -> u64 {
    speaker as u64 * STAGGER / load.speakers.max(1) as u64
}

/// How many words of one speaker a socket has received.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    interims: u64,
    finals: u64,
}

/// What a socket received.
struct Heard {
    /// The speaker of this socket; `None` for a subscriber. Only subscribers get the
    /// live results of others.
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

/// Returns `true` for a final, the number of words, and the number of the last word.
fn result(text: &str) -> Option<(bool, u64, u64)> {
    // Every result begins like this, so other messages need no parser.
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
    // Sockets that still get results have had enough time.
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

/// Sends every frame when it is due. At the end, finishes the current words and stops
/// all speakers.
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
