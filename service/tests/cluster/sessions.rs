// SPDX-License-Identifier: MPL-2.0

//! Sessions on several nodes, with the unmodified `socket.io-client` and the connection and the
//! outbox of the service's page.

use super::driver::{Node, PATIENCE, about, numbers, text};
use super::valve::{Target, Valve};
use super::*;
use std::net::SocketAddr;
use std::time::Instant;

fn url_of(place: &impl Place) -> String {
    format!("http://{}", place.address())
}

fn url_at(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Opens a page without views: its connection, its state and its outbox.
fn open_page(node: &mut Node, id: &str, url: &str, session: &str) {
    node.command(&json!({ "do": "page", "id": id, "url": url, "session": session }));
}

/// Puts texts into the outbox of a page.
fn write(node: &mut Node, id: &str, texts: &[&str]) {
    node.command(&json!({ "do": "write", "id": id, "texts": texts }));
}

/// Waits until a page shows as many texts and its outbox has this many, and returns the
/// texts.
fn shown(node: &mut Node, id: &str, texts: usize, waiting: usize) -> Vec<String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let tag = node.tag();
        node.command(&json!({ "do": "shown", "id": id, "tag": tag }));
        let shown = node.answer("", tag);
        let items = shown["texts"].as_array().expect("texts");
        if items.len() == texts && shown["waiting"] == waiting {
            let items = items.iter().map(|text| text.as_str().expect("a text"));
            return items.map(str::to_owned).collect();
        }
        assert!(Instant::now() < end, "{texts} and {waiting}: {shown}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the texts of clients in a history.
fn texts(history: &[Value]) -> Vec<String> {
    let sent = history.iter().filter(|item| item[0] == "message:send");
    let texts = sent.map(|item| item[1]["input"]["text"].as_str().expect("a text"));
    texts.map(str::to_owned).collect()
}

/// Returns the ids of the events of this name that came to a socket and were not asked for.
fn ids_of(node: &mut Node, socket: &str, name: &str) -> Vec<String> {
    let rest = node.rest(socket);
    let events = rest.iter().filter(|(event, _)| event == name);
    let ids = events.map(|(_, payload)| payload["event_id"].as_str().expect("an id"));
    ids.map(str::to_owned).collect()
}

// 29
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_comes_to_every_client_once_on_every_node_and_never_to_its_sender() {
    let (Some(postgres), Some(mut node)) = (Postgres::shared(), Node::start()) else {
        return;
    };
    let database = postgres.database();
    let [a, b] = [super::node(&database).await, super::node(&database).await];
    node.open("sender", &url_of(&a), &json!({}));
    let session = node.create("sender");
    let mut hearing = 0;
    for (id, place) in [("here", &a), ("there", &b)] {
        node.open(id, &url_of(place), &json!({}));
        assert_eq!(node.join(id, &session)["session_id"], session.as_str());
        hearing += 1;
    }
    assert_eq!(hearing, 2);
    // The same text three times, on the connection of its sender and on another node.
    let mut sent = text(&session, "Hello");
    sent["client_id"] = "one".into();
    let answers: Vec<Value> = ["sender", "sender", "there"]
        .into_iter()
        .map(|id| node.ask(id, "message:send", &[sent.clone()]))
        .collect();
    for answer in &answers {
        assert_eq!(answer["ok"], true, "{answer}");
        assert_eq!(answer["event_id"], answers[0]["event_id"], "{answer}");
    }
    let first = answers[0]["event_id"].as_str().expect("an id").to_owned();
    let second = node.ask("there", "message:send", &[text(&session, "Hello yourself")]);
    let second = second["event_id"].as_str().expect("an id").to_owned();
    // What a speaker says on one node is the mark behind which nothing more comes.
    let (mut ada, _) = Client::started(&b, &session, &start_as("Ada", 60)).await;
    ada.send_audio(&said(0..2)).await;
    let mut heard = Vec::new();
    for id in ["sender", "here", "there"] {
        heard.push(node.event(id, "message:received")["event_id"].clone());
    }
    assert!(heard.iter().all(|id| *id == heard[0]), "{heard:?}");
    let expected = [
        ("sender", vec![second.clone()]),
        ("here", vec![first.clone(), second.clone()]),
        ("there", vec![first.clone()]),
    ];
    for (id, ids) in expected {
        assert_eq!(ids_of(&mut node, id, "message:send:sync"), ids, "{id}");
    }
    let here = node.history("here", &session);
    assert_eq!(node.history("there", &session), here);
    let in_order: Vec<u64> = numbers(&here);
    assert!(in_order.is_sorted(), "{in_order:?}");
    let ids: Vec<&str> = here
        .iter()
        .map(|item| item[1]["event_id"].as_str().expect("an id"))
        .collect();
    for id in [first.as_str(), &second, heard[0].as_str().expect("an id")] {
        assert_eq!(ids.iter().filter(|known| **known == id).count(), 1, "{id}");
    }
    assert_eq!(texts(&here), ["Hello", "Hello yourself"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_closed_and_expires_on_every_node() {
    let (Some(postgres), Some(mut node)) = (Postgres::shared(), Node::start()) else {
        return;
    };
    let database = postgres.database();
    let serve = async || {
        let mut config = configured(&database);
        config.limits.session_inactivity = Duration::from_secs(3);
        config.limits.session_keep_alive = Duration::from_secs(3);
        Server::bind(config).await.expect("a node")
    };
    let [a, b] = [serve().await, serve().await];
    node.open("here", &url_of(&a), &json!({}));
    let session = node.create("here");
    node.open("there", &url_of(&b), &json!({}));
    assert_eq!(node.join("there", &session)["status"], "active");
    for id in ["here", "there"] {
        let closed = node.event(id, "session:closed");
        assert_eq!(closed["status"], "closed", "{id}");
    }
    for id in ["here", "there"] {
        let answer = node.ask(id, "message:send", &[text(&session, "too late")]);
        assert_eq!(answer["error_code"], "session_closed", "{id}");
    }
    for id in ["here", "there"] {
        node.event(id, "session:expired");
    }
    for id in ["here", "there"] {
        let answer = node.ask(id, "session:reconnect", &[about(&session)]);
        assert_eq!(answer["error_code"], "invalid_session", "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_whose_node_dies_before_it_is_acknowledged_is_stored_once_by_another() {
    let (Some(postgres), Some(mut node)) = (Postgres::shared(), Node::start()) else {
        return;
    };
    let database = postgres.database();
    let [a, b, c] = [process(&database), process(&database), process(&database)];
    postgres.ask(&database, pauses::PAUSE);
    // A balancer leads to one node, and then to another.
    let balancer = Valve::to(Target::Tcp(a.address)).await;
    let by_balancer = url_at(balancer.address);
    node.open("creator", &url_of(&b), &json!({}));
    let session = node.create("creator");
    node.follow("there", &url_of(&b), &session, &json!({}));
    node.follow("moves", &by_balancer, &session, &json!({}));
    open_page(&mut node, "page", &by_balancer, &session);
    node.ready(&["there", "moves"]);
    write(&mut node, "page", &["zero"]);
    assert_eq!(shown(&mut node, "page", 1, 0), ["zero"]);
    node.seen(&["there", "moves"], 1);
    postgres.ask(&database, "UPDATE pause SET is_on = true");
    write(&mut node, "page", &["one"]);
    until_it_says(postgres, &database, "SELECT is_called FROM paused", "t").await;
    // The commit comes while no node is there that could acknowledge it.
    signal(&a, Signal::SIGSTOP);
    postgres.ask(&database, "UPDATE pause SET is_on = false");
    let stored = "SELECT count(*) FROM entry WHERE kind = 'sent'";
    until_it_says(postgres, &database, stored, "2").await;
    a.kill();
    // The page is offline, and goes on writing.
    write(&mut node, "page", &["two", "three"]);
    assert_eq!(shown(&mut node, "page", 1, 3), ["zero"]);
    balancer.lead_to(Target::Tcp(c.address));
    let all = ["zero", "one", "two", "three"];
    assert_eq!(shown(&mut node, "page", 4, 0), all);
    for report in node.seen(&["there", "moves"], 4) {
        assert_eq!(report["texts"], json!(all), "{report}");
        assert_eq!(report["inOrder"], true, "{report}");
    }
    let reports = node.report(&["there", "moves"]);
    assert_eq!(reports[0]["connects"], 1, "{reports:?}");
    assert_eq!(reports[0]["doubled"], 0, "{reports:?}");
    assert!(reports[1]["connects"].as_u64() >= Some(2), "{reports:?}");
    assert_eq!(postgres.ask(&database, stored), "4");
    node.open("last", &url_of(&c), &json!({}));
    node.join("last", &session);
    let history = node.history("last", &session);
    assert_eq!(node.history("creator", &session), history);
    assert_eq!(texts(&history), all);
}
