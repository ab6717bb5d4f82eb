// SPDX-License-Identifier: MPL-2.0

//! The part of the suite about what the Conversation API reads and changes.

use super::{append, begin, finish, kinds, read, said, speaker, start};
use crate::conversation::entry::{
    Body, Entity, Insight, Sent, Speaker, Topic, TrackerMatch, Transcribed,
};
use crate::conversation::log::{Log, Sending};
use crate::ids::new_id;
use crate::limits::Limits;
use crate::store::notes::Notes;
use crate::store::sqlite::Store;
use crate::store::{
    About, Change, Deleted, Filter, Insights, List, Piece, Records, Sentence, Sort, StoreError,
    Transcript, Wanted, Whose,
};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A store: a log, and what the Conversation API reads.
pub(super) trait Kept: Log + Records + Notes {}

impl<T: Log + Records + Notes> Kept for T {}

/// Runs a test with each store.
pub(super) fn with_each(test: impl AsyncFn(Box<dyn Kept>)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let store = Store::open(None, &Limits::default()).expect("memory");
    runtime.block_on(test(Box::new(store)));
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(Some(directory.path()), &Limits::default()).expect("a database");
    runtime.block_on(test(Box::new(store)));
    if let Some(store) = super::cluster() {
        runtime.block_on(test(Box::new(store)));
    }
}

pub(super) fn whose(account: &str, conversation: i64) -> Whose {
    Whose {
        account: account.to_owned(),
        conversation,
        delay: Duration::ZERO,
    }
}

pub(super) fn ours(conversation: i64) -> Whose {
    whose("app", conversation)
}

pub(super) fn all() -> List {
    List {
        limit: 100,
        offset: 0,
        descending: false,
        sort: vec![Sort::Created],
        filter: Filter::default(),
        from: i64::MIN,
        to: i64::MAX,
    }
}

/// Reads a list to its end. Returns it, and how many pieces it had.
pub(super) async fn whole(first: Piece) -> (Value, usize) {
    let (mut text, mut rest, mut pieces) = (first.text, first.rest, 1);
    while let Some(list) = rest {
        let mut piece = list.next().await.expect("a piece");
        text.append(&mut piece.text);
        rest = piece.rest;
        pieces += 1;
    }
    (serde_json::from_slice(&text).expect("JSON"), pieces)
}

/// Returns a member of each item of a list.
pub(super) fn each(list: &Value, name: &str, member: &str) -> Vec<Value> {
    let items = list[name].as_array().expect("a list").iter();
    items.map(|item| item[member].clone()).collect()
}

async fn messages(store: &dyn Kept, conversation: i64, wanted: Wanted) -> Vec<Value> {
    let first = store.messages(ours(conversation), wanted).await;
    let (list, _) = whole(first.expect("read").expect("known")).await;
    each(&list, "messages", "text")
}

async fn listed(store: &dyn Kept, list: List) -> Vec<Value> {
    let first = store.list("app".to_owned(), list).await.expect("read");
    each(&whole(first).await.0, "conversations", "name")
}

/// Reads all lists of a conversation; `None` for those that the account does not find.
async fn lists(store: &dyn Kept, whose: &Whose) -> Vec<Option<Value>> {
    let all = [
        store.messages(whose.clone(), Wanted::default()).await,
        store.insights(whose.clone(), Insights::All).await,
        store.topics(whose.clone(), About::default()).await,
        store.trackers(whose.clone()).await,
        store.entities(whose.clone()).await,
    ];
    let mut read = Vec::new();
    for list in all {
        read.push(match list.expect("read") {
            Some(first) => Some(whole(first).await.0),
            None => None,
        });
    }
    read
}

/// Returns a final with a finding of each kind.
fn rich(text: &str) -> Transcribed {
    let mut said = said(text, None);
    let message = said.messages[0].id;
    said.insights.push(Insight {
        id: new_id(),
        message,
        kind: "question".to_owned(),
        text: text.to_owned(),
        ..Insight::default()
    });
    said.topics.push(Topic {
        id: new_id(),
        text: text.to_owned(),
        messages: vec![message.to_string()],
        ..Topic::default()
    });
    said.trackers.push(TrackerMatch {
        name: "tracker".to_owned(),
        value: text.to_owned(),
        message,
        text: text.to_owned(),
        ..TrackerMatch::default()
    });
    said.entities.push(Entity {
        message,
        kind: "person".to_owned(),
        text: text.to_owned(),
        value: text.to_owned(),
        ..Entity::default()
    });
    said
}

/// Returns how many items each list of a conversation has.
fn lengths(lists: &[Option<Value>]) -> Vec<usize> {
    let names = ["messages", "insights", "topics", "", "entities"];
    let length = |(list, name): (&Option<Value>, &str)| {
        let list = list.as_ref().expect("a list");
        let items = if name.is_empty() { list } else { &list[name] };
        items.as_array().expect("items").len()
    };
    lists.iter().zip(names).map(length).collect()
}

#[test]
fn an_account_finds_changes_and_deletes_its_own_conversations_only() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        append(store, 1, rich("Ada"));
        finish(store, 1, 9);
        for (account, id) in [("other", 1), ("app", 404), ("", 1), ("APP", 1)] {
            let whose = whose(account, id);
            assert_eq!(store.find(whose.clone()).await.expect("read"), None);
            assert_eq!(store.members(whose.clone()).await.expect("read"), None);
            assert_eq!(lists(store, &whose).await, vec![None; 5]);
            let change = Change {
                name: Some("Eve".to_owned()),
                email: None,
            };
            let renamed = store.rename(whose.clone(), "ada".to_owned(), change);
            assert_eq!(renamed.await.expect("written"), None);
            let deleted = store.delete(whose).await.expect("written");
            assert_eq!(deleted, Deleted::Unknown);
        }
        let others = store.list("other".to_owned(), all()).await.expect("read");
        let (others, _) = whole(others).await;
        assert_eq!(others, json!({"conversations": []}));
        let found = store.find(ours(1)).await.expect("read").expect("known");
        let members = json!([{"id": "ada"}]);
        assert_eq!(
            (&found["id"], &found["name"]),
            (&json!("1"), &json!("Talk"))
        );
        assert_eq!(found["members"], members);
        let alone = store.members(ours(1)).await.expect("read");
        assert_eq!(alone, Some(json!({ "members": members })));
        assert_eq!(lengths(&lists(store, &ours(1)).await), [1; 5]);
        assert_eq!(
            kinds(store, 1),
            ["opened", "member", "said", "left", "over"]
        );
    });
}

#[test]
fn messages_have_the_order_of_the_log_whatever_their_times() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        for (text, start) in [("c", 30), ("a", 10), ("b", 20), ("d", 10)] {
            let mut said = said(text, None);
            said.start = start;
            append(store, 1, said);
        }
        let log = read(store, 1);
        let log = log.iter().filter_map(|entry| entry.body.said());
        let log: Vec<&str> = log.map(|said| said.text.as_str()).collect();
        assert_eq!(log, ["c", "a", "b", "d"]);
        assert_eq!(messages(store, 1, Wanted::default()).await, log);
    });
}

#[test]
fn a_new_name_is_an_entry_and_is_told_with_what_was_said_before() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        append(store, 1, rich("Hello"));
        let rename = |member: &str, name: Option<&str>, email: Option<&str>| {
            let change = Change {
                name: name.map(str::to_owned),
                email: email.map(str::to_owned),
            };
            store.rename(ours(1), member.to_owned(), change)
        };
        assert_eq!(
            rename("eve", Some("Eve"), None).await.expect("written"),
            None
        );
        assert_eq!(kinds(store, 1), ["opened", "member", "said"]);
        let first = rename("ada", Some("Ada"), None).await.expect("written");
        assert_eq!(first.map(|entry| entry.seq), Some(4));
        // A member of the body that is left out changes nothing.
        let email = Some("ada@example.org");
        let second = rename("ada", None, email).await.expect("written");
        let expected = ["opened", "member", "said", "renamed", "renamed"];
        assert_eq!(kinds(store, 1), expected);
        let last = read(store, 1).pop();
        assert_eq!(last, second, "the entry is returned");
        let last = last.map(|entry| entry.body.clone());
        let renamed = Speaker {
            name: Some("Ada".to_owned()),
            user_id: email.map(str::to_owned),
            ..speaker("ada")
        };
        assert_eq!(last, Some(Body::Renamed(renamed)));
        let person = json!({"id": "ada", "name": "Ada", "email": "ada@example.org"});
        let members = store.members(ours(1)).await.expect("read");
        assert_eq!(members, Some(json!({"members": [person]})));
        let lists = lists(store, &ours(1)).await;
        let list = lists[0].as_ref().expect("messages");
        assert_eq!(list["messages"][0]["from"], person);
    });
}

#[test]
fn nothing_is_left_of_a_conversation_that_was_deleted_and_others_stay() {
    // More messages than one step of a deletion deletes.
    const MANY: usize = 450;
    with_each(async |store| {
        let store = store.as_ref();
        for conversation in [1, 2] {
            begin(store, conversation, None);
            append(store, conversation, rich("Ada"));
        }
        for n in 0..MANY {
            append(store, 1, said(&n.to_string(), None));
        }
        let runs = store.delete(ours(1)).await.expect("an answer");
        assert_eq!(runs, Deleted::Runs);
        assert_eq!(messages(store, 1, Wanted::default()).await.len(), MANY + 1);
        finish(store, 1, 9);
        let whole = store.delete(ours(1)).await.expect("written");
        assert_eq!(whole, Deleted::Whole);
        assert!(store.purge().await.expect("purged"));
        assert_eq!(store.find(ours(1)).await.expect("read"), None);
        assert_eq!(store.members(ours(1)).await.expect("read"), None);
        assert_eq!(lists(store, &ours(1)).await, vec![None; 5]);
        assert!(read(store, 1).is_empty());
        let again = store.delete(ours(1)).await.expect("an answer");
        assert_eq!(again, Deleted::Unknown);
        assert_eq!(lengths(&lists(store, &ours(2)).await), [1; 5]);
        assert_eq!(listed(store, all()).await.len(), 1);
        // Another conversation with the same number has no entries of the first one.
        begin(store, 1, None);
        assert_eq!(lengths(&lists(store, &ours(1)).await), [0; 5]);
        assert_eq!(kinds(store, 1), ["opened", "member"]);
    });
}

#[test]
fn a_long_list_comes_in_pieces_without_what_is_deleted_meanwhile() {
    const MANY: usize = 40;
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        let texts: Vec<String> = (0..MANY).map(|n| format!("{n} ").repeat(4000)).collect();
        for text in &texts {
            append(store, 1, said(text, None));
        }
        finish(store, 1, 9);
        let first = || async {
            let first = store.messages(ours(1), Wanted::default()).await;
            first.expect("read").expect("known")
        };
        let (list, pieces) = whole(first().await).await;
        assert!(pieces > 2, "{pieces}");
        assert_eq!(each(&list, "messages", "text"), texts);
        let begun = first().await;
        let deleted = store.delete(ours(1)).await.expect("written");
        assert_eq!(deleted, Deleted::Whole);
        let (list, pieces) = whole(begun).await;
        assert_eq!(pieces, 2);
        let told = each(&list, "messages", "text");
        assert!(!told.is_empty() && told.len() < MANY, "{}", told.len());
        assert_eq!(told, texts[..told.len()]);
    });
}

#[test]
fn a_list_does_not_keep_its_store_open() {
    with_each(async |store| {
        begin(store.as_ref(), 1, None);
        for _ in 0..2 {
            append(store.as_ref(), 1, said(&"a ".repeat(50_000), None));
        }
        let first = store.messages(ours(1), Wanted::default()).await;
        let rest = first.expect("read").expect("known").rest;
        drop(store);
        let refused = rest.expect("more follows").next().await.map(|_| ());
        assert!(matches!(refused, Err(StoreError::Commit(_))), "{refused:?}");
    });
}

/// Reads a transcript to its end. Returns its sentences, and how many parts it had.
async fn sentences(store: &dyn Kept, whose: Whose) -> Option<(Vec<Sentence>, usize)> {
    let Transcript { first, .. } = store.transcript(whose).await.expect("read")?;
    let (mut all, mut rest, mut parts) = (first.sentences, first.rest, 1);
    while let Some(speaking) = rest {
        let mut part = speaking.next().await.expect("a part");
        all.append(&mut part.sentences);
        rest = part.rest;
        parts += 1;
    }
    Some((all, parts))
}

#[test]
fn a_transcript_has_what_was_said_with_names_and_times_of_words() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        for (text, at) in [("second", 20), ("first", 10)] {
            let mut said = said(text, None);
            said.start = at;
            append(store, 1, said);
        }
        let change = Change {
            name: Some("Ada".to_owned()),
            email: None,
        };
        let renamed = store.rename(ours(1), "ada".to_owned(), change).await;
        assert!(renamed.expect("written").is_some());
        let transcript = store.transcript(ours(1)).await.expect("read");
        let transcript = transcript.expect("known");
        assert_eq!(transcript.title.as_deref(), Some("Talk"));
        let (told, parts) = sentences(store, ours(1)).await.expect("known");
        assert_eq!(parts, 1);
        let texts: Vec<&str> = told.iter().map(|said| said.text.as_str()).collect();
        assert_eq!(texts, ["second", "first"]);
        assert_eq!(told[0].speaker.as_deref(), Some("Ada"));
        assert_eq!(told[0].member, "ada");
        assert_eq!((told[0].start, told[0].stop), (20, 21));
        assert_eq!(told[0].words, [("second".to_owned(), 20, 21)]);
        let listed = store.messages(ours(1), Wanted::default()).await;
        let (listed, _) = whole(listed.expect("read").expect("known")).await;
        let ids: Vec<Value> = told.iter().map(|said| said.id.to_string().into()).collect();
        assert_eq!(each(&listed, "messages", "id"), ids);
        assert!(sentences(store, whose("other", 1)).await.is_none());
        assert!(sentences(store, ours(2)).await.is_none());
        let late = Whose {
            delay: HOUR,
            ..ours(1)
        };
        assert_eq!(sentences(store, late).await.expect("known").0, []);
    });
}

#[test]
fn a_corrected_message_has_its_last_correction_and_what_was_said() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        begin(store, 2, None);
        let said = rich("wrong");
        let message = said.messages[0].id;
        append(store, 1, said);
        append(store, 1, super::said("right", None));
        let insights = store.insights(ours(1), Insights::All).await;
        let (insights, _) = whole(insights.expect("read").expect("known")).await;
        let listed = async |whose: Whose| {
            let first = store.messages(whose, Wanted::default()).await;
            let (list, _) = whole(first.expect("read").expect("known")).await;
            list["messages"].as_array().expect("a list").clone()
        };
        let plain = listed(ours(1)).await;
        assert!(plain[0].get("x_corrected").is_none(), "{plain:?}");
        let text = "better \u{0} \"than\" 'that' %";
        for (client, text, corrects) in [
            ("a", "first try", Some(message)),
            ("b", "a note", None),
            ("c", text, Some(message)),
        ] {
            let sent = Sent {
                text: text.to_owned(),
                ..super::sent(client, corrects)
            };
            let sending = super::send(store, 1, sent);
            assert!(matches!(sending, Sending::Stored(_)), "{sending:?}");
        }
        // A message of another conversation is not to be reached from there.
        let foreign = super::send(store, 2, super::sent("d", Some(message)));
        assert_eq!(foreign, Sending::NoSuchMessage);
        let told = listed(ours(1)).await;
        assert_eq!(told[0]["text"], text);
        assert_eq!(told[0]["x_originalText"], "wrong");
        assert_eq!(told[0]["x_corrected"], true);
        assert_eq!(told[0]["id"], message.to_string());
        assert_eq!(told[1], plain[1]);
        let (sentences, _) = sentences(store, ours(1)).await.expect("known");
        assert_eq!(sentences[0].text, text);
        assert_eq!(sentences[0].original.as_deref(), Some("wrong"));
        assert_eq!(sentences[1].original, None);
        // What was found in it is still its own.
        let still = store.insights(ours(1), Insights::All).await;
        let (still, _) = whole(still.expect("read").expect("known")).await;
        assert_eq!(still, insights);
        assert_eq!(
            still["insights"][0]["messageIds"],
            json!([message.to_string()])
        );
    });
}

#[test]
fn the_corrections_of_a_conversation_go_with_it() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        let said = said("wrong", None);
        let message = said.messages[0].id;
        append(store, 1, said);
        super::send(store, 1, super::sent("a", Some(message)));
        finish(store, 1, 9);
        let deleted = store.delete(ours(1)).await.expect("written");
        assert_eq!(deleted, Deleted::Whole);
        assert!(read(store, 1).is_empty());
        // The same ids may not bring the text back.
        begin(store, 1, None);
        let mut said = super::said("again", None);
        said.messages[0].id = message;
        append(store, 1, said);
        assert_eq!(messages(store, 1, Wanted::default()).await, ["again"]);
    });
}

#[test]
fn in_memory_a_correction_stays_as_long_as_its_message() {
    let limits = Limits {
        kept_messages: 3,
        ..Limits::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let store = Store::open(None, &limits).expect("memory");
    begin(&store, 1, None);
    let first = said("wrong", None);
    let message = first.messages[0].id;
    append(&store, 1, first);
    for (client, corrects) in [("a", Some(message)), ("b", Some(message))] {
        super::send(&store, 1, super::sent(client, corrects));
    }
    for n in 0..9 {
        super::send(&store, 1, super::sent(&format!("note {n}"), None));
    }
    append(&store, 1, said("second", None));
    append(&store, 1, said("third", None));
    runtime.block_on(async {
        let told = messages(&store, 1, Wanted::default()).await;
        assert_eq!(told, ["text of b", "second", "third"]);
        let of_clients = |store: &Store| {
            let sent = read(store, 1);
            let sent = sent.iter().filter_map(|entry| match &entry.body {
                Body::Sent(sent) => Some(sent.client_id.clone()),
                _ => None,
            });
            sent.collect::<Vec<String>>()
        };
        assert_eq!(of_clients(&store)[0], "b");
        for text in ["fourth", "fifth", "sixth", "seventh"] {
            append(&store, 1, said(text, None));
        }
        assert!(of_clients(&store).is_empty());
        let told = messages(&store, 1, Wanted::default()).await;
        assert_eq!(told, ["fifth", "sixth", "seventh"]);
    });
}

#[test]
fn a_long_transcript_comes_in_parts_without_what_is_deleted_meanwhile() {
    const MANY: usize = 40;
    with_each(async |store| {
        begin(store.as_ref(), 1, None);
        for n in 0..MANY {
            append(store.as_ref(), 1, said(&format!("{n} ").repeat(4000), None));
        }
        finish(store.as_ref(), 1, 9);
        let (all, parts) = sentences(store.as_ref(), ours(1)).await.expect("known");
        assert!(parts > 2 && all.len() == MANY, "{parts} {}", all.len());
        let begun = store.transcript(ours(1)).await.expect("read");
        let first = begun.expect("known").first;
        assert!(first.sentences.len() < MANY);
        let deleted = store.delete(ours(1)).await.expect("written");
        assert_eq!(deleted, Deleted::Whole);
        let rest = first.rest.expect("more follows").next().await;
        let rest = rest.expect("a part");
        assert!(rest.sentences.is_empty() && rest.rest.is_none());
        // It does not keep its store open.
        begin(store.as_ref(), 2, None);
        for _ in 0..2 {
            append(store.as_ref(), 2, said(&"a ".repeat(50_000), None));
        }
        let begun = store.transcript(ours(2)).await.expect("read");
        let rest = begun.expect("known").first.rest.expect("more follows");
        drop(store);
        let refused = rest.next().await.map(|_| ());
        assert!(matches!(refused, Err(StoreError::Commit(_))), "{refused:?}");
    });
}

#[test]
fn a_part_of_the_messages_may_be_asked_for() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        for (text, start) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
            let mut said = said(text, None);
            said.start = start;
            append(store, 1, said);
        }
        let wanted = |from: i64, to: i64, limit: i64, offset: i64| Wanted {
            sentiment: false,
            verbose: false,
            from,
            to,
            limit,
            offset,
        };
        for (wanted, expected) in [
            (wanted(20, 40, 10, 0), &["b", "c"][..]),
            (wanted(0, i64::MAX, 2, 0), &["a", "b"]),
            (wanted(0, i64::MAX, 2, 1), &["b", "c"]),
            (wanted(20, i64::MAX, 1, 1), &["c"]),
            (wanted(0, i64::MAX, 0, 0), &[]),
            (wanted(0, i64::MAX, 9, 4), &[]),
        ] {
            assert_eq!(messages(store, 1, wanted).await, expected, "{wanted:?}");
        }
    });
}

#[test]
fn conversations_are_listed_by_page_order_time_and_filter() {
    with_each(async |store| {
        let store = store.as_ref();
        for (id, title) in [(1, "Standup b"), (2, "Standup a"), (3, "a*b?[c]")] {
            let mut start = start(id, None);
            start.title = Some(title.to_owned());
            start.at = id * 1_000_000_000;
            store.begin(start, Box::new(|_| {})).expect("begun");
        }
        let [first, second, third] = ["Standup b", "Standup a", "a*b?[c]"];
        let filter = |text: &str| List {
            filter: Filter::parse(text).expect("a filter"),
            ..all()
        };
        let (descending, sort) = (true, vec![Sort::Name]);
        for (list, expected) in [
            (all(), &[first, second, third][..]),
            (
                List {
                    descending,
                    ..all()
                },
                &[third, second, first],
            ),
            (List { sort, ..all() }, &[second, first, third]),
            (
                List {
                    limit: 1,
                    offset: 1,
                    ..all()
                },
                &[second],
            ),
            (
                List {
                    from: 2_000_000_000,
                    ..all()
                },
                &[second, third],
            ),
            (
                List {
                    to: 2_000_000_000,
                    ..all()
                },
                &[first],
            ),
            (filter("name==Standup*"), &[first, second]),
            (filter("name!=Standup*"), &[third]),
            (filter("name=='*b?[[c]*'"), &[]),
            (filter("name=='a*b?[c]'"), &[third]),
            (filter("name=='Standup a',id==1"), &[first, second]),
            (filter("id==1,id==2;name!='Standup a'"), &[first]),
            (filter("(id==1,id==2);name!='Standup b'"), &[second]),
            (filter("id=gt=1;id<=2"), &[second]),
            (filter("startTime>=1970-01-01T00:00:02Z"), &[second, third]),
            (filter("endTime<1970-01-01T00:00:02Z"), &[first]),
            (filter("name==\"x' OR 1=1; --\""), &[]),
        ] {
            let told = listed(store, list.clone()).await;
            assert_eq!(told, expected, "{list:?}");
        }
    });
}

#[test]
fn what_was_said_just_now_is_not_told_where_the_history_is_delayed() {
    with_each(async |store| {
        let store = store.as_ref();
        begin(store, 1, None);
        append(store, 1, rich("Ada"));
        let now = ours(1);
        let later = Whose {
            delay: HOUR,
            ..now.clone()
        };
        assert_eq!(lengths(&lists(store, &now).await), [1; 5]);
        assert_eq!(lengths(&lists(store, &later).await), [0; 5]);
        // The conversation itself is found at once.
        let found = store.find(later).await.expect("read");
        assert!(found.is_some());
    });
}

#[test]
fn a_healthy_store_says_so() {
    with_each(async |store| store.probe().await.expect("what is said is stored"));
}
