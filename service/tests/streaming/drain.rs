// SPDX-License-Identifier: MPL-2.0

//! How a service that is about to end lets its clients go: each in its next pause, one after
//! the other. New clients are refused.

use crate::common::jobs::{ask, get};
use crate::common::process::Process;
use crate::common::*;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_service::{Server, ServerConfig};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Error;

/// Longer than any test may take: nothing here waits for the end of such a drain.
const LONG: Duration = Duration::from_secs(600);

/// Starts a server whose drain has these times.
async fn serve(wait: Duration, time: Duration, change: impl FnOnce(&mut ServerConfig)) -> Server {
    let mut config = config();
    (config.drain_wait, config.drain_time) = (wait, time);
    change(&mut config);
    Server::bind(config).await.expect("a free port")
}

/// Begins the drain, and returns when the service says so.
async fn draining(server: Arc<Server>) -> JoinHandle<()> {
    let place = server.local_addr();
    let drain = tokio::spawn(async move { server.drain().await });
    says_so(&place).await;
    drain
}

/// Waits until the service says that it is draining.
async fn says_so(place: &impl Place) {
    in_time(async {
        loop {
            let (head, body) = http(place, "GET /readyz", "").await;
            if head.contains(" 503 ") {
                let body: Value = serde_json::from_str(&body).expect("JSON");
                assert_eq!(body["why"], json!(["draining"]));
                break;
            }
            assert!(head.contains(" 200 "), "{head}");
        }
    })
    .await;
}

/// Opens a socket that has said some words and speaks on.
async fn speaking(place: &impl Place, id: &str) -> Client {
    let mut request = start_request();
    request["noConnectionTimeout"] = 60.into();
    let (mut client, _) = Client::started(place, id, &request).await;
    says(&mut client, 0..3).await;
    client
}

/// Says words, and returns when the service has heard the last one.
async fn says(client: &mut Client, words: std::ops::Range<u16>) {
    let last = format!("w{}", words.end - 1);
    client.send_audio(&linear16(&speech(words, 16_000))).await;
    loop {
        let heard = client.next().await;
        if heard.kind() == "recognition_result" {
            let text = heard.json()["message"]["punctuated"]["transcript"].as_str();
            if text.is_some_and(|text| text.contains(&last)) {
                return;
            }
        }
        assert!(!matches!(heard, Heard::Closed(_)), "{heard:?}");
    }
}

/// Returns the status and the `Retry-After` of a dial that is refused.
async fn refused(place: &impl Place, path: &str) -> (u16, String) {
    match Client::open(place, path, &[]).await {
        Err(Error::Http(response)) => {
            let wait = response.headers().get("Retry-After");
            let wait = wait.and_then(|value| value.to_str().ok());
            let wait = wait.unwrap_or_default().to_owned();
            (response.status().as_u16(), wait)
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{path} was let in"),
    }
}

#[tokio::test]
async fn a_speaker_is_closed_in_its_pause_and_has_heard_all_that_it_said() {
    let server = Arc::new(serve(Duration::ZERO, LONG, |_| {}).await);
    let mut ada = speaking(&*server, "ada").await;
    // This one came later and says nothing. If it is the first to be closed, the other one
    // was not taken for one that rests.
    let mut quiet = Client::connect(&*server, "quiet").await;
    let drain = draining(Arc::clone(&server)).await;
    assert_eq!(quiet.rest().await.last(), Some(&Heard::Closed(Some(1012))));
    says(&mut ada, 3..6).await;
    ada.send_audio(&linear16(&silence(Duration::from_millis(400), 16_000)))
        .await;
    let heard = ada.rest().await;
    assert_eq!(
        texts(&final_words(&heard)),
        ["w0", "w1", "w2", "w3", "w4", "w5"]
    );
    assert_eq!(heard.last(), Some(&Heard::Closed(Some(1012))), "{heard:?}");
    // No socket is left, so it is over long before its time.
    in_time(drain).await.expect("no panic");
}

#[tokio::test]
async fn one_that_never_pauses_is_closed_at_the_end() {
    let time = Duration::from_secs(2);
    let server = Arc::new(serve(Duration::ZERO, time, |_| {}).await);
    let mut ada = speaking(&*server, "ada").await;
    let begun = Instant::now();
    let drain = draining(Arc::clone(&server)).await;
    let heard = ada.rest().await;
    assert_eq!(heard.last(), Some(&Heard::Closed(Some(1012))), "{heard:?}");
    assert!(begun.elapsed() >= time, "{:?}", begun.elapsed());
    in_time(drain).await.expect("no panic");
}

#[tokio::test]
async fn subscribers_follow_when_their_speakers_are_gone() {
    let server = Arc::new(serve(Duration::ZERO, LONG, |_| {}).await);
    let mut ada = speaking(&*server, "ada").await;
    let opened = Client::open(&*server, "/v1/subscribe/ada", &[]).await;
    let (mut listener, _) = opened.expect("an upgrade");
    listener.until("subscription_started").await;
    let drain = draining(Arc::clone(&server)).await;
    ada.send_audio(&linear16(&silence(Duration::from_millis(400), 16_000)))
        .await;
    // It hears the final of the speaker, who is closed only behind that.
    let heard = listener.rest().await;
    assert_eq!(texts(&final_words(&heard)), ["w0", "w1", "w2"]);
    assert_eq!(heard.last(), Some(&Heard::Closed(Some(1012))), "{heard:?}");
    assert_eq!(ada.rest().await.last(), Some(&Heard::Closed(Some(1012))));
    in_time(drain).await.expect("no panic");
}

#[tokio::test]
async fn while_it_waits_clients_are_served_as_before() {
    let server = Arc::new(serve(LONG, LONG, |_| {}).await);
    let drain = draining(Arc::clone(&server)).await;
    let mut ada = speaking(&*server, "ada").await;
    ada.stop().await;
    let heard = ada.rest().await;
    assert_eq!(heard.last(), Some(&Heard::Closed(Some(1000))), "{heard:?}");
    drain.abort();
}

#[tokio::test]
async fn while_it_drains_nothing_begins_and_the_rest_goes_on() {
    let server = Arc::new(serve(Duration::ZERO, LONG, |_| {}).await);
    let (_, body) = http(&*server, "GET /metrics", "").await;
    assert!(body.contains("symbl_service_drain_remaining 0\n"), "{body}");
    let mut ada = speaking(&*server, "ada").await;
    let drain = draining(Arc::clone(&server)).await;
    let again = (503, "1".to_owned());
    in_time(async {
        for path in [
            "/v1/streaming/new",
            // Also a socket for a conversation that goes on.
            "/v1/streaming/ada",
            "/v1/subscribe/ada",
            "/socket.io/?EIO=4&transport=websocket",
        ] {
            assert_eq!(refused(&*server, path).await, again, "{path}");
        }
    })
    .await;
    let (status, _) = ask(&*server, "POST /v1/process/text", "{}").await;
    assert_eq!(status, 503);
    let (head, _) = http(&*server, "GET /v1/conversations", "").await;
    assert!(head.contains(" 200 "), "{head}");
    let (_, body) = http(&*server, "GET /metrics", "").await;
    assert!(body.contains("symbl_service_drain_remaining 1\n"), "{body}");
    assert!(
        body.contains("connections_refused_total{reason=\"busy\"} 3\n"),
        "{body}"
    );
    says(&mut ada, 3..4).await;
    drain.abort();
}

/// Returns the status of a job.
async fn status_of(place: &impl Place, made: &Value) -> String {
    let id = made["jobId"].as_str().expect("an id");
    let (_, job) = get(place, &format!("/v1/job/{id}"), "").await;
    job["status"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn no_job_begins_in_the_drain_and_it_begins_after_the_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = |config: &mut ServerConfig| config.data = Some(folder.path().to_owned());
    let server = Arc::new(serve(LONG, LONG, data).await);
    let drain = draining(Arc::clone(&server)).await;
    let text = json!({"messages": [{"payload": {"content": "Thank you."}}]});
    let (status, made) = ask(&*server, "POST /v1/process/text", &text.to_string()).await;
    assert_eq!(status, 201, "{made}");
    // A service that runs ends a job like this one within a few of these.
    for _ in 0..100 {
        assert_ne!(status_of(&*server, &made).await, "completed");
    }
    drain.abort();
    let _ = drain.await;
    let server = Arc::into_inner(server).expect("no other");
    server.shutdown().await;
    let server = serve(LONG, LONG, data).await;
    in_time(async { while status_of(&server, &made).await != "completed" {} }).await;
}

/// Sends a signal to a service.
fn signal(service: &Process, name: &str) {
    let sent = Command::new("kill")
        .args([name, &service.child.id().to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

#[tokio::test]
async fn a_second_signal_ends_the_drain_at_once() {
    for second in ["-TERM", "-INT"] {
        let mut service = Process::start(|command| {
            command.args(["--log", "warn", "--drain-wait", "0", "--drain-time", "3600"]);
        });
        let mut ada = speaking(&service, "ada").await;
        signal(&service, "-TERM");
        says_so(&service).await;
        says(&mut ada, 3..4).await;
        signal(&service, second);
        assert_eq!(ada.rest().await.last(), Some(&Heard::Closed(Some(1001))));
        let ended = tokio::task::spawn_blocking(move || service.child.wait());
        let ended = in_time(ended).await.expect("no panic").expect("an end");
        assert!(ended.success(), "{ended}");
    }
}

#[tokio::test]
async fn a_service_that_is_alone_ends_at_once_unless_it_is_told_to_drain() {
    let service = Process::start(|command| {
        command.args(["--log", "warn"]);
    });
    let mut ada = speaking(&service, "ada").await;
    signal(&service, "-TERM");
    assert_eq!(ada.rest().await.last(), Some(&Heard::Closed(Some(1001))));
    // So does Ctrl-C, whatever it was told.
    let service = Process::start(|command| {
        command.args(["--log", "warn", "--drain-time", "3600"]);
    });
    let mut ada = speaking(&service, "ada").await;
    signal(&service, "-INT");
    assert_eq!(ada.rest().await.last(), Some(&Heard::Closed(Some(1001))));
}
