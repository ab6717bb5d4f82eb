// SPDX-License-Identifier: MPL-2.0

//! Recordings that the service fetches, and what it refuses to fetch.

use crate::common::jobs::*;
use serde_json::{Value, json};
use symbl_service::Server;
use symbl_service::recognizer::scripted::speech;

async fn fetching(rules: &[String]) -> Server {
    let mut config = with_decoder();
    let rules = rules.iter().map(|rule| rule.parse().expect("a rule"));
    config.jobs.fetch_hosts = rules.collect();
    config.jobs.upload = 1 << 20;
    Server::bind(config).await.expect("a server")
}

async fn fetch(server: &Server, url: &str) -> (u16, Value) {
    let body = json!({"url": url, "name": "Fetched"}).to_string();
    ask(server, "POST /v1/process/audio/url", &body).await
}

#[tokio::test]
async fn a_recording_of_a_named_host_is_fetched_and_of_others_not() {
    let recording = wav(&[speech(0..5, 16_000)]);
    // Another server of this machine, which the first one redirects to.
    let secret = Receiver::start(|_| (200, String::new(), b"secret".to_vec())).await;
    let elsewhere = format!("Location: http://{}/secret\r\n", secret.address);
    let files = Receiver::start(move |number| match number {
        0 => (200, String::new(), recording.clone()),
        1 => (302, "Location: /other\r\n".to_owned(), Vec::new()),
        2 => (200, String::new(), recording.clone()),
        3 => (302, elsewhere.clone(), Vec::new()),
        4 => (404, String::new(), Vec::new()),
        5 => (200, String::new(), vec![0; (1 << 20) + 1]),
        _ => (302, "Location: /again\r\n".to_owned(), Vec::new()),
    })
    .await;
    let server = fetching(&[format!("http://{}", files.address), "*.example".to_owned()]).await;
    let url = format!("http://{}/call.wav", files.address);
    for expected in [
        "",
        "",
        "not among the hosts",
        "404",
        "more than 1048576 bytes",
        "too many redirects",
    ] {
        let (status, made) = fetch(&server, &url).await;
        assert_eq!(status, 201, "{made}");
        let job = ended(&server, &made).await;
        let why = job["message"].as_str().unwrap_or_default();
        assert!(why.contains(expected), "{expected}: {job}");
        if expected.is_empty() {
            assert_eq!(job["status"], "completed", "{job}");
            assert_eq!(words(&messages(&server, &made, "").await).len(), 5);
        }
    }
    assert!(secret.all().is_empty(), "it was called: {:?}", secret.all());
    for refused in [
        format!("http://{}/", secret.address),
        "https://other.test/a.wav".to_owned(),
        "http://a.example/a.wav".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let (status, answer) = fetch(&server, &refused).await;
        assert_eq!(status, 403, "{refused}: {answer}");
    }
    let (status, answer) = ask(&server, "POST /v1/process/audio/url", "{}").await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn a_name_below_a_rule_may_not_be_an_address_of_the_own_network() {
    // This name is that of the machine itself, however it is looked up.
    let server = fetching(&["http://*.localhost".to_owned()]).await;
    let (status, made) = fetch(&server, "http://files.localhost:9/a.wav").await;
    assert_eq!(status, 201, "{made}");
    let job = ended(&server, &made).await;
    assert_eq!(job["status"], "failed", "{job}");
    let why = job["message"].as_str().unwrap_or_default();
    let is_refused = why.contains("private addresses") || why.contains("cannot be looked up");
    assert!(is_refused, "{why}");
}
