// SPDX-License-Identifier: MPL-2.0

//! The part of the suite about who said what.

use super::records::{Kept, ours, whole, whose, with_each};
use super::{append, begin, finish, kinds, read, said, speaker, start};
use crate::conversation::attribution::{At, Attribution, SpeakerEvent, Turns, User};
use crate::conversation::entry::{Body, Speaker};
use crate::conversation::log::Log;
use crate::store::Wanted;
use crate::store::speakers::{Attribute, Attributed};
use serde_json::{Value, json};

/// Appends messages of one word each that begin at these times, of conversation 1, whose audio
/// began at 5. Returns their ids.
fn speak(store: &dyn Kept, speaker: &Speaker, starts: &[i64]) -> Vec<i64> {
    let messages = starts.iter().map(|start| {
        let mut said = said(&format!("at {start}"), None);
        said.start = 5 + start;
        said.speaker = speaker.clone();
        said.words[0].end = 10;
        let id = said.messages[0].id;
        append(store, 1, said);
        id
    });
    messages.collect()
}

/// Returns turns: name, begin and end.
fn turns(turns: &[(&str, u64, u64)]) -> Turns {
    let events = turns.iter().flat_map(|(name, from, until)| {
        [(true, *from), (false, *until)].map(|(starts, at)| {
            let user = User {
                id: Some(format!("id of {name}")),
                name: Some((*name).to_owned()),
                email: None,
            };
            let event = SpeakerEvent {
                starts,
                user,
                at: At::Offset(at),
            };
            (at, event)
        })
    });
    Turns::of(events.collect())
}

fn all(turns: Turns) -> Attribute {
    Attribute {
        turns,
        zero: None,
        since: i64::MIN,
        instead_of: None,
        most: 9,
    }
}

fn named(name: &str) -> Speaker {
    Speaker {
        id: format!("id of {name}"),
        user_id: None,
        name: Some(name.to_owned()),
    }
}

async fn names(store: &dyn Kept) -> Vec<Value> {
    let list = store.messages(ours(1), Wanted::default()).await;
    let (list, _) = whole(list.expect("read").expect("known")).await;
    let items = list["messages"].as_array().expect("messages").iter();
    items.map(|item| item["from"]["id"].clone()).collect()
}

/// Returns the new entries of an attribution.
async fn attribute(store: &dyn Kept, attribution: Attribute) -> Vec<Body> {
    let done = store.attribute(ours(1), attribution).await;
    let Attributed::Done { entries, .. } = done.expect("written") else {
        panic!("refused")
    };
    entries.iter().map(|entry| entry.body.clone()).collect()
}

#[test]
fn messages_get_the_speakers_of_their_words_and_the_log_says_so() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        let ids = speak(store, &speaker("ada"), &[0, 10, 20, 30]);
        finish(store, 1, 9);
        let both = turns(&[("bob", 0, 14), ("eve", 14, 30)]);
        let entries = attribute(store, all(both.clone())).await;
        let expected = Body::Attributed(vec![
            Attribution {
                speaker: named("bob"),
                messages: vec![ids[0]],
            },
            Attribution {
                speaker: named("eve"),
                messages: vec![ids[1], ids[2]],
            },
        ]);
        assert_eq!(entries, std::slice::from_ref(&expected));
        assert_eq!(
            names(store).await,
            ["id of bob", "id of eve", "id of eve", "ada"]
        );
        let last = read(store, 1).pop().map(|entry| entry.body.clone());
        assert_eq!(last, Some(expected), "behind the end, too");
        let members = store.members(ours(1)).await.expect("read").expect("known");
        let expected = json!({"members": [{"id": "ada"}, {"id": "id of bob", "name": "bob"},
                              {"id": "id of eve", "name": "eve"}]});
        assert_eq!(members, expected);
        assert_eq!(
            attribute(store, all(both)).await,
            [],
            "nothing changes again"
        );
    });
}

#[test]
fn users_with_new_names_and_users_who_said_nothing_are_entries_too() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        speak(store, &speaker("ada"), &[0, 10]);
        let first = turns(&[("bob", 0, 10), ("eve", 500, 501)]);
        let told = attribute(store, all(first.clone())).await;
        let silent = |name: &str| Attribution {
            speaker: named(name),
            messages: Vec::new(),
        };
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[1], Body::Attributed(vec![silent("eve")]));
        assert_eq!(attribute(store, all(first)).await, []);
        finish(store, 1, 9);
        let user = User {
            id: Some("id of eve".to_owned()),
            name: Some("Eve Brown".to_owned()),
            email: None,
        };
        let event = SpeakerEvent {
            starts: true,
            user,
            at: At::Offset(900),
        };
        let again = || all(Turns::of(vec![(900, event.clone())]));
        let renamed = Speaker {
            name: Some("Eve Brown".to_owned()),
            ..named("eve")
        };
        let told = attribute(store, again()).await;
        assert_eq!(told, [Body::Renamed(renamed)], "behind the end, too");
        let last = read(store, 1).pop().map(|entry| entry.body.clone());
        assert_eq!(last, told.into_iter().next());
        assert_eq!(attribute(store, again()).await, []);
    });
}

#[test]
fn a_stream_changes_its_own_messages_only_and_takes_them_back() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        speak(store, &speaker("ada"), &[0, 10, 20]);
        let mut max = start(1, None);
        max.speaker = Some(speaker("max"));
        Log::begin(store, max, Box::new(|_| {})).expect("begun");
        speak(store, &speaker("max"), &[0, 10]);
        let mut own = all(turns(&[("bob", 0, 30)]));
        own.instead_of = Some(speaker("ada"));
        own.zero = Some(5);
        attribute(store, own.clone()).await;
        let bob = "id of bob";
        assert_eq!(names(store).await, [bob, bob, bob, "max", "max"]);
        // The turn was shorter, but the first message is not looked at.
        own.turns = turns(&[("bob", 0, 12), ("bob", 40, 41)]);
        own.since = 5 + 10;
        attribute(store, own.clone()).await;
        assert_eq!(names(store).await, [bob, bob, "ada", "max", "max"]);
        own.turns = turns(&[("bob", 40, 41)]);
        attribute(store, own).await;
        assert_eq!(names(store).await, [bob, "ada", "ada", "max", "max"]);
    });
}

#[test]
fn long_conversations_are_changed_in_parts_and_bounds_hold() {
    const MANY: i64 = 1200;
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        let starts: Vec<i64> = (0..MANY).map(|n| 10 * n).collect();
        speak(store, &speaker("ada"), &starts);
        let foreign = store
            .attribute(whose("other", 1), all(turns(&[("bob", 0, 10)])))
            .await;
        assert!(matches!(foreign.expect("an answer"), Attributed::Unknown));
        let mut few = all(turns(&[("bob", 0, 10), ("eve", 10, 20)]));
        few.most = 2;
        let refused = store.attribute(ours(1), few).await;
        assert!(matches!(refused.expect("an answer"), Attributed::TooMany));
        let members = store.members(ours(1)).await.expect("read").expect("known");
        assert_eq!(
            members,
            json!({"members": [{"id": "ada"}]}),
            "nothing has changed"
        );
        let entries = attribute(store, all(turns(&[("bob", 0, 1 << 40)]))).await;
        assert_eq!(entries.len(), 3);
        assert!(names(store).await.iter().all(|name| name == "id of bob"));
        let kinds = kinds(store, 1);
        assert_eq!(kinds[kinds.len() - 3..], ["attributed"; 3]);
    });
}
