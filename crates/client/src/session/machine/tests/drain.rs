// SPDX-License-Identifier: MPL-2.0

//! The end of the stream: last byte, stop request, last results, close.

use super::*;

#[test]
fn a_failed_session_drains_at_once_and_reports_how_much_was_not_confirmed() {
    let mut rig = Rig::listening();
    rig.speak(300);
    rig.text(&final_of(&[("hello", 0, 100)]));
    rig.input(Input::Closed(Failure::closed(1008, "")));
    assert_eq!(rig.session.state(), State::Failed);
    rig.speak(50);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!(rig.drained(), Some((false, 250 * MS)));
    let warned = |e: &Event| matches!(&e.kind, EventKind::Warning(_));
    assert!(!rig.events.iter().any(warned), "the failure was told");
}

#[test]
fn a_failure_while_draining_ends_the_wait() {
    let mut rig = Rig::listening();
    rig.speak(300);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.input(Input::Closed(Failure::closed(1008, "")));
    assert_eq!(rig.drained(), Some((false, 300 * MS)));
    assert!(rig.session.is_settled());
}

#[test]
fn the_end_of_the_stream_goes_last_byte_stop_results_drained() {
    let mut rig = Rig::listening();
    rig.speak(150);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!(rig.heard().len(), 150 * 16);
    assert_eq!(rig.texts().last().unwrap()["type"], "stop_request");
    rig.text(STOPPED);
    rig.pass(Duration::from_secs(3));
    rig.text(&final_of(&[("end", 20, 140)]));
    assert_eq!(rig.drained(), None);
    rig.text(COMPLETED);
    assert_eq!(rig.drained(), Some((true, 0)));
    assert!(matches!(
        rig.sent.last(),
        Some(Output::Close { code: 1000, .. })
    ));
    assert_eq!(rig.finals().len(), 1);
    assert!(rig.session.is_settled());
    assert_eq!(
        rig.texts()
            .iter()
            .filter(|t| t["type"] == "stop_request")
            .count(),
        1
    );
}

#[test]
fn a_close_after_the_stop_was_taken_completes_too() {
    let mut rig = Rig::listening();
    rig.speak(100);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.input(Input::Closed(Failure::closed(1000, "")));
    assert_eq!(rig.drained(), Some((true, 0)));
}

/// What our own service sends when it has abandoned a stopped stream.
const NOT_DRAINED: &str = r#"{"type":"error","message":"Not all audio was recognised",
    "details":"the last results took longer than --max-drain-time allows","code":"not_drained"}"#;

/// Returns a rig whose stream has ended, of which only the first 100 ms of 300 were heard,
/// when the service has closed the connection.
fn abandoned() -> Rig {
    let mut rig = Rig::listening();
    rig.speak(300);
    rig.text(&final_of(&[("heard", 0, 100)]));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.text(NOT_DRAINED);
    let told = |e: &Event| matches!(e.kind, EventKind::Error { fatal: false, .. });
    assert!(rig.events.iter().any(told));
    rig.input(Input::Closed(Failure::closed(1011, "results are missing")));
    rig
}

#[test]
fn audio_that_the_service_had_no_time_for_is_sent_again_and_then_complete() {
    let mut rig = abandoned();
    assert_eq!(rig.drained(), None, "nothing was heard of the last 200 ms");
    rig.pass(Duration::from_secs(1));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    let again = rig.heard().len() - 300 * 16;
    assert!(again >= 200 * 16, "{again} samples");
    rig.text(STOPPED);
    rig.text(&final_of(&[("again", 20, 180)]));
    rig.text(COMPLETED);
    assert_eq!(rig.drained(), Some((true, 0)));
    assert_eq!(rig.finals().len(), 2, "{:?}", rig.finals());
}

#[test]
fn audio_that_the_service_never_has_time_for_is_reported_as_missing_within_the_bound() {
    let mut rig = abandoned();
    let mut waited = Duration::ZERO;
    let step = Duration::from_millis(500);
    while rig.drained().is_none() {
        assert!(waited < Duration::from_secs(30));
        rig.pass(step);
        waited += step;
        if matches!(rig.sent.last(), Some(Output::Dial)) {
            rig.input(Input::Connected { announced: false });
            rig.text(LISTENING);
            rig.text(STOPPED);
            rig.text(NOT_DRAINED);
            rig.input(Input::Closed(Failure::closed(1011, "results are missing")));
        }
    }
    assert_eq!(rig.drained(), Some((false, 200 * MS)));
    rig.accounts_for_everything();
}

#[test]
fn a_stop_that_is_never_answered_ends_within_the_drain_timeout_and_reports_what_is_missing() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.text(&final_of(&[("one", 100, 400)]));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.pass(Duration::from_millis(9_999));
    assert_eq!(rig.drained(), None);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.drained(), Some((false, 600 * MS)));
    assert!(
        rig.events
            .iter()
            .any(|e| matches!(&e.kind, EventKind::Warning(f) if f.reason == Reason::DrainTimeout))
    );
    assert!(matches!(
        rig.sent.last(),
        Some(Output::Close { code: 1000, .. })
    ));
}

#[test]
fn results_keep_the_drain_alive_but_not_for_ever() {
    let mut rig = Rig::listening();
    rig.speak(5000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    let mut waited = 0;
    while rig.drained().is_none() {
        rig.pass(Duration::from_secs(1));
        waited += 1;
        rig.text(&final_of(&[("x", waited * 300, waited * 300 + 100)]));
    }
    assert_eq!(
        waited, 15,
        "drain timeout and the five seconds that were unfinalised"
    );
}

#[test]
fn a_stream_without_audio_drains_at_once() {
    let mut rig = Rig::listening();
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!(rig.drained(), Some((true, 0)));
    let mut rig = Rig::new(|_| {});
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!(rig.drained(), Some((true, 0)));
}

#[test]
fn a_drain_without_a_service_is_bounded_and_reported() {
    let mut rig = Rig::new(|_| {});
    rig.speak(2000);
    rig.input(Input::DialFailed(Failure::retryable(
        Reason::Tcp,
        "refused",
    )));
    rig.session.end_of_stream(rig.now);
    rig.pass(Duration::from_secs(12));
    assert_eq!(rig.drained(), Some((false, 2000 * MS)));
    assert_eq!(rig.gaps(), [(0, 2000, GapReason::NotDrained)]);
    rig.accounts_for_everything();
}

#[test]
fn a_socket_lost_while_draining_is_rejoined_for_the_rest() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.sent.clear();
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.heard().len(), 16_000);
    assert_eq!(rig.texts().last().unwrap()["type"], "stop_request");
    rig.text(COMPLETED);
    assert_eq!(rig.drained(), Some((true, 0)));
}

#[test]
fn after_the_end_a_flush_begins_anew() {
    let mut rig = Rig::listening();
    rig.speak(100);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.text(COMPLETED);
    rig.sent.clear();
    rig.session.flush(rig.now);
    rig.speak_at(0, 100);
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!((rig.dials(), rig.heard().len()), (1, 1600));
}

#[test]
fn a_link_that_breaks_after_the_stop_was_taken_took_the_last_results_with_it() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.lose();
    assert_eq!(rig.drained(), None);
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    rig.text(&final_of(&[("last", 500, 900)]));
    rig.text(STOPPED);
    rig.text(COMPLETED);
    assert_eq!(rig.finals().len(), 1);
    assert_eq!(rig.drained(), Some((true, 0)));
}

#[test]
fn a_link_that_breaks_after_the_stop_was_taken_has_not_settled() {
    let mut rig = Rig::listening_with(|config| {
        config.start.disconnect_on_stop_request = Some(false);
    });
    rig.speak(1000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.text(STOPPED);
    rig.lose();
    rig.pass(Duration::from_secs(9));
    assert_eq!(rig.drained(), None);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.drained(), Some((false, 1000 * MS)));
}

#[test]
fn a_new_token_after_the_end_reports_no_second_end() {
    let mut rig = Rig::new(|_| {});
    rig.speak(100);
    rig.input(Input::DialFailed(Failure::http(401, "", None)));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.session.token_changed(rig.now);
    rig.pass(Duration::from_secs(60));
    let ends = rig
        .events
        .iter()
        .filter(|e| matches!(e.kind, EventKind::Drained { .. }));
    assert_eq!(ends.count(), 1);
    assert_eq!(rig.dials(), 1, "nothing is left to say");
    rig.session.flush(rig.now);
    rig.pump();
    assert_eq!(rig.dials(), 2, "the stream goes on, with the new token");
}
