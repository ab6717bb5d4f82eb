// SPDX-License-Identifier: MPL-2.0

//! `set_state(NULL)` returns within half a second, whatever the network does.
//!
//! The bound is a promise to applications, so that it is absolute. Each case is stopped three
//! times and the median counts, because the machine may be busy.

use crate::common::feed::{CAPS, Feed};
use crate::common::peer::{Peer, Record, Script};
use crate::common::pipeline::{BOUND, Pipeline, counted};
use std::time::Duration;

const PROMISE: Duration = Duration::from_millis(500);

/// Stops three pipelines that `prepare` has brought into `state`, and asserts the bound.
fn stops_in_time(state: &str, prepare: impl Fn() -> (Pipeline, Peer)) {
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            let (pipeline, _peer) = prepare();
            assert_eq!(pipeline.state(), state);
            let time = pipeline.stop();
            assert_eq!(pipeline.state(), "idle");
            time
        })
        .collect();
    times.sort();
    assert!(times[1] <= PROMISE, "{state}: {times:?}");
}

/// Starts a pipeline and a peer with this script, and pushes half a second of audio.
fn playing(script: Script, properties: &str) -> (Pipeline, Feed, Peer) {
    let peer = Peer::start(script);
    let (pipeline, feed) = Feed::pipeline(&format!("base-url={} {properties}", peer.base_url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.hush(500).expect("there is room");
    (pipeline, feed, peer)
}

fn seen(peer: &Peer, what: impl Fn(&Record) -> bool) {
    assert!(peer.wait_for(|records| records.iter().any(&what), BOUND));
}

#[test]
fn while_connecting_to_a_host_that_does_not_answer() {
    stops_in_time("connecting", || {
        let (mut pipeline, _, peer) = playing(Script::never_accepts(), "");
        pipeline.wait_for_state("connecting");
        (pipeline, peer)
    });
}

#[test]
fn while_waiting_for_the_upgrade() {
    stops_in_time("connecting", || {
        let (pipeline, _, peer) = playing(Script::black_hole(), "");
        seen(&peer, |record| record.request.is_some());
        (pipeline, peer)
    });
}

#[test]
fn while_waiting_for_the_start() {
    stops_in_time("starting", || {
        let (pipeline, _, peer) = playing(Script::upgrade_only(), "");
        seen(&peer, |record| record.has("start_request"));
        (pipeline, peer)
    });
}

#[test]
fn while_waiting_to_dial_again() {
    stops_in_time("connecting", || {
        let refusal = Script::http(503, &[("Retry-After", "3600")], "");
        let (mut pipeline, _, peer) = playing(refusal, "");
        pipeline.wait_for("an outage", |message| {
            message
                .structure()
                .is_some_and(|s| s.get::<u64>("retry-in").is_ok())
        });
        (pipeline, peer)
    });
}

#[test]
fn while_streaming_to_a_peer_that_does_not_read() {
    stops_in_time("listening", || {
        let (mut pipeline, feed, peer) =
            playing(Script::not_reading(), "leaky=none buffer-duration=1000");
        pipeline.wait_for_state("listening");
        std::thread::spawn(move || while feed.hush(1000).is_ok() {});
        until_stuck(&pipeline);
        (pipeline, peer)
    });
}

/// Waits until no audio has left for a while although audio waits, because all buffers on the
/// way are full.
fn until_stuck(pipeline: &Pipeline) {
    let sink = pipeline.sink();
    let mut before = u64::MAX;
    let end = std::time::Instant::now() + BOUND;
    loop {
        assert!(std::time::Instant::now() < end, "the socket never fills up");
        let sent = counted(&sink, "bytes-sent");
        let waits = counted(&sink, "audio-spooled");
        if sent == before && waits >= 400_000_000 {
            return;
        }
        before = sent;
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn while_draining() {
    stops_in_time("stopping", || {
        let (mut pipeline, feed, peer) = playing(Script::no_stop_answer(), "drain-timeout=3600000");
        pipeline.wait_for_state("listening");
        std::thread::spawn(move || feed.end());
        seen(&peer, |record| record.has("stop_request"));
        (pipeline, peer)
    });
}

#[test]
fn while_draining_to_a_service_that_is_away() {
    stops_in_time("connecting", || {
        let (mut pipeline, feed, peer) = playing(Script::never_accepts(), "drain-timeout=3600000");
        pipeline.wait_for_state("connecting");
        std::thread::spawn(move || feed.end());
        (pipeline, peer)
    });
}
