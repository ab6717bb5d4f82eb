// SPDX-License-Identifier: MPL-2.0

//! What the first release says to other nodes and asks of the database, as it was: a later release
//! still has to understand it and to answer it, because both run together while nodes are
//! replaced one after the other.
//!
//! The files in `service/tests/data/release-1` are written by these tests where
//! `SYMBL_FREEZE=1` is set, and never again once that release is out. A later release adds files
//! of its own beside them.

use super::form::{asked, entry, outcome};
use super::link::{Address, Link};
use super::schema::{FUNCTIONS, functions, prepare, tables};
use crate::conversation::attribution::Attribution;
use crate::conversation::bus::packet::{self, Heard, Message, Packet};
use crate::conversation::bus::tests::interim;
use crate::conversation::bus::{Note, Shown, Stamp, Volatile};
use crate::conversation::entry::{
    Body, Entity, Entry, Insight, Message as Sentence, Part, Sent, Speaker, Topic, TrackerMatch,
    Transcribed, Word,
};
use crate::conversation::log::{StartRecord, StreamPosition};
use crate::store::sqlite::entries::{body_in, body_of};
use crate::store::sqlite::record::Record;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use symbl_testkit::postgres::Postgres;

const TABLES: &str = include_str!("tables.sql");

/// The time at which everything was said.
const AT: i64 = 1_700_000_000_000_000_000;

/// What a next release may do to each table of this one.
const NEXT: &str = "
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r'
                    AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE format('ALTER TABLE %I ADD COLUMN next_release text', name);
        END LOOP;
    END $$;
    CREATE TABLE sung (conversation bigint REFERENCES conversation ON DELETE CASCADE, song text);";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/release-1")
        .join(name)
}

/// Returns what a file has, after it was written where the environment asks for that.
fn frozen(name: &str, now: &str) -> String {
    let path = file(name);
    if std::env::var_os("SYMBL_FREEZE").is_some() {
        std::fs::write(&path, now).expect("a file");
    }
    std::fs::read_to_string(path).expect("a file")
}

fn lines(values: impl IntoIterator<Item = String>) -> String {
    values.into_iter().map(|line| line + "\n").collect()
}

fn ada() -> Speaker {
    Speaker {
        id: "ada".to_owned(),
        user_id: Some("ada@example.org".to_owned()),
        name: Some("Ada".to_owned()),
    }
}

/// Returns a final with everything that can be found in one.
fn said() -> Transcribed {
    let word = |text: &str, start, end| Word {
        text: text.to_owned(),
        start,
        end,
    };
    Transcribed {
        number: 0,
        zero: AT,
        start: AT,
        speaker: ada(),
        timezone_offset: 60,
        elapsed: 700,
        confidence: 0.5,
        text: "Call Bob tomorrow.".to_owned(),
        words: vec![
            word("Call", 0, 100_000_000),
            word("Bob", 100_000_000, 200_000_000),
            word("tomorrow.", 200_000_000, 400_000_000),
        ],
        messages: vec![Sentence {
            id: 4_711_471_147_114_711,
            text: "Call Bob tomorrow.".to_owned(),
            original_text: "call bob tomorrow".to_owned(),
            words: 0..3,
        }],
        insights: vec![Insight {
            id: 4_711_471_147_114_712,
            message: 4_711_471_147_114_711,
            kind: "action_item".to_owned(),
            text: "Call Bob tomorrow.".to_owned(),
            score: 0.25,
            hints: vec![("phrase".to_owned(), "call".to_owned())],
            by_speaker: true,
            assignee: Some("Bob".to_owned()),
            due: Some(AT),
        }],
        topics: vec![Topic {
            id: 4_711_471_147_114_713,
            text: "bob".to_owned(),
            score: 0.75,
            messages: vec!["4711471147114711".to_owned()],
            root_words: vec!["bob".to_owned()],
        }],
        trackers: vec![TrackerMatch {
            tracker_id: Some("4711471147114714".to_owned()),
            name: "calls".to_owned(),
            value: "call".to_owned(),
            message: 4_711_471_147_114_711,
            text: "Call".to_owned(),
            offset: 0,
        }],
        entities: vec![Entity {
            message: 4_711_471_147_114_711,
            kind: "date".to_owned(),
            sub_type: Some("day".to_owned()),
            text: "tomorrow".to_owned(),
            value: "2023-11-15".to_owned(),
            offset: 9,
        }],
        sentiment: true,
        phrases: true,
        part: Some(Part {
            stream: "s".to_owned(),
            attempt: 1,
            base: 0,
            from: 0,
            until: 400_000_000,
        }),
    }
}

fn sent(corrects: Option<i64>) -> Sent {
    Sent {
        client_id: format!("client-{}", corrects.is_some()),
        from: ada(),
        text: "Call Bob today.".to_owned(),
        corrects,
    }
}

/// Returns an entry's body of each kind.
fn bodies() -> Vec<Body> {
    vec![
        Body::Opened {
            title: Some("Board meeting".to_owned()),
        },
        Body::Member(ada()),
        Body::Renamed(ada()),
        Body::Left(ada()),
        Body::Said(Box::new(said())),
        Body::Sent(sent(None)),
        Body::Sent(sent(Some(4_711_471_147_114_711))),
        Body::Attributed(vec![Attribution {
            speaker: ada(),
            messages: vec![4_711_471_147_114_711],
        }]),
        Body::Closed { ends: AT },
        Body::Over,
    ]
}

#[test]
fn entries_of_the_first_release_are_read_and_those_of_a_later_one_are_skipped() {
    let bodies = bodies();
    let kinds: Vec<&str> = bodies.iter().map(Body::kind).collect();
    let now = lines(bodies.iter().map(body_of));
    let frozen = frozen("entries.jsonl", &now);
    assert_eq!(frozen.lines().count(), bodies.len(), "{kinds:?}");
    for (line, body) in frozen.lines().zip(&bodies) {
        assert_eq!(body_in(line).as_ref(), Some(body), "{line}");
        // A later release may say more of it.
        let mut more: Value = serde_json::from_str(line).expect("JSON");
        more["v"] = 2.into();
        more["more"] = json!({"x": 1});
        let content = more["entry"].get_mut(body.kind());
        if let Some(members) = content.and_then(Value::as_object_mut) {
            members.insert("more".to_owned(), json!([1]));
        }
        assert_eq!(body_in(&more.to_string()).as_ref(), Some(body), "{more}");
    }
    let unknown = r#"{"v": 2, "entry": {"sung": {"song": "la"}}}"#;
    assert_eq!(body_in(unknown), None);
    assert!(entry(1, AT, None, None, unknown).is_none());
}

/// Returns messages of each kind.
fn messages() -> Vec<Message> {
    let stamp = Stamp {
        start_request: AT,
        count: 3,
        behind: 2,
    };
    let volatile = |shown| Message::Volatile(9, Volatile { stamp, shown });
    let entry = |body| {
        let (seq, at) = (4, AT);
        Message::Entry(9, Arc::new(Entry { seq, at, body }))
    };
    vec![
        entry(Body::Said(Box::new(said()))),
        entry(Body::Sent(sent(None))),
        entry(Body::Over),
        volatile(interim("so far")),
        volatile(Shown::Trackers(said().trackers)),
        volatile(Shown::Nothing(Box::new(said()))),
        Message::Listens(vec![1, 2]),
        Message::ListensNoMore(3),
        Message::Hello,
        Message::Beat,
        Message::News,
    ]
}

// The same packets go over Redis and, with NOTIFY, over the database.
#[test]
fn what_nodes_of_the_first_release_say_is_understood() {
    let written = messages().into_iter().map(|message| {
        let mut packet = Packet::new(77, 1 << 20);
        assert!(packet.add(&message.text(true).expect("a text")));
        packet.finish().expect("not empty")
    });
    let written: Vec<String> = written.collect();
    let frozen = frozen("packets.jsonl", &lines(written.iter().cloned()));
    let read = |text: &str| packet::read(text).expect("a packet");
    assert_eq!(frozen.lines().count(), written.len());
    for (line, now) in frozen.lines().zip(&written) {
        let (from, heard) = read(line);
        assert_eq!((from, heard.len()), (77, 1), "{line}");
        assert_eq!(heard, read(now).1, "{line}");
        let mut more: Value = serde_json::from_str(line).expect("JSON");
        more["v"] = 2.into();
        more["m"][0]["more"] = json!({"x": 1});
        more["m"]
            .as_array_mut()
            .expect("messages")
            .insert(0, json!({"k": "z", "c": [9]}));
        assert_eq!(read(&more.to_string()).1, heard, "{more}");
    }
    let unknown = r#"{"f": 1, "m": [{"k": "e", "c": [9], "n": 5, "t": 1, "b": {"sung": {}}}]}"#;
    let (conversation, seq, entry) = (9, 5, None);
    let noted = Heard::Note(Note::Entry {
        conversation,
        seq,
        entry,
    });
    assert_eq!(read(unknown).1, [noted], "it is looked for in the log");
}

/// Returns what a node asks of `symbl_write`, in an order in which each has an effect.
fn records() -> Vec<Value> {
    let conversation = 1_000_000_000_000_001;
    let start = StartRecord {
        conversation,
        account: "app".to_owned(),
        connection_id: "room".to_owned(),
        session: "123e4567-e89b-12d3-a456-426614174000".to_owned(),
        title: Some("Board meeting".to_owned()),
        at: AT,
        keep: 60,
        speaker: Some(ada()),
        ends: None,
        stream_position: Some(StreamPosition {
            stream: "s".to_owned(),
            attempt: 1,
            position: 0,
        }),
    };
    let text = |corrects| Record::Sent {
        conversation,
        sent: sent(corrects),
        ends: Some(AT),
    };
    let written = [
        Record::Start(start),
        Record::Said {
            conversation,
            said: Box::new(said()),
        },
        text(None),
        text(Some(4_711_471_147_114_711)),
        Record::Keep {
            conversation,
            keep: 30,
        },
        Record::Left {
            conversation,
            here: vec!["bob".to_owned()],
            at: AT,
        },
        Record::Closed {
            conversation,
            ends: AT,
            at: AT,
        },
        Record::Over {
            conversation,
            at: AT,
        },
        Record::Alive { at: AT },
    ];
    let join = |seat: bool, connection: &str| {
        json!({
            "k": "join", "account": "app", "connection": connection, "seat": seat,
            "c": seat.then_some(2), "session": seat.then_some("x"), "anew": false,
            "regardless": false,
        })
    };
    let mut all = vec![join(true, "other"), join(false, "other")];
    all.extend(written.iter().map(|record| {
        let mut asked = asked(record, AT, false);
        // What is made by chance.
        for name in ["trackers", "entities"] {
            for (n, found) in asked[name].as_array_mut().into_iter().flatten().enumerate() {
                found["id"] = (5_000_000_000_000_000_i64 + n as i64).into();
            }
        }
        asked
    }));
    all.extend([
        json!({"k": "heads", "of": [conversation]}),
        json!({"k": "closes", "c": 2, "longest": 1_000_000_000}),
        json!({"k": "seats", "used": [2]}),
        json!({"k": "unused", "c": 3, "at": AT}),
        join(true, "other"),
        json!({
            "k": "claim", "account": "app", "id": "socket", "most": 1, "returns": false, "free": [],
        }),
        json!({"k": "free", "free": ["socket"]}),
    ]);
    all
}

async fn open(url: &str) -> Link {
    let address = Address::parse(url).expect("a URL");
    let runtime = tokio::runtime::Handle::current();
    let mut link = address.connect(&runtime).await.expect("a connection");
    prepare(&mut link, "the test").await.expect("tables");
    link
}

/// Returns the answers to these records, each on a line.
async fn answers(link: &mut Link, records: &str) -> String {
    let node = "11111111-1111-1111-1111-111111111111".to_owned();
    super::writer::enter(link, &node).await.expect("a node");
    let mut answers = Vec::new();
    for record in records.lines() {
        let sql = "SELECT symbl_write_1($1, $2::text::jsonb)::text";
        let record = format!("[{record}]");
        let rows = link.run(sql, &[&node, &record]).await;
        let rows = rows.unwrap_or_else(|error| panic!("{record}: {}", super::link::said(&error)));
        let answer: String = rows[0].get(0);
        answers.push(answer);
    }
    lines(answers)
}

/// Returns `true` if a value has at least what an older one has.
fn has(now: &Value, before: &Value) -> bool {
    match (now, before) {
        (Value::Object(now), Value::Object(before)) => before
            .iter()
            .all(|(name, value)| now.get(name).is_some_and(|now| has(now, value))),
        (Value::Array(now), Value::Array(before)) => {
            now.len() == before.len()
                && now.iter().zip(before).all(|(now, before)| has(now, before))
        }
        _ => now == before,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_database_answers_what_nodes_of_the_first_release_ask() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let asked = frozen(
        "records.jsonl",
        &lines(records().iter().map(Value::to_string)),
    );
    let first = answers(&mut open(&server.database()).await, &asked).await;
    let known = frozen("answers.jsonl", &first);
    assert_eq!(known.lines().count(), asked.lines().count());
    for next in ["", NEXT] {
        let mut link = open(&server.database()).await;
        link.batch(next).await.expect("a next release");
        let now = answers(&mut link, &asked).await;
        for ((record, now), known) in asked.lines().zip(now.lines()).zip(known.lines()) {
            let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            assert!(
                has(&value(now), &value(known)),
                "{record}: {now}, not {known}"
            );
        }
    }
    // The answers say what this release makes of them.
    let said = Record::Said {
        conversation: 1,
        said: Box::new(said()),
    };
    let answer: Value = serde_json::from_str(known.lines().nth(3).expect("one")).expect("JSON");
    let outcome = outcome(&said, answer[0].clone()).expect("an outcome");
    assert_eq!(outcome.entries().len(), 1);
}

/// Returns the functions with the types of their parameters and results, each on a line.
async fn signatures(link: &mut Link) -> String {
    let sql = "SELECT proname || '(' || pg_get_function_identity_arguments(oid) || ') '
               || pg_get_function_result(oid) FROM pg_proc
               WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'symbl%' ORDER BY 1";
    let rows = link.query(sql, &[]).await.expect("functions");
    lines(rows.iter().map(|row| row.get(0)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn functions_of_the_first_release_are_there_as_they_were() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let mut link = open(&server.database()).await;
    let now = signatures(&mut link).await;
    let frozen = frozen("functions.txt", &now);
    for known in frozen.lines() {
        assert!(
            now.lines().any(|line| line == known),
            "{known} is gone or changed"
        );
    }
    assert_eq!(functions().count(), now.lines().count());
    let texts: String = functions().map(|(_, text)| text).collect();
    assert!(FUNCTIONS.ends_with(&texts));
}

/// Returns the tables without comments and with single spaces.
fn plain(sql: &str) -> String {
    let bare = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    let bare: Vec<&str> = bare.flat_map(str::split_whitespace).collect();
    bare.join(" ")
}

#[test]
fn the_tables_of_the_first_release_are_never_changed() {
    let frozen = frozen("tables.sql", TABLES);
    assert_eq!(
        plain(TABLES),
        plain(&frozen),
        "add a block for another version"
    );
    assert_eq!(tables().count(), TABLES.matches("CREATE TABLE").count());
}

// They were taken from the log of a database (`log_statement=all`) on which tests of the service ran,
// as by `scripts/on-postgres.sh`.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn statements_of_the_first_release_are_valid() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let statements = std::fs::read_to_string(file("statements.jsonl")).expect("a file");
    assert!(statements.lines().count() > 50);
    for next in ["", NEXT] {
        let mut link = open(&server.database()).await;
        link.batch(next).await.expect("a next release");
        for line in statements.lines() {
            let sql: String = serde_json::from_str(line).expect("JSON");
            // Statements are prepared as nodes do it, and not run.
            let prepared = link.prepares(&sql).await;
            assert!(prepared.is_ok(), "{sql}: {prepared:?}");
        }
    }
}
