// SPDX-License-Identifier: MPL-2.0

//! Entities on the wire; how often they are right is measured in `crates/analysis/tests/analysis.rs`.

use crate::common::prompter::Prompter;
use crate::common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Server, ServerConfig};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, Weekday};

async fn heard(detect: Option<bool>) -> Vec<Heard> {
    held(detect).await.2
}

/// Holds a conversation. Returns its server, its id, and what its client was sent.
async fn held(detect: Option<bool>) -> (Server, String, Vec<Heard>) {
    let lines = &[
        "hello there",
        "sarah pays twenty dollars on friday and on monday",
        "sarah will check the report on friday",
    ];
    let config = ServerConfig::new(Arc::new(Prompter(lines)));
    let server = Server::bind(config).await.expect("a free port");
    let mut request = start_request();
    if let Some(detect) = detect {
        request["config"]["detectEntities"] = detect.into();
    }
    request["insightTypes"] = json!(["action_item"]);
    let (mut client, id) = Client::started(&server, "x", &request).await;
    let audio = silence(Duration::from_millis(1500), 16_000);
    client.send_audio(&linear16(&audio)).await;
    client.stop().await;
    let heard = client.rest().await;
    (server, id, heard)
}

/// Returns the day of the next such weekday after the message was said.
fn coming(message: &Value, day: Weekday) -> String {
    let said = message["startTime"].as_str().expect("a time");
    let said = OffsetDateTime::parse(said, &Rfc3339).expect("RFC 3339");
    said.date().next_occurrence(day).to_string()
}

#[tokio::test]
async fn entities_are_sent_to_a_client_that_asks_with_their_message_and_place() {
    let heard = heard(Some(true)).await;
    let of_kind = |kind: &str| -> Vec<_> {
        let found = heard.iter().filter(|heard| heard.kind() == kind);
        found.map(|heard| heard.json().clone()).collect()
    };
    let messages = of_kind("message_response");
    let message = &messages[1]["messages"][0];
    let found = of_kind("entity_response");
    assert_eq!(found.len(), 2, "none in the first sentence");
    assert_eq!(messages[0]["messages"][0].get("entities"), None);
    let in_message = |kind: &str, value: &str, offset: u32| json!({"type": kind, "category": "General", "detectedValue": value, "offset": offset});
    let expected = json!([
        in_message("person", "Sarah", 0),
        in_message("money", "twenty dollars", 11),
        in_message("date", "Friday", 29),
        in_message("date", "Monday", 43),
    ]);
    assert_eq!(message["entities"], expected);
    let reference = |offset: u32| {
        json!({
            "id": message["id"],
            "startTime": message["duration"]["startTime"],
            "endTime": message["duration"]["endTime"],
            "text": "Sarah pays twenty dollars on Friday and on Monday.",
            "offset": offset,
        })
    };
    let expected = json!({
        "type": "entity_response",
        "entities": [
            {"type": "person", "category": "General", "matches": [
                {"detectedValue": "Sarah", "messageRefs": [reference(0)]}]},
            {"type": "money", "category": "General", "matches": [
                {"detectedValue": "twenty dollars", "messageRefs": [reference(11)]}]},
            {"type": "date", "category": "General", "matches": [
                {"detectedValue": "Friday", "messageRefs": [reference(29)]},
                {"detectedValue": "Monday", "messageRefs": [reference(43)]}]},
        ],
        "sequenceNumber": messages[1]["sequenceNumber"],
    });
    assert_eq!(found[0], expected);
}

#[tokio::test]
async fn who_does_not_ask_is_told_of_no_entities() {
    for detect in [None, Some(false)] {
        assert!(!kinds(&heard(detect).await).contains(&"entity_response"));
    }
}

async fn get(server: &Server, path: &str) -> Value {
    let (head, body) = http(server, &format!("GET /v1/conversations{path}"), "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test]
async fn s13_entities_are_kept_with_the_days_that_they_mean() {
    let (server, id, _) = held(Some(true)).await;
    let messages = get(&server, &format!("/{id}/messages")).await;
    let (second, third) = (&messages["messages"][1], &messages["messages"][2]);
    let place = |message: &Value, offset: u32| json!({"id": message["id"], "text": message["text"], "offset": offset});
    let friday = coming(second, Weekday::Friday);
    let expected = json!({"entities": [
        {"type": "person", "value": "Sarah", "text": "Sarah",
            "messageRefs": [place(second, 0), place(third, 0)]},
        {"type": "money", "value": "twenty dollars", "text": "twenty dollars",
            "messageRefs": [place(second, 11)]},
        {"type": "date", "value": friday, "text": "Friday",
            "messageRefs": [place(second, 29), place(third, 31)]},
        {"type": "date", "value": coming(second, Weekday::Monday), "text": "Monday",
            "messageRefs": [place(second, 43)]},
    ]});
    let found = get(&server, &format!("/{id}/entities")).await;
    assert_eq!(found, expected);
    let known = crate::common::shape::example("rest_entities");
    crate::common::shape::conforms(&found, &known, "entities");
    // In an insight as well, and who is to act is marked.
    let actions = get(&server, &format!("/{id}/action-items")).await;
    let action = actions["actionItems"]
        .as_array()
        .and_then(|items| items.last());
    let action = action.expect("an action item");
    assert_eq!(action["assignee"]["name"], "Sarah");
    let expected = json!([
        {"type": "person", "text": "Sarah", "offset": 0,
            "value": {"assignee": true, "name": "Sarah"}},
        {"type": "date", "text": "Friday", "offset": 31, "value": friday},
    ]);
    assert_eq!(action["entities"], expected);
}

#[tokio::test]
async fn who_does_not_ask_leaves_no_entities() {
    let (server, id, _) = held(None).await;
    let found = get(&server, &format!("/{id}/entities")).await;
    assert_eq!(found, json!({"entities": []}));
}
