// SPDX-License-Identifier: MPL-2.0

//! The model, the connection and the outbox of the page, without a browser.

use std::path::{Path, PathBuf};
use symbl_testkit::programs::node;

/// Returns the path of a file beside this one.
pub fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/page")
        .join(name)
}

#[test]
fn what_the_page_knows_and_how_its_connection_comes_back() {
    let Some(mut command) = node() else { return };
    let folder = here("unit");
    let files = std::fs::read_dir(&folder).expect("a folder");
    let files = files.map(|file| file.expect("a file").path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 4, "{files:?}");
    let output = command.arg("--test").args(files).output().expect("timeout");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let passed = said.lines().find_map(|line| {
        let number = line.trim_start_matches(['#', 'ℹ', ' ']);
        number.strip_prefix("pass ")?.parse::<u32>().ok()
    });
    assert!(passed.is_some_and(|passed| passed >= 50), "{said}");
}
