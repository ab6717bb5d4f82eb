// SPDX-License-Identifier: MPL-2.0

//! Paths, tokens, subprotocols and what HTTP requests are told.

use crate::common::*;
use serde_json::{Value, json};
use symbl_service::{Auth, Server};
use tokio_tungstenite::tungstenite::Error;

async fn guarded() -> Server {
    let mut config = config();
    config.auth = Auth::App {
        id: "app".into(),
        secret: "hush".into(),
    };
    Server::bind(config).await.expect("a free port")
}

async fn token(server: &Server) -> Value {
    let body = json!({"type": "application", "appId": "app", "appSecret": "hush"}).to_string();
    let (head, answer) = http(server, "POST /oauth2/token:generate", &body).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    serde_json::from_str(&answer).unwrap()
}

fn status(result: Result<(Client, impl Sized), Error>) -> (u16, Value) {
    match result {
        Err(Error::Http(response)) => (
            response.status().as_u16(),
            serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap(),
        ),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("let in"),
    }
}

#[tokio::test]
async fn s1_both_paths_lead_to_the_same_conversation() {
    let server = server().await;
    let (mut old, _) = Client::open(&server, "/v1/realtime/insights/same?source=js_sdk", &[])
        .await
        .unwrap();
    let first = old.start(&start_request()).await;
    let (_new, second) = Client::started(&server, "same", &start_request()).await;
    assert_eq!(first, second);
}

#[tokio::test]
async fn connection_ids_are_percent_decoded() {
    let server = server().await;
    let (_a, first) = Client::started(&server, "a+b%2Fc==", &start_request()).await;
    let (_b, second) = Client::started(&server, "a%2Bb%2fc%3D%3D", &start_request()).await;
    let (_c, third) = Client::started(&server, "-wAmKVF9z8gEKXuVl28dOQ_", &start_request()).await;
    assert_eq!(first, second);
    assert_ne!(first, third);
}

#[tokio::test]
async fn s2_a_token_is_taken_from_wherever_it_stands() {
    let server = guarded().await;
    let token = token(&server).await["accessToken"]
        .as_str()
        .unwrap()
        .to_owned();
    let bearer = format!("Bearer {token}");
    let path = "/v1/streaming/s2";
    let in_query = format!("{path}?source=x&access_token={token}");
    Client::open(&server, &in_query, &[]).await.unwrap();
    Client::open(&server, path, &[("X-API-KEY", &token)])
        .await
        .unwrap();
    Client::open(&server, path, &[("Authorization", &bearer)])
        .await
        .unwrap();
    let (_client, response) = Client::open(&server, path, &[("Sec-WebSocket-Protocol", &token)])
        .await
        .unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], token.as_str());
}

#[tokio::test]
async fn s2_without_a_good_token_the_answer_is_401_with_a_message() {
    let server = guarded().await;
    let path = "/v1/streaming/s2";
    for headers in [
        &[][..],
        &[("X-API-KEY", "wrong")],
        &[("Authorization", "Bearer e30.e30.e30")],
        &[("Sec-WebSocket-Protocol", "wrong")],
    ] {
        let (code, body) = status(Client::open(&server, path, headers).await);
        assert_eq!(code, 401);
        assert_eq!(
            body,
            json!({"message": "Token validation failed for provided token."})
        );
    }
}

#[tokio::test]
async fn without_authentication_any_token_or_none_is_taken_and_a_subprotocol_echoed() {
    let server = server().await;
    Client::open(&server, "/v1/streaming/x", &[]).await.unwrap();
    let (_client, response) = Client::open(
        &server,
        "/v1/streaming/x",
        &[("Sec-WebSocket-Protocol", "any.thing")],
    )
    .await
    .unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "any.thing");
}

#[tokio::test]
async fn a_token_is_cached_and_tells_its_remaining_life() {
    let server = guarded().await;
    let first = token(&server).await;
    let second = token(&server).await;
    assert_eq!(first["accessToken"], second["accessToken"]);
    let left = second["expiresIn"].as_u64().unwrap();
    assert!((86_000..=86_400).contains(&left), "{left}");
    // The official SDKs decode the token and insist on `exp`.
    assert_eq!(first["accessToken"].as_str().unwrap().split('.').count(), 3);
}

#[tokio::test]
async fn without_authentication_any_client_gets_a_token() {
    assert!(token(&server().await).await["accessToken"].is_string());
}

#[tokio::test]
async fn wrong_credentials_are_401_and_a_bad_body_is_400() {
    let server = guarded().await;
    let wrong = json!({"type": "application", "appId": "app", "appSecret": "no"}).to_string();
    for (body, expected) in [(wrong.as_str(), "401"), ("{}", "400"), ("<html>", "400")] {
        let (head, answer) = http(&server, "POST /oauth2/token:generate", body).await;
        assert!(head.starts_with(&format!("http/1.1 {expected}")), "{head}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["message"].is_string());
        assert!(!answer.to_string().contains("hush"));
    }
}

#[tokio::test]
async fn a_request_that_is_no_websocket_is_told_what_to_do() {
    let server = server().await;
    for (request, expected, says) in [
        ("GET /nothing", "404", "/v1/streaming/"),
        ("GET /v1/streaming/", "404", "/v1/streaming/"),
        ("GET /v1/streaming/x", "426", "WebSocket"),
        ("POST /v1/streaming/x", "405", "method"),
        ("GET /oauth2/token:generate", "405", "method"),
    ] {
        let (head, body) = http(&server, request, "").await;
        assert!(
            head.starts_with(&format!("http/1.1 {expected}")),
            "{request}: {head}"
        );
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(
            body["message"].as_str().unwrap().contains(says),
            "{request}: {body}"
        );
    }
    let (head, _) = http(&server, "GET /v1/streaming/x", "").await;
    assert!(head.contains("\r\nupgrade: websocket"), "{head}");
}

#[tokio::test]
async fn an_upgrade_at_an_unknown_path_is_404() {
    let server = server().await;
    assert_eq!(status(Client::open(&server, "/v2/x", &[]).await).0, 404);
}

#[tokio::test]
async fn s11_the_limit_of_connections_is_429_with_retry_after_until_one_leaves() {
    let mut config = config();
    config.limits.connections = 1;
    let server = Server::bind(config).await.unwrap();
    let first = Client::connect(&server, "s11").await;
    match Client::open(&server, "/v1/streaming/s11", &[]).await {
        Err(Error::Http(response)) => {
            assert_eq!(response.status().as_u16(), 429);
            assert!(response.headers().contains_key("Retry-After"));
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    first.close(1000).await;
    while Client::open(&server, "/v1/streaming/s11", &[])
        .await
        .is_err()
    {}
}

/// Asks what a browser asks before a page may ask for a token. Returns the answer's head.
async fn preflight(server: &Server, origin: &str) -> String {
    let request = format!(
        "OPTIONS /oauth2/token:generate HTTP/1.1\r\nOrigin: {origin}\r\n\
         Access-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: content-type\r\nX:"
    );
    http(server, &request, "").await.0
}

#[tokio::test]
async fn pages_of_this_machine_and_those_that_are_named_get_tokens() {
    let mut config = config();
    config.origins = vec!["https://app.example".parse().unwrap()];
    let server = Server::bind(config).await.unwrap();
    for origin in ["http://localhost:8080", "https://app.example"] {
        let head = preflight(&server, origin).await;
        let allowed = format!("access-control-allow-origin: {origin}");
        assert!(head.contains(&allowed), "{origin}: {head}");
        assert!(head.contains("access-control-allow-headers: content-type"));
        let request = format!("POST /oauth2/token:generate HTTP/1.1\r\nOrigin: {origin}\r\nX:");
        let body = r#"{"type":"application","appId":"a","appSecret":"b"}"#;
        let (head, _) = http(&server, &request, body).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains(&allowed), "{origin}: {head}");
    }
    for origin in ["https://other.example", "null"] {
        let head = preflight(&server, origin).await;
        assert!(!head.contains("access-control-allow-origin"), "{head}");
    }
}
