// SPDX-License-Identifier: MPL-2.0

//! A service that is alive and sends no results.

use crate::common::dialogue::{Dialogue, final_result};
use crate::common::feed::MS;
use crate::common::peer::Script;
use symbl_service::recognizer::scripted;

#[test]
fn need_11_speech_without_results_is_reported_and_silence_is_not() {
    let mut dialogue = Dialogue::begin(Script::listening(), "stall-timeout=300");
    dialogue.feed.hush(20_000).expect("there is room");
    dialogue.wait(|record| record.audio().len() == 20_000 * 32);
    dialogue.say_text(&final_result(&[("well", 100, 400)]));
    dialogue.pipeline.wait_for_kind("transcript");
    assert!(dialogue.pipeline.of_kind("stall").is_empty());

    let speech = scripted::speech(0..60, 16_000);
    dialogue.feed.speak(&speech).expect("there is room");
    let stall = dialogue.pipeline.wait_for_kind("stall");
    let silent_for = stall.get::<u64>("silent-for").expect("a time");
    assert!(silent_for >= 300 * MS, "{stall}");
    assert_eq!(dialogue.pipeline.state(), "listening");
    dialogue.assert_untroubled();
}

#[test]
fn need_11_a_stalled_service_may_be_left_for_a_new_connection() {
    let properties = "stall-timeout=300 stall-action=reconnect reconnect-max-delay=10";
    let mut dialogue = Dialogue::begin(Script::listening(), properties);
    let speech = scripted::speech(0..60, 16_000);
    dialogue.feed.speak(&speech).expect("there is room");
    dialogue.pipeline.wait_for_kind("stall");
    dialogue.pipeline.wait_for_state("reconnecting");
    let states = dialogue.pipeline.of_kind("state");
    let last = states.last().expect("a state");
    assert_eq!(last.get::<&str>("reason"), Ok("stall"));
    dialogue.pipeline.wait_for_state("listening");
}
