// SPDX-License-Identifier: MPL-2.0

//! Texts that clients send to a session of a service that hides something.

use crate::driver::Node;
use crate::{serve, url};
use serde_json::json;
use symbl_service::RedactionPolicy;
use symbl_service::analysis::redaction::{Kind, Redaction};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_hides_is_not_stored_if_it_is_typed() {
    let server = serve(|config| {
        config.redaction = RedactionPolicy {
            redaction: Redaction::of(&[Kind::Email, Kind::Phone]),
            replacement: "[x]".to_owned(),
        };
    })
    .await;
    let Some(mut node) = Node::start() else {
        return;
    };
    node.open("a", &url(&server), &json!({}));
    let session = node.create("a");
    node.send(
        "a",
        &session,
        "Write to ada@example.org,\n or call 415-555-0187. Not 12.",
    );
    let history = node.history("a", &session);
    let text = history.iter().map(|event| event.to_string());
    let text: String = text.collect();
    assert!(
        text.contains(r"Write to [x],\n or call [x]. Not 12."),
        "{text}"
    );
    assert!(!text.contains("0187") && !text.contains("ada@"), "{text}");
}
