// SPDX-License-Identifier: MPL-2.0

//! Tests of a database of the release before bookmarks and the search.

use super::*;
use crate::conversation::log::Log;
use crate::store::notes::{Labelled, Labelling, Metadata};
use crate::store::search::{Hunt, Query};
use crate::store::{Records, Wanted, Whose};
use serde_json::{Value, json};

/// Returns a store on a copy of a database of version 4, and its directory.
fn taken_over() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let made = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/schema-4.db");
    std::fs::copy(made, directory.path().join(FILE)).unwrap();
    let store = Store::open(Some(directory.path()), &Limits::default()).unwrap();
    (directory, store)
}

fn whose(conversation: i64) -> Whose {
    Whose {
        account: "app".to_owned(),
        conversation,
        delay: Duration::ZERO,
    }
}

async fn texts(first: crate::store::Piece, list: &str) -> Vec<Value> {
    assert!(first.rest.is_none());
    let list: Value = serde_json::from_slice::<Value>(&first.text).unwrap()[list].take();
    let items = list.as_array().unwrap().iter();
    items.map(|item| item["text"].clone()).collect()
}

async fn found(store: &Store, query: &str) -> Vec<Value> {
    use crate::store::search::Search;
    let hunt = Hunt {
        query: Query::parse(query).unwrap(),
        descending: false,
        limit: 100,
        offset: 0,
    };
    texts(store.search_all(whose(0), hunt).await.unwrap(), "results").await
}

async fn messages(store: &Store, conversation: i64) -> Vec<Value> {
    let list = store.messages(whose(conversation), Wanted::default());
    texts(list.await.unwrap().unwrap(), "messages").await
}

#[tokio::test]
async fn what_was_said_before_the_search_is_found_with_its_corrections() {
    let (directory, store) = taken_over();
    drop(store);
    let first = [
        "Pump 0 of the first call.",
        "Pipe 1 of the first call.",
        "Pump 2 of the first call.",
    ];
    // These were stored at the same time, and are still in their order.
    let second = [0, 1, 2].map(|n| format!("Pump {n} of the second call."));
    // The rows are taken over once.
    for _ in 0..2 {
        let store = Store::open(Some(directory.path()), &Limits::default()).unwrap();
        assert_eq!(messages(&store, 1001).await, first);
        assert_eq!(messages(&store, 1002).await, second);
        assert_eq!(found(&store, "first call").await, first);
        assert_eq!(found(&store, "second").await, second);
        assert_eq!(
            found(&store, "pump 1").await,
            ["Pump 1 of the second call."]
        );
        assert_eq!(found(&store, "note").await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_conversation_of_the_release_before_goes_on_and_is_deleted() {
    use crate::store::notes::Labels;
    let (directory, store) = taken_over();
    let labels = Labelling {
        metadata: Some(Metadata::Replace(
            [("a".to_owned(), json!("b"))].into_iter().collect(),
        )),
        ..Labelling::default()
    };
    let labelled = store.label(whose(1001), labels).await.unwrap();
    assert!(matches!(labelled, Labelled::Done(_)), "{labelled:?}");
    let next = super::tests::final_of("Another pump.", 0, 1);
    store.append(1002, next, Box::new(|_| {})).unwrap();
    assert_eq!(found(&store, "pump").await.len(), 6);
    assert_eq!(messages(&store, 1002).await.len(), 4);
    store.delete(whose(1001)).await.unwrap();
    assert!(store.purge().await.unwrap());
    assert_eq!(found(&store, "first").await, Vec::<Value>::new());
    drop(store);
    // The rows are taken over once.
    let store = Store::open(Some(directory.path()), &Limits::default()).unwrap();
    assert_eq!(found(&store, "pump").await.len(), 4);
    drop(store);
    let bytes = std::fs::read(directory.path().join(FILE)).unwrap();
    for word in ["first call", "pipe"] {
        let is_there = |part: &[u8]| part == word.as_bytes();
        assert!(!bytes.windows(word.len()).any(is_there), "{word}");
    }
}
