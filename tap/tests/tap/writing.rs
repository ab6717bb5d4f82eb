// SPDX-License-Identifier: MPL-2.0

//! Tests what is written, and where.

use std::path::Path;
use std::time::Instant;

use crate::run::{ANNA, BOB, SOON, Tap, connections, failed, sentence};
use symbl_protocol::InsightType;
use symbl_protocol::reply::{self, Insight, TrackerMatch};
use symbl_testkit::peer::{Message, Peer, Script, close, conversation_completed};

/// Returns two sentences, a question, a tracker and the end, after an interim.
fn conversation() -> Vec<Message> {
    let question = Insight {
        id: "i",
        kind: InsightType::Question,
        text: "How much is it?",
        confidence: 0.9,
        hints: &[],
        assignee: Some(ANNA),
        from: ANNA,
        message_id: "m",
        due_by: None,
    };
    let price = TrackerMatch {
        tracker_id: None,
        name: "Price",
        value: "how much",
        message_id: "m",
        text: "How much is it?",
        offset: 0,
    };
    let interim = reply::Interim {
        text: "how much",
        user: Some(ANNA),
        ..reply::Interim::default()
    };
    vec![
        Message::text(reply::interim_result(&interim, 0)),
        sentence(ANNA, "How much is it?", 1000),
        Message::text(reply::insight_response(&[question], 0)),
        Message::text(reply::tracker_response(&[price], true, Some(0))),
        sentence(BOB, "Nothing.", 3000),
        conversation_completed(),
        close(1000),
    ]
}

/// Returns what the program writes of that conversation.
fn written(arguments: &[&str]) -> String {
    let peer = Peer::start(Script::upgrade_only());
    let tap = Tap::start(&peer.base_url(), arguments);
    assert!(peer.wait_for(connections(1), SOON));
    for message in conversation() {
        peer.say(0, message);
    }
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    let request = peer.records()[0].request.clone().unwrap();
    assert_eq!(request.path, "/v1/subscribe/call%2F17");
    assert!(!peer.records()[0].has("start_request"));
    out
}

#[test]
fn a_conversation_is_written_as_lines_for_people() {
    let sentences = "[01:01.0] Anna: How much is it?\n          \
         > question    How much is it? [Anna]\n          \
         > tracker     Price: \"how much\"\n\
         [01:03.0] Bob: Nothing.\n";
    assert_eq!(written(&[]), sentences);
    let interim = format!("…         Anna: how much\n{sentences}");
    assert_eq!(written(&["--interim"]), interim);
}

#[test]
fn a_conversation_is_written_as_captions() {
    assert_eq!(
        written(&["--format", "srt"]),
        "1\n00:01:01,000 --> 00:01:02,600\nAnna: How much is it?\n\n\
         2\n00:01:03,000 --> 00:01:04,000\nBob: Nothing.\n\n"
    );
    assert_eq!(
        written(&["--format", "webvtt"]),
        "WEBVTT\n\n00:01:01.000 --> 00:01:02.600\n<v Anna>How much is it?\n\n\
         00:01:03.000 --> 00:01:04.000\n<v Bob>Nothing.\n\n"
    );
}

#[test]
fn a_conversation_is_written_as_json_lines() {
    let out = written(&["--format", "jsonl", "--interim"]);
    let kinds: Vec<&str> = out
        .lines()
        .filter_map(|line| line.strip_prefix(r#"{"type":""#)?.split('"').next())
        .collect();
    let expected = [
        "transcript",
        "transcript",
        "question",
        "tracker",
        "transcript",
    ];
    assert_eq!(kinds, expected, "{out}");
    let last = r#"{"type":"transcript","final":true,"start":63.0,"end":63.4,"utc":"2025-11-21T09:01:03.000Z","speaker":"Bob","text":"Nothing.","words":[{"word":"Nothing.","start":63.0,"end":63.4}]}"#;
    assert_eq!(out.lines().last(), Some(last));
}

#[test]
fn the_file_is_whole_while_it_grows_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.srt");
    std::fs::write(&path, "what was there before").unwrap();
    let peer = Peer::start(Script::upgrade_only());
    let file = path.to_str().unwrap();
    let mut tap = Tap::start(&peer.base_url(), &["--format", "srt", "--output", file]);
    tap.says("listening to ws://");
    until(&path, str::is_empty);
    for number in 0..5 {
        let text = format!("Sentence {number} of a talk.");
        peer.say(0, sentence(ANNA, &text, number * 3000));
        peer.say(0, Message::text(reply::error("next", "", None)));
        tap.says("the service says: next");
        // The first sentence is a minute into the conversation. Its time may be
        // wrong, so its cue waits for the second sentence.
        let expected = if number == 0 { 0 } else { number + 1 };
        until(&path, |written| captions(written) == expected);
    }
    tap.signal("-KILL");
    let (status, out, _) = tap.end();
    assert_eq!((status.code(), out.as_str()), (None, ""));
    assert_eq!(captions(&std::fs::read_to_string(&path).unwrap()), 5);
}

/// Waits until the content of a file is as it should be: a thread of the tap's own writes it,
/// soon after the tap reports what it has heard.
fn until(path: &Path, is_so: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    loop {
        let written = std::fs::read_to_string(path).unwrap();
        if is_so(&written) {
            return;
        }
        assert!(begun.elapsed() < SOON, "still {written:?}");
        std::thread::yield_now();
    }
}

/// Returns the number of cues in a file, which must be whole.
fn captions(written: &str) -> u64 {
    let file = subtp::srt::SubRip::parse(written);
    file.unwrap_or_else(|error| panic!("{error}: {written:?}"))
        .subtitles
        .len() as u64
}

#[test]
fn a_file_is_left_alone_if_there_is_no_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.txt");
    std::fs::write(&path, "of yesterday").unwrap();
    let peer = Peer::start(Script::http(404, &[], ""));
    let (status, _) = failed(&peer.base_url(), &["--output", path.to_str().unwrap()]);
    assert_eq!(status, Some(1));
    assert_eq!(std::fs::read(&path).unwrap(), b"of yesterday");
}

#[test]
fn it_ends_when_its_reader_has_gone() {
    let peer = Peer::start(Script::upgrade_only());
    let mut tap = Tap::start(&peer.base_url(), &[]);
    tap.says("listening");
    drop(tap.child.stdout.take());
    peer.say(0, sentence(ANNA, "Is anybody there?", 0));
    let status = tap.child.wait().unwrap();
    assert!(status.success(), "{status}");
}
