// SPDX-License-Identifier: MPL-2.0

//! A sink beside other branches, which its troubles must not affect.

use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, buffer, counted, init};
use gst::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Returns peers that cannot be reached, in different ways.
fn black_holes() -> [Script; 4] {
    [
        Script::never_accepts(),
        Script::black_hole(),
        Script::upgrade_only(),
        Script::not_reading(),
    ]
}

#[test]
fn need_7_behind_a_tee_the_other_branch_gets_every_buffer() {
    const BUFFERS: u64 = 3000;
    for script in black_holes() {
        let peer = Peer::start(script);
        let mut pipeline = Pipeline::launch(&format!(
            "audiotestsrc num-buffers={BUFFERS} samplesperbuffer=320 ! {CAPS} ! tee name=t \
             t. ! queue ! fakesink name=other signal-handoffs=true sync=false \
             t. ! symblsink name=sink sync=false leaky=oldest buffer-duration=1000 \
             drain-timeout=100 on-fatal=warning base-url={}",
            peer.base_url()
        ));
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let other = pipeline.pipeline.by_name("other").expect("a sink");
        other.connect("handoff", false, move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            None
        });
        pipeline.play();
        pipeline.wait_for_eos();
        assert_eq!(count.load(Ordering::Relaxed), BUFFERS);
        let sink = pipeline.sink();
        let taken = counted(&sink, "audio-sent") + counted(&sink, "audio-dropped");
        assert_eq!(taken, BUFFERS * 20 * MS);
    }
}

/// Measures how long pushes take. Returns the median and the 99th percentile.
fn times_of(mut push: impl FnMut(gst::Buffer)) -> (Duration, Duration) {
    const PUSHES: u64 = 500;
    let mut times: Vec<Duration> = (0..PUSHES)
        .map(|n| {
            let buffer = buffer(vec![1; 640], Some(n * 20 * MS), Some(20 * MS));
            let begin = Instant::now();
            push(buffer);
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

#[test]
fn need_7_a_push_into_a_sink_that_cannot_send_is_as_good_as_one_into_nothing() {
    init();
    for script in black_holes() {
        let peer = Peer::start(script);
        let (pipeline, feed) = Feed::pipeline(&format!(
            "base-url={} leaky=oldest buffer-duration=2000 catch-up-rate=1000",
            peer.base_url()
        ));
        pipeline.play();
        let nothing = gst::parse::launch("fakesink sync=false async=false").expect("a sink");
        let other = Feed::of(&nothing);
        nothing.set_state(gst::State::Playing).expect("it plays");
        // The machine may be busy, so that the best of some windows counts.
        let (mut middle, mut late, mut reference) = (Duration::MAX, Duration::MAX, Duration::MAX);
        for _ in 0..8 {
            assert!(feed.begin(CAPS) && other.begin(CAPS));
            let ours = times_of(|buffer| {
                feed.pad.push(buffer).expect("it flows");
            });
            let theirs = times_of(|buffer| {
                other.pad.push(buffer).expect("it flows");
            });
            middle = middle.min(ours.0);
            late = late.min(ours.1);
            reference = reference.min(theirs.0);
        }
        eprintln!("median {middle:?}, p99 {late:?}, fakesink {reference:?}");
        assert!(late < Duration::from_millis(5), "99th percentile: {late:?}");
        assert!(middle < 200 * reference, "{middle:?} against {reference:?}");
        nothing.set_state(gst::State::Null).expect("it stops");
    }
}
