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
