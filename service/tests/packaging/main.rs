// SPDX-License-Identifier: MPL-2.0

//! What stands in `packaging/` and at the root for those who install, watch and change the
//! service: it is held to what the programs really have.

#[path = "../common/mod.rs"]
mod common;

mod by_systemd;
mod cluster;
mod forge;
mod install;
mod operations;
mod release;
mod site;
mod unit;
mod watching;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the path of a file of the project.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Returns the text of a file of the project.
pub fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns `true` if a program is here. In continuous integration it must be.
pub fn has(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return true;
    }
    let is_required = std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1");
    assert!(
        !is_required,
        "{program} is missing; scripts/install-deps.sh test installs it"
    );
    eprintln!("SKIPPED: a test that needs {program}, which is not here");
    false
}
