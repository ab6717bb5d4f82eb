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
async fn without_the_fences_of_a_stream_its_words_come_twice() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    for fence in [
        "st.attempt IS DISTINCT FROM (p->>'attempt')::bigint",
        "(p->>'from')::bigint < st.begun AND until <= st.begun",
    ] {
        let url = postgres.database();
        let [a, b] = [node(&url).await, node(&url).await];
        without(postgres, &url, "symbl_said_1", fence, "false");
        let faults = links::moved(postgres, &url, [&a, &b]).await;
        assert!(
            faults.iter().any(|fault| fault.contains("twice")),
            "{faults:?}"
        );
    }
}

/// Returns `true` if a node writes into a conversation with this statement.
fn writes(postgres: &Postgres, url: &str, node: &str, id: &str) -> bool {
    let count = format!("SELECT count(*) FROM entry WHERE conversation = {id}");
    let before = postgres.ask(url, &count);
    let sent = format!(
        r#"{{"k": "sent", "c": {id}, "at": 1, "ends": null, "client": "{before}",
             "corrects": null, "body": "x"}}"#
    );
    let said = format!(
        r#"{{"k": "said", "c": {id}, "at": 1, "again": false, "part": null, "start": 1,
             "first": 1, "body": "x", "phrases": false, "messages": []}}"#
    );
    for record in [sent, said] {
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
    assert!(!writes(postgres, &url, "dead", &id));
    without(
        postgres,
        &url,
        "symbl_write_1",
        "IF NOT FOUND THEN",
        "IF false THEN",
    );
    assert!(writes(postgres, &url, "dead", &id));
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
    assert!(!writes(postgres, &url, &living, &id));
    without(postgres, &url, "symbl_append_1", "AND ended IS NULL ", "");
    assert!(writes(postgres, &url, &living, &id), "of a session");
    postgres.ask(&url, whole("symbl_append_1"));
    assert!(!writes(postgres, &url, &living, &id));
    without(
        postgres,
        &url,
        "symbl_said_1",
        "con.ended IS NOT NULL",
        "false",
    );
    assert!(writes(postgres, &url, &living, &id), "of a stream");
}
