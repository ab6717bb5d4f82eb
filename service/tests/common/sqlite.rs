// SPDX-License-Identifier: MPL-2.0

//! The database of a service, seen by another program.

use std::path::Path;
use std::process::Command;

/// Runs SQL on the database of a service in another program, and returns what that prints. It
/// waits for its turn while the service writes.
pub fn sqlite(database: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 60000"])
        .arg(database)
        .arg(sql)
        .output()
        .expect("sqlite3; run scripts/install-deps.sh test");
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql:.100}: {problem}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}
