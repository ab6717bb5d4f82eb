// SPDX-License-Identifier: MPL-2.0

//! Dials that fail: which of them end the session, and how a stream ends before any dial has
//! succeeded.

use super::super::verdict::{ODD_SPAN, ODD_TRIES};
use super::*;

fn failed(rig: &Rig) -> Option<&Failure> {
    rig.events.iter().find_map(|event| match &event.kind {
        EventKind::Failed(failure) => Some(failure),
        _ => None,
    })
}

/// Lets the session dial, and fails the dial.
fn refuse(rig: &mut Rig, failure: Failure) {
    let before = rig.dials();
    while rig.dials() == before && failed(rig).is_none() {
        let due = rig.session.next_timeout().expect("something is to come");
        rig.pass(due - rig.now);
    }
    rig.input(Input::DialFailed(failure));
}

/// Returns answers that come from no service: of a captive portal, an ingress without a back
/// end, a web page, another protocol, a host with another certificate, a proxy that refuses the
/// host, and a token endpoint that returns no token.
fn odd_answers() -> Vec<Failure> {
    let http = |status| Failure::http(status, "", None);
    vec![
        http(302),
        http(404),
        http(200),
        Failure::fatal(Reason::Handshake, "garbage"),
        Failure::fatal(Reason::Tls, "another certificate"),
        Failure {
            http_status: Some(403),
            ..Failure::fatal(Reason::Proxy, "not to this host")
        },
        Failure::fatal(Reason::Protocol, "no token in it"),
    ]
}

#[test]
fn one_odd_answer_does_not_end_a_session_that_had_worked() {
    for answer in odd_answers() {
        let mut rig = Rig::listening();
        rig.speak(1000);
        rig.lose();
        refuse(&mut rig, answer.clone());
        assert_eq!(failed(&rig), None);
        assert_eq!(rig.session.state(), State::Reconnecting);
        let told = rig.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::State { failure, .. } => failure.clone(),
            _ => None,
        });
        let told = told.expect("why it is not connected");
        assert!(told.retryable && told.reason == answer.reason, "{told:?}");
        assert!(told.message.contains("tried again"), "{told:?}");
        rig.pass(Duration::from_secs(1));
        rig.input(Input::Connected { announced: false });
        rig.text(LISTENING);
        rig.pass(Duration::from_secs(1));
        assert_eq!(rig.heard().len(), 2 * 16_000, "all was sent again");
    }
}

#[test]
fn an_odd_answer_that_stays_ends_the_session() {
    for answer in odd_answers() {
        let mut rig = Rig::listening();
        rig.lose();
        let begun = rig.now;
        let mut tries = 0;
        while failed(&rig).is_none() {
            refuse(&mut rig, answer.clone());
            tries += 1;
        }
        let took = rig.now - begun;
        assert!(took >= ODD_SPAN && took < 2 * ODD_SPAN, "{took:?}");
        assert!(tries >= ODD_TRIES, "{tries} tries");
        let failure = failed(&rig).expect("an end");
        assert!(!failure.retryable && failure.reason == answer.reason);
    }
}

#[test]
fn an_odd_answer_counts_only_while_it_stays() {
    let mut rig = Rig::listening();
    rig.lose();
    let minutes = 2 * ODD_SPAN.as_secs() / 30;
    for _ in 0..minutes {
        refuse(&mut rig, Failure::http(404, "", None));
        refuse(&mut rig, Failure::retryable(Reason::Tcp, "refused"));
    }
    assert!(rig.now > ODD_SPAN);
    assert_eq!(failed(&rig), None);
}

#[test]
fn an_odd_answer_is_tried_for_as_long_as_reconnect_timeout_says() {
    let bound = 3 * ODD_SPAN;
    let mut rig = Rig::listening_with(|config| config.reconnect_timeout = bound);
    rig.lose();
    while failed(&rig).is_none() {
        refuse(&mut rig, Failure::http(404, "", None));
    }
    assert!(rig.now > bound - Duration::from_secs(31), "{:?}", rig.now);
}

#[test]
fn an_odd_answer_to_the_first_dial_and_refused_credentials_end_the_session_at_once() {
    for answer in odd_answers() {
        let mut rig = Rig::new(|_| {});
        rig.input(Input::DialFailed(answer));
        assert!(failed(&rig).is_some());
    }
    for status in [401, 402, 403] {
        let mut rig = Rig::listening();
        rig.lose();
        refuse(&mut rig, Failure::http(status, "", None));
        assert!(failed(&rig).is_some(), "{status}");
    }
}

/// Returns the answer of a service whose engines have no room.
fn come_later() -> Failure {
    Failure::http(429, "busy", Some(Duration::from_secs(20)))
}

#[test]
fn a_stream_that_ended_before_it_was_admitted_is_heard_when_it_is() {
    let mut rig = Rig::new(|_| {});
    rig.speak(2000);
    rig.input(Input::DialFailed(come_later()));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    for _ in 0..5 {
        refuse(&mut rig, come_later());
    }
    assert!(rig.now >= Duration::from_secs(100), "as it was asked to");
    assert_eq!((rig.drained(), failed(&rig)), (None, None));
    rig.pass(Duration::from_secs(20));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.heard().len(), 2 * 16_000);
    rig.text(&final_of(&[("word", 100, 2000)]));
    rig.text(STOPPED);
    rig.text(COMPLETED);
    assert_eq!(rig.drained(), Some((true, 0)));
    assert_eq!(failed(&rig), None);
    rig.accounts_for_everything();
}

#[test]
fn a_stream_that_is_never_admitted_ends_in_an_error_that_says_so() {
    let bound = Duration::from_secs(60);
    let mut rig = Rig::new(|config| config.admission_timeout = bound);
    rig.speak(2000);
    rig.input(Input::DialFailed(come_later()));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    while failed(&rig).is_none() {
        refuse(&mut rig, come_later());
    }
    assert_eq!(rig.now, bound);
    let failure = failed(&rig).expect("an error");
    assert_eq!(failure.reason, Reason::Limit);
    assert!(!failure.retryable);
    for word in ["admission-timeout", "60000 ms", "2000 ms of audio", "429"] {
        assert!(failure.message.contains(word), "{failure:?}");
    }
    assert_eq!(rig.gaps(), [(0, 2000, GapReason::NotDrained)]);
    assert_eq!(rig.drained(), Some((false, 2000 * MS)));
    assert_eq!(rig.session.state(), State::Failed);
    rig.accounts_for_everything();
}

#[test]
fn a_stream_without_a_service_ends_in_an_error_after_the_drain_timeout() {
    // The dial is refused, it is not answered, or the wait for admission is switched off.
    let refused = Failure::retryable(Reason::Tcp, "refused");
    for (first, reason) in [
        (Some(refused), Reason::Tcp),
        (None, Reason::DrainTimeout),
        (Some(come_later()), Reason::Limit),
    ] {
        let mut rig = Rig::new(|config| {
            config.admission_timeout = Duration::ZERO;
            config.connect_timeout = Duration::from_secs(60);
        });
        rig.speak(1000);
        if let Some(failure) = first {
            rig.input(Input::DialFailed(failure));
        }
        rig.session.end_of_stream(rig.now);
        rig.pass(Duration::from_millis(9_999));
        assert_eq!(failed(&rig), None);
        rig.pass(Duration::from_millis(1));
        let failure = failed(&rig).expect("an error");
        assert_eq!(failure.reason, reason);
        assert!(failure.message.contains("drain-timeout"), "{failure:?}");
        assert_eq!(rig.drained(), Some((false, 1000 * MS)));
        assert_eq!(rig.gaps(), [(0, 1000, GapReason::NotDrained)]);
    }
}

#[test]
fn a_stream_without_audio_needs_no_session() {
    let mut rig = Rig::new(|_| {});
    rig.input(Input::DialFailed(come_later()));
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!((rig.drained(), failed(&rig)), (Some((true, 0)), None));
}

#[test]
fn a_session_whose_owner_broke_down_accounts_for_all_audio() {
    let mut rig = Rig::listening();
    rig.speak(3000);
    rig.text(&final_of(&[("word", 100, 1000)]));
    rig.session
        .break_down(rig.now, Failure::fatal(Reason::Internal, "a panic"));
    rig.pump();
    assert_eq!(rig.gaps(), [(1000, 2000, GapReason::SessionFailed)]);
    assert_eq!(rig.session.state(), State::Failed);
    rig.speak(500);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    assert_eq!(rig.drained(), Some((false, 2500 * MS)));
    rig.accounts_for_everything();
}
