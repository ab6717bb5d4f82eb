// SPDX-License-Identifier: MPL-2.0

//! Clients that do, all at once, what has stopped a service before.
//!
//! Each follows the letter of the protocol, or crashes as programs do, and needs no more than
//! a socket. Some do not read the answers.

use crate::common::feed::{CAPS, Feed};
use crate::common::pipeline::Pipeline;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use symbl_service::recognizer::scripted;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

type Socket = WebSocketStream<TcpStream>;

/// Longest wait of a client.
const PATIENCE: Duration = Duration::from_secs(20);

/// Number of sinks in this process whose service has a name that is not found.
const LOST: usize = 50;

/// Counts what the clients did.
#[derive(Default)]
struct Counts {
    starts: AtomicU64,
    crashes: AtomicU64,
    reads: AtomicU64,
    tracked: AtomicU64,
    odd_requests: AtomicU64,
    newcomers: AtomicU64,
}

/// The counts, which can be printed.
pub struct Did(Arc<Counts>);

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        write!(
            f,
            "{} starts on the same sockets, {} clients that crashed, {} reads of a long \
             conversation, {} seconds of audio for thousands of trackers, {} odd requests, \
             {} newcomers that were heard, {LOST} sinks of services that are not found",
            count(&self.0.starts),
            count(&self.0.crashes),
            count(&self.0.reads),
            count(&self.0.tracked),
            count(&self.0.odd_requests),
            count(&self.0.newcomers),
        )
    }
}

/// All clients. They end when this is dropped.
pub struct Clients {
    runtime: Runtime,
    counts: Arc<Counts>,
    _lost: Vec<(Pipeline, Feed)>,
}

impl Clients {
    /// Starts all clients against a service. `long` means that there is time for a conversation of
    /// thousands of messages.
    pub fn start(service: &str, long: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let counts = Arc::<Counts>::default();
        let at = |counts: &Arc<Counts>| (service.to_owned(), Arc::clone(counts));
        for number in 0..2 {
            runtime.spawn(restless(at(&counts), number));
        }
        runtime.spawn(crashing(at(&counts)));
        runtime.spawn(reading(at(&counts), if long { 3000 } else { 40 }));
        runtime.spawn(tracking(at(&counts)));
        runtime.spawn(odd(at(&counts)));
        runtime.spawn(deaf(at(&counts)));
        runtime.spawn(newcomers(at(&counts)));
        let lost = (0..LOST).map(|n| {
            let (pipeline, feed) = Feed::pipeline(&format!(
                "base-url=http://nobody-{n}.invalid:8787 leaky=oldest buffer-duration=1000"
            ));
            pipeline.play();
            assert!(feed.begin(CAPS));
            (pipeline, feed)
        });
        Self {
            _lost: lost.collect(),
            runtime,
            counts,
        }
    }

    /// Returns `true` if each kind of client did something.
    pub fn are_all_busy(&self) -> bool {
        self.counts.idle().is_none()
    }

    /// Ends all clients, and returns what they did.
    pub fn stop(self) -> Did {
        self.runtime.shutdown_timeout(Duration::from_secs(10));
        Did(self.counts)
    }
}

impl Counts {
    /// Returns an action that no client did, if there is one.
    fn idle(&self) -> Option<&'static str> {
        let all = [
            (&self.starts, "start"),
            (&self.crashes, "crash"),
            (&self.reads, "read"),
            (&self.tracked, "tracker"),
            (&self.odd_requests, "odd request"),
            (&self.newcomers, "newcomer that was heard"),
        ];
        let idle = all
            .iter()
            .find(|(count, _)| count.load(Ordering::Relaxed) == 0);
        idle.map(|(_, what)| *what)
    }
}

impl Did {
    /// Fails unless each kind of client did something.
    pub fn assert_all(&self) {
        assert_eq!(self.0.idle(), None, "nothing of this kind was done");
    }
}

type At = (String, Arc<Counts>);

/// Connects to this path of the service. After a refusal, waits a moment.
async fn connect(service: &str, path: &str) -> Option<Socket> {
    let dialled = timeout(PATIENCE, async {
        let tcp = TcpStream::connect(service).await.ok()?;
        let url = format!("ws://{service}{path}");
        Some(client_async(url, tcp).await.ok()?.0)
    });
    let socket = dialled.await.ok().flatten();
    if socket.is_none() {
        sleep(Duration::from_millis(200)).await;
    }
    socket
}

async fn dial(service: &str, connection: &str) -> Option<Socket> {
    connect(service, &format!("/v1/streaming/{connection}")).await
}

fn start_request(trackers: &Value) -> Message {
    let request = json!({
        "type": "start_request",
        "noConnectionTimeout": 300,
        "trackers": trackers,
        "config": {
            "speechRecognition": {"encoding": "LINEAR16", "sampleRateHertz": 16000},
            "trackers": {"interimResults": true},
        },
        "speaker": {"userId": "hostile@example.com", "name": "Hostile"},
    });
    Message::text(request.to_string())
}

/// Returns trackers with as many phrases as a request may have, of the spoken words.
fn trackers(salt: usize) -> Value {
    let tracker = |n: usize| {
        let phrases = (0..100).map(|p| format!("w{} w{} {salt}", n, p));
        json!({"name": format!("Tracker {n}"), "vocabulary": phrases.collect::<Vec<_>>()})
    };
    (0..45).map(tracker).collect()
}

fn audio(words: impl IntoIterator<Item = u16>) -> Vec<Message> {
    let samples = scripted::speech(words, 16_000);
    let pieces = samples.chunks(1600);
    let bytes = pieces.map(|piece| piece.iter().flat_map(|s| s.to_le_bytes()).collect());
    bytes.map(|bytes: Vec<u8>| Message::binary(bytes)).collect()
}

/// Starts and stops as fast as its socket takes it, with a word in between.
async fn restless((service, counts): At, number: usize) {
    let word = audio([number as u16]);
    loop {
        let Some(socket) = dial(&service, &format!("restless-{number}")).await else {
            continue;
        };
        let (mut write, mut read) = socket.split();
        let reading =
            tokio::spawn(async move { while read.next().await.is_some_and(|m| m.is_ok()) {} });
        let stop = Message::text(r#"{"type":"stop_request"}"#);
        let start = start_request(&json!([]));
        while !reading.is_finished() {
            let mut all = vec![start.clone()];
            all.extend(word.iter().cloned());
            all.push(stop.clone());
            let mut failed = false;
            for message in all {
                failed |= !matches!(timeout(PATIENCE, write.send(message)).await, Ok(Ok(())));
            }
            if failed {
                break;
            }
            counts.starts.fetch_add(1, Ordering::Relaxed);
        }
        reading.abort();
    }
}

/// Runs clients with as many trackers as are allowed, 40 at once and then two a second. Each
/// drops its connection after a word, and may rejoin for five minutes.
async fn crashing((service, counts): At) {
    let word = audio([7]);
    for number in 0.. {
        if let Some(mut socket) = dial(&service, &format!("crashing-{number}")).await {
            let start = start_request(&trackers(number));
            let _ = timeout(PATIENCE, socket.send(start)).await;
            for message in word.iter().cloned() {
                let _ = timeout(PATIENCE, socket.send(message)).await;
            }
            // The service knows that it speaks.
            let _ = timeout(PATIENCE, socket.next()).await;
            counts.crashes.fetch_add(1, Ordering::Relaxed);
        }
        if number > 40 {
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Speaks a long conversation as fast as the service takes it, and returns its id.
async fn converse(service: &str, messages: u16) -> Option<String> {
    let mut socket = dial(service, "long").await?;
    socket.send(start_request(&json!([]))).await.ok()?;
    let (mut write, mut read) = socket.split();
    let (told, id) = tokio::sync::oneshot::channel();
    let reading = tokio::spawn(async move {
        let mut told = Some(told);
        while let Some(Ok(message)) = read.next().await {
            let message: Value = message
                .to_text()
                .ok()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            let message = &message["message"];
            let id = message["data"]["conversationId"].as_str();
            if let Some((told, id)) = id.and_then(|id| Some((told.take()?, id))) {
                let _ = told.send(id.to_owned());
            }
            if message["type"] == "conversation_completed" {
                break;
            }
        }
    });
    for n in 0..messages {
        let mut said = audio([n % scripted::VOCABULARY]);
        said.push(Message::binary(vec![0; 6400]));
        said.push(Message::binary(vec![0; 6400]));
        for message in said {
            write.send(message).await.ok()?;
        }
    }
    write
        .send(Message::text(r#"{"type":"stop_request"}"#))
        .await
        .ok()?;
    let _ = timeout(Duration::from_secs(60), reading).await;
    timeout(PATIENCE, id).await.ok()?.ok()
}

/// Lets eight clients at a time request all of a long conversation. Every other one hangs up
/// in the middle of the answer.
async fn reading((service, counts): At, messages: u16) {
    let id = loop {
        if let Some(id) = converse(&service, messages).await {
            break id;
        }
    };
    let reader = async |number: usize| {
        loop {
            let Ok(mut socket) = TcpStream::connect(&service).await else {
                sleep(Duration::from_millis(200)).await;
                continue;
            };
            let request = format!(
                "GET /v1/conversations/{id}/messages?verbose=true HTTP/1.1\r\n\
                 Host: {service}\r\nConnection: close\r\n\r\n"
            );
            let mut answer = vec![0; 4096];
            let read = async {
                socket.write_all(request.as_bytes()).await?;
                match number % 2 {
                    0 => socket.read(&mut answer).await,
                    _ => socket.read_to_end(&mut answer).await,
                }
            };
            if let Ok(Ok(_)) = timeout(PATIENCE, read).await {
                counts.reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let readers = (0..8).map(reader);
    futures_util::stream::iter(readers)
        .buffer_unordered(8)
        .for_each(async |()| {})
        .await;
}

/// Speaks without a pause with thousands of trackers, which apply to interims too.
async fn tracking((service, counts): At) {
    loop {
        let Some(socket) = dial(&service, "tracking").await else {
            continue;
        };
        let (mut write, mut read) = socket.split();
        let reading =
            tokio::spawn(async move { while read.next().await.is_some_and(|m| m.is_ok()) {} });
        let _ = write.send(start_request(&trackers(0))).await;
        'speaking: for word in 0..scripted::VOCABULARY {
            for message in audio([word % 100]) {
                if reading.is_finished() || write.send(message).await.is_err() {
                    break 'speaking;
                }
            }
            sleep(scripted::WORD_LENGTH).await;
            if word % 5 == 4 {
                counts.tracked.fetch_add(1, Ordering::Relaxed);
            }
        }
        reading.abort();
    }
}

/// Sends requests for unknown resources, with invalid tokens, and malformed requests.
async fn odd((service, counts): At) {
    let requests = [
        "GET /no/such/page HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/streaming/odd HTTP/1.1\r\nHost: x\r\nX-API-KEY: guess\r\n\r\n",
        "POST /oauth2/token:generate HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        "NONSENSE\r\n\r\n",
    ];
    for number in 0.. {
        if let Ok(mut socket) = TcpStream::connect(&service).await {
            let request = requests[number % requests.len()];
            let asked = async {
                socket.write_all(request.as_bytes()).await?;
                socket.read(&mut [0; 1024]).await
            };
            if let Ok(Ok(_)) = timeout(PATIENCE, asked).await {
                counts.odd_requests.fetch_add(1, Ordering::Relaxed);
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Opens subscribers that never read.
async fn deaf((service, _): At) {
    let mut deaf = Vec::new();
    for connection in ["tracking", "restless-0", "restless-1", "long"] {
        deaf.push(connect(&service, &format!("/v1/subscribe/{connection}")).await);
    }
    std::future::pending::<()>().await;
}

/// Starts a new client every three seconds, which says three words and waits for them.
async fn newcomers((service, counts): At) {
    for number in 0..u16::MAX {
        let Some(mut socket) = dial(&service, &format!("newcomer-{number}")).await else {
            continue;
        };
        let _ = socket.send(start_request(&json!([]))).await;
        for message in audio([1, 2, 3]) {
            let _ = socket.send(message).await;
        }
        let _ = socket
            .send(Message::text(r#"{"type":"stop_request"}"#))
            .await;
        let heard = async {
            while let Some(Ok(message)) = socket.next().await {
                let text = message.into_text().unwrap_or_default();
                if text.contains(r#""message_response""#) {
                    return text.contains("3");
                }
            }
            false
        };
        if timeout(PATIENCE, heard).await == Ok(true) {
            counts.newcomers.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_secs(3)).await;
    }
}
