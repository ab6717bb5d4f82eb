// SPDX-License-Identifier: MPL-2.0

//! Who and what is not let in, and what a client is told that gets less than it asked for.

use crate::common::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use symbl_service::recognizer::scripted::{Scripted, speech};
use symbl_service::recognizer::{Recognizer, RecognizerError, RecognizerStream, StreamOptions};
use symbl_service::{Auth, BindError, Server, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TRACKER: &str = r#"{"name":"Price","vocabulary":["cost"]}"#;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Sends a request with exactly these headers. Returns its status and its answer.
async fn send(server: &Server, request: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let length = body.len();
    let text = format!("{request} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    // A socket that is accepted stays open: its status is enough.
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        match in_time(stream.read(&mut part)).await.expect("an answer") {
            0 => break,
            length => answer.extend(&part[..length]),
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect(&answer), answer)
}

async fn bind(change: impl FnOnce(&mut ServerConfig)) -> Server {
    let mut config = config();
    change(&mut config);
    Server::bind(config).await.expect("a free port")
}

fn app(id: &str, secret: &str) -> Auth {
    Auth::App {
        id: id.into(),
        secret: secret.into(),
    }
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_to_the_service_reads_and_changes_nothing() {
    let server = server().await;
    let rebound = "Host: evil.example:8787\r\n";
    let json = format!("{rebound}Content-Type: application/json\r\n");
    for (request, headers, body) in [
        ("GET /v1/conversations", rebound, ""),
        ("GET /metrics", rebound, ""),
        ("POST /v1/manage/trackers", &json, TRACKER),
        ("POST /oauth2/token:generate", &json, "{}"),
        ("GET /v1/streaming/x", &format!("{rebound}{UPGRADE}"), ""),
        ("GET /v1/subscribe/x", &format!("{rebound}{UPGRADE}"), ""),
    ] {
        let (status, answer) = send(&server, request, headers, body).await;
        assert_eq!(status, 403, "{request}: {answer}");
        assert!(answer.contains("--allow-host"), "{answer}");
    }
    let probe = send(&server, "GET /healthz", rebound, "").await;
    assert_eq!(probe.0, 200, "{}", probe.1);
    for host in [
        "localhost:8787",
        "127.0.0.1",
        "[::1]:8787",
        "192.0.2.7:8787",
    ] {
        let host = format!("Host: {host}\r\n");
        let (status, answer) = send(&server, "GET /v1/conversations", &host, "").await;
        assert_eq!(status, 200, "{host}: {answer}");
    }
    // Nothing was changed.
    let listed = send(
        &server,
        "GET /v1/manage/trackers",
        "Host: localhost\r\n",
        "",
    )
    .await;
    assert!(listed.1.contains(r#"{"trackers":[]}"#), "{}", listed.1);
}

#[tokio::test]
async fn a_name_that_is_allowed_or_guarded_by_credentials_is_served() {
    let named = bind(|config| config.hosts = vec!["captions.example".parse().unwrap()]).await;
    let host = "Host: captions.example\r\n";
    assert_eq!(send(&named, "GET /v1/conversations", host, "").await.0, 200);
    let guarded = bind(|config| config.auth = app("a", "s")).await;
    assert_eq!(
        send(&guarded, "GET /v1/conversations", host, "").await.0,
        401
    );
    let page = format!("{host}Origin: https://app.example\r\n{UPGRADE}");
    assert_eq!(
        send(&guarded, "GET /v1/streaming/x", &page, "").await.0,
        401
    );
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_socket_and_changes_nothing() {
    let server = bind(|config| config.origins = vec!["https://app.example".parse().unwrap()]).await;
    let own = format!("http://{}", server.local_addr());
    for (origin, allowed) in [
        ("http://evil.example", false),
        ("null", false),
        ("https://app.example", true),
        ("http://localhost:3000", true),
        // Some WebSocket libraries that are no browser's say this.
        (own.as_str(), true),
    ] {
        let headers = format!("Host: {}\r\nOrigin: {origin}\r\n", server.local_addr());
        let json = format!("{headers}Content-Type: application/json\r\n");
        let name = format!(r#"{{"name":"{origin}","vocabulary":["cost"]}}"#);
        for (request, headers, body, good) in [
            ("POST /v1/manage/trackers", &json, name.as_str(), 200),
            ("DELETE /v1/manage/trackers/1", &json, "", 404),
            ("PUT /v1/conversations/1/members/x", &json, "{}", 404),
            (
                "GET /v1/streaming/x",
                &format!("{headers}{UPGRADE}"),
                "",
                101,
            ),
        ] {
            let expected = if allowed { good } else { 403 };
            let (status, answer) = send(&server, request, headers, body).await;
            assert_eq!(status, expected, "{origin}, {request}: {answer}");
            assert!(allowed || answer.contains("--allow-origin"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_form_or_plain_text_changes_nothing() {
    for auth in [Auth::None, app("a", "s")] {
        let server = bind(|config| config.auth = auth).await;
        for kind in [
            "",
            "Content-Type: text/plain\r\n",
            "Content-Type: application/x-www-form-urlencoded\r\n",
        ] {
            let headers = format!("Host: localhost\r\n{kind}");
            for request in ["POST /v1/manage/trackers", "PUT /v1/manage/tracker/1"] {
                let (status, answer) = send(&server, request, &headers, TRACKER).await;
                assert_eq!(status, 415, "{kind}: {answer}");
                assert!(answer.contains("application/json"), "{answer}");
            }
        }
    }
}

async fn token(server: &Server, id: &str, secret: &str) -> String {
    let body = json!({"type": "application", "appId": id, "appSecret": secret}).to_string();
    let (head, answer) = http(server, "POST /oauth2/token:generate", &body).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["accessToken"].as_str().expect("a token").to_owned()
}

/// Starts a service on this directory.
async fn on(data: &Path, auth: Auth) -> Server {
    bind(|config| {
        config.data = Some(data.to_owned());
        config.auth = auth;
    })
    .await
}

#[tokio::test]
async fn a_token_dies_with_its_application_its_secret_and_its_time_without_credentials() {
    let data = tempfile::tempdir().expect("a directory");
    let path = "/v1/streaming/x";
    let open = on(data.path(), Auth::None).await;
    let anybodys = token(&open, "a", "any").await;
    open.shutdown().await;
    let first = on(data.path(), app("a", "old-secret")).await;
    let old = token(&first, "a", "old-secret").await;
    first.shutdown().await;
    let again = on(data.path(), app("a", "old-secret")).await;
    assert!(
        Client::open(&again, path, &[("X-API-KEY", &old)])
            .await
            .is_ok()
    );
    assert!(
        Client::open(&again, path, &[("X-API-KEY", &anybodys)])
            .await
            .is_err()
    );
    again.shutdown().await;
    for auth in [app("a", "new-secret"), app("b", "old-secret")] {
        let rotated = on(data.path(), auth).await;
        for token in [&old, &anybodys] {
            assert!(
                Client::open(&rotated, path, &[("X-API-KEY", token)])
                    .await
                    .is_err()
            );
            let header = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n");
            let read = send(&rotated, "GET /v1/conversations", &header, "").await;
            assert_eq!(read.0, 401, "{}", read.1);
        }
        rotated.shutdown().await;
    }
}

#[tokio::test]
async fn credentials_that_are_empty_are_none() {
    for (id, secret, named) in [("a", "", "secret"), ("a", " ", "secret"), ("", "s", "id")] {
        let mut config = config();
        config.auth = app(id, secret);
        let error = Server::bind(config).await.expect_err("refused");
        assert!(matches!(error, BindError::Credentials { .. }), "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[tokio::test]
async fn guessing_credentials_is_answered_with_429_whatever_the_guess() {
    let server = bind(|config| config.auth = app("a", "s")).await;
    let guess = |secret: String| {
        let body = json!({"type": "application", "appId": "a", "appSecret": secret}).to_string();
        let server = &server;
        async move {
            let headers = "Host: localhost\r\nContent-Type: application/json\r\n";
            send(server, "POST /oauth2/token:generate", headers, &body).await
        }
    };
    let known = token(&server, "a", "s").await;
    for number in 0..30 {
        assert_eq!(guess(number.to_string()).await.0, 401);
    }
    // One more is looked at every two seconds, and that may be the right one.
    let mut tries = 0;
    let answer = loop {
        in_time(async { while guess("wrong".to_owned()).await.0 != 429 {} }).await;
        let (status, answer) = guess("s".to_owned()).await;
        if status == 429 {
            break answer;
        }
        tries += 1;
        assert!(tries < 10, "it is told that this one is right");
    };
    let wait = answer.to_ascii_lowercase();
    let wait = wait.split("retry-after: ").nth(1).expect("a header");
    let wait: u64 = wait.split("\r\n").next().expect("a line").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    // Tokens that cannot be guessed are no guesses: clients that are in come again.
    let path = "/v1/streaming/x";
    assert!(
        Client::open(&server, path, &[("X-API-KEY", &known)])
            .await
            .is_ok()
    );
    let wrong = format!("Host: localhost\r\nX-API-KEY: wrong\r\n{UPGRADE}");
    let upgrade = format!("GET {path}");
    in_time(async { while send(&server, &upgrade, &wrong, "").await.0 != 429 {} }).await;
}

#[tokio::test]
async fn the_head_of_a_request_may_have_64_kib_and_no_more() {
    let server = server().await;
    let head = |length: usize| {
        let frame = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: \r\n\r\n".len();
        format!(
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
            "x".repeat(length - frame)
        )
    };
    for (length, expected) in [(65_536, "HTTP/1.1 200"), (65_537, "HTTP/1.1 431")] {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        let text = head(length);
        assert_eq!(text.len(), length);
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        in_time(stream.read_exact(&mut answer))
            .await
            .expect("an answer");
        assert_eq!(std::str::from_utf8(&answer), Ok(expected), "{length} bytes");
    }
}

#[tokio::test]
async fn a_member_is_given_no_name_without_end() {
    let server = server().await;
    let mut request = start_request();
    request["speaker"] = json!({"userId": "a@b.example", "name": "A"});
    let (client, id) = Client::started(&server, "members", &request).await;
    let (_, members) = http(&server, &format!("GET /v1/conversations/{id}/members"), "").await;
    let members: Value = serde_json::from_str(&members).expect("JSON");
    let member = members["members"][0]["id"].as_str().expect("an id");
    let put = format!("PUT /v1/conversations/{id}/members/{member}");
    for field in ["name", "email"] {
        for (length, expected) in [(1024, "http/1.1 200"), (1025, "http/1.1 400")] {
            let body = json!({field: "x".repeat(length)}).to_string();
            let (head, answer) = http(&server, &put, &body).await;
            assert!(head.starts_with(expected), "{length}: {head}");
            assert!(length == 1024 || answer.contains("1024"), "{answer}");
        }
    }
    client.close(1000).await;
}

/// Understands Klingon only.
struct Klingon;

impl Recognizer for Klingon {
    fn name(&self) -> &'static str {
        "klingon"
    }

    fn check_language(&self, language: &str) -> Result<(), String> {
        match language {
            "tlh" => Ok(()),
            _ => Err("ask for tlh".to_owned()),
        }
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Scripted.open(options)
    }
}

#[tokio::test]
async fn a_language_that_no_engine_has_is_an_error_before_the_stream_starts() {
    let server = Server::bind(ServerConfig::new(Arc::new(Klingon)))
        .await
        .expect("a port");
    let mut client = Client::connect(&server, "language").await;
    let mut request = start_request();
    request["config"]["languageCode"] = "xx-YY".into();
    client.send_json(&request).await;
    let error = client.next().await;
    assert_eq!(error.json()["type"], "error");
    assert_eq!(error.json()["code"], "unsupported_language");
    let details = error.json()["details"].as_str().expect("a string");
    for part in ["config.languageCode", "xx-YY", "ask for tlh"] {
        assert!(details.contains(part), "{details}");
    }
    // Nothing was started, so nothing is terminated; another language may be tried.
    client.send_text("__PING__").await;
    assert_eq!(client.next().await.kind(), "__PONG__");
    request["config"]["languageCode"] = "tlh".into();
    client.start(&request).await;
}

/// Returns how many streams an engine has.
async fn streams(server: &Server, engine: &str) -> String {
    let (_, metrics) = http(server, "GET /metrics", "").await;
    let name = format!("symbl_service_streams{{recognizer=\"{engine}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&*name));
    line.expect("a count").to_owned()
}

#[tokio::test]
async fn a_stream_has_the_first_engine_that_speaks_its_language() {
    let mut config = ServerConfig::new(Arc::new(Klingon));
    config.more_recognizers = vec![Arc::new(Scripted)];
    let server = Server::bind(config).await.expect("a port");
    let mut request = start_request();
    let mut clients = Vec::new();
    for (language, klingon, scripted) in [
        (Some("tlh"), "1", "0"),
        (Some("en-US"), "1", "1"),
        (None, "2", "1"),
    ] {
        request["config"]["languageCode"] = language.into();
        if language.is_none() {
            let config = request["config"].as_object_mut().expect("an object");
            config.remove("languageCode");
        }
        let id = language.unwrap_or("none");
        let (client, _) = Client::started(&server, id, &request).await;
        clients.push(client);
        assert_eq!(streams(&server, "klingon").await, klingon, "{language:?}");
        assert_eq!(streams(&server, "scripted").await, scripted, "{language:?}");
    }
}

#[tokio::test]
async fn a_language_that_is_no_language_tag_is_an_invalid_request() {
    let server = server().await;
    let mut client = Client::connect(&server, "tag").await;
    let mut request = start_request();
    for language in ["en-US; drop", "--help me", "en\u{0}US", "en/US", "\u{e9}"] {
        request["config"]["languageCode"] = language.into();
        client.send_json(&request).await;
        let error = client.next().await;
        assert_eq!(error.json()["code"], "invalid_request", "{language:?}");
    }
    request["config"]["languageCode"] = "zh-Hant-TW".into();
    client.start(&request).await;
}

#[tokio::test]
async fn what_is_asked_for_and_not_done_is_told_as_a_warning_and_the_rest_is_done() {
    let server = server().await;
    let mut client = Client::connect(&server, "warned").await;
    let mut request = start_request();
    request["config"]["mood"] = true.into();
    request["config"]["detectFear"] = true.into();
    client.send_json(&request).await;
    let warning = client.next().await;
    let warning = warning.json();
    assert_eq!(warning["type"], "warning");
    assert_eq!(warning["code"], "unsupported");
    let mut fields = warning["fields"].as_array().expect("a list").clone();
    fields.sort_by_key(Value::to_string);
    assert_eq!(fields, ["config.detectFear", "config.mood"]);
    client.until("recognition_started").await;
    client.send_audio(&linear16(&speech(0..2, 16_000))).await;
    client.stop().await;
    let heard = client.rest().await;
    assert_eq!(texts(&final_words(&heard)), ["w0", "w1"]);
    assert!(!kinds(&heard).contains(&"warning"), "once per start");
}
