// SPDX-License-Identifier: MPL-2.0

//! The example in C, built as its first comment says.

use super::{expected, failed, printed, talk, words};
use crate::common::plugin;
use crate::common::service::Service;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the path of the program, which the first call builds.
fn captions_c() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/captions.c");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("captions-c");
        let flags = Command::new("pkg-config")
            .args(["--cflags", "--libs", "gstreamer-1.0"])
            .output()
            .expect("pkg-config");
        let flags = String::from_utf8(flags.stdout).unwrap();
        let compiled = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-o"])
            .args([&program, &source])
            .args(flags.split_whitespace())
            .output()
            .expect("cc");
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{said}");
        program
    })
}

pub(super) fn command() -> Command {
    plugin::command(captions_c().to_str().expect("a path"))
}

#[test]
fn the_c_example_prints_each_word_once() {
    let service = Service::start();
    let (_folder, sound, _) = talk(25);
    let printed = printed(command().arg(sound).arg(service.url()));
    assert_eq!(words(&printed), expected(25), "{printed}");
}

#[test]
fn the_c_example_says_what_it_cannot_do() {
    let (status, said) = failed(command().arg("/absent.wav"));
    assert_eq!(status, Some(1));
    assert_eq!(said, "error: Resource not found.\n");
}
