// SPDX-License-Identifier: MPL-2.0

//! What docs/operations.md does with systemd: install the service and start it with the
//! machine, upgrade it, and look for a conversation in the journal. A folder stands for the machine, and
//! scripts stand for `sudo`, `systemctl` and `journalctl`.

use super::*;
use crate::common::process::Process;
use crate::common::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::symlink;
use symbl_service::recognizer::scripted::speech;
use symbl_testkit::documented::{Block, bash, blocks, stand_in};
use symbl_testkit::model::model;

/// Returns the commands that install the service, those that read its journal, and those that
/// upgrade it.
fn commands() -> [String; 3] {
    let blocks = blocks(
        "docs/operations.md",
        "service/tests/packaging/by_systemd.rs",
    );
    let blocks: Vec<String> = blocks.into_iter().map(|Block { text, .. }| text).collect();
    let count = blocks.len();
    blocks
        .try_into()
        .unwrap_or_else(|_| panic!("{count} blocks"))
}

/// Puts what `cargo test` has built where a release would be. Returns `false` if a part of it
/// was not built, because only this package is tested.
fn release(folder: &Path) -> bool {
    let programs = Path::new(env!("CARGO_BIN_EXE_symbl-service")).parent();
    let programs = programs.expect("a folder");
    fs::create_dir_all(folder.join("release")).expect("a folder");
    for (name, file) in [
        ("symbl-service", "symbl-service"),
        ("symbl-tap", "symbl-tap"),
        ("symbl-view", "symbl-view"),
        ("libgstsymbl.so", "deps/libgstsymbl.so"),
    ] {
        let file = programs.join(file);
        if !file.exists() {
            eprintln!("SKIPPED: a test that needs {}", file.display());
            assert!(
                std::env::var_os("CI").is_none(),
                "cargo test --workspace builds it"
            );
            return false;
        }
        symlink(file, folder.join("release").join(name)).expect("a link");
    }
    true
}

#[test]
fn the_service_is_installed_as_documented() {
    let Some(model) = model("tiny.en") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let machine = folder.path().join("machine");
    let target = folder.path().join("target");
    if !release(&target) {
        return;
    }
    let cache = machine.join("var/lib/symbl-service/cache/symbl-service");
    fs::create_dir_all(&cache).expect("a folder");
    symlink(model.parent().expect("a folder"), cache.join("models")).expect("a link");
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).expect("a folder");
    stand_in(&programs, "sudo", r#"exec "$@""#);
    stand_in(
        &programs,
        "systemctl",
        r#"echo "$@" >>"$DESTDIR/systemctl""#,
    );

    let installed = machine.join("usr/bin");
    let path_of_programs = format!("{}:{}", programs.display(), installed.display());
    let run = |commands: &str| {
        let mut here = commands.to_owned();
        for place in ["/etc/", "/var/"] {
            here = here.replace(place, &format!("{}{place}", machine.display()));
        }
        assert_ne!(here, commands, "it changes nothing outside the project");
        let output = bash(&here, Path::new(&path_of_programs))
            .current_dir(path(""))
            .env("DESTDIR", &machine)
            .env("PREFIX", "/usr")
            .env("CARGO_TARGET_DIR", &target)
            // Nothing is built. A Make that runs this test does not add its own settings.
            .env("CARGO", "true")
            .env_remove("MAKEFLAGS")
            .output()
            .expect("bash");
        assert!(output.status.success(), "{here}\n{output:?}");
        fs::read_to_string(machine.join("systemctl")).expect("it was called")
    };

    let [install, _, upgrade] = commands();
    assert_eq!(run(&install), "enable --now symbl-service\n");
    let unit = machine.join("usr/lib/systemd/system/symbl-service.service");
    let unit = fs::read_to_string(unit).expect("the unit");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let mut words = line.expect("a command").split_whitespace();
    let program = words.next().expect("a program").trim_start_matches('/');
    let checked = Command::new(machine.join(program))
        .args(words.map(|word| word.replace("/etc/", &format!("{}/etc/", machine.display()))))
        .arg("--check-config")
        .output()
        .expect("it is installed");
    assert!(checked.status.success(), "{checked:?}");

    let data = machine.join("var/lib/symbl-service/data");
    let kept = Process::start(|command| {
        command.arg("--data").arg(&data);
    });
    drop(kept);
    assert_eq!(
        run(&upgrade),
        "enable --now symbl-service\ndaemon-reload\nrestart symbl-service\n"
    );
    let kept = fs::read_dir(data.parent().expect("a folder")).expect("it is there");
    let is_backup = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".backup");
    let backups = kept.filter(|file| is_backup(&file.as_ref().expect("a file").file_name()));
    assert_eq!(backups.count(), 1);
    let plugins = Command::new("find")
        .arg(&machine)
        .args(["-name", "libgstsymbl.so"])
        .output();
    assert!(!plugins.expect("find").stdout.is_empty(), "no plugin");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_searched_for_a_connection_as_documented() {
    if !has("jq", "--version") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut service = Process::start(|command| {
        let file = fs::File::create(&log).expect("room");
        command.args(["--log-format", "json"]).stderr(file);
    });
    for name in ["call-17", "call-18"] {
        let (mut client, _) = Client::started(&service, name, &start_request()).await;
        client.send_audio(&linear16(&speech(0..3, 16_000))).await;
        client.stop().await;
        client.rest().await;
    }
    let id = i32::try_from(service.child.id()).expect("a number");
    kill(Pid::from_raw(id), Signal::SIGTERM).expect("it runs");
    service.child.wait().expect("an end");

    // The journal has lines of systemd, and standard output, beside the log.
    let journal =
        r#"echo 'Starting symbl-service.service'; echo 'listening on http://…'; cat "$LOG""#;
    stand_in(folder.path(), "journalctl", journal);
    let [_, search, _] = commands();
    let output = bash(&search, folder.path()).env("LOG", &log).output();
    let output = output.expect("bash");
    assert!(output.status.success(), "{search}\n{output:?}");
    let found = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<serde_json::Value> = found
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object on each line"))
        .collect();
    assert!(
        lines.iter().all(|line| line["connection"] == "call-17"),
        "{found}"
    );
    for event in ["started", "stopped"] {
        assert!(
            lines.iter().any(|line| line["event"] == event),
            "{event}: {found}"
        );
    }
}
