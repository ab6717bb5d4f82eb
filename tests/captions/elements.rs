// SPDX-License-Identifier: MPL-2.0

//! The elements of other projects behind ours. `scripts/test.sh` builds those of
//! `tests/elements` before it runs the tests; the others are in Debian packages.

use crate::common::pipeline::init;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Once, OnceLock};
use symbl_testkit::speech;

/// The libraries that the build of `tests/elements` makes. They use another version of
/// GStreamer's bindings than this test, and are loaded as any application loads a plugin.
const LIBRARIES: [&str; 2] = ["libgstrsclosedcaption.so", "libgsttextwrap.so"];

/// Elements of those libraries.
const OTHERS: [&str; 4] = ["tttocea608", "tttocea708", "textwrap", "transcriberbin"];

/// Returns cargo's target folder.
fn target() -> &'static Path {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.expect("a folder")
}

/// Loads the libraries that are there.
fn load() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for library in LIBRARIES {
            let path = target().join("debug").join(library);
            if path.exists() {
                gst::Plugin::load_file(&path)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
    });
}

/// Returns the plugin path of a command, with those libraries that are there in addition.
pub fn path_with(command: &Command) -> OsString {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        // GStreamer loads every library of a folder, and cargo's has others.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elements");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        for library in LIBRARIES {
            let path = target().join("debug").join(library);
            if path.exists() {
                std::os::unix::fs::symlink(path, folder.join(library)).expect("a link");
            }
        }
        folder
    });
    let mut variables = command.get_envs();
    let path = variables.find(|(name, _)| *name == "GST_PLUGIN_PATH");
    let mut path = path
        .and_then(|(_, value)| value)
        .expect("a path")
        .to_owned();
    path.push(":");
    path.push(folder);
    path
}

/// Returns `true` if GStreamer has all of these elements. Where one is absent, fails if no
/// test may be skipped, and else says that a test is skipped.
pub fn have(names: &[&str]) -> bool {
    init();
    load();
    let absent = |name: &&&str| gst::ElementFactory::find(name).is_none();
    let Some(name) = names.iter().find(absent) else {
        return true;
    };
    if OTHERS.contains(name) {
        let is_set = |name| std::env::var(name).is_ok_and(|value| value == "true" || value == "1");
        let what = format!(
            "no element {name}; run: cargo build --manifest-path tests/elements/Cargo.toml \
             --target-dir {} --package gst-plugin-closedcaption --package gst-plugin-textwrap",
            target().display()
        );
        assert!(
            !is_set("CI") && !is_set("SYMBL_REQUIRE_ELEMENTS"),
            "no test may be skipped here: {what}"
        );
        // The test runner captures `eprintln!`, and a skipped test must be seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
    } else {
        speech::absent(&format!("no element {name}"));
    }
    false
}
