// SPDX-License-Identifier: MPL-2.0

//! Checks that no `#[path]` attribute takes a module from another package.
//!
//! Such a module is compiled once in each package, and a reader of one package cannot see
//! that others depend on it. The code that the tests of several packages share is in this
//! crate.

use std::path::{Component, Path, PathBuf};

/// Folders that hold no sources of the workspace.
const SKIPPED: [&str; 3] = ["target", "node_modules", ".git"];

/// Returns the Rust sources below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
        let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
        if kind.is_dir() && !skipped {
            found.extend(sources(&path));
        } else if kind.is_file() && path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

/// Returns the folder of the package that `file` belongs to.
fn package(file: &Path) -> &Path {
    let mut folders = file.ancestors().skip(1);
    let package = folders.find(|folder| folder.join("Cargo.toml").is_file());
    package.expect("a package around each source")
}

/// Returns the path that a path attribute on this line names, if there is one.
fn named(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let (_, value) = match line.strip_prefix("#[path") {
        Some(rest) => rest.split_once('"')?,
        None if line.starts_with("#[cfg_attr(") => line.split_once("path = \"")?,
        None => return None,
    };
    value.split_once('"').map(|(path, _)| path)
}

/// Returns `path` without `.` and `..`. It need not exist.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn no_module_is_taken_from_another_package() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().expect("the workspace");
    let mut attributes = 0;
    let mut strangers = Vec::new();
    for file in sources(&root) {
        let text = std::fs::read_to_string(&file).expect("a source in UTF-8");
        for (number, line) in (1..).zip(text.lines()) {
            let Some(path) = named(line) else { continue };
            attributes += 1;
            let module = plain(&file.with_file_name("").join(path));
            if package(&file) != package(&module) {
                let file = file.strip_prefix(&root).expect("below the workspace");
                strangers.push(format!("{}:{number}: {path}", file.display()));
            }
        }
    }
    assert!(attributes > 0, "the search has found no attribute at all");
    assert!(
        strangers.is_empty(),
        "modules of other packages; move them to crates/testkit:\n{}",
        strangers.join("\n")
    );
}

#[test]
fn a_path_attribute_is_found_in_each_of_its_forms() {
    assert_eq!(named("    #[path = \"a/b.rs\"]"), Some("a/b.rs"));
    assert_eq!(named("#[path=\"b.rs\"] mod b;"), Some("b.rs"));
    let conditional = "#[cfg_attr(unix, path = \"../unix.rs\")]";
    assert_eq!(named(conditional), Some("../unix.rs"));
    assert_eq!(named("// #[path = \"b.rs\"]"), None);
    assert_eq!(named("let path = \"b.rs\";"), None);
    assert_eq!(plain(Path::new("/w/a/../b/./c.rs")), Path::new("/w/b/c.rs"));
}
