// SPDX-License-Identifier: MPL-2.0

//! Reads the sources of the workspace and holds them to their layers: a room (a module
//! directly below a crate's root) uses only rooms below it, and a crate depends only on
//! crates below it.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
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
        "analysis",
        "audit",
        "logging",
        "metrics",
        "workers",
        "clock",
        "limits",
        "rate",
        "outbox",
        "ids",
        "word",
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

/// One use of another room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    file: PathBuf,
    line: usize,
    from: String,
    /// A room, or what else is named at the root of the crate.
    to: String,
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (self.file.display(), self.line);
        write!(f, "{file}:{line}: {} -> {}", self.from, self.to)
    }
}

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

/// What the sources of a crate say.
#[derive(Debug, Default)]
struct Sources {
    rooms: Vec<String>,
    files: BTreeSet<PathBuf>,
    arrows: BTreeSet<Arrow>,
}

impl Sources {
    /// Reads a crate, from its `lib.rs` along all `mod` declarations.
    fn read(root: &Path) -> Self {
        let mut sources = Self::default();
        let library = root.join("lib.rs");
        let text = fs::read_to_string(&library).expect("a library");
        let names = names_of_root(&text);
        sources.module(&text, &library, root, &[], &names);
        sources
    }

    /// Reads one file, which is the module `path`, and those that it declares in
    /// `directory`.
    fn module(
        &mut self,
        text: &str,
        file: &Path,
        directory: &Path,
        path: &[String],
        names: &BTreeMap<String, String>,
    ) {
        self.files.insert(normal(file));
        let tokens = tokens(text);
        let mut reader = Reader {
            tokens: &tokens,
            at: 0,
        };
        // The modules in braces that the reader is in, with the depth of their braces.
        let mut inside: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut place = None;
        while let Some(token) = reader.next() {
            let here: Vec<String> = path
                .iter()
                .cloned()
                .chain(inside.iter().map(|(name, _)| name.clone()))
                .collect();
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inside.pop_if(|(_, braces)| *braces > depth);
                }
                "path" if reader.is_attribute() => {
                    place = reader.tokens.get(reader.at + 1).and_then(Token::literal);
                }
                "mod" => {
                    let name = reader.peek(0).unwrap_or_default().to_owned();
                    match reader.peek(1) {
                        Some("{") => inside.push((name, depth + 1)),
                        Some(";") => {
                            if here.is_empty() {
                                self.rooms.push(name.clone());
                            }
                            let own = inside.iter().map(|(name, _)| name);
                            let directory = own.fold(directory.to_owned(), |d, n| d.join(n));
                            let (next, below) = match place.take() {
                                Some(place) => {
                                    let from = file.parent().expect("a directory");
                                    let next = from.join(place);
                                    let below = next.parent().expect("a directory").to_owned();
                                    (next, below)
                                }
                                None => {
                                    let below = directory.join(&name);
                                    let flat = directory.join(format!("{name}.rs"));
                                    let next = match flat.exists() {
                                        true => flat,
                                        false => below.join("mod.rs"),
                                    };
                                    (next, below)
                                }
                            };
                            let text = fs::read_to_string(&next);
                            let text = text.unwrap_or_else(|error| panic!("{next:?}: {error}"));
                            let deeper: Vec<String> = here.iter().cloned().chain([name]).collect();
                            self.module(&text, &next, &below, &deeper, names);
                        }
                        _ => {}
                    }
                }
                "crate" if reader.peek(0) == Some("::") => {
                    reader.at += 1;
                    for (name, line) in reader.heads() {
                        self.arrow(file, line, &here, &name, names);
                    }
                }
                "super" if reader.peek(0) == Some("::") => {
                    reader.at += 1;
                    let up = 1;
                    self.follow_up(&mut reader, file, &here, up, names);
                }
                _ => {}
            }
        }
    }

    /// Follows what comes behind `up` times `super::`, which may leave the room.
    fn follow_up(
        &mut self,
        reader: &mut Reader<'_>,
        file: &Path,
        here: &[String],
        mut up: usize,
        names: &BTreeMap<String, String>,
    ) {
        while reader.peek(0) == Some("super") && reader.peek(1) == Some("::") {
            reader.at += 2;
            up += 1;
        }
        // A group in whose parts there is another `super::` is read by its parts.
        if up == here.len() {
            for (name, line) in reader.heads() {
                self.arrow(file, line, here, &name, names);
            }
        } else if reader.peek(0) == Some("{") {
            let group = reader.group();
            let mut reader = Reader {
                tokens: group,
                at: 0,
            };
            while let Some(token) = reader.next() {
                if token.text == "super" && reader.peek(0) == Some("::") {
                    reader.at += 1;
                    self.follow_up(&mut reader, file, here, up + 1, names);
                }
            }
        }
    }

    fn arrow(
        &mut self,
        file: &Path,
        line: usize,
        here: &[String],
        name: &str,
        names: &BTreeMap<String, String>,
    ) {
        // The root, and the modules in its own file, stand above all rooms.
        let Some(from) = here.first().filter(|name| self.rooms.contains(name)) else {
            return;
        };
        let to = names.get(name).map_or(name, String::as_str);
        if from != to {
            self.arrows.insert(Arrow {
                file: file.strip_prefix(workspace()).unwrap_or(file).to_owned(),
                line,
                from: from.clone(),
                to: to.to_owned(),
            });
        }
    }
}

/// Returns which room each name comes from that `lib.rs` passes on.
fn names_of_root(text: &str) -> BTreeMap<String, String> {
    let tokens = tokens(text);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
    };
    let mut names = BTreeMap::new();
    while let Some(token) = reader.next() {
        if token.text != "use" {
            continue;
        }
        let room = reader.peek(0).unwrap_or_default().to_owned();
        while let Some(token) = reader.next()
            && token.text != ";"
        {
            let is_last = matches!(reader.peek(0), Some(";" | "," | "}"));
            if is_last && token.is_name() {
                names.insert(token.text.clone(), room.clone());
            }
        }
    }
    names
}

/// A piece of a source: a name, `::`, a text or one sign.
#[derive(Debug, Clone)]
struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    /// Returns what is between its quotation marks.
    fn literal(&self) -> Option<String> {
        let text = self.text.strip_prefix('"')?.strip_suffix('"')?;
        Some(text.to_owned())
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        token
    }

    fn peek(&self, ahead: usize) -> Option<&'a str> {
        let token = self.tokens.get(self.at + ahead)?;
        Some(token.text.as_str())
    }

    /// Returns `true` if the last token begins an attribute with a value, as in
    /// `#[path = "…"]`.
    fn is_attribute(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|at| self.tokens.get(at));
        before.is_some_and(|token| token.text == "[") && self.peek(0) == Some("=")
    }

    /// Returns what is in the braces that come next, and does not move.
    fn group(&self) -> &'a [Token] {
        let mut depth = 0;
        let rest = &self.tokens[self.at..];
        for (n, token) in rest.iter().enumerate() {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return &rest[1..n];
            }
        }
        &rest[1..]
    }

    /// Returns the first name of each path that comes next, which are more than one in
    /// braces. Does not move: there may be more in what follows.
    fn heads(&self) -> Vec<(String, usize)> {
        if self.peek(0) != Some("{") {
            let token = self.tokens.get(self.at);
            return token
                .map(|token| (token.text.clone(), token.line))
                .into_iter()
                .collect();
        }
        let (mut heads, mut depth, mut is_head) = (Vec::new(), 0, true);
        for token in self.group() {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," if depth == 0 => is_head = true,
                text if is_head => {
                    heads.push((text.to_owned(), token.line));
                    is_head = false;
                }
                _ => {}
            }
        }
        heads
    }
}

/// Returns the tokens of a source, without its comments. Texts in quotation marks are one
/// token each.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    while at < chars.len() {
        let (start, begun) = (at, line);
        match (chars[at], peek(at + 1)) {
            ('/', '/') => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
                continue;
            }
            ('/', '*') => {
                let mut depth = 0;
                while at < chars.len() {
                    match (chars[at], peek(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        ('\n', _) => (line, at) = (line + 1, at + 1),
                        _ => at += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
                continue;
            }
            // What follows is read as a text that is not of bytes.
            ('b', 'r') if matches!(peek(at + 2), '"' | '#') => {
                at += 1;
                continue;
            }
            ('r', '"' | '#') => {
                let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
                if peek(at + 1 + hashes) == '"' {
                    at += hashes + 2;
                    let is_end = |at: usize| {
                        chars[at] == '"' && (1..=hashes).all(|ahead| peek(at + ahead) == '#')
                    };
                    while at < chars.len() && !is_end(at) {
                        line += usize::from(chars[at] == '\n');
                        at += 1;
                    }
                    at += hashes + 1;
                } else {
                    // A raw name: `r#type`.
                    at += 1 + hashes;
                    continue;
                }
            }
            ('"', _) => {
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    line += usize::from(chars[at] == '\n');
                    let is_escape = chars[at] == '\\';
                    if is_escape {
                        line += usize::from(peek(at + 1) == '\n');
                    }
                    at += 1 + usize::from(is_escape);
                }
                at += 1;
            }
            // A character; anything else that begins like this is a lifetime.
            ('\'', '\\') => {
                at += 3;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            ('\'', _) if peek(at + 2) == '\'' => at += 3,
            (':', ':') => at += 2,
            (c, _) if c.is_alphanumeric() || c == '_' => {
                while peek(at).is_alphanumeric() || peek(at) == '_' {
                    at += 1;
                }
            }
            (c, _) => {
                at += 1;
                line += usize::from(c == '\n');
                if c.is_whitespace() {
                    continue;
                }
            }
        }
        let text = chars[start..at.min(chars.len())].iter().collect();
        tokens.push(Token { text, line: begun });
    }
    tokens
}

fn workspace() -> PathBuf {
    let service = Path::new(env!("CARGO_MANIFEST_DIR"));
    service.parent().expect("the workspace").to_owned()
}

/// Returns a path without `..`.
fn normal(path: &Path) -> PathBuf {
    path.canonicalize().expect("a file that was read")
}

fn sources_below(directory: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources.extend(sources_below(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            sources.push(normal(&path));
        }
    }
    sources
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
        ("symbl-log", &[]),
        ("symbl-models", &[]),
        ("symbl-whisper", &[]),
        ("symbl-captions", &[]),
        ("symbl-manual", &[]),
        (
            "symbl-service",
            &[
                "symbl-captions",
                "symbl-log",
                "symbl-manual",
                "symbl-models",
                "symbl-protocol",
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
