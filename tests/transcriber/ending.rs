// SPDX-License-Identifier: MPL-2.0

//! The end of a stream.

use crate::common::feed::{CAPS, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::bounded;
use crate::common::service::Service;
use crate::scene::Scene;
use gst::prelude::*;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted;

/// Returns the last event of a tape, which is the end.
fn end_of(scene: &Scene) -> gst::Event {
    let entries = scene.tape.entries();
    let last = entries.last().expect("an end");
    last.event(gst::EventType::Eos).expect("an end").clone()
}

#[test]
fn the_end_comes_behind_the_words_that_are_owed() {
    let service = Service::start();
    let mut scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    scene
        .feed
        .speak(&scripted::speech(0..7, 16_000))
        .expect("room");
    scene.feed.hush(100).expect("room");
    let end = gst::event::Eos::new();
    let seqnum = end.seqnum();
    assert!(scene.feed.pad.push_event(end));
    scene.tape.wait_for_eos();
    assert_eq!(end_of(&scene).seqnum(), seqnum);
    let pad = scene.tape.check();
    assert_eq!(pad.words.len(), 7);
    assert_eq!(
        pad.covered,
        1500 * MS,
        "it is covered up to the end of the audio"
    );
    scene.pipeline.collect();
    let drained = scene.pipeline.of_kind("drained");
    assert_eq!(drained.len(), 1);
    assert_eq!(drained[0].get("complete"), Ok(true));
}

#[test]
fn a_service_that_says_nothing_does_not_hold_up_the_end() {
    let peer = Peer::start(Script::no_stop_answer());
    let mut scene = Scene::new(&format!("base-url={} drain-timeout=1000", peer.base_url()));
    scene.begin();
    scene.pipeline.wait_for_state("listening");
    scene.feed.hush(400).expect("room");
    let begin = Instant::now();
    scene.end();
    let took = begin.elapsed();
    let bounds = Duration::from_millis(900)..Duration::from_millis(2500);
    assert!(bounds.contains(&took), "{took:?}");
    assert_eq!(scene.tape.check().covered, 400 * MS);
}

#[test]
fn an_end_before_any_audio_comes_at_once() {
    for with_caps in [false, true] {
        let peer = Peer::start(Script::no_stop_answer());
        let scene = Scene::new(&format!("base-url={}", peer.base_url()));
        scene.pipeline.play();
        if with_caps {
            assert!(scene.feed.begin(CAPS));
        } else {
            scene
                .feed
                .pad
                .push_event(gst::event::StreamStart::new("feed"));
        }
        let begin = Instant::now();
        scene.end();
        let took = begin.elapsed();
        assert!(
            took < Duration::from_secs(1),
            "{took:?}, with caps: {with_caps}"
        );
        scene.tape.check();
        if !with_caps {
            assert_eq!(peer.records().len(), 0, "nobody was dialed");
        }
    }
}

#[test]
fn a_second_end_adds_nothing() {
    let service = Service::start();
    let mut scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    scene
        .feed
        .speak(&scripted::speech(0..3, 16_000))
        .expect("room");
    scene.end();
    let before = scene.tape.entries().len();
    // GStreamer refuses a second end at the pad that has seen one; an element that sends
    // another one after a flush does not.
    scene.feed.end();
    scene.pipeline.collect();
    assert_eq!(scene.tape.entries().len(), before);
    assert_eq!(scene.pipeline.of_kind("drained").len(), 1);
}

#[test]
fn a_stream_goes_on_behind_its_end_with_a_new_one() {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    for run in 0..3u16 {
        let words = run * 5..run * 5 + 5;
        scene
            .feed
            .speak(&scripted::speech(words, 16_000))
            .expect("room");
        scene.end();
        scene.feed.flush();
    }
    scene
        .feed
        .speak(&scripted::speech(90..92, 16_000))
        .expect("room");
    scene.end();
    let pad = scene.tape.check();
    let said: Vec<String> = pad.said().into_iter().map(|(word, _)| word).collect();
    let expected: Vec<String> = (0..15).chain(90..92).map(|n| format!("w{n}")).collect();
    assert_eq!(said, expected);
    assert_eq!((pad.ends, pad.flushes), (4, 3));
}

#[test]
fn null_ends_the_wait_for_the_last_results() {
    let (scene, _peer, ending) = Scene::draining();
    let took = scene.pipeline.stop();
    assert!(took < Duration::from_millis(1500), "{took:?}");
    bounded("the end", || ending.join()).expect("no panic");
    let ends = scene.tape.check().ends;
    assert_eq!(ends, 0, "a stream that was stopped has not ended");
}
