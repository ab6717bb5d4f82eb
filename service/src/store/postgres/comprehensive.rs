// SPDX-License-Identifier: MPL-2.0

//! Lists action items with what they refer to, and the broad topics of a conversation.

use super::link::Link;
use super::listing::{Keys, Listed, Make};
use super::log::{get, text};
use super::parts::{CORRECTION, keys, read_insights};
use super::records::Found;
use crate::store::sqlite::comprehensive::{
    CONTEXT, MOST_TOPICS, Told, abstract_of, message_of, with_context,
};
use crate::store::sqlite::corrections::corrected;
use crate::store::{Insights, StoreError};
use serde_json::Value;
use std::collections::HashMap;

/// Lists action items, each with the messages before it that it refers to.
pub(super) async fn comprehensive(found: Found, link: &mut Link) -> Result<Listed, StoreError> {
    let sql = "SELECT i.id FROM insight i JOIN message m ON m.id = i.message
               WHERE i.conversation = $1 AND i.kind = 'action_item' AND m.stored <= $2
               ORDER BY m.seq, m.n, i.n";
    let rows = link.query(sql, &[&found.id, &found.until]).await?;
    let make: Make = Box::new(move |link, ids| Box::pin(read(link, found, ids)));
    let keys = Keys::new(keys(&rows)?, make);
    Ok(Listed::new("{\"actionItems\":[", "]}", keys))
}

async fn read(
    link: &mut Link,
    found: Found,
    ids: Vec<i64>,
) -> Result<HashMap<i64, Value>, StoreError> {
    let items = read_insights(link, Insights::ActionItems, ids).await?;
    let mut made = HashMap::with_capacity(items.len());
    for (id, item) in items {
        let before = before(link, found, message_of(&item)).await?;
        made.insert(id, with_context(item, before));
    }
    Ok(made)
}

/// Returns the messages before one, the last one first.
async fn before(link: &mut Link, found: Found, message: i64) -> Result<Vec<Told>, StoreError> {
    let sql = format!(
        "SELECT m.id, m.text, {CORRECTION} FROM message m WHERE m.conversation = $1
         AND (m.seq, m.n) < (SELECT seq, n FROM message WHERE id = $3)
         ORDER BY m.seq DESC, m.n DESC LIMIT $4"
    );
    let with: super::link::Parameters<'_> = &[&found.id, &found.until, &message, &CONTEXT];
    let rows = link.query(&sql, with).await?;
    let told = rows.iter().map(|row| {
        let told = match corrected(get(row, 2)?) {
            Some(correction) => correction,
            None => text(row, 1)?,
        };
        Ok((get(row, 0)?, told))
    });
    told.collect()
}

/// Returns the topics that are a part of no other, each with the messages of those that are a
/// part of it.
pub(super) async fn abstract_topics(found: Found, link: &mut Link) -> Result<Value, StoreError> {
    let sql = "SELECT t.id, t.text, ARRAY(SELECT m.id
               FROM unnest(t.messages) WITH ORDINALITY AS l(id, n) JOIN message m ON m.id = l.id
               WHERE m.conversation = t.conversation AND m.stored <= $2 ORDER BY l.n)
               FROM topic t WHERE t.conversation = $1 ORDER BY t.score DESC, t.id LIMIT $3";
    let rows = link
        .query(sql, &[&found.id, &found.until, &MOST_TOPICS])
        .await?;
    let topics = rows
        .iter()
        .map(|row| Ok((get(row, 0)?, text(row, 1)?, get(row, 2)?)));
    let topics: Vec<(i64, String, Vec<i64>)> = topics.collect::<Result<_, StoreError>>()?;
    Ok(abstract_of(&topics))
}
