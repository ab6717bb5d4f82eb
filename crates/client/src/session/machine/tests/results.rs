// SPDX-License-Identifier: MPL-2.0

//! Conversations, the history, and messages of unknown types.

use super::*;

#[test]
fn c38_messages_missed_in_an_outage_are_fetched_and_reported_once() {
    let history = r#"{"messages":[
        {"id":"1","text":"One.","startTime":"2026-01-01T00:00:00.200Z","endTime":"2026-01-01T00:00:00.900Z"},
        {"id":"2","text":"Theirs.","from":{"email":"other@example.org"},
         "startTime":"2026-01-01T00:00:03.000Z","endTime":"2026-01-01T00:00:03.500Z"}]}"#;
    let mut rig = Rig::listening_with(|config| config.history_recovery = true);
    rig.text(&named("conversation_created", "42"));
    rig.speak(3000);
    let user = r#""user":{"userId":"me@example.org"},"type":"recognition_result""#;
    let heard = final_of(&[("one", 200, 900)]);
    rig.text(&heard.replace(r#""type":"recognition_result""#, user));
    rig.text(
        r#"{"type":"message_response","messages":[{"id":"m1","from":{"userId":"me@example.org"},
            "payload":{"content":"One."},"duration":{"startTime":"2026-01-01T00:00:00.200Z"}}]}"#,
    );
    rig.lose();
    rig.sent.clear();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(&named("recognition_started", "42"));
    // The history is asked for from the beginning: the session is younger than five minutes.
    let first = response::history(history).unwrap()[0].start_time.unwrap() - 200_000_000;
    let asked = Output::FetchHistory {
        conversation_id: Arc::from("42"),
        since: first,
    };
    assert!(rig.sent.contains(&asked), "{:?}", rig.sent);
    for _ in 0..2 {
        rig.input(Input::History(response::history(history).unwrap()));
    }
    assert_eq!(rig.messages(), ["One.", "Theirs."]);
    let last = rig.events.last().unwrap();
    assert_eq!(last.placement.unwrap().running_time, Some(3000 * MS));

    let failure = Failure::http(503, "", None);
    rig.input(Input::HistoryFailed(failure));
    assert_eq!(rig.session.state(), State::Listening);
    let last = rig.events.last().unwrap();
    assert!(matches!(last.kind, EventKind::Warning(_)));
}

#[test]
fn another_conversation_after_a_rejoin_is_reported_as_a_split() {
    let mut rig = Rig::listening();
    rig.text(&named("conversation_created", "42"));
    rig.lose();
    rig.pass(Duration::from_millis(500));
    rig.input(Input::Connected { announced: false });
    rig.text(&named("conversation_created", "43"));
    let split = rig.events.iter().find_map(|e| match &e.kind {
        EventKind::Session {
            event: SessionEvent::Split,
            previous_conversation_id,
        } => Some(previous_conversation_id.clone()),
        _ => None,
    });
    assert_eq!(split.flatten().as_deref(), Some("42"));
}

#[test]
fn unknown_types_are_passed_on() {
    let mut rig = Rig::listening();
    rig.text(r#"{"type":"brand_new","x":1}"#);
    let last = rig.events.last().unwrap();
    assert_eq!(
        last.kind,
        EventKind::Raw {
            kind: "brand_new".into()
        }
    );
    assert_eq!(last.json.as_deref(), Some(r#"{"type":"brand_new","x":1}"#));
}
