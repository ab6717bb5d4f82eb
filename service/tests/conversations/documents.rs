// SPDX-License-Identifier: MPL-2.0

//! README.md and docs/*.md are run as they stand: every block of code is executed by a
//! test, or a comment in front of it says why not. A reader copies what is there.
//!
//! In front of a block, in a line of its own, may stand
//!
//! - `<!-- not run: WHY -->`;
//! - `<!-- run by TEST -->`, where TEST is a file that reads the document and runs the block.
//!
//! Without either, a block is run here: `sh` by bash, `json` is parsed. The folder of bash
//! has what a reader brings along: a recording, a log, a file of criteria, and in `$ID` a
//! conversation. A block without a language is output or a drawing, and has no command.

use crate::common::jobs::{ask, ended, with_decoder};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use symbl_service::Server;
use symbl_service::analysis::score::Checklist;
use symbl_testkit::documented::{bash, stand_in, until_it_listens};

/// Where a document says that the service is.
const WRITTEN: &str = "127.0.0.1:8787";

struct Block {
    place: String,
    document: String,
    language: String,
    comment: Option<String>,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns all blocks of code of the documents.
fn blocks() -> Vec<Block> {
    let mut documents = vec!["README.md".to_owned()];
    for file in fs::read_dir(root().join("docs")).expect("docs") {
        let name = file.expect("a file").file_name();
        documents.push(format!("docs/{}", name.to_str().expect("UTF-8")));
    }
    documents.retain(|name| name.ends_with(".md"));
    documents.sort();
    documents.iter().flat_map(|name| blocks_of(name)).collect()
}

fn blocks_of(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(document)).expect(document);
    let mut found = Vec::new();
    let mut before = "";
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.trim().strip_prefix("```") {
            let code = lines.by_ref().map(|(_, line)| line);
            let code: Vec<&str> = code.take_while(|line| line.trim() != "```").collect();
            let comment = before
                .strip_prefix("<!-- ")
                .and_then(|rest| rest.strip_suffix(" -->"));
            found.push(Block {
                place: format!("{document}:{}", number + 1),
                document: document.to_owned(),
                language: language.to_owned(),
                comment: comment.map(str::to_owned),
                text: code.join("\n"),
            });
        }
        if !line.trim().is_empty() {
            before = line.trim();
        }
    }
    found
}

/// What a comment in front of a block says about running it.
enum Said<'a> {
    Nothing,
    NotRun,
    By(&'a str),
}

impl Block {
    fn said(&self) -> Said<'_> {
        let comment = self.comment.as_deref().unwrap_or_default();
        if let Some(why) = comment.strip_prefix("not run: ") {
            assert!(why.len() > 5, "{}: why is it not run?", self.place);
            return Said::NotRun;
        }
        match comment.strip_prefix("run by ") {
            Some(test) => Said::By(test),
            None => Said::Nothing,
        }
    }
}

#[test]
fn every_block_of_code_is_run_by_a_test_or_says_why_not() {
    let (mut all, mut excused) = (0, 0);
    for block in blocks() {
        let Block { place, .. } = &block;
        // A block without both is output.
        all += usize::from(!block.language.is_empty() || block.comment.is_some());
        match (block.said(), block.language.as_str()) {
            (Said::NotRun, _) => excused += 1,
            (Said::By(test), _) => {
                let text = fs::read_to_string(root().join(test));
                let text = text.unwrap_or_else(|error| panic!("{place}: {test}: {error}"));
                let reads = text.contains(&block.document);
                assert!(reads, "{place}: {test} does not read {}", block.document);
            }
            (Said::Nothing, "sh" | "json") => {}
            (Said::Nothing, "") => {
                let command = block.text.lines().find(|line| {
                    let line = line.trim_start();
                    [
                        "$ ",
                        "cargo ",
                        "make ",
                        "symbl-service --",
                        "symbl-tap --",
                        "gst-launch",
                    ]
                    .iter()
                    .any(|begin| line.starts_with(begin))
                });
                assert_eq!(
                    command, None,
                    "{place}: a command; say `sh` behind the quotes"
                );
            }
            (Said::Nothing, language) => panic!(
                "{place}: no test runs this block of {language:?}; write one, or why not in a \
                 comment in front of it: <!-- not run: WHY -->"
            ),
        }
    }
    println!("{all} blocks of code, {excused} not run");
    assert!(all > 100, "{all} blocks");
    // Those that are left measure for an hour, show a hang, or need a proxy.
    let share = 100 * (all - excused) / all;
    assert!(share >= 95, "{share} % of the blocks are run");
}

#[test]
fn every_block_of_json_is_json() {
    let blocks = blocks().into_iter();
    let blocks: Vec<Block> = blocks
        .filter(|block| block.language == "json" && matches!(block.said(), Said::Nothing))
        .collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        // One value, or one in each line.
        let values = serde_json::Deserializer::from_str(&block.text);
        for value in values.into_iter::<serde_json::Value>() {
            value.unwrap_or_else(|error| panic!("{}: {error}", block.place));
        }
    }
}

#[test]
fn the_handler_of_docs_messages_prints_a_final() {
    let blocks = blocks_of("docs/messages.md").into_iter();
    let handler = blocks.filter(|block| block.language == "python");
    let handler: Vec<Block> = handler.collect();
    let [handler] = &handler[..] else {
        panic!("{} blocks of Python", handler.len());
    };
    let rest = r#"
class Structure(dict):
    get_name = lambda self: "symbl/transcript"
    get_value = dict.get

class Message(dict):
    get_structure = lambda self: Structure(self) if self else None

for final in True, False:
    fields = {"is-final": final, "running-time": 1_230_000_000, "text": f"final: {final}"}
    on_message(None, Message(fields))
on_message(None, Message())
"#;
    let program = format!("{}\n{rest}", handler.text);
    let output = Command::new("python3").args(["-c", &program]).output();
    let output = output.expect("python3");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "1.23 final: True\n");
}

/// Returns the checklist that docs/analytics.md shows.
fn checklist() -> String {
    let blocks = blocks_of("docs/analytics.md").into_iter();
    let mut blocks = blocks.filter(|block| block.text.contains("\"criteria\""));
    blocks.next().expect("a checklist").text
}

/// Returns a folder with a command `symbl-service`: the one that was built, with the scripted
/// recogniser and on a free port. It also has the files that a reader brings along.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let speech = symbl_service::recognizer::scripted::speech(0..5, 16_000);
    symbl_testkit::engine::write_wav(&folder.path().join("call.wav"), &speech);
    for (name, text) in [
        ("support.json", checklist().as_str()),
        ("symbl-service.log", "INFO begins connection=\"call-17\"\n"),
    ] {
        fs::write(folder.path().join(name), text).expect("room");
    }
    let script = format!(
        "exec '{}' --recognizer scripted --listen 127.0.0.1:0 \"$@\"",
        env!("CARGO_BIN_EXE_symbl-service")
    );
    stand_in(folder.path(), "symbl-service", &script);
    folder
}

/// Runs a block to its end, or until the service that it starts listens.
fn run(block: &Block, address: &str, conversation: &str) {
    let folder = folder();
    let here = folder.path().to_str().expect("UTF-8");
    let text = block.text.replace(WRITTEN, address);
    let text = text.replace("target/release/", &format!("{here}/"));
    let mut command = bash(&text, folder.path());
    command.current_dir(folder.path()).env("ID", conversation);
    let mut words = block.text.split_whitespace();
    if words.any(|word| word.rsplit('/').next() == Some("symbl-service")) {
        until_it_listens(&mut command);
        return;
    }
    let output = command.output().expect("bash");
    let log = String::from_utf8_lossy(&output.stderr);
    let (place, status) = (&block.place, output.status);
    assert!(status.success(), "{place}: {status}\n{text}\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_shell_runs() {
    let mut config = with_decoder();
    let checklist = Checklist::parse(checklist().as_bytes()).expect("a checklist");
    config.callscore = Some(Arc::new(checklist));
    let server = Server::bind(config).await.expect("a free port");
    let text = r#"{"messages": [{"payload": {"content": "Can you send me the report?"}}]}"#;
    let (status, made) = ask(&server, "POST /v1/process/text", text).await;
    assert_eq!(status, 201, "{made}");
    let conversation = made["conversationId"].as_str().expect("an id").to_owned();
    ended(&server, &made).await;
    let address = server.local_addr().to_string();
    let blocks = blocks().into_iter();
    let blocks: Vec<Block> = blocks
        .filter(|block| block.language == "sh" && matches!(block.said(), Said::Nothing))
        .collect();
    assert!(!blocks.is_empty());
    let run_all = move || {
        blocks
            .iter()
            .for_each(|block| run(block, &address, &conversation))
    };
    tokio::task::spawn_blocking(run_all).await.expect("all run");
    server.shutdown().await;
}
