// SPDX-License-Identifier: MPL-2.0

//! The code of docs/sessions.md that connects a page, with the unmodified client.

use crate::driver::{Node, installed};
use crate::{serve, url};
use serde_json::json;
use std::os::unix::fs::symlink;
use symbl_testkit::documented::block;

/// Where the document says that the service is.
const WRITTEN: &str = "https://captions.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_connects_and_joins_as_documented() {
    let server = serve(|_| {}).await;
    let (Some(mut node), Some(modules)) = (Node::start(), installed()) else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    let code = block("docs/sessions.md", "service/tests/sessions/documented.rs");
    assert!(code.contains(WRITTEN), "{code}");
    let page = format!(
        "const session_id = {session:?};\nconst freshToken = () => \"any\";\n{}\n\
         socket.on(\"session:reconnected\", (joined) => {{\n  \
           console.log(JSON.stringify(joined));\n  socket.close();\n}});\n",
        code.replace(WRITTEN, &url(&server))
    );
    // A module of a page finds packages beside it, and not by NODE_PATH.
    let folder = tempfile::tempdir().expect("a folder");
    symlink(modules, folder.path().join("node_modules")).expect("a link");
    let file = folder.path().join("page.mjs");
    std::fs::write(&file, page).expect("room");
    let output = tokio::task::spawn_blocking(move || {
        let mut node = symbl_testkit::programs::node().expect("it was there");
        node.arg(file).output().expect("node")
    });
    let output = output.await.expect("it ran");
    assert!(output.status.success(), "{output:?}");
    let joined: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(joined["session_id"], session.as_str(), "{joined}");
}
