// SPDX-License-Identifier: MPL-2.0

use super::*;
use gst::glib;
use gst::prelude::*;
use samples::*;
use std::time::Duration;
use symbl_client::session::State as Session;
use symbl_client::session::event::GapReason;
use symbl_client::session::{Failure, Reason};

mod samples;

/// Returns name, type and value of a field, as the golden lines below write them.
fn field(name: &str, value: &glib::Value) -> String {
    let value_text = match value.get::<&str>() {
        Ok(text) => format!("{text:?}"),
        Err(_) => value.serialize().unwrap().into(),
    };
    format!("{name}: {} = {value_text}", value.type_().name())
}

/// Returns all fields except those that every message has, sorted.
fn own(structure: &gst::StructureRef) -> Vec<String> {
    const COMMON: [&str; 5] = [
        "schema",
        "seq",
        "generation",
        "connection-id",
        "conversation-id",
    ];
    let mut fields: Vec<String> = structure
        .iter()
        .filter(|(name, _)| !COMMON.contains(&name.as_str()))
        .map(|(name, value)| field(name, value))
        .collect();
    fields.sort();
    fields
}

const PLACE: [&str; 7] = [
    "running-time: guint64 = 1000",
    "stream-time: guint64 = 2000",
    "duration: guint64 = 300",
    "utc: gchararray = \"2022-10-05T19:47:01.463Z\"",
    "delay: guint64 = 400",
    "replayed: gboolean = true",
    "json: gchararray = \"{\\\"a\\\":1}\"",
];

#[track_caller]
fn assert_message(event: &Event, name: &str, place: &[&str], fields: &[&str]) {
    gst::init().unwrap();
    let structure = structure(event, 7, "c-1").unwrap();
    assert_eq!(structure.name(), name);
    assert_eq!(structure.get::<i32>("schema"), Ok(1));
    assert_eq!(structure.get::<u64>("seq"), Ok(7));
    assert_eq!(structure.get::<u64>("generation"), Ok(2));
    assert_eq!(structure.get::<&str>("connection-id"), Ok("c-1"));
    assert_eq!(
        structure.get::<&str>("conversation-id"),
        Ok("5751229838262272")
    );
    let mut expected: Vec<&str> = place.iter().chain(fields).copied().collect();
    expected.sort_unstable();
    assert_eq!(own(&structure), expected);
}

#[test]
fn a_transcript() {
    let event = transcript();
    let words = r#""[{\"word\":\"say \\\"hi\\\"\",\"running-time\":10,\"duration\":5},{\"word\":\"there\"}]""#;
    assert_message(
        &event,
        "symbl/transcript",
        &PLACE,
        &[
            "text: gchararray = \"Hi there.\"",
            "is-final: gboolean = true",
            "utterance-id: gchararray = \"u1\"",
            "confidence: gdouble = 0.75",
            "speaker-id: gchararray = \"u@example.com\"",
            "speaker-name: gchararray = \"U\"",
            &format!("words: gchararray = {words}"),
        ],
    );
}

#[test]
fn a_transcript_of_which_little_is_known_leaves_out_the_rest() {
    let mut event = said(EventKind::Transcript {
        text: String::new(),
        is_final: false,
        utterance_id: "u1".into(),
        confidence: None,
        speaker: None,
        words: Vec::new(),
        stable_words: 0,
    });
    event.placement = Some(Placement::default());
    event.json = None;
    let fields = [
        "text: gchararray = \"\"",
        "is-final: gboolean = false",
        "utterance-id: gchararray = \"u1\"",
        "replayed: gboolean = false",
    ];
    assert_message(&event, "symbl/transcript", &[], &fields);
}

#[test]
fn an_interim_of_which_the_first_word_is_stable() {
    let event = interim();
    let words = r#""[{\"word\":\"say \\\"hi\\\"\",\"running-time\":10,\"duration\":5},{\"word\":\"there\"}]""#;
    assert_message(
        &event,
        "symbl/transcript",
        &PLACE,
        &[
            r#"text: gchararray = "Say \"hi\" there""#,
            "is-final: gboolean = false",
            "utterance-id: gchararray = \"u1\"",
            "confidence: gdouble = 0",
            "speaker-id: gchararray = \"u@example.com\"",
            "speaker-name: gchararray = \"U\"",
            &format!("words: gchararray = {words}"),
            "stable-words: gint = 1",
        ],
    );
}

#[test]
fn a_message() {
    let event = message();
    assert_message(
        &event,
        "symbl/message",
        &PLACE,
        &[
            "id: gchararray = \"m\"",
            "text: gchararray = \"Hi there.\"",
            "original-text: gchararray = \"hi there\"",
            "utterance-id: gchararray = \"u1\"",
            "speaker-id: gchararray = \"uuid\"",
            "speaker-name: gchararray = \"U\"",
            r#"words: gchararray = "[{\"word\":\"there\"}]""#,
            "sentiment: gdouble = -0.5",
        ],
    );
}

#[test]
fn an_insight() {
    let event = insight();
    assert_message(
        &event,
        "symbl/insight",
        &PLACE,
        &[
            "id: gchararray = \"i\"",
            "type: gchararray = \"action_item\"",
            "text: gchararray = \"Call Bob.\"",
            "confidence: gdouble = 1",
            "message-id: gchararray = \"m\"",
            "assignee: gchararray = \"U\"",
            "due-by: gchararray = \"2022-10-06T00:00:00Z\"",
        ],
    );
}

#[test]
fn a_tracker() {
    let event = tracker();
    assert_message(
        &event,
        "symbl/tracker",
        &PLACE,
        &[
            "id: gchararray = \"1\"",
            "name: gchararray = \"Price\"",
            "type: gchararray = \"vocabulary\"",
            "value: gchararray = \"how much\"",
            "is-final: gboolean = true",
            "message-id: gchararray = \"m\"",
            "text: gchararray = \"How much is it?\"",
            "offset: gint = -1",
        ],
    );
}

#[test]
fn a_topic() {
    let event = topic();
    let fields = [
        "id: gchararray = \"t\"",
        "text: gchararray = \"budget\"",
        "score: gdouble = 0.25",
    ];
    assert_message(&event, "symbl/topic", &PLACE, &fields);
}

#[test]
fn an_entity() {
    let event = entity();
    assert_message(
        &event,
        "symbl/entity",
        &PLACE,
        &[
            "type: gchararray = \"location\"",
            "sub-type: gchararray = \"city\"",
            "category: gchararray = \"General\"",
            "value: gchararray = \"Paris\"",
            "message-id: gchararray = \"m\"",
        ],
    );
}

#[test]
fn figures_of_the_talk() {
    let fields = [
        "json: gchararray = \"{}\"",
        "talk-time: guint64 = 7300000000",
        "silence: guint64 = 2100000000",
        "overlap: guint64 = 300000000",
    ];
    assert_message(&analytics(), "symbl/analytics", &[], &fields);
}

#[test]
fn a_state_that_was_asked_for() {
    let event = event(EventKind::State {
        state: Session::Listening,
        previous: Session::Starting,
        failure: None,
        attempt: 1,
        retry_in: None,
    });
    let fields = [
        "state: gchararray = \"listening\"",
        "previous: gchararray = \"starting\"",
        "reason: gchararray = \"requested\"",
        "attempt: gint = 1",
    ];
    assert_message(&event, "symbl/state", &[], &fields);
}

#[test]
fn a_state_after_a_failure_tells_why_and_when_it_goes_on() {
    let event = state_after_a_failure();
    assert_message(
        &event,
        "symbl/state",
        &[],
        &[
            "state: gchararray = \"reconnecting\"",
            "previous: gchararray = \"listening\"",
            "reason: gchararray = \"closed\"",
            "attempt: gint = 3",
            "retry-in: guint64 = 250000000",
            "close-code: gint = 1011",
            "close-reason: gchararray = \"boom\"",
            "http-status: gint = 503",
            "retryable: gboolean = true",
        ],
    );
}

#[test]
fn a_session() {
    for (kind, word) in [
        (SessionEvent::Created, "created"),
        (SessionEvent::Resumed, "resumed"),
        (SessionEvent::Modified, "modified"),
        (SessionEvent::Completed, "completed"),
    ] {
        let field = format!("event: gchararray = \"{word}\"");
        assert_message(&session(kind, None), "symbl/session", &[], &[&field]);
    }
    let event = session(SessionEvent::Split, Some("1"));
    let fields = [
        "event: gchararray = \"split\"",
        "previous-conversation-id: gchararray = \"1\"",
    ];
    assert_message(&event, "symbl/session", &[], &fields);
}

#[test]
fn a_gap_has_a_place_but_nothing_was_said_there() {
    let event = gap();
    let fields = ["reason: gchararray = \"buffer-full\""];
    assert_message(&event, "symbl/gap", &PLACE[..4], &fields);
}

#[test]
fn a_drained_stream() {
    let event = samples::drained();
    let fields = [
        "complete: gboolean = false",
        "unconfirmed: guint64 = 1500000000",
    ];
    assert_message(&event, "symbl/drained", &[], &fields);
}

#[test]
fn an_error_of_the_service() {
    let event = error();
    let fields = [
        "message: gchararray = \"bad\"",
        "details: gchararray = \"very\"",
        "fatal: gboolean = true",
        "json: gchararray = \"{}\"",
    ];
    assert_message(&event, "symbl/error", &[], &fields);
}

#[test]
fn an_unknown_message() {
    let event = raw();
    let fields = [
        "type: gchararray = \"news_response\"",
        "json: gchararray = \"{}\"",
    ];
    assert_message(&event, "symbl/raw", &[], &fields);
}

#[test]
fn warnings_and_failures_are_no_element_messages() {
    gst::init().unwrap();
    let failure = Failure::fatal(Reason::Auth, "no");
    assert_eq!(
        structure(&event(EventKind::Warning(failure.clone())), 1, "c"),
        None
    );
    assert_eq!(structure(&event(EventKind::Failed(failure)), 1, "c"), None);
}

#[test]
fn before_there_is_a_conversation_its_id_is_left_out() {
    gst::init().unwrap();
    let mut event = event(EventKind::Raw { kind: "x".into() });
    event.conversation_id = None;
    let structure = structure(&event, 1, "c").unwrap();
    assert!(!structure.has_field("conversation-id"));
}

/// Rows of the tables of a section of docs/messages.md: field, type.
fn documented(section: &str) -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../../docs/messages.md");
    let section = page
        .split("\n## ")
        .find(|text| text.starts_with(section))
        .unwrap_or_else(|| panic!("no section {section}"));
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(field, rest)| (field, rest.split(" |").next().unwrap_or_default()))
        .collect()
}

#[test]
fn the_documentation_has_every_field_with_its_type_and_no_other() {
    gst::init().unwrap();
    let common = documented("Fields of every message");
    let place = documented("Fields of everything that was said in the audio");
    for event in [
        interim(),
        message(),
        insight(),
        tracker(),
        topic(),
        entity(),
        state_after_a_failure(),
        session(SessionEvent::Split, Some("1")),
        analytics(),
        gap(),
        samples::drained(),
        error(),
        raw(),
    ] {
        let structure = structure(&event, 7, "c-1").unwrap();
        let mut expected = common.clone();
        if event.json.is_none() {
            expected.retain(|(field, _)| *field != "json");
        }
        match event.kind {
            EventKind::Gap { .. } => expected.extend(&place[..4]),
            _ if event.placement.is_some() => expected.extend(&place),
            _ => {}
        }
        expected.extend(documented(&format!("`{}`", structure.name())));
        expected.sort_unstable();
        let mut found: Vec<(&str, &str)> = structure
            .iter()
            .map(|(field, value)| (field.as_str(), type_in_words(value)))
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{}", structure.name());
    }
}

fn type_in_words(value: &glib::Value) -> &'static str {
    match value.type_() {
        glib::Type::STRING => "string",
        glib::Type::BOOL => "boolean",
        glib::Type::I32 => "int",
        glib::Type::U64 => "uint64",
        glib::Type::F64 => "double",
        other => panic!("{other} is no type of the contract"),
    }
}
