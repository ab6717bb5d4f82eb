// SPDX-License-Identifier: MPL-2.0

//! Everything that an application can do to a running pipeline, in random order and over a
//! network that breaks. Nothing hangs, and no critical of GStreamer comes, which would end the
//! tests.

use crate::common::cutter::{Cut, Cutter, Fault, Refusal, Side};
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, bounded, buffer, counted, stats};
use crate::common::service::Service;
use gst::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// Duration of a storm.
const STORM: Duration = Duration::from_secs(4);

/// Longest time for the last change to NULL. The contract says half a second, but the machine
/// may be busy.
const STOP: Duration = Duration::from_secs(10);

const FAULTS: [Fault; 5] = [
    Fault::Reset,
    Fault::Fin,
    Fault::Close(Some(1011)),
    Fault::Close(None),
    Fault::HalfOpen,
];

const REFUSALS: [Refusal; 4] = [
    Refusal::Reset,
    Refusal::Http(503),
    Refusal::Silence,
    Refusal::After(500),
];

fn launch(url: &str, random: &mut fastrand::Rng) -> Pipeline {
    let leaky = ["none", "oldest", "auto"][random.usize(..3)];
    let (live, sync) = (random.bool(), random.bool());
    Pipeline::launch(&format!(
        "audiotestsrc name=src is-live={live} samplesperbuffer=320 ! \
         capsfilter name=caps caps=audio/x-raw,format=S16LE,channels=1,rate=16000 ! \
         symblsink name=sink sync={sync} leaky={leaky} buffer-duration=500 drain-timeout=200 on-fatal=warning \
         ping-interval=100 pong-timeout=200 connect-timeout=300 reconnect-max-delay=50 \
         catch-up-rate=100 base-url={url}"
    ))
}

/// The pipeline of a storm.
struct Scene<'a> {
    pipeline: &'a Pipeline,
    cutter: &'a Cutter,
    /// The stream ends with the next buffer.
    ends: Arc<AtomicBool>,
    /// A flush of the test takes this lock for writing, and actions that may let the streaming
    /// thread go on take it for reading. The end of a flush waits for that thread, so that
    /// nothing may resume it between the beginning and the end.
    flush: RwLock<()>,
}

impl<'a> Scene<'a> {
    fn new(pipeline: &'a Pipeline, cutter: &'a Cutter) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let filter = pipeline.pipeline.by_name("caps").expect("a filter");
        let pad = filter.static_pad("src").expect("a pad");
        let end = Arc::clone(&ends);
        // An event to the pipeline would wait in PAUSED for PLAYING, and would block all
        // other changes of the state.
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
            if end.swap(false, Ordering::SeqCst) {
                pad.push_event(gst::event::Eos::new());
                return gst::PadProbeReturn::Drop;
            }
            gst::PadProbeReturn::Ok
        });
        Self {
            pipeline,
            cutter,
            ends,
            flush: RwLock::default(),
        }
    }
}

/// Performs one random action of an application, which need not succeed. Returns its name.
fn act(random: &mut fastrand::Rng, scene: &Scene<'_>) -> &'static str {
    let Scene {
        pipeline, cutter, ..
    } = scene;
    let whole = &pipeline.pipeline;
    let sink = pipeline.sink();
    match random.u8(..14) {
        0..5 => {
            let state = match random.u8(..8) {
                0 => gst::State::Null,
                1 => gst::State::Ready,
                2..5 => gst::State::Paused,
                _ => gst::State::Playing,
            };
            let _shared = scene.flush.read();
            let _ = whole.set_state(state);
            "a state change"
        }
        5..7 => {
            let _shared = scene.flush.read();
            let _ = whole.seek_simple(
                gst::SeekFlags::FLUSH,
                gst::ClockTime::from_mseconds(random.u64(..5000)),
            );
            "a flushing seek"
        }
        7 => {
            // Upstream may flush from any thread.
            let _own = scene.flush.write();
            let pad = sink.static_pad("sink").expect("a pad");
            pad.send_event(gst::event::FlushStart::new());
            std::thread::sleep(Duration::from_millis(random.u64(..5)));
            pad.send_event(gst::event::FlushStop::new(true));
            "a flush"
        }
        8 => {
            let rate = [8000, 16_000, 44_100, 48_000][random.usize(..4)];
            let caps = gst::Caps::builder("audio/x-raw")
                .field("format", "S16LE")
                .field("channels", 1)
                .field("rate", rate)
                .build();
            let filter = whole.by_name("caps").expect("a filter");
            filter.set_property("caps", caps);
            "new caps"
        }
        9 => {
            scene.ends.store(true, Ordering::SeqCst);
            "an end"
        }
        10 => {
            sink.set_property("access-token", format!("token-{}", random.u8(..)));
            // The element refuses this while it runs.
            sink.set_property("chunk-duration", random.u32(20..200));
            sink.set_property("sync", random.bool());
            "properties"
        }
        11 => {
            let _ = stats(&sink);
            let _ = sink.property_value("state");
            let _ = whole.query_position::<gst::ClockTime>();
            "questions"
        }
        12 => {
            cutter.arm(Cut {
                side: Side::Client,
                after: random.u64(..20_000),
                fault: *random.choice(&FAULTS).expect("some"),
                refusals: vec![*random.choice(&REFUSALS).expect("some")],
            });
            "a cut"
        }
        _ => {
            std::thread::sleep(Duration::from_millis(random.u64(..60)));
            "a pause"
        }
    }
}

/// Runs a storm on one pipeline from two threads, and asserts that it works after that.
fn storm(seed: u64, service: &Service) {
    let mut random = fastrand::Rng::with_seed(seed);
    let cutter = Cutter::to(&service.url());
    let mut pipeline = launch(&cutter.base_url(), &mut random);
    let scene = Scene::new(&pipeline, &cutter);
    let end = Instant::now() + STORM;
    pipeline.play();
    let acts: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = [random.fork(), random.fork()]
            .map(|mut random| {
                let scene = &scene;
                scope.spawn(move || {
                    let mut acts = 0;
                    let mut last = "nothing";
                    while Instant::now() < end {
                        let what = format!("storm {seed}: what comes after {last}");
                        last = bounded(&what, || act(&mut random, scene));
                        acts += 1;
                    }
                    acts
                })
            })
            .into();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    });
    assert!(acts > 20, "storm {seed}: {acts}");
    let took = pipeline.stop();
    assert!(took < STOP, "storm {seed}: {took:?} to NULL");
    // The pipeline works like a new one.
    scene.ends.store(false, Ordering::SeqCst);
    pipeline.collect();
    pipeline.messages.clear();
    pipeline.play();
    pipeline.wait_for_state("listening");
    assert!(pipeline.stop() < STOP);
}

#[test]
fn need_6_no_storm_of_changes_over_a_faulty_network_hangs_a_pipeline() {
    let own = std::env::var("SYMBL_STORM_SEED").ok();
    let own = own.map(|seed| seed.parse().expect("SYMBL_STORM_SEED is a number"));
    let service = Service::start();
    std::thread::scope(|scope| {
        for seed in (1..=4).chain(own) {
            let service = &service;
            scope.spawn(move || storm(seed, service));
        }
    });
}

#[test]
fn a_buffer_shorter_than_it_states_causes_no_critical_at_the_edge_of_a_segment() {
    let peer = Peer::start(Script::listening());
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    pipeline.play();
    feed.pad.push_event(gst::event::StreamStart::new("feed"));
    assert!(feed.caps(CAPS));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::SECOND);
    feed.pad.push_event(gst::event::Segment::new(&segment));
    // The buffer has 10 ms of audio and states 100 ms, of which half lie in the segment.
    let short = buffer(vec![1; 320], Some(950 * MS), Some(100 * MS));
    feed.pad.push(short).expect("it flows");
    let whole = buffer(vec![1; 3200], Some(1050 * MS), Some(100 * MS));
    feed.pad.push(whole).expect("it flows");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(counted(&pipeline.sink(), "audio-sent"), 100 * MS);
}
