// SPDX-License-Identifier: MPL-2.0

//! Before there is a WebSocket: bytes that are no request, requests that do not
//! end, connections that say nothing.

use crate::common::*;
use crate::raw::Raw;
use serde_json::Value;
use std::time::Duration;
use symbl_service::{Limits, Server};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

async fn with(change: impl FnOnce(&mut Limits)) -> Server {
    let mut config = config();
    change(&mut config.limits);
    Server::bind(config).await.expect("a free port")
}

async fn assert_serves(server: &Server) {
    let (_client, _) = Client::started(server, "honest", &start_request()).await;
    let (head, _) = http(server, "GET /healthz", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused_and_the_connection_is_closed() {
    let server = server().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000));
    let header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    for (bytes, expected) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
            "400",
        ),
        (b"\0\0\0\0\0\0\0\0\r\n\r\n", "400"),
        (b"FOO\r\n\r\n", "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "400"),
        (b"GET /v1/streaming/\0 HTTP/1.1\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        (long.as_bytes(), "431"),
        (header.as_bytes(), "431"),
        (many.as_bytes(), "431"),
    ] {
        let mut raw = Raw::connect(&server).await;
        raw.send(bytes).await;
        let answer = raw.text().await;
        let told = answer.strip_prefix("HTTP/1.1 ").unwrap_or_default();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        // Bytes that were not read any more end a connection by a reset, which may
        // overtake the answer.
        let reset = answer.is_empty() && bytes.len() > 100_000;
        assert!(told.starts_with(expected) || reset, "{shown:?}: {answer:?}");
    }
    assert_serves(&server).await;
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_405_with_a_message() {
    let server = server().await;
    for path in [
        "/v1/streaming/x",
        "/v1/realtime/insights/x",
        "/v1/subscribe/x",
        "/oauth2/token:generate",
        "/v1/conversations",
        "/v1/conversations/1/messages",
        "/v1/manage/tracker",
        "/healthz",
    ] {
        // OPTIONS is the question of a web page, and has its answer.
        for method in ["TRACE", "CONNECT", "PATCH", "BREW"] {
            let (head, body) = http(&server, &format!("{method} {path}"), "").await;
            assert!(head.starts_with("http/1.1 405"), "{method} {path}: {head}");
            let body: Value = serde_json::from_str(&body).expect("JSON");
            assert!(body["message"].is_string(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_is_not_waited_for() {
    let server = with(|limits| limits.handshake = Duration::from_millis(100)).await;
    for begun in [
        "",
        "G",
        "GET /v1/streaming/x HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    ] {
        let mut all = Vec::new();
        for _ in 0..50 {
            let mut raw = Raw::connect(&server).await;
            raw.send(begun.as_bytes()).await;
            all.push(raw);
        }
        for mut raw in all {
            raw.rest().await;
        }
    }
    assert_serves(&server).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let server = with(|limits| limits.request = Duration::from_millis(100)).await;
    for path in ["POST /oauth2/token:generate", "POST /v1/manage/tracker"] {
        let mut raw = Raw::connect(&server).await;
        let head = format!(
            "{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{"
        );
        raw.send(head.as_bytes()).await;
        let answer = raw.text().await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        assert!(answer.contains("{\"message\":"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_before_it_comes() {
    let server = server().await;
    for path in [
        "POST /oauth2/token:generate",
        "POST /v1/manage/tracker",
        "PUT /v1/conversations/1234567890123456/members/x",
    ] {
        let mut raw = Raw::connect(&server).await;
        let head =
            format!("{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n");
        raw.send(head.as_bytes()).await;
        let answer = raw.text().await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        assert!(answer.contains("{\"message\":"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_without_a_websocket_ends_whatever_it_does() {
    let server = with(|limits| {
        limits.handshake = NEVER;
        limits.request = Duration::from_millis(100);
    })
    .await;
    let mut raw = Raw::connect(&server).await;
    raw.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let answer = raw.text().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn half_open_connections_are_bound_and_the_next_one_is_told_to_come_later() {
    let most = 8;
    let server = with(|limits| {
        limits.handshakes = most;
        limits.handshake = NEVER;
        limits.request = NEVER;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..most {
        silent.push(Raw::connect(&server).await);
    }
    let refused = Raw::connect(&server).await.text().await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("\r\nRetry-After: 1\r\n"), "{refused}");
    assert!(refused.contains("{\"message\":"), "{refused}");
    drop(silent);
    // Those that became WebSockets do not count.
    let mut sockets = Vec::new();
    in_time(async {
        while sockets.len() < 2 * most {
            let path = format!("/v1/streaming/{}", sockets.len());
            if let Ok((client, _)) = Client::open(&server, &path, &[]).await {
                sockets.push(client);
            }
        }
    })
    .await;
    sockets[0].start(&start_request()).await;
}
