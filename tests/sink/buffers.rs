// SPDX-License-Identifier: MPL-2.0

//! How much audio leaves the spool for a service that does not read.

use crate::common::feed::{CAPS, Feed};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{counted, until};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Twice the send buffer, which Linux doubles, and the receive buffer of a peer that never
/// reads, which does not grow. In bytes.
const BOUND: u64 = 2 * (128 + 128) * 1024;

/// How long a full socket takes no byte.
const STILL: Duration = Duration::from_millis(500);

#[test]
fn a_service_that_does_not_read_gets_no_more_than_two_small_buffers_of_audio() {
    let peer = Peer::start(Script::not_reading());
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} buffer-duration=600000",
        peer.base_url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    pipeline.wait_for_state("listening");
    // This is eight times as much as may leave.
    let seconds = 8 * BOUND / 32_000;
    for _ in 0..seconds {
        feed.hush(1000).expect("there is room");
    }
    let sink = pipeline.sink();
    let sent = || counted(&sink, "bytes-sent");
    let last = Cell::new((sent(), Instant::now()));
    until("the socket is full", || {
        if last.get().0 != sent() {
            last.set((sent(), Instant::now()));
        }
        last.get().1.elapsed() >= STILL
    });
    let spooled = counted(&sink, "audio-spooled") / 1_000_000 * 32;
    assert_eq!(sent() + spooled, seconds * 32_000, "all is somewhere");
    assert!(sent() < BOUND, "{} bytes left the spool", sent());
}
