// SPDX-License-Identifier: MPL-2.0

//! Speech models of this machine, for tests. `scripts/test.sh` fetches `tiny.en` before it
//! runs the tests.

use std::io::Write;
use std::path::PathBuf;

/// Returns the folder of the model `name`. Where it is absent, fails if it is required (by
/// `CI` or `SYMBL_REQUIRE_MODEL`), and else says that a test is skipped.
pub fn model(name: &str) -> Option<PathBuf> {
    let folder = symbl_models::locate(name);
    if folder.is_none() {
        let is_set = |name| std::env::var(name).is_ok_and(|value| value == "true" || value == "1");
        let what = format!("no model {name}; run: symbl-service model fetch {name}");
        assert!(
            !is_set("CI") && !is_set("SYMBL_REQUIRE_MODEL"),
            "no test may be skipped here: {what}"
        );
        // Past the test runner's capture: a skipped test must be seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
    }
    folder
}
