// SPDX-License-Identifier: MPL-2.0

//! Runs the commands of docs/cluster.md as they are there, but for addresses and folders.

use super::bus::until_metric;
use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use symbl_testkit::redis::Redis;

/// Returns the only block of shell that has this text.
fn block(with: &str) -> String {
    let text = include_str!("../../../docs/cluster.md");
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("an end"));
    let mut found = blocks.filter(|block| block.contains(with));
    let block = found.next().expect("a block");
    assert_eq!(found.next(), None, "one block");
    block.to_owned()
}

/// Replaces what is there in the documentation by what is here.
fn here(mut block: String, replaced: &[(&str, &str)]) -> String {
    for (there, here) in replaced {
        assert!(block.contains(there), "no {there} in {block}");
        block = block.replace(there, here);
    }
    block
}

/// Returns a shell that runs a block with the programs that it names, at this database.
fn shell(block: &str, programs: &Path, postgres: &Postgres) -> Command {
    let link = programs.join("symbl-service");
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_symbl-service"), link).expect("a link");
        // No unit of the machine is stopped.
        let systemctl = programs.join("systemctl");
        std::fs::write(&systemctl, "#!/bin/sh\necho \"$@\"\n").expect("a script");
        let may_run = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&systemctl, may_run).expect("a script");
    }
    let path = format!(
        "{}:{}",
        programs.display(),
        std::env::var("PATH").expect("a path")
    );
    let socket = postgres.socket();
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", block])
        .env("PATH", path)
        .env("PGHOST", socket.parent().expect("a folder"))
        .env("PGUSER", "postgres");
    shell
}

/// Starts the node that a block starts, and waits until it listens.
fn started(block: String, programs: &Path, postgres: &Postgres) -> Process {
    // The shell becomes the node, so that the node ends with the test.
    let block = block.replace(
        "\nsymbl-service --listen 0.0.0.0:8787",
        "\nexec symbl-service --listen 127.0.0.1:0 --recognizer scripted --log error",
    );
    Process::start(|command| {
        *command = shell(&block, programs, postgres);
        command.stdout(Stdio::piped());
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_page_run() {
    let (Some(postgres), Some(redis)) = (Postgres::start(&[]), Redis::start(&[])) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let url = postgres.url("symbl");

    // A node, and one with a bus.
    let cluster = "postgres://symbl:secret@db1.example,db2.example/symbl";
    let a = started(
        here(block(cluster), &[(cluster, &url)]),
        folder.path(),
        &postgres,
    );
    let (head, _) = http(&a, "GET /readyz", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let bus = "rediss://symbl:secret@redis.example:6379";
    let one = "postgres://symbl:secret@db1.example/symbl";
    let b = started(
        here(block(bus), &[(bus, &redis.url()), (one, &url)]),
        folder.path(),
        &postgres,
    );
    until_metric(&b, "bus_up", |up| up == 1.0).await;
    drop((a, b));
    postgres.ask(
        &postgres.url("postgres"),
        "DROP DATABASE symbl WITH (FORCE)",
    );

    // One service moves into a cluster.
    let data = folder.path().join("data");
    let alone = Process::start(|command| {
        command.args(["--log", "error", "--data"]).arg(&data);
    });
    let (mut ada, id) = Client::started(&alone, "kept", &start_as("Ada", 0)).await;
    ada.send_audio(&said(0..2)).await;
    ada.until("message_response").await;
    ada.stop().await;
    ada.rest().await;
    let before = history(&alone, &id).await;
    drop(alone);
    let kept = data.to_string_lossy();
    let copy = here(
        block("symbl-service copy"),
        &[(one, &url), ("/var/lib/symbl-service", &kept)],
    );
    let copied = shell(&copy, folder.path(), &postgres).output();
    let copied = copied.expect("a shell");
    let why = String::from_utf8_lossy(&copied.stderr);
    assert!(copied.status.success(), "{why}");
    let node = process(&url);
    assert_eq!(history(&node, &id).await, before);
}
