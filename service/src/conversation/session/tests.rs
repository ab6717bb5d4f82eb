// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::clock::WallClock;
use crate::conversation::entry::{Body, Transcribed};
use crate::conversation::hub::tests::{hub_at, hub_with_log, key};
use crate::conversation::log::Log;
use crate::conversation::memory::MemoryLog;
use crate::conversation::running::Leave;
use crate::outbox::Outbox;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;
use tokio::time::timeout;

const S: i64 = 1_000_000_000;

const TIMEOUTS: Timeouts = Timeouts {
    inactivity: Duration::from_secs(600),
    total: Duration::from_secs(3600),
    keep_alive: Duration::from_secs(120),
};

fn limits() -> Limits {
    Limits::default()
}

fn sessions_of(hub: &Arc<Hub>) -> Sessions {
    Sessions::new(Arc::clone(hub), &limits())
}

fn text(client_id: &str) -> Sent {
    Sent {
        client_id: client_id.to_owned(),
        text: client_id.to_owned(),
        ..Sent::default()
    }
}

/// Returns the texts of the next entries, and `true` for those that the socket wrote.
async fn next(watch: &mut Watch) -> Vec<(String, bool)> {
    let event = timeout(Duration::from_secs(60), watch.next()).await;
    let Event::Entries(seen) = event.expect("an event") else {
        panic!("no entries")
    };
    let texts = seen.into_iter().filter_map(|seen| match &seen.entry.body {
        Body::Sent(sent) => Some((sent.text.clone(), seen.own)),
        Body::Said(said) => Some((said.text.clone(), seen.own)),
        _ => None,
    });
    texts.collect()
}

#[test]
fn a_session_is_active_then_closed_then_expired() {
    let keep = TIMEOUTS.keep_alive;
    assert_eq!(status(None, i64::MAX, keep), Status::Active);
    assert_eq!(status(Some(100 * S), 100 * S, keep), Status::Closed);
    assert_eq!(status(Some(100 * S), 220 * S - 1, keep), Status::Closed);
    assert_eq!(status(Some(100 * S), 220 * S, keep), Status::Expired);
    assert_eq!(
        status(Some(100 * S), 99 * S, Duration::ZERO),
        Status::Closed
    );
    assert_eq!(status(Some(i64::MAX), 0, Duration::MAX), Status::Closed);
}

#[test]
fn a_session_without_speakers_is_over_when_nothing_is_written_or_after_its_time() {
    assert_eq!(ends(0, 0, TIMEOUTS), 600 * S);
    assert_eq!(ends(0, 2000 * S, TIMEOUTS), 2600 * S);
    assert_eq!(ends(0, 3500 * S, TIMEOUTS), 3600 * S);
    let endless = Timeouts {
        total: Duration::ZERO,
        ..TIMEOUTS
    };
    assert_eq!(ends(0, 3500 * S, endless), 4100 * S);
}

#[tokio::test]
async fn a_watch_sees_each_entry_once_in_order_and_knows_its_own() {
    let hub = hub_at(&limits(), WallClock::default());
    let sessions = sessions_of(&hub);
    let session = sessions
        .create("", Some("Talk".to_owned()))
        .await
        .expect("created");
    let (mut own, mut other) = (session.watch(false), session.watch(false));
    // More than are remembered, so that some are read from the log.
    let mut expected = Vec::new();
    for n in 0..300 {
        let sent = session.send(text(&n.to_string())).await;
        let Ok(Written { seq, is_new: true }) = sent else {
            panic!("{sent:?}")
        };
        own.wrote(seq);
        expected.push(n.to_string());
    }
    for (watch, is_own) in [(&mut own, true), (&mut other, false)] {
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            seen.extend(next(watch).await);
        }
        let texts: Vec<&String> = seen.iter().map(|(text, _)| text).collect();
        assert_eq!(texts, expected.iter().collect::<Vec<_>>());
        assert!(seen.iter().all(|(_, own)| *own == is_own));
        let more = timeout(Duration::from_millis(20), watch.next()).await;
        assert!(more.is_err(), "{more:?}");
    }
    // The same text again is no news, and another one under its id is not taken for it.
    let again = session.send(text("7")).await;
    assert!(
        matches!(again, Ok(Written { is_new: false, .. })),
        "{again:?}"
    );
    let other = Sent {
        text: "another".to_owned(),
        ..text("7")
    };
    let other = session.send(other).await;
    assert!(
        matches!(other, Err(SessionError::ClientIdTaken)),
        "{other:?}"
    );
    let history = session.history(0, 200).await.expect("read");
    assert!(history.more);
    assert_eq!((history.entries.len(), history.until), (200, 200));
    let rest = session.history(history.until, 200).await.expect("read");
    assert_eq!(
        (rest.entries.len(), rest.more, rest.until),
        (101, false, 301)
    );
    let none = session.history(301, 200).await.expect("read");
    assert_eq!((none.entries.len(), none.more, none.until), (0, false, 301));
}

#[tokio::test]
async fn a_history_is_of_bounded_size_and_its_parts_join_up() {
    let hub = hub_at(&limits(), WallClock::default());
    let session = sessions_of(&hub).create("", None).await.expect("created");
    for n in 0..5 {
        let sent = Sent {
            text: "x".repeat(1 << 20),
            ..text(&n.to_string())
        };
        session.send(sent).await.expect("stored");
    }
    let (mut after, mut parts) = (0, Vec::new());
    loop {
        let part = session.history(after, 5000).await.expect("read");
        parts.push(part.entries.len());
        after = part.until;
        if !part.more {
            break;
        }
    }
    assert_eq!(after, 6);
    assert_eq!(parts, [3, 2, 1]);
}

#[tokio::test]
async fn a_watch_sees_speakers_come_and_go_the_end_and_interims() {
    let hub = hub_at(&limits(), WallClock::default());
    let sessions = sessions_of(&hub);
    let session = sessions.create("", None).await.expect("created");
    let mut watch = session.watch(true);
    let key = key(&session.connection_id);
    let slot = hub.join(&key, Outbox::new(8).0, false).await;
    assert_eq!(slot.conversation.number, session.conversation);
    let state = |event: Event| match event {
        Event::Changed(state) => (state.status, state.speakers),
        other => panic!("{other:?}"),
    };
    assert_eq!(state(watch.next().await), (Status::Active, 1));
    let ada = Speaker::default();
    let interim = Interim {
        text: "good morn",
        words: &[],
        stable: 1,
        start: Duration::from_secs(1),
        speaker: &ada,
        elapsed: 0,
    };
    slot.conversation.show(&interim, 7);
    let Event::Interim(hint) = watch.next().await else {
        panic!("no interim")
    };
    assert_eq!(*hint, Hint::of(&interim, 7));
    slot.leave(Leave::Finished);
    assert_eq!(state(watch.next().await), (Status::Closed, 0));
    let refused = session.send(text("late")).await;
    assert!(matches!(refused, Err(SessionError::Closed)), "{refused:?}");
    // Found again, it is the same session.
    let again = sessions.find("", &session.id, false).await.expect("found");
    assert_eq!(again.state().status, Status::Closed);
    assert_eq!(again.history(0, 10).await.expect("read").entries.len(), 2);
    let refused = again.send(text("late")).await;
    assert!(matches!(refused, Err(SessionError::Closed)), "{refused:?}");
}

#[tokio::test]
async fn a_closed_session_expires_and_is_then_unknown_but_to_those_who_view() {
    let time = Arc::new(AtomicI64::new(1_000 * S));
    let clock = Arc::clone(&time);
    let hub = hub_at(
        &limits(),
        WallClock::new(move || clock.load(Ordering::Relaxed)),
    );
    let mut brief = limits();
    brief.session_keep_alive = Duration::from_millis(50);
    let sessions = Sessions::new(Arc::clone(&hub), &brief);
    let session = sessions.create("", None).await.expect("created");
    let mut watch = session.watch(false);
    let slot = hub
        .join(&key(&session.connection_id), Outbox::new(8).0, false)
        .await;
    slot.leave(Leave::Finished);
    let closed = watch.next().await;
    assert!(
        matches!(
            closed,
            Event::Changed(State {
                status: Status::Closed,
                ..
            })
        ),
        "{closed:?}"
    );
    let again = sessions.find("", &session.id, false).await.expect("found");
    let mut late = again.watch(false);
    time.fetch_add(S, Ordering::Relaxed);
    for watch in [&mut watch, &mut late] {
        let expired = timeout(Duration::from_secs(60), watch.next())
            .await
            .expect("told");
        assert!(
            matches!(
                expired,
                Event::Changed(State {
                    status: Status::Expired,
                    ..
                })
            ),
            "{expired:?}"
        );
    }
    let unknown = sessions.find("", &session.id, false).await;
    assert!(matches!(unknown, Err(SessionError::Unknown)), "{unknown:?}");
    let viewed = sessions.find("", &session.id, true).await.expect("viewed");
    assert_eq!(viewed.state().status, Status::Expired);
}

#[tokio::test]
async fn a_session_of_another_account_is_unknown() {
    let hub = hub_at(&limits(), WallClock::default());
    let sessions = sessions_of(&hub);
    let session = sessions.create("ours", None).await.expect("created");
    for (account, id) in [("theirs", &*session.id), ("", &session.id), ("ours", "x")] {
        let found = sessions.find(account, id, true).await;
        assert!(
            matches!(found, Err(SessionError::Unknown)),
            "{account} {id}: {found:?}"
        );
    }
    sessions
        .find("ours", &session.id, false)
        .await
        .expect("found");
}

#[tokio::test]
async fn a_text_puts_off_the_end_of_a_session_and_a_restart_does_not() {
    let time = Arc::new(AtomicI64::new(1_000 * S));
    let log = Arc::new(MemoryLog::default());
    let open = || {
        let clock = Arc::clone(&time);
        let wall = WallClock::new(move || clock.load(Ordering::Relaxed));
        hub_with_log(&limits(), wall, Arc::clone(&log) as Arc<dyn Log>)
    };
    let deadline = || log.still_open().expect("read")[0].ends;
    let id = {
        let hub = open();
        let session = sessions_of(&hub).create("", None).await.expect("created");
        let first = deadline();
        assert!((first - 1_600 * S).abs() < S, "{first}");
        // The conversation's own clock went on by a little.
        session.send(text("a")).await.expect("stored");
        assert!(deadline() > first);
        session.id
    };
    let before = deadline();
    time.fetch_add(300 * S, Ordering::Relaxed);
    let hub = open();
    let session = sessions_of(&hub).find("", &id, false).await.expect("found");
    assert_eq!(session.state().status, Status::Active);
    assert_eq!(deadline(), before);
    let running = hub.find(&key(&id)).expect("restored");
    let ends = running.state().ends.expect("it waits");
    let left = ends.saturating_duration_since(Instant::now());
    assert!(
        left.abs_diff(Duration::from_secs(300)) < Duration::from_secs(5),
        "{left:?}"
    );
    session.send(text("b")).await.expect("stored");
    assert!(deadline() > before + 290 * S);
}

#[tokio::test]
async fn a_session_ends_by_itself_after_its_inactivity() {
    let hub = hub_at(&limits(), WallClock::default());
    let mut brief = limits();
    brief.session_inactivity = Duration::from_millis(300);
    let sessions = Sessions::new(Arc::clone(&hub), &brief);
    let session = sessions.create("", None).await.expect("created");
    let begun = Instant::now();
    let mut watch = session.watch(false);
    // A watch does not keep it active, and a text does.
    tokio::time::sleep(Duration::from_millis(200)).await;
    session.send(text("a")).await.expect("in time");
    let sent = begun.elapsed();
    assert_eq!(next(&mut watch).await, [("a".to_owned(), false)]);
    let closed = timeout(Duration::from_secs(60), watch.next())
        .await
        .expect("closed");
    assert!(
        matches!(
            closed,
            Event::Changed(State {
                status: Status::Closed,
                ..
            })
        ),
        "{closed:?}"
    );
    let lasted = begun.elapsed();
    assert!(
        lasted >= sent + Duration::from_millis(250),
        "{lasted:?} after {sent:?}"
    );
}

#[tokio::test]
async fn what_is_said_comes_to_watches_with_what_is_written() {
    let hub = hub_at(&limits(), WallClock::default());
    let session = sessions_of(&hub).create("", None).await.expect("created");
    let mut watch = session.watch(false);
    let conversation = hub.find(&key(&session.id)).expect("running");
    let said = Transcribed {
        text: "good morning".to_owned(),
        ..Transcribed::default()
    };
    let verdict = hub
        .log
        .append(session.conversation, said, conversation.committed(Some(0)));
    verdict.expect("stored");
    conversation.tell();
    session.send(text("a note")).await.expect("stored");
    let mut seen = next(&mut watch).await;
    if seen.len() < 2 {
        seen.extend(next(&mut watch).await);
    }
    assert_eq!(
        seen,
        [
            ("good morning".to_owned(), false),
            ("a note".to_owned(), false)
        ]
    );
}

#[tokio::test]
async fn a_deletion_is_told_also_if_it_came_before_the_watch() {
    let hub = hub_at(&limits(), WallClock::default());
    let sessions = sessions_of(&hub);
    let session = sessions.create("", None).await.expect("created");
    let other = sessions.create("", None).await.expect("created");
    let mut early = session.watch(false);
    hub.join(&key(&session.connection_id), Outbox::new(8).0, false)
        .await
        .leave(Leave::Finished);
    let again = sessions.find("", &session.id, false).await.expect("found");
    hub.deletions.deleted(session.conversation);
    let mut late = again.watch(false);
    for watch in [&mut early, &mut late] {
        let told = timeout(Duration::from_secs(60), watch.next()).await;
        let Ok(Event::Changed(state)) = told else {
            panic!("{told:?}")
        };
        assert_eq!((state.status, state.is_deleted), (Status::Expired, true));
        let more = timeout(Duration::from_millis(20), watch.next()).await;
        assert!(more.is_err(), "once: {more:?}");
    }
    for session in [&session, &again] {
        let refused = session.send(text("late")).await;
        assert!(matches!(refused, Err(SessionError::Unknown)), "{refused:?}");
        let refused = session.history(0, 10).await;
        assert!(matches!(refused, Err(SessionError::Unknown)), "{refused:?}");
    }
    assert_eq!(other.state().status, Status::Active);
}

#[tokio::test]
async fn a_watch_sees_what_takes_the_place_of_entries_that_the_log_has_lost() {
    let hub = hub_at(&limits(), WallClock::default());
    let sessions = sessions_of(&hub);
    let session = sessions.create("", None).await.expect("created");
    let Content::Running(conversation) = &session.content else {
        panic!("it runs");
    };
    let mut watch = session.watch(false);
    let first = conversation.told() + 1;
    let tell = |seq, text: &str| {
        let sent = Sent {
            text: text.to_owned(),
            ..Sent::default()
        };
        let body = Body::Sent(sent);
        assert!(conversation.heard(Arc::new(Entry { seq, at: 0, body })));
    };
    tell(first, "a");
    tell(first + 1, "lost");
    let seen = next(&mut watch).await;
    assert_eq!(seen, [("a".to_owned(), false), ("lost".to_owned(), false)]);
    conversation.teller().rewind(first);
    tell(first + 1, "b");
    assert_eq!(next(&mut watch).await, [("b".to_owned(), false)]);
}
