// SPDX-License-Identifier: MPL-2.0

//! Tests the list of messages of the Conversation API.

use super::fixture;
use std::time::Duration;
use symbl_protocol::ParseError;
use symbl_protocol::response::history;

#[test]
fn c38_the_list_of_messages_is_read_with_its_times_and_speakers() {
    let messages = history(&fixture("rest_messages.json")).unwrap();
    let first = messages.first().unwrap();
    assert_eq!(first.text, "The pump on line four is leaking again.");
    let from = first.from.as_ref().unwrap();
    assert_eq!(from.user_id.as_deref(), Some("mara@example.org"));
    let wall = 1_709_629_204_050_000_000; // 2024-03-05T09:00:04.050Z
    assert_eq!(first.start_time, Some(wall));
    assert_eq!(first.end_time, Some(wall + 2_400_000_000));
    assert_eq!(first.duration, Some(Duration::from_millis(2400)));
    let word = first.words.get(1).unwrap();
    assert_eq!(
        (word.word.as_str(), word.start_time),
        ("pump", Some(wall + 200_000_000))
    );
    // Times since the first message say nothing about the audio, so they are dropped.
    assert_eq!(first.time_offset, None);
    assert!(first.words.iter().all(|word| word.time_offset.is_none()));
    assert!(first.json.contains("\"6284015937716224\""));
}

#[test]
fn a_history_of_something_else_is_empty_or_an_error() {
    assert_eq!(history("{}").unwrap(), []);
    assert_eq!(history(r#"{"messages":null}"#).unwrap(), []);
    assert_eq!(history(r#"{"messages":[1,"x"]}"#).unwrap().len(), 0);
    assert!(matches!(history("[]"), Err(ParseError::NotAnObject { .. })));
    assert!(matches!(history("<html>"), Err(ParseError::NotJson { .. })));
}
