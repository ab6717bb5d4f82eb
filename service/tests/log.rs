// SPDX-License-Identifier: MPL-2.0

//! The service's log: what cannot be written stops nobody, and what is written says
//! whom it is about.

mod common;

use common::*;
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::speech;

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

/// A service for which every place that it may write to stands still: more sockets than
/// it has threads are served, it says that it is well, and it ends when it is told to.
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

/// A pipe that takes no more bytes.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().expect("a pipe");
    writer.write_all(&[b'\n'; PIPE]).expect("room");
    (reader, writer)
}

#[tokio::test]
async fn a_log_on_a_full_pipe_that_nobody_reads_stops_nobody() {
    let (reader, writer) = full_pipe();
    let service = Service::start(command().args(["--log", "debug"]), writer);
    assert_serves(service).await;
    drop(reader);
}

#[tokio::test]
async fn a_log_on_a_full_disk_stops_nobody_and_its_lines_are_counted() {
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux");
    let service = Service::start(&mut command(), full);
    let (_client, _) = Client::started(&service, "x", &start_request()).await;
    let (_, text) = http(&service, "GET /metrics", "").await;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("symbl_service_log_lines_dropped_total "));
    let count: u64 = count.expect(&text).parse().expect("a number");
    assert!(count > 0);
    assert_serves(service).await;
}

#[tokio::test]
async fn a_log_on_a_closed_pipe_stops_nobody() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    assert_serves(Service::start(&mut command(), writer)).await;
}

#[tokio::test]
async fn a_standard_output_that_takes_nothing_stops_nobody() {
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

/// The value of a field in the next line that has this text.
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
