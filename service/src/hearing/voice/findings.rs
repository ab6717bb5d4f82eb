// SPDX-License-Identifier: MPL-2.0

//! Topics and entities as messages.

use super::Said;
use crate::analysis::{EntityFinding, TopicFinding};
use std::time::Duration;
use symbl_protocol::reply;
use uuid::Uuid;

pub(super) fn topic_response(found: &[TopicFinding]) -> String {
    let ids: Vec<String> = found.iter().map(|_| Uuid::new_v4().to_string()).collect();
    let topics: Vec<reply::Topic<'_>> = found
        .iter()
        .zip(&ids)
        .map(|(finding, id)| reply::Topic {
            id,
            text: &finding.text,
            score: finding.score,
            message_ids: &finding.message_ids,
            root_words: &finding.root_words,
        })
        .collect();
    reply::topic_response(&topics)
}

/// The entities, each with the index of its sentence; `zero` is when the stream's
/// audio began.
pub(super) fn entities<'a>(
    found: &'a [(usize, EntityFinding)],
    said: &'a [Said],
    words: &[reply::Word<'_>],
    zero: i64,
) -> Vec<reply::Entity<'a>> {
    let at = |time: Duration| {
        let nanos = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        zero.saturating_add(nanos)
    };
    let entities = found.iter().filter_map(|(index, finding)| {
        let said = said.get(*index)?;
        let words = words.get(said.words.clone()).unwrap_or_default();
        let start = words.first().map_or(Duration::ZERO, |word| word.start);
        let end = words.last().map_or(start, |word| word.end);
        Some(reply::Entity {
            kind: finding.kind.name(),
            sub_type: finding.kind.sub_type(),
            value: &finding.value,
            text: &said.text,
            offset: finding.offset,
            message_id: &said.id,
            span: (at(start), at(end)),
        })
    });
    entities.collect()
}
