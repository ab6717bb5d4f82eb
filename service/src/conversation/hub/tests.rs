// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::conversation::entry::{Body, Speaker};
use crate::conversation::memory::MemoryLog;
use crate::conversation::participants::Called;
use crate::metrics::{Counts, Kept, Refused};
use crate::outbox::Outbox;
use crate::trackers::MemoryTrackers;

/// The seat of a socket where there are no other nodes.
const ALONE: Seat = Seat {
    anew: false,
    regardless: false,
    may_begin: true,
};

fn hub() -> Arc<Hub> {
    hub_with(&Limits::default())
}

fn hub_with(limits: &Limits) -> Arc<Hub> {
    hub_at(limits, WallClock::default())
}

/// Returns a hub with a log in memory and this clock.
pub(crate) fn hub_at(limits: &Limits, wall: WallClock) -> Arc<Hub> {
    hub_with_log(limits, wall, Arc::new(MemoryLog::default()))
}

/// Returns a hub with this log and this clock.
pub(crate) fn hub_with_log(limits: &Limits, wall: WallClock, log: Arc<dyn Log>) -> Arc<Hub> {
    let metrics = Metrics::new(Kept {
        recognizers: vec!["scripted"],
        refused: Refused::default(),
        traces: Default::default(),
        counts: Counts::default(),
        cluster: None,
        collectors: Vec::new(),
    });
    let services = Services {
        log,
        metrics: Arc::new(metrics),
        trackers: Arc::new(MemoryTrackers::default()),
        workers: Arc::new(Workers::start().expect("threads")),
        wall,
    };
    Hub::open(limits, services).expect("nothing to restore")
}

pub(crate) fn key(connection_id: &str) -> ConversationKey {
    ConversationKey {
        account: String::new(),
        connection_id: connection_id.to_owned(),
    }
}

fn keep(slot: &SocketSlot, keep: Duration) {
    slot.speaks(None, Some(keep));
}

async fn join(hub: &Arc<Hub>, connection_id: &str) -> (SocketSlot, String) {
    let slot = hub.join(&key(connection_id), Outbox::new(8).0, false).await;
    let id = slot.conversation.state().participants.id().to_owned();
    (slot, id)
}

#[tokio::test]
async fn sockets_of_one_connection_id_share_a_conversation() {
    let hub = hub();
    let (first, a) = join(&hub, "x").await;
    let (second, b) = join(&hub, "x").await;
    let (_other, c) = join(&hub, "y").await;
    assert_eq!(a, b);
    assert_ne!(a, c);
    first.leave(Leave::Finished);
    let (_third, d) = join(&hub, "x").await;
    assert_eq!(a, d, "the second socket still holds the conversation");
    second.leave(Leave::Finished);
}

#[tokio::test]
async fn a_finished_conversation_is_not_continued() {
    let hub = hub();
    let (slot, a) = join(&hub, "x").await;
    keep(&slot, Duration::from_secs(1000));
    slot.leave(Leave::Finished);
    assert_ne!(join(&hub, "x").await.1, a);
}

#[tokio::test]
async fn how_a_closing_ends_decides_which_conversation_comes_next() {
    let hub = hub();
    for (how, same) in [(Leave::Lost, true), (Leave::Finished, false)] {
        let (mut slot, a) = join(&hub, "x").await;
        keep(&slot, Duration::from_secs(1000));
        slot.close();
        let next = join(&hub, "x");
        tokio::pin!(next);
        tokio::select! {
            biased;
            _ = &mut next => panic!("nobody knows yet"),
            () = async {} => slot.leave(how),
        }
        let (slot, b) = next.await;
        assert_eq!(a == b, same, "{how:?}");
        slot.leave(Leave::Finished);
    }
}

#[tokio::test]
async fn a_lost_member_finds_its_conversation_within_the_time_only() {
    let hub = hub();
    let (slot, a) = join(&hub, "x").await;
    keep(&slot, Duration::from_secs(1000));
    slot.leave(Leave::Lost);
    let (slot, b) = join(&hub, "x").await;
    assert_eq!(a, b);
    keep(&slot, Duration::from_nanos(1));
    slot.leave(Leave::Lost);
    assert_ne!(join(&hub, "x").await.1, a);
}

#[tokio::test]
async fn no_more_rooms_wait_than_are_allowed() {
    let limits = Limits {
        waiting: 1,
        ..Limits::default()
    };
    let hub = hub_with(&limits);
    let lose = async |connection_id| {
        let (slot, id) = join(&hub, connection_id).await;
        keep(&slot, Duration::from_secs(1000));
        slot.leave(Leave::Lost);
        id
    };
    let kept = lose("x").await;
    let lost = lose("y").await;
    assert!(hub.is_live(&key("x")) && !hub.is_live(&key("y")));
    // Who comes back leaves the place to others.
    let (back, id) = join(&hub, "x").await;
    assert_eq!(id, kept);
    let kept = lose("y").await;
    assert_ne!(kept, lost);
    assert!(hub.is_live(&key("y")));
    back.leave(Leave::Finished);
}

#[tokio::test(start_paused = true)]
async fn conversations_that_no_speaker_rejoins_are_forgotten() {
    let hub = hub();
    let (slot, _) = join(&hub, "x").await;
    keep(&slot, Duration::from_nanos(1));
    slot.leave(Leave::Lost);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(hub.conversations().is_empty());
}

#[tokio::test]
async fn a_wait_for_one_conversation_delays_no_other_conversation() {
    let hub = hub();
    let (_held, _) = join(&hub, "held").await;
    let (_other, other) = join(&hub, "other").await;
    let conversation = hub.find(&key("held")).expect("a conversation");
    let state = conversation.state();
    let (tell, told) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Handle::current();
    let spawn = |work: Box<dyn FnOnce(Arc<Hub>) + Send>| {
        let (hub, tell, runtime) = (Arc::clone(&hub), tell.clone(), runtime.clone());
        std::thread::spawn(move || {
            let _runtime = runtime.enter();
            work(hub);
            let _ = tell.send(());
        });
    };
    // These wait for the conversation whose state is locked.
    spawn(Box::new(|hub| assert!(hub.is_live(&key("held")))));
    spawn(Box::new(|hub| drop(hub.listenable(&key("held")))));
    spawn(Box::new(|hub| {
        let joined = hub.try_join(&key("held"), &Outbox::new(8).0.into(), ALONE);
        drop(joined);
    }));
    let waited = told.recv_timeout(Duration::from_millis(200));
    assert!(waited.is_err(), "one did not wait");
    // These use other conversations and do not wait.
    spawn(Box::new(move |hub| {
        assert!(hub.is_live(&key("other")) && !hub.is_live(&key("none")));
        let conversation = hub.listenable(&key("other")).expect("a conversation");
        drop(conversation.listen_now(&Outbox::new(8).0.into(), String::new()));
        drop(hub.try_join(&key("other"), &Outbox::new(8).0.into(), ALONE));
        drop(hub.try_join(&key("new"), &Outbox::new(8).0.into(), ALONE));
        let number = other.parse().expect("a number");
        hub.attributed("", number, &[], &[]);
    }));
    let done = told.recv_timeout(Duration::from_secs(60));
    drop(state);
    assert_eq!(
        done,
        Ok(()),
        "somebody waits for another one's conversation"
    );
    for _ in 0..3 {
        let done = told.recv_timeout(Duration::from_secs(60));
        assert_eq!(done, Ok(()));
    }
}

#[tokio::test]
async fn conversations_that_wait_have_a_bound_in_bytes() {
    let limits = Limits {
        waiting_memory: 1 << 20,
        ..Limits::default()
    };
    let hub = hub_with(&limits);
    let name = "x".repeat(limits.text);
    for number in 0..30 {
        let connection_id = number.to_string();
        let (slot, _) = join(&hub, &connection_id).await;
        for speaker in 0..100 {
            let id = speaker.to_string();
            let mut state = slot.conversation.state();
            let known = state.participants.speaker(
                Called {
                    user_id: Some(&id),
                    name: Some(&name),
                    written: Some(&name),
                },
                1000,
            );
            assert!(known.is_some());
        }
        keep(&slot, Duration::from_secs(1000));
        slot.leave(Leave::Lost);
    }
    // Each takes a bit more than a tenth of what all may take.
    assert_eq!(hub.awaited(), 9);
    let available = hub.waiting_bytes.available_permits();
    assert!(available < 120_000, "{available}");
}

/// Lets a speaker begin on a new socket of the conversation `x`.
async fn speaks(hub: &Arc<Hub>, id: &str, keep: Duration) -> SocketSlot {
    let slot = hub.join(&key("x"), Outbox::new(8).0, false).await;
    slot.speaks(Some(id), Some(keep));
    let conversation = &slot.conversation;
    let start = StartRecord {
        conversation: conversation.number,
        account: String::new(),
        connection_id: "x".to_owned(),
        session: conversation.session.clone(),
        title: None,
        at: 0,
        keep: 0,
        speaker: Some(Speaker {
            id: id.to_owned(),
            ..Speaker::default()
        }),
        ends: None,
        stream_position: None,
    };
    let begun = conversation.log.begin(start, conversation.committed(None));
    begun.expect("begun");
    slot
}

/// Returns the ids of those that have left, in the order of the log.
fn gone(conversation: &Conversation) -> Vec<String> {
    let entries = conversation.log.read(conversation.number, 0, usize::MAX);
    let entries = entries.expect("entries");
    let left = entries.iter().filter_map(|entry| match &entry.body {
        Body::Left(speaker) => Some(speaker.id.clone()),
        _ => None,
    });
    left.collect()
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(tokio::time::Instant::now() < patience, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_speaker_has_left_after_a_clean_stop_and_a_lost_one_after_its_time() {
    const LONG: Duration = Duration::from_secs(1000);
    let hub = hub();
    let host = speaks(&hub, "host", LONG).await;
    let conversation = Arc::clone(&host.conversation);
    speaks(&hub, "ada", LONG).await.leave(Leave::Finished);
    assert_eq!(gone(&conversation), ["ada"], "at once");
    // A second socket of the same speaker is still there, or is just being closed.
    let first = speaks(&hub, "bob", LONG).await;
    let mut second = speaks(&hub, "bob", LONG).await;
    first.leave(Leave::Finished);
    second.close();
    speaks(&hub, "ada", LONG).await.leave(Leave::Finished);
    assert_eq!(gone(&conversation), ["ada", "ada"], "bob is closing");
    // The last results of a stream may still come.
    let settled = second.owe();
    second.leave(Leave::Finished);
    assert_eq!(gone(&conversation).len(), 2, "bob owes results");
    settled();
    assert_eq!(gone(&conversation)[2..], ["bob"]);
    // Eve is back in time, and then she is not.
    speaks(&hub, "eve", LONG).await.leave(Leave::Lost);
    let eve = speaks(&hub, "eve", Duration::from_millis(30)).await;
    assert_eq!(gone(&conversation).len(), 3, "eve may come back");
    eve.leave(Leave::Lost);
    assert_eq!(gone(&conversation).len(), 3, "eve may still come back");
    let all = || gone(&conversation);
    wait_until("eve has left", || all().len() == 4).await;
    assert_eq!(all()[3..], ["eve"]);
    host.leave(Leave::Finished);
    assert_eq!(all()[4..], ["host"], "each once");
}

#[tokio::test]
async fn after_a_restart_those_have_left_who_do_not_come_back_in_time() {
    let log = Arc::new(MemoryLog::default());
    let limits = Limits::default();
    let first = hub_with_log(&limits, WallClock::default(), log.clone());
    let ada = speaks(&first, "ada", Duration::from_secs(1000)).await;
    let bob = speaks(&first, "bob", Duration::from_secs(1000)).await;
    let ends = WallClock::default().now() + 200_000_000;
    ada.conversation.log.close(ada.conversation.number, ends);
    // The first service is killed.
    std::mem::forget((first, ada, bob));
    let second = hub_with_log(&limits, WallClock::default(), log);
    let ada = speaks(&second, "ada", Duration::from_secs(1000)).await;
    let conversation = Arc::clone(&ada.conversation);
    speaks(&second, "eve", Duration::ZERO)
        .await
        .leave(Leave::Finished);
    assert!(gone(&conversation).is_empty(), "bob may come back");
    wait_until("bob has left", || gone(&conversation).len() == 2).await;
    let mut left = gone(&conversation);
    left.sort();
    assert_eq!(left, ["bob", "eve"], "and ada has not");
}

#[tokio::test]
async fn a_conversation_that_has_ended_before_its_socket_joins_is_not_begun_beside_the_other_nodes()
{
    let hub = hub();
    let seat = Seat {
        may_begin: false,
        ..ALONE
    };
    let recipient = Outbox::new(8).0.into();
    let joins = || hub.try_join(&key("x"), &recipient, seat);
    assert!(joins().is_err_and(|ended| ended.is_none()));
    let (slot, _) = join(&hub, "x").await;
    let number = slot.conversation.number;
    let second = joins().expect("it goes on");
    assert_eq!(second.conversation.number, number);
    second.leave(Leave::Finished);
    let conversation = Arc::clone(&slot.conversation);
    conversation.state().is_over = true;
    let ended = joins().err().flatten();
    assert!(ended.is_some_and(|ended| Arc::ptr_eq(&ended, &conversation)));
}

#[tokio::test]
async fn a_commit_of_this_node_behind_one_of_others_makes_no_thread_wait_that_serves_sockets() {
    let log = Arc::new(MemoryLog::default());
    let hub = hub_with_log(&Limits::default(), WallClock::default(), log.clone());
    let host = speaks(&hub, "host", Duration::ZERO).await;
    let _ada = speaks(&hub, "ada", Duration::ZERO).await;
    let conversation = Arc::clone(&host.conversation);
    conversation.tell();
    let told = conversation.told();
    // Another node appends an entry that this one has not heard of.
    let here = vec!["host".to_owned()];
    log.left(conversation.number, here, Box::new(|_| {}));
    host.leave(Leave::Finished);
    wait_until("all is told", || conversation.told() == told + 2).await;
    let readers = log.readers.lock().expect("a lock").clone();
    assert_eq!(readers, [Some("symbl-worker".to_owned())]);
}

#[tokio::test]
async fn what_follows_a_commit_that_failed_at_once_is_done() {
    let hub = hub();
    let host = speaks(&hub, "host", Duration::ZERO).await;
    let (committed, coming) = oneshot::channel();
    drop(committed);
    let (done, rest) = oneshot::channel();
    hub.tell_later(&host.conversation, coming, move |_| {
        let _ = done.send(());
    });
    assert_eq!(rest.await, Ok(()));
}
