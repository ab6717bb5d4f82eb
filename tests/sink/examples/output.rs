// SPDX-License-Identifier: MPL-2.0

//! `symbl-view` and the examples when no program reads their standard output or standard error, when these
//! are closed, and when the disk is full; and text with control sequences of a terminal.

use super::{built, c, captions_py, expected, talk, view, words};
use crate::common::service::Service;
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for an event that is certain to come.
const SOON: Duration = Duration::from_secs(60);

/// Returns the examples that print captions of a file and can run here, by name.
fn programs(service: &Service, sound: &Path) -> Vec<(&'static str, Command)> {
    let mut programs = vec![("symbl-view", view(service)), ("C", c::command())];
    programs.extend(captions_py(service).map(|command| ("Python", command)));
    for (name, command) in &mut programs {
        command.arg(sound);
        if *name == "C" {
            command.arg(service.url());
        }
    }
    programs
}

/// Returns a full pipe, with the end that keeps it open.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // This is the default size of a pipe in Linux.
    writer.write_all(&[b'.'; 1 << 16]).unwrap();
    (reader, writer)
}

/// Waits for the end of a program, and kills it if it hangs.
fn ended(child: &mut Child, name: &str) -> ExitStatus {
    let begin = Instant::now();
    while begin.elapsed() < SOON {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("{name} did not end");
}

fn signal(child: &Child, name: &str) {
    let killed = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
}

fn said_by(child: &mut Child) -> String {
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    said
}

#[test]
fn an_example_ends_quietly_when_the_reader_of_its_captions_has_gone() {
    let service = Service::start();
    // The sound lasts a minute, but the test does not wait for its end.
    let (_folder, sound, _) = talk(300);
    for (name, mut command) in programs(&service, &sound) {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert!(first.starts_with("[00:0"), "{name}: {first}");
        let status = ended(&mut child, name);
        assert_eq!(
            (status.success(), said_by(&mut child).as_str()),
            (true, ""),
            "{name}"
        );
    }
}

#[test]
fn an_example_runs_without_a_reader_of_its_standard_error() {
    let (_folder, sound, _) = talk(10);
    for (index, full) in [
        (0, false),
        (0, true),
        (1, false),
        (1, true),
        (2, false),
        (2, true),
    ] {
        // The first dial is refused, and each example warns of that.
        let service = Service::faulty("http=503");
        let Some((name, mut command)) = programs(&service, &sound).into_iter().nth(index) else {
            continue;
        };
        let (reader, writer) = if full {
            full_pipe()
        } else {
            std::io::pipe().unwrap()
        };
        let reader = full.then_some(reader);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(writer)
            .spawn()
            .unwrap();
        drop(command);
        let mut printed = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut printed)
            .unwrap();
        let status = ended(&mut child, name);
        assert!(status.success(), "{name}, {full}: {status}: {printed}");
        assert_eq!(words(&printed), expected(10), "{name}, {full}: {printed}");
        drop(reader);
    }
}

#[test]
fn ctrl_c_ends_an_example_without_a_reader_of_its_captions() {
    let service = Service::start();
    let (_folder, sound, _) = talk(5);
    for (name, mut command) in programs(&service, &sound) {
        let (_out, stdout) = full_pipe();
        let (_err, stderr) = full_pipe();
        let child = command.stdout(stdout).stderr(stderr).spawn();
        drop(command);
        let mut child = child.unwrap();
        // The example cannot print its progress, so that the test repeats the signal. The
        // first one ends the talk, and the next one the wait for the output.
        let begin = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < SOON, "{name} did not end");
            signal(&child, "-INT");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn an_example_says_once_that_the_disk_is_full() {
    let service = Service::start();
    let (_folder, sound, _) = talk(30);
    for (name, mut command) in programs(&service, &sound) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let status = ended(&mut child, name);
        let said = said_by(&mut child);
        assert_eq!(status.code(), Some(1), "{name}: {said}");
        let error = "cannot write to standard output: No space left on device";
        assert_eq!(
            (said.lines().count(), said.matches(error).count()),
            (1, 1),
            "{name}: {said}"
        );
    }
}

#[test]
fn examples_print_no_control_sequences_of_a_terminal() {
    let service = Service::start();
    let (_folder, sound, _) = talk(10);
    let tracker = serde_json::json!([{
        "name": "a\u{1b}[2J\u{9b}31m\u{7}b\u{202e}dab\u{2066}c\u{7f}d",
        "vocabulary": ["w3"],
    }]);
    for (name, mut command) in programs(&service, &sound) {
        if name == "C" {
            continue; // sets no trackers
        }
        let output = command
            .args(["--trackers", &tracker.to_string()])
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let found = printed.lines().find(|line| line.contains("31m")).unwrap();
        let harmful = |c: char| {
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!found.contains(harmful), "{name}: {found:?}");
    }
}

#[test]
fn a_media_server_ends_when_the_reader_of_its_captions_has_gone() {
    let service = Service::start();
    let (_folder, sound, _) = talk(300);
    let mut child = Command::new(built("../examples/media-server"))
        .args(["--base-url", &service.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut commands = child.stdin.take().unwrap();
    writeln!(commands, "add one {}", sound.display()).unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert_eq!(first, "one begins\n");
    // The standard input of the program stays open.
    let status = ended(&mut child, "media-server");
    assert_eq!((status.success(), said_by(&mut child).as_str()), (true, ""));
}

#[test]
fn a_recording_goes_on_when_its_captions_cannot_be_written() {
    let service = Service::start();
    let (folder, sound, _) = talk(25);
    let recording = folder.path().join("recording.flac");
    std::os::unix::fs::symlink("/dev/full", folder.path().join("recording.srt")).unwrap();
    let mut command = Command::new(built("../examples/recording"));
    command
        .args(["--base-url", &service.url()])
        .arg(sound)
        .arg(&recording);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("No space left on device").count(), 2, "{said}");
    assert!(said.contains("the recording goes on"), "{said}");
    // The file is complete: the encoder writes its length into the header at the end.
    let samples = Command::new("gst-launch-1.0")
        .args(["-q", "filesrc"])
        .arg(format!("location={}", recording.display()))
        .args("! flacparse ! flacdec ! fdsink".split(' '))
        .output()
        .unwrap();
    assert_eq!(samples.stdout.len(), 2 * 25 * 3200);
}
