// SPDX-License-Identifier: MPL-2.0

//! The blocks of README.md and docs/clients.md that point a client at the service, as
//! they stand there. Only the address is another one.

use crate::app::run;
use crate::node::node;
use std::path::PathBuf;
use symbl_testkit::service::Service;
use tempfile::TempDir;

const README: &str = include_str!("../../../README.md");
const CLIENTS: &str = include_str!("../../../docs/clients.md");

/// Where the documents say that the service is.
const WRITTEN: &str = "127.0.0.1:8787";

/// Returns the only block of this language in a document, with the address of this service.
fn block(document: &str, language: &str, service: &Service) -> String {
    let begin = format!("\n```{language}\n");
    let mut blocks = document.split(&begin).skip(1);
    let block = blocks.next().expect("a block");
    assert_eq!(blocks.count(), 0, "one block of {language}");
    let (block, _) = block.split_once("\n```").expect("its end");
    let address = service.url();
    let address = address.strip_prefix("http://").expect("plain");
    assert!(block.contains(WRITTEN), "{block}");
    block.replace(WRITTEN, address)
}

/// Writes a file with the block of docs/clients.md that points PyPI's `symbl` at this service.
pub fn pointing_python(service: &Service) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("documented.py");
    std::fs::write(&file, block(CLIENTS, "python", service)).expect("room");
    (folder, file)
}

/// Runs JavaScript with what comes before it in an application.
fn runs(before: &str, documented: &str) {
    let Some(mut node) = node("documented.js") else {
        return;
    };
    let seen = run(node.arg(format!("{before}\n{documented}")), |_| {});
    assert_eq!(seen["ran"], true, "{seen}");
}

#[test]
fn the_example_of_the_readme_runs() {
    let service = Service::start();
    // A tenth of a second of silence.
    runs(
        "const chunk = Buffer.alloc(3200);",
        &block(README, "js", &service),
    );
}

#[test]
fn symbl_js_is_pointed_at_the_service_as_documented() {
    let service = Service::start();
    let before = r#"const { SDK } = require("@symblai/symbl-js");
        const sdk = new SDK();
        const [appId, appSecret] = ["any", "any"];"#;
    runs(before, &block(CLIENTS, "js", &service));
}
