// SPDX-License-Identifier: MPL-2.0

//! The end of the stream always leads to EOS: without audio, without a service, and after a
//! failure of the session.

use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{BOUND, Pipeline, stats};
use crate::common::plugin;
use crate::common::service::Service;
use crate::examples::talk;
use gst::prelude::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use symbl_service::Auth;
use symbl_service::recognizer::scripted;

fn warnings(pipeline: &Pipeline) -> Vec<String> {
    pipeline
        .messages
        .iter()
        .filter_map(|message| match message.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
            _ => None,
        })
        .collect()
}

/// Asserts that there is one `symbl/drained`, between all other results of the sink and EOS.
/// Returns `complete` and `unconfirmed`.
fn drained(pipeline: &Pipeline) -> (bool, u64) {
    let drained = pipeline.of_kind("drained");
    assert_eq!(drained.len(), 1, "{:#?}", pipeline.names());
    let names = pipeline.names();
    let results = |name: &String| {
        name.starts_with("symbl/")
            && !name.starts_with("symbl/drained")
            && !name.starts_with("symbl/state")
    };
    let at = names.iter().position(|n| n.starts_with("symbl/drained"));
    let last = names.iter().rposition(results);
    assert!(at > last, "{names:#?}");
    (
        drained[0].get("complete").expect("a boolean"),
        drained[0].get("unconfirmed").expect("a number"),
    )
}

#[test]
fn without_any_audio_the_end_is_at_once_and_complete() {
    let peer = Peer::start(Script::listening());
    for wait_for_the_session in [true, false] {
        let mut pipeline = Pipeline::appsrc(CAPS, &format!("base-url={}", peer.base_url()));
        pipeline.play();
        if wait_for_the_session {
            pipeline.wait_for_state("connecting");
        }
        pipeline.src().end_of_stream().expect("an end");
        pipeline.wait_for_eos();
        assert_eq!(drained(&pipeline), (true, 0));
        assert_eq!(warnings(&pipeline), [""; 0]);
    }
}

#[test]
fn the_end_before_caps_is_an_end() {
    let peer = Peer::start(Script::listening());
    let mut pipeline = Pipeline::launch(&format!(
        "appsrc name=src format=time ! symblsink name=sink base-url={}",
        peer.base_url()
    ));
    pipeline.play();
    pipeline.src().end_of_stream().expect("an end");
    pipeline.wait_for_eos();
    assert_eq!(drained(&pipeline), (true, 0));
    assert!(!peer.records().iter().any(|r| r.has("start_request")));
}

#[test]
fn the_end_without_audio_does_not_wait_for_a_service_that_is_away() {
    let peer = Peer::start(Script::never_accepts());
    let mut pipeline = Pipeline::appsrc(
        CAPS,
        // With this timeout, the bound of the test would be reached first.
        &format!("base-url={} drain-timeout=3600000", peer.base_url()),
    );
    pipeline.play();
    pipeline.src().end_of_stream().expect("an end");
    pipeline.wait_for_eos();
    assert_eq!(drained(&pipeline), (true, 0));
}

/// Asserts that a stream of one second, of which nothing was sent, is reported as lost.
fn all_is_missing(pipeline: &Pipeline) {
    assert_eq!(drained(pipeline), (false, 1000 * MS));
    let gaps = pipeline.of_kind("gap");
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].get::<&str>("reason"), Ok("not-drained"));
    assert_eq!(gaps[0].get::<u64>("running-time"), Ok(0));
    assert_eq!(gaps[0].get::<u64>("duration"), Ok(1000 * MS));
    let stats = stats(&pipeline.sink());
    assert_eq!(stats.get::<u64>("audio-dropped"), Ok(1000 * MS));
    assert_eq!(stats.get::<u64>("audio-spooled"), Ok(0));
}

#[test]
fn the_end_while_the_service_is_away_is_bounded_and_says_what_is_missing() {
    for script in [Script::never_accepts(), Script::black_hole()] {
        for on_fatal in ["error", "warning"] {
            let peer = Peer::start(script.clone());
            let (mut pipeline, feed) = Feed::pipeline(&format!(
                "base-url={} drain-timeout=300 on-fatal={on_fatal}",
                peer.base_url()
            ));
            pipeline.play();
            assert!(feed.begin(CAPS));
            feed.hush(1000).expect("there is room");
            assert!(feed.end());
            let told = pipeline.wait_for("what is wrong", |message| {
                let text = match message.view() {
                    gst::MessageView::Error(error) => error.error().to_string(),
                    gst::MessageView::Warning(warning) => warning.error().to_string(),
                    _ => return false,
                };
                text.contains("1000 ms of audio") && text.contains("drain-timeout")
            });
            // No session took any audio, which is no success.
            let is_error = told.type_() == gst::MessageType::Error;
            assert_eq!(is_error, on_fatal == "error");
            pipeline.wait_for_eos();
            all_is_missing(&pipeline);
        }
    }
}

#[test]
fn a_file_that_is_never_admitted_ends_with_an_error_and_not_with_success() {
    let service = Service::with(|config| {
        let refusal = "http=429:1s".parse().expect("a fault");
        config.faults = symbl_service::fault::Faults::repeating([refusal]);
    });
    let (_folder, sound, _) = talk(5);
    let output = plugin::command("gst-launch-1.0")
        .args(["-m", "filesrc"])
        .arg(format!("location={}", sound.display()))
        .args([
            "!",
            "wavparse",
            "!",
            "audioconvert",
            "!",
            "symblsink",
            "sync=false",
        ])
        .args(["admission-timeout=1500", "drain-timeout=100"])
        .arg(format!("base-url={}", service.url()))
        .output()
        .expect("gst-launch-1.0");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        complained.contains("admission-timeout") && complained.contains("429"),
        "{complained}"
    );
    assert!(complained.contains("reason=\"limit\""), "{complained}");
    // The service asked to come later, and was dialed again after the end.
    assert!(service.faults().connections() >= 2);
}

#[test]
fn a_file_that_ended_before_it_was_admitted_is_transcribed_when_it_is() {
    let service = Service::faulty("http=429:1s http=429:1s");
    let (mut pipeline, feed) =
        Feed::pipeline(&format!("base-url={} drain-timeout=100", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..3, 16_000))
        .expect("there is room");
    pipeline.wait_for("a refusal", |message| {
        message.structure().is_some_and(|s| s.has_field("retry-in"))
    });
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(pipeline.words().len(), 3);
    assert!(drained(&pipeline).0);
}

#[test]
fn a_stop_that_is_never_answered_ends_in_eos_too() {
    let peer = Peer::start(Script::no_stop_answer());
    let (mut pipeline, feed) =
        Feed::pipeline(&format!("base-url={} drain-timeout=300", peer.base_url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.hush(400).expect("there is room");
    pipeline.wait_for_state("listening");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(drained(&pipeline), (false, 400 * MS));
    assert_eq!(warnings(&pipeline).len(), 1, "{:?}", warnings(&pipeline));
    // The audio was sent, so that there is no gap.
    assert_eq!(pipeline.of_kind("gap").len(), 0);
}

#[test]
fn results_after_the_end_are_posted_before_eos() {
    let service = Service::start();
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..3, 16_000))
        .expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(pipeline.words().len(), 3);
    assert_eq!(drained(&pipeline), (true, 0));
}

#[test]
fn need_4_an_interrupt_of_gst_launch_yields_the_words_that_were_said() {
    let service = Service::start();
    // The sound lasts half a minute, but the test does not wait for its end.
    let (_folder, sound, _) = talk(150);
    let mut child = plugin::command("gst-launch-1.0")
        .args(["-e", "-m", "filesrc"])
        .arg(format!("location={}", sound.display()))
        .args(["!", "wavparse", "!", "audioconvert", "!", "symblsink"])
        .arg(format!("base-url={}", service.url()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("gst-launch-1.0");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut printed = Vec::new();
    let is_final = |line: &String| {
        line.contains("symbl/transcript,") && line.contains("is-final=(boolean)true")
    };
    while !printed.last().is_some_and(is_final) {
        printed.push(lines.next().expect("a final").expect("text"));
    }
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.expect("kill").success());
    printed.extend(lines.map(|line| line.expect("text")));
    assert!(child.wait().expect("an end").success());

    let finals = printed.iter().filter(|line| is_final(line));
    let words: Vec<&str> = finals
        .filter_map(|line| line.split(" json=").next())
        .flat_map(|line| line.split("\\\"word\\\":\\\"").skip(1))
        .filter_map(|rest| rest.split(['\\', '.', ',', '?']).next())
        .collect();
    let expected: Vec<String> = (0..words.len()).map(|n| format!("w{n}")).collect();
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    assert_eq!(lower, expected, "{printed:#?}");
    assert!((10..150).contains(&lower.len()), "{printed:#?}");
    let drained = printed
        .iter()
        .position(|line| line.contains("symbl/drained,"));
    let drained = drained.expect("the end of the stream");
    assert!(printed[drained].contains("complete=(boolean)true, unconfirmed=(guint64)0"));
    assert!(!printed[drained..].iter().any(is_final));
}

#[test]
fn after_a_failure_the_end_is_at_once_and_does_not_pretend() {
    let service = Service::with(|config| {
        config.auth = Auth::App {
            id: "app".into(),
            secret: "secret".into(),
        };
    });
    let (mut pipeline, feed) =
        Feed::pipeline(&format!("base-url={} on-fatal=warning", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.hush(300).expect("there is room");
    pipeline.wait_for_state("failed");
    feed.hush(200).expect("thrown away");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(drained(&pipeline), (false, 500 * MS));
    let warnings = warnings(&pipeline);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("401"), "{warnings:?}");
}

/// Tests the race in GstBin, which posts PAUSED before it notes that state: holds the thread
/// of `decodebin`, which completes the change, up in between until the pipeline plays.
#[test]
fn a_pipeline_ends_though_the_note_that_it_plays_was_overwritten() {
    let peer = Peer::start(Script::listening());
    let sink = format!("symblsink sync=false base-url={}", peer.base_url());
    let mut pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=10 ! {CAPS} ! decodebin ! tee name=both \
         both. ! queue ! {sink} both. ! queue ! {sink}"
    ));
    let (told, paused) = mpsc::channel::<()>();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let bus = pipeline.pipeline.bus().expect("a bus");
    bus.set_sync_handler(move |_, message| {
        let is_pipeline = message.src().is_some_and(|src| src.is::<gst::Pipeline>());
        if let gst::MessageView::StateChanged(change) = message.view()
            && is_pipeline
            && change.current() == gst::State::Paused
            && told.send(()).is_ok()
        {
            let held = released.lock().expect("one thread at a time");
            let _ = held.recv_timeout(BOUND);
        }
        gst::BusSyncReply::Pass
    });
    pipeline.set_state(gst::State::Paused);
    paused.recv_timeout(BOUND).expect("PAUSED");
    drop(paused);
    pipeline.play();
    drop(release);
    pipeline.wait_for_eos();
    assert_eq!(pipeline.of_kind("drained").len(), 2);
    pipeline.collect();
    let is_end = |message: &&gst::Message| message.type_() == gst::MessageType::Eos;
    assert_eq!(pipeline.messages.iter().filter(is_end).count(), 1);
}
