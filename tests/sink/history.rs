// SPDX-License-Identifier: MPL-2.0

//! The Conversation API beside a stream. It has the messages that a sink got, and a sink asks
//! it only if `history-recovery` is set.

use crate::common::feed::{CAPS, Feed};
use crate::common::gate::Gate;
use crate::common::pipeline::Pipeline;
use crate::common::relay::Relay;
use crate::common::service::Service;
use gst::prelude::*;
use serde_json::Value;
use std::io::{Read, Write};
use symbl_service::recognizer::scripted;

/// Returns the messages of a conversation, as the service returns them.
pub(crate) fn stored(url: &str, conversation_id: &str) -> Vec<Value> {
    let address = url.strip_prefix("http://").expect("plain");
    let mut socket = std::net::TcpStream::connect(address).expect("it listens");
    write!(
        socket,
        "GET /v1/conversations/{conversation_id}/messages?verbose=true HTTP/1.1\r\n\
         Host: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    let (_, json) = answer.split_once("\r\n\r\n").expect("a body");
    let json: Value = serde_json::from_str(json).expect("JSON");
    json["messages"].as_array().cloned().expect("messages")
}

/// Pushes five words and a pause, and waits for their message.
fn converse(pipeline: &mut Pipeline, feed: &Feed, words: std::ops::Range<u16>) {
    feed.speak(&scripted::speech(words, 16_000))
        .expect("there is room");
    feed.hush(1000).expect("there is room");
    pipeline.wait_for_kind("message");
}

#[test]
fn posted_messages_are_found_again_by_speaker_and_times() {
    let service = Service::start();
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} speaker-id=ada@example.org speaker-name=Ada",
        service.url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    converse(&mut pipeline, &feed, 0..5);
    converse(&mut pipeline, &feed, 5..10);
    assert!(feed.end());
    pipeline.wait_for_eos();
    let id: String = pipeline.sink().property("conversation-id");
    let stored = stored(&service.url(), &id);
    let posted = pipeline.of_kind("message");
    assert_eq!(stored.len(), posted.len());
    for (stored, posted) in stored.iter().zip(&posted) {
        let live = posted.get::<&str>("json").expect("the original");
        let live: Value = serde_json::from_str(live).expect("JSON");
        assert_eq!(stored["from"]["email"], live["from"]["userId"]);
        assert_eq!(stored["startTime"], live["duration"]["startTime"]);
        assert_eq!(stored["endTime"], live["duration"]["endTime"]);
        assert_eq!(stored["text"], posted.get::<&str>("text").expect("text"));
        // With the original service, the ids do not match.
        assert_eq!(stored["id"], live["id"]);
    }
}

#[test]
fn without_history_recovery_no_history_is_fetched() {
    let service = Service::start();
    let relay = Relay::to(&service.url());
    let gate = Gate::before(&relay.base_url());
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", gate.base_url()));
    assert!(!pipeline.sink().property::<bool>("history-recovery"));
    pipeline.play();
    assert!(feed.begin(CAPS));
    converse(&mut pipeline, &feed, 0..5);
    relay.cut();
    pipeline.wait_for_state("reconnecting");
    pipeline.wait_for_state("listening");
    converse(&mut pipeline, &feed, 5..10);
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(gate.shown().len(), 2, "two dials and nothing else");
}
