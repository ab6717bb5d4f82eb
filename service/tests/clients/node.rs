// SPDX-License-Identifier: MPL-2.0

//! Node.js with the official JavaScript SDKs.

use crate::app::{here, patience};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use symbl_testkit::programs::npm;

/// Returns a command that runs an application in `js`, or `None` where Node.js is absent.
pub fn node(application: &str) -> Option<Command> {
    let modules = installed()?;
    let mut command = patience();
    command
        .arg("node")
        .arg(here("js").join(application))
        .env("NODE_PATH", modules);
    Some(command)
}

/// Returns the folder with the installed SDKs, or `None` where Node.js is absent.
fn installed() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("symbl-js");
    npm(&here("js"), &folder)
}
