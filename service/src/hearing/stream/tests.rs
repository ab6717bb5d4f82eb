// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::analysis::AnalyzerOptions;
use crate::clock::WallClock;
use crate::conversation::hub::tests::{hub_at, key};
use crate::conversation::hub::{Hub, Leave, Seat};
use crate::hearing::admission::Entrance;
use crate::hearing::recognizer::Word;
use crate::hearing::recognizer::scripted::Scripted;
use crate::hearing::voice::Wanted;
use crate::outbox::{Frame, Outbox};
use serde_json::Value;
use std::io::{Error, ErrorKind};
use std::sync::atomic::AtomicI64;
use symbl_protocol::Encoding;
use tokio::sync::Semaphore;

/// 2026, in nanoseconds since the Unix epoch.
const THEN: i64 = 1_780_000_000_000_000_000;
const HOUR: i64 = 3_600_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// A wall clock that somebody sets.
fn wall() -> (Arc<AtomicI64>, WallClock) {
    let shows = Arc::new(AtomicI64::new(THEN));
    let read = Arc::clone(&shows);
    (shows, WallClock::new(move || read.load(Ordering::SeqCst)))
}

/// A speaker in the room `x`, and what it is told.
async fn speaker(hub: &Arc<Hub>) -> (Seat, Voice, mpsc::Receiver<Frame>) {
    let (own, told) = Outbox::new(64);
    let seat = hub.join(&key("x"), own.clone(), false).await;
    let speaker = seat.room.state().conversation.speaker(None, None, 9);
    let trackers = hub.phrasebook.get(Vec::new()).expect("room");
    let wanted = Wanted {
        options: AnalyzerOptions::default(),
        trackers,
        tracker_ids: Vec::new(),
        interim_trackers: false,
    };
    let room = Arc::clone(&seat.room);
    let metrics = Arc::clone(&hub.metrics);
    let speaker = speaker.expect("a place");
    let voice = Voice::new(room, own, metrics, speaker, wanted, 0, None);
    (seat, voice, told)
}

fn start(voice: Voice, before: Option<Before>) -> Start {
    Start {
        recognizer: Arc::new(Scripted),
        options: StreamOptions::default(),
        format: StreamFormat::new(Encoding::Linear16, 16_000).expect("a format"),
        voice,
        effort: Entrance::new(None).effort(0),
        before,
    }
}

#[tokio::test]
async fn where_no_thread_can_be_had_the_start_fails_and_the_stream_before_drains_on() {
    let hub = hub_at(&Limits::default(), WallClock::default());
    let (_seat, voice, _told) = speaker(&hub).await;
    let (_other, next, _) = speaker(&hub).await;
    let limits = Limits::default();
    let first = Stream::start(start(voice, None), &limits).expect("a thread");
    first.stop().await;
    let until = Instant::now() + limits.drain;
    let before = Before {
        stream: first,
        until,
    };
    let refuse = |_: Work| Err(Error::from(ErrorKind::WouldBlock));
    let failed = Stream::start_on(refuse, start(next, Some(before)), &limits);
    let Err(NoThread { reason, before }) = failed else {
        panic!("there was no thread")
    };
    assert_eq!(reason.kind(), ErrorKind::WouldBlock);
    let mut stream = before.expect("it drains on").stream;
    assert!(matches!(stream.done().await, Some(Outcome::Finished)));
}

#[tokio::test]
async fn a_stream_holds_its_permits_until_its_thread_has_ended() {
    let hub = hub_at(&Limits::default(), WallClock::default());
    let (_seat, voice, _told) = speaker(&hub).await;
    let mut stream = Stream::start(start(voice, None), &Limits::default()).expect("a thread");
    let permits = Arc::new(Semaphore::new(1));
    stream.hold(Arc::clone(&permits).try_acquire_owned());
    assert_eq!(permits.available_permits(), 0);
    stream.stop().await;
    stream.done().await;
    // The thread lets go right after it has told its outcome.
    let free = permits.acquire();
    let free = tokio::time::timeout(Duration::from_secs(60), free).await;
    assert!(free.is_ok());
}

/// Says a sentence; the message that its client is told.
fn say(voice: &mut Voice, told: &mut mpsc::Receiver<Frame>) -> Value {
    voice.clock().start();
    let word = Word {
        text: "hello".to_owned(),
        start: Duration::ZERO,
        end: Duration::from_millis(200),
        confidence: 1.0,
    };
    voice.utterance(&[word], false).expect("stored");
    loop {
        match told.try_recv().expect("a message") {
            Frame::Text(text) if text.contains("message_response") => {
                return serde_json::from_str(&text).expect("JSON");
            }
            _ => {}
        }
    }
}

/// The time that a message is said to begin.
fn begins(message: &Value) -> i64 {
    let start = message["messages"][0]["duration"]["startTime"].as_str();
    let start = start.expect("a time");
    symbl_protocol::timestamp::parse_rfc3339(start).expect("RFC 3339")
}

#[tokio::test]
async fn a_wall_clock_that_is_set_moves_nobody_in_a_conversation_that_runs() {
    for step in [HOUR, -HOUR] {
        let (shows, wall) = wall();
        let hub = hub_at(&Limits::default(), wall);
        let (ada_seat, mut ada, mut to_ada) = speaker(&hub).await;
        ada.listening().expect("stored");
        let first = say(&mut ada, &mut to_ada);
        shows.fetch_add(step, Ordering::SeqCst);
        let (bob_seat, mut bob, mut to_bob) = speaker(&hub).await;
        bob.listening().expect("stored");
        let second = say(&mut bob, &mut to_bob);
        let apart = begins(&second) - begins(&first);
        // As much as this test takes, whatever the wall clock shows.
        assert!((0..60 * SECOND).contains(&apart), "{apart} ns apart");
        let offset = second["messages"][0]["duration"]["timeOffset"].as_f64();
        let offset = offset.expect("a number");
        assert!((0.0..60.0).contains(&offset), "{offset} s after the first");
        // Its end is told by the same clock.
        let number = ada_seat.room.number;
        ada_seat.leave(Leave::Finished);
        bob_seat.leave(Leave::Finished);
        let database = Arc::clone(&hub.store);
        database.write(Vec::new()).expect("written");
        let (first, ended): (i64, i64) = database
            .with(|database| {
                let sql = "SELECT zero, ended FROM conversation WHERE id = ?1";
                database.query_row(sql, [number], |row| Ok((row.get(0)?, row.get(1)?)))
            })
            .expect("a row");
        assert!((0..60 * SECOND).contains(&(ended - first)), "{ended}");
    }
}
