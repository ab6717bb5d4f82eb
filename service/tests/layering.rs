// SPDX-License-Identifier: MPL-2.0

//! Reads the sources of the workspace and holds them to their layers: a room (a module
//! directly below a crate's root) uses only rooms below it, and a crate depends only on
//! crates below it.

#[path = "layering/drawing.rs"]
mod drawing;
#[path = "layering/source.rs"]
mod source;

use serde_json::Value;
use source::{Arrow, Sources, normal, sources_below, tokens, workspace};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// One crate and its rooms, from top to bottom.
struct House {
    /// The directory of its sources, from the root of the workspace.
    sources: &'static str,
    rooms: &'static [&'static str],
    /// Files of its binary, which stands above the library.
    binary: &'static [&'static str],
    /// Upward uses that are known and are to go away.
    exceptions: &'static [(&'static str, &'static str)],
}

const SERVICE: House = House {
    sources: "service/src",
    rooms: &[
        "app",
        "door",
        "config",
        "jobs",
        "store",
        "hearing",
        "conversation",
        "trackers",
        "fault",
        "seams",
        "audit",
        "logging",
        "metrics",
        "traces",
        "workers",
        "clock",
        "limits",
        "rate",
        "outbox",
        "ids",
    ],
    binary: &[
        "decode.rs",
        "jobs_options.rs",
        "main.rs",
        "options.rs",
        "privacy.rs",
        "backup.rs",
        "copy.rs",
        "listen.rs",
        "model.rs",
        "recognizers.rs",
        "daemon/mod.rs",
        "daemon/drain.rs",
        "daemon/effect.rs",
        "daemon/file.rs",
        "daemon/notify.rs",
        "daemon/process.rs",
        "daemon/reload.rs",
        "daemon/sockets.rs",
        "daemon/tests.rs",
    ],
    exceptions: &[],
};

const CLIENT: House = House {
    sources: "crates/client/src",
    rooms: &["transport", "track", "session"],
    binary: &[],
    exceptions: &[],
};

const WHISPER: House = House {
    sources: "crates/whisper/src",
    rooms: &[
        // Of several rooms together.
        "tests",
        "transcribe",
        "search",
        "model",
        "encoder",
        "decoder",
        "attention",
        "linear",
        "kernel",
        "mel",
        "known",
        "align",
        "boost",
        "token",
        "file",
        // Speech for tests.
        "support",
    ],
    binary: &[],
    exceptions: &[],
};

const PLUGIN: House = House {
    sources: "src",
    rooms: &["transcriber", "sink", "element"],
    binary: &[],
    exceptions: &[],
};

impl House {
    /// Returns the arrows that do not point down and are no exceptions.
    fn upward(&self, arrows: &BTreeSet<Arrow>) -> Vec<String> {
        let height = |room: &str| self.rooms.iter().position(|known| *known == room);
        let points_down = |arrow: &&Arrow| match (height(&arrow.from), height(&arrow.to)) {
            (Some(from), Some(to)) => from < to,
            _ => false,
        };
        let is_known = |arrow: &&Arrow| {
            let arrow = (arrow.from.as_str(), arrow.to.as_str());
            self.exceptions.contains(&arrow)
        };
        let wrong = arrows.iter().filter(|arrow| !points_down(arrow));
        wrong
            .filter(|arrow| !is_known(arrow))
            .map(ToString::to_string)
            .collect()
    }

    /// Checks every source of the crate.
    fn check(&self) {
        let root = workspace().join(self.sources);
        let read = Sources::read(&root);
        let rooms: BTreeSet<&str> = read.rooms.iter().map(String::as_str).collect();
        let listed: BTreeSet<&str> = self.rooms.iter().copied().collect();
        assert_eq!(rooms, listed, "the rooms of {}", self.sources);
        let missed: Vec<_> = sources_below(&root)
            .into_iter()
            .filter(|file| !read.files.contains(file))
            .filter(|file| !self.binary.iter().any(|own| root.join(own) == *file))
            .collect();
        assert!(missed.is_empty(), "nothing declares {missed:?}");
        let upward = self.upward(&read.arrows);
        assert!(
            upward.is_empty(),
            "a room uses only rooms below it, in this order: {}\n{}",
            self.rooms.join(" > "),
            upward.join("\n")
        );
        for (from, to) in self.exceptions {
            let is_used = |arrow: &Arrow| arrow.from == *from && arrow.to == *to;
            let is_used = read.arrows.iter().any(is_used);
            assert!(is_used, "{from} -> {to} is an exception no more");
        }
    }
}

#[test]
fn the_rooms_of_the_service_use_only_rooms_below_them() {
    SERVICE.check();
}

#[test]
fn only_the_configuration_of_the_service_knows_the_faults() {
    let read = Sources::read(&workspace().join(SERVICE.sources));
    let arrows = read.arrows.iter().filter(|arrow| arrow.to == "fault");
    let from: BTreeSet<&str> = arrows.map(|arrow| arrow.from.as_str()).collect();
    assert_eq!(from, BTreeSet::from(["config"]));
}

#[test]
fn the_session_of_the_client_knows_nothing_of_its_transport() {
    CLIENT.check();
}

#[test]
fn the_arithmetic_of_whisper_knows_nothing_of_speech() {
    WHISPER.check();
}

#[test]
fn the_element_uses_nothing_of_the_root_of_its_crate() {
    PLUGIN.check();
}

/// Returns the files and lines of the service's sources that name the database's library,
/// except in `allowed`.
fn uses_of_the_database(root: &Path, allowed: &Path) -> Vec<String> {
    let mut uses = Vec::new();
    for file in sources_below(root) {
        if file.starts_with(allowed) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source");
        let names = tokens(&text).into_iter();
        let names = names.filter(|token| token.text.starts_with("rusqlite"));
        let name = file.strip_prefix(root).expect("a file below the root");
        uses.extend(names.map(|token| format!("{}:{}", name.display(), token.line)));
    }
    uses.sort();
    uses
}

#[test]
fn only_the_sqlite_store_names_a_type_of_its_database() {
    let root = normal(&workspace().join(SERVICE.sources));
    let sqlite = root.join("store/sqlite");
    assert!(!uses_of_the_database(&root, Path::new("-")).is_empty());
    let mut uses = uses_of_the_database(&root, &sqlite);
    // What reads such a database to fill one of a cluster.
    uses.retain(|place| !place.starts_with("store/postgres/copy/"));
    assert_eq!(uses, [""; 0]);
}

/// Returns the crates of this workspace that a package depends on, without those of its
/// tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let listed = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(workspace())
        .output()
        .expect("cargo");
    let said = String::from_utf8_lossy(&listed.stderr);
    assert!(listed.status.success(), "{said}");
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let packages = listed["packages"].as_array().expect("packages").iter();
    packages
        .map(|package| {
            let all = package["dependencies"].as_array().expect("a list").iter();
            let own = all.filter(|one| one["path"].is_string() && one["kind"] != "dev");
            let own = own.map(|one| one["name"].as_str().expect("a name").to_owned());
            let name = package["name"].as_str().expect("a name").to_owned();
            (name, own.collect())
        })
        .collect()
}

#[test]
fn the_crates_depend_only_on_crates_below_them() {
    let dependencies = dependencies();
    for (package, below) in [
        ("symbl-protocol", &[][..]),
        ("symbl-client", &["symbl-captions", "symbl-protocol"]),
        ("symbl-analysis", &["symbl-protocol"]),
        ("symbl-log", &[]),
        ("symbl-models", &[]),
        ("symbl-tones", &[]),
        ("symbl-whisper", &[]),
        ("symbl-captions", &[]),
        ("symbl-manual", &[]),
        (
            "symbl-service",
            &[
                "symbl-analysis",
                "symbl-captions",
                "symbl-log",
                "symbl-manual",
                "symbl-models",
                "symbl-protocol",
                "symbl-tones",
                "symbl-whisper",
            ],
        ),
        (
            "gst-plugin-symbl",
            // Captions and the manual are for symbl-view.
            &[
                "symbl-captions",
                "symbl-client",
                "symbl-manual",
                "symbl-protocol",
            ],
        ),
    ] {
        let expected: BTreeSet<String> = below.iter().map(ToString::to_string).collect();
        assert_eq!(dependencies.get(package), Some(&expected), "{package}");
    }
}

/// Returns the arrows of a small crate with the rooms `top` and `bottom`.
fn arrows_of(bottom: &str) -> Vec<String> {
    let root = tempfile::tempdir().expect("a directory");
    let library = "mod top;\nmod bottom;\npub use top::{Given, deep::Also};\n";
    let top = "use crate::bottom::Thing;\npub struct Given;\n";
    for (name, text) in [("lib", library), ("top", top), ("bottom", bottom)] {
        fs::write(root.path().join(format!("{name}.rs")), text).expect("written");
    }
    let house = House {
        sources: "",
        rooms: &["top", "bottom"],
        binary: &[],
        exceptions: &[],
    };
    let read = Sources::read(root.path());
    assert_eq!(read.rooms, house.rooms);
    let place = |arrow: String| arrow.rsplit_once('/').expect("a file").1.to_owned();
    house.upward(&read.arrows).into_iter().map(place).collect()
}

#[test]
fn an_upward_use_is_found_however_it_is_written() {
    for (source, line) in [
        ("use crate::top::Given;", 1),
        ("\nuse crate::{bottom::A, top};", 2),
        ("use crate::{\n    bottom::{A, B},\n    top::Given,\n};", 3),
        ("fn f() -> crate::top::Given { loop {} }", 1),
        ("/* a\nb */ fn f(of: &crate::Given) {}", 2),
        ("use crate::Also;", 1),
        ("use super::top;", 1),
        ("use super::{top, bottom};", 1),
        ("mod tests {\n    use super::super::top;\n}", 2),
        ("mod tests {\n    use super::{A, super::top};\n}", 2),
        (
            "const A: &str = \"\\\"\n\"; const B: char = '\"';\nuse crate::top;",
            3,
        ),
        (
            "const A: &str = br#\"\"\n\"#; fn f<'a>() {}\nuse crate::top;",
            3,
        ),
    ] {
        let expected = format!("bottom.rs:{line}: bottom -> top");
        assert_eq!(arrows_of(source), [expected], "{source}");
    }
    assert_eq!(arrows_of("use super::*;"), ["bottom.rs:1: bottom -> *"]);
    assert_eq!(arrows_of("use crate::*;"), ["bottom.rs:1: bottom -> *"]);
}

#[test]
fn what_is_no_upward_use_is_none() {
    for source in [
        "",
        "use crate::bottom::A;",
        "pub(crate) struct A;",
        "// use crate::top;\n/// [`crate::top`]\n/* crate::top */\nstruct A;",
        "const A: &str = \"crate::top\";",
        "mod tests {\n    use super::*;\n    use super::top;\n}",
        "use std::{top, crate_};",
    ] {
        assert_eq!(arrows_of(source), [""; 0], "{source}");
    }
}
