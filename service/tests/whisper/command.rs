// SPDX-License-Identifier: MPL-2.0

//! The command chooses between the engines, and says what it misses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use symbl_models::Cache;
use symbl_testkit::model::model;
use symbl_testkit::speech::absent;
use tempfile::TempDir;

/// The service with a cache of models of its own.
struct World {
    cache: TempDir,
}

/// A service that serves, killed when it is dropped.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    fn new() -> Self {
        Self {
            cache: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Puts files into the cache that have the sizes of those of the model `base`.
    fn with_sizes_of_base(self) -> Self {
        let cache = Cache::at(self.cache.path().join("symbl-service/models"));
        let base = symbl_models::model("base").expect("known");
        let place = cache.folder_of(base);
        std::fs::create_dir_all(&place).expect("made");
        for file in base.files {
            let made = std::fs::File::create(place.join(file.name)).expect("made");
            made.set_len(file.size).expect("a size");
        }
        self
    }

    /// Puts the model of this machine into the cache.
    fn with_model(self, folder: &Path) -> Self {
        let cache = Cache::at(self.cache.path().join("symbl-service/models"));
        let place = cache.folder_of(symbl_models::model("tiny.en").expect("known"));
        std::fs::create_dir_all(cache.folder()).expect("made");
        symlink(folder, place).expect("a link");
        self
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
        command
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .env("XDG_CACHE_HOME", self.cache.path())
            .env_remove("SYMBL_APP_ID")
            .env_remove("SYMBL_APP_SECRET")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Returns why the command did not start.
    fn refusal(&self, options: &[&str]) -> String {
        let output = self.command(options).output().expect("an end");
        assert!(!output.status.success(), "{options:?}");
        assert_eq!(output.stdout, b"", "{options:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    }

    /// Starts the command. Returns the names of its engines and its log, or only the log if
    /// it does not start.
    fn engines(&self, options: &[&str]) -> (Vec<String>, String) {
        let mut service = Serving(self.command(options).spawn().expect("started"));
        let mut line = String::new();
        let mut out = BufReader::new(service.0.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let metrics = line
            .trim_end()
            .strip_prefix("listening on http://")
            .map(metrics);
        service.0.kill().expect("killed");
        let mut log = String::new();
        let mut err = service.0.stderr.take().expect("piped");
        err.read_to_string(&mut log).expect("a log in UTF-8");
        let metrics = metrics.unwrap_or_default();
        let engines = metrics.lines().filter_map(|line| {
            let name = line.strip_prefix("symbl_service_streams{recognizer=\"")?;
            name.split('"').next().map(str::to_owned)
        });
        (engines.collect(), log)
    }
}

fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Returns the lines of a log that are warnings.
fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("WARN")).collect()
}

#[test]
fn auto_is_whisper_if_its_model_is_in_the_cache() {
    let Some(folder) = model("tiny.en") else {
        return;
    };
    let world = World::new().with_model(&folder);
    for options in [
        &[][..],
        &["--recognizer", "auto"],
        &["--recognizer", "whisper"],
        &["--model", "tiny.en"],
        &["--recognizer", "whisper", "--model", "tiny.en"],
    ] {
        let (engines, log) = world.engines(options);
        assert_eq!(engines, ["whisper"], "{options:?}: {log}");
        assert_eq!(warnings(&log), Vec::<&str>::new(), "{options:?}");
    }
}

#[test]
fn without_the_usual_model_another_one_that_was_fetched_is_taken() {
    let world = World::new().with_sizes_of_base();
    for options in [&[][..], &["--recognizer", "whisper"]] {
        // It is tried, and its weights are zeros.
        let refusal = world.refusal(options);
        assert!(refusal.contains("/base-d01c3014"), "{options:?}: {refusal}");
    }
    let Some(folder) = model("tiny.en") else {
        return;
    };
    let (engines, log) = world.with_model(&folder).engines(&[]);
    assert_eq!(engines, ["whisper"], "the usual one comes first: {log}");
}

#[test]
fn auto_without_the_model_is_pocketsphinx_and_one_line_says_how_to_get_it() {
    for options in [&[][..], &["--recognizer", "auto"]] {
        let (engines, log) = World::new().engines(options);
        if engines.is_empty() && log.contains("recogniser pocketsphinx: ") {
            absent(&log);
            return;
        }
        assert_eq!(engines, ["pocketsphinx"], "{log}");
        let warnings = warnings(&log);
        assert_eq!(warnings.len(), 1, "{log}");
        let fetch = "`symbl-service model fetch tiny.en`";
        assert!(warnings[0].contains(fetch), "{log}");
    }
}

#[test]
fn a_folder_of_ones_own_needs_no_cache() {
    let Some(folder) = model("tiny.en") else {
        return;
    };
    let folder = folder.to_str().expect("UTF-8");
    let (engines, log) = World::new().engines(&["--model", folder]);
    assert_eq!(engines, ["whisper"], "{log}");
}

#[test]
fn a_model_that_is_not_there_is_named_with_what_to_do() {
    let world = World::new();
    let fetch = |name: &str| format!("symbl-service model fetch {name}");
    for (options, name) in [
        (&["--recognizer", "whisper"][..], "tiny.en"),
        (&["--model", "tiny.en"], "tiny.en"),
        (&["--recognizer", "auto", "--model", "base"], "base"),
    ] {
        let said = world.refusal(options);
        assert!(said.contains(&fetch(name)), "{options:?}: {said}");
        assert!(said.contains("--model DIR"), "{options:?}: {said}");
    }
    for unknown in ["huge", "/nowhere/model", "base/there"] {
        let said = world.refusal(&["--model", unknown]);
        let needed = [
            &*format!("--model {unknown}"),
            "no such folder",
            "model list",
        ];
        for part in needed {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn a_folder_that_is_no_model_is_refused_with_the_file_that_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let said = World::new().refusal(&["--model", path]);
    for part in ["recogniser whisper", path, "model fetch tiny.en"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let Some(model) = model("tiny.en") else {
        return;
    };
    for (broken, bytes) in [
        ("model.bin", 1_000),
        ("tokenizer.json", 100),
        ("config.json", 3),
    ] {
        let copy = copy_of(&model, broken, bytes);
        let path = copy.path().to_str().expect("UTF-8");
        let said = World::new().refusal(&["--model", path]);
        for part in ["recogniser whisper", path, broken] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

/// Returns a folder with the files of a model, one of them cut short.
fn copy_of(model: &Path, broken: &str, bytes: usize) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(model).expect("a model") {
        let from: PathBuf = entry.expect("an entry").path();
        let to = copy.path().join(from.file_name().expect("a name"));
        if from.ends_with(broken) {
            let whole = std::fs::read(&from).expect("read");
            std::fs::write(to, &whole[..bytes]).expect("written");
        } else {
            symlink(from, to).expect("a link");
        }
    }
    copy
}

#[test]
fn a_model_is_for_whisper_only() {
    let world = World::new();
    for engine in ["scripted", "pocketsphinx"] {
        let said = world.refusal(&["--recognizer", engine, "--model", "tiny.en"]);
        assert!(
            said.contains("--model is for --recognizer whisper only"),
            "{said}"
        );
    }
    let said = world.refusal(&["--recognizer-cmd", "cat", "--model", "tiny.en"]);
    assert!(
        said.contains("--model") && said.contains("--recognizer-cmd"),
        "{said}"
    );
}

#[test]
fn the_help_names_the_engines_and_the_model() {
    let output = World::new().command(&["--help"]).output().expect("help");
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let words: Vec<&str> = help.split_whitespace().collect();
    let help = words.join(" ");
    for part in [
        "--recognizer <NAME>",
        "--model <NAME|DIR>",
        "whisper if a model is there, pocketsphinx if not",
        "[default: auto]",
        "[default: tiny.en]",
        "symbl-service model list",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}
