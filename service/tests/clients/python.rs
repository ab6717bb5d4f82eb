// SPDX-License-Identifier: MPL-2.0

//! `symbl` of PyPI.

use crate::app::{closed, contents, here, patience, run, scripted, told, words};
use crate::documented;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use symbl_service::recognizer::scripted;
use symbl_testkit::service::Service;
use symbl_testkit::speech::absent;

/// Returns a Python with the SDK in the folder of the build, or `None` if it cannot be had.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("symbl-python");
    let python = folder.join("bin/python");
    let requirements = here("python/requirements.txt");
    let wanted = std::fs::read(&requirements).expect("the requirements");
    // Written when the installation is whole, so that half of one is made anew.
    let done = folder.join("installed.txt");
    if std::fs::read(&done).is_ok_and(|before| before == wanted) {
        return Some(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    let mut install = Command::new(&python);
    install
        .args(["-m", "pip", "install", "-q", "--no-deps"])
        .args(["--retries", "2", "--timeout", "30", "-r"])
        .arg(&requirements);
    for mut step in [make, install] {
        let why = match step.output() {
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        absent(&format!("the Python SDK: {why}"));
        return None;
    }
    std::fs::write(&done, wanted).expect("a file");
    Some(python)
}

#[test]
fn it_streams_to_the_last_word_and_stops() {
    let Some(python) = python() else { return };
    let service = Service::with(closed);
    let folder = tempfile::tempdir().expect("a folder");
    let sound = folder.path().join("talk.raw");
    // The SDK's default rate.
    let samples = scripted::speech(0..25, 44_100);
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    std::fs::write(&sound, bytes).expect("a file");
    let (_kept, pointing) = documented::pointing_python(&service);
    let mut application = patience();
    application
        .arg(python)
        .arg(here("python/stream.py"))
        .arg(service.url())
        .arg(sound)
        .arg(pointing);
    let seen = run(&mut application, |_| {});
    let responses = told(&seen, "message_response").into_iter();
    let messages = responses.flat_map(|r| r["messages"].as_array().expect("a list"));
    assert_eq!(words(&contents(messages)), scripted(0..25), "{seen}");
    let lifecycle = told(&seen, "message");
    let finals = lifecycle.iter().filter(|m| m["message"]["isFinal"] == true);
    assert_eq!(finals.count(), 3, "{seen}");
    let tracker = told(&seen, "tracker_response")[0];
    assert_eq!(tracker["trackers"][0]["name"], "Report", "{seen}");
    let last = &lifecycle.last().expect("an end")["message"];
    assert_eq!(last["data"]["conversationId"], seen["conversationId"]);
    // Of the connection's conversation, and of the client that the SDK makes when it is
    // imported.
    for api in ["kept", "asked"] {
        let texts = seen[api].as_array().expect("a list").iter();
        let texts: Vec<&str> = texts.map(|text| text.as_str().expect("a text")).collect();
        assert_eq!(words(&texts), scripted(0..25), "{api}: {seen}");
    }
}

/// Writes a recording with two channels, of which each says other words.
fn two_channels(path: &Path) {
    let form = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, form).expect("a file");
    let [left, right] = [0..5, 5..10].map(|words| scripted::speech(words, 16_000));
    for (left, right) in left.iter().zip(&right) {
        writer.write_sample(*left).expect("room");
        writer.write_sample(*right).expect("room");
    }
    writer.finalize().expect("room");
}

#[test]
fn it_submits_a_text_and_a_recording_and_reads_all_that_was_found() {
    let Some(python) = python() else { return };
    let service = Service::with(|config| {
        closed(config);
        config.jobs.decoder = Some(env!("CARGO_BIN_EXE_symbl-service").into());
    });
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("call.wav");
    two_channels(&recording);
    let (_kept, pointing) = documented::pointing_python(&service);
    let mut application = patience();
    application
        .arg(python)
        .arg(here("python/jobs.py"))
        .arg(service.url())
        .arg(recording)
        .arg(pointing);
    let seen = run(&mut application, |_| {});
    assert_eq!(seen["jobs"], json!(["completed", "completed"]), "{seen}");
    let texts = |list: &Value| -> Vec<String> {
        let items = list.as_array().unwrap_or_else(|| panic!("{seen}")).iter();
        let text = |item: &Value| item["text"].as_str().expect("a text").to_owned();
        items.map(text).collect()
    };
    let messages = &seen["messages"]["messages"];
    assert_eq!(texts(messages).len(), 4, "{seen}");
    assert_eq!(texts(messages)[3], "The report is ready.");
    assert!(
        messages[0]["sentiment"]["polarity"]["score"].is_number(),
        "{seen}"
    );
    assert_eq!(seen["conversation"]["name"], "Handover", "{seen}");
    assert_eq!(seen["members"]["members"][0]["name"], "Ada", "{seen}");
    for (part, list, found) in [
        ("topics", "topics", "budget report"),
        (
            "questions",
            "questions",
            "Can you send me the budget report?",
        ),
        (
            "action_items",
            "action_items",
            "I will check the budget report tomorrow.",
        ),
        (
            "follow_ups",
            "follow_ups",
            "Let's schedule a follow up meeting about the budget report on Friday.",
        ),
    ] {
        let texts = texts(&seen[part][list]);
        assert!(texts.contains(&found.to_owned()), "{part}: {texts:?}");
    }
    assert_eq!(seen["trackers"][0]["name"], "Money", "{seen}");
    assert!(
        !seen["entities"]["entities"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
    assert!(seen["analytics"]["metrics"].is_array(), "{seen}");
    let sound = texts(&seen["sound"]["messages"]);
    let heard: Vec<&str> = sound.iter().map(String::as_str).collect();
    let mut heard = words(&heard);
    heard.sort();
    assert_eq!(heard, scripted(0..10), "{seen}");
}
