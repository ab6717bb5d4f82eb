// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::analysis::AnalyzerOptions;
use crate::clock::WallClock;
use crate::conversation::form::Recipient;
use crate::conversation::hub::tests::{hub_at, key};
use crate::conversation::hub::{Hub, Seat};
use crate::hearing::admission::Entrance;
use crate::hearing::recognizer::scripted::Scripted;
use crate::hearing::voice::{Speaking, Wanted};
use crate::outbox::{Frame, Outbox};
use std::io::{Error, ErrorKind};
use symbl_protocol::Encoding;
use tokio::sync::Semaphore;

/// A speaker in the room `x`, and what it is told.
async fn speaker(hub: &Arc<Hub>) -> (Seat, Voice, mpsc::Receiver<Frame>) {
    let (own, told) = Outbox::new(64);
    let own = Recipient::from(own);
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
    let speaking = Speaking {
        speaker,
        timezone_offset: 0,
        title: None,
        place: None,
    };
    let voice = Voice::new(room, own, seat.member, metrics, speaking, wanted);
    (seat, voice, told)
}

fn start(voice: Voice, before: Option<Before>) -> Start {
    Start {
        recognizer: Arc::new(Scripted),
        options: StreamOptions::default(),
        format: StreamFormat::new(Encoding::Linear16, 16_000).expect("a format"),
        voice,
        effort: Entrance::new(None).effort(),
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
