// SPDX-License-Identifier: MPL-2.0

//! Segments: where they start, how fast they are played, and which are refused.

use crate::common::feed::{CAPS, MS};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::counted;
use crate::common::service::Service;
use crate::scene::Scene;
use crate::tape::Item;
use crate::track::Checked;
use crate::words::{TOLERANCE, assert_said};
use gst::prelude::*;
use symbl_service::recognizer::scripted;

type Segment = gst::FormattedSegment<gst::ClockTime>;

/// Speaks three words a second into this segment. Returns the pad.
fn words_in(segment: &Segment, properties: &str) -> (Scene, Checked) {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={} {properties}", service.url()));
    scene.pipeline.play();
    let pad = &scene.feed.pad;
    pad.push_event(gst::event::StreamStart::new("feed"));
    assert!(scene.feed.caps(CAPS));
    scene.feed.segment_of(segment);
    scene.feed.hush(1000).expect("room");
    scene
        .feed
        .speak(&scripted::speech(0..3, 16_000))
        .expect("room");
    scene.feed.hush(1000).expect("room");
    scene.end();
    let checked = scene.tape.check();
    (scene, checked)
}

/// Returns a segment from this time on, in seconds.
fn from(seconds: u64) -> Segment {
    let mut segment = Segment::new();
    segment.set_start(gst::ClockTime::from_seconds(seconds));
    segment.set_position(gst::ClockTime::from_seconds(seconds));
    segment.set_time(gst::ClockTime::from_seconds(seconds));
    segment
}

#[test]
fn a_segment_that_starts_late_has_the_timestamps_of_its_audio() {
    let (_, pad) = words_in(&from(3600), "");
    let hour = 3_600_000;
    let expected = [
        ("w0", hour + 1000),
        ("w1", hour + 1200),
        ("w2", hour + 1400),
    ];
    assert_said(&pad.said(), &expected);
    assert!(
        pad.words[0].start.abs_diff(1000 * MS) <= TOLERANCE,
        "{:?}",
        pad.words
    );
    assert_eq!(pad.covered, 2600 * MS);
}

#[test]
fn a_segment_with_a_base_moves_the_running_time_only() {
    let mut segment = from(10);
    segment.set_base(gst::ClockTime::from_seconds(60));
    let (_, pad) = words_in(&segment, "");
    let expected = [("w0", 11_000), ("w1", 11_200), ("w2", 11_400)];
    assert_said(&pad.said(), &expected);
    assert!(
        pad.words[0].start.abs_diff(61_000 * MS) <= TOLERANCE,
        "{:?}",
        pad.words
    );
    assert_eq!(pad.gaps[0].start, 60_000 * MS);
    assert_eq!(pad.covered, 62_600 * MS);
}

#[test]
fn the_lateness_is_in_the_base_and_nowhere_else() {
    let (scene, pad) = words_in(&from(5), "lateness=700");
    assert_said(&pad.said(), &[("w0", 6000), ("w1", 6200), ("w2", 6400)]);
    assert!(
        pad.words[0].start.abs_diff(1700 * MS) <= TOLERANCE,
        "{:?}",
        pad.words
    );
    let bases: Vec<_> = scene
        .tape
        .entries()
        .iter()
        .filter_map(|entry| match entry.event(gst::EventType::Segment)?.view() {
            gst::EventView::Segment(segment) => {
                segment.segment().downcast_ref::<gst::ClockTime>()?.base()
            }
            _ => None,
        })
        .collect();
    assert_eq!(bases, [gst::ClockTime::from_mseconds(700)]);
}

#[test]
fn audio_that_is_played_faster_has_words_at_its_own_timestamps() {
    for rate in [2.0, 0.5] {
        let mut segment = from(0);
        segment.set_rate(rate);
        let (_, pad) = words_in(&segment, "");
        assert_said(&pad.said(), &[("w0", 1000), ("w1", 1200), ("w2", 1400)]);
        let end = (2600.0 / rate) as u64 * MS;
        assert!(
            pad.covered.abs_diff(end) < MS,
            "{} at a rate of {rate}",
            pad.covered
        );
        let first = (1000.0 / rate) as u64 * MS;
        assert!(
            pad.words[0].start.abs_diff(first) <= 2 * TOLERANCE,
            "{:?}",
            pad.words
        );
    }
}

#[test]
fn a_new_segment_comes_behind_the_words_of_the_audio_before_it() {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    let speak = |words: std::ops::Range<u16>| {
        scene
            .feed
            .speak(&scripted::speech(words, 16_000))
            .expect("room");
    };
    speak(0..25); // five seconds
    let mut second = from(100);
    second.set_base(gst::ClockTime::from_seconds(5));
    scene.feed.segment_of(&second);
    speak(30..40);
    scene.end();
    let pad = scene.tape.check();
    let order: Vec<String> = scene
        .tape
        .entries()
        .iter()
        .filter_map(|entry| match &entry.item {
            Item::Buffer(_) => Some(entry.text()?.trim_end_matches('.').to_lowercase()),
            Item::Event(event) => {
                (event.type_() == gst::EventType::Segment).then(|| "segment".to_owned())
            }
        })
        .collect();
    let mut expected = vec!["segment".to_owned()];
    expected.extend((0..25).map(|n| format!("w{n}")));
    expected.push("segment".to_owned());
    expected.extend((30..40).map(|n| format!("w{n}")));
    assert_eq!(order, expected);
    let said = pad.said();
    assert!(said[24].1.abs_diff(4800 * MS) <= TOLERANCE);
    assert!(
        said[25].1.abs_diff(100_000 * MS) <= TOLERANCE,
        "{:?}",
        said[25]
    );
    assert_eq!(pad.covered, 7000 * MS);
    assert_eq!(counted(&scene.element(), "reconnects"), 0);
}

#[test]
fn nothing_lies_before_a_segment_that_begins_later_in_running_time() {
    let service = Service::start();
    let scene = Scene::new(&format!("base-url={}", service.url()));
    scene.begin();
    scene
        .feed
        .speak(&scripted::speech(0..5, 16_000))
        .expect("room");
    let mut second = from(0);
    second.set_base(gst::ClockTime::from_seconds(60));
    scene.feed.segment_of(&second);
    scene
        .feed
        .speak(&scripted::speech(10..15, 16_000))
        .expect("room");
    scene.end();
    let pad = scene.tape.check();
    assert_eq!(pad.words.len(), 10);
    assert!(
        pad.words[5].start.abs_diff(60_000 * MS) <= TOLERANCE,
        "{:?}",
        pad.words[5]
    );
    assert_eq!(pad.covered, 61_000 * MS);
}

/// Pushes a segment that the element refuses. Returns the text of its ERROR.
fn refusal(segment: &gst::Segment) -> String {
    let peer = Peer::start(Script::listening());
    let mut scene = Scene::new(&format!("base-url={}", peer.base_url()));
    scene.pipeline.play();
    scene
        .feed
        .pad
        .push_event(gst::event::StreamStart::new("feed"));
    assert!(scene.feed.caps(CAPS));
    scene.feed.pad.push_event(gst::event::Segment::new(segment));
    let message = scene
        .pipeline
        .wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let element = scene.element();
    assert_eq!(message.src(), Some(element.upcast_ref::<gst::Object>()));
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    assert!(scene.tape.texts().is_empty());
    error.error().message().to_owned()
}

#[test]
fn a_segment_that_has_no_times_or_goes_backwards_is_refused() {
    let mut backwards = from(0);
    backwards.set_rate(-1.0);
    let text = refusal(&backwards.upcast());
    assert!(text.contains("backwards"), "{text}");
    let text = refusal(&gst::FormattedSegment::<gst::format::Bytes>::new().upcast());
    assert!(text.contains("Bytes"), "{text}");
}

#[test]
fn buffers_without_caps_are_refused() {
    let mut scene = Scene::new("");
    scene.pipeline.play();
    scene
        .feed
        .pad
        .push_event(gst::event::StreamStart::new("feed"));
    scene.feed.segment();
    assert_eq!(scene.feed.hush(20), Err(gst::FlowError::NotNegotiated));
    let message = scene
        .pipeline
        .wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    assert!(
        error.error().message().contains("caps"),
        "{}",
        error.error()
    );
}
