// SPDX-License-Identifier: MPL-2.0

//! How a session ends on the wire: C31–C33. `stopping` tests how long a stop may take in each
//! state, and `ending` that every stream ends with EOS.

use crate::common::dialogue::{Dialogue, final_result, message_response};
use crate::common::feed::Feed;
use crate::common::peer::{
    Message, Peer, Record, Script, close, conversation_completed, recognition_stopped,
};
use crate::common::pipeline::{BOUND, Pipeline, bytes_of};
use gst::prelude::*;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted;

/// Returns the messages after the stop request, without pings and pongs.
fn after_stop(record: &Record) -> Vec<&Message> {
    let is_stop =
        |frame: &&Message| matches!(frame, Message::Text(text) if text.contains("stop_request"));
    let frames = record.frames.iter().skip_while(|frame| !is_stop(frame));
    frames
        .skip(1)
        .filter(|frame| !matches!(frame, Message::Ping(_) | Message::Pong(_)))
        .collect()
}

fn stop_requests(record: &Record) -> usize {
    let texts = record.texts();
    texts.iter().filter(|t| t.contains("stop_request")).count()
}

/// Takes messages for `time`. Returns `false` if EOS was among them.
fn no_eos_within(pipeline: &mut Pipeline, time: Duration) -> bool {
    let bus = pipeline.pipeline.bus().expect("a bus");
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = gst::ClockTime::try_from(left).expect("a short time");
        let Some(message) = bus.timed_pop(left) else {
            return true;
        };
        let is_eos = message.type_() == gst::MessageType::Eos;
        pipeline.messages.push(message);
        if is_eos {
            return false;
        }
    }
}

#[test]
fn c31_the_end_is_last_byte_stop_request_last_results_and_then_eos() {
    // The timeout is so long that it does not end the wait.
    let script = Script::no_stop_answer();
    let mut dialogue = Dialogue::begin(script, "drain-timeout=3600000");
    dialogue.pipeline.wait_for_state("listening");
    // The audio is not a whole number of messages.
    let mut speech = scripted::speech(0..5, 16_000);
    speech.truncate(15_000);
    dialogue.feed.speak(&speech).expect("there is room");
    let feed = dialogue.feed.clone();
    let end = std::thread::spawn(move || feed.end());
    dialogue.wait(|record| record.has("stop_request"));
    assert!(dialogue.record().audio() == bytes_of(&speech));
    dialogue.say(recognition_stopped());
    assert!(
        no_eos_within(&mut dialogue.pipeline, Duration::from_secs(3)),
        "the tail is waited for"
    );
    dialogue.say_text(&final_result(&[("Late", 100, 300), ("words.", 300, 500)]));
    dialogue.say_text(&message_response(&[("m1", "Late words.")]));
    dialogue.settle();
    assert!(after_stop(&dialogue.record()).is_empty());
    dialogue.say(conversation_completed());
    dialogue.pipeline.wait_for_eos();
    assert!(end.join().expect("no panic"));
    dialogue.wait(|record| record.ended || record.close_code().is_some());

    let record = dialogue.record();
    assert_eq!(stop_requests(&record), 1);
    assert_eq!(record.close_code(), Some(1000));
    assert_eq!(after_stop(&record).len(), 1, "the close frame only");
    let names = dialogue.pipeline.names();
    let place = |what: &str| names.iter().position(|n| n.starts_with(what)).expect(what);
    assert!(place("symbl/transcript") < place("symbl/message"));
    assert!(place("symbl/message") < place("symbl/drained"));
    assert!(place("symbl/drained") < place("Eos"));
}

#[test]
fn c31_a_close_of_the_service_ends_the_wait_as_well() {
    let script = Script::listening().replying_to_stop(vec![recognition_stopped(), close(1000)]);
    let mut dialogue = Dialogue::begin(script, "drain-timeout=30000");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(130).expect("there is room");
    assert!(dialogue.feed.end());
    dialogue.pipeline.wait_for_eos();
    let drained = dialogue.pipeline.of_kind("drained");
    assert_eq!(drained[0].get::<bool>("complete"), Ok(true));
    let record = dialogue.record();
    assert_eq!(record.audio().len(), 130 * 32);
    assert_eq!(stop_requests(&record), 1);
    assert_eq!(dialogue.peer.records().len(), 1, "no other dial");
}

#[test]
fn c32_a_stop_that_is_never_answered_is_closed_by_us_and_ends_in_eos() {
    let mut dialogue = Dialogue::begin(Script::no_stop_answer(), "drain-timeout=200");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(500).expect("there is room");
    assert!(dialogue.feed.end());
    dialogue.pipeline.wait_for_eos();
    dialogue.wait(|record| record.close_code().is_some());
    let record = dialogue.record();
    assert_eq!(record.close_code(), Some(1000));
    assert_eq!(record.audio().len(), 500 * 32);
    assert_eq!((stop_requests(&record), after_stop(&record).len()), (1, 1));
}

/// Brings a dialogue into a state in which there is a socket.
type Prepare = fn() -> Dialogue;

fn without_caps() -> Dialogue {
    let peer = Peer::start(Script::listening());
    let (pipeline, feed) = Feed::pipeline(&format!("base-url={}", peer.base_url()));
    pipeline.play();
    let dialogue = Dialogue::between(pipeline, feed, peer);
    dialogue.wait(|record| record.request.is_some());
    // When the sink answers, the upgrade is complete.
    let mut dialogue = dialogue;
    dialogue.settle();
    dialogue
}

fn starting() -> Dialogue {
    let dialogue = Dialogue::begin(Script::upgrade_only(), "");
    dialogue.feed.hush(300).expect("there is room");
    dialogue.wait(|record| record.has("start_request"));
    dialogue
}

fn listening() -> Dialogue {
    Dialogue::listening(300)
}

fn draining() -> Dialogue {
    let mut dialogue = Dialogue::begin(Script::no_stop_answer(), "drain-timeout=3600000");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(300).expect("there is room");
    let feed = dialogue.feed.clone();
    std::thread::spawn(move || feed.end());
    dialogue.wait(|record| record.has("stop_request"));
    dialogue
}

#[test]
fn c33_a_sink_that_is_stopped_with_a_socket_open_sends_a_close_frame() {
    let states: [(&str, Prepare, usize); 4] = [
        ("without caps", without_caps, 0),
        ("starting", starting, 1),
        ("listening", listening, 1),
        ("draining", draining, 1),
    ];
    for (name, prepare, stops) in states {
        for to in [gst::State::Null, gst::State::Ready] {
            let mut dialogue = prepare();
            dialogue.pipeline.pipeline.set_state(to).expect("it stops");
            assert_eq!(dialogue.pipeline.state(), "idle", "{name}");
            dialogue.pipeline.collect();
            let told = dialogue.pipeline.messages.len();
            let closed = |records: &[Record]| records[0].close_code().is_some();
            assert!(dialogue.peer.wait_for(closed, BOUND), "{name}");
            let record = dialogue.record();
            assert_eq!(record.close_code(), Some(1000), "{name}");
            // A service that got a start request gets a stop request.
            assert_eq!(stop_requests(&record), stops, "{name}");
            dialogue.pipeline.collect();
            assert_eq!(dialogue.pipeline.messages.len(), told, "{name}");
        }
    }
}
