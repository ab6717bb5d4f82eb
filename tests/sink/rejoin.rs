// SPDX-License-Identifier: MPL-2.0

//! A lost socket, and the rejoin after it: C34, C36, C37.
//!
//! The sink talks through a relay that resets its connections.

use crate::common::dialogue::{Dialogue, final_result, message_response};
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::{Message, Peer, Record, Script};
use crate::common::pipeline::{BOUND, Pipeline, buffer, bytes_of, counted};
use crate::common::relay::Relay;
use crate::common::service::Service;
use crate::common::tap::Tap;
use gst::prelude::*;
use symbl_service::recognizer::scripted;

/// Starts a dialogue with a relay between sink and peer.
fn through_relay(properties: &str) -> (Relay, Dialogue) {
    let peer = Peer::start(Script::listening());
    let relay = Relay::to(&peer.base_url());
    let (pipeline, feed) = Feed::pipeline(&format!("base-url={} {properties}", relay.base_url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    (relay, Dialogue::between(pipeline, feed, peer))
}

/// Returns the parts of the request that are the same at each dial, which the nonce is not.
fn asked_for(record: &Record) -> (String, Vec<(String, String)>) {
    let mut request = record.request.clone().expect("a request");
    let nonce = |name: &str| name.eq_ignore_ascii_case("Sec-WebSocket-Key");
    request.headers.retain(|(name, _)| !nonce(name));
    (request.path, request.headers)
}

/// Waits for this many bytes of audio on the `n`-th connection.
fn wait_for_audio(dialogue: &Dialogue, n: usize, bytes: usize) {
    let there = |records: &[Record]| records.get(n).is_some_and(|r| r.audio().len() >= bytes);
    assert!(dialogue.peer.wait_for(there, BOUND));
}

#[test]
fn c34_a_reset_in_mid_stream_is_followed_by_the_same_request_and_the_same_start() {
    let (relay, mut dialogue) = through_relay("access-token=t0ken speaker-name=Mara");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.pipeline.wait_for_kind("session");
    dialogue.feed.hush(500).expect("there is room");
    wait_for_audio(&dialogue, 0, 16_000);
    relay.cut();
    // The pipeline keeps running.
    dialogue.feed.hush(500).expect("there is room");
    dialogue.pipeline.wait_for_state("reconnecting");
    dialogue.pipeline.wait_for_state("listening");
    let states = dialogue.pipeline.of_kind("state");
    let outage = states.iter().find_map(|s| s.get::<u64>("retry-in").ok());
    assert!(outage.expect("an outage") <= 1000 * MS, "{outage:?}");
    dialogue.feed.hush(500).expect("there is room");
    assert!(dialogue.feed.end());
    dialogue.pipeline.wait_for_eos();

    let records = dialogue.peer.records();
    assert_eq!(records.len(), 2);
    assert_eq!(asked_for(&records[0]), asked_for(&records[1]));
    assert_eq!(records[0].texts()[0], records[1].texts()[0]);
    assert!(records[1].frames[0].is_text(), "the start comes first");
    assert_eq!(counted(&dialogue.pipeline.sink(), "reconnects"), 1);
    let sessions = dialogue.pipeline.of_kind("session");
    let events: Vec<&str> = sessions
        .iter()
        .map(|s| s.get("event").expect("an event"))
        .collect();
    assert_eq!(events, ["created", "resumed", "completed"]);
    assert_eq!(dialogue.pipeline.of_kind("gap").len(), 0);
}

#[test]
fn c36_after_a_rejoin_audio_goes_on_where_the_service_had_finalised_it() {
    let (relay, mut dialogue) = through_relay("");
    dialogue.pipeline.wait_for_state("listening");
    let speech = scripted::speech(0..25, 16_000);
    let (before, after) = speech.split_at(32_000);
    dialogue.feed.speak(before).expect("there is room");
    wait_for_audio(&dialogue, 0, 64_000);
    // All audio up to 1.2 s is final. That is the edge of a message.
    dialogue.say_text(&final_result(&[("One", 0, 700), ("two.", 700, 1200)]));
    dialogue.say_text(&message_response(&[("m1", "One two.")]));
    dialogue.settle();
    relay.cut();
    // Before the loss is noticed, audio would go into the dead connection.
    dialogue.pipeline.wait_for_state("reconnecting");
    dialogue.feed.speak(after).expect("there is room");
    dialogue.pipeline.wait_for_state("listening");
    assert!(dialogue.feed.end());
    dialogue.pipeline.wait_for_eos();

    let records = dialogue.peer.records();
    let sent = bytes_of(&speech);
    assert!(records[0].audio() == sent[..64_000]);
    assert!(records[1].audio() == sent[1200 * 32..]);
    let sink = dialogue.pipeline.sink();
    assert_eq!(counted(&sink, "audio-replayed"), 800 * MS);
    assert_eq!(counted(&sink, "audio-sent"), 5000 * MS);
    assert_eq!(counted(&sink, "audio-dropped"), 0);
}

#[test]
fn c36_words_are_placed_by_the_clock_of_the_start_that_they_belong_to() {
    let (relay, mut dialogue) = through_relay("");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(2000).expect("there is room");
    wait_for_audio(&dialogue, 0, 64_000);
    dialogue.say_text(&final_result(&[("One", 0, 700), ("two.", 700, 1200)]));
    dialogue.say_text(&message_response(&[("m1", "One two.")]));
    dialogue.settle();
    relay.cut();
    dialogue.pipeline.wait_for_state("reconnecting");
    dialogue.pipeline.wait_for_state("listening");
    wait_for_audio(&dialogue, 1, 800 * 32);
    // The service counts from zero again, which is 1.2 s of the stream.
    dialogue.say_text(&final_result(&[("Three", 100, 400), ("four.", 400, 700)]));
    dialogue.settle();
    let words: Vec<u64> = dialogue.pipeline.words().iter().map(|w| w.1 / MS).collect();
    assert_eq!(words, [0, 700, 1300, 1600]);
    let finals = dialogue.pipeline.finals();
    let field = |name: &str| -> Vec<u64> {
        finals
            .iter()
            .map(|s| s.get(name).expect("a number"))
            .collect()
    };
    assert_eq!(field("generation"), [1, 2]);
    let replayed: Vec<bool> = finals
        .iter()
        .map(|s| s.get("replayed").expect("a boolean"))
        .collect();
    assert_eq!(replayed, [false, true]);
}

#[test]
fn c36_the_flac_header_precedes_the_replay_which_begins_with_a_whole_frame() {
    // One stream has frames that need two messages each, the other frames that need one.
    for amplitude in [30_000i16, 300] {
        let peer = Peer::start(Script::listening());
        let relay = Relay::to(&peer.base_url());
        let mut pipeline = Pipeline::launch(&format!(
            "appsrc name=src format=time caps=\"{}\" ! flacenc ! flacparse \
             ! symblsink name=sink sync=false base-url={}",
            CAPS.replace("16000", "48000"),
            relay.base_url()
        ));
        let tap = Tap::on(&pipeline.sink());
        pipeline.play();
        let src = pipeline.src();
        let mut random = fastrand::Rng::with_seed(7);
        let mut give = |from: u64| {
            for n in from..from + 20 {
                let noise: Vec<i16> = std::iter::repeat_with(|| random.i16(-amplitude..amplitude))
                    .take(4800)
                    .collect();
                let buffer = buffer(bytes_of(&noise), Some(n * 100 * MS), Some(100 * MS));
                src.push_buffer(buffer).expect("it flows");
            }
        };
        give(0);
        pipeline.wait_for_state("listening");
        // A frame has 4,608 samples, 96 ms. Nineteen came, and fifteen are final.
        let (enough, messages) = match amplitude {
            300 => (1 + 19, 1),
            _ => (1 + 2 * 19, 2),
        };
        let there = |records: &[Record]| records[0].audio_messages().len() >= enough;
        assert!(peer.wait_for(there, BOUND));
        let last = 15 * 96;
        let words = [("One", 0, 700), ("two.", 700, last)];
        peer.say(0, Message::text(final_result(&words)));
        peer.say(0, Message::text(message_response(&[("m1", "One two.")])));
        pipeline.wait_for_kind("message");
        relay.cut();
        give(20);
        src.end_of_stream().expect("an end");
        pipeline.wait_for_eos();

        let records = peer.records();
        assert_eq!(records.len(), 2);
        let packets = tap.packets();
        let replay = [tap.flac_header(), packets[15..].concat()].concat();
        assert!(records[1].audio() == replay, "amplitude {amplitude}");
        let first = records[1].audio_messages();
        assert_eq!(first[0], tap.flac_header());
        assert!(packets[15].starts_with(first[1]) && packets[15].len().div_ceil(8192) == messages);
    }
}

#[test]
fn need_9_a_rejoin_starts_with_the_settings_of_now() {
    let (relay, mut dialogue) = through_relay(
        "speaker-id=mara@example.org speaker-name=Mara custom-vocabulary=<GStreamer> \
         meeting-title=Rounds insight-types=question+topic",
    );
    let sink = dialogue.pipeline.sink();
    sink.set_property("trackers", r#"[{"name":"Price","vocabulary":["cost"]}]"#);
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(1000).expect("there is room");
    wait_for_audio(&dialogue, 0, 32_000);
    let other = CAPS.replace("16000", "8000");
    assert!(dialogue.feed.caps(&other));
    let quiet = |at: u64| buffer(vec![0; 8000], Some(at * MS), Some(500 * MS));
    dialogue.feed.pad.push(quiet(1000)).expect("there is room");
    wait_for_audio(&dialogue, 0, 40_000);
    // All audio of the other rate is final.
    dialogue.say_text(&final_result(&[("One", 0, 700), ("two.", 700, 1000)]));
    dialogue.say_text(&message_response(&[("m1", "One two.")]));
    dialogue.settle();
    relay.cut();
    dialogue.pipeline.wait_for_state("reconnecting");
    dialogue.feed.pad.push(quiet(1500)).expect("there is room");
    dialogue.pipeline.wait_for_state("listening");
    wait_for_audio(&dialogue, 1, 16_000);

    let records = dialogue.peer.records();
    assert_eq!(records.len(), 2);
    assert_eq!(asked_for(&records[0]), asked_for(&records[1]));
    let start = |n: usize| -> serde_json::Value {
        serde_json::from_str(records[n].texts()[0]).expect("JSON")
    };
    let (mut first, second) = (start(0), start(1));
    let rate = &mut first["config"]["speechRecognition"]["sampleRateHertz"];
    assert_eq!(*rate, 16_000);
    *rate = 8000.into();
    assert_eq!(first, second);
    assert!(records[1].frames[0].is_text(), "the start comes first");
    assert_eq!(records[1].texts().len(), 1, "and no change of format");
    assert!(records[1].audio() == vec![0; 16_000]);
}

/// Returns event, previous id and id of each `symbl/session` message.
fn conversations(pipeline: &Pipeline) -> Vec<(String, Option<String>, String)> {
    let sessions = pipeline.of_kind("session");
    let told = sessions.iter().map(|s| {
        let previous = s.get("previous-conversation-id").ok();
        let id = s.get("conversation-id").expect("an id");
        (s.get("event").expect("an event"), previous, id)
    });
    told.collect()
}

/// Asserts a split: talks to a service whose conversation ends with its first connection.
fn assert_split(script: &str, properties: &str) {
    let service = Service::faulty(script);
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={} {properties}", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    let speech = scripted::speech(0..25, 16_000);
    feed.speak(&speech).expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    let told = conversations(&pipeline);
    let [created, split, completed] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(created.0, "created");
    assert_eq!((&*split.0, &split.1), ("split", &Some(created.2.clone())));
    assert_ne!(split.2, created.2);
    assert_eq!((&*completed.0, &completed.2), ("completed", &split.2));
    let id: String = pipeline.sink().property("conversation-id");
    assert_eq!(id, split.2);
    // The stream goes on.
    assert_eq!(pipeline.words().len(), 25);
}

#[test]
fn c37_another_conversation_after_a_rejoin_is_reported_as_a_split() {
    assert_split("reset@1s split", "");
}

#[test]
fn c37_an_outage_that_outlasts_the_conversation_is_reported_as_a_split() {
    assert_split("reset@1s refuse=1500ms", "no-connection-timeout=1");
}

/// How upstream gives its audio.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// All at once. At the cuts most audio is under way, and little of it is final.
    AtOnce,
    /// Two seconds at a time, each when most of the audio before it is final.
    InStep,
}

const SECONDS: u64 = 20;

/// Plays speech through a relay with these cuts to a real service. Asserts that every word
/// comes once, in order and in its place.
fn assert_nothing_is_lost(cuts: Vec<u64>, pace: Pace) {
    let what = format!("cuts after {cuts:?} bytes, {pace:?}");
    let service = Service::start();
    let expected_cuts = cuts.len();
    let relay = Relay::cutting(&service.url(), cuts);
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} reconnect-max-delay=100",
        relay.base_url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    let count = u16::try_from(SECONDS * 5).expect("some words");
    let speech = scripted::speech(0..count, 16_000);
    match pace {
        Pace::AtOnce => feed.speak(&speech).expect("there is room"),
        Pace::InStep => {
            for (n, piece) in (0..).zip(speech.chunks(2 * 16_000)) {
                // An utterance has ten words, and may begin in the piece before.
                while pipeline.words().len() + 20 < 10 * n {
                    pipeline.wait_for_kind("transcript");
                }
                feed.speak(piece).expect("there is room");
            }
        }
    }
    assert!(feed.end());
    pipeline.wait_for_eos();

    assert_eq!(relay.cuts(), expected_cuts, "{what}");
    assert_eq!(relay.connections(), expected_cuts + 1, "{what}");
    let words = pipeline.words();
    let heard: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
    let said: Vec<String> = (0..count).map(|n| format!("w{n}")).collect();
    assert_eq!(heard, said, "{what}");
    for (n, (word, at)) in (0..).zip(&words) {
        let truth = n * 200 * MS;
        assert!(at.abs_diff(truth) <= 20 * MS, "{what}: {word} at {at}");
    }
    assert_eq!(pipeline.of_kind("gap").len(), 0, "{what}");
    let drained = pipeline.of_kind("drained");
    assert_eq!(drained[0].get::<bool>("complete"), Ok(true), "{what}");
    let sink = pipeline.sink();
    assert_eq!(counted(&sink, "audio-sent"), SECONDS * 1000 * MS, "{what}");
    assert_eq!(counted(&sink, "reconnects"), expected_cuts as u64, "{what}");
    // There is one conversation, also by the messages.
    let finals = pipeline.finals();
    let ids = finals.iter().map(|s| s.get::<&str>("conversation-id"));
    let ids: std::collections::HashSet<_> = ids.map(|id| id.expect("an id")).collect();
    assert_eq!(ids.len(), 1, "{what}");
}

#[test]
fn one_cut_in_mid_stream_loses_and_doubles_no_word() {
    assert_nothing_is_lost(vec![300_000], Pace::AtOnce);
    assert_nothing_is_lost(vec![300_000], Pace::InStep);
}

#[test]
fn cuts_at_random_places_lose_and_double_no_word() {
    for seed in 1..=3 {
        let mut random = fastrand::Rng::with_seed(seed);
        for pace in [Pace::AtOnce, Pace::InStep] {
            // The bytes are counted on each connection, and the replay repeats some of them.
            let cuts = (0..3).map(|_| random.u64(2_000..200_000)).collect();
            assert_nothing_is_lost(cuts, pace);
        }
    }
}
