// SPDX-License-Identifier: MPL-2.0

//! Tests that every way in which a dial fails is told apart.

use super::*;
use std::time::SystemTime;

#[track_caller]
fn assert_says(failure: &Failure, words: &[&str]) {
    for word in words {
        assert!(
            failure.message.contains(word),
            "{word}: {}",
            failure.message
        );
    }
}

#[tokio::test]
async fn a_closed_port_on_this_machine_hints_at_symbl_service() {
    // Bound but not listening, so it is closed, and no other program can get it.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = closed.local_addr().unwrap();
    let failure = connect(&endpoint(format!("http://{address}")))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.reason, Reason::Tcp);
    assert!(failure.retryable);
    assert_says(
        &failure,
        &[&address.to_string(), "refused", "start symbl-service"],
    );
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_failure() {
    // A DNS label has at most 63 letters, so this sends no query.
    let host = format!("{}.invalid", "a".repeat(64));
    let failure = connect(&endpoint(format!("http://{host}")))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.reason, Reason::Dns);
    assert!(failure.retryable);
    assert_says(&failure, &[&format!("{host}:80"), "check base-url"]);
}

#[tokio::test]
async fn a_web_page_is_told_by_its_title() {
    let page = "<!doctype html><html><head><TITLE lang=en>\n Sign in\n to Wi-Fi </TITLE></head>";
    let failure = failure(Script::http(200, &[("Content-Type", "text/html")], page)).await;
    assert_eq!(failure.reason, Reason::Handshake);
    assert_eq!(failure.http_status, Some(200));
    assert!(!failure.retryable);
    assert_says(&failure, &["HTTP 200", "(Sign in to Wi-Fi)", "base-url"]);
}

#[tokio::test]
async fn a_page_without_title_or_a_plain_text_is_told_by_its_beginning() {
    let page = format!(
        "<html><body><p>Bad\u{7}</p>\n<b>gateway</b> {}",
        "é".repeat(100)
    );
    let told = failure(Script::http(502, &[], &page)).await;
    assert_eq!(told.reason, Reason::Http);
    assert!(told.retryable);
    // The limit is 80 characters of the text.
    let said = format!("(Bad gateway {}…)", "é".repeat(68));
    assert_says(&told, &["HTTP 502", &said]);
    let told = failure(Script::http(404, &[], "no such page: a < b")).await;
    assert_eq!((told.reason, told.retryable), (Reason::Http, false));
    assert_says(
        &told,
        &["HTTP 404", "(no such page: a < b)", "streaming-path"],
    );
}

#[tokio::test]
async fn a_refused_token_is_an_authentication_failure_with_the_services_words() {
    let body = r#"{"message":"Token validation failed for provided token."}"#;
    let failure = failure(Script::http(
        401,
        &[("Content-Type", "application/json")],
        body,
    ))
    .await;
    assert_eq!(failure.reason, Reason::Auth);
    assert_eq!(failure.http_status, Some(401));
    assert!(!failure.retryable);
    let said = "(Token validation failed for provided token.)";
    assert_says(&failure, &["127.0.0.1:", "HTTP 401", said, "access-token"]);
}

#[tokio::test]
async fn a_body_is_read_to_its_end_though_it_comes_in_many_packets() {
    let body = format!(r#"{{"padding":"{}","message":"here"}}"#, "x".repeat(50_000));
    let failure = failure(Script::http(503, &[], &body)).await;
    assert_says(&failure, &["HTTP 503", "(here)"]);
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_its_status() {
    let answer = "HTTP/1.1 403 No\r\nContent-Length: 1000\r\n\r\nnot for you";
    let failure = failure(Script::answer(answer)).await;
    assert_eq!(
        (failure.reason, failure.http_status),
        (Reason::Auth, Some(403))
    );
    assert_says(&failure, &["(not for you)"]);
}

#[tokio::test]
async fn the_wait_that_a_busy_service_asks_for_is_kept_in_both_forms() {
    let told = failure(Script::http(429, &[("Retry-After", "17")], "")).await;
    assert_eq!(told.reason, Reason::Limit);
    assert!(told.retryable);
    assert_eq!(told.retry_after, Some(Duration::from_secs(17)));
    let hour = Duration::from_secs(3600);
    for (at, least, most) in [
        (SystemTime::now() + hour, hour / 2, hour),
        (SystemTime::now() - hour, Duration::ZERO, Duration::ZERO),
    ] {
        let date = httpdate::fmt_http_date(at);
        let told = failure(Script::http(429, &[("Retry-After", &date)], "")).await;
        let wait = told.retry_after.unwrap();
        assert!(least <= wait && wait <= most, "{wait:?}");
    }
    let told = failure(Script::http(503, &[("Retry-After", "soon")], "")).await;
    assert_eq!(told.retry_after, None);
}

#[tokio::test]
async fn a_redirect_is_not_followed_but_its_target_told() {
    let target = [(
        "Location",
        "https://elsewhere.example/v1?access_token=abc#x",
    )];
    let failure = failure(Script::http(302, &target, "moved")).await;
    assert_eq!(
        (failure.reason, failure.retryable),
        (Reason::Handshake, false)
    );
    assert_eq!(failure.http_status, Some(302));
    assert_says(
        &failure,
        &["(it redirects to https://elsewhere.example/v1)"],
    );
    assert!(!failure.message.contains("access_token"));
}

#[tokio::test]
async fn an_upgrade_that_is_not_ours_is_refused() {
    let upgrade = "HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    for (script, why) in [
        (Script::wrong_accept(), "Sec-WebSocket-Accept"),
        (
            Script::answer(format!("{upgrade}\r\n")),
            "Sec-WebSocket-Accept",
        ),
        (
            Script::answer("HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
            "websocket",
        ),
        (
            Script::answer("HTTP/1.1 101 OK\r\nUpgrade: websocket\r\n\r\n"),
            "Connection header",
        ),
    ] {
        let failure = failure(script).await;
        assert_eq!(
            (failure.reason, failure.retryable),
            (Reason::Handshake, false)
        );
        assert_eq!(failure.http_status, Some(101));
        assert_says(&failure, &[why, "127.0.0.1:"]);
    }
}

#[tokio::test]
async fn an_answer_in_another_protocol_is_not_http() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "hello\n\n",
        "\u{15}\u{3}\u{3}\0\u{2}\u{2}F",
    ] {
        let failure = failure(Script::answer(answer)).await;
        assert_eq!(
            (failure.reason, failure.retryable),
            (Reason::Handshake, false)
        );
        assert_eq!(failure.http_status, None);
        assert_says(
            &failure,
            &["127.0.0.1:", "does not answer in HTTP", "https://"],
        );
    }
}

#[tokio::test]
async fn a_connection_that_closes_unanswered_may_be_tried_again() {
    for answer in ["", "HTTP/1.1 101 OK\r\nUpgra"] {
        let failure = failure(Script::answer(answer)).await;
        assert_eq!(
            (failure.reason, failure.retryable),
            (Reason::Handshake, true)
        );
        assert_says(
            &failure,
            &["127.0.0.1:", "ended before the WebSocket upgrade"],
        );
    }
}

#[tokio::test]
async fn no_failure_tells_the_token_even_when_the_service_does() {
    let encoded = "s3cr3t%2Ft0ken%3D%3D";
    let cut = format!("{}{TOKEN}", "x".repeat(74));
    let echoes = [
        Script::http(401, &[], &format!(r#"{{"message":"bad token {TOKEN}"}}"#)),
        Script::http(401, &[], r#"{"message":"bad token s3cr3t\/t0ken=="}"#),
        Script::http(400, &[], &format!("bad request /?access_token={encoded}")),
        Script::http(500, &[], &format!("<title>{TOKEN}</title>")),
        Script::http(500, &[], &cut),
        Script::http(400, &[], "bad request /?access_token=s3cr3t%2ft0ken=="),
        Script::http(302, &[("Location", &format!("http://h/{encoded}"))], ""),
        Script::http(
            302,
            &[("Location", &format!("/?access_token={encoded}"))],
            "",
        ),
        Script::answer(format!("{TOKEN}\r\n\r\n")),
        Script::wrong_accept(),
    ];
    for (token_in_query, script) in [false, true]
        .into_iter()
        .flat_map(|query| echoes.iter().map(move |script| (query, script.clone())))
    {
        let peer = Peer::start(script);
        let mut endpoint = endpoint(peer.base_url());
        endpoint.token_in_query = token_in_query;
        let failure = connect(&endpoint).await.err().unwrap();
        for told in [
            format!("{failure:?}"),
            format!("{endpoint:?}"),
            endpoint.display(),
        ] {
            assert!(!told.contains("s3cr3t"), "{told}");
        }
    }
}

#[tokio::test]
async fn only_the_token_is_hidden_from_what_a_service_says() {
    let said = format!(r#"{{"message":"bad token {TOKEN}: expired"}}"#);
    let failure = failure(Script::http(401, &[], &said)).await;
    assert_says(&failure, &["(bad token ***: expired)"]);
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_refused_before_dialing() {
    let peer = Peer::start(Script::listening());
    for token in ["two words", "two\nlines", "clé"] {
        let mut endpoint = endpoint(peer.base_url());
        endpoint.token = TokenSource::Value(Secret::new(token));
        let failure = connect(&endpoint).await.err().unwrap();
        assert_eq!(
            (failure.reason, failure.retryable),
            (Reason::Settings, false)
        );
        assert!(!failure.message.contains(token));
    }
    assert!(peer.records().is_empty());
}
