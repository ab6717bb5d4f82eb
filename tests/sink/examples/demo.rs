// SPDX-License-Identifier: MPL-2.0

//! `make demo`, as the README shows it: the words of the block are compared with those that
//! the demo prints for the same recordings.

use super::*;
use std::fs;
use symbl_testkit::documented::{block, path};

/// How many of the demo's recordings are played here. All of them take two minutes.
const PROMPTS: usize = 2;

/// Lets other users into a folder. PostgreSQL may run as one.
pub(super) fn reachable(folder: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    fs::set_permissions(folder, mode).expect("a mode");
}

/// Returns a command that runs a goal of the Makefile with what was built along with this
/// test, in place of a release. It installs nothing.
pub(super) fn make(folder: &Path, goal: &str) -> Command {
    let release = folder.join("release");
    fs::create_dir_all(&release).expect("a folder");
    for (name, file) in [
        ("symbl-service", "../symbl-service"),
        ("symbl-view", "../symbl-view"),
        ("libgstsymbl.so", "libgstsymbl.so"),
    ] {
        let file = built(file).canonicalize().expect("it is there");
        std::os::unix::fs::symlink(file, release.join(name)).expect("a link");
    }
    let programs = folder.join("programs");
    fs::create_dir(&programs).expect("a folder");
    for name in ["apt-get", "sudo"] {
        symbl_testkit::documented::stand_in(
            &programs,
            name,
            "echo 'a test installs nothing'; exit 1",
        );
    }
    let others = std::env::var("PATH").expect("a path");
    let mut command = plugin::command("make");
    command
        .args(["--no-print-directory", goal, "CARGO=true"])
        .current_dir(path(""))
        .env("CARGO_TARGET_DIR", folder)
        .env("PATH", format!("{}:{others}", programs.display()))
        // What `make test` has set for its own goals.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL");
    command
}

/// Returns `true` if a goal has failed because a package is missing, which it names.
pub(super) fn lacks_a_package(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    let missing = said
        .lines()
        .find(|line| line.contains("install-deps: installing:"));
    if let Some(missing) = missing {
        absent(missing);
    }
    missing.is_some()
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    if symbl_testkit::model::model("tiny.en").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let prompts = fs::read_to_string(path("examples/talk/prompts.tsv")).expect("prompts");
    let prompts = prompts.lines().filter(|line| !line.starts_with('#'));
    let prompts: Vec<&str> = prompts.take(PROMPTS).collect();
    let few = folder.path().join("prompts.tsv");
    fs::write(&few, prompts.join("\n") + "\n").expect("room");

    let shown = block("README.md", "tests/sink/examples/demo.rs");
    let (command, shown) = shown.split_once('\n').expect("a command and its output");
    let goal = command.strip_prefix("$ make ").expect("a goal");
    let output = make(folder.path(), goal)
        .env("PROMPTS", &few)
        .output()
        .expect("make");
    if lacks_a_package(&output) {
        return;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    // Each prompt has a tracker of the demo below it.
    let lines: Vec<&str> = shown.lines().take(2 * PROMPTS).collect();
    assert!(
        printed.contains(&lines.join("\n")),
        "{lines:?}\n{printed}{said}"
    );
    for begin in [
        "delay     of final results: median ",
        "accuracy  0.0 % word error rate ",
    ] {
        assert!(
            printed.lines().any(|line| line.starts_with(begin)),
            "{begin}\n{printed}"
        );
    }
}
