// SPDX-License-Identifier: MPL-2.0

//! Lists action items with what they refer to, and the broad topics of a conversation.

use super::corrections::{CORRECTION, corrected};
use super::listing::{Keys, Listed};
use super::parts::insight;
use super::query::{Answer, Found, keys};
use crate::store::Insights;
use rusqlite::{Connection, params};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use symbl_analysis::{Hierarchy, is_definitive, needs_context, share_words};

/// Most messages before an action item that are its context.
pub(in crate::store) const CONTEXT: i64 = 2;

/// Most topics that are put together: the most important.
pub(in crate::store) const MOST_TOPICS: i64 = 1000;

/// A message: its id and its text.
pub(in crate::store) type Told = (i64, String);

impl Found {
    /// Lists action items, each with the messages before it that it refers to.
    pub(super) fn comprehensive(self, from: &Connection) -> rusqlite::Result<Listed> {
        let sql = "SELECT i.id FROM insight i JOIN message m ON m.id = i.message
                   WHERE i.conversation = ?1 AND i.kind = 'action_item' AND m.stored <= ?2
                   ORDER BY m.stored, m.start, i.rowid";
        let keys = keys(from, sql, [self.id, self.until])?;
        let rows = Keys::new(keys, move |from, id| {
            let item = insight(from, Insights::ActionItems, id)?;
            let Some(item) = item else { return Ok(None) };
            let before = self.before(from, message_of(&item))?;
            Ok(Some(with_context(item, before)))
        });
        Ok(Listed::new("{\"actionItems\":[", "]}", rows))
    }

    /// Returns the messages before one, the last one first.
    fn before(self, from: &Connection, message: i64) -> rusqlite::Result<Vec<Told>> {
        let sql = format!(
            "SELECT m.id, m.text, {CORRECTION} FROM message m INDEXED BY message_told
             WHERE m.conversation = ?1 AND (m.stored, m.start, m.id) <
             (SELECT stored, start, id FROM message WHERE id = ?3)
             ORDER BY m.stored DESC, m.start DESC, m.id DESC LIMIT ?4"
        );
        let mut rows = from.prepare_cached(&sql)?;
        let rows = rows.query_map(params![self.id, self.until, message, CONTEXT], |row| {
            let said: String = row.get(1)?;
            Ok((row.get(0)?, corrected(row.get(2)?).unwrap_or(said)))
        })?;
        rows.collect()
    }

    /// Returns the topics that are a part of no other, each with the messages of those that
    /// are a part of it. The score is how many of the messages with any topic it has.
    pub(super) fn abstract_topics(self, from: &Connection) -> Answer {
        let sql = "SELECT id, text, (SELECT json_group_array(m.id)
                   FROM json_each(t.messages) j CROSS JOIN message m INDEXED BY message_live
                   ON m.conversation = t.conversation AND m.live = j.value AND m.stored <= ?2)
                   FROM topic t WHERE conversation = ?1 ORDER BY score DESC, id LIMIT ?3";
        let mut rows = from.prepare_cached(sql)?;
        let rows = rows.query_map([self.id, self.until, MOST_TOPICS], |row| {
            let messages: String = row.get(2)?;
            let messages: Vec<i64> = serde_json::from_str(&messages).unwrap_or_default();
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, messages))
        })?;
        let topics: Vec<(i64, String, Vec<i64>)> = rows.collect::<Result<_, _>>()?;
        Ok(abstract_of(&topics))
    }
}

/// Returns the id of the message of an action item.
pub(in crate::store) fn message_of(item: &Value) -> i64 {
    let id = item["messageIds"][0].as_str();
    id.and_then(|id| id.parse().ok()).unwrap_or_default()
}

/// Returns an action item with what it refers to of the messages before it, of which the last
/// one comes first.
pub(in crate::store) fn with_context(mut item: Value, before: Vec<Told>) -> Value {
    let id = message_of(&item);
    let text = item["text"].as_str().unwrap_or_default().to_owned();
    let mut context = Vec::new();
    for (before, said) in before {
        if !needs_context(&text) && !share_words(&text, &said) {
            break;
        }
        context.insert(0, (before, said));
    }
    let definitive = is_definitive(&text);
    let texts = context.iter().map(|(_, said)| said.as_str());
    let texts: Vec<&str> = texts.chain([text.as_str()]).collect();
    let ids = context.iter().map(|(before, _)| *before).chain([id]);
    let references: Vec<Value> = ids.map(|id| json!({"id": id.to_string()})).collect();
    item["text"] = texts.join(" ").into();
    item["messageRefs"] = references.into();
    item["definitive"] = definitive.into();
    if let Some(members) = item.as_object_mut() {
        members.remove("messageIds");
    }
    item
}

/// Puts topics together, each with its id and its messages, the most important first.
pub(in crate::store) fn abstract_of(topics: &[(i64, String, Vec<i64>)]) -> Value {
    let hierarchy = Hierarchy::new(topics.iter().map(|(_, text, _)| text.clone()).collect());
    let mut groups: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    let mut all: BTreeSet<i64> = BTreeSet::new();
    for (_, text, messages) in topics {
        // A parent is shorter than its child, so this ends.
        let mut root = text.as_str();
        while let Some(parent) = hierarchy.parent(root) {
            root = parent;
        }
        groups.entry(root).or_default().extend(messages);
        all.extend(messages);
    }
    let mut found: Vec<(usize, Map<String, Value>)> = Vec::new();
    for (id, text, _) in topics {
        let Some(messages) = groups.get(text.as_str()).filter(|own| !own.is_empty()) else {
            continue;
        };
        let score = messages.len() as f64 / all.len().max(1) as f64;
        let ids = messages.iter().map(|id| Value::from(id.to_string()));
        let topic = json!({
            "id": id.to_string(),
            "text": text,
            "type": "abstract_topic",
            "score": (score * 1000.0).round() / 1000.0,
            "messageIds": ids.collect::<Vec<Value>>(),
        });
        if let Value::Object(topic) = topic {
            found.push((messages.len(), topic));
        }
    }
    found.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let found: Vec<Value> = found.into_iter().map(|(_, topic)| topic.into()).collect();
    json!({ "abstractTopics": found })
}
