// SPDX-License-Identifier: MPL-2.0

//! The program, against a scripted service.

#[path = "../../tests/common/peer.rs"]
mod peer;

use gstsymbl::protocol::InsightType;
use gstsymbl::protocol::reply::{self, Insight, Person, TrackerMatch, Word};
use peer::{Message, Peer, Record, Script, close, conversation_completed};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A bound for what is certain to come.
const SOON: Duration = Duration::from_secs(60);

const TOKEN: &str = "Se+cr/et=7f3a9c2e1b";

/// A running `symbl-tap`; killed when dropped.
struct Tap {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Tap {
    fn start(base_url: &str, arguments: &[&str]) -> Self {
        Self::run(command(base_url, arguments))
    }

    fn run(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said }
    }

    /// Waits for a line on standard error that has `text` in it.
    fn says(&mut self, text: &str) {
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

    /// Waits for its end: status, standard output, the rest of standard error.
    fn end(mut self) -> (ExitStatus, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut out).unwrap();
        self.said.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap(), out, err)
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args([name, &id]).status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // It has ended, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(base_url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-tap"));
    command
        .env_remove("SYMBL_ACCESS_TOKEN")
        .env_remove("SYMBL_BASE_URL")
        .args(["--base-url", base_url])
        .args(arguments)
        .arg("call/17");
    command
}

fn connections(count: usize) -> impl Fn(&[Record]) -> bool {
    move |records| records.iter().filter(|r| r.request.is_some()).count() == count
}

const ANNA: Person<'_> = Person {
    id: Some("a"),
    user_id: Some("anna@example.com"),
    name: Some("Anna"),
};

const BOB: Person<'_> = Person {
    id: Some("b"),
    user_id: None,
    name: Some("Bob"),
};

/// A sentence with words of 400 ms each.
fn sentence(from: Person<'_>, text: &str, start: u64) -> Message {
    let times = (start..).step_by(400).map(Duration::from_millis);
    let words: Vec<Word<'_>> = text
        .split(' ')
        .zip(times)
        .map(|(text, start)| Word {
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
    };
    Message::text(reply::message_response(&[message], 0))
}

/// Two sentences, a question, a tracker and the end, with an interim before them.
fn conversation() -> Vec<Message> {
    let question = Insight {
        id: "i",
        kind: InsightType::Question,
        text: "How much is it?",
        confidence: 0.9,
        hints: &[],
        assignee: Some(ANNA),
        from: ANNA,
        message_id: "m",
        due_by: None,
    };
    let price = TrackerMatch {
        name: "Price",
        value: "how much",
        message_id: "m",
        text: "How much is it?",
        offset: 0,
    };
    vec![
        Message::text(reply::interim_result("how much", None, Some(ANNA), 0)),
        sentence(ANNA, "How much is it?", 1000),
        Message::text(reply::insight_response(&[question], 0)),
        Message::text(reply::tracker_response(&[price], true, 0)),
        sentence(BOB, "Nothing.", 3000),
        conversation_completed(),
        close(1000),
    ]
}

/// What is written of the conversation.
fn written(arguments: &[&str]) -> String {
    let peer = Peer::start(Script::upgrade_only());
    let tap = Tap::start(&peer.base_url(), arguments);
    assert!(peer.wait_for(connections(1), SOON));
    for message in conversation() {
        peer.say(0, message);
    }
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    let request = peer.records()[0].request.clone().unwrap();
    assert_eq!(request.path, "/v1/subscribe/call%2F17");
    assert!(!peer.records()[0].has("start_request"));
    out
}

#[test]
fn a_conversation_is_written_as_lines_for_people() {
    let sentences = "[01:01.0] Anna: How much is it?\n          \
         > question    How much is it? [Anna]\n          \
         > tracker     Price: \"how much\"\n\
         [01:03.0] Bob: Nothing.\n";
    assert_eq!(written(&[]), sentences);
    let interim = format!("…         Anna: how much\n{sentences}");
    assert_eq!(written(&["--interim"]), interim);
}

#[test]
fn a_conversation_is_written_as_captions() {
    assert_eq!(
        written(&["--format", "srt"]),
        "1\n00:01:01,000 --> 00:01:02,600\nAnna: How much is it?\n\n\
         2\n00:01:03,000 --> 00:01:04,000\nBob: Nothing.\n\n"
    );
    assert_eq!(
        written(&["--format", "webvtt"]),
        "WEBVTT\n\n00:01:01.000 --> 00:01:02.600\n<v Anna>How much is it?\n\n\
         00:01:03.000 --> 00:01:04.000\n<v Bob>Nothing.\n\n"
    );
}

#[test]
fn a_conversation_is_written_as_json_lines() {
    let out = written(&["--format", "jsonl", "--interim"]);
    let kinds: Vec<&str> = out
        .lines()
        .filter_map(|line| line.strip_prefix(r#"{"type":""#)?.split('"').next())
        .collect();
    let expected = [
        "transcript",
        "transcript",
        "question",
        "tracker",
        "transcript",
    ];
    assert_eq!(kinds, expected, "{out}");
    let last = r#"{"type":"transcript","final":true,"start":63.0,"end":63.4,"utc":"2025-11-21T09:01:03.000Z","speaker":"Bob","text":"Nothing.","words":[{"word":"Nothing.","start":63.0,"end":63.4}]}"#;
    assert_eq!(out.lines().last(), Some(last));
}

#[test]
fn a_lost_connection_is_dialed_again_until_the_conversation_is_over() {
    let peer = Peer::start(Script::upgrade_only());
    let tap = Tap::start(&peer.base_url(), &[]);
    for (connection, text) in ["One.", "Two.", "Three."].into_iter().enumerate() {
        assert!(peer.wait_for(connections(connection + 1), SOON));
        peer.say(connection, sentence(ANNA, text, 1000));
        let code = [1011, 1001, 1000][connection];
        peer.say(connection, close(code));
    }
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    for text in ["One.", "Two.", "Three."] {
        assert_eq!(out.matches(text).count(), 1, "{out}");
    }
    assert_eq!(
        err.matches("what is said until then is missing").count(),
        2,
        "{err}"
    );
    assert_eq!(err.matches("listening to").count(), 3, "{err}");
}

#[test]
fn the_file_is_whole_while_it_grows_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.srt");
    std::fs::write(&path, "what was there before").unwrap();
    let peer = Peer::start(Script::upgrade_only());
    let file = path.to_str().unwrap();
    let mut tap = Tap::start(&peer.base_url(), &["--format", "srt", "--output", file]);
    tap.says("listening to ws://");
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    for number in 0..5 {
        let text = format!("Sentence {number} of a talk.");
        peer.say(0, sentence(ANNA, &text, number * 3000));
        // In the file when the error is told, which comes after it.
        peer.say(0, Message::text(reply::error("next", "", None)));
        tap.says("the service says: next");
        let written = std::fs::read_to_string(&path).unwrap();
        let captions = subtp::srt::SubRip::parse(&written).unwrap().subtitles;
        assert_eq!(captions.len() as u64, number + 1);
    }
    tap.signal("-KILL");
    let (status, out, _) = tap.end();
    assert_eq!((status.code(), out.as_str()), (None, ""));
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        subtp::srt::SubRip::parse(&written).unwrap().subtitles.len(),
        5
    );
}

#[test]
fn ctrl_c_ends_it_with_a_goodbye() {
    let peer = Peer::start(Script::upgrade_only());
    let mut tap = Tap::start(&peer.base_url(), &[]);
    tap.says("listening");
    tap.signal("-INT");
    let (status, _, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    assert!(peer.wait_for(|records| records[0].close_code() == Some(1000), SOON));
}

#[test]
fn ctrl_c_ends_it_while_it_waits_too() {
    let peer = Peer::start(Script::http(503, &[], ""));
    let tap = Tap::start(&peer.base_url(), &["--wait", "600"]);
    assert!(peer.wait_for(connections(2), SOON));
    tap.signal("-TERM");
    assert!(tap.end().0.success());
}

#[test]
fn the_token_comes_from_the_environment_or_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let echo = format!(r#"{{"message":"no such token: {TOKEN}"}}"#);
    for from_file in [true, false] {
        let peer = Peer::start(Script::http(401, &[], &echo));
        let mut command = match from_file {
            true => command(
                &peer.base_url(),
                &["--access-token-file", path.to_str().unwrap()],
            ),
            false => command(&peer.base_url(), &[]),
        };
        if !from_file {
            command.env("SYMBL_ACCESS_TOKEN", TOKEN);
        }
        let (status, out, err) = Tap::run(command).end();
        assert_eq!(status.code(), Some(1));
        let request = peer.records()[0].request.clone().unwrap();
        assert_eq!(request.header("x-api-key"), Some(TOKEN));
        assert!(err.contains("401") && !err.contains("7f3a9c2e1b"), "{err}");
        assert_eq!(out, "");
    }
}

#[test]
fn a_token_that_the_service_says_is_not_written() {
    let peer = Peer::start(Script::upgrade_only());
    let mut command = command(&peer.base_url(), &["--format", "jsonl"]);
    command.env("SYMBL_ACCESS_TOKEN", TOKEN);
    let tap = Tap::run(command);
    assert!(peer.wait_for(connections(1), SOON));
    peer.say(0, sentence(ANNA, &format!("My token is {TOKEN}"), 0));
    peer.say(0, close(1000));
    let (_, out, err) = tap.end();
    assert!(out.contains("My token is ***"), "{out}");
    assert!(!out.contains("7f3a9c2e1b") && !err.contains("7f3a9c2e1b"));
}

/// Status and standard error of a run that has to end by itself.
fn failed(base_url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let (status, out, err) = Tap::start(base_url, arguments).end();
    assert_eq!(out, "");
    (status.code(), err)
}

#[test]
fn what_cannot_be_is_told_in_a_line() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (status, err) = failed(&format!("http://{free}"), &[]);
    assert_eq!(status, Some(1));
    assert!(
        err.starts_with("symbl-tap: cannot connect to 127.0.0.1:"),
        "{err}"
    );

    let peer = Peer::start(Script::http(404, &[], ""));
    let (status, err) = failed(&peer.base_url(), &[]);
    assert_eq!(status, Some(1));
    assert!(err.contains("nobody is connected as \"call/17\""), "{err}");

    let (status, err) = failed(&peer.base_url(), &["--output", "/nowhere/talk.srt"]);
    assert_eq!(status, Some(1));
    assert!(err.contains("cannot write /nowhere/talk.srt"), "{err}");

    let (status, err) = failed(&peer.base_url(), &["--format", "srt", "--interim"]);
    assert_eq!(status, Some(2));
    assert!(
        err.contains("--interim needs --format text or jsonl"),
        "{err}"
    );

    let (status, err) = failed(&peer.base_url(), &["--format", "vtt"]);
    assert_eq!(status, Some(2));
    assert!(err.contains("there are text, jsonl, srt, webvtt"), "{err}");
    assert_eq!(peer.records().len(), 1);
}

#[test]
fn a_file_is_left_alone_if_there_is_no_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.txt");
    std::fs::write(&path, "of yesterday").unwrap();
    let peer = Peer::start(Script::http(404, &[], ""));
    let (status, _) = failed(&peer.base_url(), &["--output", path.to_str().unwrap()]);
    assert_eq!(status, Some(1));
    assert_eq!(std::fs::read(&path).unwrap(), b"of yesterday");
}

#[test]
fn a_conversation_that_ended_meanwhile_is_told() {
    // The first connection is upgraded and lost, the second finds nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tap = Tap::start(&format!("http://{}", listener.local_addr().unwrap()), &[]);
    drop(accepted(&listener, true));
    drop(accepted(&listener, false));
    let (status, _, err) = tap.end();
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("ended while the connection was lost"), "{err}");
}

#[test]
fn a_service_that_is_silent_is_left_and_dialed_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let mut tap = Tap::start(&base_url, &["--ping-interval", "50"]);
    let first = accepted(&listener, true);
    tap.says("the service has been silent for 100ms");
    let second = accepted(&listener, true);
    drop((first, second));
}

/// Takes a connection and answers its request, with an upgrade or with 404.
fn accepted(listener: &TcpListener, upgrade: bool) -> std::net::TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0].into());
    }
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("Sec-WebSocket-Key")
            .then_some(value)
    });
    let accept = derive_accept_key(key.unwrap().as_bytes());
    let answer = match upgrade {
        true => format!(
            "HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ),
        false => "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(answer.as_bytes()).unwrap();
    stream
}

#[test]
fn it_ends_when_nobody_reads_what_it_writes() {
    let peer = Peer::start(Script::upgrade_only());
    let mut tap = Tap::start(&peer.base_url(), &[]);
    tap.says("listening");
    drop(tap.child.stdout.take());
    peer.say(0, sentence(ANNA, "Is anybody there?", 0));
    let status = tap.child.wait().unwrap();
    assert!(status.success(), "{status}");
}
