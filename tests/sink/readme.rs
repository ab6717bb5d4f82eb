// SPDX-License-Identifier: MPL-2.0

//! Checks README.md and docs/sources.md: the recipes of the README show what was said, the
//! pipelines can be built, and the properties and messages of the README exist.

use crate::common::pipeline::init;
use crate::common::plugin;
use crate::common::service::Service;
use crate::examples::{expected, talk, words};
use crate::speech::absent;
use gst::prelude::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use symbl_service::recognizer::scripted;

const README: &str = include_str!("../../README.md");
const SOURCES: &str = include_str!("../../docs/sources.md");

/// Returns the commands in blocks of shell code, each in one line.
fn commands(document: &str) -> Vec<String> {
    let blocks = document.split("```sh\n").skip(1);
    blocks
        .filter_map(|block| block.split("```").next())
        .flat_map(|block| {
            let joined = block.replace("\\\n", " ");
            joined.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// Returns the words in code quotes in the first column of the table under a heading.
fn first_column(heading: &str) -> Vec<&str> {
    let (_, section) = README.split_once(heading).expect("the heading");
    let section = section.split("\n## ").next().expect("a section");
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
        .flat_map(|cell| cell.split('`').filter(|word| !word.starts_with([',', ' '])))
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn every_pipeline_can_be_built() {
    init();
    // A microphone, a call in stereo, subtitles of a recording.
    assert_all_are_built(README, 3);
    // RTSP with a picture and without, RTP in two encodings and without a jitterbuffer, TCP,
    // a transport stream, SRT, HLS.
    assert_all_are_built(SOURCES, 9);
}

fn assert_all_are_built(document: &str, pipelines: usize) {
    let mut built = 0;
    for command in commands(document) {
        let Some(arguments) = command.strip_prefix("gst-launch-1.0 ") else {
            continue;
        };
        let arguments = shlex::split(arguments).expect("a command");
        let arguments: Vec<&str> = arguments
            .iter()
            .map(String::as_str)
            .take_while(|argument| *argument != "|")
            .filter(|argument| !argument.starts_with('-'))
            .collect();
        let shows = arguments.contains(&"symblsink");
        assert!(
            !shows || command.ends_with("| symbl-view"),
            "messages are not to read: {command}"
        );
        match gst::parse::launchv(&arguments) {
            Ok(_) => built += 1,
            Err(error) if error.matches(gst::ParseError::NoSuchElement) => {
                absent(&format!("{error}: {command}"));
                return;
            }
            Err(error) => panic!("{error}: {command}"),
        }
    }
    assert_eq!(built, pipelines);
}

/// Returns the blocks of the README that are run here.
fn recipes() -> Vec<&'static str> {
    let mark = "<!-- run by tests/sink/readme.rs -->\n```sh\n";
    let blocks = README.split(mark).skip(1);
    blocks
        .map(|block| block.split("\n```").next().expect("an end"))
        .collect()
}

/// Writes a recorded call, with one side on each channel.
fn write_call(path: &Path, sides: [Vec<i16>; 2]) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).expect("a file");
    let [left, right] = &sides;
    for side in left
        .iter()
        .zip(right)
        .flat_map(|(left, right)| [left, right])
    {
        writer.write_sample(*side).expect("room");
    }
    writer.finalize().expect("room");
}

/// Runs a block of the README in a folder with `talk.mp3` and `call.wav`. The service is that
/// of the test, and a file stands for the microphone.
fn run(block: &str, folder: &Path, service: &Service) -> String {
    let here = folder.to_str().expect("UTF-8");
    let text = block
        .replace("target/release/", &format!("{here}/"))
        .replace("autoaudiosrc", "filesrc location=talk.mp3 ! decodebin");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = plugin::command("timeout")
        .args(["60", "bash", "-euo", "pipefail", "-c", &text])
        .current_dir(folder)
        .env("PATH", format!("{here}:{path}"))
        .env("SYMBL_BASE_URL", service.url())
        .output()
        .expect("timeout");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_recipes_show_what_was_said() {
    let service = Service::start();
    let (folder, sound, _) = talk(10);
    let folder = folder.path();
    std::fs::rename(sound, folder.join("talk.mp3")).expect("a file");
    let sides = [0..5, 20..25].map(|words| scripted::speech(words, 16_000));
    write_call(&folder.join("call.wav"), sides);
    symlink(env!("CARGO_BIN_EXE_symbl-view"), folder.join("symbl-view")).expect("a link");
    let stand_in = folder.join("symbl-service");
    std::fs::write(&stand_in, "#!/bin/sh\n").expect("room");
    std::fs::set_permissions(&stand_in, PermissionsExt::from_mode(0o755)).expect("a mode");

    let recipes = recipes();
    let [view, microphone, call, subtitles] = recipes[..] else {
        panic!("{} blocks", recipes.len());
    };
    for recipe in [view, microphone] {
        let printed = run(recipe, folder, &service);
        assert_eq!(words(&printed), expected(10), "{printed}");
        assert!(printed.contains("\nheard     words 10, "), "{printed}");
    }
    let printed = run(call, folder, &service);
    for line in ["Caller: W0 w1 w2 w3 w4.", "Agent: W20 w21 w22 w23 w24."] {
        let said = format!("[00:00.0] {line}");
        assert!(printed.lines().any(|l| l == said), "{said}\n{printed}");
    }
    run(subtitles, folder, &service);
    let subtitles = std::fs::read_to_string(folder.join("talk.srt")).expect("subtitles");
    let all = "W0 w1 w2 w3 w4 w5 w6 w7 w8 w9";
    let shown = subtitles.lines().filter(|line| line.contains(['W', 'w']));
    let shown: Vec<&str> = shown.collect();
    assert_eq!(shown.join(" ").trim_end_matches('.'), all, "{subtitles}");
}

/// Returns the block of another document that is run here.
fn recipe_of(document: &'static str) -> &'static str {
    let (_, block) = document
        .split_once("<!-- run by tests/sink/readme.rs -->\n```sh\n")
        .expect("a block");
    block.split("\n```").next().expect("an end")
}

#[test]
fn the_recipes_of_other_pages_run() {
    let service = Service::start();
    let (folder, sound, _) = talk(10);
    let folder = folder.path();
    std::fs::copy(&sound, folder.join("call.wav")).expect("a file");
    std::fs::rename(sound, folder.join("talk.mp3")).expect("a file");
    // docs/analytics.md shows a message, docs/privacy.md shows nothing.
    let analytics = recipe_of(include_str!("../../docs/analytics.md"));
    let printed = run(analytics, folder, &service);
    assert!(printed.contains("symbl/analytics, "), "{printed}");
    let privacy = recipe_of(include_str!("../../docs/privacy.md"));
    run(privacy, folder, &service);
}

#[test]
fn every_line_of_the_properties_makes_an_element() {
    init();
    let document = include_str!("../../docs/properties.md");
    let lines = commands(document).into_iter();
    let lines: Vec<String> = lines
        .filter(|line| line.starts_with("symblsink "))
        .collect();
    assert_eq!(lines.len(), 4);
    for line in lines {
        let arguments = shlex::split(&line).expect("a command");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if let Err(error) = gst::parse::launchv(&arguments) {
            panic!("{error}: {line}");
        }
    }
}

#[test]
fn every_property_and_message_is_there() {
    init();
    let [sink, transcriber] = ["symblsink", "symbltranscriber"]
        .map(|element| gst::ElementFactory::make(element).build().unwrap());
    let properties = first_column("## Properties");
    assert!(properties.len() > 10, "{properties:?}");
    for property in properties {
        let is_there = sink.has_property(property) || transcriber.has_property(property);
        assert!(is_there, "{property}");
    }
    let messages = first_column("## Messages");
    assert!(messages.len() > 10, "{messages:?}");
    let documented = include_str!("../../docs/messages.md");
    for message in messages {
        let heading = format!("\n## `{message}`\n");
        assert!(documented.contains(&heading), "{message}");
    }
}
