// SPDX-License-Identifier: MPL-2.0

//! Nodes of this release beside those of the next one, which has added to the tables, to what the log
//! has and to what nodes say. `service/src/store/postgres/frozen.rs` holds what this release says and
//! asks of others.

use super::bus::until_metric;
use super::*;

/// Changes the tables as a next release may, and sets which older releases may use them.
fn migrate(postgres: &Postgres, url: &str, compatible: u32) {
    let tables = "SELECT string_agg(format('ALTER TABLE %I ADD COLUMN next_release text;',
        relname), ' ') FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let additions = postgres.ask(url, tables);
    assert!(additions.contains("entry"), "{additions}");
    let next = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(495958450796); {additions}
         CREATE TABLE sung (conversation bigint REFERENCES conversation, song text);
         CREATE INDEX entry_next ON entry (next_release);
         UPDATE meta SET number = 2 WHERE key = 'version';
         INSERT INTO meta (key, number) VALUES ('compatible', {compatible});
         INSERT INTO node (id, version, begun, beats, next_release)
             VALUES ('next', '99.0.0', symbl_now_1(), symbl_now_1(), 'x');
         COMMIT"
    );
    postgres.ask(url, &next);
}

/// Appends an entry of a kind that this release does not know, and announces it as the next one
/// does.
fn sing(postgres: &Postgres, url: &str, id: &str) {
    let body = r#"{"v": 2, "entry": {"sung": {"song": "la"}}}"#;
    let packet = format!(
        r#"{{"f": 1, "v": 2, "m": [{{"k": "z", "c": [{id}]}},
            {{"k": "e", "c": [{id}], "n": 1000, "t": 1, "b": {{"sung": {{}}}}, "more": 1}}]}}"#
    );
    let sql = format!(
        "SELECT symbl_append_1({id}, symbl_now_1(), 'sung', '{body}');
         SELECT pg_notify('symbl', '{packet}')"
    );
    postgres.ask(url, &sql);
}

// 24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_works_on_beside_the_next_release_and_starts_beside_it() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let before = node(&url).await;
    let (mut ada, id) = Client::started(&before, "both", &start_as("Ada", 60)).await;
    ada.send_audio(&said(0..2)).await;
    ada.until("message_response").await;
    // The next release is started while this one runs.
    migrate(postgres, &url, 1);
    let after = node(&url).await;
    let version = postgres.ask(&url, "SELECT number FROM meta WHERE key = 'version'");
    assert_eq!(version, "2", "it is not taken back");
    let (mut bob, same) = Client::started(&after, "both", &start_as("Bob", 60)).await;
    assert_eq!(same, id);
    let mut listeners = Vec::new();
    for place in [&before, &after] {
        listeners.push(subscriber(place, "both").await);
    }
    for n in 1..4 {
        sing(postgres, &url, &id);
        let speaker = if n % 2 == 0 { &mut ada } else { &mut bob };
        speaker.send_audio(&said(10 * n..10 * n + 2)).await;
        let words = vec![format!("w{}", 10 * n), format!("w{}", 10 * n + 1)];
        for listener in &mut listeners {
            let (number, text) = message(listener).await;
            assert_eq!((number, words_of(&text)), (u64::from(n), words.clone()));
        }
    }
    // What is not known is passed over, and not looked for again and again.
    sing(postgres, &url, &id);
    let head = postgres.ask(
        &url,
        &format!("SELECT head FROM conversation WHERE id = {id}"),
    );
    let texts = history(&before, &id).await;
    assert_eq!(texts.len(), 4);
    assert_eq!(history(&after, &id).await, texts);
    for place in [&before, &after] {
        let looks = "log_catchups_total";
        let mut seen = bus::metric(place, looks).await;
        in_time(async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let now = bus::metric(place, looks).await;
                if std::mem::replace(&mut seen, now) == now {
                    return;
                }
            }
        })
        .await;
    }
    // They leave, and the conversation is over once.
    for mut speaker in [ada, bob] {
        speaker.stop().await;
        speaker.until("conversation_completed").await;
        speaker.close(1000).await;
    }
    for listener in &mut listeners {
        let rest = listener.rest().await;
        assert_eq!(rest.last(), Some(&Heard::Closed(Some(1000))), "{rest:?}");
    }
    let over = format!(
        "SELECT count(*) FROM entry WHERE conversation = {id} AND kind = 'over' AND seq > {head}"
    );
    until_it_says(postgres, &url, &over, "1").await;
    until_metric(&after, "cluster_nodes{state=\"gone\"}", |gone| gone == 1.0).await;
}

#[tokio::test]
async fn a_node_refuses_tables_that_need_a_newer_release_and_leaves_them_alone() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    drop(node(&url).await);
    migrate(postgres, &url, 2);
    postgres.ask(&url, "DROP FUNCTION symbl_heads_1");
    let refused = Server::bind(configured(&url)).await;
    let error = refused.expect_err("an error").to_string();
    for part in ["has version 2", "knows version 1", "newer release"] {
        assert!(error.contains(part), "{error}");
    }
    let made = "SELECT count(*) FROM pg_proc WHERE proname = 'symbl_heads_1'";
    assert_eq!(postgres.ask(&url, made), "0");
    // A function that the next release has no more is made where this one may work.
    postgres.ask(&url, "UPDATE meta SET number = 1 WHERE key = 'compatible'");
    let _node = node(&url).await;
    assert_eq!(postgres.ask(&url, made), "1");
    // Nothing says that an older release may.
    postgres.ask(&url, "DELETE FROM meta WHERE key = 'compatible'");
    assert!(Server::bind(configured(&url)).await.is_err());
}

#[tokio::test]
async fn a_database_with_tables_of_another_program_is_refused_by_their_names() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    for (tables, names) in [
        (
            "CREATE TABLE meta (id int); CREATE TABLE entry (id int)",
            "entry, meta",
        ),
        ("CREATE TABLE node (id int)", "node"),
        ("CREATE VIEW topic AS SELECT 1", "topic"),
    ] {
        let url = postgres.database();
        postgres.ask(&url, tables);
        let refused = Server::bind(configured(&url)).await;
        let error = refused.expect_err("an error").to_string();
        assert!(
            error.contains(&format!("another program ({names})")),
            "{error}"
        );
        assert!(error.contains("database that is empty"), "{error}");
        let left = postgres.ask(
            &url,
            "SELECT count(*) FROM pg_proc WHERE proname LIKE 'symbl%'",
        );
        assert_eq!(left, "0");
    }
}
