// SPDX-License-Identifier: MPL-2.0

//! Changes the name, the metadata and the retention of a conversation, and finds those that
//! were kept for long enough.

use super::Store;
use super::conversations::conversations;
use super::log::{get, text};
use super::records::find_to_change;
use super::text::put;
use crate::store::notes::{Labelled, Labelling, Labels, MOST_LABELS};
use crate::store::retention::{Due, Retention};
use crate::store::sqlite::labels::metadata;
use crate::store::{Answer, Whose};
use serde_json::{Map, Value};
use std::time::Duration;

/// Returns the texts of metadata as the database looks for them: it refuses U+0000.
pub(super) fn sought(metadata: &Map<String, Value>) -> String {
    let texts = metadata
        .iter()
        .filter_map(|(name, value)| Some((put(name), put(value.as_str()?).into())));
    let texts: Map<String, Value> = texts.collect();
    Value::Object(texts).to_string()
}

impl Labels for Store {
    fn label(&self, whose: Whose, labels: Labelling) -> Answer<'_, Labelled> {
        let is_done = |labelled: &Labelled| matches!(labelled, Labelled::Done(_));
        Box::pin(self.change(is_done, move |link| {
            Box::pin(async move {
                let Some(found) = find_to_change(link, &whose).await? else {
                    return Ok(Labelled::Unknown);
                };
                if let Some(name) = labels.name {
                    let sql = "UPDATE conversation SET name = $2 WHERE id = $1";
                    let name = name.as_deref().map(put);
                    link.execute(sql, &[&found.id, &name]).await?;
                }
                if let Some(change) = labels.metadata {
                    let sql = "SELECT metadata FROM conversation WHERE id = $1";
                    let row = link.query_one(sql, &[&found.id]).await?;
                    let now: Option<String> = get(&row, 0)?;
                    let metadata = change.applied(metadata(now.as_deref()));
                    if metadata.len() > MOST_LABELS {
                        return Ok(Labelled::TooMany);
                    }
                    let sql = "UPDATE conversation SET metadata = $2, labels = $3::text::jsonb
                               WHERE id = $1";
                    let sought = sought(&metadata);
                    let metadata = Value::Object(metadata).to_string();
                    link.execute(sql, &[&found.id, &metadata, &sought]).await?;
                }
                if let Some(retain) = labels.retain {
                    let sql = "UPDATE conversation SET retain = $2 WHERE id = $1";
                    link.execute(sql, &[&found.id, &retain]).await?;
                }
                let mut all = conversations(link, vec![found.id]).await?;
                let labelled = all.remove(&found.id);
                Ok(labelled.map_or(Labelled::Unknown, Labelled::Done))
            })
        }))
    }
}

impl Retention for Store {
    fn due(&self, now: i64, keep: Option<Duration>, most: usize) -> Answer<'_, Vec<Due>> {
        Box::pin(async move {
            let keep = keep.map(|keep| i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX));
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let readers = self.readers()?;
            readers
                .look(|link| {
                    Box::pin(async move {
                        // Numbers of any size: a sum of times may be greater than a bigint.
                        let sql = "SELECT account, id FROM conversation
                                   WHERE ended IS NOT NULL AND ended <= $1
                                   AND ended + CASE WHEN retain IS NULL THEN $2::bigint::numeric
                                   WHEN retain > 0 THEN retain::numeric * 1000000000 END <= $1
                                   ORDER BY ended LIMIT $3";
                        let rows = link.query(sql, &[&now, &keep, &most]).await?;
                        let due = rows.iter().map(|row| {
                            Ok(Due {
                                account: text(row, 0)?,
                                conversation: get(row, 1)?,
                            })
                        });
                        due.collect()
                    })
                })
                .await
        })
    }

    fn retain(&self, whose: Whose, keep: Option<Duration>) -> Answer<'_, bool> {
        Box::pin(async move {
            let seconds = keep.map(|keep| i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
            let retained = self.of(whose, move |found, link| {
                Box::pin(async move {
                    let sql = "UPDATE conversation SET retain = $2 WHERE id = $1";
                    link.execute(sql, &[&found.id, &seconds]).await
                })
            });
            Ok(retained.await?.is_some_and(|retained| retained > 0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_is_sought_by_texts_without_a_nul() {
        let Value::Object(metadata) = json!({"a": "b", "c\0": "\0", "n": 1}) else {
            panic!("no object")
        };
        let sought = sought(&metadata);
        assert!(!sought.contains("\\u0000"), "{sought}");
        let sought: Value = serde_json::from_str(&sought).expect("JSON");
        assert_eq!(sought, json!({"a": "b", put("c\0"): put("\0")}));
    }
}
