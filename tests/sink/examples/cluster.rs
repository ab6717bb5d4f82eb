// SPDX-License-Identifier: MPL-2.0

//! `examples/cluster`: three nodes, a replica and HAProxy, and what `make cluster-demo` does.

use super::*;
use std::fs;
use std::time::Instant;

/// The page whose command is run here.
const DOCUMENT: &str = "docs/cluster.md";

/// Returns a command of `run.sh`, whose processes and files can be found by the folder.
fn cluster(folder: &TempDir) -> Option<Command> {
    let has_haproxy = Path::new("/usr/sbin/haproxy").exists();
    if !has_haproxy || !Path::new("/usr/lib/postgresql").exists() {
        absent("haproxy or PostgreSQL");
        return None;
    }
    super::demo::reachable(folder.path());
    let mut command = plugin::command("bash");
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/examples/cluster/run.sh"
        ))
        .env("TMPDIR", folder.path())
        .env("SYMBL_SERVICE", built("../symbl-service"))
        .env("NODE_OPTIONS", "--recognizer scripted --log warn");
    Some(command)
}

/// Waits until no process of a folder is left, nor a file.
fn nothing_is_left(folder: &TempDir) {
    let mark = format!("TMPDIR={}", folder.path().display());
    let has_mark = |path: PathBuf| {
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|one| one == mark.as_bytes())
    };
    let begun = Instant::now();
    loop {
        let all = fs::read_dir("/proc").expect("Linux").flatten();
        let left = all.filter(|entry| has_mark(entry.path())).count();
        if left == 0 {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{left} processes"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_node_of_a_cluster_is_killed_in_mid_speech_and_no_word_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    if cluster(&folder).is_none() {
        return;
    }
    let block = symbl_testkit::documented::block(DOCUMENT, "tests/sink/examples/cluster.rs");
    let goal = block.strip_prefix("make ").expect("a goal");
    let built = tempfile::tempdir().expect("a folder");
    super::demo::reachable(built.path());
    let output = super::demo::make(built.path(), goal)
        .env("TMPDIR", folder.path())
        .env("SECONDS_OF_SPEECH", "12")
        .output()
        .expect("make");
    if super::demo::lacks_a_package(&output) {
        return;
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(printed.contains("is killed after"), "{printed}");
    assert!(
        printed.ends_with("no word is missing, none came twice\n"),
        "{printed}"
    );
    nothing_is_left(&folder);
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn words_that_are_missing_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut command) = cluster(&folder) else {
        return;
    };
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cluster/demo.py");
    // The sinks do not have what they would have to say again.
    let output = command
        .arg(demo)
        .env("SECONDS_OF_SPEECH", "12")
        .env("SINK_OPTIONS", "buffer-duration=400 leaky=oldest")
        .output()
        .expect("bash");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("WRONG: missing ['w"), "{printed}");
    assert!(printed.ends_with("FAILED\n"), "{printed}");
}

#[test]
fn a_cluster_ends_with_its_script_even_if_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut command) = cluster(&folder) else {
        return;
    };
    // The child of a shell, so that the shell is killed and not the command.
    let mut script = command
        .args(["sh", "-c", "echo started; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash");
    let mut line = String::new();
    let mut out = BufReader::new(script.stdout.take().expect("piped"));
    out.read_line(&mut line).expect("a line");
    assert_eq!(line, "started\n");
    script.kill().expect("killed");
    script.wait().expect("dead");
    nothing_is_left(&folder);
}
