// SPDX-License-Identifier: MPL-2.0

//! What one client or one conversation takes of the service is bounded, and no
//! conversation waits for another one.

use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::{Value, json};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
    blocking,
};
use symbl_service::{Limits, Server, ServerConfig};
use tokio_tungstenite::tungstenite::Error;

/// An engine whose streams end only after the test has opened the gate.
#[derive(Default)]
struct Gated(Arc<(Mutex<bool>, Condvar)>);

impl Gated {
    fn open_gate(&self) {
        *self.0.0.lock().expect("a lock") = true;
        self.0.1.notify_all();
    }
}

impl Recognizer for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }
}

impl RecognizerStream for Gated {
    fn push(&mut self, _: &[i16], _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let (open, changed) = &*self.0;
        blocking(|| {
            let open = open.lock().expect("a lock");
            drop(changed.wait_while(open, |open| !*open).expect("a lock"));
        });
        let word = RecognisedWord {
            text: "last".to_owned(),
            start: Duration::ZERO,
            end: Duration::ZERO,
            confidence: 1.0,
        };
        out.push(Recognition::bare(vec![word]));
        Ok(())
    }
}

async fn gated(change: impl FnOnce(&mut Limits)) -> (Server, Arc<Gated>) {
    let engine = Arc::new(Gated::default());
    let mut config = ServerConfig {
        recognizer: Arc::clone(&engine) as Arc<dyn Recognizer>,
        ..config()
    };
    change(&mut config.limits);
    (Server::bind(config).await.expect("a free port"), engine)
}

fn pausing() -> Value {
    let mut request = start_request();
    request["disconnectOnStopRequest"] = false.into();
    request
}

/// Starts and stops so often, without waiting for any answer.
async fn start_and_stop(client: &mut Client, times: usize) {
    for _ in 0..times {
        client.send_json(&pausing()).await;
        client.stop().await;
    }
}

/// Returns the codes of all errors up to the answer to a question of this type.
async fn errors_until(client: &mut Client, question: &str) -> Vec<String> {
    client.send_json(&json!({"type": question})).await;
    let mut codes = Vec::new();
    loop {
        let error = client.until("error").await;
        let code = error.json()["code"].as_str().expect("a code").to_owned();
        if code == "unknown_type" {
            return codes;
        }
        codes.push(code);
    }
}

#[tokio::test]
async fn a_start_stop_loop_has_three_streams_and_is_refused_more() {
    let (server, engine) = gated(|_| {}).await;
    let mut client = Client::connect(&server, "loop").await;
    start_and_stop(&mut client, 20).await;
    let codes = errors_until(&mut client, "question").await;
    let refused = codes.iter().filter(|c| *c == "too_many_streams").count();
    assert_eq!(refused, 17, "{codes:?}");
    engine.open_gate();
    // Those that were taken say what they heard, in turn.
    for _ in 0..3 {
        client.until("message_response").await;
    }
    // And there is room again.
    client.start(&pausing()).await;
}

#[tokio::test]
async fn streams_that_drain_behind_a_new_start_are_bounded_for_all_sockets_together() {
    let (server, engine) = gated(|limits| limits.draining = 2).await;
    let mut clients = Vec::new();
    let mut refused = 0;
    for number in 0..4 {
        let mut client = Client::connect(&server, &number.to_string()).await;
        start_and_stop(&mut client, 2).await;
        let codes = errors_until(&mut client, "question").await;
        refused += codes.iter().filter(|c| *c == "too_many_streams").count();
        clients.push(client);
    }
    assert_eq!(refused, 2, "the first start of a socket is never refused");
    engine.open_gate();
    for client in &mut clients {
        client.until("message_response").await;
    }
}

#[tokio::test]
async fn a_stream_that_outlives_its_socket_and_has_no_place_to_drain_keeps_the_socket_s() {
    let narrow = |limits: &mut Limits| (limits.connections, limits.draining) = (1, 0);
    let (server, engine) = gated(narrow).await;
    let (mut client, _) = Client::started(&server, "x", &pausing()).await;
    client.stop().await;
    client.until("recognition_stopped").await;
    client.close(1000).await;
    in_time(sockets(&server, 0)).await;
    assert_eq!(refused(&server, "y").await, Some(429));
    engine.open_gate();
    in_time(async { while refused(&server, "y").await.is_some() {} }).await;
}

/// Returns the status of a dial, if it is refused.
async fn refused(server: &Server, id: &str) -> Option<u16> {
    match Client::open(server, &format!("/v1/streaming/{id}"), &[]).await {
        Ok(_) => None,
        Err(Error::Http(response)) => Some(response.status().as_u16()),
        Err(other) => panic!("{other:?}"),
    }
}

/// Waits until the service sees so many streaming sockets.
async fn sockets(server: &Server, number: usize) {
    let line = format!("symbl_service_sockets{{kind=\"streaming\"}} {number}\n");
    while !http(server, "GET /metrics", "").await.1.contains(&line) {}
}

/// Returns a tracker with this many phrases. Each of them is compared with all before it, and
/// with each word.
fn slow_trackers(phrases: usize) -> Value {
    let vocabulary: Vec<String> = (0..phrases).map(|n| format!("phrase{n}")).collect();
    json!([{"name": "Slow", "vocabulary": vocabulary}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_analysis_that_takes_long_in_one_conversation_delays_no_handshake() {
    let config = ServerConfig {
        recognizer: Arc::new(Prompter(&["how do you do"])),
        ..config()
    };
    let server = Server::bind(config).await.expect("a free port");
    let mut request = start_request();
    request["trackers"] = slow_trackers(5000);
    let (mut ada, _) = Client::started(&server, "busy", &request).await;
    ada.send_audio(&[0; 16_000]).await;
    // The interim comes right before the analysis of the final.
    ada.until("recognition_result").await;
    let begun = Instant::now();
    let address = server.local_addr();
    // One dials the same conversation, for which the map of all of them must not be held.
    let _bob = tokio::spawn(async move { Client::connect(&address, "busy").await });
    let analysis = async move {
        ada.until("message_response").await;
        begun.elapsed()
    };
    let analysis = tokio::spawn(analysis);
    let mut longest = Duration::ZERO;
    let mut strangers = 0;
    while !analysis.is_finished() {
        let dialled = Instant::now();
        Client::started(&address, &strangers.to_string(), &start_request()).await;
        longest = longest.max(dialled.elapsed());
        strangers += 1;
    }
    let analysis = analysis.await.expect("a message");
    assert!(
        longest * 3 < analysis,
        "a stranger waited {longest:?} during an analysis of {analysis:?}"
    );
}

fn request(user: &str, keep: u32) -> Value {
    let mut request = start_request();
    request["speaker"] = json!({"userId": format!("{user}@example.org"), "name": user});
    request["noConnectionTimeout"] = keep.into();
    request
}

#[tokio::test]
async fn a_conversation_waits_for_the_speaker_with_the_longest_wait() {
    let server = server().await;
    let (ada, id) = Client::started(&server, "x", &request("ada", 1800)).await;
    let (bob, _) = Client::started(&server, "x", &request("bob", 0)).await;
    drop((ada, bob));
    in_time(sockets(&server, 0)).await;
    let (ada, again) = Client::started(&server, "x", &request("ada", 1800)).await;
    assert_eq!(again, id, "Bob's 0 s are not Ada's");
    // She comes back, and another one is lost: she is owed nothing more.
    let (bob, _) = Client::started(&server, "x", &request("bob", 0)).await;
    finish(ada).await;
    drop(bob);
    in_time(sockets(&server, 0)).await;
    let (_ada, next) = Client::started(&server, "x", &request("ada", 1800)).await;
    assert_ne!(next, id, "Ada left cleanly, and Bob asked for no wait");
}

#[tokio::test]
async fn a_lost_speaker_is_waited_for_though_the_last_one_left_cleanly() {
    let server = server().await;
    let (ada, id) = Client::started(&server, "x", &request("ada", 1800)).await;
    let (bob, _) = Client::started(&server, "x", &request("bob", 1800)).await;
    drop(ada);
    in_time(sockets(&server, 1)).await;
    finish(bob).await;
    let (ada, again) = Client::started(&server, "x", &request("ada", 1800)).await;
    assert_eq!(again, id);
    finish(ada).await;
    let (_eve, next) = Client::started(&server, "x", &request("eve", 0)).await;
    assert_ne!(next, id, "nobody is owed anything any more");
}

/// Stops the client and waits for the end of its socket.
async fn finish(mut client: Client) {
    client.stop().await;
    client.rest().await;
}

/// Runs a service where no further thread can be had. Other tests may run beside this one, so
/// it has a runtime of its own, whose only thread for blocking work never becomes free.
#[test]
fn requests_are_answered_where_no_thread_can_be_had() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    let (end, ended) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        tokio::task::spawn_blocking(move || ended.recv().is_err());
        let server = server().await;
        for path in ["/healthz", "/v1/conversations", "/v1/manage/trackers"] {
            let (head, _) = http(&server, &format!("GET {path}"), "").await;
            assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        }
        let mut request = start_request();
        request["config"]["trackers"] = json!({"enableAllTrackers": true});
        Client::started(&server, "x", &request).await;
        server.shutdown().await;
    });
    drop(end);
}
