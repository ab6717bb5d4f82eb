// SPDX-License-Identifier: MPL-2.0

//! Runs the commands of docs/privacy.md, one after the other, beside a service that has heard
//! a call, and compares what they print with what stands there.

use crate::common::prompter::Prompter;
use crate::common::secrets::{CALL, call, everything, request};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::audit::Audit;
use symbl_service::{Server, ServerConfig};

const MARK: &str = "<!-- run by service/tests/conversations/privacy_docs.rs -->";

/// Returns the commands of the document, each with what it prints.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut parts = text.split(MARK);
    parts.next();
    let block = |part: &str| -> Option<String> {
        let (_, rest) = part.split_once("```")?;
        let (_, rest) = rest.split_once('\n')?;
        rest.split_once("```").map(|(code, _)| code.to_owned())
    };
    let pairs = parts.map(|part| {
        let command = block(part).expect("a command");
        let (_, behind) = part.split_once(&command).expect("it is there");
        let behind = behind.trim_start_matches("```").trim_start();
        // The next block is its output if it follows at once.
        let output = behind.starts_with("```\n").then(|| block(behind)).flatten();
        (command, output.unwrap_or_default())
    });
    pairs.collect()
}

/// Returns a text in which all numbers and times are the same.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars() {
        match c.is_ascii_digit() {
            true if out.ends_with('0') => {}
            true => out.push('0'),
            false => out.push(c),
        }
    }
    out
}

fn shell(folder: &Path, text: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("timeout")
        .args(["60", "bash", "-euo", "pipefail", "-c", text])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", folder.display()))
        .output()
        .expect("timeout");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}\n{log}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_document_print_what_stands_there() {
    let text = include_str!("../../../docs/privacy.md");
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().to_owned();
    let command = here.join("symbl-service");
    let script = format!(
        "#!/bin/sh\nexec '{}' \"$@\"\n",
        env!("CARGO_BIN_EXE_symbl-service")
    );
    std::fs::write(&command, script).expect("room");
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let (audit, thread) = Audit::open(&here.join("audit.log")).expect("a file");
    let mut config = ServerConfig::new(Arc::new(Prompter(CALL)));
    config.data = Some(here.join("data"));
    config.redaction = everything();
    config.keep = Some(Duration::from_secs(30 * 86_400));
    config.audit = audit;
    let server = Server::bind(config).await.expect("a free port");
    let (id, _) = call(&server, "call", &request()).await;
    let address = server.local_addr().to_string();
    let blocks = blocks(text);
    assert!(blocks.len() >= 6, "{} blocks", blocks.len());
    for (command, expected) in blocks {
        let whole = command.replace("127.0.0.1:8787", &address);
        let whole = format!("ID={id}\n{whole}");
        let here = here.clone();
        let printed = tokio::task::spawn_blocking(move || shell(&here, &whole)).await;
        let printed = printed.expect("no panic").replace(&id, "0");
        assert_eq!(
            without_numbers(&printed),
            without_numbers(&expected),
            "{command}"
        );
    }
    server.shutdown().await;
    drop(thread);
}
