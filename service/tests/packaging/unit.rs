// SPDX-License-Identifier: MPL-2.0

//! The unit of systemd: how exposed it leaves the machine, and that the service can live
//! with what it forbids.

use super::*;
use crate::common::jobs::{ended, upload, wav};
use crate::common::*;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::speech;

const UNIT: &str = "packaging/symbl-service.service";

/// Returns the values of a setting, in the order of the lines.
fn settings(name: &str) -> Vec<String> {
    let unit = text(UNIT);
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    let own = lines.filter(|(known, _)| *known == name);
    own.map(|(_, value)| value.to_owned()).collect()
}

/// Runs systemd-analyze and returns what it prints.
fn analyze(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .output()
        .expect("run");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn the_exposure_of_the_unit_is_at_most_2() {
    if !has("systemd-analyze", "--version") {
        return;
    }
    let unit = path(UNIT);
    let unit = unit.to_str().expect("UTF-8");
    // The threshold is ten times the level.
    let (success, said) = analyze(&[
        "security",
        "--offline=true",
        "--no-pager",
        "--threshold=20",
        unit,
    ]);
    let level = said
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    assert!(success && level.is_some(), "{said}");
}

#[test]
fn the_unit_notifies_is_watched_and_names_options_that_exist() {
    assert_eq!(settings("Type"), ["notify"]);
    assert_eq!(settings("WatchdogSec"), ["30"]);
    let line = settings("ExecStart").remove(0);
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("/usr/bin/symbl-service"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("symbl.toml");
    let plain = text("packaging/symbl.toml");
    // The lines that are comments in the example are good as well.
    let all = plain.lines().map(|line| match line.strip_prefix('#') {
        Some(option)
            if !option.starts_with(' ')
                && !option.contains("accounts")
                && !option.contains("tls") =>
        {
            option
        }
        _ => line,
    });
    for text in [plain.clone(), all.collect::<Vec<_>>().join("\n")] {
        std::fs::write(&file, &text).expect("room");
        let words = words.clone().map(|word| match word {
            "/etc/symbl-service/symbl.toml" => file.to_str().expect("UTF-8"),
            other => other,
        });
        let output = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
            .args(words)
            .args(["--check-config", "--recognizer", "scripted"])
            .env_remove("SYMBL_APP_ID")
            .env_remove("SYMBL_APP_SECRET")
            .output()
            .expect("run");
        assert!(output.status.success(), "{text}: {output:?}");
    }
    assert!(plain.contains("#metrics-listen = "), "{plain}");
}

#[test]
fn the_unit_leaves_time_for_the_drain_of_a_service_of_several() {
    let limits = symbl_service::Limits::default();
    let limit = settings("TimeoutStopSec").remove(0);
    let limit = Duration::from_secs(limit.parse().expect("seconds"));
    let (success, said) = help();
    assert!(success, "{said}");
    let default = |option: &str| -> u64 {
        let (_, rest) = said.split_once(option).expect(option);
        let (_, rest) = rest.split_once("By default ").expect(option);
        rest.split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .expect(option)
    };
    let drain = default("--drain-wait <SECONDS>") + default("--drain-time <SECONDS>");
    assert_eq!(drain, 35);
    // Sockets that were asked last, those that are left, and the last writes.
    let rest = limits.close + 2 * limits.shutdown;
    assert!(limit >= Duration::from_secs(drain) + rest, "{limit:?}");
}

/// Returns what the command says of its options.
fn help() -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
        .arg("--help")
        .output()
        .expect("run");
    let said = String::from_utf8_lossy(&output.stdout);
    // Lines are broken anywhere.
    let words: Vec<&str> = said.split_whitespace().collect();
    (output.status.success(), words.join(" "))
}

/// Returns the system calls of a set, such as `@system-service`, and of the sets in it, or
/// the call of this name.
fn calls(set: &str) -> BTreeSet<String> {
    if !set.starts_with('@') {
        return BTreeSet::from([set.to_owned()]);
    }
    let (success, said) = analyze(&["syscall-filter", "--no-pager", set]);
    assert!(success, "{said}");
    let mut all = BTreeSet::new();
    for line in said.lines().skip(1).map(str::trim) {
        match line.chars().next() {
            Some('@') => all.extend(calls(line)),
            Some(first) if first.is_ascii_lowercase() || first == '_' => {
                all.insert(line.to_owned());
            }
            _ => {}
        }
    }
    all
}

/// What is done without where it is refused: SQLite gives its files to their owner only where it
/// runs as root, GLib hands the schedule of a thread on to its pool, and a decoder asks
/// for memory that is near.
const DISPENSABLE: [&str; 3] = ["fchown", "sched_setattr", "set_mempolicy"];

/// Recognises a recording by a job. GStreamer decodes it, in a process of its own.
async fn recognise(address: SocketAddr) {
    let recording = wav(&[speech(3..6, 16_000)]);
    let (status, made) = upload(&address, "POST /v1/process/audio", &recording).await;
    assert_eq!(status, 201, "{made}");
    let job = ended(&address, &made).await;
    assert_eq!(job["status"], "completed", "{job}");
}

#[tokio::test]
async fn the_service_uses_only_system_calls_that_the_unit_allows() {
    if !has("systemd-analyze", "--version") || !has("strace", "--version") {
        return;
    }
    let mut allowed = BTreeSet::new();
    for filter in settings("SystemCallFilter") {
        match filter.strip_prefix('~') {
            None => filter
                .split(' ')
                .for_each(|name| allowed.extend(calls(name))),
            Some(denied) => {
                let denied: BTreeSet<String> = denied.split(' ').flat_map(calls).collect();
                allowed.retain(|call| !denied.contains(call));
            }
        }
    }
    assert!(allowed.len() > 100, "{allowed:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let counts = folder.path().join("counts");
    let notify = folder.path().join("notify");
    let _manager = std::os::unix::net::UnixDatagram::bind(&notify).expect("a socket");
    let mut traced = Command::new("strace");
    // The tracer is the child of the service, so that signals meet the service.
    traced
        .args(["-D", "-f", "-qq", "-c", "-o"])
        .arg(&counts)
        .arg(env!("CARGO_BIN_EXE_symbl-service"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--recognizer",
            "scripted",
            "--data",
        ])
        .arg(folder.path().join("data"))
        .env("NOTIFY_SOCKET", &notify)
        .stderr(Stdio::null())
        .env_remove("SYMBL_APP_ID")
        .env_remove("SYMBL_APP_SECRET")
        .stdout(Stdio::piped());
    let mut child = traced.spawn().expect("started");
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    let address = line
        .trim_end()
        .strip_prefix("listening on http://")
        .expect(&line);
    let address: SocketAddr = address.parse().expect("an address");
    let (mut client, _) = Client::started(&address, "x", &start_request()).await;
    client.send_audio(&linear16(&speech(0..3, 16_000))).await;
    client.stop().await;
    assert_eq!(
        texts(&final_words(&client.rest().await)),
        ["w0", "w1", "w2"]
    );
    recognise(address).await;
    for signal in ["-HUP", "-TERM"] {
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }
    child.wait().expect("an end");
    let until = Instant::now() + Duration::from_secs(60);
    let report = loop {
        let report = std::fs::read_to_string(&counts).unwrap_or_default();
        if report.contains("total") {
            break report;
        }
        assert!(Instant::now() < until, "strace reports nothing: {report}");
        std::thread::yield_now();
    };
    let used: BTreeSet<&str> = report
        .lines()
        .skip(2)
        .filter_map(|line| line.split_whitespace().last())
        .filter(|name| !name.starts_with('-') && *name != "total")
        .collect();
    assert!(
        used.contains("accept4") && used.contains("futex"),
        "{report}"
    );
    let denied: Vec<&&str> = used
        .iter()
        .filter(|call| !allowed.contains(**call) && !DISPENSABLE.contains(call))
        .collect();
    assert!(denied.is_empty(), "the unit forbids {denied:?}");
}
