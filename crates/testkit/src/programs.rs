// SPDX-License-Identifier: MPL-2.0

//! Programs that tests run and that a machine may lack.

use crate::speech::absent;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What browsers of Chromium's kind are called.
const BROWSERS: [&str; 3] = ["chromium-headless-shell", "google-chrome", "chromium"];

/// Returns the path of a Chromium, or `None` where none is installed.
pub fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let named = BROWSERS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = named.into_iter().find(|program| program.is_file());
    if found.is_none() {
        absent("no Chromium (Debian package chromium-headless-shell)");
    }
    found
}

/// Returns a command that runs Node.js for at most three minutes, or `None` where Node.js is
/// absent.
pub fn node() -> Option<Command> {
    if let Err(error) = Command::new("node").arg("--version").output() {
        absent(&format!("node: {error} (Debian package nodejs)"));
        return None;
    }
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "180", "node"]);
    Some(command)
}

/// Installs the packages that `package-lock.json` in `source` names into `folder`, unless they
/// are there. Returns the folder for `NODE_PATH`, or `None` where Node.js is absent.
pub fn npm(source: &Path, folder: &Path) -> Option<PathBuf> {
    for program in ["node", "npm"] {
        if let Err(error) = Command::new(program).arg("--version").output() {
            absent(&format!(
                "{program}: {error} (Debian packages nodejs and npm)"
            ));
            return None;
        }
    }
    let modules = folder.join("node_modules");
    let lock = std::fs::read(source.join("package-lock.json")).expect("the lock file");
    // Written when all is there, so that half an installation is made anew.
    let done = folder.join("installed.json");
    if std::fs::read(&done).is_ok_and(|before| before == lock) {
        return Some(modules);
    }
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).expect("a folder");
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), folder.join(name)).expect("a copy");
    }
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .output()
        .expect("npm");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm ci: {said}");
    std::fs::write(&done, lock).expect("a file");
    Some(modules)
}

/// Runs a program that prints lines of JSON. One with `please` asks for something, and
/// `perform` returns the answer to it. Returns the last of the others, its report.
pub fn play(command: &mut Command, mut perform: impl FnMut(&Value) -> Value) -> Value {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("timeout");
    let mut complaints = child.stderr.take().expect("it is piped");
    let complaints = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = complaints.read_to_string(&mut text);
        text
    });
    let mut answers = child.stdin.take().expect("it is piped");
    let mut report = Value::Null;
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line.expect("text");
        let value: Value = serde_json::from_str(&line).expect(&line);
        if value["please"].is_string() {
            let answer = perform(&value);
            writeln!(answers, "{answer}").expect("it listens");
        } else {
            report = value;
        }
    }
    let status = child.wait().expect("an end");
    let complaints = complaints.join().expect("no panic");
    assert!(status.success(), "{status}: {complaints}");
    report
}
