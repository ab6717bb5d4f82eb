// SPDX-License-Identifier: MPL-2.0

//! From the open socket to the first audio: C8–C10, C16–C18.

use crate::common::dialogue::Dialogue;
use crate::common::feed::{CAPS, MS};
use crate::common::peer::{
    CONVERSATION_ID, Message, Peer, Record, Script, conversation_created, recognition_started,
    started_listening,
};
use crate::common::pipeline::{BOUND, Pipeline, buffer, bytes_of, counted, until};
use gst::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use symbl_service::recognizer::scripted;

/// Launch lines from raw audio to each encoding at each rate, with the names of the encoding
/// and the rate on the wire.
const FORMATS: [(&str, &str, u64); 11] = [
    ("audio/x-raw,rate=8000", "LINEAR16", 8_000),
    ("audio/x-raw,rate=16000", "LINEAR16", 16_000),
    ("audio/x-raw,rate=44100", "LINEAR16", 44_100),
    ("audio/x-raw,rate=48000", "LINEAR16", 48_000),
    ("audio/x-raw,rate=8000 ! mulawenc", "MULAW", 8_000),
    ("audio/x-raw,rate=8000 ! opusenc", "Opus", 8_000),
    ("audio/x-raw,rate=16000 ! opusenc", "Opus", 16_000),
    ("audio/x-raw,rate=48000 ! opusenc", "Opus", 48_000),
    (
        "audio/x-raw,rate=16000 ! flacenc ! flacparse",
        "FLAC",
        16_000,
    ),
    (
        "audio/x-raw,rate=44100 ! flacenc ! flacparse",
        "FLAC",
        44_100,
    ),
    (
        "audio/x-raw,rate=48000 ! flacenc ! flacparse",
        "FLAC",
        48_000,
    ),
];

/// Plays one second of audio in this format, and returns the record of the peer.
fn record_of(line: &str) -> Record {
    let peer = Peer::start(Script::listening());
    let mut pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=50 samplesperbuffer=960 ! audioconvert ! {line} \
         ! symblsink name=sink sync=false base-url={}",
        peer.base_url()
    ));
    pipeline.play();
    pipeline.wait_for_eos();
    peer.records().remove(0)
}

fn start_request(texts: &[&str]) -> Value {
    serde_json::from_str(texts.first().expect("a text")).expect("JSON")
}

#[test]
fn c8_the_first_frame_is_the_start_request() {
    for (line, ..) in FORMATS {
        let record = record_of(line);
        let Message::Text(first) = &record.frames[0] else {
            panic!("{line}: {:?}", record.frames[0]);
        };
        let first: Value = serde_json::from_str(first).expect("JSON");
        assert_eq!(first["type"], "start_request", "{line}");
        assert!(!record.audio().is_empty(), "{line}");
    }
}

#[test]
fn c9_encoding_and_rate_are_those_of_the_caps() {
    for (line, encoding, rate) in FORMATS {
        let record = record_of(line);
        let request = start_request(&record.texts());
        assert_eq!(
            request["config"]["speechRecognition"],
            json!({"encoding": encoding, "sampleRateHertz": rate}),
            "{line}"
        );
    }
}

#[test]
fn c10_without_options_only_the_fixed_members_are_sent() {
    let mut dialogue = Dialogue::begin(Script::listening(), "");
    dialogue.pipeline.wait_for_state("listening");
    assert_eq!(
        start_request(&dialogue.record().texts()),
        json!({
            "type": "start_request",
            "insightTypes": ["question", "action_item"],
            "config": {
                "confidenceThreshold": 0.5,
                "languageCode": "en-US",
                "speechRecognition": {"encoding": "LINEAR16", "sampleRateHertz": 16_000},
            },
            "noConnectionTimeout": 300,
            "disconnectOnStopRequest": true,
            "disconnectOnStopRequestTimeout": 1800,
        })
    );
}

#[test]
fn c10_set_properties_are_sent_and_false_is_sent_as_false() {
    let mut dialogue = Dialogue::begin(
        Script::listening(),
        "disconnect-on-stop-request=false no-connection-timeout=0 meeting-title=Rounds \
         speaker-id=mara@example.org timezone-offset=0 sentiment=true insight-types=topic",
    );
    dialogue.pipeline.wait_for_state("listening");
    let request = start_request(&dialogue.record().texts());
    assert_eq!(request["disconnectOnStopRequest"], json!(false));
    assert_eq!(request["noConnectionTimeout"], json!(0));
    assert_eq!(request["config"]["meetingTitle"], "Rounds");
    assert_eq!(request["config"]["timezoneOffset"], json!(0));
    assert_eq!(request["speaker"], json!({"userId": "mara@example.org"}));
    assert_eq!(request["insightTypes"], json!(["topic"]));
    assert!(!request.to_string().contains("null"));
}

#[test]
fn c16_no_audio_leaves_before_the_acknowledgement_and_all_of_it_after() {
    for acknowledgement in [started_listening(), recognition_started()] {
        let silent = Script::listening().replying_to_start(Vec::new());
        let mut dialogue = Dialogue::begin(silent, "");
        dialogue.wait(|record| record.has("start_request"));
        let speech = scripted::speech(0..20, 16_000);
        let (before, after) = speech.split_at(48_000);
        dialogue.feed.speak(before).expect("there is room");
        let sink = dialogue.pipeline.sink();
        assert_eq!(counted(&sink, "audio-spooled"), 3000 * MS);

        dialogue.settle();
        assert_eq!(dialogue.record().audio().len(), 0);
        // This message is no acknowledgement.
        dialogue.say(conversation_created());
        dialogue.settle();
        assert_eq!(dialogue.record().audio().len(), 0);
        assert_eq!(dialogue.pipeline.state(), "starting");

        dialogue.say(acknowledgement);
        dialogue.pipeline.wait_for_state("listening");
        dialogue.feed.speak(after).expect("there is room");
        assert!(dialogue.feed.end());
        dialogue.pipeline.wait_for_eos();
        assert!(dialogue.record().audio() == bytes_of(&speech));
        assert_eq!(dialogue.pipeline.of_kind("gap").len(), 0);
    }
}

#[test]
fn c16_no_header_leaves_before_the_acknowledgement_either() {
    let peer = Peer::start(Script::listening().replying_to_start(Vec::new()));
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=100 ! audioconvert ! audio/x-raw,rate=16000 \
         ! flacenc ! flacparse ! symblsink name=sink sync=false base-url={}",
        peer.base_url()
    ));
    pipeline.play();
    assert!(peer.wait_for(|r| r.iter().any(|r| r.has("start_request")), BOUND));
    let sink = pipeline.sink();
    until("all audio is given", || {
        counted(&sink, "audio-spooled") == 6400 * MS
    });
    let ping = Message::Ping("now".into());
    peer.say(0, ping);
    let pong = Message::Pong("now".into());
    assert!(peer.wait_for(|r| r[0].frames.contains(&pong), BOUND));
    assert_eq!(peer.records()[0].audio().len(), 0);
    peer.say(0, started_listening());
    assert!(peer.wait_for(|r| r[0].audio().starts_with(b"fLaC"), BOUND));
}

#[test]
fn c17_a_start_that_is_not_acknowledged_is_tried_again_and_hangs_nothing() {
    let (script, properties) = (Script::upgrade_only(), "connect-timeout=200");
    let mut dialogue = Dialogue::begin(script, properties);
    let speech = scripted::speech(0..5, 16_000);
    dialogue.feed.speak(&speech).expect("there is room");
    let outage = dialogue.pipeline.wait_for("an outage", |message| {
        message
            .structure()
            .is_some_and(|s| s.get::<u64>("retry-in").is_ok())
    });
    let outage = outage.structure().expect("fields");
    assert_eq!(outage.get::<&str>("reason"), Ok("start-timeout"));
    assert_eq!(outage.get::<&str>("state"), Ok("connecting"));
    let again = |records: &[Record]| records.get(1).is_some_and(|r| r.has("start_request"));
    assert!(dialogue.peer.wait_for(again, BOUND));
    dialogue.feed.speak(&speech).expect("it flows on");
    // The second connection gets the acknowledgement.
    dialogue.peer.say(1, started_listening());
    dialogue.wait(|record| record.audio().len() == 4 * speech.len());
    let records = dialogue.peer.records();
    assert_eq!(records[0].audio().len(), 0);
    assert_eq!(
        records[1].audio(),
        bytes_of(&[&speech[..], &speech].concat())
    );
}

#[test]
fn c18_the_three_replies_are_taken_in_any_order_and_the_conversation_is_reported_once() {
    let replies = [
        started_listening(),
        conversation_created(),
        recognition_started(),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let script = Script::listening()
            .replying_to_start(order.iter().map(|n| replies[*n].clone()).collect());
        let peer = Peer::start(script);
        let mut pipeline = Pipeline::appsrc(CAPS, &format!("base-url={}", peer.base_url()));
        let notified = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&notified);
        pipeline
            .sink()
            .connect_notify(Some("conversation-id"), move |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        pipeline.play();
        let speech = bytes_of(&scripted::speech(0..5, 16_000));
        let buffer = buffer(speech.clone(), Some(0), Some(1000 * MS));
        pipeline.src().push_buffer(buffer).expect("it flows");
        pipeline.src().end_of_stream().expect("an end");
        pipeline.wait_for_eos();

        assert!(peer.records()[0].audio() == speech, "{order:?}");
        let sessions = pipeline.of_kind("session");
        let events = sessions
            .iter()
            .map(|s| (s.get("event"), s.get("conversation-id")));
        let once = [Ok("created"), Ok("completed")].map(|event| (event, Ok(CONVERSATION_ID)));
        assert_eq!(events.collect::<Vec<_>>(), once, "{order:?}");
        let reconnects = counted(&pipeline.sink(), "reconnects");
        assert_eq!(reconnects, 0, "{order:?}: one start");
        assert_eq!(notified.load(Ordering::Relaxed), 1, "{order:?}");
        let id: String = pipeline.sink().property("conversation-id");
        assert_eq!(id, CONVERSATION_ID);
        let listening = pipeline.of_kind("state");
        let listening = listening
            .iter()
            .filter(|s| s.get::<&str>("state") == Ok("listening"));
        assert_eq!(listening.count(), 1, "{order:?}");
    }
}
