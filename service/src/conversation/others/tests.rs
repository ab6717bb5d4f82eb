// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::clock::{ConversationClock, WallClock};
use crate::conversation::attribution::Attribution;
use crate::conversation::bus::exchange::Exchange;
use crate::conversation::bus::tests::interim;
use crate::conversation::entry::{Body, Sent, Transcribed};
use crate::conversation::form::{Audience, Form, Recipient, Rendered};
use crate::conversation::hub::tests::{hub_with_log, key};
use crate::conversation::log::{Committed, Log, LogError};
use crate::conversation::memory::MemoryLog;
use crate::conversation::participants::Participants;
use crate::conversation::quota::Claim;
use crate::conversation::registry::{Head, Joined, Memory, Pending, Seated, Wanted};
use crate::limits::Limits;
use crate::outbox::{Frame, Outbox};
use std::future::{pending, ready};
use std::sync::Mutex;
use std::time::Duration;

/// A registry of a cluster in which nothing else happens.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) bus: Exchange,
    /// It does not answer joins.
    pub(crate) is_silent: bool,
    /// The seats of this node.
    pub(crate) seats: Arc<Mutex<Vec<Seated>>>,
}

impl Elsewhere {
    pub(crate) fn new() -> Self {
        Self {
            bus: Exchange::new(),
            is_silent: false,
            seats: Arc::default(),
        }
    }
}

impl Registry for Elsewhere {
    fn join(&self, _: Wanted) -> Pending<Joined> {
        match self.is_silent {
            true => Box::pin(pending()),
            false => Box::pin(ready(Ok(Joined::None))),
        }
    }

    fn heads(&self, _: Vec<i64>) -> Result<Vec<Head>, LogError> {
        Ok(Vec::new())
    }

    fn end(&self, _: i64, _: i64, _: Committed) {}

    fn closes(&self, _: i64, _: Duration) {}

    fn seats_but(&self, used: Vec<i64>) -> Result<Vec<Seated>, LogError> {
        let mut seats = self.seats.lock().expect("the seats").clone();
        seats.retain(|seat| !used.contains(&seat.conversation));
        Ok(seats)
    }

    fn vacate(&self, conversation: i64, _: i64) {
        let mut seats = self.seats.lock().expect("the seats");
        seats.retain(|seat| seat.conversation != conversation);
    }

    fn remember_by(&self, _: Weak<dyn Memory>) {}

    fn claim(&self, _: Claim) -> Pending<bool> {
        Box::pin(ready(Ok(true)))
    }

    fn free(&self, _: String) {}

    fn times_gone(&self) -> u64 {
        0
    }

    fn bus(&self) -> &dyn Bus {
        &self.bus
    }
}

#[derive(Debug)]
struct Plain;

impl Form for Plain {
    fn said(&self, said: &Transcribed) -> Rendered {
        vec![(Audience::All, format!("final {}", said.text).into())]
    }

    fn attributed(&self, _: &[Attribution]) -> Rendered {
        Vec::new()
    }

    fn live(&self, live: &Live<'_>) -> Rendered {
        match live {
            Live::Interim(interim) => vec![(Audience::Speaker, interim.text.into())],
            _ => Vec::new(),
        }
    }
}

/// Returns a conversation whose log begins after entry 3, and what its only subscriber is
/// sent.
fn conversation() -> (Arc<Conversation>, impl FnMut() -> Vec<String>) {
    let mut log = MemoryLog::default();
    log.registry = Some(Box::new(Elsewhere::new()));
    let log: Arc<dyn Log> = Arc::new(log);
    let clock = ConversationClock::begin(0);
    let conversation = Conversation::behind(key("x"), Participants::new(), log, clock, 3);
    let (outbox, mut frames) = Outbox::new(64);
    let listener = Recipient::new(outbox, &Plain);
    conversation.state().listen(listener, 0);
    let told = move || {
        let mut told = Vec::new();
        while let Ok(Frame::Text(text)) = frames.try_recv() {
            told.push(text.to_string());
        }
        told
    };
    (Arc::new(conversation), told)
}

fn said(seq: u64, start: i64) -> Arc<Entry> {
    let said = Transcribed {
        start,
        text: seq.to_string(),
        ..Transcribed::default()
    };
    let body = Body::Said(Box::new(said));
    Arc::new(Entry { seq, at: 0, body })
}

fn volatile(text: &str, start_request: i64, count: u64, behind: u64) -> Volatile {
    Volatile {
        stamp: Stamp {
            start_request,
            count,
            behind,
        },
        shown: interim(text),
    }
}

#[test]
fn entries_of_others_are_told_in_order_and_once_and_a_gap_is_not_passed_over() {
    let (conversation, mut told) = conversation();
    assert!(conversation.heard(said(4, 9)));
    assert!(conversation.heard(said(4, 9)), "again");
    assert!(conversation.heard(said(3, 9)), "before the subscriber came");
    assert!(!conversation.heard(said(6, 9)), "the fifth is missing");
    assert_eq!(told(), ["final 4"]);
    assert!(conversation.heard(said(5, 9)));
    assert!(conversation.heard(said(6, 9)));
    assert_eq!(told(), ["final 5", "final 6"]);
}

#[test]
fn a_subscriber_that_comes_from_another_node_is_told_nothing_again_that_was_told_there() {
    let (conversation, mut told_first) = conversation();
    let at = |seq| conversation.heard_up_to(seq);
    let mut read = at(7);
    let (outbox, mut frames) = Outbox::new(64);
    let _slot = conversation
        .listen_from(&mut at(5), &Recipient::new(outbox, &Plain))
        .expect("nothing is missing");
    let mut told = move || {
        let texts = std::iter::from_fn(|| frames.try_recv().ok());
        let texts = texts.map(|frame| match frame {
            Frame::Text(text) => text.to_string(),
            other => format!("{other:?}"),
        });
        texts.collect::<Vec<_>>()
    };
    assert_eq!(
        conversation.overheard(&volatile("four", 9, 1, 0)),
        Place::Now
    );
    for seq in 4..=5 {
        assert!(conversation.heard(said(seq, 9)));
    }
    assert_eq!(
        conversation.overheard(&volatile("six", 9, 2, 5)),
        Place::Now
    );
    assert!(conversation.heard(said(6, 9)));
    let all = ["four", "final 4", "final 5", "six", "final 6"];
    assert_eq!(told_first(), all);
    assert_eq!(told(), ["six", "final 6"]);
    // The database has lost the last two, and gets others in their place.
    conversation.teller().rewind(4);
    conversation.state().rewind(4);
    assert!(conversation.heard(said(5, 9)));
    assert_eq!(told(), ["final 5"]);
    // One that has read up to the seventh before that is told the fifth that came since.
    let (outbox, _frames) = Outbox::new(64);
    let missed = conversation.listen_from(&mut read, &Recipient::new(outbox, &Plain));
    let missed = missed.expect_err("the fifth").expect("is remembered");
    let missed: Vec<u64> = missed.iter().map(|entry| entry.seq).collect();
    assert_eq!((missed, read.seq), (vec![5], 4));
}

#[test]
fn an_entry_of_this_node_that_waits_for_one_of_others_is_told_after_it() {
    let (conversation, mut told) = conversation();
    // The sixth is put in and told by the stream that made it, which reads the fifth.
    conversation.teller().put(Item {
        entry: said(7, 9),
        origin: Some(1),
    });
    assert!(!conversation.heard(said(4, 9)), "the log has to be read");
    assert_eq!(told(), ["final 4"]);
    assert!(!conversation.heard(said(5, 9)));
    assert!(conversation.heard(said(6, 9)));
    assert_eq!(told(), ["final 5", "final 6", "final 7"]);
}

#[test]
fn interims_of_others_are_shown_between_the_finals_where_they_belong() {
    let (conversation, mut told) = conversation();
    let mut hints = conversation.hints();
    let place = |volatile| conversation.overheard(&volatile);
    assert_eq!(place(volatile("a", 9, 1, 0)), Place::Now);
    assert_eq!(place(volatile("early", 9, 4, 4)), Place::Early);
    assert!(conversation.heard(said(4, 9)));
    assert_eq!(place(volatile("late", 9, 2, 0)), Place::Late);
    assert_eq!(place(volatile("of another", 8, 1, 0)), Place::Now);
    assert_eq!(place(volatile("b", 9, 4, 4)), Place::Now);
    assert_eq!(told(), ["a", "final 4", "of another", "b"]);
    for text in ["a", "of another", "b"] {
        assert_eq!(hints.try_recv().expect("a session is shown it").text, text);
    }
    let sent = Sent {
        text: "a note".to_owned(),
        ..Sent::default()
    };
    let (seq, at) = (5, 0);
    let body = Body::Sent(sent);
    assert!(conversation.heard(Arc::new(Entry { seq, at, body })));
    assert_eq!(
        place(volatile("c", 9, 5, 4)),
        Place::Now,
        "a note ends none"
    );
}

#[test]
fn only_what_is_followed_has_changed_is_said() {
    let (conversation, _told) = conversation();
    let exchange = Exchange::new();
    let mut followed = HashMap::new();
    attend(&exchange, &[Arc::clone(&conversation)], &mut followed);
    assert_eq!(exchange.followed(), [conversation.number]);
    assert_eq!(followed, HashMap::from([(conversation.number, true)]));
    conversation.state().listeners.clear();
    attend(&exchange, &[Arc::clone(&conversation)], &mut followed);
    assert_eq!(followed, HashMap::from([(conversation.number, false)]));
    attend(&exchange, &[], &mut followed);
    assert!(exchange.followed().is_empty() && followed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_given_no_seat_asks_again_until_the_patience_of_its_socket_ends() {
    let mut log = MemoryLog::default();
    log.registry = Some(Box::new(Elsewhere::new()));
    let hub = hub_with_log(&Limits::default(), WallClock::default(), Arc::new(log));
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    let seat = hub.take_a_seat(&key("x"), false, patience).await;
    assert!(seat.may_begin && tokio::time::Instant::now() >= patience);
}
