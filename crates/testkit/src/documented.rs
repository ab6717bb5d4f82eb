// SPDX-License-Identifier: MPL-2.0

//! Blocks of code in the documentation, and a shell that runs them as a reader would.
//!
//! In front of a block that a test runs stands `<!-- run by TEST -->`, where TEST is the file
//! of the test. `service/tests/conversations/documents.rs` fails for a block that no test runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A block of code of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the quotes, such as `sh`.
    pub language: String,
    /// The code, without a line break at its end.
    pub text: String,
}

/// Returns the path of a file of the project.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

/// Returns the blocks of a document in front of which stands that `test` runs them.
pub fn blocks(document: &str, test: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(path(document)).expect(document);
    let mark = format!("<!-- run by {test} -->\n```");
    let parts = text.split(&mark).skip(1).map(|part| {
        let (language, rest) = part.split_once('\n').expect("a language");
        let (code, _) = rest.split_once("\n```").expect("an end");
        Block {
            language: language.to_owned(),
            text: code.to_owned(),
        }
    });
    parts.collect()
}

/// Returns the text of the only block of a document that `test` runs.
pub fn block(document: &str, test: &str) -> String {
    let blocks = blocks(document, test);
    let [block] = &blocks[..] else {
        panic!("{document} has {} blocks that {test} runs", blocks.len());
    };
    block.text.clone()
}

/// Makes a script of `sh` that is found as `name` in a folder. It stands for a program.
pub fn stand_in(folder: &Path, name: &str, script: &str) {
    // Written by another process: a child of another test could still have a file of this one
    // open, and a program that is open for writing cannot be executed.
    let mut child = Command::new("sh")
        .args(["-c", r#"cat >"$0" && chmod +x "$0""#, name])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh");
    let mut input = child.stdin.take().expect("piped");
    let text = format!("#!/bin/sh\n{script}\n");
    input.write_all(text.as_bytes()).expect("taken");
    drop(input);
    assert!(child.wait().expect("an end").success());
}

/// Returns a command that runs `code` in bash, for a minute at most. Programs are looked for
/// in `programs` first.
pub fn bash(code: &str, programs: &Path) -> Command {
    let others = std::env::var("PATH").expect("a path");
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "60", "bash", "-euo", "pipefail", "-c"])
        .arg(code)
        .env("PATH", format!("{}:{others}", programs.display()))
        .env_remove("SYMBL_APP_ID")
        .env_remove("SYMBL_APP_SECRET")
        .stdin(Stdio::null());
    command
}

/// Runs a command until it prints that a service listens, and kills it with all that it has
/// started. Returns what it said on standard error. Fails if no service listens.
pub fn until_it_listens(command: &mut Command) -> String {
    let mut child = command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut log = child.stderr.take().expect("piped");
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = log.read_to_string(&mut text);
        text
    });
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let listens = lines.any(|line| line.is_ok_and(|line| line.starts_with("listening on ")));
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = child.wait();
    let log = log.join().expect("read");
    assert!(listens, "no service listens: {command:?}\n{log}");
    log
}

/// Runs the program of this test with the options of a `cargo test … --test NAME -- OPTIONS`
/// that a document shows, without the tests whose names have one of `except`: the caller must be
/// among them. Returns what it prints.
pub fn cargo_test(command: &str, name: &str, except: &[&str]) -> String {
    let (cargo, options) = command.split_once(" -- ").expect("options");
    let target = format!(" --test {name}");
    assert!(
        cargo.starts_with("cargo test ") && cargo.ends_with(&target),
        "{command}"
    );
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(options.split(' '))
        .args(except.iter().flat_map(|name| ["--skip", name]))
        .output()
        .expect("started");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}\n{printed}");
    printed
}
