// SPDX-License-Identifier: MPL-2.0

//! The service's log: a line that cannot be written delays no client, and a line that is
//! written names its client.

use crate::common::*;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::speech;
use tokio_tungstenite::tungstenite::Message;

/// What Linux keeps in a pipe before a writer has to wait.
const PIPE: usize = 65_536;

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
    command
        .args(["--listen", "127.0.0.1:0", "--recognizer", "scripted"])
        .env_remove("SYMBL_APP_ID")
        .env_remove("SYMBL_APP_SECRET")
        .stdout(Stdio::piped());
    command
}

/// A running service, killed when it is dropped.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Place for Service {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Service {
    fn start(command: &mut Command, stderr: impl Into<Stdio>) -> Self {
        let mut child = command.stderr(stderr).spawn().expect("started");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening on http://").expect(&line);
        let address = address.trim_end().parse().expect("an address");
        Self { child, address }
    }

    /// Starts the service and reads its log to the end.
    fn logged(options: &[&str]) -> (Self, JoinHandle<String>) {
        let mut service = Self::start(command().args(options), Stdio::piped());
        let mut log = service.child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            log.read_to_string(&mut text).expect("UTF-8");
            text
        });
        (service, log)
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Sends SIGTERM and waits for the end; `true` if that was a good one.
    fn terminate(&mut self) -> bool {
        self.signal("-TERM");
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.success();
            }
            assert!(Instant::now() < until, "SIGTERM does not end it");
            std::thread::yield_now();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that a service works although nothing reads its output: it serves more sockets
/// than it has threads, says that it is healthy, and ends at the signal.
async fn assert_serves(mut service: Service) {
    for number in 0..10 {
        let (mut client, _) =
            Client::started(&service, &number.to_string(), &start_request()).await;
        client.send_audio(&linear16(&speech(0..2, 16_000))).await;
        client.stop().await;
        assert_eq!(texts(&final_words(&client.rest().await)), ["w0", "w1"]);
    }
    let (head, _) = http(&service, "GET /healthz", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(service.terminate());
}

/// Returns a pipe that takes no more bytes.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().expect("a pipe");
    writer.write_all(&[b'\n'; PIPE]).expect("room");
    (reader, writer)
}

#[tokio::test]
async fn a_log_on_a_full_pipe_without_a_reader_stops_no_client() {
    let (reader, writer) = full_pipe();
    let service = Service::start(command().args(["--log", "debug"]), writer);
    assert_serves(service).await;
    drop(reader);
}

#[tokio::test]
async fn a_log_on_a_full_disk_stops_no_client_and_its_lines_are_counted() {
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux");
    let service = Service::start(&mut command(), full);
    assert!(lines_dropped(&service).await > 0);
    assert_serves(service).await;
}

/// Starts a stream, and returns how many lines of the log were dropped by then.
async fn lines_dropped(service: &Service) -> u64 {
    let (_client, _) = Client::started(service, "x", &start_request()).await;
    let (_, text) = http(service, "GET /metrics", "").await;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("symbl_service_log_lines_dropped_total "));
    count.expect(&text).parse().expect("a number")
}

#[tokio::test]
async fn a_log_in_a_file_that_may_not_grow_stops_no_client_and_its_lines_are_counted() {
    let data = tempfile::tempdir().expect("a directory");
    let path = data.path().join("log");
    std::fs::write(&path, vec![b'x'; 2 << 20]).expect("written");
    let full = File::options().append(true).open(&path).expect("opened");
    let mut limited = Command::new("sh");
    limited
        // At most 1 MiB, where a unit is 512 bytes.
        .args(["-c", "ulimit -f 2048; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_symbl-service"))
        .args(["--listen", "127.0.0.1:0", "--recognizer", "scripted"])
        .env_remove("SYMBL_APP_ID")
        .env_remove("SYMBL_APP_SECRET")
        .stdout(Stdio::piped());
    let service = Service::start(&mut limited, full);
    assert!(lines_dropped(&service).await > 0);
    assert_serves(service).await;
}

#[tokio::test]
async fn a_log_on_a_closed_pipe_stops_no_client() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    assert_serves(Service::start(&mut command(), writer)).await;
}

#[tokio::test]
async fn a_standard_output_that_takes_nothing_stops_no_client() {
    for is_closed in [true, false] {
        let (reader, writer) = full_pipe();
        let kept = Some(reader).filter(|_| !is_closed);
        let mut command = command();
        command.stdout(writer).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = in_log(&mut log, "listening", "address=");
        let address = address.parse().expect("an address");
        // The rest of the log is read, for it is not what this is about.
        std::thread::spawn(move || log.count());
        assert_serves(Service { child, address }).await;
        drop(kept);
    }
}

/// Returns the value of a field in the next line that has this text.
fn in_log(
    log: &mut impl Iterator<Item = std::io::Result<String>>,
    text: &str,
    field: &str,
) -> String {
    let line = log
        .map(|line| line.expect("UTF-8"))
        .find(|line| line.contains(text))
        .expect("a line");
    let (_, rest) = line.split_once(field).expect(&line);
    rest.split(' ').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_waits_for_a_slow_log_is_written_when_it_is_read_again() {
    let (mut reader, writer) = full_pipe();
    let mut service = Service::start(&mut command(), writer);
    let (client, _) = Client::started(&service, "waits", &start_request()).await;
    client.close(1000).await;
    let text = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("UTF-8");
        text
    });
    assert!(service.terminate());
    let text = text.join().expect("read");
    assert!(text.contains("connection=\"waits\""), "{}", text.trim());
}

/// Returns the sum of `lines=N` in the lines about suppressed lines.
fn suppressed(log: &str) -> u64 {
    let lines = log.lines().filter(|line| line.contains("were suppressed"));
    let counts = lines.filter_map(|line| line.split_once("lines=")?.1.split(' ').next());
    counts
        .map(|count| count.parse::<u64>().expect("a number"))
        .sum()
}

#[tokio::test]
async fn a_socket_that_floods_the_log_is_told_in_one_line() {
    const MESSAGES: u64 = 3000;
    let (mut service, log) = Service::logged(&[]);
    let mut flood = Client::connect(&service, "flood").await;
    for _ in 0..MESSAGES {
        flood.send_text("{}").await;
        flood.until("error").await;
    }
    flood.close(1000).await;
    // Another socket's lines are not left out for it.
    let (honest, _) = Client::started(&service, "honest", &start_request()).await;
    honest.close(1000).await;
    assert!(service.terminate());
    let log = log.join().expect("read");
    let about = |id: &str| {
        let named = format!("connection=\"{id}\"");
        log.lines().filter(|line| line.contains(&named)).count() as u64
    };
    let written = log
        .lines()
        .filter(|line| line.contains("error told"))
        .count() as u64;
    assert!(written < MESSAGES / 4, "{written} lines");
    assert!(about("flood") < MESSAGES / 4, "{} lines", about("flood"));
    let left_out = suppressed(&log);
    // The lines about its beginning and end are among them.
    let all = MESSAGES..=MESSAGES + 5;
    assert!(
        all.contains(&(written + left_out)),
        "{written} + {left_out}"
    );
    assert!(about("honest") >= 4, "{log}");
}

#[tokio::test]
async fn guessing_leaves_one_warning_with_the_address_and_the_count() {
    let credentials = ["--app-id", "a", "--app-secret", "h-u-s-h"];
    let begin = Instant::now();
    let (mut service, log) = Service::logged(&credentials);
    for number in 0..200 {
        let guess = json!({"type": "application", "appId": "a", "appSecret": number.to_string()});
        http(&service, "POST /oauth2/token:generate", &guess.to_string()).await;
    }
    assert!(service.terminate());
    let log = log.join().expect("read");
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(" WARN ")).collect();
    let minutes = begin.elapsed().as_secs() / 60;
    let few = 1..=1 + usize::try_from(minutes).expect("a number");
    assert!(few.contains(&warnings.len()), "{warnings:?}");
    let warning = warnings[0];
    for part in ["network=127.0.0.1", "429"] {
        assert!(warning.contains(part), "{warning}");
    }
    let (_, failures) = warning.split_once("failures=").expect(warning);
    let failures = failures.split(' ').next().unwrap_or_default();
    let failures: usize = failures.parse().expect("a number");
    assert!((31..=200).contains(&failures), "{warning}");
    assert!(!log.contains("h-u-s-h"), "{log}");
}

#[tokio::test]
async fn refusals_are_in_the_log_by_default_with_address_and_without_the_token() {
    let (mut service, log) = Service::logged(&["--app-id", "a", "--app-secret", "h-u-s-h"]);
    for headers in [&[][..], &[("X-API-KEY", "t-o-k-e-n")]] {
        let refused = Client::open(&service, "/v1/streaming/x?access_token=q", headers).await;
        assert!(refused.is_err());
    }
    let body = r#"{"type": "application", "appId": "a", "appSecret": "w-r-o-n-g"}"#;
    let (head, _) = http(&service, "POST /oauth2/token:generate", body).await;
    assert!(head.starts_with("http/1.1 401"), "{head}");
    assert!(service.terminate());
    let log = log.join().expect("read");
    let refusals: Vec<&str> = log
        .lines()
        .filter(|l| l.contains("request refused"))
        .collect();
    assert_eq!(refusals.len(), 3, "{log}");
    for line in refusals {
        for part in ["status=401", "address=127.0.0.1"] {
            assert!(line.contains(part), "{line}");
        }
        let is_of_token = line.contains("/oauth2/token:generate");
        assert!(is_of_token || line.contains("/v1/streaming/x"), "{line}");
        assert!(
            line.contains("why=") && !line.contains("why=\"\""),
            "{line}"
        );
    }
    for secret in ["t-o-k-e-n", "access_token", "h-u-s-h", "w-r-o-n-g"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_share_token_is_in_no_line_of_the_log_wherever_it_is_sent() {
    let credentials = ["--app-id", "a", "--app-secret", "h-u-s-h"];
    let more = ["--log", "trace"];
    let (mut service, log) = Service::logged(&[&credentials[..], &more].concat());
    let body = json!({"type": "application", "appId": "a", "appSecret": "h-u-s-h"}).to_string();
    let (_, answer) = http(&service, "POST /oauth2/token:generate", &body).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let owner = answer["accessToken"].as_str().expect("a token").to_owned();
    let headers = [("X-API-KEY", owner.as_str())];
    let (mut speaker, _) = Client::open(&service, "/v1/streaming/x", &headers)
        .await
        .expect("an upgrade");
    let id = speaker.start(&start_request()).await;
    let path = format!("/v1/conversations/{id}");
    let bearer = |token: &str| format!("HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
    let share = format!("POST {path}/share {}", bearer(&owner));
    let (head, answer) = http(&service, &share, "{}").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let guest = answer["accessToken"].as_str().expect("a token").to_owned();
    for (request, code) in [
        (format!("GET {path}/messages {}", bearer(&guest)), 200),
        (format!("GET {path}/messages?access_token={guest}"), 200),
        (format!("DELETE {path} {}", bearer(&guest)), 403),
        (format!("GET /v1/conversations?access_token={guest}"), 403),
        (format!("GET {path} {}", bearer(&format!("{guest}x"))), 401),
        (format!("GET /v1/nothing?access_token={guest}"), 404),
    ] {
        let (head, _) = http(&service, &request, "").await;
        assert!(head.starts_with(&format!("http/1.1 {code}")), "{head}");
    }
    // A client of sessions sends it in a message.
    let address = service.address();
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let (mut session, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("an upgrade");
    let hello = format!("40{}", json!({ "token": guest }));
    session.send(Message::text(hello)).await.expect("sent");
    let connected = async {
        while let Some(Ok(message)) = session.next().await {
            if message.to_text().is_ok_and(|text| text.starts_with("40{")) {
                return;
            }
        }
        panic!("the service hung up");
    };
    in_time(connected).await;
    drop(session);
    assert!(service.terminate());
    let log = log.join().expect("read");
    assert_eq!(log.matches("request refused").count(), 3, "{log}");
    for token in [&owner, &guest] {
        for part in token.split('.') {
            assert!(!log.contains(part), "{log}");
        }
    }
}

#[tokio::test]
async fn a_line_about_a_stream_says_whose_it_is_in_plain_text() {
    let (mut service, log) = Service::logged(&[]);
    let mut request = start_request();
    request["config"]["speechRecognition"] = json!({"encoding": "FLAC", "sampleRateHertz": 16000});
    let (mut client, conversation) = Client::started(&service, "call-17", &request).await;
    client
        .send_audio(b"this is no FLAC, however long it is looked at")
        .await;
    client.until("processing_terminated").await;
    client.close(1000).await;
    assert!(service.terminate());
    let log = log.join().expect("read");
    assert!(!log.contains('\u{1b}'), "no colours: {log}");
    let failed = log.lines().find(|line| line.contains("stream failed"));
    let failed = failed.expect(&log);
    let named = format!("connection=\"call-17\" conversation=\"{conversation}\"");
    assert!(failed.contains(&named), "{failed}");
    assert!(failed.contains(" WARN "), "{failed}");
    // As docs/service.md says.
    let about = log
        .lines()
        .filter(|line| line.contains("connection=\"call-17\""));
    let about: Vec<&str> = about.collect();
    let of = |text: &str| about.iter().filter(|line| line.contains(text)).count();
    for text in [
        "event=\"connected\"",
        "event=\"started\"",
        "event=\"over\"",
        "stream failed",
    ] {
        assert_eq!(of(text), 1, "{text}: {log}");
    }
}

#[tokio::test]
async fn a_service_that_is_open_to_the_network_warns_of_it() {
    for (options, warns) in [
        (&["--listen", "0.0.0.0:0"][..], true),
        (&["--listen", "127.0.0.1:0"], false),
        (
            &[
                "--listen",
                "0.0.0.0:0",
                "--app-id",
                "a",
                "--app-secret",
                "s",
            ],
            false,
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
        command
            .args(["--recognizer", "scripted"])
            .args(options)
            .env_remove("SYMBL_APP_ID")
            .env_remove("SYMBL_APP_SECRET")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut before = Vec::new();
        for line in &mut log {
            let line = line.expect("UTF-8");
            let is_up = line.contains("listening");
            before.push(line);
            if is_up {
                break;
            }
        }
        let warned = before
            .iter()
            .any(|line| line.contains("no credentials are set"));
        assert_eq!(warned, warns, "{options:?}: {before:?}");
        child.kill().expect("killed");
        child.wait().expect("dead");
    }
}
