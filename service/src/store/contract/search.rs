// SPDX-License-Identifier: MPL-2.0

//! The part of the suite about the search for words.

use super::records::{HOUR, Kept, each, ours, whole, whose, with_each};
use super::{append, begin, finish, said, send, sent, start};
use crate::conversation::entry::Sent;
use crate::store::Whose;
use crate::store::search::{Hunt, Query};
use serde_json::{Value, json};

fn hunt(query: &str) -> Hunt {
    Hunt {
        query: Query::parse(query).expect("a query"),
        descending: false,
        limit: 1000,
        offset: 0,
    }
}

async fn found(store: &dyn Kept, whose: Whose, hunt: Hunt) -> Value {
    let first = store.search(whose, hunt).await.expect("read");
    whole(first.expect("known")).await.0
}

/// Returns the texts that a query finds in conversation 1.
async fn texts(store: &dyn Kept, query: &str) -> Vec<Value> {
    each(&found(store, ours(1), hunt(query)).await, "results", "text")
}

async fn everywhere(store: &dyn Kept, account: &str, query: &str) -> Vec<Value> {
    let all = store.search_all(whose(account, 0), hunt(query)).await;
    each(&whole(all.expect("read")).await.0, "results", "text")
}

#[test]
fn words_are_found_in_any_case_and_order_phrases_in_theirs_and_prefixes() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        for text in [
            "The new pump leaks.",
            "Pump, new? Größe 3.5!",
            "Don't pumpkin",
        ] {
            append(store, 1, said(text, None));
        }
        for (query, expected) in [
            (
                "pump NEW",
                &["The new pump leaks.", "Pump, new? Größe 3.5!"][..],
            ),
            ("\"new pump\"", &["The new pump leaks."]),
            ("pump* don't", &["Don't pumpkin"]),
            ("grosse", &[]),
            ("GROẞE", &["Pump, new? Größe 3.5!"]),
            ("größe 3.5", &["Pump, new? Größe 3.5!"]),
            ("leak", &[]),
            ("leak*", &["The new pump leaks."]),
            ("pump OR leaks", &[]),
            ("c1", &[]),
            ("scope:app", &[]),
        ] {
            assert_eq!(texts(store, query).await, expected, "{query}");
        }
        let found = found(store, ours(1), hunt("new leaks")).await;
        assert_eq!(found["more"], false);
        let one = &found["results"][0];
        assert_eq!(one["snippet"], "The new pump leaks.");
        let expected = json!([{"offset": 4, "length": 3}, {"offset": 13, "length": 5}]);
        assert_eq!(one["highlights"], expected);
        assert_eq!(
            (&one["conversationId"], &one["timeOffset"]),
            (&json!("1"), &json!(0))
        );
        assert_eq!(one["from"], json!({"id": "ada"}));
    });
}

#[test]
fn a_search_finds_the_last_correction_and_nothing_that_is_deleted() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        let first = said("wrong word", None);
        let message = first.messages[0].id;
        append(store, 1, first);
        append(store, 1, said("another word", None));
        for (client, text) in [("a", "better word"), ("b", "best word")] {
            let text = text.to_owned();
            let corrects = Some(message);
            send(
                store,
                1,
                Sent {
                    text,
                    ..sent(client, corrects)
                },
            );
        }
        for (query, number) in [("wrong", 0), ("better", 0), ("best", 1), ("word", 2)] {
            assert_eq!(texts(store, query).await.len(), number, "{query}");
        }
        let one = found(store, ours(1), hunt("best")).await;
        let one = &one["results"][0];
        assert_eq!(
            (&one["text"], &one["x_corrected"]),
            (&json!("best word"), &json!(true))
        );
        finish(store, 1, 9);
        store.delete(ours(1)).await.expect("deleted");
        assert!(
            store
                .search(ours(1), hunt("word"))
                .await
                .expect("read")
                .is_none()
        );
        assert_eq!(everywhere(store, "app", "word").await, Vec::<Value>::new());
        begin(store, 1, None);
        assert_eq!(texts(store, "word").await, Vec::<Value>::new());
    });
}

#[test]
fn an_account_finds_its_own_words_in_all_of_its_conversations() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        begin(store, 2, None);
        let mut other = start(3, None);
        other.account = "other".to_owned();
        crate::conversation::log::Log::begin(store, other, Box::new(|_| {})).expect("begun");
        for conversation in [1, 2, 3] {
            append(
                store,
                conversation,
                said(&format!("word {conversation}"), None),
            );
        }
        assert_eq!(everywhere(store, "app", "word").await, ["word 1", "word 2"]);
        assert_eq!(everywhere(store, "other", "word").await, ["word 3"]);
        assert_eq!(everywhere(store, "", "word").await, Vec::<Value>::new());
        assert_eq!(texts(store, "word").await, ["word 1"]);
        for unknown in [whose("other", 1), ours(3), ours(404)] {
            assert!(
                store
                    .search(unknown, hunt("word"))
                    .await
                    .expect("read")
                    .is_none()
            );
        }
        let late = Whose {
            delay: HOUR,
            ..ours(1)
        };
        let nothing = json!({"results": [], "more": false});
        assert_eq!(found(store, late, hunt("word")).await, nothing);
    });
}

#[test]
fn pages_of_a_search_are_the_whole_list_in_either_order() {
    const MANY: usize = 300;
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        // Long enough for several pieces.
        let long = "so long ".repeat(100);
        for n in 0..MANY {
            let mut said = said(&format!("word {n} {long}"), None);
            // The times go back, the order of the log does not.
            said.start = 1_000_000 - n as i64;
            append(store, 1, said);
        }
        let numbers = |found: &Value| -> Vec<String> {
            let texts = each(found, "results", "text");
            let number = |text: &Value| text.as_str()?.split(' ').nth(1).map(str::to_owned);
            texts.iter().filter_map(number).collect()
        };
        let expected: Vec<String> = (0..MANY).map(|n| n.to_string()).collect();
        let first = store.search(ours(1), hunt("word")).await.expect("read");
        let (all, pieces) = whole(first.expect("known")).await;
        assert!(pieces > 2, "{pieces}");
        assert_eq!(numbers(&all), expected);
        let mut newest = hunt("word");
        newest.descending = true;
        let mut backwards = numbers(&found(store, ours(1), newest.clone()).await);
        backwards.reverse();
        assert_eq!(backwards, expected);
        let mut page = Hunt {
            limit: 7,
            ..hunt("word")
        };
        let mut paged = Vec::new();
        loop {
            let part = found(store, ours(1), page.clone()).await;
            paged.extend(numbers(&part));
            page.offset += 7;
            if part["more"] == false {
                break;
            }
        }
        assert_eq!(paged, expected);
        for (limit, offset, more) in [
            (0, 0, true),
            (0, 300, false),
            (300, 0, false),
            (299, 0, true),
        ] {
            let page = Hunt {
                limit,
                offset,
                ..hunt("word")
            };
            let part = found(store, ours(1), page).await;
            assert_eq!(part["more"], more, "{limit} {offset}");
            assert_eq!(numbers(&part).len(), limit as usize);
        }
    });
}
