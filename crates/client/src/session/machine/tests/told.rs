// SPDX-License-Identifier: MPL-2.0

//! Stops on a connection that stays open, where the service says when all is told.

use super::*;
use crate::session::{PausePolicy, Speaker};

/// The service took the stop request, and will say when all is told.
const WILL_TELL: &str =
    r#"{"type":"message","message":{"type":"recognition_stopped","x_told":false}}"#;
/// The service has told all.
const TOLD: &str = r#"{"type":"message","message":{"type":"recognition_stopped","x_told":true}}"#;

/// Returns a session whose service announced itself, and that was paused after a second.
fn paused(answer: &str) -> Rig {
    let mut rig = Rig::new(|config| {
        config.pause = PausePolicy::StopProcessing;
        config.drain_timeout = Duration::from_secs(30);
    });
    rig.input(Input::Connected { announced: true });
    rig.text(LISTENING);
    rig.speak(1000);
    rig.session.pause(rig.now);
    rig.pump();
    assert_eq!(rig.texts().last().unwrap()["type"], "stop_request");
    rig.text(answer);
    rig
}

/// Lets time pass in which the service answers pings, and nothing else.
fn quiet(rig: &mut Rig, seconds: u64) {
    for _ in 0..seconds * 10 {
        rig.pass(Duration::from_millis(100));
        let pings = rig.sent.iter().filter(|sent| **sent == Output::Ping);
        if pings.count() > 0 {
            rig.sent.retain(|sent| *sent != Output::Ping);
            rig.input(Input::Pong);
        }
    }
}

fn starts(rig: &Rig) -> usize {
    let texts = rig.texts();
    texts
        .iter()
        .filter(|t| t["type"] == "start_request")
        .count()
}

#[test]
fn the_last_sentence_of_a_service_whose_database_was_away_comes_behind_the_stop() {
    let mut rig = paused(WILL_TELL);
    quiet(&mut rig, 20);
    rig.session.resume(rig.now);
    rig.pump();
    assert_eq!(starts(&rig), 1, "its results are still to come");
    rig.text(&final_of(&[("late", 500, 900)]));
    rig.text(TOLD);
    assert_eq!(starts(&rig), 2);
    rig.text(LISTENING);
    rig.speak(100);
    assert_eq!(rig.heard().len(), 1100 * 16, "nothing is sent again");
    assert_eq!(rig.finals(), [("late".to_owned(), Some(500 * MS))]);
    assert_eq!(rig.gaps(), []);
}

#[test]
fn a_service_that_does_not_say_when_all_is_told_is_done_after_two_quiet_seconds() {
    let mut rig = paused(STOPPED);
    quiet(&mut rig, 3);
    rig.session.resume(rig.now);
    rig.pump();
    assert_eq!(starts(&rig), 2);
}

#[test]
fn what_a_service_has_not_told_when_it_closes_is_sent_again() {
    for code in [1000, 1011] {
        let mut rig = paused(WILL_TELL);
        rig.input(Input::Closed(Failure::closed(code, "")));
        rig.session.resume(rig.now);
        rig.pump();
        rig.pass(Duration::from_secs(1));
        rig.sent.clear();
        rig.input(Input::Connected { announced: true });
        rig.text(LISTENING);
        assert_eq!(rig.heard().len(), 1000 * 16, "{code}");
    }
}

#[test]
fn what_a_service_never_tells_before_another_speaker_is_a_gap() {
    let mut rig = Rig::new(|config| {
        config.start.disconnect_on_stop_request = Some(false);
        config.drain_timeout = Duration::from_secs(5);
    });
    rig.input(Input::Connected { announced: true });
    rig.text(LISTENING);
    rig.speak(1000);
    rig.session.set_speaker(
        rig.now,
        Speaker {
            user_id: Some("another".into()),
            name: None,
        },
    );
    rig.speak(100);
    rig.text(WILL_TELL);
    quiet(&mut rig, 4);
    assert_eq!(rig.gaps(), [], "the service may still tell it");
    quiet(&mut rig, 2);
    rig.input(Input::Connected { announced: true });
    rig.text(LISTENING);
    assert_eq!(rig.gaps(), [(0, 1000, GapReason::NotFinalised)]);
    rig.accounts_for_everything();
}

#[test]
fn the_end_of_a_stream_is_seen_as_soon_as_all_is_told() {
    let mut rig = Rig::new(|config| config.start.disconnect_on_stop_request = Some(false));
    rig.input(Input::Connected { announced: true });
    rig.text(LISTENING);
    rig.speak(1000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(WILL_TELL);
    rig.text(&final_of(&[("end", 500, 900)]));
    assert_eq!(rig.drained(), None);
    rig.text(TOLD);
    assert_eq!(rig.drained(), Some((true, 0)));
}
