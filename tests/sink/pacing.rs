// SPDX-License-Identifier: MPL-2.0

//! How fast audio leaves: C15, and a backlog.
//!
//! The tests compare the duration of the audio that came with the duration of the run. A busy
//! machine can only make the audio later, which no test forbids.

use crate::common::peer::{Peer, Record, Script, started_listening};
use crate::common::pipeline::{BOUND, Pipeline, counted, until};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How far audio may be ahead of the clock: twice a message and a buffer.
const LEAD: Duration = Duration::from_millis(240);

/// Returns how far audio of this source was ahead of the clock at most when it came to the
/// peer.
fn lead_of(source: &str, seconds: u64, sink: &str) -> Duration {
    let peer = Peer::start(Script::listening());
    let mut pipeline = Pipeline::launch(&format!(
        "{source} samplesperbuffer=320 num-buffers={} ! audio/x-raw,rate=16000 \
         ! symblsink name=sink base-url={} {sink}",
        seconds * 50,
        peer.base_url()
    ));
    let begin = Instant::now();
    pipeline.play();
    let most = Cell::new(Duration::ZERO);
    assert!(peer.wait_for(
        |records| {
            let Some(record) = records.first() else {
                return false;
            };
            let sent = Duration::from_millis(record.audio().len() as u64 / 32);
            most.set(most.get().max(sent.saturating_sub(begin.elapsed())));
            record.has("stop_request")
        },
        BOUND
    ));
    pipeline.wait_for_eos();
    let sent = peer.records()[0].audio().len() as u64;
    assert_eq!(sent, seconds * 32_000, "nothing is left out");
    most.get()
}

#[test]
fn c15_a_file_is_sent_no_faster_than_real_time() {
    let lead = lead_of("audiotestsrc", 2, "");
    assert!(lead <= LEAD, "{lead:?} ahead of the clock");
}

#[test]
fn c15_a_live_source_is_sent_no_faster_than_real_time() {
    let lead = lead_of("audiotestsrc is-live=true", 2, "");
    assert!(lead <= LEAD, "{lead:?} ahead of the clock");
}

#[test]
fn c15_audio_without_pacing_is_ahead_of_the_clock() {
    // This shows that the two tests above can fail. Even a busy machine needs less than half
    // a minute for this.
    let lead = lead_of("audiotestsrc", 30, "sync=false");
    assert!(lead > LEAD, "{lead:?} ahead of the clock");
}

/// Returns how far a backlog of four seconds was ahead of what a rate of 1.5 allows.
fn lead_of_a_backlog(rate: f64) -> Duration {
    let peer = Peer::start(Script::listening().replying_to_start(Vec::new()));
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc is-live=true samplesperbuffer=320 ! audio/x-raw,rate=16000 \
         ! symblsink name=sink base-url={} catch-up-rate={rate}",
        peer.base_url()
    ));
    pipeline.play();
    let sink = pipeline.sink();
    until("there is a backlog", || {
        counted(&sink, "audio-spooled") >= 4_000_000_000
    });
    let begin = Instant::now();
    peer.say(0, started_listening());
    let most = Cell::new(Duration::ZERO);
    let caught_up = |records: &[Record]| {
        let sent = Duration::from_millis(records[0].audio().len() as u64 / 32);
        // The first second may be sent at once.
        let allowed = Duration::from_secs(1) + begin.elapsed().mul_f64(1.5);
        most.set(most.get().max(sent.saturating_sub(allowed)));
        sent >= Duration::from_secs(4)
    };
    assert!(peer.wait_for(caught_up, BOUND));
    most.get()
}

#[test]
fn need_5_a_backlog_is_sent_no_faster_than_the_catch_up_rate() {
    let lead = lead_of_a_backlog(1.5);
    assert!(lead <= LEAD, "{lead:?} ahead");
    // This shows that the test above can fail.
    let lead = lead_of_a_backlog(1000.0);
    assert!(lead > LEAD, "{lead:?} ahead");
}
