// SPDX-License-Identifier: MPL-2.0

//! Tests that the service's own messages equal the fixtures and that the client reads
//! them: insights, topics, trackers, errors and entities.

use super::{IVO, compact, parsed};
use serde_json::Value;
use symbl_protocol::reply::{self, Entity, Insight, Person, Topic, TrackerMatch};
use symbl_protocol::{InsightType, ServerMessage};

#[test]
fn insight_responses_equal_the_fixture_and_come_back() {
    let hints = [
        (
            "confidenceScore".to_owned(),
            "0.9987120032310486".to_owned(),
        ),
        (
            "comprehensionScore".to_owned(),
            "0.9638347983360291".to_owned(),
        ),
    ];
    let question = Insight {
        id: "5c2e8b19-60d4-4a9f-b7f1-24d3a8e6c05b",
        kind: InsightType::Question,
        text: "Could you confirm the part number?",
        confidence: 0.9812734007835388,
        hints: &hints,
        assignee: Some(IVO),
        from: IVO,
        message_id: "91a7d4c3-b05e-42f8-8c6b-5f3e2d9a0174",
        due_by: None,
    };
    assert_eq!(
        reply::insight_response(&[question], 1),
        compact("insight_response_question.json")
    );
    for kind in InsightType::ALL {
        let named = Person {
            name: Some("Ola"),
            ..Person::default()
        };
        let insight = Insight {
            kind,
            assignee: Some(named),
            due_by: Some("by friday"),
            ..question
        };
        let text = reply::insight_response(
            &[
                insight,
                Insight {
                    assignee: None,
                    ..question
                },
            ],
            3,
        );
        let ServerMessage::InsightResponse {
            insights,
            sequence_number,
        } = parsed(&text)
        else {
            panic!("not an insight_response");
        };
        assert_eq!((insights.len(), sequence_number), (2, Some(3)));
        assert_eq!(insights[0].kind, kind.as_str());
        assert_eq!(insights[0].text, question.text);
        assert_eq!(insights[0].confidence, Some(question.confidence));
        assert_eq!(
            insights[0].assignee.as_ref().unwrap().name.as_deref(),
            Some("Ola")
        );
        assert_eq!(insights[0].due_by.as_deref(), Some("by friday"));
        assert_eq!(insights[0].message_id.as_deref(), Some(question.message_id));
        assert_eq!((&insights[1].assignee, &insights[1].due_by), (&None, &None));
    }
}

#[test]
fn topic_responses_equal_the_fixture_and_come_back() {
    let topic = Topic {
        id: "b7d20e56-dad1-11ee-8f3a-0a58a9feac02",
        text: "pump leak",
        score: 0.9,
        message_ids: &["3b6f0a94-8d17-4c52-b1e3-7a20c95d4f61".to_owned()],
        root_words: &["pump".to_owned()],
    };
    let text = reply::topic_response(&[topic]);
    // `messageIndex` occurs only in the types of one SDK, and no source says what it
    // counts.
    assert_eq!(
        text,
        compact("topic_response.json").replace(",\"messageIndex\":0", "")
    );
    let ServerMessage::TopicResponse { topics } = parsed(&text) else {
        panic!("not a topic_response");
    };
    assert_eq!(
        (topics[0].text.as_str(), topics[0].score),
        ("pump leak", Some(0.9))
    );
    assert_eq!(topics[0].message_ids, topic.message_ids);
}

#[test]
fn tracker_responses_equal_the_fixture_and_come_back_in_groups() {
    let found = TrackerMatch {
        tracker_id: None,
        name: "Maintenance",
        value: "leaking",
        message_id: "3b6f0a94-8d17-4c52-b1e3-7a20c95d4f61",
        text: "The pump on line four is leaking",
        offset: 25,
    };
    assert_eq!(
        reply::tracker_response(&[found], false, Some(0)),
        compact("tracker_response_interim.json")
    );
    let matches = [
        found,
        TrackerMatch {
            name: "Order",
            value: "seals",
            offset: 3,
            ..found
        },
        TrackerMatch {
            value: "order spare parts",
            offset: -1,
            ..found
        },
        TrackerMatch {
            message_id: "second",
            ..found
        },
    ];
    let text = reply::tracker_response(&matches, true, Some(9));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        value["trackers"].as_array().unwrap().len(),
        2,
        "one entry per tracker"
    );
    assert_eq!(
        value["trackers"][0]["matches"].as_array().unwrap().len(),
        2,
        "one per phrase"
    );
    let ServerMessage::TrackerResponse {
        matches,
        is_final,
        sequence_number,
    } = parsed(&text)
    else {
        panic!("not a tracker_response");
    };
    assert_eq!((is_final, sequence_number), (true, Some(9)));
    let read: Vec<_> = matches
        .iter()
        .map(|m| {
            (
                m.name.as_str(),
                m.value.as_str(),
                m.message_id.as_deref().unwrap(),
                m.offset.unwrap(),
            )
        })
        .collect();
    assert_eq!(
        read,
        [
            ("Maintenance", "leaking", found.message_id, 25),
            ("Maintenance", "leaking", "second", 25),
            ("Maintenance", "order spare parts", found.message_id, -1),
            ("Order", "seals", found.message_id, 3),
        ]
    );
}

#[test]
fn errors_equal_the_fixture_and_come_back_with_their_code() {
    let details = "'config.speechRecognition.sampleRateHertz' must be a number between 8000 and 48000 for LINEAR16";
    let text = reply::error("Invalid start_request", details, None);
    assert_eq!(text, compact("error.json"));
    let text = reply::error("Invalid state", "no session", Some("not_started"));
    let ServerMessage::Error(error) = parsed(&text) else {
        panic!("not an error");
    };
    assert_eq!(error.message.as_deref(), Some("Invalid state"));
    assert_eq!(error.details.as_deref(), Some("no session"));
    assert_eq!(error.code.as_deref(), Some("not_started"));
}

#[test]
fn entity_responses_equal_the_fixture_and_come_back() {
    let found = Entity {
        kind: "location",
        sub_type: Some("facility"),
        value: "line four",
        text: "The pump on line four is leaking again.",
        offset: 12,
        message_id: "3b6f0a94-8d17-4c52-b1e3-7a20c95d4f61",
        span: (1_709_629_204_050_000_000, 1_709_629_206_450_000_000),
    };
    let text = reply::entity_response(&[found], 0);
    assert_eq!(text, compact("entity_response.json"));
    let again = Entity {
        offset: 20,
        ..found
    };
    let other = Entity {
        kind: "date",
        sub_type: None,
        value: "today",
        ..found
    };
    let text = reply::entity_response(&[found, other, again], 3);
    let ServerMessage::EntityResponse { entities } = parsed(&text) else {
        panic!("not an entity_response");
    };
    let read: Vec<_> = entities
        .iter()
        .map(|e| (e.kind.as_str(), e.value.as_str()))
        .collect();
    assert_eq!(
        read,
        [
            ("location", "line four"),
            ("location", "line four"),
            ("date", "today")
        ]
    );
}
