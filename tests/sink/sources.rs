// SPDX-License-Identifier: MPL-2.0

//! The pipelines of README.md and docs/sources.md, with a sender on the loopback or a file,
//! and exactly known words. Inputs that are not decoded, and calls in µ-law, are in `inputs`.

mod arrival;
mod calls;
mod files;
mod hls;
mod rtp;
mod rtsp;
mod ts;

use crate::common::pipeline::{Pipeline, init};
use crate::common::service::Service;
use crate::engine;
use crate::speech::absent;
use gst::prelude::*;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use symbl_service::recognizer::scripted;
use tempfile::TempDir;

/// Writes samples at 16 kHz as a WAV file in a folder of its own.
fn wav(samples: &[i16]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.wav");
    engine::write_wav(&path, samples);
    (folder, path)
}

/// Runs a pipeline to its end.
fn run(line: &str) -> Pipeline {
    let mut pipeline = Pipeline::launch(line);
    pipeline.play();
    pipeline.wait_for_eos();
    pipeline
}

/// Asserts that the words of `range` came once each and in order, in steps of 200 ms from
/// `begin` on, none further from its place than `tolerance`. Times are in nanoseconds.
fn assert_words(words: &[(String, u64)], range: std::ops::Range<u16>, begin: u64, tolerance: u64) {
    let texts: Vec<&str> = words.iter().map(|(text, _)| text.as_str()).collect();
    let expected: Vec<String> = range.map(|n| format!("w{n}")).collect();
    assert_eq!(texts, expected);
    for (n, (text, at)) in words.iter().enumerate() {
        let truth = begin + n as u64 * 200_000_000;
        assert!(at.abs_diff(truth) <= tolerance, "{text} at {at}: {words:?}");
    }
}

/// Returns the messages of one sink of a pipeline.
fn of_sink(pipeline: &Pipeline, sink: &str, kind: &str) -> Vec<gst::Structure> {
    let of = |message: &&gst::Message| message.src().is_some_and(|src| src.name() == sink);
    let messages = pipeline.messages.iter().filter(of);
    let name = format!("symbl/{kind}");
    messages
        .filter_map(|message| message.structure().map(ToOwned::to_owned))
        .filter(|structure| structure.name() == &name)
        .collect()
}

fn texts(structures: &[gst::Structure], field: &str) -> Vec<String> {
    let text = |s: &gst::Structure| s.get::<String>(field).unwrap_or_default();
    structures.iter().map(text).collect()
}

/// Returns silence of `lead`, the words w0 to w24, and a second of silence, which ends the
/// last utterance.
fn talk(lead: Duration) -> Vec<i16> {
    [
        scripted::silence(lead, 16_000),
        scripted::speech(0..25, 16_000),
        scripted::silence(Duration::from_secs(1), 16_000),
    ]
    .concat()
}

/// Returns `true` if all elements that a test needs are installed.
fn there(elements: &[&str]) -> bool {
    init();
    let missing = |name: &&&str| gst::ElementFactory::find(name).is_none();
    if let Some(name) = elements.iter().find(missing) {
        absent(&format!(
            "no {name} (Debian package gstreamer1.0-plugins-bad)"
        ));
        return false;
    }
    true
}

/// Returns the first pipeline under this heading of docs/sources.md, for this service and
/// with the sink named `sink`. Each pair of `changes` is a text that the document must have,
/// and its replacement.
fn documented(heading: &str, service: &Service, changes: &[(&str, &str)]) -> String {
    let document = include_str!("../../docs/sources.md");
    let (_, section) = document
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    let (_, command) = section
        .split_once("```sh\ngst-launch-1.0 -em ")
        .expect("a command");
    let (command, _) = command
        .split_once(" | symbl-view\n```")
        .expect("it is shown");
    let sink = format!(
        "symblsink name=sink drain-timeout=60000 base-url={}",
        service.url()
    );
    let mut line = command.replace("\\\n", " ").replace("symblsink", &sink);
    for (written, here) in changes {
        assert!(line.contains(written), "no {written} in {line}");
        line = line.replace(written, here);
    }
    line
}

/// Returns a free UDP port of the loopback.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Waits until this many words have come.
fn hear(pipeline: &mut Pipeline, words: usize) {
    while pipeline.words().len() < words {
        pipeline.wait_for_kind("transcript");
    }
}

/// Ends the stream, and waits for the rest of the results.
fn end(pipeline: &mut Pipeline) {
    pipeline.pipeline.send_event(gst::event::Eos::new());
    pipeline.wait_for_eos();
}

/// Records the running times of the buffers that come to an element, in nanoseconds.
fn watched(pipeline: &Pipeline, name: &str) -> Arc<Mutex<Vec<u64>>> {
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let element = pipeline.pipeline.by_name(name).expect("the element");
    let pad = element.static_pad("sink").expect("a pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        if let (Some(buffer), Some(segment)) = (info.buffer(), segment)
            && let Some(segment) = segment.segment().downcast_ref::<gst::ClockTime>()
            && let Some(time) = segment.to_running_time(buffer.pts())
        {
            seen.lock().unwrap().push(time.nseconds());
        }
        gst::PadProbeReturn::Ok
    });
    times
}
