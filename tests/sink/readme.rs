// SPDX-License-Identifier: MPL-2.0

//! Checks README.md and docs/sources.md: their pipelines can be built, their links lead
//! somewhere, and the properties and messages of the README exist.

use crate::common::pipeline::init;
use crate::speech::absent;
use gst::prelude::*;
use std::path::Path;

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
    // A file, a microphone, RTSP, RTP in two encodings, a transport stream, a call in stereo,
    // subtitles of a recording.
    assert_all_are_built(README, 8);
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
            .filter(|argument| !argument.starts_with('-'))
            .collect();
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

#[test]
fn every_link_into_the_repository_leads_somewhere() {
    assert_links_lead_somewhere(README, "");
    assert_links_lead_somewhere(SOURCES, "docs");
}

/// Asserts that the links of a document in this folder lead to files.
fn assert_links_lead_somewhere(document: &str, folder: &str) {
    let targets: Vec<&str> = document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.starts_with("https://"))
        .collect();
    assert!(targets.len() > 2, "{targets:?}");
    for target in targets {
        let file = target.split('#').next().unwrap_or(target);
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(folder)
            .join(file);
        assert!(path.exists(), "{target}");
    }
}
