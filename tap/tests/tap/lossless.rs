// SPDX-License-Identifier: MPL-2.0

//! Tests that nothing is missing or repeated, whenever the line is cut and the service
//! killed.

use crate::run::{ANNA, SOON, Tap, command};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write, copy};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{park, spawn};
use std::time::{Duration, Instant};
use symbl_protocol::reply::{self, SpokenWord};
use symbl_service::Server;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_testkit::client::{Client, config, linear16, start_request};
use tokio::runtime::Runtime;

const DATA: &str = "SYMBL_TAP_TEST_DATA";
const PORT: &str = "SYMBL_TAP_TEST_PORT";

/// Runs the service that other tests kill, as a process of its own. It is no test.
#[test]
#[ignore = "the tests of this file run it"]
fn service_process() {
    let Ok(data) = std::env::var(DATA) else {
        return;
    };
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let mut config = config();
    config.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    config.data = Some(data.into());
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::bind(config)).unwrap();
    println!("listening on {}", server.local_addr());
    loop {
        park();
    }
}

/// A service in a process of its own. It is killed when dropped.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    /// Starts a service on the data of a directory; port 0 is a free one.
    fn start(data: &Path, port: u16) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "lossless::service_process",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(DATA, data)
            .env(PORT, port.to_string())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once("listening on ")?;
            Some(address.parse().unwrap())
        });
        let address = address.expect("it listens");
        // The output must be read, or the process ends when it writes.
        spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line to the service, which is cut after a random number of bytes from it.
struct Line {
    address: SocketAddr,
    random: Arc<Mutex<Option<fastrand::Rng>>>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    fn to(target: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let random = Arc::new(Mutex::new(Some(fastrand::Rng::with_seed(seed))));
        let ends: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (cuts, all) = (Arc::clone(&random), Arc::clone(&ends));
        spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // The service may be dead at the moment.
                let Ok(server) = TcpStream::connect(target) else {
                    continue;
                };
                let limit = match &mut *cuts.lock().unwrap_or_else(PoisonError::into_inner) {
                    // A final and what is found in it take some 2,000 bytes.
                    Some(random) => random.u64(150..9000),
                    None => u64::MAX,
                };
                let two =
                    |stream: &TcpStream| (stream.try_clone().unwrap(), stream.try_clone().unwrap());
                let ((from_client, mut to_client), (from_server, mut to_server)) =
                    (two(&client), two(&server));
                all.lock().unwrap().extend([client, server]);
                spawn(move || {
                    let _ = copy(&mut &from_client, &mut to_server);
                    let _ = to_server.shutdown(Shutdown::Both);
                });
                spawn(move || {
                    let _ = copy(&mut (&from_server).take(limit), &mut to_client);
                    let _ = to_client.shutdown(Shutdown::Both);
                    let _ = from_server.shutdown(Shutdown::Both);
                });
            }
        });
        Self {
            address,
            random,
            ends,
        }
    }

    /// Cuts all present connections.
    fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            // It may have ended already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Cuts no more connections than the present ones.
    fn hold(&self) {
        *self.random.lock().unwrap() = None;
    }
}

/// A speaker, and what it says: words that are numbered through.
struct Speaker {
    runtime: Runtime,
    client: Option<Client>,
    words: u16,
}

impl Speaker {
    fn new() -> Self {
        Self {
            runtime: Runtime::new().unwrap(),
            client: None,
            words: 0,
        }
    }

    fn join(&mut self, service: &Service) {
        let mut request = start_request();
        request["noConnectionTimeout"] = 1800.into();
        request["speaker"] = json!({"userId": "ada@example.org", "name": "Ada"});
        request["insightTypes"] = json!(["topic"]);
        // Finals with no trackers, with one and with several.
        let vocabulary: Vec<String> = (0..2000).step_by(3).map(|n| format!("w{n}")).collect();
        request["trackers"] = json!([{"name": "Third", "vocabulary": vocabulary}]);
        let client = Client::started(&service.address, "call%2F17", &request);
        self.client = Some(self.runtime.block_on(client).0);
    }

    /// Says a sentence, and waits for its message. Returns its text.
    fn say(&mut self) -> String {
        let words = self.words..self.words + 4;
        self.words = words.end;
        let mut samples = speech(words.clone(), 16_000);
        samples.extend(silence(Duration::from_millis(600), 16_000));
        let client = self.client.as_mut().unwrap();
        self.runtime.block_on(async {
            client.send_audio(&linear16(&samples)).await;
            client.until("message_response").await;
        });
        let words: Vec<String> = words.map(|word| format!("w{word}")).collect();
        format!("{}.", words.join(" "))
    }

    fn stop(mut self) {
        let mut client = self.client.take().unwrap();
        self.runtime.block_on(async {
            client.stop().await;
            client.rest().await;
        });
    }
}

/// The lines that the program writes, as they come.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Value>>>);

impl Lines {
    fn of(tap: &mut Tap) -> Self {
        let lines = Self::default();
        let out = BufReader::new(tap.child.stdout.take().unwrap());
        let to = lines.clone();
        spawn(move || {
            for line in out.lines() {
                let line = serde_json::from_str(&line.unwrap()).unwrap();
                to.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    fn texts(&self) -> Vec<String> {
        texts(&self.all())
    }
}

fn texts(lines: &[Value]) -> Vec<String> {
    let said = lines.iter().filter(|line| line["type"] == "transcript");
    said.map(|line| line["text"].as_str().unwrap().to_lowercase())
        .collect()
}

/// Returns the id of the only conversation of a service, as `--list` has it.
fn listed(base_url: &str) -> String {
    let (status, out, err) = past(base_url, &["--list", "--format", "jsonl"]);
    assert!(status, "{err}");
    let conversation: Value = serde_json::from_str(out.trim()).unwrap();
    conversation["id"].as_str().unwrap().to_owned()
}

/// Runs the program without a connection id.
fn past(base_url: &str, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_symbl-tap"))
        .env_remove("SYMBL_ACCESS_TOKEN")
        .args(["--base-url", base_url])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Waits until the program has ended. Returns if it was successful, and standard error.
fn ended(mut tap: Tap) -> (bool, String) {
    let begin = Instant::now();
    while tap.child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < 2 * SOON, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (status, _, err) = tap.end_of_log();
    (status.success(), err)
}

#[test]
fn every_sentence_and_finding_is_written_once_and_in_order_through_cuts_and_kills() {
    for seed in [1, 2] {
        let mut random = fastrand::Rng::with_seed(seed);
        let data = tempfile::tempdir().unwrap();
        let mut service = Service::start(data.path(), 0);
        let port = service.address.port();
        let line = Line::to(service.address, seed);
        let mut speaker = Speaker::new();
        speaker.join(&service);
        let base_url = format!("http://{}", line.address);
        let mut tap = Tap::run(command(&base_url, &["--format", "jsonl"]));
        let lines = Lines::of(&mut tap);
        tap.says("listening");
        // Once a sentence was written, it is in the conversation.
        let first = loop {
            let said = speaker.say();
            let begin = Instant::now();
            while lines.texts().is_empty() && begin.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(5));
            }
            if let Some(first) = lines.texts().first() {
                assert_eq!(*first, said, "seed {seed}");
                break said;
            }
        };
        let mut said = vec![first];
        for round in 0..12 {
            match random.u8(0..4) {
                0 => line.cut(),
                1 if round % 3 == 0 => {
                    drop(service);
                    service = Service::start(data.path(), port);
                    speaker.join(&service);
                }
                _ => {}
            }
            for _ in 0..random.u8(1..4) {
                said.push(speaker.say());
            }
        }
        // The last sentences come over a line that may be cut too, and the conversation may
        // be over before the program is back.
        line.cut();
        said.push(speaker.say());
        speaker.stop();
        line.hold();
        let (success, err) = ended(tap);
        assert!(success, "seed {seed}: {err}");
        assert_eq!(lines.texts(), said, "seed {seed}: {err}");
        // What was found is there once too, as the log has it.
        let id = listed(&base_url);
        let (success, out, err) = past(&base_url, &["--replay", &id, "--format", "jsonl"]);
        assert!(success, "{err}");
        let replayed: Vec<Value> = out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let kinds: BTreeSet<&str> = replayed.iter().filter_map(|l| l["type"].as_str()).collect();
        assert!(kinds.contains("tracker"), "{kinds:?}");
        let first =
            |line: &Value| line["text"].as_str().map(str::to_lowercase).as_ref() == said.first();
        let from = replayed.iter().position(first).expect("the first sentence");
        assert_eq!(lines.all(), replayed[from..], "seed {seed}");
    }
}

/// Answers a request and returns its path.
fn answered(listener: &TcpListener, answer: &str) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0].into());
    }
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_key = name.eq_ignore_ascii_case("Sec-WebSocket-Key");
        is_key.then_some(value.as_bytes())
    });
    let accept = key.map(tokio_tungstenite::tungstenite::handshake::derive_accept_key);
    let answer = answer.replace("{accept}", &accept.unwrap_or_default());
    stream.write_all(answer.as_bytes()).unwrap();
    (stream, path)
}

const UPGRADE: &str = "HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Accept: {accept}\r\n\r\n";
const UNKNOWN: &str = "HTTP/1.1 404 None\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Returns a text frame of a server.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    let mut frame = vec![0x81, 126];
    frame.extend(length.to_be_bytes());
    frame.extend(text.as_bytes());
    frame
}

fn said(text: &str, number: u64) -> String {
    let words = [SpokenWord {
        text,
        start: Duration::from_secs(number),
        end: Duration::from_secs(number + 1),
    }];
    let message = reply::Message {
        id: "m",
        from: ANNA,
        text,
        original_text: text,
        timezone_offset: 0,
        words: &words,
        stream_offset: Duration::ZERO,
        conversation_start: 1_763_715_600_000_000_000,
        stream: None,
        entities: &[],
        sentiment: None,
        phrases: None,
    };
    reply::message_response(&[message], number)
}

/// Returns the last word of each line.
fn last_words(out: &str) -> Vec<&str> {
    let words = out.lines().filter_map(|line| line.split(' ').next_back());
    words.collect()
}

fn json_answer(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

#[test]
fn what_was_said_before_the_conversation_was_over_is_read_from_its_log() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let tap = Tap::start(&base_url, &[]);
    let (mut first, path) = answered(&listener, UPGRADE);
    assert_eq!(path, "/v1/subscribe/call%2F17");
    first
        .write_all(&frame(&reply::subscription_started("42", Some(4))))
        .unwrap();
    first.write_all(&frame(&said("Five.", 5))).unwrap();
    drop(first);
    let (_, path) = answered(&listener, UNKNOWN);
    assert_eq!(path, "/v1/subscribe/call%2F17?after=4");
    // The service is busy at first.
    let busy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (_, path) = answered(&listener, busy);
    assert_eq!(path, "/v1/conversations/42/events?afterSequenceNumber=4");
    let (five, six) = (said("Five.", 5), said("Six.", 6));
    let page = format!(
        r#"{{"events":[{{"seq":9,"at":1,"messages":[{five}]}},{{"seq":10,"at":2,"messages":[{six}]}}],"last":11,"more":true}}"#
    );
    answered(&listener, &json_answer(&page));
    let (_, path) = answered(
        &listener,
        &json_answer(r#"{"events":[],"last":11,"more":false}"#),
    );
    assert_eq!(path, "/v1/conversations/42/events?after=11");
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    assert_eq!(last_words(&out), ["Five.", "Six."], "{out}");
    assert!(
        err.contains("what is said until then is asked for then"),
        "{err}"
    );
}

#[test]
fn a_conversation_that_follows_under_the_same_connection_id_is_written_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let tap = Tap::start(&base_url, &[]);
    let (mut first, _) = answered(&listener, UPGRADE);
    first
        .write_all(&frame(&reply::subscription_started("42", Some(-1))))
        .unwrap();
    first.write_all(&frame(&said("Old.", 0))).unwrap();
    drop(first);
    let (mut second, path) = answered(&listener, UPGRADE);
    assert_eq!(path, "/v1/subscribe/call%2F17?after=-1");
    second
        .write_all(&frame(&reply::subscription_started("43", Some(7))))
        .unwrap();
    second.write_all(&frame(&said("Wrong place.", 1))).unwrap();
    // Of the old one nothing is known any more, as in a service without a directory.
    let (_, path) = answered(&listener, UNKNOWN);
    assert_eq!(path, "/v1/conversations/42/events?afterSequenceNumber=-1");
    drop(second);
    let (mut third, path) = answered(&listener, UPGRADE);
    assert_eq!(path, "/v1/subscribe/call%2F17?after=-1");
    third
        .write_all(&frame(&reply::subscription_started("43", Some(7))))
        .unwrap();
    for (number, text) in [(0, "New."), (1, "Newer.")] {
        third.write_all(&frame(&said(text, number))).unwrap();
    }
    third
        .write_all(&frame(&reply::conversation_completed("43")))
        .unwrap();
    drop(third);
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    assert_eq!(last_words(&out), ["Old.", "New.", "Newer."], "{out} {err}");
}
