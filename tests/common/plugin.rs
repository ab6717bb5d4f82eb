// SPDX-License-Identifier: MPL-2.0

//! The plugin as GStreamer's own tools load it: the shared library of this build, in a folder
//! and with a registry of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the library that was built along with this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let folder = test.parent().expect("a folder");
    let library = folder.join("libgstsymbl.so");
    assert!(
        library.exists(),
        "{} is not there; build the tests with cargo test",
        library.display()
    );
    library
}

/// Returns a folder that holds the library and the registry. Each run makes a new one.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::os::unix::fs::symlink(library(), folder.join("libgstsymbl.so")).expect("a link");
        let folder = folder.canonicalize().expect("it exists");
        // Scans the plugins once here. Two tools at once would both scan them.
        let scanned = tool(&folder, "gst-inspect-1.0").arg("symblsink").output();
        assert!(scanned.expect("gst-inspect-1.0").status.success());
        folder
    })
}

fn tool(folder: &Path, name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .env("GST_PLUGIN_PATH", folder)
        .env("GST_REGISTRY", folder.join("registry.bin"))
        .env("NO_COLOR", "1")
        .env("LC_ALL", "C.UTF-8");
    for (variable, _) in std::env::vars() {
        let proxies = variable.to_lowercase().ends_with("_proxy");
        if proxies || variable.starts_with("SYMBL_") || variable.starts_with("GST_DEBUG") {
            command.env_remove(variable);
        }
    }
    command
}

/// Returns a command of GStreamer's that finds the plugin, with a clean environment.
pub fn command(name: &str) -> Command {
    tool(folder(), name)
}
