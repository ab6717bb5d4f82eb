// SPDX-License-Identifier: MPL-2.0

//! Entities on the wire; how often they are right is measured in `analysis.rs`.

mod common;

use common::prompter::Prompter;
use common::*;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::{Server, ServerConfig};

async fn heard(detect: Option<bool>) -> Vec<Heard> {
    let lines = &[
        "hello there",
        "sarah pays twenty dollars on friday and on monday",
    ];
    let config = ServerConfig::new(Arc::new(Prompter(lines)));
    let server = Server::bind(config).await.expect("a free port");
    let mut request = start_request();
    if let Some(detect) = detect {
        request["config"]["detectEntities"] = detect.into();
    }
    let (mut client, _) = Client::started(&server, "x", &request).await;
    let audio = silence(Duration::from_secs(1), 16_000);
    client.send_audio(&linear16(&audio)).await;
    client.stop().await;
    client.rest().await
}

#[tokio::test]
async fn entities_are_told_to_who_asks_with_their_message_and_place() {
    let heard = heard(Some(true)).await;
    let of_kind = |kind: &str| -> Vec<_> {
        let found = heard.iter().filter(|heard| heard.kind() == kind);
        found.map(|heard| heard.json().clone()).collect()
    };
    let messages = of_kind("message_response");
    let message = &messages[1]["messages"][0];
    let found = of_kind("entity_response");
    assert_eq!(found.len(), 1, "none in the first sentence");
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
