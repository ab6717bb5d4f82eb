// SPDX-License-Identifier: MPL-2.0

//! Runs the program, and builds what a scripted service says to it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;
use symbl_protocol::reply::{self, Person, SpokenWord};
use symbl_testkit::peer::{Message, Record};

/// A bound for a wait that must succeed.
pub const SOON: Duration = Duration::from_secs(60);

pub const TOKEN: &str = "Se+cr/et=7f3a9c2e1b";

/// A running `symbl-tap`. It is killed when dropped.
pub struct Tap {
    pub child: Child,
    said: BufReader<ChildStderr>,
}

impl Tap {
    pub fn start(base_url: &str, arguments: &[&str]) -> Self {
        Self::run(command(base_url, arguments))
    }

    pub fn run(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said }
    }

    /// Waits for a line on standard error that contains `text`.
    pub fn says(&mut self, text: &str) {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let bytes = self.said.read_line(&mut line).unwrap();
            assert!(bytes > 0, "it ended without saying {text}: {all}");
            if line.contains(text) {
                return;
            }
            all += &line;
        }
    }

    /// Waits for the end. Returns the status, standard output and the rest of
    /// standard error.
    pub fn end(mut self) -> (ExitStatus, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut out).unwrap();
        self.said.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap(), out, err)
    }

    /// Waits for the end, when standard output is read elsewhere. Returns the status,
    /// nothing, and the rest of standard error.
    pub fn end_of_log(mut self) -> (ExitStatus, String, String) {
        let mut err = String::new();
        self.said.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap(), String::new(), err)
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args([name, &id]).status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // Usually the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn command(base_url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-tap"));
    command
        .env_remove("SYMBL_ACCESS_TOKEN")
        .env_remove("SYMBL_BASE_URL")
        .args(["--base-url", base_url])
        .args(arguments)
        .arg("call/17");
    command
}

pub fn connections(count: usize) -> impl Fn(&[Record]) -> bool {
    move |records| records.iter().filter(|r| r.request.is_some()).count() == count
}

pub const ANNA: Person<'_> = Person {
    id: Some("a"),
    user_id: Some("anna@example.com"),
    name: Some("Anna"),
};

pub const BOB: Person<'_> = Person {
    id: Some("b"),
    user_id: None,
    name: Some("Bob"),
};

/// Returns a sentence whose words last 400 ms each.
pub fn sentence(from: Person<'_>, text: &str, start: u64) -> Message {
    let times = (start..).step_by(400).map(Duration::from_millis);
    let words: Vec<SpokenWord<'_>> = text
        .split(' ')
        .zip(times)
        .map(|(text, start)| SpokenWord {
            text,
            start,
            end: start + Duration::from_millis(400),
        })
        .collect();
    let message = reply::Message {
        id: "m",
        from,
        text,
        original_text: text,
        timezone_offset: 0,
        words: &words,
        stream_offset: Duration::from_secs(60),
        conversation_start: 1_763_715_600_000_000_000,
        stream: None,
        entities: &[],
        sentiment: None,
        phrases: None,
    };
    Message::text(reply::message_response(&[message], 0))
}

/// Returns the exit code and standard error of a run that must end by itself.
pub fn failed(base_url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let (status, out, err) = Tap::start(base_url, arguments).end();
    assert_eq!(out, "");
    (status.code(), err)
}
