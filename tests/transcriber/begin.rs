// SPDX-License-Identifier: MPL-2.0

//! The beginning of a stream, and what the element answers before there is one.

use crate::common::feed::{CAPS, Feed};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, bounded};
use crate::scene::Scene;
use crate::tape::Entry;
use gst::prelude::*;

fn types(entries: &[Entry]) -> Vec<gst::EventType> {
    let types = entries.iter().map(|entry| match &entry.item {
        crate::tape::Item::Event(event) => event.type_(),
        crate::tape::Item::Buffer(_) => gst::EventType::Unknown,
    });
    types.collect()
}

#[test]
fn a_stream_begins_with_what_names_the_track() {
    use gst::EventType::{Caps, Gap, Segment, StreamStart, Tag};
    let peer = Peer::start(Script::listening());
    let scene = Scene::new(&format!("base-url={} language-code=en-US", peer.base_url()));
    scene.pipeline.play();
    let group = gst::GroupId::next();
    let start = gst::event::StreamStart::builder("audio").group_id(group);
    let start = start.build();
    let seqnum = start.seqnum();
    scene.feed.pad.push_event(start);
    assert!(scene.feed.caps(CAPS));
    scene.feed.segment();
    scene
        .tape
        .wait_for("a gap", |entries| types(entries).contains(&Gap));
    let entries = scene.tape.entries();
    assert_eq!(types(&entries)[..5], [StreamStart, Caps, Segment, Tag, Gap]);
    let gst::EventView::StreamStart(start) = entries[0].event(StreamStart).unwrap().view() else {
        unreachable!()
    };
    assert_eq!(start.group_id(), Some(group));
    assert_eq!(start.seqnum(), seqnum);
    assert_ne!(
        start.stream_id(),
        "audio/text",
        "it is an id of the element's own"
    );
    let gst::EventView::Tag(tag) = entries[3].event(Tag).unwrap().view() else {
        unreachable!()
    };
    let language = tag.tag().get::<gst::tags::LanguageCode>();
    assert_eq!(
        language.map(|code| code.get().to_owned()).as_deref(),
        Some("en")
    );
    assert_eq!(tag.tag().scope(), gst::TagScope::Stream);
    // The first gap is short: it is what a muxer waits for before its header.
    let pad = scene.tape.check();
    assert_eq!(pad.gaps[0], 0..1_000_000);
}

#[test]
fn tags_of_the_audio_do_not_come_on_the_text_pad() {
    let peer = Peer::start(Script::listening());
    let scene = Scene::new(&format!("base-url={} language-code=de", peer.base_url()));
    scene.begin();
    let mut tags = gst::TagList::new();
    let codec = tags.make_mut();
    codec.add::<gst::tags::AudioCodec>(&"Opus", gst::TagMergeMode::Replace);
    let mut title = gst::TagList::new();
    let global = title.make_mut();
    global.set_scope(gst::TagScope::Global);
    global.add::<gst::tags::Title>(&"A talk", gst::TagMergeMode::Replace);
    scene.feed.pad.push_event(gst::event::Tag::new(tags));
    scene.feed.pad.push_event(gst::event::Tag::new(title));
    scene.end();
    let entries = scene.tape.entries();
    let scopes: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry.event(gst::EventType::Tag)?.view() {
            gst::EventView::Tag(tag) => Some(tag.tag().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(scopes.len(), 2, "{scopes:?}");
    assert!(
        scopes[0].contains("language-code") && scopes[1].contains("talk"),
        "{scopes:?}"
    );
    scene.tape.check();
}

/// Asks an element for its latency, at its text pad.
fn latency(element: &gst::Element) -> Option<(bool, gst::ClockTime, Option<gst::ClockTime>)> {
    let mut query = gst::query::Latency::new();
    let pad = element.static_pad("src").expect("a text pad");
    pad.query(&mut query).then(|| query.result())
}

#[test]
fn the_latency_is_known_in_every_state_and_before_the_caps() {
    let live = Pipeline::launch(
        "fakesrc is-live=true format=time ! symbltranscriber name=sink ! fakesink sync=false",
    );
    let file = Pipeline::launch("fakesrc format=time ! symbltranscriber name=sink ! fakesink");
    let seconds = gst::ClockTime::from_seconds;
    for state in [gst::State::Null, gst::State::Ready, gst::State::Paused] {
        for pipeline in [&live, &file] {
            // Nothing flows: fakesrc waits for its peer's pad. The state itself is enough.
            for name in ["fakesrc0", "sink"] {
                let _ = pipeline.pipeline.by_name(name).map(|e| e.set_state(state));
            }
        }
        let result = latency(&live.sink());
        // A source that stands says that it is live from READY on.
        assert_eq!(result, Some((true, seconds(8), None)), "{state:?}");
        let result = latency(&file.sink()).map(|(live, min, _)| (live, min));
        assert_eq!(result, Some((false, gst::ClockTime::ZERO)), "{state:?}");
    }
    let (_alone, element) = Pipeline::around("symbltranscriber");
    for state in [gst::State::Null, gst::State::Ready, gst::State::Paused] {
        element.set_state(state).expect("a state");
        assert_eq!(latency(&element), None, "{state:?}, with nothing in front");
    }
}

#[test]
fn the_latency_does_not_hold_the_lateness() {
    let scene = Scene::live("latency=3000 lateness=2000");
    let result = latency(&scene.element());
    assert_eq!(result, Some((true, gst::ClockTime::from_seconds(3), None)));
}

#[test]
fn an_element_that_is_only_asked_for_its_latency_dials_nobody() {
    let peer = Peer::start(Script::listening());
    let (mut pipeline, element) =
        Pipeline::around(&format!("symbltranscriber base-url={}", peer.base_url()));
    let feed = Feed::live(&element);
    for _ in 0..20 {
        bounded("the change to Paused", || {
            pipeline.set_state(gst::State::Paused);
        });
        let result = latency(&element);
        assert_eq!(result, Some((true, gst::ClockTime::from_seconds(8), None)));
        pipeline.set_state(gst::State::Null);
    }
    pipeline.collect();
    let ours = pipeline.messages.iter().filter(|message| {
        let from_element = message.src().is_some_and(|src| src == &element);
        from_element && message.type_() != gst::MessageType::StateChanged
    });
    assert_eq!(ours.count(), 0, "{:#?}", pipeline.names());
    assert_eq!(peer.records().len(), 0);
    drop(feed);
}
