// SPDX-License-Identifier: MPL-2.0

//! Clients that are unmodified `socket.io-client` in one process of Node.js, which does what
//! a test says and tells what happens.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use symbl_testkit::programs::npm;

/// Longest wait for anything. It is longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the members that each event of a client has.
pub fn about(session: &str) -> Value {
    json!({ "session_id": session, "timestamp": 1_635_789_600_000_u64 })
}

/// Returns a text to send.
pub fn text(session: &str, text: &str) -> Value {
    let mut sent = about(session);
    sent["input"] = json!({ "text": text });
    sent
}

/// Returns the numbers of events, given as a history has them.
pub fn numbers(history: &[Value]) -> Vec<u64> {
    let numbers = history.iter().map(|item| &item[1]["seq"]);
    numbers.map(|seq| seq.as_u64().expect("a number")).collect()
}

/// A process of Node.js with sockets.
pub struct Node {
    child: Child,
    commands: ChildStdin,
    told: Receiver<Value>,
    /// What was told and is not asked for yet.
    waiting: VecDeque<Value>,
    tags: u64,
}

impl Node {
    /// Starts Node.js, or returns `None` where it is absent.
    pub fn start() -> Option<Self> {
        let modules = installed()?;
        let mut child = Command::new("node")
            .arg(here("driver.js"))
            .env("NODE_PATH", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("JSON");
                if tell.send(value).is_err() {
                    return;
                }
            }
        });
        Some(Self {
            commands: child.stdin.take().expect("it is piped"),
            child,
            told,
            waiting: VecDeque::new(),
            tags: 0,
        })
    }

    pub fn command(&mut self, command: &Value) {
        writeln!(self.commands, "{command}").expect("node reads");
    }

    /// Opens a socket, with further options and one `auth` after the other.
    pub fn open_with(&mut self, id: &str, url: &str, options: &Value, auths: &[Value]) {
        let auths = if auths.is_empty() {
            json!([{}])
        } else {
            json!(auths)
        };
        self.command(&json!({
            "do": "open", "id": id, "url": url, "options": options, "auths": auths,
        }));
    }

    /// Opens a socket over a WebSocket and waits until it is connected.
    pub fn open(&mut self, id: &str, url: &str, auth: &Value) {
        let options = json!({ "transports": ["websocket"] });
        self.open_with(id, url, &options, std::slice::from_ref(auth));
        self.next(id, "connect");
    }

    /// Sends an event without an acknowledgement.
    pub fn emit(&mut self, id: &str, name: &str, args: &[Value]) {
        let args = json!(args);
        self.command(&json!({ "do": "emit", "id": id, "name": name, "args": args, "tag": null }));
    }

    /// Sends an event, and returns the number of its acknowledgement.
    pub fn asks(&mut self, id: &str, name: &str, args: &[Value]) -> u64 {
        let (tag, args) = (self.tag(), json!(args));
        self.command(&json!({ "do": "emit", "id": id, "name": name, "args": args, "tag": tag }));
        tag
    }

    /// Returns a number for the next acknowledgement.
    pub fn tag(&mut self) -> u64 {
        self.tags += 1;
        self.tags
    }

    /// Sends an event and returns its acknowledgement.
    pub fn ask(&mut self, id: &str, name: &str, args: &[Value]) -> Value {
        let tag = self.asks(id, name, args);
        self.answer(id, tag)
    }

    /// Waits for an acknowledgement.
    pub fn answer(&mut self, id: &str, tag: u64) -> Value {
        let what = format!("the acknowledgement {tag} of {id}");
        let told = self.wait(&what, |told| {
            told["id"] == id && told["type"] == "ack" && told["tag"] == tag
        });
        told["answer"].clone()
    }

    /// Sends the numbered texts at once; returns the number of their acknowledgement.
    pub fn texts(&mut self, id: &str, session: &str, numbers: std::ops::Range<u64>) -> u64 {
        self.tags += 1;
        self.command(&json!({
            "do": "texts", "id": id, "session": session, "tag": self.tags,
            "from": numbers.start, "until": numbers.end,
        }));
        self.tags
    }

    /// Opens a socket that joins a session and misses nothing.
    pub fn follow(&mut self, id: &str, url: &str, session: &str, auth: &Value) {
        let options = json!({ "reconnectionDelay": 5, "reconnectionDelayMax": 50 });
        self.command(&json!({
            "do": "follow", "id": id, "url": url, "session": session,
            "options": options, "auth": auth,
        }));
    }

    /// Returns what these sockets have seen.
    pub fn report(&mut self, ids: &[&str]) -> Vec<Value> {
        self.tags += 1;
        self.command(&json!({ "do": "report", "ids": ids, "tag": self.tags }));
        let reports = self.answer("", self.tags);
        reports.as_array().expect("reports").clone()
    }

    /// Waits until these sockets have seen as many texts, and returns what they have seen.
    pub fn seen(&mut self, ids: &[&str], texts: usize) -> Vec<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let reports = self.report(ids);
            let seen = |report: &Value| report["texts"].as_array().map_or(0, Vec::len);
            if reports.iter().all(|report| seen(report) >= texts) {
                return reports;
            }
            assert!(Instant::now() < end, "{texts} texts: {reports:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until these sockets have joined and have the history.
    pub fn ready(&mut self, ids: &[&str]) {
        let end = Instant::now() + PATIENCE;
        while self
            .report(ids)
            .iter()
            .any(|report| report["ready"] != true)
        {
            assert!(Instant::now() < end, "the sockets do not join");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets a socket create a session; returns the session's id.
    pub fn create(&mut self, id: &str) -> String {
        self.emit(id, "session:create", &[json!({ "timestamp": 1 })]);
        let created = self.event(id, "session:created");
        created["session_id"].as_str().expect("an id").to_owned()
    }

    /// Lets a socket join a session.
    pub fn join(&mut self, id: &str, session: &str) -> Value {
        self.emit(id, "session:reconnect", &[about(session)]);
        self.event(id, "session:reconnected")
    }

    /// Sends a text and returns its number.
    pub fn send(&mut self, id: &str, session: &str, words: &str) -> u64 {
        let answer = self.ask(id, "message:send", &[text(session, words)]);
        assert_eq!(answer["ok"], true, "{answer}");
        answer["seq"].as_u64().expect("a number")
    }

    /// Returns a history.
    pub fn history(&mut self, id: &str, session: &str) -> Vec<Value> {
        self.emit(id, "session:history:sync", &[about(session)]);
        let synced = self.event(id, "session:history:synced");
        synced.as_array().expect("an array").clone()
    }

    /// Connects a socket again.
    pub fn connect(&mut self, id: &str) {
        self.command(&json!({ "do": "connect", "id": id }));
    }

    /// Loses the connection of a socket, as a network does.
    pub fn cut(&mut self, id: &str) {
        self.command(&json!({ "do": "cut", "id": id }));
    }

    /// Closes a socket.
    pub fn close(&mut self, id: &str) {
        self.command(&json!({ "do": "close", "id": id }));
    }

    /// Waits for the next event of this name, and returns its payload.
    pub fn event(&mut self, id: &str, name: &str) -> Value {
        let told = self.wait(&format!("{name} at {id}"), |told| {
            told["id"] == id && told["type"] == "event" && told["name"] == name
        });
        let args = told["args"].as_array().expect("arguments");
        assert_eq!(args.len(), 1, "an event has one argument: {told}");
        args[0].clone()
    }

    /// Waits for something else that happens to a socket: `connect`, `disconnect`,
    /// `connect_error` or `upgrade`.
    pub fn next(&mut self, id: &str, kind: &str) -> Value {
        self.wait(&format!("{kind} of {id}"), |told| {
            told["id"] == id && told["type"] == kind
        })
    }

    /// Returns all events that came to a socket and were not asked for, as `(name, payload)`,
    /// after the service has answered everything before.
    pub fn rest(&mut self, id: &str) -> Vec<(String, Value)> {
        let answer = self.ask(id, "a:fence", &[]);
        assert_eq!(answer["error_code"], "unsupported_event", "{answer}");
        self.event(id, "a:fence:error");
        self.events(id)
    }

    /// Returns all events that came to a socket until now and were not asked for.
    pub fn events(&mut self, id: &str) -> Vec<(String, Value)> {
        let (own, others) = self
            .waiting
            .drain(..)
            .partition(|told| told["id"] == id && told["type"] == "event");
        self.waiting = others;
        let own: VecDeque<Value> = own;
        let events = own.into_iter().map(|told| {
            let name = told["name"].as_str().expect("a name").to_owned();
            (name, told["args"][0].clone())
        });
        events.collect()
    }

    fn wait(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&is_it) {
            return self.waiting.remove(at).expect("it is there");
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(told) = self.told.recv_timeout(left) else {
                panic!("no {what}; {:#?}", self.waiting);
            };
            if is_it(&told) {
                return told;
            }
            self.waiting.push_back(told);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sessions/js")
        .join(name)
}

/// Returns the folder with the installed client, or `None` where Node.js is absent.
pub fn installed() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("socket-io-client");
    npm(&here(""), &folder)
}
