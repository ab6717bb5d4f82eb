// SPDX-License-Identifier: MPL-2.0

//! Tests standard output and standard error that are not read, full, closed or on a
//! full disk, and text that contains terminal controls.

use crate::run::{ANNA, SOON, Tap, command, connections, sentence};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use symbl_protocol::reply::{self, Person};
use symbl_testkit::peer::{Message, Peer, Script, close};

/// Returns the command, run by `timeout`, which kills a program that hangs: status
/// 124.
fn bounded(base_url: &str, arguments: &[&str]) -> Command {
    let program = command(base_url, arguments);
    let mut bounded = Command::new("timeout");
    // Without `--foreground` it sends a signal twice, to the program and to its group, and a
    // second Ctrl-C means something else.
    bounded
        .args(["--foreground", "-k", "1", "60"])
        .arg(program.get_program());
    bounded.args(program.get_args());
    bounded
        .env_remove("SYMBL_ACCESS_TOKEN")
        .env_remove("SYMBL_BASE_URL");
    bounded
}

/// Waits for something that must happen.
fn wait_for(mut reached: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !reached() {
        assert!(begin.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for the end of the program, and kills it if it hangs.
fn ended(child: &mut Child) -> ExitStatus {
    let begin = Instant::now();
    while begin.elapsed() < SOON {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("it did not end");
}

fn signal(child: &Child, name: &str) {
    let killed = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
}

/// Returns `true` once the program handles SIGINT, which is signal 2.
fn catches_ctrl_c(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    u64::from_str_radix(caught.unwrap().trim(), 16).unwrap() & 0b10 != 0
}

/// Returns a sentence of ten thousand characters that begins with its number.
fn long(number: u64) -> Message {
    let text = format!("n{number} {}", "word ".repeat(2000));
    sentence(ANNA, text.trim_end(), number * 1000)
}

/// Returns the writing end of a full pipe, and the end that keeps it open.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // The capacity of a pipe on Linux, unless it was changed.
    writer.write_all(&[b'.'; 1 << 16]).unwrap();
    (reader, writer)
}

#[test]
fn a_pipe_without_a_reader_does_not_block_the_listening() {
    let peer = Peer::start(Script::upgrade_only());
    let mut tap = Tap::run(bounded(&peer.base_url(), &[]));
    tap.says("listening");
    for number in 0..200 {
        peer.say(0, long(number));
    }
    tap.says("nobody reads the output, and 1024 KiB wait for it");
    // The program still listens, over the same connection.
    peer.say(0, Message::text(reply::error("still here", "", None)));
    tap.says("the service says: still here");
    tap.signal("-INT");
    let status = tap.child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    tap.says("the output was not read in time: ");
    assert!(peer.wait_for(|records| records[0].close_code() == Some(1000), SOON));
    assert_eq!(peer.records().len(), 1);
}

#[test]
fn the_rest_of_the_output_is_written_once_it_is_read() {
    let peer = Peer::start(Script::upgrade_only());
    let mut tap = Tap::run(bounded(&peer.base_url(), &[]));
    tap.says("listening");
    for number in 0..20 {
        peer.say(0, long(number));
    }
    peer.say(0, Message::text(reply::error("that was all", "", None)));
    tap.says("that was all");
    peer.say(0, close(1000));
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    for number in 0..20 {
        assert_eq!(out.matches(&format!("Anna: n{number} word")).count(), 1);
    }
}

#[test]
fn sigterm_ends_it_while_its_output_is_not_read() {
    let peer = Peer::start(Script::upgrade_only());
    let (_out, stdout) = full_pipe();
    let (_err, stderr) = full_pipe();
    let mut child = command(&peer.base_url(), &[])
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap();
    assert!(peer.wait_for(connections(1), SOON));
    peer.say(0, sentence(ANNA, "Is anybody there?", 0));
    signal(&child, "-TERM");
    // The sentence may have come before the signal or not, so both codes are right.
    assert!(matches!(ended(&mut child).code(), Some(0 | 1)));
    assert!(peer.wait_for(|records| records[0].close_code() == Some(1000), SOON));
}

#[test]
fn its_standard_error_need_not_be_read() {
    for is_full in [false, true] {
        let peer = Peer::start(Script::upgrade_only());
        let (reader, writer) = match is_full {
            true => full_pipe(),
            false => std::io::pipe().unwrap(),
        };
        // Writing to a pipe without a reader fails.
        let reader = is_full.then_some(reader);
        let mut command = bounded(&peer.base_url(), &[]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(writer)
            .spawn()
            .unwrap();
        drop(command);
        assert!(peer.wait_for(connections(1), SOON));
        peer.say(0, Message::text(reply::error("trouble", "", None)));
        peer.say(0, sentence(ANNA, "One.", 0));
        peer.say(0, close(1011));
        assert!(peer.wait_for(connections(2), SOON));
        peer.say(1, sentence(ANNA, "Two.", 1000));
        peer.say(1, close(1000));
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{is_full}: {}: {said}",
            output.status
        );
        assert!(
            said.contains("Anna: One.") && said.contains("Anna: Two."),
            "{said}"
        );
        drop(reader);
    }
}

#[test]
fn a_full_disk_ends_it_with_one_error() {
    for format in ["text", "jsonl", "srt", "webvtt"] {
        let peer = Peer::start(Script::upgrade_only());
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = bounded(&peer.base_url(), &["--format", format]);
        let mut child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        assert!(peer.wait_for(connections(1), SOON));
        peer.say(0, sentence(ANNA, "One.", 0));
        peer.say(0, sentence(ANNA, "Two.", 1000));
        let mut err = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{err}");
        let errors = err
            .matches("cannot write the output: No space left on device")
            .count();
        assert_eq!(errors, 1, "{err}");
        assert!(err.lines().count() <= 2, "{err}");
    }
}

#[test]
fn ctrl_c_ends_it_while_it_waits_for_the_reader_of_a_named_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("captions");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let peer = Peer::start(Script::upgrade_only());
    let output = ["--output", pipe.to_str().unwrap()];
    let mut child = command(&peer.base_url(), &output).spawn().unwrap();
    wait_for(|| catches_ctrl_c(child.id()));
    signal(&child, "-INT");
    assert!(ended(&mut child).success());
}

#[test]
fn no_terminal_control_reaches_the_terminal() {
    let evil = "a\u{1b}[2J\u{9b}31m\u{7}b\u{202e}dab\u{2066}c\u{7f}\u{200b}d";
    let name = format!("Eve{evil}");
    let eve = Person {
        name: Some(&name),
        ..ANNA
    };
    let insight = reply::Insight {
        id: "i",
        kind: symbl_protocol::InsightType::Question,
        text: evil,
        confidence: 0.9,
        hints: &[],
        assignee: Some(eve),
        from: eve,
        message_id: "m",
        due_by: Some(evil),
    };
    for format in ["text", "jsonl", "srt", "webvtt"] {
        let peer = Peer::start(Script::upgrade_only());
        let tap = Tap::run(bounded(&peer.base_url(), &["--format", format]));
        assert!(peer.wait_for(connections(1), SOON));
        peer.say(0, Message::text(reply::error(evil, evil, None)));
        peer.say(0, sentence(eve, evil, 0));
        peer.say(0, Message::text(reply::insight_response(&[insight], 0)));
        // A message that it does not understand is quoted in a note.
        peer.say(
            0,
            Message::text(format!(
                "{{\"type\":\"message_response\",\"messages\":\"{evil}\"}}"
            )),
        );
        peer.say(0, close(1000));
        let (status, out, err) = tap.end();
        assert!(status.success(), "{status}: {err}");
        for text in [&out, &err] {
            let harmful = |c: char| {
                c != '\n' && c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(!text.contains(harmful), "{format}: {text:?}");
        }
        if format == "jsonl" {
            let line: serde_json::Value =
                serde_json::from_str(out.lines().next().unwrap()).unwrap();
            assert_eq!(
                (line["text"].as_str(), line["speaker"].as_str()),
                (Some(evil), Some(&*name))
            );
        }
    }
}

#[test]
fn one_wrong_time_of_the_service_moves_no_other_caption() {
    let peer = Peer::start(Script::upgrade_only());
    let tap = Tap::run(bounded(&peer.base_url(), &["--format", "srt"]));
    assert!(peer.wait_for(connections(1), SOON));
    let hour = 3_600_000;
    for (number, start) in [0, 3000, 9 * hour, 9000, 12_000].into_iter().enumerate() {
        peer.say(0, sentence(ANNA, &format!("n{number}"), start));
    }
    peer.say(0, close(1000));
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    let captions = subtp::srt::SubRip::parse(&out).unwrap().subtitles;
    let starts: Vec<String> = captions.iter().map(|c| c.start.to_string()).collect();
    let expected = [
        "00:01:00,000",
        "00:01:03,000",
        "00:01:04,000",
        "00:01:09,000",
        "00:01:12,000",
    ];
    assert_eq!(starts, expected, "{out}");
}
