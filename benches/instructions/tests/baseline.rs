// SPDX-License-Identifier: MPL-2.0

//! Compares the instructions for audio and results with a baseline.
//!
//! `baseline.json` has the instructions for one second of audio in `render` and in
//! the task that sends it; the same for a live source, which needs no task; and those
//! of the task and of the calls to the application when the results of that second
//! come back as well. callgrind counts the same number each time, within two percent,
//! whatever else the machine does. So a rise of more than a tenth comes from a change
//! of ours. After a change that is meant to cost or to save instructions:
//!
//! ```text
//! SYMBL_BASELINE=write cargo test --release -p symbl-instructions
//! ```
//!
//! Only a release build is tested, because the numbers of other builds mean nothing.
#![cfg(not(debug_assertions))]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Ratio to the baseline above which the test fails.
const MOST: f64 = 1.1;

/// Ratio to the baseline below which the test fails. Then either instructions were
/// saved, and the baseline has to be updated, or the functions of this test have new
/// names and are not counted.
const LEAST: f64 = 0.9;

/// The lengths in seconds whose difference is counted. Both include what happens
/// once, such as connecting.
const SHORT: u64 = 20;
const LONG: u64 = 60;

/// The task of a connection, which is the only future here with `catch_unwind`.
const TASK: &str = "*AssertUnwindSafe*Future*::poll*";

/// The counted functions, on any thread, with everything they call.
const AUDIO: [&str; 2] = [
    "gstreamer_base::subclass::base_sink::base_sink_render*",
    TASK,
];
const RESULTS: [&str; 2] = [
    TASK,
    "*BusHost* as symbl_client::transport::connection::Host>::event*",
];

#[test]
fn a_second_of_audio_takes_no_more_instructions_than_it_did() {
    compare("audio", &AUDIO);
}

#[test]
fn a_second_of_live_audio_takes_no_more_instructions_than_it_did() {
    compare("live", &AUDIO);
}

#[test]
fn the_results_of_a_second_take_no_more_instructions_than_they_did() {
    compare("results", &RESULTS);
}

/// The most that a text pad may add to the instructions of an element, as a share of them.
const TEXT_PAD: f64 = 0.25;

/// The functions of a `symbltranscriber` that a `symblsink` has not: its chain function,
/// and a step of the text pad's task, with all that is behind the pad.
const PADS: [&str; 2] = [
    "gstsymbl::transcriber::input::chain*",
    "*start_task::trampoline_pad_task*",
];

/// The lengths in seconds for a text pad, which are those of real time.
const PACED: [u64; 2] = [5, 20];

#[test]
fn a_text_pad_takes_little_beside_the_rest() {
    let all = [AUDIO[0], PADS[0], PADS[1], RESULTS[0], RESULTS[1]];
    let [[sink, _, _], [text, chain, task]] = std::thread::scope(|scope| {
        ["paced", "text"]
            .map(|what| {
                [&all[..], &PADS[..1], &PADS[1..]].map(|these| {
                    // A sink has none of the pads' functions.
                    let counts = what == "text" || these.len() == all.len();
                    scope.spawn(move || if counts { slope(what, PACED, these) } else { 0 })
                })
            })
            .map(|counts| counts.map(|count| count.join().expect("a count")))
    });
    let more = text as f64 / sink as f64 - 1.0;
    println!(
        "text: {text} instructions a second, of them {chain} in chain and {task} in the task of \
         the pad; symblsink {sink}: {more:+.3}"
    );
    assert!(
        more <= TEXT_PAD,
        "a symbltranscriber takes {more:.2} more than a symblsink"
    );
}

/// Returns the instructions of these functions for a second of audio.
fn second(what: &str, functions: &[&str]) -> u64 {
    slope(what, [SHORT, LONG], functions)
}

/// Returns the difference by second between runs of these lengths.
fn slope(what: &str, lengths: [u64; 2], functions: &[&str]) -> u64 {
    let [short, long] = lengths.map(|seconds| count(what, seconds, functions));
    assert!(
        long > short && short > 0,
        "nothing was counted ({short}, {long}): have the functions of this test other names now?"
    );
    (long - short) / (lengths[1] - lengths[0])
}

fn compare(what: &str, functions: &[&str]) {
    let counted = second(what, functions);
    if std::env::var("SYMBL_BASELINE").is_ok_and(|value| value == "write") {
        return write(what, counted);
    }
    let written = read()[what].as_u64().expect("a number of instructions");
    let ratio = counted as f64 / written as f64;
    println!("{what}: {counted} instructions a second, {ratio:.3} of the baseline");
    assert!(
        ratio <= MOST,
        "{what}: {counted} instructions a second, {ratio:.2} times what {} says",
        path().display()
    );
    assert!(
        ratio >= LEAST,
        "{what}: {counted} instructions a second, {ratio:.2} of what {} says: if that was saved, \
         SYMBL_BASELINE=write keeps it; else see which functions are counted",
        path().display()
    );
}

/// Returns the instructions of these functions for this many seconds of audio.
fn count(what: &str, seconds: u64, functions: &[&str]) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--fair-sched=yes"])
        .arg(format!(
            "--callgrind-out-file={}",
            folder.path().join("out").display()
        ))
        .args(
            functions
                .iter()
                .map(|name| format!("--toggle-collect={name}")),
        )
        .arg(env!("CARGO_BIN_EXE_symbl-instructions"))
        .args([what, &seconds.to_string()])
        .output()
        .expect("valgrind; scripts/install-deps.sh installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, number) = collected.unwrap_or_else(|| panic!("no count: {said}"));
    number.trim().parse().expect("a number")
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

fn read() -> Value {
    let text = std::fs::read_to_string(path()).expect("a baseline");
    serde_json::from_str(&text).expect("JSON")
}

fn write(what: &str, counted: u64) {
    // The tests are threads of one process.
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().expect("nobody failed to write");
    let mut baseline = read();
    baseline[what] = counted.into();
    let text = serde_json::to_string_pretty(&baseline).expect("JSON");
    std::fs::write(path(), text + "\n").expect("a baseline");
}
