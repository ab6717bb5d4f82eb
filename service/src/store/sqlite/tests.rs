// SPDX-License-Identifier: MPL-2.0

use super::query::find;
use super::*;
use crate::conversation::entry::{Message as EntryMessage, Speaker, Topic, Transcribed, Word};
use crate::conversation::log::{Log, StartRecord};
use crate::ids::new_id;
use crate::store::{LONGEST_WAIT, Records, Wanted, Whose};

pub(super) fn started(conversation: i64, keep: i64) -> Record {
    Record::Start(start(conversation, keep))
}

fn start(conversation: i64, keep: i64) -> StartRecord {
    StartRecord {
        conversation,
        account: "app".to_owned(),
        connection_id: conversation.to_string(),
        session: uuid::Uuid::new_v4().to_string(),
        title: None,
        at: now(),
        keep,
        speaker: Some(speaker()),
        ends: None,
        stream_position: None,
    }
}

fn speaker() -> Speaker {
    Speaker {
        id: "ada".to_owned(),
        ..Speaker::default()
    }
}

pub(super) fn final_of(text: &str, from: u64, until: u64) -> Transcribed {
    Transcribed {
        speaker: speaker(),
        confidence: 0.5,
        text: text.to_owned(),
        words: vec![Word {
            text: text.to_owned(),
            start: from,
            end: until,
        }],
        messages: vec![EntryMessage {
            id: new_id(),
            text: text.to_owned(),
            original_text: text.to_owned(),
            words: 0..1,
        }],
        ..Transcribed::default()
    }
}

pub(super) fn record(conversation: i64, said: Transcribed) -> Record {
    Record::Said {
        conversation,
        said: Box::new(said),
    }
}

fn said(conversation: i64) -> Record {
    record(conversation, final_of("Hello.", 800_000_000, 1_050_000_000))
}

fn store() -> Store {
    Store::open(None, &Limits::default()).unwrap()
}

#[test]
fn a_job_that_fails_is_told_and_leaves_nothing_and_the_others_are_stored() {
    let store = store();
    store.write(vec![started(1, 0)]).unwrap();
    // The second conversation does not exist, so the message before it is rolled back.
    let refused = store.write(vec![said(1), said(2)]);
    assert!(matches!(refused, Err(StoreError::Commit(_))));
    store.write(vec![said(1)]).unwrap();
    let found = store.with(|database| {
        let verbose = Wanted {
            verbose: true,
            ..Wanted::default()
        };
        let found = find(database, "app", 1)?.expect("stored");
        found.messages(verbose).all(database)
    });
    let found = found.unwrap();
    assert_eq!(found["messages"].as_array().unwrap().len(), 1);
    let message = &found["messages"][0];
    assert_eq!(message["startTime"], "1970-01-01T00:00:00.800Z");
    assert_eq!(message["timeOffset"], 0);
    assert_eq!(message["duration"], 0.25);
    assert_eq!(message["words"][0]["score"], 0.5);
}

#[test]
fn what_was_said_is_told_in_the_order_in_which_it_was_written_whatever_its_times() {
    let store = store();
    store.write(vec![started(1, 0)]).unwrap();
    let mut records = Vec::new();
    for (text, start) in [("first", 3), ("second", 1), ("third", 2)] {
        records.push(record(1, final_of(text, start, start + 1)));
    }
    // The records are one batch, so the clock shows one time for all of them.
    store.write(records).unwrap();
    let found = store.with(|database| {
        find(database, "app", 1)?
            .expect("stored")
            .messages(Wanted::default())
            .all(database)
    });
    let found = found.unwrap();
    let texts = found["messages"].as_array().unwrap().iter();
    let texts: Vec<_> = texts.map(|message| &message["text"]).collect();
    assert_eq!(texts, ["first", "second", "third"]);
}

#[test]
fn a_list_of_messages_costs_what_it_lists_also_with_corrections() {
    use std::sync::atomic::AtomicU64;
    let instructions = |messages: u64| {
        let limits = Limits {
            kept_messages: usize::MAX,
            ..Limits::default()
        };
        let store = Store::open(None, &limits).unwrap();
        let said = (0..messages).map(|n| record(1, final_of("the same", n, n + 1)));
        let records = std::iter::once(started(1, 0)).chain(said);
        store.write(records.collect()).unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let counts = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        let mut database = lock(&store.reader);
        database.progress_handler(1, Some(counts)).unwrap();
        let found = find(&database, "app", 1).unwrap().expect("stored");
        let listed = found.messages(Wanted::default()).all(&database).unwrap();
        drop(database);
        assert_eq!(
            listed["messages"].as_array().unwrap().len() as u64,
            messages
        );
        count.load(Ordering::Relaxed)
    };
    let (few, many) = (instructions(100), instructions(400));
    assert!(many < 5 * few, "{many} instructions for four times {few}");
}

#[test]
fn stamps_only_grow_over_a_restart_at_which_the_wall_clock_went_back_too() {
    let last = stamp() + 3_600_000_000_000;
    stamped(last);
    let (next, after) = (stamp(), stamp());
    assert!(last < next && next < after);
}

#[test]
fn a_conversation_that_no_speaker_can_rejoin_is_over_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Some(directory.path()), &Limits::default()).unwrap();
    let (gone, kept, connected, finished) = (1, 2, 3, 4);
    let long = 1800 * 1_000_000_000;
    store
        .write(vec![
            started(gone, 1),
            Record::Closed {
                conversation: gone,
                ends: now() - 1,
                at: now(),
            },
            started(kept, 1800),
            Record::Closed {
                conversation: kept,
                ends: now() + long,
                at: now(),
            },
            // Its speakers were connected until the service ended.
            started(connected, 1800),
            started(finished, 1800),
            Record::Over {
                conversation: finished,
                at: now(),
            },
        ])
        .unwrap();
    let ids = |store: &Store| {
        let open = store.still_open().unwrap();
        open.iter().map(|open| open.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&store), [kept, connected]);
    let is_over = |id| store.with(|database| find(database, "app", id));
    assert!(is_over(gone).unwrap().expect("stored").is_over);
    assert!(!is_over(kept).unwrap().expect("stored").is_over);
}

#[test]
fn the_key_is_as_old_as_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(Some(directory.path()), &Limits::default());
    let store = open().unwrap();
    let key = store.key().unwrap();
    assert_eq!(key.len(), 32);
    assert!(matches!(open(), Err(StoreError::InUse(_))));
    drop(store);
    assert_eq!(open().unwrap().key().unwrap(), key);
    assert_ne!(self::store().key().unwrap(), key);
}

#[test]
fn a_database_of_version_1_is_taken_over_and_one_of_later_ones_refused() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(Some(directory.path()), &Limits::default());
    open().unwrap().write(vec![started(1, 0), said(1)]).unwrap();
    let change = |sql: &str| {
        let database = Connection::open(directory.path().join(FILE)).unwrap();
        database.execute_batch(sql).unwrap();
    };
    change(
        "DROP TRIGGER message_unsearched; DROP TABLE message_text; DROP TABLE bookmark;
         DROP TABLE conversation_group; DROP TABLE webhook; DROP TABLE job;
         ALTER TABLE conversation DROP COLUMN metadata;
         ALTER TABLE conversation DROP COLUMN retain; DROP INDEX conversation_session;
         ALTER TABLE conversation DROP COLUMN session; DROP TABLE entry; DROP TABLE stream;
         ALTER TABLE conversation DROP COLUMN head; DROP TABLE kept_tracker;
         DROP INDEX message_told; ALTER TABLE message DROP COLUMN stored;
         ALTER TABLE message DROP COLUMN phrases; PRAGMA user_version = 1;",
    );
    let store = open().unwrap();
    assert!(
        store
            .with(|database| find(database, "app", 1))
            .unwrap()
            .is_some()
    );
    assert_eq!(
        crate::trackers::TrackerStore::list(&store, "app").unwrap(),
        []
    );
    drop(store);
    change("PRAGMA user_version = 6;");
    let refused = open().map(drop);
    assert!(matches!(refused, Err(StoreError::Version { found: 6, .. })));
}

#[tokio::test]
async fn a_read_that_finds_no_thread_in_time_is_refused_and_leaves_nothing_behind() {
    let store = Arc::new(store());
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let patience = Duration::from_secs(60);
    let busy = Arc::clone(&store);
    let first = tokio::spawn(async move {
        let look = move |_: &Connection| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            Ok(1)
        };
        busy.look(patience, look).await
    });
    begins.await.unwrap();
    let refused = store.look(Duration::from_millis(10), |_| Ok(())).await;
    assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
    go.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap(), 1);
    // A panic fails its own read only.
    let panicked = store.look(patience, |_| -> rusqlite::Result<()> {
        panic!("as wanted")
    });
    assert!(panicked.await.is_err());
    assert_eq!(store.look(patience, |_| Ok(2)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_question_and_a_list_that_goes_on_are_refused_when_others_read_for_too_long() {
    let store = Arc::new(store());
    store.write(vec![started(1, 0)]).unwrap();
    for _ in 0..2 {
        let long = final_of(&"a ".repeat(50_000), 0, 1);
        store.write(vec![record(1, long)]).unwrap();
    }
    let whose = Whose {
        account: "app".to_owned(),
        conversation: 1,
        delay: Duration::ZERO,
    };
    let messages = || store.messages(whose.clone(), Wanted::default());
    let rest = messages().await.unwrap().expect("stored").rest;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let busy = Arc::clone(&store);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let reads = tokio::spawn(async move {
        let look = move |_: &Connection| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        };
        busy.look(LONGEST_WAIT, look).await
    });
    begins.await.unwrap();
    // The threads that read do not know this clock, so it stands still only while they wait.
    tokio::time::pause();
    let since = tokio::time::Instant::now();
    let refused = messages().await.map(|_| ());
    assert!(
        matches!(refused, Err(StoreError::Busy(LONGEST_WAIT))),
        "{refused:?}"
    );
    assert!(since.elapsed() >= LONGEST_WAIT);
    let refused = rest.expect("more follows").next().await.map(|_| ());
    assert!(
        matches!(refused, Err(StoreError::Busy(LONGEST_WAIT))),
        "{refused:?}"
    );
    tokio::time::resume();
    go.send(()).unwrap();
    reads.await.unwrap().unwrap();
    assert!(messages().await.unwrap().is_some());
}

#[tokio::test]
async fn nothing_of_many_deleted_messages_is_left_whatever_pages_they_shared() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(Some(directory.path()), &Limits::default()).unwrap());
    let (gone, kept) = (1, 2);
    store
        .write(vec![started(gone, 0), started(kept, 0)])
        .unwrap();
    let mut random = fastrand::Rng::with_seed(4);
    for n in 0..600 {
        let conversation = random.choice([gone, kept]).unwrap();
        let mark = if conversation == gone {
            "delete"
        } else {
            "retain"
        };
        // Some texts share a page, and some take several pages.
        let text = format!("{mark}-text-{n} {mark}word{n} ").repeat(random.usize(1..25).pow(2));
        let mut said = final_of(&text, 0, 1);
        said.topics = vec![Topic {
            id: new_id(),
            text: format!("{mark}-topic-{n}"),
            score: 0.5,
            messages: vec![said.messages[0].id.to_string()],
            root_words: Vec::new(),
        }];
        store.write(vec![record(conversation, said)]).unwrap();
    }
    let found = store
        .with(|database| find(database, "app", gone))
        .unwrap()
        .unwrap();
    while !store
        .alter(move |database| found.delete_some(database))
        .await
        .unwrap()
    {}
    assert!(store.purge().await.unwrap());
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        // The index of words has no hyphens.
        for trace in ["delete-", "deleteword"] {
            let left = text.find(trace).and_then(|at| text.get(at..at + 20));
            assert_eq!(left, None, "{}", path.display());
        }
        if path.ends_with(FILE) {
            assert!(text.contains("retain-text") && text.contains("retain-topic"));
        }
    }
}

#[test]
fn a_purge_of_a_large_database_waits_until_nothing_is_said_and_gives_way() {
    use super::purge::{note, purge};
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE);
    files::create(&file).unwrap();
    let mut connection = open::writer(&file).unwrap();
    let fill = "CREATE TABLE filler AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL
                SELECT n + 1 FROM n WHERE n < 1000) SELECT zeroblob(1024) FROM n";
    connection.execute_batch(fill).unwrap();
    let shared = Arc::new(Purge::new(1 << 20));
    let mut attempts = Attempts::default();
    let mut try_it = |connection: &mut Connection, at_rest| {
        purge(connection, &shared, &mut attempts, at_rest).unwrap()
    };
    assert!(try_it(&mut connection, false), "nothing was deleted");
    note(&connection).unwrap();
    assert!(!try_it(&mut connection, false), "somebody speaks");
    shared.waiting.store(1, Ordering::Release);
    assert!(!try_it(&mut connection, true), "a job waits");
    shared.waiting.store(0, Ordering::Release);
    assert!(!try_it(&mut connection, true), "not again at once");
    let mut attempts = Attempts::default();
    assert!(purge(&mut connection, &shared, &mut attempts, true).unwrap());
    assert!(!shared.is_running());
}

#[test]
fn a_database_of_the_release_before_the_log_is_taken_over_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE);
    let made = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/schema-2.db");
    std::fs::copy(made, &file).unwrap();
    // Otherwise one of its conversations would be over by now.
    let database = Connection::open(&file).unwrap();
    let sql = "UPDATE conversation SET ends = ?1 WHERE ended IS NULL";
    database.execute(sql, [i64::MAX]).unwrap();
    let texts = |sql: &str| {
        let mut rows = database.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<Vec<String>, _>>().unwrap()
    };
    let told = texts("SELECT text FROM message ORDER BY conversation, stored");
    let ids = texts("SELECT CAST(id AS TEXT) FROM message ORDER BY conversation, stored");
    assert_eq!(told.len(), 6);
    drop(database);
    let store = Store::open(Some(directory.path()), &Limits::default()).unwrap();
    let open = store.still_open().unwrap();
    let [open] = open.as_slice() else {
        panic!("{open:?}")
    };
    assert_eq!(
        (open.connection_id.as_str(), open.members.len()),
        ("open", 2)
    );
    let conversations: Vec<i64> = store
        .with(|database| {
            let mut rows = database.prepare("SELECT id FROM conversation ORDER BY id")?;
            rows.query_map([], |row| row.get(0))?.collect()
        })
        .unwrap();
    let mut entries = Vec::new();
    for conversation in conversations {
        let log = store.read(conversation, 0, 100).unwrap();
        let numbers: Vec<u64> = log.iter().map(|entry| entry.seq).collect();
        assert_eq!(numbers, (1..=log.len() as u64).collect::<Vec<_>>());
        let kinds: Vec<_> = log.iter().map(|entry| entry.body.kind()).collect();
        let is_open = conversation == open.id;
        let expected: &[&str] = match is_open {
            true => &["opened", "member", "member", "said", "said", "said"],
            false => &["opened", "member", "said", "said", "said", "over"],
        };
        assert_eq!(kinds, expected);
        if is_open {
            assert_eq!(open.head, log.len() as u64);
        }
        entries.extend(log);
    }
    let finals: Vec<&Transcribed> = entries.iter().filter_map(|e| e.body.said()).collect();
    let texts = finals.iter().map(|said| said.messages[0].text.clone());
    assert_eq!(texts.collect::<Vec<_>>(), told);
    let kept = finals.iter().map(|said| said.messages[0].id.to_string());
    assert_eq!(kept.collect::<Vec<_>>(), ids);
    assert!(finals.iter().all(|said| !said.words.is_empty()));
    assert!(
        finals
            .iter()
            .any(|said| said.trackers.iter().any(|t| t.value == "w12"))
    );
    assert!(finals.iter().all(|said| said.speaker.name.is_some()));
    // The next final has the number after those of before.
    store.begin(start(open.id, 0), Box::new(|_| {})).unwrap();
    store
        .append(open.id, final_of("Next.", 0, 1), Box::new(|_| {}))
        .unwrap();
    let last = store.read(open.id, open.head, 100).unwrap();
    let last = last.iter().find_map(|entry| entry.body.said()).unwrap();
    assert_eq!(last.number, 3);
    // The rows are migrated once.
    drop(store);
    let store = Store::open(Some(directory.path()), &Limits::default()).unwrap();
    let again = store.read(open.id, 0, 100).unwrap();
    assert_eq!(
        again.len() as u64,
        open.head + 2,
        "a member and a final are new"
    );
}

#[test]
fn conversations_of_the_release_before_sessions_get_session_ids() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE);
    let made = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/schema-3.db");
    std::fs::copy(made, &file).unwrap();
    let rows = |sql: &str| {
        let database = Connection::open(&file).unwrap();
        let mut rows = database.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let all = "SELECT seq || body FROM entry ORDER BY conversation, seq";
    let before = rows(all);
    assert_eq!(before.len(), 10);
    let sessions = || {
        drop(Store::open(Some(directory.path()), &Limits::default()).unwrap());
        rows("SELECT session FROM conversation ORDER BY id")
    };
    let ids = sessions();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    for id in &ids {
        let id = uuid::Uuid::parse_str(id).unwrap();
        assert_eq!(id.get_version_num(), 4, "{id}");
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122, "{id}");
    }
    assert_eq!(rows(all), before, "the logs stay as they are");
    assert_eq!(sessions(), ids, "they are given once");
}

#[test]
fn an_entry_of_a_kind_that_this_release_does_not_know_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(Some(directory.path()), &Limits::default()).unwrap();
    let store = open();
    store.begin(start(1, 600), Box::new(|_| {})).unwrap();
    // As a later release would write it.
    store
        .change(|database| {
            database.execute_batch(
                "UPDATE conversation SET head = head + 1;
                 INSERT INTO entry (conversation, seq, at, kind, body)
                 SELECT id, head, 1, 'waved', '{\"v\":1,\"entry\":{\"waved\":{\"id\":\"ada\"}}}'
                 FROM conversation",
            )
        })
        .unwrap();
    drop(store);
    let store = open();
    assert_eq!(store.still_open().unwrap().len(), 1);
    let said = final_of("Next.", 0, 1);
    store.append(1, said, Box::new(|_| {})).unwrap();
    store.finish(1, 9, Box::new(|_| {}));
    store.write(Vec::new()).unwrap();
    let entries = store.read(1, 0, 100).unwrap();
    let numbered = entries.iter().map(|entry| (entry.seq, entry.body.kind()));
    let expected = [
        (1, "opened"),
        (2, "member"),
        (4, "said"),
        (5, "left"),
        (6, "over"),
    ];
    assert_eq!(numbered.collect::<Vec<_>>(), expected);
}

#[test]
fn speakers_have_left_a_conversation_that_ended_while_the_service_was_down() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(Some(directory.path()), &Limits::default()).unwrap();
    let store = open();
    store.begin(start(1, 0), Box::new(|_| {})).unwrap();
    drop(store);
    for _ in 0..2 {
        let store = open();
        assert!(store.still_open().unwrap().is_empty());
        let entries = store.read(1, 0, 100).unwrap();
        let kinds: Vec<_> = entries.iter().map(|entry| entry.body.kind()).collect();
        assert_eq!(kinds, ["opened", "member", "left", "over"]);
    }
}
