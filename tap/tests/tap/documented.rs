// SPDX-License-Identifier: MPL-2.0

//! The commands of README.md, one after the other, in a conversation that is held for them.

use crate::run::Tap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_testkit::client::{Client, linear16, start_request};
use symbl_testkit::documented::{bash, block};
use symbl_testkit::service::Service;
use tokio::runtime::Runtime;

/// The id that stands for one in the list.
const WRITTEN: &str = "1234567890123456";

/// Returns a command of the README for this service, in a folder with the program.
fn line(line: &str, service: &Service, folder: &Path) -> Command {
    let here = line.replace("http://127.0.0.1:8787", &service.url());
    let mut command = bash(&here, folder);
    command
        .current_dir(folder)
        .env("SYMBL_BASE_URL", service.url())
        .env_remove("SYMBL_ACCESS_TOKEN");
    command
}

/// Starts to listen, and then says a sentence in `call-17`. Returns what the program wrote.
fn heard(command: Command, service: &Service, waits: bool) -> String {
    let runtime = Runtime::new().expect("a runtime");
    let address = service.url().trim_start_matches("http://").parse();
    let address: std::net::SocketAddr = address.expect("an address");
    let begin = || {
        runtime
            .block_on(Client::started(&address, "call-17", &start_request()))
            .0
    };
    let (mut tap, mut client) = if waits {
        (Tap::run(command), begin())
    } else {
        let client = begin();
        (Tap::run(command), client)
    };
    tap.says("listening");
    runtime.block_on(async {
        let mut samples = speech(0..3, 16_000);
        samples.extend(silence(Duration::from_millis(600), 16_000));
        client.send_audio(&linear16(&samples)).await;
        client.until("message_response").await;
        client.stop().await;
        client.rest().await;
    });
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    out
}

#[test]
fn the_commands_of_the_readme_write_a_conversation_down() {
    let service = Service::start();
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    symlink(env!("CARGO_BIN_EXE_symbl-tap"), folder.join("symbl-tap")).expect("a link");
    let block = block("README.md", "tap/tests/tap/documented.rs");
    let lines: Vec<&str> = block.lines().collect();
    let [live, captions, list, replay] = lines[..] else {
        panic!("{} commands", lines.len());
    };
    let written = heard(line(live, &service, folder), &service, false);
    assert!(written.contains("] W0 w1 w2.\n"), "{written}");
    heard(line(captions, &service, folder), &service, true);
    let srt = std::fs::read_to_string(folder.join("call-17.srt")).expect("captions");
    assert!(srt.starts_with("1\n00:00:00,"), "{srt}");
    assert!(srt.contains("W0 w1 w2."), "{srt}");

    let output = |command: &str| {
        let output = line(command, &service, folder).output().expect("bash");
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let listed = output(list);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let (id, _) = listed.split_once(' ').expect("an id");
    assert!(replay.contains(WRITTEN), "{replay}");
    let replayed = output(&replay.replace(WRITTEN, id));
    assert!(replayed.starts_with("WEBVTT\n"), "{replayed}");
    assert!(replayed.contains("W0 w1 w2."), "{replayed}");
}
