// SPDX-License-Identifier: MPL-2.0

//! A database that is away, and one that cannot be used.

use super::*;
use std::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_while_the_database_restarts_waits_and_is_stored_once() {
    let Some(postgres) = Postgres::start(&[]) else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [node(&url).await, node(&url).await];
    let (mut ada, id) = Client::started(&a, "away", &start_at("Ada", 1, 0)).await;
    let mut listener = subscriber(&b, "away").await;
    ada.send_audio(&said(0..2)).await;
    assert_eq!(message(&mut listener).await.0, 0);
    postgres.kill();
    for n in 1..4 {
        ada.send_audio(&said(10 * n..10 * n + 2)).await;
    }
    let (head, _) = http(&b, &format!("GET /v1/conversations/{id}/messages"), "").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    let (head, told) = http(&b, "GET /v1/manage/trackers", "").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert!(!told.contains("symbl-pg"), "no address: {told}");
    // Whether the conversation of a client that comes now goes on elsewhere is not known.
    for path in ["/v1/streaming/another", "/v1/subscribe/another"] {
        match Client::open(&b, path, &[]).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(refused)) => {
                assert_eq!(refused.status().as_u16(), 503);
                assert!(refused.headers().contains_key("Retry-After"));
            }
            other => panic!("{path}: {:?}", other.err()),
        }
    }
    // Longer than a lease: no node may be declared gone for it.
    tokio::time::sleep(Duration::from_secs(7)).await;
    postgres.start_again();
    for n in 1..4 {
        assert_eq!(message(&mut listener).await.0, n);
    }
    let texts = history(&b, &id).await;
    let words: Vec<String> = texts.iter().flat_map(|text| words_of(text)).collect();
    let expected = ["w0", "w1", "w10", "w11", "w20", "w21", "w30", "w31"];
    assert_eq!(words, expected);
}

#[tokio::test]
async fn a_token_of_one_node_is_good_on_another_and_trackers_are_shared() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let guarded = || async {
        let mut config = configured(&url);
        config.auth = Auth::App {
            id: "app".to_owned(),
            secret: "hush".to_owned(),
        };
        Server::bind(config).await.expect("a node")
    };
    let [a, b] = [guarded().await, guarded().await];
    let token = process::token(&a, "app", "hush").await;
    let path = format!("GET /v1/conversations?access_token={token}");
    let (head, _) = http(&b, &path, "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let wrong = format!("GET /v1/conversations?access_token={token}x");
    let (head, _) = http(&b, &wrong, "").await;
    assert!(head.starts_with("http/1.1 401"), "{head}");
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused_and_no_secret_is_shown() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    drop(node(&url).await);
    postgres.ask(&url, "UPDATE meta SET number = 99 WHERE key = 'version'");
    let refused = Server::bind(configured(&url)).await.expect_err("refused");
    assert!(refused.to_string().contains("version 99"), "{refused}");
    let nowhere = "postgres://ada:hush-hush@127.0.0.1:1/talks";
    let refused = Server::bind(configured(nowhere))
        .await
        .expect_err("refused");
    let text = refused.to_string();
    assert!(text.contains("the database talks on 127.0.0.1"), "{text}");
    assert!(
        !format!("{text} {refused:?}").contains("hush"),
        "{refused:?}"
    );
    for url in [
        nowhere,
        "postgres://ada:hush-hush@[/talks",
        "postgres://ada:sh@hush@127.0.0.1:1/talks",
        "hush-hush",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
            .args(["--listen", "127.0.0.1:0", "--recognizer", "scripted"])
            .args(["--log", "trace"])
            .env("SYMBL_CLUSTER", url)
            .output()
            .expect("run");
        assert!(!output.status.success());
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("hush"), "{said}");
        assert!(said.contains("symbl-service: "), "{said}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_write_all_tables_any_more_makes_a_node_unhealthy() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let owner = postgres.database();
    postgres.ask(
        &owner,
        "CREATE ROLE limited LOGIN; GRANT CREATE ON SCHEMA public TO limited",
    );
    let url = owner.replace("postgres:hush@", "limited:hush@");
    let a = node(&url).await;
    let healthy = async |status: &str| {
        in_time(async {
            loop {
                let (head, body) = http(&a, "GET /healthz", "").await;
                if head.contains(status) {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
    };
    healthy(" 200 ").await;
    for change in ["INSERT on entry", "UPDATE on webhook", "SELECT on topic"] {
        postgres.ask(&owner, &format!("REVOKE {change} FROM limited"));
        let body = healthy(" 503 ").await;
        assert!(
            body.contains(&format!("the role may not {change}")),
            "{body}"
        );
        let (head, _) = http(&a, "GET /readyz", "").await;
        assert!(head.contains(" 503 "), "{head}");
        postgres.ask(&owner, &format!("GRANT {change} TO limited"));
        healthy(" 200 ").await;
    }
}

/// Returns how often these words are in a file.
fn lines_with(file: &std::path::Path, words: &str) -> usize {
    let text = std::fs::read_to_string(file).expect("a file");
    text.lines().filter(|line| line.contains(words)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_said_once_and_again_when_it_is_over() {
    let Some(postgres) = Postgres::start(&[]) else {
        return;
    };
    let url = postgres.database();
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let file = std::fs::File::create(&log).expect("a file");
    let a = Process::start(|command| {
        command
            .args(["--log", "info", "--drain-wait", "0", "--drain-time", "0"])
            .args(["--webhook-host", "http://127.0.0.1:1"])
            .env("SYMBL_CLUSTER", &url)
            .stderr(file);
    });
    let until = async |words: &str| {
        in_time(async {
            while lines_with(&log, words) == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    };
    // No receiver takes it, so it is due again, and is looked for each five seconds then.
    let job = json!({
        "messages": [{"payload": {"content": "Hello."}}], "webhookUrl": "http://127.0.0.1:1/",
    });
    let (status, told) = common::jobs::ask(&a, "POST /v1/process/text", &job.to_string()).await;
    assert_eq!(status, 201, "{told}");
    until("a receiver takes no webhooks").await;
    postgres.kill();
    let lost = "webhooks that are due are not known";
    until(lost).await;
    until("what is said cannot be stored").await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    postgres.start_again();
    until("webhooks that are due are known again").await;
    until("what is said is stored again").await;
    assert_eq!(lines_with(&log, lost), 1);
}
