// SPDX-License-Identifier: MPL-2.0

//! README.md tells the truth: its pipelines can be built, its properties and
//! messages are there, its links lead somewhere.

use crate::common::pipeline::init;
use crate::speech::absent;
use gst::prelude::*;
use std::path::Path;

const README: &str = include_str!("../../README.md");

/// The commands in blocks of shell code, each in one line.
fn commands() -> Vec<String> {
    let blocks = README.split("```sh\n").skip(1);
    blocks
        .filter_map(|block| block.split("```").next())
        .flat_map(|block| {
            let joined = block.replace("\\\n", " ");
            joined.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// The words in code quotes in the first column of the table under a heading.
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
    let mut built = 0;
    for command in commands() {
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
    // A file, a microphone, RTSP, RTP in two encodings, a transport stream, a call in stereo.
    assert_eq!(built, 7);
}

#[test]
fn every_property_and_message_is_there() {
    init();
    let sink = gst::ElementFactory::make("symblsink").build().unwrap();
    let properties = first_column("## Properties");
    assert!(properties.len() > 10, "{properties:?}");
    for property in properties {
        assert!(sink.has_property(property), "{property}");
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
    let targets: Vec<&str> = README
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.starts_with("https://"))
        .collect();
    assert!(targets.len() > 5, "{targets:?}");
    for target in targets {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(target);
        assert!(path.exists(), "{target}");
    }
}
