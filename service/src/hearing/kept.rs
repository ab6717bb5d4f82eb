// SPDX-License-Identifier: MPL-2.0

//! What was said and found, as it is stored.

use crate::analysis::{
    Assignee, EntityFinding, EntityKind, InsightFinding, TopicFinding, TrackerFinding, date_of,
};
use crate::ids::new_id;
use crate::store::{Entity, Insight, Match, Message, Topic};
use std::time::Duration;
use symbl_protocol::reply;
use symbl_protocol::timestamp::format_rfc3339;
use time::Date;

/// A sentence of a stream that began at `start`, nanoseconds since the Unix epoch.
pub(crate) fn message(live: &str, text: &str, words: &[reply::Word<'_>], start: i64) -> Message {
    let at =
        |since: Duration| start.saturating_add(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    let words = words
        .iter()
        .map(|word| (word.text.to_owned(), at(word.start), at(word.end)));
    Message {
        id: new_id(),
        live: live.to_owned(),
        text: text.to_owned(),
        words: words.collect(),
    }
}

pub(crate) fn insight(message: i64, found: &InsightFinding, due: Option<i64>) -> Insight {
    let (by_speaker, assignee) = match &found.assignee {
        Some(Assignee::Speaker) => (true, None),
        Some(Assignee::Named(name)) => (false, Some(name.clone())),
        None => (false, None),
    };
    Insight {
        message,
        kind: found.kind.as_str(),
        text: found.text.clone(),
        score: found.confidence,
        by_speaker,
        assignee,
        due: due.map(format_rfc3339),
    }
}

pub(crate) fn topic(found: &TopicFinding) -> Topic {
    Topic {
        text: found.text.clone(),
        score: found.score,
        messages: found.message_ids.clone(),
    }
}

pub(crate) fn tracker(message: i64, found: &TrackerFinding) -> Match {
    Match {
        tracker: found.name.clone(),
        message,
        value: found.value.clone(),
        offset: found.offset,
    }
}

/// An entity of a message that was said on this day.
pub(crate) fn entity(message: i64, found: &EntityFinding, day: Date) -> Entity {
    let date = match found.kind {
        EntityKind::Date => date_of(&found.value, day),
        _ => None,
    };
    Entity {
        message,
        kind: found.kind.name(),
        value: date.map_or_else(|| found.value.clone(), |date| date.to_string()),
        text: found.value.clone(),
        offset: i64::try_from(found.offset).unwrap_or(i64::MAX),
    }
}
