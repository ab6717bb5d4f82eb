// SPDX-License-Identifier: MPL-2.0

use crate::clock::WallClock;
use crate::conversation::entry::{Entry, Sent, Transcribed};
use crate::conversation::form::Recipient;
use crate::conversation::hub::tests::{hub_with_log, key};
use crate::conversation::hub::{Hub, Leave, SocketSlot};
use crate::conversation::log::{
    Begun, Committed, Log, LogError, OpenConversation, Sending, SessionRecord, StartRecord,
    StreamPosition, Verdict,
};
use crate::conversation::memory::MemoryLog;
use crate::door::symbl::wire::SYMBL;
use crate::hearing::recognizer::RecognisedWord;
use crate::hearing::results::ResultWriter;
use crate::hearing::results::tests::joined;
use crate::limits::Limits;
use crate::metrics::Recognised;
use crate::outbox::{Frame, Outbox};
use crate::store::sqlite::Store;
use serde_json::Value;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// 2026, in nanoseconds since the Unix epoch.
const THEN: i64 = 1_780_000_000_000_000_000;
const HOUR: i64 = 3_600_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// Returns a wall clock and the value that sets it.
fn wall() -> (Arc<AtomicI64>, WallClock) {
    let shows = Arc::new(AtomicI64::new(THEN));
    let read = Arc::clone(&shows);
    (shows, WallClock::new(move || read.load(Ordering::SeqCst)))
}

/// Joins the conversation `x` as a speaker. Returns also the frames that it is sent.
async fn speaker(hub: &Arc<Hub>) -> (SocketSlot, ResultWriter, mpsc::Receiver<Frame>) {
    speaker_at(hub, None).await
}

/// Joins the conversation `x` as a speaker whose audio begins at this position of a stream.
async fn speaker_at(
    hub: &Arc<Hub>,
    stream_position: Option<StreamPosition>,
) -> (SocketSlot, ResultWriter, mpsc::Receiver<Frame>) {
    joined(hub, |own| Recipient::new(own, &SYMBL), stream_position).await
}

/// A log whose first append waits until a sender is dropped.
#[derive(Debug)]
struct HeldLog {
    log: MemoryLog,
    held: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
    /// Gets a message when an append begins to wait.
    waits: std::sync::mpsc::Sender<()>,
}

impl Log for HeldLog {
    fn begin(&self, start: StartRecord, committed: Committed) -> Result<Begun, LogError> {
        self.log.begin(start, committed)
    }

    fn append(
        &self,
        conversation: i64,
        said: Transcribed,
        committed: Committed,
    ) -> Result<Verdict, LogError> {
        let _ = self.waits.send(());
        let held = self.held.lock().expect("no panic").take();
        held.map(|held| held.recv());
        self.log.append(conversation, said, committed)
    }

    fn send(
        &self,
        conversation: i64,
        sent: Sent,
        ends: Option<i64>,
        committed: Committed,
    ) -> Result<Sending, LogError> {
        self.log.send(conversation, sent, ends, committed)
    }

    fn session(&self, account: &str, session: &str) -> Result<Option<SessionRecord>, LogError> {
        self.log.session(account, session)
    }

    fn read(
        &self,
        conversation: i64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, LogError> {
        self.log.read(conversation, after, limit)
    }

    fn entry_of(&self, conversation: i64, number: i64) -> Result<u64, LogError> {
        self.log.entry_of(conversation, number)
    }

    fn keep(&self, conversation: i64, keep: i64) {
        self.log.keep(conversation, keep);
    }

    fn close(&self, conversation: i64, ends: i64) {
        self.log.close(conversation, ends);
    }

    fn left(&self, conversation: i64, here: Vec<String>, committed: Committed) {
        self.log.left(conversation, here, committed);
    }

    fn finish(&self, conversation: i64, at: i64, committed: Committed) {
        self.log.finish(conversation, at, committed);
    }

    fn reopen(&self, conversation: i64, ends: i64) -> Result<Option<OpenConversation>, LogError> {
        self.log.reopen(conversation, ends)
    }

    fn still_open(&self) -> Result<Vec<OpenConversation>, LogError> {
        self.log.still_open()
    }
}

#[tokio::test]
async fn a_conversation_whose_log_is_slow_delays_no_other_conversation() {
    let (waits, waiting) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let log = Arc::new(HeldLog {
        log: MemoryLog::default(),
        held: Mutex::new(Some(held)),
        waits,
    });
    let hub = hub_with_log(&Limits::default(), WallClock::default(), log);
    let (_slot, mut slow, mut told) = speaker(&hub).await;
    slow.listening().expect("begun");
    let speaks = std::thread::spawn(move || say(&mut slow, &mut told));
    waiting.recv().expect("it came to append");
    // Its conversation can be joined, subscribed to and left meanwhile, and so can others.
    let (slot, mut bob, _told) = speaker(&hub).await;
    bob.listening().expect("begun");
    bob.interim(&[hello()], 0);
    let conversation = hub.listenable(&key("x")).expect("a conversation");
    let recipient = Outbox::new(8).0.into();
    drop(conversation.listen_now(&recipient, String::new()));
    assert!(hub.is_live(&key("x")));
    slot.leave(Leave::Finished);
    let other = hub.join(&key("y"), Outbox::new(8).0, false).await;
    other.leave(Leave::Finished);
    assert!(!speaks.is_finished());
    drop(release);
    speaks.join().expect("it is told");
}

#[tokio::test]
async fn what_was_stored_and_not_told_is_told_to_its_speaker_and_stored_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits::default();
    let open = || Arc::new(Store::open(Some(directory.path()), &limits).expect("a database"));
    let position = |attempt| StreamPosition {
        stream: "s".to_owned(),
        attempt,
        position: 0,
    };
    let wall = WallClock::default;
    let number = {
        let database = open();
        let hub = hub_with_log(&limits, wall(), database.clone());
        let (slot, mut ada, _told) = speaker_at(&hub, Some(position(1))).await;
        slot.speaks(None, Some(Duration::from_secs(1800)));
        ada.listening().expect("stored");
        // The service ends after the commit and before it sends the entry.
        let said = ada.look_into(&[hello()], false);
        let stored = database.append(slot.conversation.number, said, Box::new(|_| {}));
        assert!(matches!(stored, Ok(Verdict::Stored(_))), "{stored:?}");
        slot.conversation.number
    };
    let database = open();
    let hub = hub_with_log(&limits, wall(), database.clone());
    let (slot, mut ada, mut told) = speaker_at(&hub, Some(position(2))).await;
    assert_eq!(slot.conversation.number, number);
    let (listener, mut heard) = Outbox::new(64);
    let listener = Recipient::new(listener, &SYMBL);
    let _listener_slot = slot.conversation.listen_now(&listener, "first".to_owned());
    ada.listening().expect("stored");
    // The same audio again.
    ada.heard_again(Duration::from_millis(100));
    assert!(
        message(&mut told).is_none(),
        "not before its audio has come"
    );
    ada.heard_again(Duration::from_millis(200));
    let again = message(&mut told).expect("it is told again");
    ada.utterance(&[hello()], false, at_once())
        .expect("an answer");
    assert!(message(&mut told).is_none(), "once");
    assert!(
        message(&mut heard).is_none(),
        "others heard it, or may read it"
    );
    let entries = database.read(number, 0, 100).expect("entries");
    let finals: Vec<&Transcribed> = entries.iter().filter_map(|e| e.body.said()).collect();
    assert_eq!(finals.len(), 1);
    let id = finals[0].messages[0].id.to_string();
    assert_eq!(again["messages"][0]["id"], id.as_str());
}

#[tokio::test]
async fn what_comes_into_the_log_after_its_stream_gave_up_is_told_before_the_end() {
    let hub = hub_with_log(
        &Limits::default(),
        WallClock::default(),
        Arc::new(MemoryLog::default()),
    );
    let (slot, mut ada, _told) = speaker(&hub).await;
    ada.listening().expect("begun");
    let (listener, mut heard) = Outbox::new(64);
    let listener = Recipient::new(listener, &SYMBL);
    let _listener_slot = slot.conversation.listen_now(&listener, "first".to_owned());
    let said = ada.look_into(&[hello()], false);
    let committed = slot.conversation.committed(Some(slot.member));
    let stored = slot
        .conversation
        .log
        .append(slot.conversation.number, said, committed);
    assert!(matches!(stored, Ok(Verdict::Stored(_))), "{stored:?}");
    assert!(message(&mut heard).is_none());
    slot.leave(Leave::Finished);
    assert!(message(&mut heard).is_some());
}

/// Returns the next message response, if one has come.
fn message(told: &mut mpsc::Receiver<Frame>) -> Option<Value> {
    while let Ok(frame) = told.try_recv() {
        if let Frame::Text(text) = frame
            && text.contains("message_response")
        {
            return Some(serde_json::from_str(&text).expect("JSON"));
        }
    }
    None
}

/// Returns the way of a final without an engine.
fn at_once() -> Recognised {
    let now = Instant::now();
    Recognised {
        heard: Duration::ZERO,
        queued: now,
        begun: now,
        decoded: None,
    }
}

fn hello() -> RecognisedWord {
    RecognisedWord {
        text: "hello".to_owned(),
        start: Duration::ZERO,
        end: Duration::from_millis(200),
        confidence: 1.0,
    }
}

/// Says a sentence and returns the message that its client is sent.
fn say(results: &mut ResultWriter, told: &mut mpsc::Receiver<Frame>) -> Value {
    results.clock().start();
    results
        .utterance(&[hello()], false, at_once())
        .expect("stored");
    loop {
        match told.try_recv().expect("a message") {
            Frame::Text(text) if text.contains("message_response") => {
                return serde_json::from_str(&text).expect("JSON");
            }
            _ => {}
        }
    }
}

/// Returns the start time of a message.
fn begins(message: &Value) -> i64 {
    let start = message["messages"][0]["duration"]["startTime"].as_str();
    let start = start.expect("a time");
    symbl_protocol::timestamp::parse_rfc3339(start).expect("RFC 3339")
}

#[tokio::test]
async fn a_wall_clock_that_is_set_changes_no_time_in_a_conversation_that_runs() {
    for step in [HOUR, -HOUR] {
        let (shows, wall) = wall();
        let limits = Limits::default();
        let database = Arc::new(Store::open(None, &limits).expect("memory"));
        let hub = hub_with_log(&limits, wall, database.clone());
        let (ada_slot, mut ada, mut to_ada) = speaker(&hub).await;
        ada.listening().expect("stored");
        let first = say(&mut ada, &mut to_ada);
        shows.fetch_add(step, Ordering::SeqCst);
        let (bob_slot, mut bob, mut to_bob) = speaker(&hub).await;
        bob.listening().expect("stored");
        let second = say(&mut bob, &mut to_bob);
        let apart = begins(&second) - begins(&first);
        // The messages are as far apart as this test takes, whatever the wall clock shows.
        assert!((0..60 * SECOND).contains(&apart), "{apart} ns apart");
        let offset = second["messages"][0]["duration"]["timeOffset"].as_f64();
        let offset = offset.expect("a number");
        assert!((0.0..60.0).contains(&offset), "{offset} s after the first");
        // The end of the conversation has a time of the same clock.
        let number = ada_slot.conversation.number;
        ada_slot.leave(Leave::Finished);
        bob_slot.leave(Leave::Finished);
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
