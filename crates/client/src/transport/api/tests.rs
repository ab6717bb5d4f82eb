// SPDX-License-Identifier: MPL-2.0

//! Tests what a server sees of a request, and what the client makes of the answer.

use super::*;
use crate::transport::endpoint::TokenSource;
use crate::transport::proxy::Proxy;
use symbl_testkit::peer::{Peer, Script};

const TOKEN: &str = "s3cr3t/t0ken==";

const SINCE: i64 = 1_700_000_000_000_000_000;

fn endpoint(base_url: impl Into<String>) -> Endpoint {
    Endpoint {
        base_url: base_url.into(),
        streaming_path: "/v1/streaming".into(),
        connection_id: "abc".into(),
        token: TokenSource::None,
        token_in_query: false,
        ca_file: None,
        tls_verify: true,
        proxy: Proxy::default(),
        request_timeout: Duration::from_secs(10),
    }
}

async fn ask(script: Script) -> Result<String, Failure> {
    let peer = Peer::start(script);
    let token = Secret::new(TOKEN);
    messages(&endpoint(peer.base_url()), "42", SINCE, Some(&token)).await
}

#[tokio::test]
async fn c38_the_request_is_a_get_with_a_bearer_token_and_the_answer_its_body() {
    let body = r#"{"messages":[]}"#;
    let peer = Peer::start(Script::http(200, &[], body));
    let token = Secret::new(TOKEN);
    let endpoint = endpoint(format!("{}/prefix", peer.base_url()));
    let answer = messages(&endpoint, "42", SINCE, Some(&token)).await;
    assert_eq!(answer.as_deref(), Ok(body));
    let head = peer.records()[0].request.clone().unwrap();
    assert_eq!(head.method, "GET");
    let path = "/prefix/v1/conversations/42/messages\
                ?verbose=true&startTime=2023-11-14T22%3A13%3A20.000Z";
    assert_eq!(head.path, path);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(head.header("authorization"), Some(bearer.as_str()));
    assert_eq!(head.header("x-api-key"), None);
    let host = peer.address().to_string();
    assert_eq!(head.header("host"), Some(host.as_str()));

    messages(&endpoint, "42", SINCE, None).await.unwrap();
    let head = peer.records()[1].request.clone().unwrap();
    assert_eq!(head.header("authorization"), None);
}

#[tokio::test]
async fn c38_every_other_answer_is_a_failure_that_says_whether_to_ask_again() {
    let script = |status| Script::http(status, &[("Retry-After", "7")], "");
    for (status, reason, retryable) in [
        (401, Reason::Auth, false),
        (403, Reason::Auth, false),
        (404, Reason::Http, true),
        (408, Reason::Http, true),
        (429, Reason::Limit, true),
        (500, Reason::Http, true),
        (503, Reason::Http, true),
        (302, Reason::Http, false),
        (400, Reason::Http, false),
    ] {
        let failure = ask(script(status)).await.unwrap_err();
        assert_eq!((failure.reason, failure.retryable), (reason, retryable));
        assert_eq!(failure.http_status, Some(status));
        assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
        assert!(failure.message.contains("messages"), "{}", failure.message);
    }
    let failure = ask(Script::answer("SSH-2.0\r\n")).await.unwrap_err();
    assert_eq!(
        (failure.reason, failure.retryable),
        (Reason::Protocol, false)
    );
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{";
    let failure = ask(Script::answer(cut)).await.unwrap_err();
    assert_eq!((failure.reason, failure.retryable), (Reason::Read, true));
    let failure = ask(Script::answer("")).await.unwrap_err();
    assert_eq!((failure.reason, failure.retryable), (Reason::Read, true));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let announced = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        MAX_MESSAGES + 1
    );
    // An answer without a length ends with its connection.
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(endless.len() + MAX_MESSAGES + 1, b' ');
    for script in [Script::answer(announced), Script::answer(endless.clone())] {
        let failure = ask(script).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Protocol);
        assert!(failure.message.contains("bytes"), "{}", failure.message);
    }
    endless.pop();
    assert_eq!(
        ask(Script::answer(endless)).await.unwrap().len(),
        MAX_MESSAGES
    );
}

#[tokio::test]
async fn a_token_that_is_sent_back_is_cut_out() {
    let echo = format!(r#"{{"messages":[],"token":"{TOKEN}"}}"#);
    let body = ask(Script::http(200, &[], &echo)).await.unwrap();
    assert_eq!(body, r#"{"messages":[],"token":"***"}"#);
    let failure = ask(Script::http(500, &[], &echo)).await.unwrap_err();
    assert!(!failure.message.contains("s3cr3t"), "{}", failure.message);
    let location = format!("http://h/?t={TOKEN}");
    let redirect = Script::http(302, &[("Location", &location)], "");
    let failure = ask(redirect).await.unwrap_err();
    assert!(!failure.message.contains("s3cr3t"), "{}", failure.message);
}

#[tokio::test]
async fn the_list_of_conversations_and_what_was_said_are_asked_for_in_pages() {
    let peer = Peer::start(Script::http(200, &[], "{}"));
    let endpoint = Endpoint {
        token: TokenSource::Value(Secret::new(TOKEN)),
        ..endpoint(format!("{}/prefix", peer.base_url()))
    };
    assert_eq!(conversations(&endpoint, 7, 14).await.as_deref(), Ok("{}"));
    for after in [After::Entry(3), After::Final(-1)] {
        assert_eq!(events(&endpoint, "a/b", after).await.as_deref(), Ok("{}"));
    }
    let heads = peer.records();
    let heads = heads.iter().map(|record| record.request.clone().unwrap());
    let heads: Vec<_> = heads.collect();
    let paths: Vec<&str> = heads.iter().map(|head| head.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/prefix/v1/conversations?order=asc&limit=7&offset=14",
            "/prefix/v1/conversations/a%2Fb/events?after=3",
            "/prefix/v1/conversations/a%2Fb/events?afterSequenceNumber=-1",
        ]
    );
    let bearer = format!("Bearer {TOKEN}");
    for head in &heads {
        assert_eq!(head.header("authorization"), Some(bearer.as_str()));
    }
}

#[tokio::test]
async fn a_conversation_without_events_is_asked_for_once_and_a_busy_service_again() {
    for (status, retryable) in [(404, false), (403, false), (503, true)] {
        let peer = Peer::start(Script::http(status, &[], TOKEN));
        let endpoint = Endpoint {
            token: TokenSource::Value(Secret::new(TOKEN)),
            ..endpoint(peer.base_url())
        };
        let failure = events(&endpoint, "42", After::Final(5)).await.unwrap_err();
        assert_eq!(failure.retryable, retryable, "{failure:?}");
        assert_eq!(failure.http_status, Some(status));
        assert!(!failure.message.contains(TOKEN), "{failure:?}");
    }
}
