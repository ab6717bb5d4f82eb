// SPDX-License-Identifier: MPL-2.0

//! The command as a daemon, from outside: where it listens, what it tells systemd, what
//! programs that watch it are answered, its configuration, and SIGHUP.

#[path = "../common/mod.rs"]
mod common;

mod command_line;
mod configuration;
mod listening;
mod logs;
mod probes;
mod reload;
mod systemd;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longest wait for anything.
const BOUND: Duration = Duration::from_secs(60);

/// Returns the command with the scripted recogniser and without what the environment may have.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
    command.args(["--recognizer", "scripted"]);
    for name in ["SYMBL_APP_ID", "SYMBL_APP_SECRET", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command that is to end by itself.
pub fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().expect("run");
    let text = String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat())
        .into_owned();
    (output, text)
}

/// A running service, killed when it is dropped.
pub struct Running {
    child: Child,
    /// What it says about where it listens.
    pub line: String,
    log: mpsc::Receiver<String>,
    /// The lines of the log so far.
    seen: Vec<String>,
}

impl Running {
    /// Starts the command and waits until it listens.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let mut running = Self {
            child,
            line: line.trim_end().to_owned(),
            log,
            seen: Vec::new(),
        };
        if running.line.is_empty() {
            let lines: Vec<String> = running.log.iter().collect();
            running.seen = lines;
            panic!("it did not start: {:?}", running.seen);
        }
        running
    }

    /// Returns the first address that it listens on.
    pub fn address(&self) -> SocketAddr {
        let addresses = self.line.strip_prefix("listening on ").expect(&self.line);
        let mut addresses = addresses.split(", ");
        let first = addresses.find_map(|place| place.strip_prefix("http://"));
        first.expect(&self.line).parse().expect("an address")
    }

    /// Sends a signal, such as `-HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for the next line of the log that has this text.
    pub fn logged(&mut self, text: &str) -> String {
        let until = Instant::now() + BOUND;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else {
                panic!("{text:?} is not logged: {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ends it with SIGTERM. Returns all lines of the log.
    pub fn end(mut self) -> Vec<String> {
        self.signal("-TERM");
        assert!(self.child.wait().expect("an end").success());
        let rest: Vec<String> = self.log.iter().collect();
        self.seen.extend(rest);
        std::mem::take(&mut self.seen)
    }
}

impl common::Place for Running {
    fn address(&self) -> SocketAddr {
        Self::address(self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the status and the body of a GET.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let stream = TcpStream::connect(address).expect("a connection");
    ask(stream, path)
}

/// Sends a GET on an open connection.
pub fn ask(mut stream: impl Read + Write, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let status = head.split(' ').nth(1).expect(head).parse();
    (status.expect(head), body.to_owned())
}
