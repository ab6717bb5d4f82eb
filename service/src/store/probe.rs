// SPDX-License-Identifier: MPL-2.0

//! What is written, and taken back, to see whether the words of a stream would be stored:
//! a row in each table that streams write to.

use super::{Entity, Insight, Match, Message, Record, Topic, Utterance, new_id, now};

/// Returns the records of a stream of somebody who says one word.
pub(super) fn records() -> [Record; 3] {
    let (conversation, message) = (new_id(), new_id());
    let text = || "probe".to_owned();
    let at = now();
    let utterance = Utterance {
        conversation,
        zero: at,
        speaker: text(),
        messages: vec![Message {
            id: message,
            live: text(),
            text: text(),
            words: vec![(text(), at, at)],
        }],
        insights: vec![Insight {
            message,
            kind: "question",
            text: text(),
            score: 1.0,
            by_speaker: false,
            assignee: None,
            due: None,
        }],
        topics: vec![Topic {
            text: text(),
            score: 1.0,
            messages: vec![text()],
        }],
        matches: vec![Match {
            tracker: text(),
            message,
            value: text(),
            offset: 0,
        }],
        entities: vec![Entity {
            message,
            kind: "probe",
            value: text(),
            text: text(),
            offset: 0,
        }],
        ..Utterance::default()
    };
    [
        Record::Started {
            conversation,
            account: text(),
            connection_id: text(),
            title: None,
            at,
            keep: 0,
        },
        Record::Member {
            conversation,
            id: text(),
            user_id: None,
            name: None,
        },
        Record::Said(Box::new(utterance)),
    ]
}
