// SPDX-License-Identifier: MPL-2.0

//! The service's process is killed in the middle of a conversation and started again. The sink
//! goes on in the conversation, and the Conversation API has all of it. S7.

use crate::common::feed::{CAPS, Feed, MS};
use crate::common::pipeline::{counted, until};
use crate::common::program::Program;
use crate::examples::built;
use crate::history::stored;
use gst::prelude::*;
use std::path::Path;
use std::process::Stdio;
use symbl_service::recognizer::scripted;

/// Starts the service, and returns when it listens.
fn start(data: &Path, listen: &str) -> Program {
    let data = data.to_str().expect("a path");
    let arguments = ["--log", "error", "--data", data];
    let log = Stdio::inherit();
    Program::start(built("../symbl-service"), listen, &arguments, log)
}

#[test]
fn s7_a_killed_service_that_comes_back_has_all_of_the_conversation() {
    let data = tempfile::tempdir().expect("a folder");
    let mut service = start(data.path(), "127.0.0.1:0");
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} reconnect-max-delay=50",
        service.url()
    ));
    let sink = pipeline.sink();
    // The service orders speech by its clock.
    sink.set_property("sync", true);
    pipeline.play();
    assert!(feed.begin(CAPS));
    pipeline.wait_for_state("listening");
    for from in [0, 15, 30] {
        // One utterance is over, and one is not.
        feed.speak(&scripted::speech(from..from + 10, 16_000))
            .expect("room");
        feed.hush(1000).expect("room");
        let rest = scripted::speech(from + 10..from + 15, 16_000);
        feed.speak(&rest).expect("room");
        let utterances = usize::from(from / 15) + 1;
        while pipeline.of_kind("message").len() < utterances {
            pipeline.wait_for_kind("message");
        }
        until("all of it is sent", || counted(&sink, "audio-spooled") == 0);
        let address = service.address();
        drop(service);
        pipeline.wait_for_state("reconnecting");
        service = start(data.path(), &address);
        pipeline.wait_for_state("listening");
    }
    assert!(feed.end());
    pipeline.wait_for_eos();

    let told = pipeline.words();
    let words: Vec<&str> = told.iter().map(|(word, _)| word.as_str()).collect();
    let expected: Vec<String> = (0..45).map(|n| format!("w{n}")).collect();
    assert_eq!(words, expected);
    for (n, (word, at)) in told.iter().enumerate() {
        let (n, hushes) = (n as u64, (n as u64 + 5) / 15);
        let truth = (n * 200 + hushes * 1000) * MS;
        assert!(at.abs_diff(truth) <= 20 * MS, "{word} at {at}, not {truth}");
    }
    assert!(pipeline.of_kind("gap").is_empty());
    let events = pipeline.of_kind("session");
    let events: Vec<&str> = events
        .iter()
        .map(|s| s.get("event").expect("one"))
        .collect();
    assert_eq!(
        events,
        ["created", "resumed", "resumed", "resumed", "completed"]
    );

    let id: String = sink.property("conversation-id");
    let messages = stored(service.url(), &id);
    let said: Vec<&str> = messages.iter().filter_map(|m| m["text"].as_str()).collect();
    let words = said.iter().flat_map(|text| text.split_whitespace());
    let words = words.map(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.to_lowercase()
    });
    // Words may be there twice: words that the service had stored and could not send, and
    // words of which a part was sent again with the silence behind it.
    let mut complete: Vec<String> = Vec::new();
    for word in words {
        if !complete.contains(&word) {
            complete.push(word);
        }
    }
    assert_eq!(complete, expected, "{said:?}");
}
