// SPDX-License-Identifier: MPL-2.0

//! `symbl-view` and the programs in `examples/`: what they print for speech, and how they end.

mod c;
mod cluster;
mod demo;
mod media_server;
mod output;
mod transcribe;

use crate::common::pipeline::{Pipeline, bytes_of};
use crate::common::plugin;
use crate::common::service::Service;
use crate::engine;
use crate::speech::absent;
use gst::prelude::*;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use symbl_service::recognizer::scripted;
use tempfile::TempDir;

const PYTHON: &str = "/usr/bin/python3";

/// A tracker that matches a word of every talk here.
const TRACKERS: &str = r#"[{"name":"Third","vocabulary":["w3"]}]"#;

/// Returns a folder with `talk.wav`, which has this many words, and `talk.txt`, its text.
pub(crate) fn talk(words: u16) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("talk.wav");
    engine::write_wav(&sound, &scripted::speech(0..words, 16_000));
    let text = folder.path().join("talk.txt");
    std::fs::write(&text, expected(words).join(" ")).unwrap();
    (folder, sound, text)
}

pub(crate) fn expected(words: u16) -> Vec<String> {
    (0..words).map(|n| format!("w{n}")).collect()
}

/// Returns the path of a file that was built along with this test, from its folder
/// `target/<profile>/deps`.
pub(crate) fn built(path: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let path = test.parent().expect("a folder").join(path);
    assert!(
        path.exists(),
        "{} is not there; cargo test builds it, so does cargo build --examples",
        path.display()
    );
    path
}

/// Returns the command of `symbl-view`.
fn view(service: &Service) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-view"));
    command.args(["--base-url", &service.url()]);
    command
}

/// Returns the command of the Python example, or `None` if PyGObject is absent.
fn captions_py(service: &Service) -> Option<Command> {
    let import = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst";
    let there = Command::new(PYTHON).args(["-c", import]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        absent("no PyGObject (Debian packages python3-gi and gir1.2-gstreamer-1.0)");
        return None;
    }
    let mut command = plugin::command(PYTHON);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/captions.py"))
        .args(["--base-url", &service.url()]);
    Some(command)
}

/// Returns the output of a program. Fails if its status is not 0.
fn printed(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    stdout
}

/// Returns status and standard error of a program that has to fail.
fn failed(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), stderr)
}

/// Returns the words of the lines that begin with a time, `[00:00.0] W0 w1.`
pub(crate) fn words(printed: &str) -> Vec<String> {
    printed
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split_once("] "))
        .flat_map(|(time, text)| {
            assert!(is_time(time), "{time}");
            text.split_whitespace()
        })
        .map(|word| {
            word.trim_matches(|c: char| !c.is_alphanumeric())
                .to_lowercase()
        })
        .collect()
}

fn is_time(text: &str) -> bool {
    text.len() == 7 && text.starts_with("00:0") && text.as_bytes()[5] == b'.'
}

#[test]
fn symbl_view_prints_each_word_once_what_was_found_and_a_summary() {
    let service = Service::start();
    let (_folder, sound, text) = talk(25);
    let mut command = view(&service);
    command.args(["--trackers", TRACKERS, "--reference"]);
    let printed = printed(command.arg(text).arg(sound));

    assert_eq!(words(&printed), expected(25), "{printed}");
    for line in [
        r#"          > tracker     Third: "w3""#,
        "audio     00:05.0",
        "heard     words 25, utterances 3",
        "found     insights 0, trackers 1, topics 0",
        "accuracy  0.0 % word error rate (0 errors in 25 words)",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line}\n{printed}");
    }
    assert!(!printed.contains('\x1b'), "no terminal, no control codes");
}

/// Starts `gst-launch-1.0` with these options and pipeline. Its output is to be read.
fn launch(options: &str, pipeline: &str) -> Child {
    plugin::command("gst-launch-1.0")
        .arg(options)
        .args(shlex::split(pipeline).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn symbl_view_shows_what_gst_launch_prints() {
    let service = Service::start();
    let (_folder, sound, text) = talk(25);
    let (sound, url) = (sound.display(), service.url());
    let mut player = launch(
        "-m",
        &format!("filesrc location={sound} ! wavparse ! symblsink base-url={url}"),
    );
    let mut view = Command::new(env!("CARGO_BIN_EXE_symbl-view"));
    view.arg("--reference").arg(text);
    let printed = printed(view.stdin(player.stdout.take().unwrap()));

    assert!(player.wait().unwrap().success());
    assert_eq!(words(&printed), expected(25), "{printed}");
    for line in [
        "heard     words 25, utterances 3",
        "accuracy  0.0 % word error rate (0 errors in 25 words)",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line}\n{printed}");
    }
}

#[test]
fn symbl_view_names_the_speakers_of_a_pipeline_with_two_sinks() {
    let service = Service::start();
    let (_folder, sound, _) = talk(5);
    let (sound, url) = (sound.display(), service.url());
    let mut player = launch(
        "-m",
        &format!(
            "filesrc location={sound} ! wavparse ! tee name=t \
             t. ! queue ! symblsink speaker-name=Anna base-url={url} \
             t. ! queue ! symblsink speaker-name=Bob base-url={url}"
        ),
    );
    let mut view = Command::new(env!("CARGO_BIN_EXE_symbl-view"));
    let printed = printed(view.stdin(player.stdout.take().unwrap()));

    assert!(player.wait().unwrap().success());
    for name in ["Anna", "Bob"] {
        let line = format!("[00:00.0] {name}: W0 w1 w2 w3 w4.");
        assert!(printed.lines().any(|l| l == line), "{line}\n{printed}");
    }
    assert!(printed.contains("\nheard     words 10, "), "{printed}");
}

#[test]
fn symbl_view_shows_the_last_words_of_a_pipeline_that_ctrl_c_ends() {
    let service = Service::start();
    // The sound lasts half a minute, but the test does not wait for its end.
    let (_folder, sound, _) = talk(150);
    let (sound, url) = (sound.display(), service.url());
    let mut player = launch(
        "-em",
        &format!("filesrc location={sound} ! wavparse ! symblsink base-url={url}"),
    );
    let mut view = Command::new(env!("CARGO_BIN_EXE_symbl-view"))
        .stdin(player.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(view.stdout.take().unwrap());
    let mut printed = String::new();
    lines.read_line(&mut printed).unwrap();
    // A terminal sends it to both.
    let both = [player.id().to_string(), view.id().to_string()];
    let kill = Command::new("kill").arg("-INT").args(both).status();
    assert!(kill.unwrap().success());
    lines.read_to_string(&mut printed).unwrap();

    player.wait().unwrap();
    assert!(view.wait().unwrap().success(), "{printed}");
    assert!(printed.contains("\nheard     words "), "{printed}");
    let heard = words(&printed);
    assert!((10..150).contains(&heard.len()), "{printed}");
    assert_eq!(heard, expected(150)[..heard.len()]);
}

#[test]
fn symbl_view_says_that_gst_launch_needs_its_option() {
    let mut view = Command::new(env!("CARGO_BIN_EXE_symbl-view"));
    let (status, said) = failed(view.stdin(Stdio::null()));
    assert_eq!(status, Some(1));
    assert!(said.contains("gst-launch-1.0 its option -m"), "{said}");
}

#[test]
fn symbl_view_writes_its_manual_page_with_every_option() {
    let folder = tempfile::tempdir().unwrap();
    let mut view = Command::new(env!("CARGO_BIN_EXE_symbl-view"));
    printed(view.arg("--write-manual").arg(folder.path()));
    let page = folder.path().join("man1/symbl-view.1");
    let page = std::fs::read_to_string(page).unwrap();
    for text in [
        "base\\-url",
        "trackers",
        "reference",
        "gst\\-launch\\-1.0 \\-em",
    ] {
        assert!(page.contains(text), "{text}\n{page}");
    }
    assert!(!page.contains("write"), "an option for packagers");
    for file in [
        "bash/symbl-view.bash",
        "zsh/_symbl-view",
        "fish/symbl-view.fish",
    ] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
}

#[test]
fn symbl_view_takes_the_plugin_as_a_library_too() {
    let service = Service::start();
    let (_folder, sound, _) = talk(5);
    let mut command = view(&service);
    command.arg("--plugin").arg(built("libgstsymbl.so"));
    assert_eq!(words(&printed(command.arg(sound))), expected(5));
}

#[test]
fn symbl_view_ends_early_and_whole_at_ctrl_c() {
    let service = Service::start();
    // The sound lasts half a minute, but the test does not wait for its end.
    let (_folder, sound, _) = talk(150);
    let mut child: Child = view(&service)
        .arg(sound)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    lines.read_line(&mut printed).unwrap();
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    lines.read_to_string(&mut printed).unwrap();

    assert!(child.wait().unwrap().success(), "{printed}");
    assert!(printed.contains("\nheard     words "), "{printed}");
    let heard = words(&printed);
    assert!((10..150).contains(&heard.len()), "{printed}");
    assert_eq!(heard, expected(150)[..heard.len()]);
}

#[test]
fn symbl_view_says_what_it_cannot_do() {
    let service = Service::start();
    let (folder, sound, _) = talk(1);
    let absent = folder.path().join("absent");

    let (status, said) = failed(view(&service).arg(&absent));
    assert_eq!(status, Some(1));
    assert!(said.starts_with("symbl-view: cannot read "), "{said}");

    let (status, said) = failed(view(&service).arg("--plugin").arg(&absent).arg(&sound));
    assert_eq!(status, Some(1));
    assert!(said.starts_with("symbl-view: cannot load "), "{said}");

    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("LICENSE");
    let (status, said) = failed(view(&service).arg(text));
    assert_eq!(status, Some(1));
    assert!(said.contains("This appears to be a text file"), "{said}");
}

/// Reads the captions of a file by GStreamer: text, start and end in milliseconds.
fn subtitles(file: &Path) -> Vec<(String, u64, u64)> {
    let mut pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! subparse ! appsink name=captions sync=false",
        file.display()
    ));
    let captions = pipeline.pipeline.by_name("captions").unwrap();
    let captions = captions.downcast::<gst_app::AppSink>().unwrap();
    pipeline.play();
    let read = std::iter::from_fn(|| {
        let sample = captions.pull_sample().ok()?;
        let buffer = sample.buffer()?;
        let text = buffer.map_readable().ok()?.as_slice().to_vec();
        let (start, length) = (buffer.pts()?.mseconds(), buffer.duration()?.mseconds());
        Some((String::from_utf8(text).ok()?, start, start + length))
    });
    let read = read.collect();
    pipeline.wait_for_eos();
    read
}

/// Records a talk of 25 words with captions in this format.
fn recorded(service: &Service, format: &str, extension: &str) -> (TempDir, PathBuf) {
    let (folder, sound, _) = talk(25);
    let recording = folder.path().join("recording.flac");
    let mut command = Command::new(built("../examples/recording"));
    command.args(["--format", format, "--base-url", &service.url()]);
    assert_eq!(printed(command.arg(sound).arg(&recording)), "");
    let captions = recording.with_extension(extension);
    (folder, captions)
}

#[test]
fn a_recording_has_captions_beside_it_that_a_player_reads() {
    let service = Service::start();
    for (format, extension) in [("srt", "srt"), ("webvtt", "vtt")] {
        let (folder, captions) = recorded(&service, format, extension);
        let cues = subtitles(&captions);
        let texts: Vec<&str> = cues.iter().map(|cue| cue.0.as_str()).collect();
        let shown: Vec<String> = texts
            .join(" ")
            .split_whitespace()
            .map(|word| {
                word.trim_matches(|c: char| !c.is_alphanumeric())
                    .to_lowercase()
            })
            .collect();
        assert_eq!(shown, expected(25), "{cues:?}");
        // Each word is shown while it is spoken, for 200 ms.
        let mut said = 0;
        for (text, start, end) in &cues {
            let words = text.split_whitespace().count() as u64;
            assert!(start.abs_diff(said * 200) <= 20, "{cues:?}");
            said += words;
            assert!(*end + 20 >= said * 200, "{cues:?}");
        }
        // The recording has the same samples as the sound.
        let mut pipeline = Pipeline::launch(&format!(
            "filesrc location={} ! flacparse ! flacdec ! filesink location={}",
            captions.with_extension("flac").display(),
            captions.with_extension("raw").display()
        ));
        pipeline.play();
        pipeline.wait_for_eos();
        let bytes = std::fs::read(captions.with_extension("raw")).unwrap();
        let samples: Vec<i16> = bytes
            .chunks_exact(2)
            .map(|b| i16::from_le_bytes([b[0], b[1]]))
            .collect();
        assert_eq!(samples, scripted::speech(0..25, 16_000));
        drop(folder);
    }
}

#[test]
fn the_python_example_prints_each_word_once_and_what_was_found() {
    let service = Service::start();
    let Some(mut command) = captions_py(&service) else {
        return;
    };
    let (_folder, sound, _) = talk(25);
    let printed = printed(command.args(["--trackers", TRACKERS]).arg(sound));

    assert_eq!(words(&printed), expected(25), "{printed}");
    let tracker = "    tracker Third: w3";
    assert!(printed.lines().any(|line| line == tracker), "{printed}");
}

/// Returns the command of the example that continues a conversation, with its state in this
/// file.
fn resume_py(service: &Service, state: &Path, sound: &Path) -> Option<Command> {
    captions_py(service)?;
    let mut command = plugin::command(PYTHON);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/resume.py"))
        .args(["--base-url", &service.url(), "--state"])
        .args([state, sound]);
    Some(command)
}

/// Returns the lines that begin with this word, without the word.
fn lines_of<'a>(printed: &'a str, word: &str) -> Vec<&'a str> {
    let lines = printed.lines();
    lines.filter_map(|line| line.strip_prefix(word)).collect()
}

#[test]
fn an_application_that_was_killed_continues_its_conversation() {
    let service = Service::start();
    let (folder, sound, _) = talk(150);
    let state = folder.path().join("state.json");
    let Some(mut command) = resume_py(&service, &state, &sound) else {
        return;
    };
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let conversation = next();
    let id = conversation
        .strip_prefix("new conversation ")
        .unwrap()
        .to_owned();
    let first = next();
    assert!(first.starts_with("[00:00.0] W0 w1 "), "{first}");
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());

    // Meanwhile another speaker says something in the conversation, and stays.
    let stored = std::fs::read_to_string(&state).unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["conversation-id"], id.as_str());
    let connection = stored["connection-id"].as_str().unwrap();
    let mut other = Pipeline::appsrc(
        "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000",
        &format!(
            "base-url={} connection-id={connection} speaker-name=Bob",
            service.url()
        ),
    );
    other.play();
    let said = [
        scripted::speech(700..703, 16_000),
        scripted::silence(Duration::from_secs(1), 16_000),
    ];
    let said = bytes_of(&said.concat());
    other
        .src()
        .push_buffer(gst::Buffer::from_slice(said))
        .unwrap();
    other.wait_for_kind("message");

    let (_short_folder, short, _) = talk(5);
    let printed = printed(&mut resume_py(&service, &state, &short).unwrap());
    assert_eq!(
        lines_of(&printed, "continued conversation "),
        [id.as_str()],
        "{printed}"
    );
    let before = lines_of(&printed, "before: ").join(" ").to_lowercase();
    assert!(before.starts_with("w0 w1 "), "{printed}");
    assert!(before.contains("bob: w700 w701 w702"), "{printed}");
    assert_eq!(words(&printed), expected(5), "{printed}");
    // The program ended normally, so that the next talk is a new conversation.
    assert!(!state.exists());
}

#[test]
fn the_python_example_says_what_it_cannot_do() {
    let service = Service::start();
    let Some(mut command) = captions_py(&service) else {
        return;
    };
    let (status, said) = failed(command.arg("/absent.wav"));
    assert_eq!(status, Some(1));
    assert_eq!(said, "error: Resource not found.\n");
}
