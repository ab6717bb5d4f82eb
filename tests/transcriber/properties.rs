// SPDX-License-Identifier: MPL-2.0

//! The properties that bins set, when they may change, and what they never show.

use crate::common::peer::{Peer, Script};
use crate::common::pipeline::Pipeline;
use crate::scene::Scene;
use gst::glib;
use gst::prelude::*;

/// Waits for the warning that a property keeps its value.
fn wait_for_refusal(pipeline: &mut Pipeline, name: &str) {
    pipeline.wait_for("a refusal", |message| match message.view() {
        gst::MessageView::Warning(warning) => {
            warning.error().matches(gst::ResourceError::Settings)
                && warning.error().message().contains(name)
        }
        _ => false,
    });
}

#[test]
fn latency_and_lateness_are_what_transcriberbin_looks_for() {
    // It takes a property for absent that has another type, and sets it in READY.
    let (_pipeline, element) = Pipeline::around("symbltranscriber");
    for name in ["latency", "lateness"] {
        let spec = element.find_property(name).expect("a property");
        assert_eq!(spec.value_type(), u32::static_type(), "{name}");
        assert!(spec.flags().contains(glib::ParamFlags::WRITABLE));
        assert!(!spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING));
    }
    let spec = element.find_property("language-code").expect("a property");
    assert_eq!(spec.value_type(), String::static_type());
}

#[test]
fn latency_and_lateness_change_in_ready_and_not_while_it_plays() {
    let peer = Peer::start(Script::listening());
    let mut scene = Scene::new(&format!("base-url={}", peer.base_url()));
    let element = scene.element();
    scene.pipeline.set_state(gst::State::Ready);
    element.set_property("latency", 3000u32);
    element.set_property("lateness", 500u32);
    for state in [gst::State::Paused, gst::State::Playing] {
        scene.pipeline.set_state(state);
        for name in ["latency", "lateness"] {
            element.set_property(name, 4000u32);
            wait_for_refusal(&mut scene.pipeline, name);
        }
    }
    assert_eq!(element.property::<u32>("latency"), 3000);
    assert_eq!(element.property::<u32>("lateness"), 500);
}

#[test]
fn no_property_shows_a_secret() {
    const SECRET: &str = "7f3a9c2e1b";
    let peer = Peer::start(Script::listening());
    let scene = Scene::new(&format!(
        "base-url={} access-token={SECRET} app-id=app app-secret={SECRET} \
         proxy=http://user:{SECRET}@127.0.0.1:9",
        peer.base_url()
    ));
    scene.begin();
    let element = scene.element();
    let mut read = 0;
    for spec in element.list_properties() {
        if spec.flags().contains(glib::ParamFlags::READABLE) {
            let value = element.property_value(spec.name());
            let shown = format!("{value:?} {:?}", value.serialize());
            assert!(!shown.contains(SECRET), "{}: {shown}", spec.name());
            read += 1;
        }
    }
    assert!(read > 40, "{read} properties");
}

#[test]
fn converters_in_front_are_asked_for_the_rate_that_is_set() {
    let (_pipeline, element) = Pipeline::around("symbltranscriber sample-rate=16000");
    let pad = element.static_pad("sink").expect("a pad");
    let any: gst::Caps = "audio/x-raw,format=S16LE,layout=interleaved,channels=1"
        .parse()
        .unwrap();
    let takes = pad.query_caps(Some(&any));
    assert!(
        takes.iter().all(|s| s.get::<i32>("rate") == Ok(16_000)),
        "{takes:?}"
    );
    // Compressed audio has the rate that it has.
    let opus: gst::Caps = "audio/x-opus,rate=48000".parse().unwrap();
    assert!(!pad.query_caps(Some(&opus)).is_empty());
    element.set_property("sample-rate", 0u32);
    let takes = pad.query_caps(Some(&any));
    assert!(
        takes.iter().any(|s| s.get::<i32>("rate") != Ok(16_000)),
        "{takes:?}"
    );
}

#[test]
fn late_cues_cannot_keep_their_time() {
    let mut scene = Scene::new("text-unit=cue late-text=keep");
    let element = scene.element();
    assert!(element.set_state(gst::State::Ready).is_err());
    let message = scene
        .pipeline
        .wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    assert!(
        error.error().message().contains("late-text"),
        "{}",
        error.error()
    );
}
