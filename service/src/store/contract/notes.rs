// SPDX-License-Identifier: MPL-2.0

//! The part of the suite about what clients add to conversations.

use super::records::{HOUR, Kept, all, each, ours, whole, whose, with_each};
use super::{append, begin, finish, said};
use crate::store::bookmarks::{Extent, MOST_BOOKMARKS, Mark, Marked};
use crate::store::groups::{Group, GroupTerms, MOST_GROUPS};
use crate::store::notes::{Labelled, Labelling, Metadata};
use crate::store::{List, Sort, Whose};
use serde_json::{Map, Value, json};

const SECOND: i64 = 1_000_000_000;

fn mark(label: &str, begin: i64, duration: i64) -> Mark {
    Mark {
        label: label.to_owned(),
        description: String::new(),
        user: Map::new(),
        extent: Extent::Time {
            begin: begin * SECOND,
            duration: duration * SECOND,
        },
    }
}

/// Appends messages of a second each that begin at these seconds. Returns their ids.
fn speak(store: &dyn Kept, starts: &[i64]) -> Vec<i64> {
    let messages = starts.iter().map(|start| {
        let mut said = said(&format!("at {start}"), None);
        said.start = 5 + start * SECOND;
        said.words[0].end = 1_000_000_000;
        let id = said.messages[0].id;
        append(store, 1, said);
        id
    });
    messages.collect()
}

fn done<T: std::fmt::Debug>(marked: Marked<T>) -> T {
    match marked {
        Marked::Done(value) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bookmark_has_what_is_said_in_its_time_also_later() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        speak(store, &[0, 10, 20, 30]);
        let marks = vec![mark("a", 10, 20), mark("b", 11, 9), mark("c", 5, 3)];
        let made = store.create_bookmarks(ours(1), marks).await;
        let made = Value::from(done(made.expect("written")));
        let texts = |made: &Value, n: usize| each(&made[n], "messageRefs", "text");
        assert_eq!(texts(&made, 0), ["at 10", "at 20"]);
        assert_eq!(texts(&made, 1), Vec::<Value>::new(), "one ends, one begins");
        assert_eq!(texts(&made, 2), Vec::<Value>::new());
        speak(store, &[6]);
        let list = store
            .bookmarks(ours(1))
            .await
            .expect("read")
            .expect("known");
        let (list, _) = whole(list).await;
        assert_eq!(each(&list, "bookmarks", "label"), ["c", "a", "b"]);
        assert_eq!(texts(&list["bookmarks"], 0), ["at 6"]);
        let late = Whose {
            delay: HOUR,
            ..ours(1)
        };
        let list = store.bookmarks(late).await.expect("read").expect("known");
        let (list, _) = whole(list).await;
        assert_eq!(texts(&list["bookmarks"], 0), Vec::<Value>::new());
    });
}

#[test]
fn bookmarks_belong_to_one_conversation_of_one_account_and_go_with_it() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        begin(store, 2, None);
        let messages = speak(store, &[0]);
        let mut named = mark("named", 0, 1);
        named.extent = Extent::Messages(messages.clone());
        let made = store.create_bookmarks(ours(1), vec![named.clone()]).await;
        let made = done(made.expect("written"));
        let id: i64 = made[0]["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("a number");
        let foreign = store
            .create_bookmarks(ours(2), vec![mark("a", 0, 1), named])
            .await;
        assert_eq!(foreign.expect("an answer"), Marked::NoMessage(messages[0]));
        assert_eq!(
            store.bookmark_ids(ours(2)).await.expect("read"),
            Some(vec![])
        );
        let other = whose("other", 1);
        for (whose, none) in [
            (other, Marked::NoConversation),
            (ours(2), Marked::NoBookmark),
        ] {
            let found = store.bookmark(whose.clone(), id).await;
            assert_eq!(found.expect("read"), none);
            let replaced = store
                .replace_bookmark(whose.clone(), id, mark("x", 0, 1))
                .await;
            assert_eq!(replaced.expect("an answer"), none);
            let deleted = store.delete_bookmark(whose, id).await;
            assert_eq!(deleted.expect("an answer"), none);
        }
        let full = (0..MOST_BOOKMARKS).map(|n| mark(&n.to_string(), 0, 1));
        let full = store.create_bookmarks(ours(1), full.collect()).await;
        assert_eq!(full.expect("an answer"), Marked::Full);
        let found = store.bookmark(ours(1), id).await.expect("read");
        assert_eq!(done(found), made[0]);
        finish(store, 1, 9);
        store.delete(ours(1)).await.expect("deleted");
        begin(store, 1, None);
        assert_eq!(
            store.bookmark_ids(ours(1)).await.expect("read"),
            Some(vec![])
        );
    });
}

#[test]
fn groups_belong_to_one_account_and_have_a_bound() {
    with_each(async |store| {
        let store = store.as_ref();
        let terms = |name: &str| GroupTerms {
            name: name.to_owned(),
            description: String::new(),
            criteria: "name==a".to_owned(),
        };
        let app = || "app".to_owned();
        let made = store
            .create_groups(app(), vec![terms("a"), terms("b")])
            .await;
        let made = made.expect("written").expect("room");
        assert_eq!(store.groups(app()).await.expect("read"), made);
        let other = || "other".to_owned();
        assert_eq!(store.groups(other()).await.expect("read"), []);
        assert_eq!(store.group(other(), made[0].id).await.expect("read"), None);
        let changed = Group {
            id: made[0].id,
            terms: terms("c"),
        };
        assert!(
            !store
                .replace_group(other(), changed.clone())
                .await
                .expect("written")
        );
        assert!(
            !store
                .delete_group(other(), made[0].id)
                .await
                .expect("written")
        );
        assert_eq!(store.groups(app()).await.expect("read"), made);
        let full = vec![terms("x"); MOST_GROUPS - 1];
        assert_eq!(
            store.create_groups(app(), full).await.expect("an answer"),
            None
        );
        assert!(
            store
                .replace_group(app(), changed.clone())
                .await
                .expect("written")
        );
        assert!(
            store
                .delete_group(app(), made[1].id)
                .await
                .expect("written")
        );
        assert_eq!(store.groups(app()).await.expect("read"), [changed]);
    });
}

#[test]
fn a_list_is_sorted_by_the_next_field_where_the_first_one_is_the_same() {
    with_each(async |store| {
        let store = store.as_ref();
        for (id, title) in [(1, "b"), (2, "a"), (3, "a")] {
            let mut start = super::start(id, None);
            (start.title, start.at) = (Some(title.to_owned()), id);
            store.begin(start, Box::new(|_| {})).expect("begun");
        }
        for (sort, expected) in [
            (vec![Sort::Name], ["1", "2", "3"]),
            (vec![Sort::Name, Sort::Created], ["1", "3", "2"]),
            (vec![Sort::Start, Sort::Name], ["3", "2", "1"]),
        ] {
            let list = List {
                sort,
                descending: true,
                ..all()
            };
            let first = store.list("app".to_owned(), list).await.expect("read");
            let (list, _) = whole(first).await;
            assert_eq!(each(&list, "conversations", "id"), expected);
        }
    });
}

#[test]
fn metadata_is_the_accounts_and_a_change_that_is_refused_changes_nothing() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        let labels = |from: usize, to: usize| {
            let members = (from..to).map(|n| (n.to_string(), json!("x")));
            Labelling {
                name: Some(Some("other".to_owned())),
                metadata: Some(Metadata::Merge(members.collect())),
                retain: Some(Some(60)),
            }
        };
        let unknown = store.label(whose("other", 1), labels(0, 1)).await;
        assert_eq!(unknown.expect("an answer"), Labelled::Unknown);
        let many = store.label(ours(1), labels(0, 65)).await;
        assert_eq!(many.expect("an answer"), Labelled::TooMany);
        let found = store.find(ours(1)).await.expect("read").expect("known");
        assert_eq!(
            (&found["name"], &found["metadata"]),
            (&json!("Talk"), &json!({}))
        );
        let done = store.label(ours(1), labels(0, 64)).await;
        let Labelled::Done(found) = done.expect("written") else {
            panic!("refused")
        };
        assert_eq!(found["metadata"].as_object().map(Map::len), Some(64));
        let minute = 60.0 / 86_400.0;
        assert_eq!(
            (&found["name"], &found["x_retainDays"]),
            (&json!("other"), &json!(minute))
        );
    });
}
