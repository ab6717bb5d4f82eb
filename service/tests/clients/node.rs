// SPDX-License-Identifier: MPL-2.0

//! Node.js with the official JavaScript SDKs.

use crate::app::{here, patience};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use symbl_testkit::speech::absent;

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
    for program in ["node", "npm"] {
        if let Err(error) = Command::new(program).arg("--version").output() {
            absent(&format!(
                "{program}: {error} (Debian packages nodejs and npm)"
            ));
            return None;
        }
    }
    let source = here("js");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("symbl-js");
    let modules = folder.join("node_modules");
    let lock = std::fs::read(source.join("package-lock.json")).expect("the lock file");
    // Written when all is there, so that half an installation is made anew.
    let done = folder.join("installed.json");
    if std::fs::read(&done).is_ok_and(|before| before == lock) {
        return Some(modules);
    }
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), folder.join(name)).expect("a copy");
    }
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&folder)
        .output()
        .expect("npm");
    assert!(
        output.status.success(),
        "npm ci: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::write(&done, lock).expect("a file");
    Some(modules)
}
