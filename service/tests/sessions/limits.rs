// SPDX-License-Identifier: MPL-2.0

//! Limits, and clients that respect none.

use crate::common::{Client, http, in_time, start_request};
use crate::driver::Node;
use crate::raw::Raw;
use crate::{about, serve, text, url};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use symbl_service::Server;
use tokio::time::sleep;

/// Returns how many sockets of sessions are open.
async fn sockets(server: &Server) -> u64 {
    let (_, metrics) = http(server, "GET /metrics", "").await;
    let name = "symbl_service_sockets{kind=\"session\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.expect("the metric").parse().expect("a number")
}

/// Waits until so many sockets of sessions are open.
async fn until_open(server: &Server, number: u64) {
    in_time(async {
        while sockets(server).await != number {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

// 33
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_2_mb_ends_its_connection_and_no_other() {
    let server = serve(|_| {}).await;
    let (mut large, mut other) = (Raw::connect(&server).await, Raw::connect(&server).await);
    let session = other.create().await;
    let filler = "x".repeat(2 << 20);
    large.emit("message:send", &text(&session, &filler)).await;
    assert_eq!(large.next().await, None, "the connection has ended");
    other
        .emit("message:send", &text(&session, &"x".repeat(9_000)))
        .await;
    let error = other.event("message:send:error").await;
    assert_eq!(error["error_code"], "payload_too_large");
    other.emit("session:history:sync", &about(&session)).await;
    assert_eq!(other.event("session:history:synced").await, json!([]));
    other.stay();
    until_open(&server, 1).await;
}

// 33, over polling
#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_of_a_poll_is_refused() {
    let server = serve(|_| {}).await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let (_, open) = http(&server, &format!("GET {path}"), "").await;
    let open: serde_json::Value = serde_json::from_str(&open[1..]).expect("an open packet");
    assert_eq!(open["pingInterval"], 10_000);
    assert_eq!(open["pingTimeout"], 5_000);
    assert_eq!(open["maxPayload"], 65_536);
    let sid = open["sid"].as_str().expect("an id");
    let body = format!("40{{\"token\":\"{}\"}}", "x".repeat(70_000));
    let (head, _) = http(&server, &format!("POST {path}&sid={sid}"), &body).await;
    assert!(!head.starts_with("http/1.1 200"), "{head}");
}

// 34
#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_rate_is_refused_and_the_socket_stays() {
    let server = serve(|_| {}).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    let tag = node.texts("a", &session, 0..100);
    let failed = node.answer("a", tag)["failed"].clone();
    let failed = failed.as_array().expect("a list");
    assert!((50..=80).contains(&failed.len()), "{}", failed.len());
    assert!(failed.iter().all(|failed| failed[1] == "rate_limited"));
    let events = node.events("a");
    let errors = events
        .iter()
        .filter(|(name, _)| name == "message:send:error");
    assert_eq!(errors.count(), failed.len());
    assert_eq!(node.history("a", &session).len(), 100 - failed.len());
    let tags: Vec<u64> = (0..20)
        .map(|_| node.asks("a", "session:reconnect", &[about(&session)]))
        .collect();
    let answers: Vec<_> = tags.into_iter().map(|tag| node.answer("a", tag)).collect();
    let refused = answers
        .iter()
        .filter(|answer| answer["error_code"] == "rate_limited");
    let refused = refused.count();
    assert!((10..=17).contains(&refused), "{answers:?}");
    assert_eq!(node.next_text("a", &session), "still here");
}

impl Node {
    /// Asks again and again until the rate allows it, and returns the answer.
    fn ask_in_time(&mut self, id: &str, name: &str, payload: &Value) -> Value {
        let end = Instant::now() + crate::driver::PATIENCE;
        loop {
            let answer = self.ask(id, name, std::slice::from_ref(payload));
            if answer["error_code"] != "rate_limited" {
                return answer;
            }
            assert!(Instant::now() < end, "{name} is never allowed");
            // What is refused counts, too.
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Sends a text, and returns the last text of the history.
    fn next_text(&mut self, id: &str, session: &str) -> String {
        let sent = self.ask_in_time(id, "message:send", &text(session, "still here"));
        assert_eq!(sent["ok"], true, "{sent}");
        let synced = self.ask_in_time(id, "session:history:sync", &about(session));
        assert_eq!(synced["ok"], true, "{synced}");
        let history = self.event(id, "session:history:synced");
        let last = history.as_array().and_then(|history| history.last());
        let last = &last.expect("texts")[1];
        last["input"]["text"].as_str().expect("a text").to_owned()
    }
}

// Beyond the list.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_full_says_so() {
    let server = serve(|config| config.limits.session_sockets = 1).await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let options = json!({ "transports": ["websocket"] });
    node.open_with("b", &url(&server), &options, &[]);
    assert_eq!(node.next("b", "connect_error")["message"], "server_busy");
    node.close("a");
    until_open(&server, 0).await;
    node.connect("b");
    node.next("b", "connect");
}

// 8
#[tokio::test(flavor = "multi_thread")]
async fn hostile_packets_end_at_most_their_own_connection() {
    let server = serve(|_| {}).await;
    let mut good = Raw::connect(&server).await;
    let session = good.create().await;
    let deep = format!("42[\"message:send\",{}", "[".repeat(30_000));
    let deep_inside = format!(
        "42[\"message:send\",{{\"session_id\":\"s\",\"timestamp\":1,\"x\":{}{}}}]",
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let long_name = format!("42[\"{}\",{{}}]", "n".repeat(60_000));
    let packets = [
        "",
        "4",
        "42",
        "42[",
        "42[]",
        "42[1]",
        "42[null,null]",
        "42{}",
        "42\"x\"",
        "2",
        "3",
        "6",
        "40",
        "40{}",
        "40{\"token\":",
        "41",
        "43[]",
        "431[]",
        "44",
        "45",
        "451-",
        "46",
        "47x",
        "451-[\"message:send\",{\"_placeholder\":true,\"num\":0}]",
        "459999999999-[\"message:send\"]",
        "42999999999999999999999[\"message:send\"]",
        "42/other,[\"message:send\"]",
        "4é",
        "42é[\"é\"]",
        "42[\"message:send\",\"\\ud800\"]",
        "42[\"connect\",{}]",
        "42[\"disconnect\",{}]",
        "42[\"\",{}]",
        "b",
        "bAAAA",
        &deep,
        &deep_inside,
        &long_name,
    ];
    for packet in packets {
        let mut hostile = Raw::connect(&server).await;
        hostile.send(packet).await;
        // It is answered, or its connection ends.
        hostile.emit("a:fence", &json!({})).await;
        hostile.send("41").await;
        hostile.send("1").await;
        while hostile.next().await.is_some() {}
    }
    // Binary data that was announced never comes; another event does.
    let mut hostile = Raw::connect(&server).await;
    hostile
        .send("451-[\"message:send\",{\"_placeholder\":true,\"num\":0}]")
        .await;
    hostile
        .emit("session:create", &json!({ "timestamp": 1 }))
        .await;
    assert_eq!(hostile.next().await, None);
    good.emit("message:send", &text(&session, "still here"))
        .await;
    good.emit("session:history:sync", &about(&session)).await;
    let history = good.event("session:history:synced").await;
    assert_eq!(history[0][1]["input"]["text"], "still here");
    good.stay();
    until_open(&server, 1).await;
}

// Web pages of another origin.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_open_no_socket_of_a_service_without_credentials() {
    let server = serve(|_| {}).await;
    let own = format!("http://{}", server.local_addr());
    for (origin, may) in [("https://evil.example", false), (own.as_str(), true)] {
        let opened = Raw::open(&server, &[("Origin", origin)]).await;
        assert_eq!(opened.is_ok(), may, "{origin}");
        let path = "/socket.io/?EIO=4&transport=polling";
        let (_, open) = http(&server, &format!("GET {path}"), "").await;
        let open: serde_json::Value = serde_json::from_str(&open[1..]).expect("an open packet");
        let sid = open["sid"].as_str().expect("an id");
        let post = format!("POST {path}&sid={sid} HTTP/1.1\r\nOrigin: {origin}\r\nX-Rest:");
        let (head, _) = http(&server, &post, "40").await;
        let expected = if may { "http/1.1 200" } else { "http/1.1 403" };
        assert!(head.starts_with(expected), "{origin}: {head}");
    }
    // DNS rebinding: the page's own name leads to this address.
    let foreign =
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: evil.example\r\nX-Rest:";
    let (head, _) = http(&server, foreign, "").await;
    assert!(!head.starts_with("http/1.1 200"), "{head}");
}

// 29: a client that reads nothing delays the others by nothing, and is gone in the end.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_nothing_are_disconnected_and_delay_no_other() {
    let server = serve(|config| {
        config.limits.session_sends = 10_000;
        config.limits.session_inbox = 10_000;
    })
    .await;
    let (mut sender, mut reader) = (Raw::connect(&server).await, Raw::connect(&server).await);
    let session = sender.create().await;
    reader.emit("session:reconnect", &about(&session)).await;
    reader.event("session:reconnected").await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::connect(&server).await;
        raw.emit("session:reconnect", &about(&session)).await;
        raw.event("session:reconnected").await;
        stalled.push(raw);
    }
    assert_eq!(sockets(&server).await, 22);
    // More than the kernel and the service keep for a client.
    let filler = "x".repeat(8_000);
    let mut longest = Duration::ZERO;
    for n in 0..1_200 {
        let begun = std::time::Instant::now();
        sender
            .emit("message:send", &text(&session, &format!("{n} {filler}")))
            .await;
        let seen = reader.event("message:send:sync").await;
        longest = longest.max(begun.elapsed());
        sender.catch_up();
        let words = seen["input"]["text"].as_str().expect("a text");
        assert!(words.starts_with(&format!("{n} ")), "in order");
    }
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    for raw in [sender, reader] {
        raw.stay();
    }
    until_open(&server, 2).await;
    drop(stalled);
}

// 17
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_as_soon_as_it_may_is_always_answered() {
    let server = serve(|_| {}).await;
    let mut first = Raw::connect(&server).await;
    let session = first.create().await;
    for _ in 0..5 {
        let joins = (0..200).map(|_| async {
            let mut raw = Raw::connect(&server).await;
            raw.emit("session:reconnect", &about(&session)).await;
            raw.event("session:reconnected").await
        });
        let joined = futures_util::future::join_all(joins).await;
        assert_eq!(joined.len(), 200);
    }
}

// Beyond the list: the metrics count, and a speaker's socket is no session's.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_sockets_and_events_of_sessions() {
    let server = serve(|_| {}).await;
    let mut raw = Raw::connect(&server).await;
    let session = raw.create().await;
    let (speaker, _) = Client::started(&server, &session, &start_request()).await;
    raw.event("conversation:member_joined").await;
    assert_eq!(sockets(&server).await, 1);
    let (_, metrics) = http(&server, "GET /metrics", "").await;
    let name = "symbl_service_session_events_total ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let events: u64 = line.expect("the metric").parse().expect("a number");
    assert!(events >= 2, "{events}");
    drop(speaker);
}

#[tokio::test]
async fn a_service_that_drains_cuts_each_connection_so_that_its_client_comes_back() {
    let server = serve(|config| config.drain_time = Duration::from_secs(600)).await;
    let mut first = Raw::connect(&server).await;
    first.create().await;
    let mut second = Raw::connect(&server).await;
    second.create().await;
    // Without a packet that disconnects (41), which would keep a client away.
    let ends = async { (first.next().await, second.next().await) };
    let ((), ends) = in_time(async { tokio::join!(server.drain(), ends) }).await;
    assert_eq!(ends, (None, None));
}
