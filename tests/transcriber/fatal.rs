// SPDX-License-Identifier: MPL-2.0

//! What a session that cannot go on does to the pad and to the pipeline.

use crate::common::feed::MS;
use crate::common::gate::Gate;
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::counted;
use crate::scene::{QUICK, Scene};
use gst::prelude::*;

fn refusing() -> (Peer, Gate) {
    let peer = Peer::start(Script::listening());
    let gate = Gate::before(&peer.base_url());
    gate.refuse_all();
    (peer, gate)
}

#[test]
fn a_refused_token_is_an_error_of_the_element_and_ends_the_flow() {
    let (_peer, gate) = refusing();
    let mut scene = Scene::new(&format!("base-url={} access-token=wrong", gate.base_url()));
    scene.begin();
    assert_eq!(scene.feed.refusal(), gst::FlowError::Error);
    let message = scene
        .pipeline
        .wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    // `transcriberbin` looks for the element itself or a child of it.
    let element = scene.element();
    assert_eq!(message.src(), Some(element.upcast_ref::<gst::Object>()));
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    assert!(
        error.error().matches(gst::ResourceError::NotAuthorized),
        "{}",
        error.error()
    );
    scene.pipeline.collect();
    let states = scene.pipeline.of_kind("state");
    assert!(
        states
            .iter()
            .any(|state| state.get("state") == Ok("failed"))
    );
    let errors = scene
        .pipeline
        .messages
        .iter()
        .filter(|m| m.type_() == gst::MessageType::Error);
    assert_eq!(errors.count(), 1);
    scene.tape.check();
}

#[test]
fn a_bin_may_take_the_element_to_null_out_of_the_message_and_back() {
    // As `transcriberbin` does, in another thread than the one that posts.
    let (_peer, gate) = refusing();
    let mut scene = Scene::live(&format!("base-url={} access-token=wrong", gate.base_url()));
    scene.begin();
    let _ = scene.feed.refusal();
    scene
        .pipeline
        .wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let element = scene.element();
    element.set_locked_state(true);
    element.set_state(gst::State::Null).expect("it stops");
    let peer = Peer::start(Script::listening());
    element.set_property("base-url", peer.base_url());
    element.set_locked_state(false);
    scene.pipeline.collect();
    element.sync_state_with_parent().expect("it plays");
    scene.feed.pad.set_active(false).expect("a pad");
    scene.feed.pad.set_active(true).expect("a pad");
    assert!(scene.feed.begin(crate::common::feed::CAPS));
    scene.pipeline.wait_for_state("listening");
    scene.feed.hush(200).expect("it flows");
}

#[test]
fn gaps_go_on_without_captions_if_that_is_asked_for() {
    let (_peer, gate) = refusing();
    let mut scene = Scene::live(&format!(
        "base-url={} access-token=wrong on-fatal=warning latency=1000 {QUICK}",
        gate.base_url()
    ));
    scene.begin();
    scene
        .pipeline
        .wait_for("a warning", |message| match message.view() {
            gst::MessageView::Warning(warning) => {
                warning.error().matches(gst::ResourceError::NotAuthorized)
            }
            _ => false,
        });
    // Audio is taken and thrown away.
    scene.speak(&vec![0; 160_000]);
    scene.tape.wait_until_covered(9000 * MS);
    scene.end();
    let pad = scene.tape.check();
    assert_eq!(pad.words.len(), 0);
    assert_eq!(pad.covered, 10_000 * MS);
    assert_eq!(counted(&scene.element(), "audio-sent"), 0);
    scene.pipeline.collect();
    let errors = scene
        .pipeline
        .messages
        .iter()
        .filter(|m| m.type_() == gst::MessageType::Error);
    assert_eq!(errors.count(), 0);
}

#[test]
fn a_file_without_captions_is_covered_to_its_end() {
    let (_peer, gate) = refusing();
    let mut scene = Scene::new(&format!(
        "base-url={} access-token=wrong on-fatal=warning patience=600000",
        gate.base_url()
    ));
    scene.begin();
    scene.feed.hush(1000).expect("room");
    scene
        .pipeline
        .wait_for("a warning", |m| m.type_() == gst::MessageType::Warning);
    scene.feed.hush(4000).expect("it flows");
    // Nothing more can come, so nothing is waited for.
    scene.tape.wait_until_covered(4000 * MS);
    scene.end();
    assert_eq!(scene.tape.check().covered, 5000 * MS);
}
