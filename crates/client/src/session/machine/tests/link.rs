// SPDX-License-Identifier: MPL-2.0

//! Dials, starts, pings, and what a lost connection or a refusal leads to.

use super::*;

#[test]
fn the_start_request_goes_first_and_audio_waits_for_its_acknowledgement() {
    let mut rig = Rig::new(|_| {});
    rig.speak(500);
    rig.input(Input::Connected { announced: false });
    assert_eq!(rig.texts()[0]["type"], "start_request");
    assert!(rig.heard().is_empty());
    rig.text(LISTENING);
    assert_eq!(rig.heard(), (0..8000).collect::<Vec<i16>>());
    rig.accounts_for_everything();
}

#[test]
fn the_three_replies_are_accepted_in_all_orders_and_the_conversation_is_reported_once() {
    let replies = [
        LISTENING.to_owned(),
        named("conversation_created", "42"),
        named("recognition_started", "42"),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut rig = Rig::new(|_| {});
        rig.input(Input::Connected { announced: false });
        order.iter().for_each(|n| rig.text(&replies[*n]));
        let told: Vec<_> = rig
            .events
            .iter()
            .filter(|e| matches!(e.kind, EventKind::Session { .. }))
            .collect();
        assert_eq!(told.len(), 1, "{order:?}");
        assert_eq!(told[0].conversation_id.as_deref(), Some("42"));
        assert_eq!(rig.session.state(), State::Listening);
    }
}

#[test]
fn a_socket_without_a_format_waits_for_one() {
    let format = StreamFormat::new(Encoding::Linear16, 16_000).unwrap();
    let mut session = Session::new(SessionConfig::new(StartRequest::new(format)));
    session.start(Time::ZERO);
    assert_eq!(session.poll(Time::ZERO, false), Some(Output::Dial));
    session.handle(Time::ZERO, Input::Connected { announced: false });
    while let Some(output) = session.poll(Time::ZERO, true) {
        assert!(matches!(output, Output::Event(_)), "{output:?}");
    }
    session.set_format(Time::ZERO, AudioFormat::new(format));
    assert!(matches!(
        std::iter::from_fn(|| session.poll(Time::ZERO, true)).last(),
        Some(Output::Text(_))
    ));
}

#[test]
fn a_failed_first_dial_is_tried_again_and_loses_nothing() {
    let mut rig = Rig::new(|_| {});
    rig.speak(300);
    rig.input(Input::DialFailed(Failure::retryable(
        Reason::Tcp,
        "refused",
    )));
    assert_eq!(rig.session.state(), State::Connecting);
    assert_eq!(
        rig.events
            .iter()
            .filter(|e| matches!(e.kind, EventKind::Warning(_)))
            .count(),
        1
    );
    rig.pass(Duration::from_millis(500));
    assert_eq!(rig.dials(), 2);
    rig.input(Input::DialFailed(Failure::retryable(
        Reason::Tcp,
        "refused",
    )));
    assert_eq!(
        rig.events
            .iter()
            .filter(|e| matches!(e.kind, EventKind::Warning(_)))
            .count(),
        1,
        "one outage"
    );
    rig.pass(Duration::from_secs(1));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.heard(), (0..4800).collect::<Vec<i16>>());
}

#[test]
fn a_dial_that_does_not_answer_is_given_up_in_time() {
    let mut rig = Rig::new(|config| config.connect_timeout = Duration::from_secs(3));
    rig.pass(Duration::from_secs(3));
    assert!(rig.sent.contains(&Output::Abort));
    let state = rig.events.iter().rev().find_map(|e| match &e.kind {
        EventKind::State {
            failure: Some(failure),
            ..
        } => Some(failure.reason),
        _ => None,
    });
    assert_eq!(state, Some(Reason::ConnectTimeout));
}

#[test]
fn a_start_that_is_not_acknowledged_is_given_up_within_the_connect_timeout_of_its_dial() {
    let mut rig = Rig::new(|config| config.connect_timeout = Duration::from_secs(3));
    rig.pass(Duration::from_secs(2));
    rig.input(Input::Connected { announced: false });
    assert_eq!(rig.session.state(), State::Starting);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.session.state(), State::Connecting);
    assert!(rig.sent.contains(&Output::Abort));
}

#[test]
fn a_refusal_that_no_retry_can_help_ends_it() {
    let mut rig = Rig::new(|_| {});
    rig.speak(300);
    rig.input(Input::DialFailed(Failure::http(
        401,
        "Token validation failed",
        None,
    )));
    assert_eq!(rig.session.state(), State::Failed);
    assert!(
        rig.events
            .iter()
            .any(|e| matches!(&e.kind, EventKind::Failed(f) if f.reason == Reason::Auth))
    );
    rig.pass(Duration::from_secs(3600));
    assert_eq!(rig.dials(), 1);
    assert_eq!(rig.gaps(), [(0, 300, GapReason::SessionFailed)]);
    assert!(rig.session.has_room(), "upstream is not blocked");
    rig.speak(100);
}

#[test]
fn a_new_token_revives_only_a_session_that_failed_for_lack_of_one() {
    for (status, dials) in [(401, 2), (404, 1)] {
        let mut rig = Rig::new(|_| {});
        rig.speak(100);
        rig.input(Input::DialFailed(Failure::http(status, "", None)));
        assert_eq!(rig.session.state(), State::Failed);
        rig.session.token_changed(rig.now);
        rig.pump();
        assert_eq!(rig.dials(), dials);
    }
    let mut rig = Rig::listening();
    rig.session.token_changed(rig.now);
    rig.pump();
    assert_eq!(rig.dials(), 1, "a session that goes well goes on");
}

#[test]
fn the_back_off_bounds_the_dials() {
    let mut rig = Rig::new(|config| config.reconnect_max_delay = Duration::from_secs(10));
    let end = Duration::from_secs(600);
    while rig.now < end {
        if rig.session.phase
            == (Phase::Dialing {
                deadline: rig.now + Duration::from_secs(10),
            })
        {
            rig.input(Input::DialFailed(Failure::retryable(
                Reason::Tcp,
                "refused",
            )));
        }
        let due = rig.session.next_timeout().unwrap();
        rig.pass(due - rig.now);
    }
    assert!(rig.dials() <= 130, "{} dials in ten minutes", rig.dials());
    assert!(rig.dials() >= 60, "{} dials in ten minutes", rig.dials());
}

#[test]
fn reconnecting_ends_when_its_time_is_up() {
    let mut rig = Rig::new(|config| config.reconnect_timeout = Duration::from_secs(5));
    for _ in 0..20 {
        rig.input(Input::DialFailed(Failure::retryable(
            Reason::Tcp,
            "refused",
        )));
        rig.pass(Duration::from_secs(1));
    }
    assert_eq!(rig.session.state(), State::Failed);
    // A dial without an answer does not make the time longer.
    let mut rig = Rig::new(|config| config.reconnect_timeout = Duration::from_secs(5));
    rig.pass(Duration::from_millis(4_900));
    assert_eq!(rig.session.state(), State::Connecting);
    rig.pass(Duration::from_millis(200));
    assert_eq!(rig.session.state(), State::Failed);
}

#[test]
fn a_dial_that_the_end_of_the_time_cuts_short_does_not_hide_why_the_others_failed() {
    let mut rig = Rig::new(|config| config.reconnect_timeout = Duration::from_secs(5));
    rig.input(Input::DialFailed(Failure {
        http_status: Some(503),
        ..Failure::retryable(Reason::Http, "the service is busy")
    }));
    while rig.dials() < 2 {
        let due = rig.session.next_timeout().expect("a dial");
        rig.pass(due - rig.now);
    }
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.session.state(), State::Failed);
    let mut failures = rig.events.iter().filter_map(|event| match &event.kind {
        EventKind::Failed(failure) => Some(failure),
        _ => None,
    });
    let failure = failures.next_back().expect("an error");
    assert_eq!(failure.reason, Reason::Http);
    assert_eq!(failure.http_status, Some(503));
    let message = "no session for 5000 ms (reconnect-timeout), giving up: the service is busy";
    assert_eq!(failure.message, message);
}

#[test]
fn a_dead_connection_is_found_by_its_missing_pong() {
    let mut rig = Rig::listening();
    rig.pass(Duration::from_secs(10));
    assert!(rig.sent.contains(&Output::Ping));
    rig.pass(Duration::from_millis(9_999));
    assert_eq!(rig.session.state(), State::Listening);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.session.state(), State::Reconnecting);
    assert!(rig.sent.contains(&Output::Abort));
}

#[test]
fn any_frame_is_a_sign_of_life_and_a_pong_measures_the_round_trip() {
    let mut rig = Rig::listening();
    for _ in 0..100 {
        let ping = rig.session.next_timeout().unwrap();
        rig.pass(ping - rig.now);
        rig.now += Duration::from_millis(7);
        rig.input(Input::Pong);
    }
    assert_eq!(rig.session.state(), State::Listening);
    assert_eq!(
        rig.session.stats(rig.now).rtt,
        Some(Duration::from_millis(7))
    );
    rig.pass(Duration::from_secs(10));
    rig.text("__PONG__");
    rig.pass(Duration::from_secs(15));
    assert_eq!(rig.session.state(), State::Listening);
}

#[test]
fn settings_that_worked_are_tried_again() {
    let missing = Failure::fatal(Reason::Settings, "no such file");
    let mut rig = Rig::new(|_| {});
    rig.input(Input::DialFailed(missing.clone()));
    assert_eq!(rig.session.state(), State::Failed);
    let mut rig = Rig::listening();
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::DialFailed(missing));
    assert_eq!(rig.session.state(), State::Reconnecting);
}

#[test]
fn a_dial_that_is_refused_for_a_token_that_was_replaced_is_tried_again() {
    let refused = Failure::http(403, "", None);
    let mut rig = Rig::new(|_| {});
    rig.session.token_changed(rig.now);
    rig.input(Input::DialFailed(refused.clone()));
    rig.pass(Duration::from_millis(500));
    assert_eq!((rig.dials(), rig.session.state()), (2, State::Connecting));
    rig.input(Input::DialFailed(refused));
    assert_eq!(rig.session.state(), State::Failed);
}

#[test]
fn the_end_of_a_socket_that_is_being_replaced_is_no_outage() {
    let mut rig = Rig::listening();
    rig.speak(1000);
    rig.session.end_of_stream(rig.now);
    rig.pump();
    rig.session.flush(rig.now);
    // The new dial has not been taken from the session yet.
    rig.lose();
    assert_eq!((rig.dials(), rig.session.state()), (2, State::Connecting));
    rig.input(Input::Connected { announced: false });
    rig.text(LISTENING);
    assert_eq!(rig.session.state(), State::Listening);
}
