// SPDX-License-Identifier: MPL-2.0

//! Records that are written and rolled back, to see if the words of a stream would be
//! stored. They have a row for each table that streams write to.

use super::{Record, now};
use crate::conversation::entry::{
    Entity, Insight, Message, Part, Speaker, Topic, TrackerMatch, Transcribed, Word,
};
use crate::conversation::log::{StartRecord, StreamPosition};
use crate::ids::new_id;

/// Returns the records of a stream with one word.
pub(super) fn records() -> [Record; 2] {
    let (conversation, message) = (new_id(), new_id());
    let text = || "probe".to_owned();
    let at = now();
    let speaker = Speaker {
        id: text(),
        ..Speaker::default()
    };
    let said = Transcribed {
        start: at,
        speaker: speaker.clone(),
        text: text(),
        words: vec![Word {
            text: text(),
            start: 0,
            end: 1,
        }],
        messages: vec![Message {
            id: message,
            text: text(),
            original_text: text(),
            words: 0..1,
        }],
        insights: vec![Insight {
            id: new_id(),
            message,
            kind: text(),
            ..Insight::default()
        }],
        topics: vec![Topic {
            id: new_id(),
            text: text(),
            ..Topic::default()
        }],
        trackers: vec![TrackerMatch {
            name: text(),
            message,
            ..TrackerMatch::default()
        }],
        entities: vec![Entity {
            message,
            kind: text(),
            ..Entity::default()
        }],
        part: Some(Part {
            stream: text(),
            attempt: 1,
            until: 1,
            ..Part::default()
        }),
        ..Transcribed::default()
    };
    let start = StartRecord {
        conversation,
        account: text(),
        connection_id: text(),
        session: text(),
        title: None,
        at,
        keep: 0,
        speaker: Some(speaker),
        ends: None,
        stream_position: Some(StreamPosition {
            stream: text(),
            attempt: 1,
            position: 0,
        }),
    };
    let said = Box::new(said);
    [Record::Start(start), Record::Said { conversation, said }]
}
