// SPDX-License-Identifier: MPL-2.0

//! The load: listeners of one session, and operators who take turns in sending texts.
//!
//! A text has the time at which it was sent, so that a listener knows how long it took. The
//! number that the service gives each event (`seq`) shows if one is missing or came twice:
//! texts of two operators may be stored in another order than they were sent. It runs on one
//! thread.

use super::super::Problem;
use super::super::child;
use super::super::clock::{self, Spread};
use super::socket::{Heard, Socket};
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

pub const ROLE: &str = "listeners";

/// Most handshakes at the same time.
const AT_ONCE: usize = 32;

/// The operators, none of whom sends as often as the service allows.
const OPERATORS: usize = 5;

/// Longest time from the last text to its last arrival.
const DRAIN: Duration = Duration::from_secs(10);

/// The parent's words: count from now on, and end.
const COUNTING: u8 = 1;
const ENDING: u8 = 2;

/// The parameters of a load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    pub service: SocketAddr,
    pub listeners: usize,
    /// Texts per second.
    pub per_second: u64,
}

/// What a load reports.
#[derive(Debug, Serialize, Deserialize)]
pub enum Word {
    /// All listeners have joined.
    Joined { seconds: f64 },
    /// The load has ended, as it was told to.
    Done(Done),
}

/// The result. Delays are those of the window, and the other numbers those of all texts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Done {
    pub delays: Spread,
    pub missing: u64,
    pub doubled: u64,
    /// Number of listeners whose sockets the service has closed.
    pub closed: u64,
    pub refused: u64,
}

/// The state that all tasks share.
#[derive(Default)]
struct Books {
    counting: bool,
    delays: Vec<u64>,
    doubled: u64,
    closed: u64,
    refused: u64,
    sent: u64,
}

impl Books {
    /// Returns the number of texts that each listener gets.
    fn stored(&self) -> u64 {
        self.sent.saturating_sub(self.refused)
    }
}

/// Returns the number of an event with a text, and when the text was sent.
fn said(event: &str) -> Option<(u64, u64)> {
    let event = event.strip_prefix(r#"["message:send:sync","#)?;
    let after = |name: &str| event.split_once(name).map(|(_, rest)| rest);
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit());
        text.get(..end.unwrap_or(text.len()))?.parse().ok()
    };
    let at = after("\"text\":\"text ")?.split_once(' ')?.1;
    Some((digits(after("\"seq\":")?)?, digits(at)?))
}

/// Hears texts up to the last one or the end of the socket, and returns how many.
async fn listen(
    mut socket: Socket,
    books: Rc<RefCell<Books>>,
    mut over: watch::Receiver<bool>,
    mut late: watch::Receiver<bool>,
) -> u64 {
    let (mut last, mut count) = (None, 0);
    let is_whole = |count: u64, books: &Books, over: bool| over && count >= books.stored();
    loop {
        let heard = tokio::select! {
            heard = socket.hear() => heard,
            _ = late.wait_for(|late| *late) => return count,
            // The last texts may still be on their way.
            Ok(()) = over.changed() => {
                if is_whole(count, &books.borrow(), *over.borrow()) {
                    return count;
                }
                continue;
            }
        };
        let Ok(Some(heard)) = heard else {
            books.borrow_mut().closed += 1;
            return count;
        };
        let at = clock::now();
        let Heard::Event(event) = heard else { continue };
        let Some((seq, sent)) = said(&event) else {
            continue;
        };
        let mut books = books.borrow_mut();
        if books.counting {
            books.delays.push(at.saturating_sub(sent));
        }
        if last.is_some_and(|last| seq <= last) {
            books.doubled += 1;
            continue;
        }
        last = Some(seq);
        count += 1;
        if is_whole(count, &books, *over.borrow()) {
            return count;
        }
    }
}

/// Sends the texts that it is given, and counts those that are refused.
async fn operate(
    mut socket: Socket,
    session: String,
    books: Rc<RefCell<Books>>,
    mut texts: tokio::sync::mpsc::Receiver<String>,
) {
    loop {
        tokio::select! {
            text = texts.recv() => match text {
                Some(text) if socket.say(&session, &text).await.is_ok() => {}
                Some(_) => books.borrow_mut().refused += 1,
                None => return,
            },
            heard = socket.hear() => match heard {
                Ok(Some(Heard::Answer(answer))) if !answer.contains("\"ok\":true") => {
                    books.borrow_mut().refused += 1;
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => {
                    books.borrow_mut().closed += 1;
                    return;
                }
            },
        }
    }
}

pub fn play(load: Load) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, run(load))
}

async fn run(load: Load) -> Result<(), Problem> {
    let word = Arc::new(AtomicU8::new(0));
    let told = Arc::clone(&word);
    child::listen(move |line| {
        let word = match line.as_deref() {
            Some("count") => COUNTING,
            _ => ENDING,
        };
        told.store(word, Ordering::Release);
    });
    let books = Rc::new(RefCell::new(Books::default()));
    let begin = Instant::now();
    let mut first = Socket::connect(load.service).await?;
    let session = first.create().await?;
    let mut operators = vec![first];
    while operators.len() < OPERATORS {
        let mut operator = Socket::connect(load.service).await?;
        operator.join(&session).await?;
        operators.push(operator);
    }
    let (over, is_over) = watch::channel(false);
    let (late, is_late) = watch::channel(false);
    let mut listeners = JoinSet::new();
    let joining = (0..load.listeners).map(|_| async {
        let mut socket = Socket::connect(load.service).await?;
        socket.join(&session).await?;
        Ok::<_, Problem>(socket)
    });
    let mut joining = iter(joining).buffer_unordered(AT_ONCE);
    while let Some(joined) = joining.next().await {
        let (books, over, late) = (Rc::clone(&books), is_over.clone(), is_late.clone());
        listeners.spawn_local(listen(joined?, books, over, late));
    }
    drop(joining);
    let mut desks = Vec::new();
    for operator in operators {
        let (desk, texts) = tokio::sync::mpsc::channel(16);
        desks.push(desk);
        let (session, books) = (session.clone(), Rc::clone(&books));
        tokio::task::spawn_local(operate(operator, session, books, texts));
    }
    let seconds = begin.elapsed().as_secs_f64();
    child::say(&Word::Joined { seconds })?;
    let mut tick = interval(Duration::from_nanos(1_000_000_000 / load.per_second.max(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for desk in desks.iter().cycle() {
        tick.tick().await;
        let word = word.load(Ordering::Acquire);
        if word == ENDING {
            break;
        }
        let text = {
            let mut books = books.borrow_mut();
            books.counting = word == COUNTING;
            books.sent += 1;
            format!("text {} {}", books.sent - 1, clock::now())
        };
        if desk.try_send(text).is_err() {
            books.borrow_mut().refused += 1;
        }
    }
    over.send_replace(true);
    let end = Instant::now() + DRAIN;
    let mut counts = Vec::with_capacity(load.listeners);
    while let Ok(Some(count)) = timeout_at(end, listeners.join_next()).await {
        counts.push(count?);
    }
    late.send_replace(true);
    while let Some(count) = listeners.join_next().await {
        counts.push(count?);
    }
    let mut books = books.borrow_mut();
    let stored = books.stored();
    let missing = counts.iter().map(|count| stored.saturating_sub(*count));
    let missing = missing.sum();
    let delays = Spread::of(&mut books.delays);
    child::say(&Word::Done(Done {
        delays,
        missing,
        doubled: books.doubled,
        closed: books.closed,
        refused: books.refused,
    }))
}
