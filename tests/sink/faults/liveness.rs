// SPDX-License-Identifier: MPL-2.0

//! Sockets that die without a close, and services that only seem to work.

use super::row::assert_all_said;
use crate::common::dialogue::Dialogue;
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Message, Peer, Script};
use crate::common::pipeline::{BOUND, Pipeline, bytes_of, counted};
use crate::common::relay::Relay;
use crate::common::service::Service;
use gst::prelude::*;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted;

const QUICK_PINGS: &str = "reconnect-max-delay=50 ping-interval=200 pong-timeout=400";

/// Starts a playing pipeline and a service with this fault on its first connection.
fn playing(fault: &str, properties: &str) -> (Service, Pipeline, Feed) {
    let service = Service::faulty(fault);
    let (pipeline, feed) = Feed::pipeline(&format!("base-url={} {properties}", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    (service, pipeline, feed)
}

/// Waits for the loss of a session by an unanswered ping, and for the next session.
fn wait_for_a_rejoin(pipeline: &mut Pipeline) {
    let lost = pipeline.wait_for("a dead socket", |message| {
        let state = message.structure().filter(|s| s.name() == "symbl/state");
        state.is_some_and(|s| s.get::<&str>("state") == Ok("reconnecting"))
    });
    let lost = lost.structure().expect("fields");
    assert_eq!(lost.get::<&str>("reason"), Ok("pong-timeout"), "{lost}");
    pipeline.wait_for_state("listening");
}

#[test]
fn need_2_a_dead_socket_is_noticed_while_no_audio_flows() {
    let (_service, mut pipeline, feed) = playing("half-open@start", QUICK_PINGS);
    wait_for_a_rejoin(&mut pipeline);
    say_all(&mut pipeline, &feed);
}

#[test]
fn need_2_a_dead_socket_is_noticed_in_a_pause() {
    let (_service, mut pipeline, feed) = playing("half-open@start", QUICK_PINGS);
    pipeline.wait_for_state("listening");
    pipeline.set_state(gst::State::Paused);
    wait_for_a_rejoin(&mut pipeline);
    assert_eq!(pipeline.pipeline.current_state(), gst::State::Paused);
    pipeline.play();
    say_all(&mut pipeline, &feed);
}

fn say_all(pipeline: &mut Pipeline, feed: &Feed) {
    let speech = scripted::speech(0..10, 16_000);
    feed.speak(&speech).expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_all_said(pipeline, 10);
}

#[test]
fn c39_a_dead_socket_is_noticed_within_interval_and_timeout() {
    let mut took: Vec<Duration> = (0..3)
        .map(|_| {
            let properties = "reconnect-max-delay=50 ping-interval=500 pong-timeout=500";
            let (_service, mut pipeline, _feed) = playing("half-open@start", properties);
            pipeline.wait_for_state("listening");
            let dead_since = Instant::now();
            wait_for_a_rejoin(&mut pipeline);
            dead_since.elapsed()
        })
        .collect();
    took.sort();
    // The bound is the sum of the settings, and more for the rejoin and a busy machine.
    assert!(took[1] <= Duration::from_secs(2), "{took:?}");
}

#[test]
fn need_2_any_frame_of_the_service_counts_as_life() {
    let mut dialogue = Dialogue::begin(
        Script::not_reading(),
        "ping-interval=100 pong-timeout=1000 reconnect-max-delay=50",
    );
    dialogue.pipeline.wait_for_state("listening");
    // This service never reads, and so never answers pings.
    let end = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < end {
        dialogue.say(Message::Ping("alive".into()));
        std::thread::sleep(Duration::from_millis(50));
    }
    dialogue.pipeline.collect();
    dialogue.assert_untroubled();
    assert_eq!(dialogue.peer.records().len(), 1);
}

#[test]
fn c41_after_a_rejoin_nothing_is_sent_on_the_old_socket() {
    let peer = Peer::start(Script::listening());
    let relay = Relay::to(&peer.base_url());
    let (mut pipeline, feed) =
        Feed::pipeline(&format!("base-url={} {QUICK_PINGS}", relay.base_url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    pipeline.wait_for_state("listening");
    let speech = scripted::speech(0..10, 16_000);
    let (before, after) = speech.split_at(16_000);
    feed.speak(before).expect("there is room");
    assert!(peer.wait_for(|r| r[0].audio().len() == 32_000, BOUND));
    // The service still has its end of the old socket open.
    relay.hold();
    wait_for_a_rejoin(&mut pipeline);
    feed.speak(after).expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();

    let records = peer.records();
    assert_eq!(records.len(), 2);
    assert!(!records[0].ended, "both were there for a time");
    assert!(records[0].audio() == bytes_of(before));
    assert!(records[1].audio() == bytes_of(&speech));
    assert_eq!(counted(&pipeline.sink(), "reconnects"), 1);
}

#[test]
fn a_service_without_results_is_listened_to() {
    let (service, mut pipeline, feed) = playing("mute", QUICK_PINGS);
    pipeline.wait_for_state("listening");
    feed.speak(&scripted::speech(0..10, 16_000))
        .expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(pipeline.words(), []);
    assert_eq!(pipeline.of_kind("gap").len(), 0);
    assert_eq!(counted(&pipeline.sink(), "audio-sent"), 2000 * MS);
    assert_eq!(service.faults().connections(), 1);
}

#[test]
fn the_end_of_processing_is_passed_on() {
    let (_service, mut pipeline, feed) = playing("terminated", "");
    let raw = pipeline.wait_for_kind("raw");
    assert_eq!(raw.get::<&str>("type"), Ok("processing_terminated"));
    assert!(feed.end());
    pipeline.wait_for_eos();
}
