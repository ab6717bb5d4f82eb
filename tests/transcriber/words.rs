// SPDX-License-Identifier: MPL-2.0

//! Which words come out of the text pad, and at which time.

use crate::common::dialogue::final_result;
use crate::common::feed::MS;
use crate::common::peer::Script;
use crate::common::pipeline::{counted, until};
use crate::common::service::Service;
use crate::scene::{Exchange, QUICK, Scene};
use crate::track::{Rules, Word, check_by};
use gst::prelude::*;
use symbl_service::recognizer::scripted;

/// How far a word may be from its sound, in nanoseconds.
pub const TOLERANCE: u64 = 20 * MS;

/// Asserts that these words were said, at these times in milliseconds.
pub fn assert_said(said: &[(String, u64)], expected: &[(&str, u64)]) {
    let fits = |(said, expected): (&(String, u64), &(&str, u64))| {
        said.0 == expected.0 && said.1.abs_diff(expected.1 * MS) <= TOLERANCE
    };
    let all = said.len() == expected.len() && said.iter().zip(expected).all(fits);
    assert!(all, "{said:?}; expected {expected:?}");
}

#[test]
fn words_of_live_speech_come_at_their_times() {
    let service = Service::start();
    let mut scene = Scene::live(&format!("base-url={} latency=2000 {QUICK}", service.url()));
    scene.begin();
    scene.speak(&[0; 16_000]);
    scene.speak(&scripted::speech([5, 6, 7], 16_000));
    scene.speak(&[0; 8_000]);
    scene.pipeline.wait_for_kind("message");
    scene.speak(&[0; 32_000]);
    scene.end();
    let pad = scene.tape.check();
    assert_said(&pad.said(), &[("w5", 1000), ("w6", 1200), ("w7", 1400)]);
    let discont: Vec<bool> = pad.words.iter().map(|word| word.discont).collect();
    assert_eq!(discont, [true, false, false]);
    assert_eq!(pad.covered, 4100 * MS);
    // The words are those of the bus, and none is late.
    assert_eq!(scene.pipeline.words().len(), 3);
    let element = scene.element();
    until("all words are counted", || {
        counted(&element, "words-pushed") == 3
    });
    assert_eq!(counted(&element, "words-moved"), 0);
    until("all gaps are counted", || {
        counted(&element, "gaps-pushed") == pad.gaps.len() as u64
    });
}

#[test]
fn words_of_a_file_come_at_their_times() {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    scene.feed.hush(1000).expect("room");
    scene
        .feed
        .speak(&scripted::speech(0..25, 16_000))
        .expect("room");
    scene.feed.hush(1500).expect("room");
    scene.end();
    let pad = scene.tape.check();
    let said = pad.said();
    assert_eq!(said.len(), 25);
    for (n, (word, at)) in (0..).zip(&said) {
        assert_eq!(word, &format!("w{n}"));
        let right = (1000 + 200 * n) * MS;
        assert!(at.abs_diff(right) <= TOLERANCE, "{word} at {at}");
    }
    assert_eq!(pad.covered, 7500 * MS);
}

/// Returns a final of 30 words from 0 s on, 100 ms each.
fn thirty_words() -> String {
    let words: Vec<String> = (0..30).map(|n| format!("word{n:02}")).collect();
    let words: Vec<_> = (0..)
        .zip(&words)
        .map(|(n, word)| (word.as_str(), n * 100, n * 100 + 100))
        .collect();
    final_result(&words)
}

/// Lets a final come three seconds after its last word, with a latency of a second.
fn late_by_three_seconds(late_text: &str) -> Exchange {
    let mut exchange = Exchange::live(
        Script::listening(),
        &format!("latency=1000 late-text={late_text}"),
    );
    exchange.hush(6500);
    exchange.set_time(6000);
    exchange.tape.wait_until_covered(5000 * MS);
    exchange.dialogue.say_text(&thirty_words());
    exchange.dialogue.pipeline.wait_for_kind("transcript");
    exchange
}

/// Returns the details of a warning that text was late, if it is one.
fn lateness(message: &gst::Message) -> Option<gst::Structure> {
    let gst::MessageView::Warning(warning) = message.view() else {
        return None;
    };
    let details = warning.details().map(ToOwned::to_owned);
    details.filter(|details| details.get::<&str>("reason") == Ok("late-text"))
}

/// Returns the details of the warnings that text was late.
fn warnings(exchange: &mut Exchange) -> Vec<gst::Structure> {
    exchange.dialogue.pipeline.collect();
    let messages = exchange.dialogue.pipeline.messages.iter();
    messages.filter_map(lateness).collect()
}

#[test]
fn late_words_follow_at_a_pace_that_captions_can_carry() {
    let mut exchange = late_by_three_seconds("move");
    exchange.tape.wait_for_texts(30);
    let pad = exchange.tape.check();
    let texts: Vec<String> = (0..30).map(|n| format!("word{n:02}")).collect();
    let said: Vec<&str> = pad.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(said, texts);
    assert!(pad.words[0].start >= 5000 * MS, "{:?}", pad.words[0]);
    // No letter is on the way for less than a thirtieth of a second.
    for Word {
        text, start, end, ..
    } in &pad.words
    {
        let letters = text.len() as u64;
        assert!(
            end - start >= letters * 1_000_000_000 / 30,
            "{text}: {start} to {end}"
        );
    }
    let element = exchange.dialogue.pipeline.sink();
    until("the last word is counted", || {
        counted(&element, "words-moved") == 30
    });
    let warnings = warnings(&mut exchange);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let late_by: u64 = warnings[0].get("late-by").expect("by how much");
    assert!(late_by >= 4900 * MS, "{late_by}");
    assert_eq!(counted(&element, "words-dropped"), 0);
}

#[test]
fn late_words_are_left_out_where_that_is_asked_for() {
    let mut exchange = late_by_three_seconds("drop");
    exchange.set_time(6500);
    exchange.tape.wait_until_covered(5500 * MS);
    assert_eq!(exchange.tape.texts(), [""; 0]);
    exchange.tape.check();
    let element = exchange.dialogue.pipeline.sink();
    until("all are counted", || {
        counted(&element, "words-dropped") == 30
    });
    assert_eq!(counted(&element, "words-pushed"), 0);
    assert_eq!(
        exchange.dialogue.pipeline.words().len(),
        30,
        "they are on the bus"
    );
    assert_eq!(warnings(&mut exchange).len(), 1);
}

#[test]
fn late_words_keep_their_times_where_that_is_asked_for() {
    let mut exchange = late_by_three_seconds("keep");
    exchange.tape.wait_for_texts(30);
    let rules = Rules {
        late_text_goes_back: true,
        ..Rules::default()
    };
    let pad = check_by(rules, &exchange.tape.entries());
    let times: Vec<u64> = pad.words.iter().map(|word| word.pts).collect();
    let right: Vec<u64> = (0..30).map(|n| n * 100 * MS).collect();
    assert_eq!(times, right);
    assert_eq!(warnings(&mut exchange).len(), 1);
}

#[test]
fn a_second_time_of_lateness_is_told_only_after_text_was_in_time() {
    let mut exchange = late_by_three_seconds("move");
    exchange.tape.wait_for_texts(30);
    // Another final of the same outage, which is late as well.
    exchange
        .dialogue
        .say_text(&final_result(&[("again", 3200, 3400)]));
    exchange.tape.wait_for_texts(31);
    assert_eq!(warnings(&mut exchange).len(), 1);
    // The moved text takes until then.
    let covered = exchange.tape.check().covered / MS;
    let at = covered + 1000;
    exchange.set_time(at);
    exchange.hush(usize::try_from(at).unwrap());
    exchange
        .dialogue
        .say_text(&final_result(&[("now", at, at + 300)]));
    exchange.set_time(at + 1000);
    exchange.tape.wait_for_texts(32);
    exchange.set_time(at + 3000);
    exchange.tape.wait_until_covered((at + 2000) * MS);
    exchange
        .dialogue
        .say_text(&final_result(&[("late", at + 400, at + 600)]));
    exchange.tape.wait_for_texts(33);
    exchange.tape.check();
    let pipeline = &mut exchange.dialogue.pipeline;
    pipeline.wait_for("a second warning", |message| lateness(message).is_some());
}

/// Speaks words around a hole of two seconds, which `hole` makes. Returns what was said on
/// the pad, and how often the service was dialed again.
fn around_a_hole(hole: impl Fn(&Scene)) -> (Vec<(String, u64)>, u64) {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    scene.feed.hush(1000).expect("room");
    scene
        .feed
        .speak(&scripted::speech(0..4, 16_000))
        .expect("room");
    hole(&scene);
    scene
        .feed
        .speak(&scripted::speech(10..14, 16_000))
        .expect("room");
    scene.feed.hush(500).expect("room");
    scene.end();
    let pad = scene.tape.check();
    assert_eq!(pad.covered, 5100 * MS);
    let reconnects = counted(&scene.element(), "reconnects");
    (pad.said(), reconnects)
}

const AROUND: [(&str, u64); 8] = [
    ("w0", 1000),
    ("w1", 1200),
    ("w2", 1400),
    ("w3", 1600),
    ("w10", 3800),
    ("w11", 4000),
    ("w12", 4200),
    ("w13", 4400),
];

#[test]
fn words_behind_a_discontinuity_come_at_their_times() {
    let (said, reconnects) = around_a_hole(|scene| {
        scene.feed.skip(2000 * MS);
        let data = vec![0; 640];
        let mut buffer =
            crate::common::pipeline::buffer(data, Some(scene.feed.next() - 20 * MS), None);
        buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        scene.feed.pad.push(buffer).expect("room");
    });
    assert_said(&said, &AROUND);
    assert_eq!(reconnects, 0);
}

#[test]
fn words_behind_a_gap_of_the_audio_come_at_their_times() {
    let (said, reconnects) = around_a_hole(|scene| {
        let start = gst::ClockTime::from_nseconds(scene.feed.next());
        let gap = gst::event::Gap::builder(start).duration(gst::ClockTime::from_seconds(2));
        assert!(scene.feed.pad.push_event(gap.build()));
        scene.feed.skip(2000 * MS);
    });
    assert_said(&said, &AROUND);
    assert_eq!(reconnects, 0);
}
