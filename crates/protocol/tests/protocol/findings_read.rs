// SPDX-License-Identifier: MPL-2.0

//! Tests server → client: insights, topics, trackers and entities.

use super::{mara, parse, parse_fixture};
use serde_json::json;
use symbl_protocol::ServerMessage;
use symbl_protocol::response::{Insight, TrackerMatch};

fn insight(name: &str) -> Insight {
    match parse_fixture(name) {
        ServerMessage::InsightResponse { mut insights, .. } if insights.len() == 1 => {
            insights.remove(0)
        }
        other => panic!("{name}: {other:?}"),
    }
}

fn tracker_matches(message: ServerMessage) -> Vec<TrackerMatch> {
    match message {
        ServerMessage::TrackerResponse { matches, .. } => matches,
        other => panic!("not a tracker_response: {other:?}"),
    }
}

#[test]
fn insights_are_read_in_both_forms() {
    let question = insight("insight_response_question.json");
    assert_eq!(
        (question.kind.as_str(), question.text.as_str()),
        ("question", "Could you confirm the part number?")
    );
    assert_eq!(question.confidence, Some(0.9812734007835388));
    assert_eq!(
        question.message_id.as_deref(),
        Some("91a7d4c3-b05e-42f8-8c6b-5f3e2d9a0174")
    );
    assert_eq!(question.due_by, None);
    let action = insight("insight_response_action_item.json");
    assert_eq!(action.kind, "action_item");
    assert_eq!(action.assignee, Some(mara()));
    assert_eq!(action.from, Some(mara()));
    assert_eq!(action.due_by.as_deref(), Some("2024-03-06T00:00:00-07:00"));
    let plain =
        json!({"type": "insight_response", "insights": [{"dueBy": "2024-03-06T07:00:00Z"}]});
    let ServerMessage::InsightResponse { insights, .. } = parse(&plain) else {
        panic!("not an insight_response");
    };
    assert_eq!(insights[0].due_by.as_deref(), Some("2024-03-06T07:00:00Z"));
    let follow_up = insight("insight_response_follow_up.json");
    assert_eq!(
        (follow_up.kind.as_str(), follow_up.confidence),
        ("follow_up", Some(1.0))
    );
    let short = insight("insight_response_minimal.json");
    assert_eq!(
        (short.id, short.text.as_str()),
        (None, "Who has the key to the pump room?")
    );
}

#[test]
fn topics_are_read() {
    let ServerMessage::TopicResponse { topics } = parse_fixture("topic_response.json") else {
        panic!("not a topic_response");
    };
    assert_eq!(topics.len(), 1);
    assert_eq!(
        (topics[0].text.as_str(), topics[0].score),
        ("pump leak", Some(0.9))
    );
    assert_eq!(
        topics[0].message_ids,
        ["3b6f0a94-8d17-4c52-b1e3-7a20c95d4f61"]
    );
}

#[test]
fn tracker_matches_come_out_one_per_reference() {
    let found = tracker_matches(parse_fixture("tracker_response.json"));
    let summary: Vec<_> = found
        .iter()
        .map(|m| (m.value.as_str(), m.text.as_deref().unwrap(), m.offset))
        .collect();
    assert_eq!(
        summary,
        [
            (
                "leaking",
                "The pump on line four is leaking again.",
                Some(25)
            ),
            (
                "order spare parts",
                "I will order new seals tomorrow.",
                Some(-1)
            ),
            (
                "order spare parts",
                "Mara Lind will order new seals tomorrow.",
                None
            ),
        ]
    );
    assert!(
        found
            .iter()
            .all(|m| m.id.as_deref() == Some("4476908732794496"))
    );
    assert!(
        found
            .iter()
            .all(|m| m.name == "Maintenance" && m.kind.as_deref() == Some("vocabulary"))
    );
    let bare = json!({"type": "tracker_response", "trackers": [{"name": "A", "matches": [{"value": "x"}]}]});
    let ServerMessage::TrackerResponse {
        matches, is_final, ..
    } = parse(&bare)
    else {
        panic!("not a tracker_response");
    };
    assert!(is_final, "final where it does not say");
    assert_eq!((matches.len(), matches[0].message_id.as_deref()), (1, None));
    let ServerMessage::TrackerResponse { is_final, .. } =
        parse_fixture("tracker_response_interim.json")
    else {
        panic!("not a tracker_response");
    };
    assert!(!is_final);
}

#[test]
fn entities_come_out_one_per_reference_and_null_is_none() {
    let ServerMessage::EntityResponse { entities } = parse_fixture("entity_response.json") else {
        panic!("not an entity_response");
    };
    assert_eq!(entities.len(), 1);
    let entity = &entities[0];
    assert_eq!(
        (entity.kind.as_str(), entity.value.as_str()),
        ("location", "line four")
    );
    assert_eq!(entity.sub_type.as_deref(), Some("facility"));
    assert_eq!(entity.category.as_deref(), Some("General"));
    assert_eq!(
        entity.message_id.as_deref(),
        Some("3b6f0a94-8d17-4c52-b1e3-7a20c95d4f61")
    );
    let flat = json!({"type": "entity_response", "entities": [{"type": "date", "value": "2024-03-06", "text": "tomorrow"}]});
    let ServerMessage::EntityResponse { entities } = parse(&flat) else {
        panic!("not an entity_response");
    };
    assert_eq!(entities[0].value, "tomorrow");
    let none = parse(&json!({"type": "entity_response", "entities": null}));
    assert_eq!(none, ServerMessage::EntityResponse { entities: vec![] });
}
