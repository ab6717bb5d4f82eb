// SPDX-License-Identifier: MPL-2.0

//! Lists topics, each with its sentiment and its parent if they are asked for.

use super::corrections::{CORRECTION, corrected};
use super::listing::{Keys, Listed};
use super::query::{Found, keys};
use crate::store::About;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value, json};
use symbl_analysis::Hierarchy;
use symbl_analysis::sentiment::{mean, polarity};
use symbl_protocol::reply;

/// Most topics of a conversation among which parents are looked for: the most important.
const MOST_PARENTS: i64 = 1000;

impl Found {
    pub(super) fn topics(self, from: &Connection, about: About) -> rusqlite::Result<Listed> {
        // Without this, SQLite would look through all messages for each topic.
        let sql = "SELECT id FROM topic t WHERE conversation = ?1 AND EXISTS (SELECT 1
                   FROM json_each(t.messages) j CROSS JOIN message m INDEXED BY message_live
                   ON m.conversation = t.conversation AND m.live = j.value AND m.stored <= ?2)
                   ORDER BY score DESC, id";
        let keys = keys(from, sql, [self.id, self.until])?;
        let hierarchy = match about.parents {
            true => self.hierarchy(from)?,
            false => Hierarchy::default(),
        };
        let rows = Keys::new(keys, move |from, id| {
            let sql = "SELECT text, score, (SELECT json_group_array(CAST(m.id AS TEXT))
                       FROM json_each(t.messages) j CROSS JOIN message m INDEXED BY message_live
                       ON m.conversation = t.conversation AND m.live = j.value AND m.stored <= ?2)
                       FROM topic t WHERE id = ?1";
            let topic = |row: &Row<'_>| {
                let messages: String = row.get(2)?;
                let messages: Value = serde_json::from_str(&messages).unwrap_or_default();
                let text: String = row.get(0)?;
                let parents = hierarchy.parent(&text);
                let parents = parents.map(|parent| json!({"type": "topic", "text": parent}));
                let mut topic = json!({
                    "id": id.to_string(),
                    "text": text,
                    "type": "topic",
                    "score": row.get::<_, f64>(1)?,
                    "messageIds": messages,
                    "parentRefs": parents.into_iter().collect::<Vec<Value>>(),
                });
                if about.sentiment {
                    let polarity = self.polarity(from, &topic["messageIds"])?;
                    topic["sentiment"] = reply::sentiment(polarity);
                }
                Ok(topic)
            };
            let mut rows = from.prepare_cached(sql)?;
            rows.query_row([id, self.until], topic).optional()
        });
        Ok(Listed::new("{\"topics\":[", "]}", rows))
    }

    /// Returns the mean polarity of messages, each with the text of its last correction.
    fn polarity(self, from: &Connection, messages: &Value) -> rusqlite::Result<f64> {
        let sql = format!("SELECT text, {CORRECTION} FROM message m WHERE id = ?1");
        let mut texts = from.prepare_cached(&sql)?;
        let ids = messages.as_array().into_iter().flatten();
        let ids = ids.filter_map(|id| id.as_str()?.parse::<i64>().ok());
        let mut found = Vec::new();
        for id in ids {
            let text = texts.query_row([id, self.until], |row| {
                let said: String = row.get(0)?;
                Ok(corrected(row.get(1)?).unwrap_or(said))
            });
            found.extend(text.optional()?.map(|text| polarity(&text)));
        }
        Ok(mean(found))
    }

    fn hierarchy(self, from: &Connection) -> rusqlite::Result<Hierarchy> {
        let sql = "SELECT text FROM topic WHERE conversation = ?1 ORDER BY score DESC, id LIMIT ?2";
        let mut texts = from.prepare_cached(sql)?;
        let texts = texts.query_map([self.id, MOST_PARENTS], |row| row.get(0))?;
        Ok(Hierarchy::new(texts.collect::<Result<_, _>>()?))
    }
}
