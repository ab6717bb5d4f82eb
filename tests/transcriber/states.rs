// SPDX-License-Identifier: MPL-2.0

//! State changes, a second run, and caps that change.

use crate::common::feed::{CAPS, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{BOUND, buffer, counted, until};
use crate::common::plugin;
use crate::common::service::Service;
use crate::scene::{QUICK, Scene, wait_for_state};
use crate::words::TOLERANCE;
use gst::prelude::*;
use symbl_service::recognizer::scripted;

fn numbered(range: std::ops::Range<u16>) -> Vec<String> {
    range.map(|n| format!("w{n}")).collect()
}

fn texts(said: Vec<(String, u64)>) -> Vec<String> {
    said.into_iter().map(|(word, _)| word).collect()
}

#[test]
fn a_pause_loses_no_word_and_ends_no_session() {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    for n in 0..10u16 {
        scene
            .feed
            .speak(&scripted::speech(n * 5..n * 5 + 5, 16_000))
            .expect("room");
        scene.pipeline.set_state(gst::State::Paused);
        scene.pipeline.set_state(gst::State::Playing);
    }
    scene.end();
    let pad = scene.tape.check();
    assert_eq!(texts(pad.said()), numbered(0..50));
    assert_eq!(counted(&scene.element(), "reconnects"), 0);
}

#[test]
fn while_a_live_pipeline_is_paused_its_pad_stands() {
    let peer = Peer::start(Script::listening());
    let scene = Scene::live(&format!(
        "base-url={} latency=1000 {QUICK}",
        peer.base_url()
    ));
    scene.begin();
    scene.speak(&vec![0; 48_000]);
    scene.tape.wait_until_covered(2000 * MS);
    scene.pipeline.set_state(gst::State::Paused);
    let stands = scene.tape.check().covered;
    // The clock of the system goes on, and the running time does not.
    scene.set_time(60_000);
    scene.pipeline.set_state(gst::State::Playing);
    until("it plays", || {
        scene.element().current_state() == gst::State::Playing
    });
    let goes_on = scene.element().current_running_time().expect("it plays");
    assert_eq!(goes_on, gst::ClockTime::from_seconds(3));
    assert!(scene.tape.check().covered <= stands + 200 * MS);
    scene.set_time(61_000);
    scene.tape.wait_until_covered(3000 * MS);
    scene.tape.check();
}

#[test]
fn ready_and_back_begins_a_stream_each_time() {
    let service = Service::start();
    let mut scene = Scene::new(&format!("base-url={}", service.url()));
    for run in 0..20u16 {
        scene.feed.pad.set_active(true).expect("a pad");
        scene.begin();
        scene
            .feed
            .speak(&scripted::speech(run..run + 1, 16_000))
            .expect("room");
        if run % 2 == 0 {
            scene.end();
        }
        scene.pipeline.set_state(gst::State::Ready);
        scene.feed.pad.set_active(false).expect("a pad");
        let mut tape = crate::tape::Tape::new();
        std::mem::swap(&mut tape, &mut scene.tape);
        let pad = tape.check();
        if run % 2 == 0 {
            assert_eq!(texts(pad.said()), numbered(run..run + 1), "run {run}");
            assert_eq!(pad.ends, 1);
        }
        let src = scene.element().static_pad("src").expect("a text pad");
        src.unlink(&tape.pad).expect("it was linked");
        scene.tape.link(&scene.element());
    }
    scene.pipeline.collect();
    let warned = scene.pipeline.messages.iter().filter(|message| {
        matches!(
            message.type_(),
            gst::MessageType::Error | gst::MessageType::Warning
        )
    });
    assert_eq!(warned.count(), 0, "{:#?}", scene.pipeline.names());
}

#[test]
fn a_second_run_counts_from_zero_and_has_its_own_session() {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={}", service.url()));
    let element = scene.element();
    let mut ids = Vec::new();
    for _ in 0..2 {
        scene.feed.pad.set_active(true).expect("a pad");
        scene.begin();
        scene
            .feed
            .speak(&scripted::speech(0..4, 16_000))
            .expect("room");
        scene.end();
        ids.push(element.property::<String>("connection-id"));
        scene.pipeline.stop();
        assert_eq!(counted(&element, "words-pushed"), 4, "as in the run before");
        scene.feed.pad.set_active(false).expect("a pad");
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn new_caps_stay_on_the_connection_where_the_service_takes_them() {
    let peer = Peer::start(Script::listening());
    let mut scene = Scene::new(&format!(
        "base-url={} caps-change-policy=modify",
        peer.base_url()
    ));
    scene.begin();
    scene.pipeline.wait_for_state("listening");
    scene.feed.hush(1000).expect("room");
    assert!(scene.feed.caps(&CAPS.replace("16000", "8000")));
    let data = buffer(vec![0; 160 * 50], Some(1000 * MS), Some(500 * MS));
    scene.feed.pad.push(data).expect("room");
    let modified = |records: &[crate::common::peer::Record]| {
        records[0]
            .texts()
            .iter()
            .any(|text| text.contains("modify_request"))
    };
    assert!(peer.wait_for(modified, BOUND));
    scene.end();
    assert_eq!(peer.records().len(), 1);
    let pad = scene.tape.check();
    assert_eq!(pad.covered, 1500 * MS);
    let caps = scene
        .tape
        .entries()
        .into_iter()
        .filter(|e| e.event(gst::EventType::Caps).is_some());
    assert_eq!(caps.count(), 1, "the caps of the text stay");
}

#[test]
fn words_around_new_caps_are_at_their_times() {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    scene
        .feed
        .speak(&scripted::speech(0..5, 16_000))
        .expect("room");
    assert!(scene.feed.caps(&CAPS.replace("16000", "8000")));
    let data = crate::common::pipeline::bytes_of(&scripted::speech(20..25, 8_000));
    scene
        .feed
        .pad
        .push(buffer(data, Some(1000 * MS), Some(1000 * MS)))
        .expect("room");
    scene.end();
    let said = scene.tape.check().said();
    let expected: Vec<u16> = (0..5).chain(20..25).collect();
    assert_eq!(said.len(), 10, "{said:?}");
    for ((n, code), (word, at)) in (0..).zip(expected).zip(&said) {
        assert_eq!(word, &format!("w{code}"));
        assert!(at.abs_diff(n * 200 * MS) <= TOLERANCE, "{word} at {at}");
    }
}

#[test]
fn caps_that_the_service_cannot_take_are_an_error() {
    let peer = Peer::start(Script::listening());
    let mut scene = Scene::new(&format!("base-url={}", peer.base_url()));
    scene.pipeline.play();
    scene
        .feed
        .pad
        .push_event(gst::event::StreamStart::new("feed"));
    assert!(
        !scene
            .feed
            .caps("audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=400")
    );
    let message = scene
        .pipeline
        .wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    assert_eq!(
        message.src(),
        Some(scene.element().upcast_ref::<gst::Object>())
    );
    assert_eq!(peer.records().len(), 0, "nobody was dialed");
}

#[test]
fn an_element_that_is_let_go_of_is_gone() {
    let service = Service::start();
    let black_hole = Peer::start(Script::black_hole());
    for url in [service.url(), black_hole.base_url()] {
        let mut scene = Scene::new(&format!("base-url={url} drain-timeout=100"));
        scene.begin();
        scene.feed.hush(300).expect("room");
        if url == service.url() {
            wait_for_state(&scene.pipeline, "listening");
        }
        let weak = scene.element().downgrade();
        scene.pipeline.stop();
        scene.pipeline.collect();
        drop(scene);
        until("the element is finalised", || weak.upgrade().is_none());
    }
}

#[test]
fn the_tracer_of_leaks_finds_none() {
    let service = Service::start();
    let line = format!(
        "audiotestsrc num-buffers=20 samplesperbuffer=1600 ! {CAPS} \
         ! symbltranscriber base-url={} ! fakesink sync=false",
        service.url()
    );
    let output = plugin::command("gst-launch-1.0")
        .args(line.split_whitespace())
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .env("G_DEBUG", "fatal-criticals")
        .output()
        .expect("gst-launch-1.0");
    assert!(output.status.success());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("GST_TRACER"), "the tracer runs: {log}");
    let alive = |line: &&str| line.contains("object-alive, type-name=(string)Gst");
    assert_eq!(log.lines().find(alive), None);
}
