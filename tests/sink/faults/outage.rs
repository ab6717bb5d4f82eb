// SPDX-License-Identifier: MPL-2.0

//! The audio of an outage, and results that belong to the time before it.

use super::row::assert_all_said;
use crate::common::dialogue::{Dialogue, final_result};
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::peer::Script;
use crate::common::pipeline::{Pipeline, counted};
use crate::common::service::Service;
use symbl_service::recognizer::scripted;

fn playing(script: &str, properties: &str) -> (Service, Pipeline, Feed) {
    let service = Service::faulty(script);
    let (pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} reconnect-max-delay=50 {properties}",
        service.url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    (service, pipeline, feed)
}

fn end(pipeline: &mut Pipeline, feed: &Feed) {
    assert!(feed.end());
    pipeline.wait_for_eos();
}

#[test]
fn need_5_the_first_words_outlast_a_slow_way_to_the_service() {
    // The connection itself, the upgrade and the acknowledgement are late.
    let (service, mut pipeline, feed) = playing("delay=1s@accept", "");
    feed.speak(&scripted::speech(0..10, 16_000))
        .expect("there is room");
    end(&mut pipeline, &feed);
    assert_all_said(&pipeline, 10);
    assert_eq!(service.faults().connections(), 1);
    let sink = pipeline.sink();
    assert_eq!(counted(&sink, "audio-sent"), 2000 * MS);
    assert_eq!(counted(&sink, "audio-replayed"), 0);
}

#[test]
fn need_5_an_outage_within_the_buffer_costs_no_word() {
    let (_service, mut pipeline, feed) = playing("reset@1s refuse=2s", "buffer-duration=30000");
    feed.speak(&scripted::speech(0..10, 16_000))
        .expect("there is room");
    pipeline.wait_for_state("reconnecting");
    // Ten seconds of speech come during the outage.
    feed.speak(&scripted::speech(10..60, 16_000))
        .expect("there is room");
    end(&mut pipeline, &feed);
    assert_all_said(&pipeline, 60);
}

#[test]
fn need_5_audio_beyond_the_buffer_is_reported_as_missing() {
    let properties = "leaky=oldest buffer-duration=2000";
    let (_service, mut pipeline, feed) = playing("refuse=1s", properties);
    feed.speak(&scripted::speech(0..25, 16_000))
        .expect("there is room");
    end(&mut pipeline, &feed);
    let gaps = pipeline.of_kind("gap");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let field = |name: &str| gaps[0].get::<u64>(name).expect("a number");
    assert_eq!(field("running-time"), 0);
    assert_eq!(gaps[0].get::<&str>("reason"), Ok("buffer-full"));
    let lost = field("duration");
    assert!(lost.abs_diff(3000 * MS) <= 100 * MS, "{lost}");
    assert_eq!(counted(&pipeline.sink(), "audio-dropped"), lost);
    // The parts of a word that is cut in two may be too short to be recognised.
    let words = pipeline.words();
    let first: u64 = words[0].0[1..].parse().expect("a number");
    assert!(first == lost.div_ceil(200 * MS) || first == lost / (200 * MS));
    let expected: Vec<String> = (first..25).map(|n| format!("w{n}")).collect();
    let heard: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(heard, expected);
    let (last, at) = &words[words.len() - 1];
    assert!(at.abs_diff(4800 * MS) <= 20 * MS, "{last} at {at}");
}

#[test]
fn need_19_results_of_a_run_that_is_over_are_not_those_of_the_next() {
    let (_service, mut pipeline, feed) = playing("delay=700ms", "");
    pipeline.wait_for_state("listening");
    feed.speak(&scripted::speech(0..10, 16_000))
        .expect("there is room");
    feed.hush(400).expect("there is room");
    let sink = pipeline.sink();
    crate::common::pipeline::until("all of it is sent", || {
        counted(&sink, "audio-sent") == 2400 * MS
    });
    // The results are on their way.
    pipeline.set_state(gst::State::Null);
    pipeline.collect();
    let before = pipeline.messages.len();
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(20..30, 16_000))
        .expect("there is room");
    end(&mut pipeline, &feed);
    pipeline.messages.drain(..before);
    let words = pipeline.words();
    let heard: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
    let said: Vec<String> = (20..30).map(|n| format!("w{n}")).collect();
    assert_eq!(heard, said);
    let messages = pipeline.of_kind("message");
    assert!(!messages.is_empty());
    for message in messages {
        let text = message.get::<&str>("text").expect("a text").to_lowercase();
        assert!(!text.contains("w0"), "{text}");
    }
}

#[test]
fn need_19_a_result_that_comes_after_a_flush_keeps_its_own_time() {
    let mut dialogue = Dialogue::begin(Script::listening(), "");
    dialogue.pipeline.wait_for_state("listening");
    dialogue.feed.hush(1000).expect("there is room");
    dialogue.wait(|record| record.audio().len() == 32_000);
    dialogue.feed.flush();
    dialogue.feed.hush(1000).expect("there is room");
    // A second of silence ends the utterance before the flush.
    dialogue.wait(|record| record.audio().len() == 96_000);
    // One result is from before the flush, and one from after it. The new segment begins at
    // zero.
    dialogue.say_text(&final_result(&[("One", 600, 900)]));
    dialogue.say_text(&final_result(&[("Two.", 2100, 2400)]));
    dialogue.settle();
    let words: Vec<(String, u64)> = dialogue.pipeline.words();
    let times: Vec<u64> = words.iter().map(|(_, at)| at / MS).collect();
    assert_eq!(times, [600, 100], "{words:?}");
}
