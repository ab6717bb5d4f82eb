// SPDX-License-Identifier: MPL-2.0

//! Stops after which the session goes on: for pauses, and for new caps without
//! `modify_request`. C28–C30.

use crate::common::dialogue::{Dialogue, final_result, message_response};
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Message, Peer, Record, Script, recognition_stopped, started_listening};
use crate::common::pipeline::{BOUND, Pipeline, buffer, counted};
use crate::common::relay::Relay;
use crate::common::service::Service;
use gst::prelude::*;
use symbl_service::recognizer::scripted;

/// Returns the script of a peer that keeps the socket after a stop.
fn staying() -> Script {
    Script::listening().replying_to_stop(vec![recognition_stopped()])
}

fn how_many(record: &Record, kind: &str) -> usize {
    let order = record.order();
    order.iter().filter(|line| line.starts_with(kind)).count()
}

/// Returns the number of pings that came. An answer to each is on its way.
fn pings(record: &Record) -> usize {
    let ping = |frame: &&Message| matches!(frame, Message::Ping(_));
    record.frames.iter().filter(ping).count()
}

/// Pushes 200 ms of audio at 8 kHz.
fn at_8_khz(feed: &Feed, pts: u64) {
    assert!(feed.caps(&CAPS.replace("16000", "8000")));
    let data = buffer(vec![0; 160 * 20], Some(pts * MS), Some(200 * MS));
    feed.pad.push(data).expect("there is room");
}

fn pause(pipeline: &mut Pipeline) {
    pipeline.set_state(gst::State::Paused);
    pipeline.wait_for_state("idle");
}

#[test]
fn c30_a_pause_stops_processing_and_playing_starts_it_again_on_the_same_socket() {
    let properties = "pause-policy=stop-processing ping-interval=200";
    let mut dialogue = Dialogue::begin(staying(), properties);
    let sink = dialogue.pipeline.sink();
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(250).expect("there is room");
    pause(&mut dialogue.pipeline);
    assert_eq!(
        dialogue.record().order(),
        [
            "start_request 16000",
            "3200 bytes",
            "1600 bytes",
            "stop_request"
        ]
    );
    let start = dialogue.record().texts()[0].to_owned();
    assert!(
        start.contains(r#""disconnectOnStopRequest":false"#),
        "{start}"
    );
    // The connection stays alive, carries no audio, and costs nothing.
    let (billed, before) = (counted(&sink, "billable-time"), pings(&dialogue.record()));
    dialogue.wait(|record| pings(record) >= before + 3);
    assert_eq!(counted(&sink, "billable-time"), billed);
    assert_eq!(how_many(&dialogue.record(), "start_request"), 1);
    dialogue.pipeline.set_state(gst::State::Playing);
    dialogue.wait(|record| how_many(record, "start_request") == 2);
    dialogue.feed.hush(200).expect("there is room");
    assert!(dialogue.feed.end());
    dialogue.pipeline.wait_for_eos();
    let records = dialogue.peer.records();
    assert_eq!(records.len(), 1);
    assert_eq!(
        records[0].order()[4..],
        ["start_request 16000", "3200 bytes", "stop_request"]
    );
    assert_eq!(counted(&sink, "reconnects"), 0);
    assert_eq!(dialogue.pipeline.of_kind("gap").len(), 0);
}

/// Pushes ten words, pauses, and pushes ten words. Returns the words and their conversations.
fn words_around_a_pause(policy: &str) -> (Vec<String>, Vec<String>, u64) {
    let service = Service::start();
    let properties = format!("base-url={} pause-policy={policy}", service.url());
    let (mut pipeline, feed) = Feed::pipeline(&properties);
    let sink = pipeline.sink();
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..10, 16_000)).expect("room");
    pipeline.set_state(gst::State::Paused);
    if policy != "keep" {
        pipeline.wait_for_state("idle");
        let told: Vec<_> = pipeline.words().into_iter().map(|(word, _)| word).collect();
        assert_eq!(told.len(), 10, "all is told before it rests: {told:?}");
    }
    pipeline.set_state(gst::State::Playing);
    feed.speak(&scripted::speech(10..20, 16_000)).expect("room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    let words = pipeline.words().into_iter();
    let mut conversations: Vec<String> = pipeline
        .finals()
        .iter()
        .map(|said| said.get("conversation-id").expect("a conversation"))
        .collect();
    conversations.dedup();
    assert!(words.clone().enumerate().all(|(n, (_, at))| {
        let right = n as u64 * 200 * MS;
        at.abs_diff(right) <= 20 * MS
    }));
    let texts = words.map(|(word, _)| word).collect();
    (texts, conversations, counted(&sink, "reconnects"))
}

#[test]
fn c30_every_word_around_a_pause_comes_once_and_in_one_conversation() {
    let expected: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
    for policy in ["keep", "stop-processing", "disconnect"] {
        let (words, conversations, reconnects) = words_around_a_pause(policy);
        assert_eq!(words, expected, "{policy}");
        assert_eq!(conversations.len(), 1, "{policy}");
        assert_eq!(reconnects, 0, "{policy}");
    }
}

#[test]
fn a_pause_that_disconnects_has_no_socket() {
    let mut dialogue = Dialogue::begin(staying(), "pause-policy=disconnect");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(200).expect("there is room");
    pause(&mut dialogue.pipeline);
    dialogue.wait(|record| record.close_code() == Some(1001));
    assert_eq!(dialogue.peer.records().len(), 1);
    dialogue.pipeline.set_state(gst::State::Playing);
    dialogue.pipeline.wait_for_state("listening");
    let records = dialogue.peer.records();
    assert_eq!(records.len(), 2);
    let path = |record: &Record| record.request.clone().expect("a request").path;
    assert_eq!(path(&records[0]), path(&records[1]));
}

#[test]
fn a_drop_in_a_pause_is_followed_by_a_dial_and_by_no_start() {
    let peer = Peer::start(staying());
    let relay = Relay::to(&peer.base_url());
    let properties = format!(
        "base-url={} pause-policy=stop-processing reconnect-max-delay=10 ping-interval=200",
        relay.base_url()
    );
    let (mut pipeline, feed) = Feed::pipeline(&properties);
    pipeline.play();
    assert!(feed.begin(CAPS));
    pipeline.wait_for_state("listening");
    pause(&mut pipeline);
    relay.cut();
    pipeline.wait_for_state("reconnecting");
    pipeline.wait_for_state("idle");
    // The socket is alive and gets pings only.
    let alive = |records: &[Record]| records.len() == 2 && pings(&records[1]) >= 2;
    assert!(peer.wait_for(alive, BOUND));
    assert!(peer.records()[1].texts().is_empty());
    pipeline.set_state(gst::State::Playing);
    pipeline.wait_for_state("listening");
    assert_eq!(peer.records().len(), 2);
}

#[test]
fn a_stop_in_a_pause_does_not_wait_for_anybody() {
    let peer = Peer::start(staying());
    let properties = format!("base-url={} pause-policy=stop-processing", peer.base_url());
    let (mut pipeline, feed) = Feed::pipeline(&properties);
    pipeline.play();
    assert!(feed.begin(CAPS));
    pipeline.wait_for_state("listening");
    feed.hush(200).expect("there is room");
    pipeline.stop(); // which has a bound
    let closed = |records: &[Record]| records[0].close_code() == Some(1000);
    assert!(peer.wait_for(closed, BOUND));
    assert_eq!(how_many(&peer.records()[0], "stop_request"), 1);
}

#[test]
fn the_end_of_the_stream_in_a_pause_comes_when_it_plays() {
    let mut dialogue = Dialogue::begin(staying(), "pause-policy=stop-processing");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(200).expect("there is room");
    pause(&mut dialogue.pipeline);
    let ending = {
        let feed = dialogue.feed.clone();
        std::thread::spawn(move || feed.end())
    };
    dialogue.settle();
    assert!(dialogue.pipeline.of_kind("drained").is_empty());
    dialogue.pipeline.set_state(gst::State::Playing);
    dialogue.pipeline.wait_for_eos();
    assert!(ending.join().expect("no panic"));
    let drained = dialogue.pipeline.of_kind("drained");
    assert_eq!(drained[0].get("complete"), Ok(true));
}

#[test]
fn c28_new_caps_lead_to_a_stop_and_a_start_if_that_is_asked_for() {
    for (policy, connections) in [("restart", 1), ("reconnect", 2)] {
        let mut dialogue = Dialogue::begin(staying(), &format!("caps-change-policy={policy}"));
        dialogue.feed.hush(230).expect("there is room");
        at_8_khz(&dialogue.feed, 230);
        assert!(dialogue.feed.end());
        dialogue.pipeline.wait_for_eos();
        let records = dialogue.peer.records();
        assert_eq!(records.len(), connections, "{policy}");
        let order: Vec<String> = records.iter().flat_map(Record::order).collect();
        assert_eq!(
            order,
            [
                "start_request 16000",
                "3200 bytes",
                "960 bytes",
                "stop_request",
                "start_request 8000",
                "1600 bytes",
                "stop_request"
            ],
            "{policy}"
        );
        assert_eq!(dialogue.pipeline.of_kind("gap").len(), 0);
    }
}

#[test]
fn c28_a_service_that_refuses_new_caps_in_mid_stream_is_connected_to_anew() {
    let mut dialogue = Dialogue::begin(staying(), "reconnect-max-delay=10");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(200).expect("there is room");
    at_8_khz(&dialogue.feed, 200);
    dialogue.wait(|record| record.has("modify_request"));
    dialogue.say_text(r#"{"type":"error","details":"no such request"}"#);
    let third = |records: &[Record]| records.get(2).is_some_and(|r| !r.audio().is_empty());
    assert!(dialogue.peer.wait_for(third, BOUND));
    assert!(dialogue.feed.end());
    dialogue.pipeline.wait_for_eos();
    let records = dialogue.peer.records();
    // The audio that was not finalised comes under its own format, then the rest.
    assert_eq!(
        records[1].order(),
        ["start_request 16000", "3200 bytes", "stop_request"]
    );
    assert_eq!(
        records[2].order(),
        ["start_request 8000", "1600 bytes", "stop_request"]
    );
    let warned = dialogue.pipeline.messages.iter().any(|m| match m.view() {
        gst::MessageView::Warning(w) => w.error().to_string().contains("caps-change-policy"),
        _ => false,
    });
    assert!(warned);
}

#[test]
fn c29_after_new_caps_a_rejoin_starts_with_their_rate() {
    let peer = Peer::start(Script::listening());
    let relay = Relay::to(&peer.base_url());
    let (pipeline, feed) = Feed::pipeline(&format!("base-url={}", relay.base_url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    let mut dialogue = Dialogue::between(pipeline, feed, peer);
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(200).expect("there is room");
    at_8_khz(&dialogue.feed, 200);
    dialogue.wait(|record| record.audio().len() == 6400 + 3200);
    dialogue.say_text(&final_result(&[("hm", 0, 390)]));
    dialogue.say_text(&message_response(&[("m", "hm")]));
    dialogue.pipeline.wait_for_kind("message");
    relay.cut();
    dialogue.pipeline.wait_for_state("reconnecting");
    dialogue.pipeline.wait_for_state("listening");
    let order = dialogue.record().order();
    assert_eq!(order[0], "start_request 8000");
}

#[test]
fn a_stop_for_new_caps_without_an_answer_has_a_bound() {
    let silent = Script::listening()
        .replying_to_stop(Vec::new())
        .replying_to_start(vec![started_listening()]);
    let properties = "caps-change-policy=restart drain-timeout=300 reconnect-max-delay=10";
    let dialogue = Dialogue::begin(silent, properties);
    dialogue.feed.hush(200).expect("there is room");
    at_8_khz(&dialogue.feed, 200);
    let second = |records: &[Record]| records.get(1).is_some_and(|r| !r.audio().is_empty());
    assert!(dialogue.peer.wait_for(second, BOUND));
    let order = dialogue.record().order();
    assert_eq!(order, ["start_request 8000", "1600 bytes"]);
}

#[test]
fn a_speaker_set_while_playing_applies_to_the_audio_that_follows() {
    let service = Service::start();
    let properties = format!("base-url={} speaker-name=Ada", service.url());
    let (mut pipeline, feed) = Feed::pipeline(&properties);
    let sink = pipeline.sink();
    pipeline.play();
    assert!(feed.begin(CAPS));
    for (n, name) in (0..).zip(["Ada", "Bob", "Cleo"]) {
        sink.set_property("speaker-name", name);
        let words = n * 10..n * 10 + 10;
        feed.speak(&scripted::speech(words, 16_000)).expect("room");
    }
    assert!(feed.end());
    pipeline.wait_for_eos();
    let words = pipeline.words().into_iter().map(|(word, _)| word);
    let expected: Vec<String> = (0..30).map(|n| format!("w{n}")).collect();
    assert_eq!(words.collect::<Vec<_>>(), expected);
    for kind in ["transcript", "message"] {
        let mut speakers: Vec<String> = pipeline
            .of_kind(kind)
            .iter()
            .map(|said| said.get("speaker-name").expect("a speaker"))
            .collect();
        speakers.dedup();
        assert_eq!(speakers, ["Ada", "Bob", "Cleo"], "{kind}");
    }
    let events = pipeline.of_kind("session");
    let split = |s: &gst::Structure| s.get::<&str>("event") == Ok("split");
    assert!(!events.iter().any(split));
}
