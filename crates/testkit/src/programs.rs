// SPDX-License-Identifier: MPL-2.0

//! Programs that tests run and that a machine may lack.

use crate::speech::absent;
use std::path::PathBuf;
use std::process::Command;

/// What browsers of Chromium's kind are called.
const BROWSERS: [&str; 3] = ["chromium-headless-shell", "google-chrome", "chromium"];

/// Returns the path of a Chromium, or `None` where none is installed.
pub fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let named = BROWSERS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = named.into_iter().find(|program| program.is_file());
    if found.is_none() {
        absent("no Chromium (Debian package chromium-headless-shell)");
    }
    found
}

/// Returns a command that runs Node.js for at most three minutes, or `None` where Node.js is
/// absent.
pub fn node() -> Option<Command> {
    if let Err(error) = Command::new("node").arg("--version").output() {
        absent(&format!("node: {error} (Debian package nodejs)"));
        return None;
    }
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "180", "node"]);
    Some(command)
}
