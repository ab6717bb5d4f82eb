// SPDX-License-Identifier: MPL-2.0

//! Ends that the application asks for, or that a failure of the owner forces.

use super::*;

#[test]
fn after_close_no_event_follows() {
    let mut rig = Rig::listening();
    rig.speak(100);
    rig.text(&final_of(&[("a", 0, 50)]));
    rig.events.clear();
    rig.sent.clear();
    rig.session.close();
    rig.text(&final_of(&[("b", 50, 90)]));
    rig.pass(Duration::from_secs(100));
    assert!(rig.events.is_empty());
    assert_eq!(rig.texts()[0]["type"], "stop_request");
    assert!(matches!(rig.sent[1], Output::Close { code: 1000, .. }));
    assert_eq!(rig.sent.len(), 2);
}

#[test]
fn audio_that_a_close_leaves_behind_is_accounted_for() {
    let mut rig = Rig::listening();
    rig.writable = false;
    rig.speak(250);
    rig.session.close();
    rig.accounts_for_everything();
    assert_eq!(rig.session.stats(rig.now).audio_dropped, 250 * MS);
}

#[test]
fn an_abandoned_session_is_settled_at_the_end_of_the_stream() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.session.abandon();
    rig.session.end_of_stream(rig.now);
    assert!(rig.session.is_settled());
}
