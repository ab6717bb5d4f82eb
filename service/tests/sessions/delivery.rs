// SPDX-License-Identifier: MPL-2.0

//! Nothing is lost, repeated or out of order, whatever happens to connections.

use crate::driver::Node;
use crate::raw::Raw;
use crate::{about, common, serve, url};
use fastrand::Rng;
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::{BindError, Server};
use symbl_testkit::relay::Relay;
use tokio::time::{sleep, timeout};

fn fast(config: &mut symbl_service::ServerConfig) {
    config.limits.session_sends = 10_000;
    config.limits.session_inbox = 10_000;
}

fn numbered(texts: std::ops::Range<u64>) -> Value {
    texts.map(|n| format!("text {n}")).collect()
}

/// Asserts that a socket has seen all these texts, each once, and live ones in order.
fn assert_whole(report: &Value, texts: std::ops::Range<u64>) {
    assert_eq!(report["texts"], numbered(texts), "{report}");
    assert_eq!(report["inOrder"], true, "{report}");
}

// 16
#[tokio::test(flavor = "multi_thread")]
async fn six_thousand_texts_of_one_client_are_stored_in_order() {
    let server = serve(fast).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    let tag = node.texts("a", &session, 0..6_000);
    assert_eq!(node.answer("a", tag)["failed"], json!([]));
    let (mut texts, mut after) = (Vec::new(), json!(0));
    loop {
        let mut asked = about(&session);
        asked["after"] = after;
        let answer = node.ask("a", "session:history:sync", &[asked]);
        let page = node.event("a", "session:history:synced");
        let page = page.as_array().expect("an array");
        texts.extend(page.iter().map(|item| item[1]["input"]["text"].clone()));
        after = page.last().expect("texts")[1]["seq"].clone();
        if answer["more"] == false {
            break;
        }
    }
    assert_eq!(json!(texts), numbered(0..6_000));
}

// 18
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_lost_fetches_what_it_missed_and_goes_on() {
    let server = serve(fast).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    node.follow("b", &url(&server), &session, &json!({}));
    node.ready(&["b"]);
    let tag = node.texts("a", &session, 0..10);
    node.answer("a", tag);
    node.seen(&["b"], 10);
    node.cut("b");
    let tag = node.texts("a", &session, 10..20);
    node.answer("a", tag);
    node.seen(&["b"], 20);
    let tag = node.texts("a", &session, 20..30);
    node.answer("a", tag);
    let report = &node.seen(&["b"], 30)[0];
    assert_whole(report, 0..30);
    assert_eq!(report["connects"], 2);
}

// 19
#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_connection_is_cut_anywhere_misses_nothing() {
    let server = serve(fast).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    // Connections end in the handshake, before and after the answer of each event, and at the
    // moments that the loop below picks.
    let cuts = (0..1_000).map(|_| random.u64(150..650)).collect();
    let target = url(&server);
    // The relay has a runtime of its own.
    let relay = std::thread::spawn(move || Relay::cutting(&target, cuts));
    let relay = relay.join().expect("a relay");
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    node.follow("b", &relay.base_url(), &session, &json!({}));
    for batch in 0..200 {
        let tag = node.texts("a", &session, 5 * batch..5 * batch + 5);
        // On a slow machine, texts must not come faster than connections end.
        let end = std::time::Instant::now() + crate::driver::PATIENCE;
        while (relay.connections() as u64) < batch / 3 {
            assert!(
                std::time::Instant::now() < end,
                "the client does not come back"
            );
            node.cut("b");
            std::thread::sleep(std::time::Duration::from_millis(random.u64(1..60)));
        }
        assert_eq!(node.answer("a", tag)["failed"], json!([]));
        std::thread::sleep(std::time::Duration::from_millis(random.u64(0..60)));
    }
    let report = &node.seen(&["b"], 1_000)[0];
    assert_eq!(report["texts"], numbered(0..1_000));
    let connections = relay.connections();
    assert!(connections > 60, "{connections} connections, {report}");
}

// 28
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_600_events_reaches_100_viewers_whole_and_in_order() {
    let server = serve(fast).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    let names: Vec<String> = (0..100).map(|n| format!("v{n}")).collect();
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    for id in &ids {
        node.follow(id, &url(&server), &session, &json!({}));
    }
    node.ready(&ids);
    let tag = node.texts("a", &session, 0..600);
    assert_eq!(node.answer("a", tag)["failed"], json!([]));
    for report in node.seen(&ids, 600) {
        assert_whole(&report, 0..600);
        assert_eq!(report["doubled"], 0, "{report}");
        assert_eq!(report["connects"], 1, "{report}");
    }
}

// Beyond the list: a shutdown.
#[tokio::test(flavor = "multi_thread")]
async fn clients_come_back_by_themselves_after_a_shutdown() {
    let server = serve(fast).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    let options = json!({ "transports": ["websocket"], "reconnectionDelay": 50 });
    let polling = json!({ "transports": ["polling"], "reconnectionDelay": 50 });
    node.open_with("websocket", &url(&server), &options, &[]);
    node.open_with("polling", &url(&server), &polling, &[]);
    for id in ["websocket", "polling"] {
        node.next(id, "connect");
        node.create(id);
    }
    let address = server.local_addr();
    let begun = std::time::Instant::now();
    server.shutdown().await;
    let took = begun.elapsed();
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    for id in ["websocket", "polling"] {
        let lost = node.next(id, "disconnect");
        assert_ne!(lost["reason"], "io server disconnect", "{id}");
        assert_eq!(lost["active"], true, "{id}");
    }
    let _server = serve(|config| config.listen = address).await;
    for id in ["websocket", "polling"] {
        node.next(id, "connect");
        node.create(id);
    }
}

// Beyond the list: a drain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_let_go_long_before_the_end_of_a_drain_whatever_their_transport() {
    let server = serve(|config| {
        config.drain_wait = Duration::ZERO;
        config.drain_time = Duration::from_secs(600);
    })
    .await;
    let Some(mut node) = Node::start() else {
        return;
    };
    let both = ["polling", "websocket"];
    for (id, transports) in [
        ("websocket", &both[1..]),
        ("polling", &both[..1]),
        ("both", &both[..]),
    ] {
        let options = json!({ "transports": transports, "reconnectionDelay": 50 });
        node.open_with(id, &url(&server), &options, &[]);
        node.next(id, "connect");
        node.create(id);
    }
    let server = std::sync::Arc::new(server);
    let draining = std::sync::Arc::clone(&server);
    let drain = tokio::spawn(async move { draining.drain().await });
    for id in ["websocket", "polling", "both"] {
        let lost = node.next(id, "disconnect");
        assert_ne!(lost["reason"], "io server disconnect", "{id}");
        assert_eq!(lost["active"], true, "{id}");
    }
    common::in_time(drain).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_with_open_sockets_frees_the_data_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || {
        serve(|config| {
            config.data = Some(directory.path().to_owned());
        })
    };
    let server = open().await;
    let mut joined = Raw::connect(&server).await;
    let session = joined.create().await;
    // It neither reads nor goes away.
    let idle = Raw::connect(&server).await;
    server.shutdown().await;
    // The library ends its own tasks a little later.
    let again = async {
        loop {
            let mut config = common::config();
            config.data = Some(directory.path().to_owned());
            match Server::bind(config).await {
                Ok(server) => return server,
                Err(BindError::Store(_)) => sleep(Duration::from_millis(20)).await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    let again = timeout(Duration::from_secs(20), again).await;
    let again = again.expect("the directory is free");
    let mut back = Raw::connect(&again).await;
    back.emit("session:reconnect", &about(&session)).await;
    back.event("session:reconnected").await;
    drop((joined, idle));
}

// A message that another speaker has said is told as it changes, and in a history.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_told_that_a_message_is_of_another_speaker() {
    let lines: &'static [&'static str] = &["the pump is leaking"];
    let recognizer = std::sync::Arc::new(common::prompter::Prompter(lines));
    let server = serve(|config| config.recognizer = recognizer).await;
    let mut raw = Raw::connect(&server).await;
    let session = raw.create().await;
    let request = common::start_request();
    let (mut speaker, id) = common::Client::started(&server, &session, &request).await;
    let audio = symbl_service::recognizer::scripted::silence(Duration::from_millis(600), 16_000);
    speaker.send_audio(&common::linear16(&audio)).await;
    let message = raw.event("message:received").await;
    let user = json!({"id": "derek", "name": "Derek"});
    let body = json!({"speakerEvents": [
        {"type": "started_speaking", "user": user, "offset": {"seconds": 0}},
    ]});
    let request = format!("PUT /v1/conversations/{id}/speakers");
    let (head, _) = common::http(&server, &request, &body.to_string()).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let told = raw.event("conversation:attributed").await;
    let expected = json!([{
        "member": {"id": "derek", "name": "Derek", "user_id": null},
        "message_ids": [message["message_id"]],
    }]);
    assert_eq!(told["attributions"], expected);
    assert!(told["seq"].as_u64() > message["seq"].as_u64(), "{told}");
    let mut late = Raw::connect(&server).await;
    late.emit("session:reconnect", &about(&session)).await;
    late.event("session:reconnected").await;
    late.emit("session:history:sync", &about(&session)).await;
    let history = late.event("session:history:synced").await;
    let history = history.as_array().expect("a history");
    assert!(
        history.contains(&json!(["conversation:attributed", told])),
        "{history:?}"
    );
}
