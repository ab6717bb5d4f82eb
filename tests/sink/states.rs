// SPDX-License-Identifier: MPL-2.0

//! State changes: they do not wait for the network, a pause loses no audio, and a second run
//! is like the first.

use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{BOUND, Pipeline, counted, until};
use crate::common::plugin;
use crate::common::service::Service;
use gst::prelude::*;
use serde_json::Value;
use symbl_service::recognizer::scripted;

/// Returns the state that the pipeline reaches.
fn reached(pipeline: &Pipeline) -> gst::State {
    let bound = gst::ClockTime::from_nseconds(u64::try_from(BOUND.as_nanos()).expect("a minute"));
    let (result, state, _) = pipeline.pipeline.state(bound);
    result.expect("a state");
    state
}

fn set(pipeline: &Pipeline, state: gst::State) {
    pipeline.set_state(state);
    assert_eq!(reached(pipeline), state);
}

fn texts(pipeline: &Pipeline) -> Vec<String> {
    pipeline.words().into_iter().map(|word| word.0).collect()
}

fn numbered(range: std::ops::Range<u16>) -> Vec<String> {
    range.map(|n| format!("w{n}")).collect()
}

#[test]
fn a_branch_without_audio_does_not_keep_a_pipeline_from_playing() {
    let peer = Peer::start(Script::listening());
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc is-live=true ! tee name=t t. ! queue ! fakesink \
         t. ! queue ! valve drop=true ! symblsink name=sink base-url={}",
        peer.base_url()
    ));
    pipeline.play();
    assert_eq!(reached(&pipeline), gst::State::Playing);
}

#[test]
fn a_service_that_does_not_answer_does_not_keep_a_pipeline_from_playing() {
    for script in [
        Script::never_accepts(),
        Script::black_hole(),
        Script::upgrade_only(),
    ] {
        let peer = Peer::start(script);
        let pipeline = Pipeline::launch(&format!(
            "audiotestsrc ! tee name=t t. ! queue ! fakesink t. ! queue ! symblsink name=sink \
             sync=false connect-timeout=3600000 base-url={}",
            peer.base_url()
        ));
        pipeline.play();
        assert_eq!(reached(&pipeline), gst::State::Playing);
    }
}

#[test]
fn a_pause_while_audio_waits_for_room_loses_none_of_it() {
    let service = Service::start();
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    // An empty token file fails each dial, and the test can end that.
    std::fs::write(&token, "").expect("a file");
    let mut pipeline = Pipeline::appsrc(
        CAPS,
        &format!(
            "base-url={} access-token-file={} reconnect-max-delay=50 \
             leaky=none buffer-duration=500 chunk-duration=100",
            service.url(),
            token.display()
        ),
    );
    pipeline.play();
    let src = pipeline.src();
    let samples = scripted::speech(0..25, 16_000);
    let feeding = std::thread::spawn(move || {
        for (n, piece) in samples.chunks(1600 * 8).enumerate() {
            let data = crate::common::pipeline::bytes_of(piece);
            let pts = Some(n as u64 * 800 * MS);
            let buffer = crate::common::pipeline::buffer(data, pts, None);
            src.push_buffer(buffer).expect("it flows");
        }
        src.end_of_stream().expect("an end");
    });
    let sink = pipeline.sink();
    // The changes come often and without a wait, so that the streaming thread sees some of
    // them late or not at all.
    for _ in 0..500 {
        // The first buffer is larger than the spool, so that the second waits.
        until("a full spool", || {
            counted(&sink, "audio-spooled") == 800 * MS
        });
        set(&pipeline, gst::State::Paused);
        set(&pipeline, gst::State::Playing);
    }
    assert_eq!(counted(&sink, "audio-dropped"), 0);
    std::fs::write(&token, "a-token").expect("a file");
    pipeline.wait_for_eos();
    feeding.join().expect("fed");
    assert_eq!(texts(&pipeline), numbered(0..25));
}

#[test]
fn a_pause_does_not_end_the_session() {
    let service = Service::start();
    let mut pipeline = Pipeline::appsrc(CAPS, &format!("base-url={}", service.url()));
    pipeline.play();
    let mut first = scripted::speech(0..10, 16_000);
    first.extend_from_slice(&[0; 8_000]); // which ends the utterance
    let second = scripted::speech(10..20, 16_000);
    let push = |pipeline: &Pipeline, samples: &[i16], pts: u64| {
        let data = crate::common::pipeline::bytes_of(samples);
        let buffer = crate::common::pipeline::buffer(data, Some(pts), None);
        pipeline.src().push_buffer(buffer).expect("it flows");
    };
    push(&pipeline, &first, 0);
    while pipeline.finals().is_empty() {
        pipeline.wait_for_kind("transcript");
    }
    set(&pipeline, gst::State::Paused);
    push(&pipeline, &second, 2500 * MS);
    set(&pipeline, gst::State::Playing);
    pipeline.src().end_of_stream().expect("an end");
    pipeline.wait_for_eos();
    assert_eq!(texts(&pipeline), numbered(0..20));
    for said in pipeline.finals() {
        assert_eq!(said.get::<u64>("generation"), Ok(1));
    }
}

#[test]
fn a_pause_while_draining_goes_on_draining() {
    let peer = Peer::start(Script::no_stop_answer());
    let mut pipeline = Pipeline::appsrc(
        CAPS,
        &format!("base-url={} drain-timeout=2000", peer.base_url()),
    );
    pipeline.play();
    let audio = crate::common::pipeline::buffer(vec![0; 6400], Some(0), None);
    pipeline.src().push_buffer(audio).expect("it flows");
    pipeline.src().end_of_stream().expect("an end");
    pipeline.wait_for_state("stopping");
    set(&pipeline, gst::State::Paused);
    set(&pipeline, gst::State::Playing);
    pipeline.wait_for_eos();
    assert_eq!(pipeline.of_kind("drained").len(), 1);
    let stops = |text: &&str| text.contains("stop_request");
    let sent: Vec<usize> = peer
        .records()
        .iter()
        .map(|record| record.texts().into_iter().filter(stops).count())
        .collect();
    assert_eq!(sent, [1]);
}

#[test]
fn the_end_in_a_pause_does_not_keep_a_pipeline_from_playing() {
    let peer = Peer::start(Script::no_stop_answer());
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} drain-timeout=3600000",
        peer.base_url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.hush(200).expect("there is room");
    set(&pipeline, gst::State::Paused);
    let ending = std::thread::spawn({
        let pad = feed.pad.clone();
        move || pad.push_event(gst::event::Eos::new())
    });
    pipeline.wait_for_state("stopping");
    set(&pipeline, gst::State::Playing);
    // The stream had not ended before.
    assert_eq!(pipeline.of_kind("drained").len(), 0);
    pipeline.stop();
    assert!(!ending.join().expect("no panic"));
}

#[test]
fn a_second_run_asks_for_the_same_and_counts_from_zero() {
    let peer = Peer::start(Script::listening());
    let properties = "speaker-id=anna@example.org insight-types=topic+question \
        no-connection-timeout=77 trackers=[{\"name\":\"a\",\"vocabulary\":[\"b\"]}]";
    let properties = properties.replace('"', "\\\"");
    let (mut pipeline, feed) =
        Feed::pipeline(&format!("base-url={} {properties}", peer.base_url()));
    let sink = pipeline.sink();
    let mut ids = Vec::new();
    for run in 1..=2 {
        feed.pad.set_active(true).expect("a source pad");
        pipeline.play();
        assert_eq!(sink.property::<Option<String>>("conversation-id"), None);
        assert!(feed.begin(CAPS));
        feed.hush(300).expect("there is room");
        pipeline.wait_for_state("listening");
        pipeline.wait_for_kind("session");
        assert!(sink.property::<Option<String>>("conversation-id").is_some());
        ids.push(sink.property::<String>("connection-id"));
        if run == 1 {
            feed.hush(100).expect("there is room");
        } else {
            assert!(feed.end());
            pipeline.wait_for_eos();
        }
        pipeline.stop();
        assert_eq!(pipeline.state(), "idle");
        let taken: u64 = ["audio-sent", "audio-spooled", "audio-dropped"]
            .iter()
            .map(|name| counted(&sink, name))
            .sum();
        assert_eq!(taken, if run == 1 { 400 } else { 300 } * MS);
        feed.pad.set_active(false).expect("a source pad");
        assert!(peer.wait_for(
            |records| records.len() == run && records.iter().all(|r| r.ended),
            BOUND
        ));
    }
    let records = peer.records();
    let starts: Vec<Value> = records
        .iter()
        .map(|record| serde_json::from_str(record.texts()[0]).expect("JSON"))
        .collect();
    assert_eq!(starts[0]["type"], "start_request");
    assert_eq!(starts[0], starts[1]);
    assert_eq!(starts[0]["noConnectionTimeout"], 77);
    let path = |n: usize| records[n].request.as_ref().expect("a request").path.clone();
    for (n, id) in ids.iter().enumerate() {
        assert!(path(n).ends_with(id), "{} {id}", path(n));
    }
    assert_ne!(ids[0], ids[1], "an id that was not given is new each time");
}

#[test]
fn properties_keep_their_values_across_runs_and_their_times_of_change() {
    let peer = Peer::start(Script::listening());
    let (mut pipeline, _feed) = Feed::pipeline(&format!(
        "base-url={} connection-id=mine chunk-duration=50",
        peer.base_url()
    ));
    let sink = pipeline.sink();
    for _ in 0..2 {
        pipeline.play();
        sink.set_property("chunk-duration", 200u32);
        pipeline.wait_for("a refusal", |message| match message.view() {
            gst::MessageView::Warning(warning) => {
                warning.error().matches(gst::ResourceError::Settings)
                    && warning.error().message().contains("chunk-duration")
            }
            _ => false,
        });
        pipeline.stop();
        assert_eq!(sink.property::<u32>("chunk-duration"), 50);
        assert_eq!(sink.property::<String>("connection-id"), "mine");
    }
    sink.set_property("chunk-duration", 200u32);
    assert_eq!(sink.property::<u32>("chunk-duration"), 200);
}

#[test]
fn an_element_that_is_let_go_of_is_gone() {
    let service = Service::start();
    for script in [
        None,
        Some(Script::never_accepts()),
        Some(Script::black_hole()),
        Some(Script::upgrade_only()),
        Some(Script::no_stop_answer()),
    ] {
        let peer = script.map(Peer::start);
        let url = peer.as_ref().map_or(service.url(), Peer::base_url);
        let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={url} drain-timeout=100"));
        pipeline.play();
        assert!(feed.begin(CAPS));
        feed.hush(300).expect("there is room");
        if peer.is_none() {
            pipeline.wait_for_state("listening");
        }
        let weak = pipeline.sink().downgrade();
        pipeline.stop();
        drop((pipeline, feed));
        until("the element is finalised", || weak.upgrade().is_none());
    }
}

#[test]
fn a_stuck_sink_does_not_hold_up_the_others_of_the_process() {
    let service = Service::start();
    // There are more sinks than the transport has threads, each stuck in another way.
    let deaf = Peer::start(Script::not_reading());
    let silent = Peer::start(Script::black_hole());
    let stuck: Vec<(Pipeline, Feed)> = (0..6)
        .map(|n| {
            let url = if n % 2 == 0 {
                deaf.base_url()
            } else {
                silent.base_url()
            };
            let properties = format!("base-url={url} buffer-duration=1000 leaky=oldest");
            let (pipeline, feed) = Feed::pipeline(&properties);
            pipeline.play();
            assert!(feed.begin(CAPS));
            (pipeline, feed)
        })
        .collect();
    for (_, feed) in &stuck {
        feed.hush(10_000).expect("it flows");
    }
    // Some are stuck in applications that take long over a message.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let slow: Vec<(Pipeline, Feed)> = (0..4)
        .map(|_| {
            let (pipeline, feed) = Feed::pipeline(&format!("base-url={}", service.url()));
            let held = std::sync::Arc::clone(&held);
            let bus = pipeline.pipeline.bus().expect("a bus");
            bus.set_sync_handler(move |_, message| {
                let is_state = message
                    .structure()
                    .is_some_and(|s| s.name() == "symbl/state");
                if is_state {
                    let _ = held.lock().expect("not poisoned").recv();
                }
                gst::BusSyncReply::Pass
            });
            pipeline.play();
            (pipeline, feed)
        })
        .collect();
    let mut going: Vec<(Pipeline, Feed)> = (0..4)
        .map(|_| Feed::pipeline(&format!("base-url={}", service.url())))
        .collect();
    for (pipeline, feed) in &going {
        pipeline.play();
        assert!(feed.begin(CAPS));
        let samples = scripted::speech(0..12, 16_000);
        feed.speak(&samples).expect("there is room");
        let feed = feed.clone();
        std::thread::spawn(move || feed.end());
    }
    for (pipeline, _) in &mut going {
        pipeline.wait_for_eos();
        assert_eq!(texts(pipeline), numbered(0..12));
    }
    drop(release);
    drop(slow);
}

#[test]
fn the_tracer_of_leaks_finds_none() {
    let service = Service::start();
    let run = |line: &str| {
        let output = plugin::command("gst-launch-1.0")
            .args(line.split_whitespace())
            .env("GST_TRACERS", "leaks")
            .env("GST_DEBUG", "GST_TRACER:7")
            .env("GST_DEBUG_NO_COLOR", "1")
            .env("G_DEBUG", "fatal-criticals")
            .output()
            .expect("gst-launch-1.0");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let source = format!("audiotestsrc num-buffers=20 samplesperbuffer=1600 ! {CAPS}");
    let log = run(&format!(
        "{source} ! symblsink sync=false base-url={}",
        service.url()
    ));
    assert!(log.contains("GST_TRACER"), "the tracer runs: {log}");
    let alive = log
        .lines()
        .find(|line| line.contains("object-alive, type-name=(string)Gst"));
    assert_eq!(alive, None);
}
