// SPDX-License-Identifier: MPL-2.0

//! The files of the page over HTTP: with and without credentials, and for foreign pages.

use serde_json::Value;
use std::sync::Arc;
use symbl_service::recognizer::scripted::Scripted;
use symbl_service::{Auth, Server, ServerConfig};
use symbl_testkit::client::{config, http};

async fn server(auth: Auth) -> Server {
    let mut config = ServerConfig::new(Arc::new(Scripted));
    config.auth = auth;
    Server::bind(config).await.expect("a free port")
}

fn app() -> Auth {
    Auth::App {
        id: "app".into(),
        secret: "hush".into(),
    }
}

/// Returns the status of an answer.
fn status(head: &str) -> u16 {
    let status = head.split(' ').nth(1).expect("a status");
    status.parse().expect("a number")
}

const PAGES: &[&str] = &[
    "/",
    "/live/1234567890123456",
    "/live/1?view=captions&size=9",
    "/web/main.js",
    "/web/views/list.js",
    "/web/vendor/socket.io.esm.min.js",
    "/web/style.css",
    "/web/icon.svg",
];

#[tokio::test]
async fn the_page_needs_no_token_and_is_the_same_with_credentials() {
    let (open, closed) = (server(Auth::None).await, server(app()).await);
    for path in PAGES {
        let (head, body) = http(&open, &format!("GET {path}"), "").await;
        assert_eq!(status(&head), 200, "{path}: {head}");
        assert!(!body.is_empty(), "{path}");
        let (_, other) = http(&closed, &format!("GET {path}"), "").await;
        assert_eq!(body, other, "{path}");
    }
    // What the page shows needs a token, as before.
    let (head, _) = http(&closed, "GET /v1/conversations", "").await;
    assert_eq!(status(&head), 401);
}

#[tokio::test]
async fn every_file_of_the_page_comes_with_a_strict_policy() {
    let server = server(Auth::None).await;
    for path in PAGES {
        let (head, _) = http(&server, &format!("GET {path}"), "").await;
        let policy = head
            .lines()
            .find_map(|line| line.strip_prefix("content-security-policy: "))
            .expect(path);
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|own| own == part), "{path}: {part}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for line in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-cache",
        ] {
            assert!(head.lines().any(|own| own == line), "{path}: {head}");
        }
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: "));
        // The head is in lower case here, and so is the weak mark.
        let tag = tag.expect("a tag").replace("w/", "W/");
        let again = format!("GET {path} HTTP/1.1\r\nIf-None-Match: {tag}\r\nX-Rest:");
        let (head, body) = http(&server, &again, "").await;
        assert_eq!((status(&head), body.as_str()), (304, ""), "{path}: {head}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_of_this_service_gets_no_page_without_credentials() {
    let foreign = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nX-Rest:");
    let open = server(Auth::None).await;
    let closed = server(app()).await;
    for path in PAGES {
        let (head, _) = http(&open, &foreign(path), "").await;
        assert_eq!(status(&head), 403, "{path}: {head}");
        // A proxy may have any name.
        let (head, _) = http(&closed, &foreign(path), "").await;
        assert_eq!(status(&head), 200, "{path}: {head}");
    }
}

#[tokio::test]
async fn what_is_no_file_of_the_page_is_not_found() {
    let server = Server::bind(config()).await.expect("a free port");
    for path in [
        "/web/",
        "/web/none.js",
        "/web/../Cargo.toml",
        "/web/..%2fCargo.toml",
        "/web/%2e%2e/src/lib.rs",
        "/web/views",
        "/live/1/2",
    ] {
        let (head, body) = http(&server, &format!("GET {path}"), "").await;
        assert_eq!(status(&head), 404, "{path}: {head}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert!(answer["message"].is_string(), "{path}");
    }
    let (head, _) = http(&server, "POST /", "{}").await;
    assert_eq!(status(&head), 405, "{head}");
}
