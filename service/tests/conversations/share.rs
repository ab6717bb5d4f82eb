// SPDX-License-Identifier: MPL-2.0

//! Share tokens: their bearers read one conversation, and do and see nothing else.

use crate::common::process::token;
use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Auth, Server, ServerConfig};
use tokio_tungstenite::tungstenite::Error;

const LINES: &[&str] = &["can you send me the budget report"];

/// What a share token may read of its own conversation.
const READABLE: &[&str] = &[
    "",
    "/messages",
    "/messages?verbose=true",
    "/members",
    "/insights",
    "/action-items",
    "/questions",
    "/follow-ups",
    "/topics",
    "/trackers-detected",
    "/trackers",
    "/entities",
    "/transcript?format=json",
    "/events",
    "/bookmarks",
    "/bookmarks/summary",
    "/search?q=budget",
];

async fn bind(auth: Auth) -> Server {
    let mut config = ServerConfig::new(Arc::new(Prompter(LINES)));
    config.auth = auth;
    Server::bind(config).await.expect("a free port")
}

fn app(id: &str, secret: &str) -> Auth {
    Auth::App {
        id: id.into(),
        secret: secret.into(),
    }
}

/// Sends a request with a token. Returns its status, head and answer.
async fn ask(server: &Server, token: &str, request: &str, body: &str) -> (u16, String, Value) {
    let request = format!("{request} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
    let (head, body) = http(server, &request, body).await;
    let code = head.split(' ').nth(1).expect("a status");
    let code = code.parse().expect("a number");
    (code, head, serde_json::from_str(&body).unwrap_or_default())
}

async fn status(server: &Server, token: &str, request: &str) -> u16 {
    ask(server, token, request, "{}").await.0
}

/// Holds a conversation in which one sentence is said. Returns its id.
async fn held(server: &Server, token: &str, connection: &str) -> String {
    let path = format!("/v1/streaming/{connection}");
    let headers = [("X-API-KEY", token)];
    let (mut client, _) = Client::open(server, &path, &headers)
        .await
        .expect("an upgrade");
    let id = client.start(&start_request()).await;
    let audio = linear16(&silence(Duration::from_millis(600), 16_000));
    client.send_audio(&audio).await;
    client.stop().await;
    client.rest().await;
    id
}

/// Asks for a share token and returns it.
async fn shared(server: &Server, token: &str, id: &str, body: &str) -> String {
    let request = format!("POST /v1/conversations/{id}/share");
    let (code, head, answer) = ask(server, token, &request, body).await;
    assert_eq!(code, 200, "{answer}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert_eq!(answer["path"], format!("/live/{id}"));
    assert_eq!(answer.as_object().map(|answer| answer.len()), Some(3));
    answer["accessToken"].as_str().expect("a token").to_owned()
}

/// Returns the status with which a WebSocket is refused, or 101.
async fn socket(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    match Client::open(server, path, headers).await {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_share_token_reads_its_conversation_and_does_nothing_else() {
    for auth in [app("a", "s"), Auth::None] {
        let server = bind(auth.clone()).await;
        let owner = token(&server, "a", "s").await;
        let id = held(&server, &owner, "mine").await;
        let other = held(&server, &owner, "other").await;
        let guest = shared(&server, &owner, &id, "").await;

        for part in READABLE {
            let request = format!("GET /v1/conversations/{id}{part}");
            let theirs = ask(&server, &guest, &request, "").await;
            let owners = ask(&server, &owner, &request, "").await;
            assert_eq!(theirs.0, 200, "{request}");
            assert_eq!(theirs.2, owners.2, "{request}");
            for id in [other.as_str(), "1234567890123456", "x", "-1"] {
                let request = format!("GET /v1/conversations/{id}{part}");
                let (code, _, answer) = ask(&server, &guest, &request, "").await;
                assert_eq!(code, 403, "{request}");
                let message = answer["message"].as_str().expect("text");
                assert!(message.contains("token of the application"), "{message}");
            }
        }
        let read = format!("GET /v1/conversations/{id}/messages");
        let said = ask(&server, &guest, &read, "");
        let said = said.await.2["messages"][0]["text"].clone();
        assert!(said.as_str().expect("text").contains("budget"), "{said}");

        let members = format!("GET /v1/conversations/{id}/members");
        let members = ask(&server, &owner, &members, "").await.2;
        let member = members["members"][0]["id"].as_str().expect("an id");
        for request in [
            "GET /v1/conversations".to_owned(),
            "GET /v1/conversations?limit=1".to_owned(),
            format!("DELETE /v1/conversations/{id}"),
            format!("PUT /v1/conversations/{id}/members/{member}"),
            format!("POST /v1/conversations/{id}/share"),
            format!("POST /v1/conversations/{id}/transcript"),
            format!("PUT /v1/conversations/{id}"),
            format!("PATCH /v1/conversations/{id}"),
            format!("POST /v1/conversations/{id}/bookmarks"),
            format!("POST /v1/conversations/{id}/bookmarks/bulk"),
            format!("PUT /v1/conversations/{id}/bookmarks/1"),
            format!("DELETE /v1/conversations/{id}/bookmarks/1"),
            "GET /v1/search?q=budget".to_owned(),
            "GET /v1/manage/groups".to_owned(),
            "POST /v1/manage/group".to_owned(),
            "GET /v1/groups/1/conversations".to_owned(),
            "GET /v1/manage/tracker".to_owned(),
            "POST /v1/manage/trackers".to_owned(),
            "POST /v1/manage/trackers/bulk".to_owned(),
            "GET /v1/manage/trackers/1".to_owned(),
            "PUT /v1/manage/tracker/1".to_owned(),
            "DELETE /v1/manage/tracker/1".to_owned(),
        ] {
            assert_eq!(status(&server, &guest, &request).await, 403, "{request}");
        }
        // Nothing was changed.
        assert_eq!(
            status(&server, &owner, &format!("GET /v1/conversations/{id}")).await,
            200
        );
    }
}

#[tokio::test]
async fn a_share_token_opens_no_socket_wherever_it_is_sent() {
    for auth in [app("a", "s"), Auth::None] {
        let server = bind(auth).await;
        let owner = token(&server, "a", "s").await;
        let headers = [("X-API-KEY", owner.as_str())];
        let (mut speaker, _) = Client::open(&server, "/v1/streaming/live", &headers)
            .await
            .expect("an upgrade");
        let id = speaker.start(&start_request()).await;
        let guest = shared(&server, &owner, &id, "{}").await;
        let bearer = format!("Bearer {guest}");
        for id in ["live", "another"] {
            for path in [
                format!("/v1/streaming/{id}"),
                format!("/v1/realtime/insights/{id}"),
                format!("/v1/subscribe/{id}"),
                format!("/v1/subscribe/{id}?after=-1"),
                format!("/session/subscribe/{id}"),
            ] {
                for header in [
                    ("X-API-KEY", guest.as_str()),
                    ("Authorization", &bearer),
                    ("Sec-WebSocket-Protocol", &guest),
                ] {
                    assert_eq!(socket(&server, &path, &[header]).await, 403, "{path}");
                }
                let separator = if path.contains('?') { '&' } else { '?' };
                let path = format!("{path}{separator}access_token={guest}");
                assert_eq!(socket(&server, &path, &[]).await, 403);
            }
        }
        assert_eq!(socket(&server, "/v1/subscribe/live", &headers).await, 101);
    }
}

#[tokio::test]
async fn a_share_token_is_refused_when_its_time_is_over_and_that_is_no_guess() {
    for auth in [app("a", "s"), Auth::None] {
        let server = bind(auth).await;
        let owner = token(&server, "a", "s").await;
        let id = held(&server, &owner, "mine").await;
        let guest = shared(&server, &owner, &id, r#"{"expiresIn": 2}"#).await;
        let read = format!("GET /v1/conversations/{id}/messages");
        let over = in_time(async {
            loop {
                let (code, _, answer) = ask(&server, &guest, &read, "").await;
                if code != 200 {
                    return (code, answer);
                }
            }
        });
        let (code, answer) = over.await;
        assert_eq!(code, 401, "{answer}");
        let message = answer["message"].as_str().expect("text");
        assert!(message.contains("expired"), "{message}");
        // A page that goes on asking does not lock out its neighbours.
        for _ in 0..40 {
            assert_eq!(status(&server, &guest, &read).await, 401);
        }
        let stream = format!("/v1/streaming/x?access_token={guest}");
        assert_eq!(socket(&server, &stream, &[]).await, 401);
        token(&server, "a", "s").await;
    }
}

#[tokio::test]
async fn only_a_conversation_of_the_account_is_shared_and_for_a_time_within_the_bounds() {
    let server = bind(app("a", "s")).await;
    let owner = token(&server, "a", "s").await;
    let id = held(&server, &owner, "mine").await;
    let share = format!("POST /v1/conversations/{id}/share");
    for (body, life) in [("", 86_400), (r#"{"expiresIn":2592000}"#, 2_592_000)] {
        let answer = ask(&server, &owner, &share, body).await.2;
        assert_eq!(answer["expiresIn"], life);
    }
    for body in [
        r#"{"expiresIn":2592001}"#,
        r#"{"expiresIn":0}"#,
        "[",
        "9",
        "[]",
        "[60]",
        "null",
    ] {
        let (code, _, answer) = ask(&server, &owner, &share, body).await;
        assert_eq!(code, 400, "{body}");
        let message = answer["message"].as_str().expect("text");
        assert!(message.contains("expiresIn"), "{message}");
    }
    for id in ["1234567890123456", "x"] {
        let share = format!("POST /v1/conversations/{id}/share");
        assert_eq!(status(&server, &owner, &share).await, 404, "{id}");
    }
    assert_eq!(status(&server, "no-token", &share).await, 401);
    assert_eq!(
        status(&server, &owner, &share.replace("POST", "GET")).await,
        405
    );
}

#[tokio::test]
async fn a_share_token_outlives_a_restart_and_dies_with_its_conversation_and_the_secret() {
    let data = tempfile::tempdir().expect("a directory");
    let on = async |secret: &str| {
        let mut config = ServerConfig::new(Arc::new(Prompter(LINES)));
        config.auth = app("a", secret);
        config.data = Some(data.path().to_owned());
        Server::bind(config).await.expect("a free port")
    };
    let first = on("s").await;
    let owner = token(&first, "a", "s").await;
    let id = held(&first, &owner, "mine").await;
    let guest = shared(&first, &owner, &id, "").await;
    first.shutdown().await;
    let read = format!("GET /v1/conversations/{id}/messages");
    let rotated = on("t").await;
    assert_eq!(status(&rotated, &guest, &read).await, 401);
    rotated.shutdown().await;
    let again = on("s").await;
    assert_eq!(status(&again, &guest, &read).await, 200);
    let delete = format!("DELETE /v1/conversations/{id}");
    in_time(async { while status(&again, &owner, &delete).await == 409 {} }).await;
    assert_eq!(status(&again, &guest, &read).await, 404);
}
