// SPDX-License-Identifier: MPL-2.0

//! Flushes, seeks, caps, segments and latency.

use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{BOUND, Pipeline, buffer, counted, until};
use crate::common::service::Service;
use gst::prelude::*;
use std::sync::{Arc, Mutex};
use symbl_service::recognizer::scripted;

/// Waits for the ERROR message.
fn error(pipeline: &mut Pipeline) -> gst::glib::Error {
    let message = pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    pipeline.collect();
    let errors = pipeline
        .messages
        .iter()
        .filter(|m| m.type_() == gst::MessageType::Error);
    assert_eq!(errors.count(), 1, "{:#?}", pipeline.names());
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    error.error()
}

fn texts(pipeline: &Pipeline) -> Vec<String> {
    pipeline.words().into_iter().map(|word| word.0).collect()
}

#[test]
fn a_flush_drops_waiting_audio_and_keeps_the_session() {
    let service = Service::start();
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..10, 16_000))
        .expect("there is room");
    feed.hush(500).expect("there is room"); // which ends the utterance
    while pipeline.finals().is_empty() {
        pipeline.wait_for_kind("transcript");
    }
    // This is too short to be a word, and must not be mixed with the next audio.
    feed.speak(&scripted::speech(10..11, 16_000)[..1000])
        .expect("there is room");
    feed.flush();
    feed.speak(&scripted::speech(20..30, 16_000))
        .expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    let expected: Vec<String> = (0..10).chain(20..30).map(|n| format!("w{n}")).collect();
    assert_eq!(texts(&pipeline), expected);
    for said in pipeline.finals() {
        assert_eq!(said.get::<u64>("generation"), Ok(1));
    }
    // The new segment starts at zero again, and so do the times.
    let (_, at) = pipeline.words()[10].clone();
    assert!(at <= 20 * MS, "w20 at {at}");
}

#[test]
fn a_flush_during_an_outage_drops_the_audio_before_it() {
    let peer = Peer::start(Script::never_accepts());
    let (pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.hush(700).expect("there is room");
    feed.flush();
    feed.hush(200).expect("there is room");
    let sink = pipeline.sink();
    assert_eq!(counted(&sink, "audio-dropped"), 700 * MS);
    assert_eq!(counted(&sink, "audio-spooled"), 200 * MS);
}

#[test]
fn a_flush_frees_a_thread_that_waits_for_room() {
    let peer = Peer::start(Script::never_accepts());
    let (pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} leaky=none buffer-duration=1000",
        peer.base_url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    let pushing = {
        let feed = feed.clone();
        std::thread::spawn(move || feed.hush(5000))
    };
    let sink = pipeline.sink();
    until("a full spool", || {
        counted(&sink, "audio-spooled") >= 900 * MS
    });
    assert!(feed.pad.push_event(gst::event::FlushStart::new()));
    assert_eq!(
        pushing.join().expect("no panic"),
        Err(gst::FlowError::Flushing)
    );
    assert!(feed.pad.push_event(gst::event::FlushStop::new(true)));
    feed.segment();
    feed.hush(200).expect("there is room again");
}

#[test]
fn a_seek_stays_in_the_session() {
    let peer = Peer::start(Script::listening());
    let mut pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=200 samplesperbuffer=1600 ! {CAPS} ! symblsink name=sink base-url={}",
        peer.base_url()
    ));
    pipeline.play();
    pipeline.wait_for_state("listening");
    for position in [5, 1] {
        pipeline
            .pipeline
            .seek_simple(
                gst::SeekFlags::FLUSH,
                gst::ClockTime::from_seconds(position),
            )
            .expect("a seek");
        let sink = pipeline.sink();
        let before = counted(&sink, "audio-sent");
        until("audio flows on", || {
            counted(&sink, "audio-sent") >= before + 300 * MS
        });
    }
    pipeline.collect();
    assert_eq!(pipeline.state(), "listening");
    let records = peer.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].texts().len(), 1, "one start and no stop");
}

#[test]
fn after_the_end_a_flush_begins_anew() {
    let service = Service::start();
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    for run in 0..3 {
        feed.speak(&scripted::speech(run * 5..run * 5 + 5, 16_000))
            .expect("there is room");
        assert!(feed.end());
        pipeline.wait_for_eos();
        assert_eq!(pipeline.of_kind("drained").len(), usize::from(run) + 1);
        feed.flush();
    }
    let expected: Vec<String> = (0..15).map(|n| format!("w{n}")).collect();
    assert_eq!(texts(&pipeline), expected);
    let generations: Vec<u64> = pipeline
        .finals()
        .iter()
        .map(|said| said.get("generation").expect("a number"))
        .collect();
    assert_eq!(generations, [1, 2, 3]);
}

#[test]
fn a_flush_in_the_middle_of_the_drain_ends_it() {
    let peer = Peer::start(Script::no_stop_answer());
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} drain-timeout=3600000",
        peer.base_url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.hush(300).expect("there is room");
    pipeline.wait_for_state("listening");
    let ending = {
        let feed = feed.clone();
        std::thread::spawn(move || feed.end())
    };
    pipeline.wait_for_state("stopping");
    assert!(feed.pad.push_event(gst::event::FlushStart::new()));
    assert!(!ending.join().expect("no panic"), "that end is none");
    assert!(feed.pad.push_event(gst::event::FlushStop::new(true)));
    feed.segment();
    feed.hush(300).expect("there is room");
    pipeline.wait_for_state("listening");
    pipeline.collect();
    let eos = |m: &gst::Message| m.type_() == gst::MessageType::Eos;
    assert!(!pipeline.messages.iter().any(eos));
    let starts = |records: &[crate::common::peer::Record]| {
        records.iter().filter(|r| r.has("start_request")).count()
    };
    assert_eq!(starts(&peer.records()), 2, "it began anew");
}

#[test]
fn caps_that_the_service_does_not_take_are_refused_with_a_hint() {
    for (caps, hint) in [
        (
            "audio/x-raw,format=S16LE,layout=interleaved,channels=2,rate=16000",
            "audioconvert",
        ),
        (
            "audio/x-raw,format=F32LE,layout=interleaved,channels=1,rate=16000",
            "audioconvert",
        ),
        (
            "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=96000",
            "audioresample",
        ),
        (
            "audio/x-flac,framed=true,channels=1,rate=16000",
            "flacparse",
        ),
        (
            "audio/mpeg,mpegversion=4,channels=1,rate=16000",
            "decodebin",
        ),
        ("audio/x-opus", "opusparse"),
        ("audio/x-flac", "flacparse"),
        (
            "audio/x-raw,format=S16LE,channels=1,rate=16000",
            "layout=interleaved",
        ),
    ] {
        let peer = Peer::start(Script::listening());
        let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
        pipeline.play();
        assert!(!feed.begin(caps), "{caps}");
        let data = buffer(vec![0; 640], Some(0), None);
        assert_eq!(
            feed.pad.push(data),
            Err(gst::FlowError::NotNegotiated),
            "{caps}"
        );
        let error = error(&mut pipeline);
        assert!(error.matches(gst::StreamError::Format), "{error}");
        assert!(error.message().contains(hint), "{caps}: {error}");
        pipeline.stop();
        assert!(
            peer.records()
                .iter()
                .all(|r| r.frames.iter().all(|f| !f.is_binary()))
        );
    }
}

#[test]
fn audio_without_caps_is_refused_with_a_hint() {
    let peer = Peer::start(Script::listening());
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    pipeline.play();
    feed.pad.push_event(gst::event::StreamStart::new("feed"));
    feed.segment();
    for _ in 0..2 {
        let data = buffer(vec![0; 640], Some(0), None);
        assert_eq!(feed.pad.push(data), Err(gst::FlowError::NotNegotiated));
    }
    let error = error(&mut pipeline);
    assert!(error.matches(gst::StreamError::Format), "{error}");
    for word in ["no caps", "decodebin", "layout=interleaved"] {
        assert!(error.message().contains(word), "{error}");
    }
}

#[test]
fn new_caps_are_in_force_between_the_audio_before_and_after_them() {
    let peer = Peer::start(Script::listening());
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    // This is not a whole number of chunks. The rest has to leave before the change.
    feed.hush(230).expect("there is room");
    let other = CAPS.replace("16000", "8000");
    assert!(feed.caps(&other));
    let data = buffer(vec![0; 160 * 20], Some(230 * MS), Some(200 * MS));
    feed.pad.push(data).expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(
        peer.records()[0].order(),
        [
            "start_request 16000",
            "3200 bytes",
            "960 bytes",
            "modify_request 8000",
            "1600 bytes",
            "stop_request"
        ]
    );
}

#[test]
fn caps_that_say_the_same_in_other_words_change_nothing() {
    let peer = Peer::start(Script::listening());
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.hush(50).expect("there is room");
    assert!(feed.caps(&format!("{CAPS},channel-mask=(bitmask)0x4")));
    feed.hush(50).expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(
        peer.records()[0].order(),
        ["start_request 16000", "3200 bytes", "stop_request"]
    );
}

#[test]
fn a_live_source_is_never_blocked_and_dropped_audio_is_reported() {
    let peer = Peer::start(Script::never_accepts());
    let properties = format!("base-url={} buffer-duration=1000", peer.base_url());
    let (mut pipeline, file) = Feed::pipeline(&properties);
    let sink = pipeline.sink();
    file.pad
        .unlink(&sink.static_pad("sink").expect("a pad"))
        .expect("linked");
    let live = Feed::live(&sink);
    pipeline.play();
    assert!(live.begin(CAPS));
    live.hush(5000).expect("it flows");
    let kept = counted(&sink, "audio-spooled");
    assert!((800 * MS..=1000 * MS).contains(&kept), "{kept}");
    assert_eq!(counted(&sink, "audio-dropped"), 5000 * MS - kept);
    pipeline.wait_for(
        "a warning that names the way out",
        |message| match message.view() {
            gst::MessageView::Warning(warning) => {
                warning.error().message().contains("buffer-duration")
            }
            _ => false,
        },
    );
}

#[test]
fn segments_without_times_or_backwards_are_refused() {
    let bytes: gst::Segment = gst::FormattedSegment::<gst::format::Bytes>::new().upcast();
    let mut backwards = gst::FormattedSegment::<gst::ClockTime>::new();
    backwards.set_rate(-1.0);
    backwards.set_stop(gst::ClockTime::from_seconds(1));
    let peer = Peer::start(Script::listening());
    for (segment, said) in [(bytes, "Bytes"), (backwards.upcast(), "backwards")] {
        let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
        pipeline.play();
        assert!(feed.begin(CAPS));
        feed.pad.push_event(gst::event::Segment::new(&segment));
        assert!(feed.hush(20).is_err());
        let error = error(&mut pipeline);
        assert!(error.matches(gst::StreamError::Format), "{error}");
        assert!(error.message().contains(said), "{error}");
    }
}

#[test]
fn live_audio_does_not_wait_for_the_latency_of_another_branch() {
    const LATENCY: gst::ClockTime = gst::ClockTime::from_seconds(40);
    let peer = Peer::start(Script::listening());
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc is-live=true samplesperbuffer=320 ! {CAPS} ! tee name=t \
         t. ! queue max-size-time=0 max-size-buffers=0 max-size-bytes=0 ! fakesink name=slow sync=true render-delay={} \
         t. ! queue name=q ! symblsink name=sink base-url={}",
        LATENCY.nseconds(),
        peer.base_url()
    ));
    // Upstream gets the latency of the pipeline, for elements that need it.
    let told = Arc::new(Mutex::new(None));
    let queue = pipeline.pipeline.by_name("q").expect("a queue");
    let pad = queue.static_pad("src").expect("a pad");
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, {
        let told = Arc::clone(&told);
        move |_, info| {
            if let Some(gst::EventView::Latency(latency)) = info.event().map(|e| e.view()) {
                *told.lock().expect("not poisoned") = Some(latency.latency());
            }
            gst::PadProbeReturn::Ok
        }
    });
    pipeline.play();
    assert!(peer.wait_for(|r| r.iter().any(|r| !r.audio().is_empty()), BOUND));
    let now = pipeline.pipeline.current_running_time().expect("it plays");
    assert!(now < LATENCY, "the first audio left at {now}");
    let told = told
        .lock()
        .expect("not poisoned")
        .expect("latency was told");
    assert!(told >= LATENCY, "{told}");
}

#[test]
fn the_sink_does_not_add_to_the_latency_of_a_pipeline() {
    let peer = Peer::start(Script::listening());
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc is-live=true samplesperbuffer=320 ! {CAPS} ! tee name=t \
         t. ! queue ! fakesink sync=true processing-deadline=0 name=alone \
         t. ! queue ! symblsink name=sink base-url={}",
        peer.base_url()
    ));
    pipeline.play();
    assert!(peer.wait_for(|r| r.iter().any(|r| !r.audio().is_empty()), BOUND));
    let latency = |name: &str| {
        let mut query = gst::query::Latency::new();
        let element = pipeline.pipeline.by_name(name).expect("an element");
        assert!(element.query(&mut query));
        query.result()
    };
    assert_eq!(latency("sink"), latency("alone"));
    assert!(latency("sink").0, "live");
}

#[test]
fn a_file_goes_at_the_pace_of_the_clock_unless_told_otherwise() {
    let peer = Peer::start(Script::listening());
    let run = |seconds: u32, sync: &str| {
        let mut pipeline = Pipeline::launch(&format!(
            "audiotestsrc num-buffers={} samplesperbuffer=16000 ! {CAPS} ! symblsink name=sink {sync} base-url={}",
            seconds,
            peer.base_url()
        ));
        pipeline.play();
        let begin = std::time::Instant::now();
        pipeline.wait_for_state("stopping");
        let elapsed = begin.elapsed();
        pipeline.wait_for_eos();
        elapsed
    };
    assert!(
        run(3, "").as_secs_f64() > 1.9,
        "the third second is due after two"
    );
    // The audio is longer than the bound of the test, so that the test would fail at the
    // pace of the clock.
    run(600, "sync=false");
    let sent: Vec<usize> = peer.records().iter().map(|r| r.audio().len()).collect();
    assert_eq!(sent, [3 * 32_000, 600 * 32_000]);
}
