// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::clock::WallClock;
use crate::conversation::form::Recipient;
use crate::conversation::hub::tests::hub_at;
use crate::conversation::hub::{Hub, SocketSlot};
use crate::hearing::admission::SharedAdmission;
use crate::hearing::recognizer::scripted::Scripted;
use crate::hearing::results::tests::joined;
use crate::outbox::Frame;
use bytes::Bytes;
use serde_json::Value;
use symbl_protocol::Encoding;
use tokio::sync::Semaphore;

/// Joins the conversation `x` as a speaker. Returns also the frames that it is sent.
async fn speaker(hub: &Arc<Hub>) -> (SocketSlot, ResultWriter, mpsc::Receiver<Frame>) {
    joined(hub, Recipient::from, None).await
}

fn start(results: ResultWriter, before: Option<Before>) -> Start {
    Start {
        recognizer: Arc::new(Scripted),
        options: StreamOptions::default(),
        format: StreamFormat::new(Encoding::Linear16, 16_000).expect("a format"),
        results,
        effort: SharedAdmission::unmetered(),
        before,
    }
}

/// Workers for the streams of a test.
fn pool() -> Pool {
    Pool::start(1).expect("threads")
}

/// Returns the kinds of the next messages to a client, up to this one.
async fn kinds(told: &mut mpsc::Receiver<Frame>, last: &str) -> Vec<String> {
    let mut kinds = Vec::new();
    while kinds.last().map(String::as_str) != Some(last) {
        let Some(Frame::Text(text)) = told.recv().await else {
            panic!("{kinds:?} and no {last}")
        };
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let kind = value["message"]["type"].as_str();
        let kind = kind.or(value["type"].as_str()).unwrap_or_default();
        kinds.push(kind.to_owned());
    }
    kinds
}

#[tokio::test]
async fn a_stream_waits_for_the_one_before_and_holds_no_worker_meanwhile() {
    let hub = hub_at(&Limits::default(), WallClock::default());
    let (_slot, results, _told) = speaker(&hub).await;
    let (_next_slot, next, mut told_next) = speaker(&hub).await;
    let (_other_slot, other, mut told_other) = speaker(&hub).await;
    let (limits, pool) = (Limits::default(), pool());
    let first = Stream::start(start(results, None), &pool, &limits);
    let sender = first.input.clone();
    let until = Instant::now() + limits.drain;
    let before = Before {
        stream: first,
        until,
    };
    let _second = Stream::start(start(next, Some(before)), &pool, &limits);
    // The only worker serves another one meanwhile.
    let mut third = Stream::start(start(other, None), &pool, &limits);
    kinds(&mut told_other, "recognition_started").await;
    third.stop().await;
    assert!(matches!(third.done().await, Some(Outcome::Finished)));
    assert!(told_next.try_recv().is_err(), "it has not begun");
    let stop = (Instant::now(), Input::Stop);
    sender.send(stop).await.expect("it listens");
    kinds(&mut told_next, "recognition_started").await;
}

#[tokio::test]
async fn a_stream_does_not_wait_for_ever_for_the_one_before() {
    let hub = hub_at(&Limits::default(), WallClock::default());
    let (_slot, results, _told) = speaker(&hub).await;
    let (_next_slot, next, mut told_next) = speaker(&hub).await;
    let (limits, pool) = (Limits::default(), pool());
    let before = Before {
        stream: Stream::start(start(results, None), &pool, &limits),
        until: Instant::now() + Duration::from_millis(50),
    };
    let _second = Stream::start(start(next, Some(before)), &pool, &limits);
    kinds(&mut told_next, "recognition_started").await;
}

#[tokio::test]
async fn an_abandoned_stream_ends_though_its_session_holds_it() {
    let hub = hub_at(&Limits::default(), WallClock::default());
    let (_slot, results, mut told) = speaker(&hub).await;
    let mut stream = Stream::start(start(results, None), &pool(), &Limits::default());
    kinds(&mut told, "recognition_started").await;
    stream.abandon();
    assert!(matches!(stream.done().await, Some(Outcome::Finished)));
}

#[tokio::test]
async fn a_stream_whose_client_does_not_read_holds_no_worker() {
    let hub = hub_at(&Limits::default(), WallClock::default());
    let (_slot, results, mut told) = speaker(&hub).await;
    let (_other_slot, other, mut told_other) = speaker(&hub).await;
    let (limits, pool) = (Limits::default(), pool());
    let own = results.own().clone();
    let stream = Stream::start(start(results, None), &pool, &limits);
    kinds(&mut told, "recognition_started").await;
    while own.room().is_none() {
        own.send("another one");
    }
    stream.audio(Bytes::from_static(&[0; 3200])).await;
    let mut third = Stream::start(start(other, None), &pool, &limits);
    kinds(&mut told_other, "recognition_started").await;
    third.stop().await;
    assert!(matches!(third.done().await, Some(Outcome::Finished)));
    // The stream goes on when its client reads.
    stream.stop().await;
    let mut stream = stream;
    assert!(stream.done.try_recv().is_err(), "it waits");
    while own.room().is_some() {
        told.recv().await.expect("a message");
    }
    assert!(matches!(stream.done().await, Some(Outcome::Finished)));
}

/// An engine that takes more than a slice for each call.
struct Slow;

impl Recognizer for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Self))
    }
}

impl RecognizerStream for Slow {
    fn push(&mut self, _: &[i16], _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let begun = Instant::now();
        while begun.elapsed() < SLICE {
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

/// Tells its name when it is dropped.
#[derive(Debug)]
struct Told(&'static str, mpsc::UnboundedSender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

#[tokio::test]
async fn audio_that_is_sent_ahead_waits_while_others_need_the_worker() {
    let hub = hub_at(&Limits::default(), WallClock::default());
    let (limits, pool) = (Limits::default(), pool());
    let (tell, mut order) = mpsc::unbounded_channel();
    let mut seats = Vec::new();
    let mut streams = Vec::new();
    for (name, messages) in [("a file", 50), ("a speaker", 1)] {
        let (slot, results, told) = speaker(&hub).await;
        let mut start = start(results, None);
        start.recognizer = Arc::new(Slow);
        let stream = Stream::start(start, &pool, &limits);
        stream.hold(Told(name, tell.clone()));
        for _ in 0..messages {
            // 100 ms each.
            stream.audio(Bytes::from_static(&[0; 3200])).await;
        }
        stream.stop().await;
        seats.push((slot, told));
        streams.push(stream);
    }
    for stream in &mut streams {
        assert!(matches!(stream.done().await, Some(Outcome::Finished)));
    }
    assert_eq!(order.recv().await, Some("a speaker"));
    assert_eq!(order.recv().await, Some("a file"));
}

#[tokio::test]
async fn a_stream_holds_its_permits_until_it_has_ended() {
    let hub = hub_at(&Limits::default(), WallClock::default());
    let (_slot, results, _told) = speaker(&hub).await;
    let mut stream = Stream::start(start(results, None), &pool(), &Limits::default());
    let permits = Arc::new(Semaphore::new(1));
    stream.hold(Arc::clone(&permits).try_acquire_owned());
    assert_eq!(permits.available_permits(), 0);
    stream.stop().await;
    stream.done().await;
    // The stream drops what it holds right after it has sent its outcome.
    let free = permits.acquire();
    let free = tokio::time::timeout(Duration::from_secs(60), free).await;
    assert!(free.is_ok());
}
