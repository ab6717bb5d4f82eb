// SPDX-License-Identifier: MPL-2.0

//! All audio is accounted for at any moment, also under faults. `audio-sent`, `audio-spooled`
//! and `audio-dropped` add up to the audio that was pushed, to the sample. The gaps add up to
//! the audio that was dropped.

use crate::common::cutter::{Cut, Cutter, Fault, Refusal, Side};
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, buffer, counted, stats, until};
use gst::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A rate at which hardly any buffer lasts a whole number of nanoseconds.
const RATE: u64 = 44_100;

/// Returns the samples in an amount of nanoseconds, and asserts that the rest is less than
/// half a sample.
fn samples(nanos: u64) -> u64 {
    let samples = (nanos * RATE + 500_000_000) / 1_000_000_000;
    let exact = samples * 1_000_000_000 / RATE;
    assert!(
        exact.abs_diff(nanos) < 100,
        "{nanos} ns is no number of samples"
    );
    samples
}

/// Counts the audio before and after each push.
#[derive(Default)]
struct Pushed {
    /// Samples whose push has begun.
    begun: AtomicU64,
    /// Samples whose push has returned.
    done: AtomicU64,
}

/// Pushes buffers of many lengths.
struct Source {
    feed: Feed,
    pushed: Arc<Pushed>,
    random: fastrand::Rng,
    tone: Vec<u8>,
}

impl Source {
    fn push(&mut self, millis: u64) {
        let end = self.pushed.done.load(Ordering::SeqCst) + millis * RATE / 1000;
        while self.pushed.done.load(Ordering::SeqCst) < end {
            let at = self.pushed.done.load(Ordering::SeqCst);
            let count = self.random.u64(1..3000);
            self.pushed.begun.store(at + count, Ordering::SeqCst);
            let data = self.tone[..count as usize * 2].to_vec();
            let pts = at * 1_000_000_000 / RATE;
            let buffer = buffer(data, Some(pts), Some(count * 1_000_000_000 / RATE));
            self.feed.pad.push(buffer).expect("it flows");
            self.pushed.done.store(at + count, Ordering::SeqCst);
        }
    }
}

/// Reads the counters from a thread of its own, all the time.
struct Auditor {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Auditor {
    fn of(sink: &gst::Element, pushed: &Arc<Pushed>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sink, pushed, stopped) = (sink.clone(), Arc::clone(pushed), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut audits = 0;
            while !stopped.load(Ordering::SeqCst) {
                let before = pushed.done.load(Ordering::SeqCst);
                let sum = accounted(&sink);
                let after = pushed.begun.load(Ordering::SeqCst);
                assert!(
                    (before..=after).contains(&samples(sum)),
                    "{sum} ns are accounted for, of {before} to {after} samples"
                );
                audits += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            audits
        });
        Self { stop, thread }
    }

    /// Stops the auditor. Returns how often it read the counters.
    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("all was accounted for")
    }
}

/// Returns all audio that a sink accounts for, at one moment.
fn accounted(sink: &gst::Element) -> u64 {
    let stats = stats(sink);
    let field = |name| stats.get::<u64>(name).expect("a counter");
    field("audio-sent") + field("audio-spooled") + field("audio-dropped")
}

fn source(properties: &str) -> (Pipeline, Source) {
    let (pipeline, feed) = Feed::pipeline(properties);
    pipeline.play();
    assert!(feed.begin(&CAPS.replace("16000", &RATE.to_string())));
    let mut random = fastrand::Rng::with_seed(7);
    let tone = std::iter::repeat_with(|| random.u8(..))
        .take(6000)
        .collect();
    let source = Source {
        feed,
        pushed: Arc::default(),
        random,
        tone,
    };
    (pipeline, source)
}

/// Returns the duration of the gaps in audio that was never sent.
fn dropped_in_gaps(pipeline: &Pipeline) -> u64 {
    let gaps = pipeline.of_kind("gap").into_iter();
    let dropped = gaps.filter(|gap| gap.get("reason") != Ok("not-finalised"));
    dropped
        .map(|gap| gap.get::<u64>("duration").expect("a duration"))
        .sum()
}

fn cut(fault: Fault, after: u64, refusals: Vec<Refusal>) -> Cut {
    Cut {
        side: Side::Client,
        after,
        fault,
        refusals,
    }
}

/// Pushes audio over a relay that cuts now and then. Asserts at each pause that all audio is
/// accounted for, to the sample.
fn push_under_faults(properties: &str) -> (Pipeline, Arc<Pushed>) {
    let peer = Peer::start(Script::listening());
    let cutter = Cutter::to(&peer.base_url());
    let (mut pipeline, mut source) = source(&format!(
        "base-url={} ping-interval=100 pong-timeout=500 reconnect-max-delay=20 {properties}",
        cutter.base_url()
    ));
    let sink = pipeline.sink();
    let pushed = Arc::clone(&source.pushed);
    let auditor = Auditor::of(&sink, &pushed);
    let faults = [
        Fault::Reset,
        Fault::Fin,
        Fault::Close(Some(1011)),
        Fault::HalfOpen,
    ];
    for fault in faults.into_iter().cycle().take(12) {
        let refusals = vec![Refusal::Http(503), Refusal::After(300)];
        let after = source.random.u64(..30_000);
        cutter.arm(cut(fault, after, refusals));
        let millis = source.random.u64(500..4000);
        source.push(millis);
        let given = pushed.done.load(Ordering::SeqCst);
        assert_eq!(samples(accounted(&sink)), given, "{properties}");
        // The relay cuts before the next round. Audio or pings bring the bytes for it.
        let cuts = cutter.cuts();
        source.push(1200);
        until("a cut", || {
            cutter.cuts() > cuts || counted(&sink, "audio-spooled") == 0
        });
    }
    assert!(source.feed.end());
    pipeline.wait_for_eos();
    assert!(cutter.cuts() >= 6, "{properties}: {} cuts", cutter.cuts());
    assert!(counted(&sink, "reconnects") >= 6, "{properties}");
    assert!(auditor.stop() > 100, "{properties}");
    let given = pushed.done.load(Ordering::SeqCst);
    assert_eq!(samples(accounted(&sink)), given, "{properties}");
    assert_eq!(counted(&sink, "audio-spooled"), 0);
    (pipeline, pushed)
}

#[test]
fn cuts_and_all_is_sent() {
    let (pipeline, pushed) = push_under_faults("leaky=none");
    let sink = pipeline.sink();
    assert_eq!(
        samples(counted(&sink, "audio-sent")),
        pushed.done.load(Ordering::SeqCst)
    );
    assert_eq!(dropped_in_gaps(&pipeline), 0);
}

#[test]
fn dropped_audio_is_in_the_gaps_despite_cuts() {
    let (pipeline, _) = push_under_faults("leaky=oldest buffer-duration=700");
    let dropped = counted(&pipeline.sink(), "audio-dropped");
    assert!(dropped > 1000 * MS, "{dropped}");
    assert_eq!(dropped_in_gaps(&pipeline), dropped);
}

#[test]
fn audio_left_over_at_the_end_of_the_stream_or_session_is_in_a_gap() {
    for (status, reason) in [(503, "not-drained"), (403, "session-failed")] {
        let peer = Peer::start(Script::listening());
        let cutter = Cutter::to(&peer.base_url());
        let (mut pipeline, mut source) = source(&format!(
            "base-url={} on-fatal=warning drain-timeout=300",
            cutter.base_url()
        ));
        let sink = pipeline.sink();
        pipeline.wait_for_state("listening");
        let refusals = vec![Refusal::Http(status); 100];
        cutter.arm(cut(Fault::Reset, 1000, refusals));
        source.push(1000);
        pipeline.wait_for_state("reconnecting");
        // The first dial after the loss is still to come.
        source.push(1000);
        if status == 403 {
            pipeline.wait_for_state("failed");
        }
        assert!(source.feed.end());
        pipeline.wait_for_eos();
        let given = source.pushed.done.load(Ordering::SeqCst);
        assert_eq!(samples(accounted(&sink)), given, "{reason}");
        let dropped = counted(&sink, "audio-dropped");
        assert!(dropped > 0, "{reason}");
        // Nothing was finalised, so that the audio that was sent is lost too.
        let lost = dropped_in_gaps(&pipeline);
        assert!(lost >= dropped, "{reason}: {lost} of {dropped}");
        assert!(
            samples(lost) <= given + 1,
            "{reason}: {lost} of {given} samples"
        );
        let reasons = pipeline.of_kind("gap");
        let told = reasons.iter().any(|gap| gap.get("reason") == Ok(reason));
        assert!(told, "{reasons:?}");
    }
}
