// SPDX-License-Identifier: MPL-2.0

//! Lists topics, each with its sentiment and its parent if they are asked for.

use super::link::Link;
use super::listing::{Keys, Listed, Make};
use super::log::{get, text};
use super::parts::{CORRECTION, keys};
use super::records::Found;
use crate::store::sqlite::corrections::corrected;
use crate::store::{About, StoreError};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use symbl_analysis::Hierarchy;
use symbl_analysis::sentiment::{mean, polarity};
use symbl_protocol::reply;

/// Most topics of a conversation among which parents are looked for: the most important.
const MOST_PARENTS: i64 = 1000;

pub(super) async fn topics(
    found: Found,
    about: About,
    link: &mut Link,
) -> Result<Listed, StoreError> {
    let Found { id, until, .. } = found;
    let sql = "SELECT id FROM topic t WHERE conversation = $1 AND EXISTS (SELECT 1
               FROM message m WHERE m.id = ANY(t.messages) AND m.conversation = t.conversation
               AND m.stored <= $2) ORDER BY score DESC, id";
    let rows = link.query(sql, &[&id, &until]).await?;
    let hierarchy = match about.parents {
        true => hierarchy(found, link).await?,
        false => Hierarchy::default(),
    };
    let hierarchy = Arc::new(hierarchy);
    let make: Make = Box::new(move |link, ids| {
        let hierarchy = Arc::clone(&hierarchy);
        Box::pin(async move { read(link, found, about, &hierarchy, ids).await })
    });
    let keys = Keys::new(keys(&rows)?, make);
    Ok(Listed::new("{\"topics\":[", "]}", keys))
}

async fn hierarchy(found: Found, link: &mut Link) -> Result<Hierarchy, StoreError> {
    let sql = "SELECT text FROM topic WHERE conversation = $1 ORDER BY score DESC, id LIMIT $2";
    let rows = link.query(sql, &[&found.id, &MOST_PARENTS]).await?;
    let texts = rows.iter().map(|row| text(row, 0));
    Ok(Hierarchy::new(texts.collect::<Result<_, _>>()?))
}

async fn read(
    link: &mut Link,
    found: Found,
    about: About,
    hierarchy: &Hierarchy,
    ids: Vec<i64>,
) -> Result<HashMap<i64, Value>, StoreError> {
    let sql = "SELECT t.id, t.text, t.score, ARRAY(SELECT m.id
               FROM unnest(t.messages) WITH ORDINALITY AS l(id, n) JOIN message m ON m.id = l.id
               WHERE m.conversation = t.conversation AND m.stored <= $3 ORDER BY l.n)
               FROM topic t WHERE t.conversation = $1 AND t.id = ANY($2)";
    let rows = link.query(sql, &[&found.id, &ids, &found.until]).await?;
    let mut made = HashMap::new();
    for row in &rows {
        let (id, messages): (i64, Vec<i64>) = (get(row, 0)?, get(row, 3)?);
        let name = text(row, 1)?;
        let parent = hierarchy.parent(&name);
        let parent = parent.map(|parent| json!({"type": "topic", "text": parent}));
        let shown: Vec<String> = messages.iter().map(ToString::to_string).collect();
        let mut topic = json!({
            "id": id.to_string(),
            "text": name,
            "type": "topic",
            "score": get::<f64>(row, 2)?,
            "messageIds": shown,
            "parentRefs": parent.into_iter().collect::<Vec<Value>>(),
        });
        if about.sentiment {
            let polarity = polarity_of(link, found, &messages).await?;
            topic["sentiment"] = reply::sentiment(polarity);
        }
        made.insert(id, topic);
    }
    Ok(made)
}

/// Returns the mean polarity of messages, each with the text of its last correction.
async fn polarity_of(link: &mut Link, found: Found, ids: &[i64]) -> Result<f64, StoreError> {
    let sql = format!(
        "SELECT m.text, {CORRECTION} FROM message m WHERE m.conversation = $1 AND m.id = ANY($3)"
    );
    let rows = link.query(&sql, &[&found.id, &found.until, &ids]).await?;
    let mut polarities = Vec::with_capacity(rows.len());
    for row in &rows {
        let told = match corrected(get(row, 1)?) {
            Some(correction) => correction,
            None => text(row, 0)?,
        };
        polarities.push(polarity(&told));
    }
    Ok(mean(polarities))
}
