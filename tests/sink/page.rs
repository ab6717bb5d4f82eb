// SPDX-License-Identifier: MPL-2.0

//! The service's page in a headless Chromium, with what a real sink streams.
//!
//! All other tests of the page are in `service/tests/page`, whose `js/page.mjs` drives the
//! browser here too.

use crate::common::pipeline::Pipeline;
use crate::engine;
use serde_json::{Value, json};
use std::path::Path;
use symbl_service::recognizer::scripted;
use symbl_testkit::programs::{chromium, node, play};
use symbl_testkit::service::Service;

/// Streams these samples in real time while a browser shows the conversation. Returns what
/// the page has shown at the end, or `None` where a program is absent.
fn shown(service: &Service, samples: &[i16]) -> Option<Value> {
    let chromium = chromium()?;
    let mut command = node()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("service/tests/page/js/page.mjs");
    let folder = tempfile::tempdir().expect("a folder");
    let sound = folder.path().join("talk.wav");
    engine::write_wav(&sound, samples);
    let mut pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! wavparse ! symblsink name=sink base-url={} \
         speaker-name=\"Ada <b>L.</b>\" insight-types=question",
        sound.display(),
        service.url()
    ));
    command
        .arg(script)
        .arg(chromium)
        .args(["-", "sink", &service.url()]);
    let report = play(&mut command, |asked| {
        assert_eq!(asked["please"], "play");
        pipeline.play();
        json!({})
    });
    pipeline.wait_for_eos();
    Some(report)
}

/// Returns the words that the page has shown, in lower case and without marks.
fn words(report: &Value) -> Vec<String> {
    let lines = report["words"].as_array().expect("lines").iter();
    lines
        .flat_map(|line| line.as_str().expect("a text").split_whitespace())
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .map(str::to_lowercase)
        .collect()
}

#[test]
fn the_page_shows_what_a_sink_streams() {
    let service = Service::start();
    let samples = scripted::speech(0..60, 16_000);
    let Some(report) = shown(&service, &samples) else {
        return;
    };
    let expected: Vec<String> = (0..60).map(|n| format!("w{n}")).collect();
    assert_eq!(words(&report), expected, "{report}");
    assert_eq!(report["speaker"], "Ada <b>L.</b>");
}

#[test]
fn the_page_shows_what_a_voice_says_to_a_real_recogniser() {
    let Some(service) = engine::service() else {
        return;
    };
    let sentences = [
        "When does the meeting start?",
        "When does the meeting start?",
        "When does the meeting start?",
    ];
    let Some(samples) = engine::spoken(&sentences) else {
        return;
    };
    let Some(report) = shown(&service, &samples) else {
        return;
    };
    println!("{report}");
    let expected = ["when", "does", "the", "meeting", "start"].repeat(3);
    assert_eq!(words(&report), expected, "{report}");
    let questions = report["questions"].as_array().expect("questions");
    assert_eq!(questions.len(), 3, "{report}");
}
