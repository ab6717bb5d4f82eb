// SPDX-License-Identifier: MPL-2.0

//! Flushes, and the waits that they end.

use crate::common::dialogue::final_result;
use crate::common::feed::MS;
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{bounded, counted, until};
use crate::common::service::Service;
use crate::scene::{Exchange, Scene};
use gst::prelude::*;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted;

/// How long a wait may go on after it was ended.
const SOON: Duration = Duration::from_millis(500);

#[test]
fn nothing_of_before_a_flush_comes_behind_it() {
    let mut exchange = Exchange::new(Script::listening(), "");
    exchange.hush(3000);
    exchange
        .dialogue
        .say_text(&final_result(&[("one", 500, 800)]));
    exchange.tape.wait_for_texts(1);
    // These wait behind a push that downstream holds back.
    exchange.tape.hold(true);
    exchange
        .dialogue
        .say_text(&final_result(&[("two", 1000, 1200), ("three", 1200, 1400)]));
    exchange.tape.wait_until_held();
    let begin = Instant::now();
    let feed = &exchange.dialogue.feed;
    assert!(feed.pad.push_event(gst::event::FlushStart::new()));
    let took = begin.elapsed();
    assert!(took < Duration::from_millis(50) * 4, "{took:?}");
    exchange.tape.hold(false);
    assert!(feed.pad.push_event(gst::event::FlushStop::new(true)));
    feed.segment();
    // A final of the audio before the flush comes late.
    exchange
        .dialogue
        .say_text(&final_result(&[("four", 2000, 2400)]));
    exchange.dialogue.settle();
    exchange.dialogue.feed.hush(1000).expect("room");
    // A second of silence is sent before it, which ends the utterance.
    exchange
        .dialogue
        .wait(|record| record.audio().len() >= 4900 * 32);
    exchange
        .dialogue
        .say_text(&final_result(&[("five", 4200, 4500)]));
    exchange.tape.wait_for_texts(2);
    let pad = exchange.tape.check();
    assert_eq!(exchange.tape.texts(), ["one", "five"]);
    assert_eq!(pad.flushes, 1);
    assert!(
        pad.words[1].pts.abs_diff(200 * MS) <= 20 * MS,
        "{:?}",
        pad.words
    );
    assert!(pad.words[1].discont);
    // Session and conversation go on.
    exchange.dialogue.assert_untroubled();
    assert_eq!(exchange.dialogue.peer.records().len(), 1);
    assert_eq!(
        exchange.dialogue.record().texts().len(),
        1,
        "one start and no stop"
    );
}

#[test]
fn a_flush_before_any_audio_leaves_the_stream_as_it_was() {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={} language-code=en-US", service.url()));
    scene.begin();
    for _ in 0..5 {
        scene.feed.flush();
    }
    scene
        .feed
        .speak(&scripted::speech(0..3, 16_000))
        .expect("room");
    scene.end();
    let pad = scene.tape.check();
    assert_eq!(pad.words.len(), 3);
    // FLUSH_STOP takes the segment away, and it comes again each time, with the language.
    let last_flush = scene.tape.entries();
    let at = |kind| {
        last_flush
            .iter()
            .rposition(|entry| entry.event(kind).is_some())
    };
    assert!(at(gst::EventType::Segment) > at(gst::EventType::FlushStop));
    assert!(at(gst::EventType::Tag).is_some());
}

/// Fills the spool of an element that may drop nothing, with a service that never answers.
/// Returns the scene, and what the push returns in the end.
fn full() -> (
    Scene,
    Peer,
    std::thread::JoinHandle<Result<(), gst::FlowError>>,
) {
    let peer = Peer::start(Script::never_accepts());
    let scene = Scene::new(&format!(
        "base-url={} leaky=none buffer-duration=1000",
        peer.base_url()
    ));
    scene.begin();
    let feed = scene.feed.clone();
    let pushing = std::thread::spawn(move || feed.hush(5000));
    let element = scene.element();
    until("a full spool", || {
        counted(&element, "audio-spooled") >= 900 * MS
    });
    (scene, peer, pushing)
}

/// Ends the wait of a thread for room. Returns what the push returns.
fn ended(
    end: impl FnOnce(&Scene),
    (scene, _peer, pushing): (
        Scene,
        Peer,
        std::thread::JoinHandle<Result<(), gst::FlowError>>,
    ),
) -> Result<(), gst::FlowError> {
    let begin = Instant::now();
    end(&scene);
    let result = bounded("the push", || pushing.join()).expect("no panic");
    let took = begin.elapsed();
    assert!(took < SOON, "{took:?}");
    result
}

#[test]
fn a_flush_ends_the_wait_for_room() {
    let result = ended(
        |scene| {
            assert!(scene.feed.pad.push_event(gst::event::FlushStart::new()));
        },
        full(),
    );
    assert_eq!(result, Err(gst::FlowError::Flushing));
}

#[test]
fn null_ends_the_wait_for_room() {
    let result = ended(
        |scene| {
            scene.pipeline.stop();
        },
        full(),
    );
    assert_eq!(result, Err(gst::FlowError::Flushing));
}

#[test]
fn an_upstream_that_is_unlinked_waits_for_room_no_longer() {
    let result = ended(
        |scene| {
            let sink = scene.element().static_pad("sink").expect("a pad");
            scene.feed.pad.unlink(&sink).expect("it was linked");
        },
        full(),
    );
    // The buffer that waited was taken, and the next one finds no pad.
    assert_eq!(result, Err(gst::FlowError::NotLinked));
}

#[test]
fn a_flush_ends_the_wait_for_the_last_results() {
    let (scene, _peer, ending) = Scene::draining();
    let begin = Instant::now();
    assert!(scene.feed.pad.push_event(gst::event::FlushStart::new()));
    bounded("the end", || ending.join()).expect("no panic");
    let took = begin.elapsed();
    assert!(took < SOON, "{took:?}");
    assert!(scene.feed.pad.push_event(gst::event::FlushStop::new(true)));
    scene.feed.segment();
    scene.feed.hush(200).expect("room");
    assert_eq!(scene.tape.check().ends, 0);
}
