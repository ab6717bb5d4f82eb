// SPDX-License-Identifier: MPL-2.0

//! A downstream that takes nothing, or is not there: the bus goes on, and every state is
//! reached.

use crate::common::dialogue::final_result;
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, until};
use crate::common::service::Service;
use crate::scene::{Exchange, Scene, wait_for_state};
use crate::tape::Tape;
use crate::track::{Rules, check_by};
use gst::prelude::*;
use std::time::Duration;
use symbl_service::recognizer::scripted;

#[test]
fn the_bus_goes_on_while_downstream_holds_a_push_back() {
    let mut exchange = Exchange::new(Script::listening(), "");
    exchange.hush(30_000);
    exchange.tape.hold(true);
    exchange
        .dialogue
        .say_text(&final_result(&[("first", 0, 200)]));
    exchange.tape.wait_until_held();
    for n in 1..100u64 {
        let word = [("word", n * 250, n * 250 + 200)];
        exchange.dialogue.say_text(&final_result(&word));
        let heard = exchange.dialogue.pipeline.wait_for_kind("transcript");
        let at: u64 = heard.get("running-time").expect("a place");
        // The first one's message is among them.
        assert!(at <= n * 250 * MS);
    }
    // Audio goes on as well.
    exchange.dialogue.feed.hush(1000).expect("room");
    assert_eq!(exchange.tape.texts(), [""; 0]);
    exchange.tape.hold(false);
    exchange.tape.wait_for_texts(100);
    exchange.tape.check();
}

#[test]
fn another_element_goes_on_while_one_is_held_back() {
    let held = Exchange::new(Script::listening(), "");
    let mut held = held;
    held.hush(2000);
    held.tape.hold(true);
    held.dialogue.say_text(&final_result(&[("first", 0, 200)]));
    held.tape.wait_until_held();
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    scene
        .feed
        .speak(&scripted::speech(0..5, 16_000))
        .expect("room");
    scene.end();
    assert_eq!(scene.tape.check().words.len(), 5);
    held.tape.hold(false);
}

/// Returns a pipeline whose text goes to a real sink, with its feed.
fn with_sink(peer: &Peer, sink: &str) -> (Pipeline, Feed) {
    let pipeline = Pipeline::launch(&format!(
        "symbltranscriber name=sink base-url={} ! {sink}",
        peer.base_url()
    ));
    let feed = Feed::of(&pipeline.sink());
    (pipeline, feed)
}

#[test]
fn null_does_not_wait_for_a_sink_that_takes_nothing() {
    // The first waits for a clock that stands. The second waits for someone who pulls, and the
    // third for a picture that never comes.
    for sink in [
        "fakesink sync=true name=end",
        "appsink sync=false max-buffers=1 drop=false name=end",
        "textoverlay name=o ! fakesink name=end",
    ] {
        let peer = Peer::start(Script::listening());
        let sink = match sink.strip_prefix("textoverlay name=o") {
            Some(rest) => format!("o.text_sink  textoverlay name=o {rest}"),
            None => sink.to_owned(),
        };
        let (mut pipeline, feed) = with_sink(&peer, &sink);
        pipeline
            .pipeline
            .use_clock(Some(&gst_check::TestClock::new()));
        pipeline.play();
        assert!(feed.begin(CAPS));
        wait_for_state(&pipeline, "listening");
        feed.hush(5000).expect("room");
        let sent = |records: &[crate::common::peer::Record]| records[0].audio().len() >= 4900 * 32;
        assert!(peer.wait_for(sent, crate::common::pipeline::BOUND));
        for n in 0..8 {
            peer.say(
                0,
                crate::common::peer::Message::text(final_result(&[(
                    "word",
                    n * 500,
                    n * 500 + 300,
                )])),
            );
            pipeline.wait_for_kind("transcript");
        }
        let took = pipeline.stop();
        assert!(took <= Duration::from_millis(900), "{sink}: {took:?}");
    }
}

#[test]
fn a_pause_holds_nothing_up() {
    let peer = Peer::start(Script::listening());
    let (mut pipeline, feed) = with_sink(&peer, "fakesink sync=true name=end");
    pipeline.set_state(gst::State::Paused);
    assert!(feed.begin(CAPS));
    // The first gap prerolls the sink, so that the pipeline is ready without a word.
    let (result, state, _) = pipeline.pipeline.state(gst::ClockTime::from_seconds(60));
    assert_eq!(
        (result, state),
        (Ok(gst::StateChangeSuccess::Success), gst::State::Paused)
    );
    wait_for_state(&pipeline, "listening");
    feed.hush(3000).expect("room");
    let sent = |records: &[crate::common::peer::Record]| records[0].audio().len() >= 2900 * 32;
    assert!(peer.wait_for(sent, crate::common::pipeline::BOUND));
    peer.say(
        0,
        crate::common::peer::Message::text(final_result(&[("word", 1000, 1300)])),
    );
    pipeline.wait_for_kind("transcript");
    pipeline.play();
    pipeline.set_state(gst::State::Paused);
    let took = pipeline.stop();
    assert!(took <= Duration::from_millis(900), "{took:?}");
}

#[test]
fn a_text_pad_that_is_linked_to_nothing_leaves_the_text_on_the_bus() {
    let service = Service::start();
    let line = format!(
        "symbltranscriber base-url={} language-code=en-US",
        service.url()
    );
    let (mut pipeline, element) = Pipeline::around(&line);
    let feed = Feed::of(&element);
    pipeline.play();
    assert!(feed.begin(CAPS));
    let speak = |words: std::ops::Range<u16>| {
        feed.speak(&scripted::speech(words, 16_000)).expect("room");
        feed.hush(500).expect("room");
    };
    speak(0..3);
    while pipeline.words().len() < 3 {
        pipeline.wait_for_kind("transcript");
    }
    // All of it has gone nowhere, and what comes from now on goes to the tape.
    until("all is counted", || {
        crate::common::pipeline::counted(&element, "words-pushed") == 3
    });
    let tape = Tape::behind(&element);
    speak(10..13);
    assert!(feed.end());
    tape.wait_for_eos();
    pipeline.collect();
    assert_eq!(pipeline.words().len(), 6);
    let rules = Rules {
        joins_late: true,
        ..Rules::default()
    };
    let pad = check_by(rules, &tape.entries());
    let said: Vec<String> = pad.said().into_iter().map(|(word, _)| word).collect();
    assert_eq!(said, ["w10", "w11", "w12"]);
    assert_eq!(pad.covered, 2200 * MS);
    // The stream's own events were kept for the pad that is linked later.
    let kept = [
        gst::EventType::StreamStart,
        gst::EventType::Caps,
        gst::EventType::Segment,
        gst::EventType::Tag,
    ];
    for kind in kept {
        let entries = tape.entries();
        assert!(
            entries.iter().any(|entry| entry.event(kind).is_some()),
            "{kind:?}"
        );
    }
}

#[test]
fn an_error_of_downstream_reaches_upstream_once() {
    let mut exchange = Exchange::new(Script::listening(), "");
    exchange.hush(3000);
    exchange.tape.refuse(Some(gst::FlowError::Error));
    exchange
        .dialogue
        .say_text(&final_result(&[("word", 1000, 1300)]));
    assert_eq!(exchange.dialogue.feed.refusal(), gst::FlowError::Error);
    exchange.tape.refuse(None);
    exchange.dialogue.feed.hush(100).expect("it was told once");
    exchange
        .dialogue
        .say_text(&final_result(&[("next", 2000, 2300)]));
    exchange.tape.wait_for_texts(1);
    assert_eq!(exchange.tape.texts(), ["next"]);
}

#[test]
fn a_downstream_that_has_ended_leaves_the_text_on_the_bus() {
    let mut exchange = Exchange::new(Script::listening(), "");
    exchange.hush(3000);
    exchange.tape.refuse(Some(gst::FlowError::Eos));
    for n in 0..3 {
        let word = [("word", n * 500, n * 500 + 300)];
        exchange.dialogue.say_text(&final_result(&word));
        exchange.dialogue.pipeline.wait_for_kind("transcript");
    }
    exchange.dialogue.feed.hush(500).expect("audio flows on");
    exchange.dialogue.assert_untroubled();
}
