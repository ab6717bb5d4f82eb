// SPDX-License-Identifier: MPL-2.0

//! `symbl` of PyPI.

use crate::app::{closed, contents, here, patience, run, scripted, told, words};
use crate::documented;
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
