// SPDX-License-Identifier: MPL-2.0

//! The load: listeners of one session, and operators who take turns in sending texts.
//!
//! A text has a number and the time at which it was sent, so that a listener knows how
//! long it took, and if one is missing or came twice. It runs on one thread.

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
    missing: u64,
    doubled: u64,
    closed: u64,
    refused: u64,
    sent: u64,
}

/// Returns the number of a text and when it was sent.
fn said(event: &str) -> Option<(u64, u64)> {
    let (_, text) = event
        .strip_prefix(r#"["message:send:sync","#)?
        .split_once("\"text\":\"text ")?;
    let (text, _) = text.split_once('"')?;
    let (number, at) = text.split_once(' ')?;
    Some((number.parse().ok()?, at.parse().ok()?))
}

/// Hears all texts up to the last one.
async fn listen(mut socket: Socket, books: Rc<RefCell<Books>>, mut over: watch::Receiver<bool>) {
    let mut next = 0;
    let is_whole = |next: u64, books: &Books, over: bool| over && next >= books.sent;
    loop {
        let heard = tokio::select! {
            heard = socket.hear() => heard,
            // The last texts may still be on their way.
            Ok(()) = over.changed() => {
                if is_whole(next, &books.borrow(), *over.borrow()) {
                    return;
                }
                continue;
            }
        };
        let Ok(Some(heard)) = heard else {
            books.borrow_mut().closed += 1;
            break;
        };
        let at = clock::now();
        let Heard::Event(event) = heard else { continue };
        let Some((number, sent)) = said(&event) else {
            continue;
        };
        let mut books = books.borrow_mut();
        if books.counting {
            books.delays.push(at.saturating_sub(sent));
        }
        if number < next {
            books.doubled += 1;
            continue;
        }
        books.missing += number - next;
        next = number + 1;
        if is_whole(next, &books, *over.borrow()) {
            return;
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
    let mut listeners = JoinSet::new();
    let joining = (0..load.listeners).map(|_| async {
        let mut socket = Socket::connect(load.service).await?;
        socket.join(&session).await?;
        Ok::<_, Problem>(socket)
    });
    let mut joining = iter(joining).buffer_unordered(AT_ONCE);
    while let Some(joined) = joining.next().await {
        listeners.spawn_local(listen(joined?, Rc::clone(&books), is_over.clone()));
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
    while let Ok(Some(one)) = timeout_at(end, listeners.join_next()).await {
        one?;
    }
    let mut books = books.borrow_mut();
    // Each of them still waits for the last text at least.
    books.missing += listeners.len() as u64;
    let delays = Spread::of(&mut books.delays);
    child::say(&Word::Done(Done {
        delays,
        missing: books.missing,
        doubled: books.doubled,
        closed: books.closed,
        refused: books.refused,
    }))
}
