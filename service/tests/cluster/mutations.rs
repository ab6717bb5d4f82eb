// SPDX-License-Identifier: MPL-2.0

//! Fences that are taken out: the tests must see that they are missing. Each is taken out of a
//! copy of the function in the database of the test.

use super::*;

const FUNCTIONS: &str = include_str!("../../src/store/postgres/functions.sql");

/// Returns the statement that makes a function.
fn whole(function: &str) -> &'static str {
    let begin = format!("CREATE OR REPLACE FUNCTION {function}(");
    let at = FUNCTIONS.find(&begin).expect("a function");
    let text = FUNCTIONS[at..].split_inclusive("END $$;").next();
    text.expect("an end")
}

/// Makes a function anew without a part of it.
fn without(postgres: &Postgres, url: &str, function: &str, fence: &str, instead: &str) {
    let text = whole(function);
    assert_eq!(text.matches(fence).count(), 1, "{fence} in {text}");
    postgres.ask(url, &text.replace(fence, instead));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_fence_of_an_attempt_words_come_twice() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [node(&url).await, node(&url).await];
    let fence = "st.attempt IS DISTINCT FROM (p->>'attempt')::bigint";
    without(postgres, &url, "symbl_said_1", fence, "false");
    let faults = links::moved(postgres, &url, [&a, &b]).await;
    assert!(
        faults.iter().any(|fault| fault.contains("twice")),
        "{faults:?}"
    );
}

#[tokio::test]
async fn without_the_fence_of_the_audio_it_is_said_twice() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let a = node(&url).await;
    let (mut ada, id) = Client::started(&a, "audio", &start_at("Ada", 1, 0)).await;
    ada.send_audio(&said(0..2)).await;
    ada.until("message_response").await;
    drop(ada);
    let (_ada, _) = Client::started(&a, "audio", &start_at("Ada", 2, 0)).await;
    let living = postgres.ask(&url, "SELECT id FROM node");
    let part = r#"{"stream": "Ada", "attempt": 2, "from": 0, "until": 100000000}"#;
    let again = said_record(&id, part);
    assert!(!writes(postgres, &url, &living, &id, &[&again]));
    let fence = "(p->>'from')::bigint < st.begun AND until <= st.begun";
    without(postgres, &url, "symbl_said_1", fence, "false");
    assert!(writes(postgres, &url, &living, &id, &[&again]));
}

/// Returns a record of a text that a client has sent.
fn sent_record(id: &str) -> String {
    format!(
        r#"{{"k": "sent", "c": {id}, "at": 1, "ends": null, "client": "x",
             "corrects": null, "body": "{{}}"}}"#
    )
}

/// Returns a record of a final of a part of a stream.
fn said_record(id: &str, part: &str) -> String {
    format!(
        r#"{{"k": "said", "c": {id}, "at": 1, "again": false, "part": {part}, "start": 1,
             "first": 1, "body": "{{}}", "phrases": false, "messages": []}}"#
    )
}

/// Returns `true` if a node writes into a conversation with these records.
fn writes(postgres: &Postgres, url: &str, node: &str, id: &str, records: &[&str]) -> bool {
    let count = format!("SELECT count(*) FROM entry WHERE conversation = {id}");
    let before = postgres.ask(url, &count);
    for record in records {
        let sql = format!(
            "DO $$ BEGIN PERFORM symbl_write_1('{node}', '[{record}]');
             EXCEPTION WHEN SQLSTATE 'SYFEN' THEN NULL; END $$"
        );
        postgres.ask(url, &sql);
    }
    postgres.ask(url, &count) != before
}

#[tokio::test]
async fn without_the_fence_of_a_node_the_dead_write() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let a = node(&url).await;
    let (_ada, id) = Client::started(&a, "dead", &start_as("Ada", 60)).await;
    let dead = "INSERT INTO node VALUES ('dead', '0', 0, symbl_now_1(), true)";
    postgres.ask(&url, dead);
    let sent = sent_record(&id);
    assert!(!writes(postgres, &url, "dead", &id, &[&sent]));
    without(
        postgres,
        &url,
        "symbl_write_1",
        "IF NOT FOUND THEN",
        "IF false THEN",
    );
    assert!(writes(postgres, &url, "dead", &id, &[&sent]));
}

#[tokio::test]
async fn without_the_fence_of_the_end_more_is_said_behind_it() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let a = node(&url).await;
    let (mut ada, id) = Client::started(&a, "over", &start_as("Ada", 0)).await;
    ada.stop().await;
    ada.until("conversation_completed").await;
    ada.close(1000).await;
    let over = format!("SELECT count(*) FROM entry WHERE conversation = {id} AND kind = 'over'");
    until_it_says(postgres, &url, &over, "1").await;
    let living = postgres.ask(&url, "SELECT id FROM node");
    let (sent, said) = (sent_record(&id), said_record(&id, "null"));
    assert!(!writes(postgres, &url, &living, &id, &[&sent, &said]));
    let fence = "AND ended IS NULL ";
    without(postgres, &url, "symbl_append_1", fence, "");
    assert!(writes(postgres, &url, &living, &id, &[&sent]));
    let fence = "con.ended IS NOT NULL";
    without(postgres, &url, "symbl_said_1", fence, "false");
    assert!(writes(postgres, &url, &living, &id, &[&said]));
}

/// Counts batches of several conversations, and those among them that are not sorted.
const SORTED: &str = "
    IF (SELECT count(DISTINCT value->>'c') FROM jsonb_array_elements(records)) > 1 THEN
        PERFORM nextval('several');
    END IF;
    IF (SELECT array_agg((value->>'c')::bigint ORDER BY n)
            <> array_agg((value->>'c')::bigint ORDER BY (value->>'c')::bigint)
        FROM jsonb_array_elements(records) WITH ORDINALITY AS given(value, n)
        WHERE value ? 'c') THEN
        PERFORM nextval('unsorted');
    END IF;
    FOR r IN SELECT value FROM jsonb_array_elements(records) LOOP";

// 10: two nodes that lock conversations in different orders would wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_several_conversations_is_sorted_by_them() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let mut config = configured(&url);
    // A stream that waits for the log keeps its thread.
    config.limits.workers = 16;
    let a = Server::bind(config).await.expect("a node");
    postgres.ask(&url, "CREATE SEQUENCE several; CREATE SEQUENCE unsorted");
    let begin = "FOR r IN SELECT value FROM jsonb_array_elements(records) LOOP";
    without(postgres, &url, "symbl_write_1", begin, SORTED);
    let places = Places::new([a.address()]);
    let pace = Duration::from_millis(100);
    let mut voices = rooms::speakers(8, 1, 3, pace, &places).await;
    // Finals of several conversations wait, and are written in one batch then.
    postgres.ask(&url, pauses::PAUSE);
    postgres.ask(&url, "UPDATE pause SET is_on = true");
    voices.iter().for_each(Voice::speak);
    bus::until_metric(&a, "log_waiting", |waiting| waiting >= 6.0).await;
    postgres.ask(&url, "UPDATE pause SET is_on = false");
    for voice in &mut voices {
        voice.end().await;
    }
    let counts = "SELECT several.is_called, unsorted.is_called FROM several, unsorted";
    assert_eq!(postgres.ask(&url, counts), "t|f");
    let living = postgres.ask(&url, "SELECT id FROM node");
    let unsorted = r#"[{"k": "keep", "c": 2, "keep": 1}, {"k": "keep", "c": 1, "keep": 1}]"#;
    postgres.ask(
        &url,
        &format!("SELECT symbl_write_1('{living}', '{unsorted}')"),
    );
    assert_eq!(postgres.ask(&url, counts), "t|t");
}
