// SPDX-License-Identifier: MPL-2.0

use super::*;
use serde_json::json;
use std::task::{Context, Waker};

fn user(name: &str) -> User {
    User {
        name: Some(name.to_owned()),
        ..User::default()
    }
}

fn event(starts: bool, name: &str, at: u64) -> (u64, SpeakerEvent) {
    let (user, when) = (user(name), At::Offset(at));
    let at_ = when;
    (
        at,
        SpeakerEvent {
            starts,
            user,
            at: at_,
        },
    )
}

fn owner(turns: &Turns, words: &[(u64, u64)]) -> Option<String> {
    let user = turns.owner(words.iter().copied())?;
    turns.users()[user].name.clone()
}

#[test]
fn speech_belongs_to_the_user_that_covers_most_of_its_words() {
    let turns = Turns::of(vec![
        event(false, "bob", 200),
        event(true, "ada", 0),
        event(false, "ada", 100),
        event(true, "bob", 80),
        event(true, "eve", 500),
        event(false, "eve", 400),
    ]);
    for (words, expected) in [
        (&[(0, 50)][..], Some("ada")),
        (&[(60, 110)], Some("ada")),
        (&[(60, 70), (90, 140)], Some("bob")),
        (&[(80, 100)], Some("bob")),
        (&[(199, 300)], Some("bob")),
        (&[(200, 300)], None),
        (&[(90, 90)], Some("bob")),
        (&[(450, 600)], Some("eve")),
        (&[(1 << 40, 1 << 41)], Some("eve")),
        (&[], None),
    ] {
        assert_eq!(owner(&turns, words).as_deref(), expected, "{words:?}");
    }
}

#[test]
fn a_long_turn_is_found_behind_many_short_ones() {
    let mut events = vec![event(true, "ada", 0)];
    for n in 1..1000 {
        events.push(event(true, "bob", n * 10));
        events.push(event(false, "bob", n * 10 + 1));
    }
    let turns = Turns::of(events);
    assert_eq!(owner(&turns, &[(9_995, 10_000)]).as_deref(), Some("ada"));
    assert_eq!(owner(&turns, &[(50, 51)]).as_deref(), Some("bob"));
}

#[test]
fn events_that_come_one_by_one_are_the_same_turns() {
    let shared = SharedTurns::default();
    let add = |starts, name: &str, at| shared.add(&[event(starts, name, at)]);
    assert_eq!(add(true, "ada", 10), 10);
    assert_eq!(add(true, "ada", 20), 20, "ada goes on");
    assert_eq!(add(true, "bob", 40), 40);
    assert_eq!(add(false, "ada", 50), 10);
    assert_eq!(add(false, "ada", 60), 60, "ada does not speak");
    assert_eq!(add(true, "eve", 5), 5, "it comes late");
    assert_eq!(add(false, "eve", 8), 5);
    for (words, expected) in [((5, 8), "eve"), ((10, 50), "ada"), ((50, 60), "bob")] {
        assert_eq!(
            owner(&shared.now(), &[words]).as_deref(),
            Some(expected),
            "{words:?}"
        );
    }
    let many = (0..MOST_TURNS as u64).flat_map(|n| {
        let (from, until) = (100 + 2 * n, 101 + 2 * n);
        [event(true, "max", from), event(false, "max", until)]
    });
    assert_eq!(shared.add(&many.collect::<Vec<_>>()), 100);
    assert_eq!(shared.now().turns.len(), MOST_TURNS);
    assert_eq!(shared.owner([(10, 50)]), None, "that was forgotten");
    assert!(shared.owner([(100, 101)]).is_some());
}

#[test]
fn an_event_is_read_as_it_is_documented_or_said_to_be_wrong() {
    let sent = json!({"type": "started_speaking", "user": {"id": "7", "name": "Derek",
        "email": "d@example.com"}, "offset": {"seconds": 1, "nanos": 5_000_000_000_u64}});
    let event = SpeakerEvent::read(&sent, 99).unwrap();
    assert_eq!((event.starts, event.at), (true, At::Offset(6 * SECOND)));
    assert_eq!(event.user.email.as_deref(), Some("d@example.com"));
    let sent = json!({"type": "stopped_speaking", "user": {"userId": "a"},
        "timestamp": "1970-01-01T00:00:01Z"});
    let event = SpeakerEvent::read(&sent, 99).unwrap();
    assert_eq!((event.starts, event.at), (false, At::Wall(1_000_000_000)));
    let user = json!({"name": "a"});
    for (sent, says) in [
        (json!(1), "`type` must be"),
        (json!({"type": "started", "user": user}), "`type` must be"),
        (json!({"type": "started_speaking"}), "`user` must have"),
        (
            json!({"type": "started_speaking", "user": {"name": ""}}),
            "`user` must have",
        ),
        (
            json!({"type": "started_speaking", "user": {"name": 1}}),
            "`user.name` must be",
        ),
        (
            json!({"type": "started_speaking", "user": {"email": "x".repeat(100)}}),
            "`user.email` must be a text of at most 99 bytes",
        ),
        (
            json!({"type": "started_speaking", "user": user, "offset": 1}),
            "`offset` must",
        ),
        (
            json!({"type": "started_speaking", "user": user, "offset": {"seconds": -1}}),
            "`offset` must",
        ),
        (
            json!({"type": "started_speaking", "user": user, "timestamp": "now"}),
            "`timestamp` must",
        ),
    ] {
        let refused = SpeakerEvent::read(&sent, 99).unwrap_err();
        assert!(refused.contains(says), "{sent}: {refused}");
    }
}

#[test]
fn a_user_is_the_speaker_with_its_id_or_address_or_name_or_a_new_one() {
    let mut speakers = vec![Speaker {
        id: "m1".to_owned(),
        user_id: Some("ada@example.org".to_owned()),
        name: None,
    }];
    let all = |id: Option<&str>, name: Option<&str>, email: Option<&str>| User {
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        email: email.map(str::to_owned),
    };
    let mut resolve = |user: User| resolve(&mut speakers, &user, 3).map(|one| one.id);
    let m1 = Some("m1".to_owned());
    assert_eq!(resolve(all(Some("m1"), Some("Ada"), None)), m1);
    assert_eq!(resolve(all(Some("9"), None, Some("ada@example.org"))), m1);
    assert_eq!(
        resolve(all(None, Some("Ada"), None)),
        m1,
        "it has the name now"
    );
    assert_eq!(
        resolve(all(Some("7"), Some("Ada"), None)),
        Some("7".to_owned())
    );
    let bob = resolve(all(None, Some("Bob"), None));
    assert_eq!(resolve(all(None, Some("Bob"), None)), bob);
    assert_eq!(
        resolve(all(Some("8"), None, None)),
        None,
        "three are enough"
    );
}

#[tokio::test]
async fn events_wait_for_the_final_that_is_given_to_its_speakers_and_for_no_later_one() {
    let turns = SharedTurns::default();
    turns.given().await;
    let giving = turns.give();
    let mut given = std::pin::pin!(turns.given());
    let mut context = Context::from_waker(Waker::noop());
    assert!(given.as_mut().poll(&mut context).is_pending());
    drop(giving);
    let _later = turns.give();
    let done = given.as_mut().poll(&mut context);
    assert!(done.is_ready(), "the later one knows the events");
}
