// SPDX-License-Identifier: MPL-2.0

//! Changes the name, the metadata and the retention of a conversation.

use super::Store;
use super::query::{Found, find};
use crate::store::notes::{Labelled, Labelling, Labels, MOST_LABELS};
use crate::store::{Answer, Whose};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value};

impl Labels for Store {
    fn label(&self, whose: Whose, labels: Labelling) -> Answer<'_, Labelled> {
        Box::pin(self.alter(move |database| {
            // An immediate transaction: one that has read before it writes would fail
            // instead of waiting for other writers.
            let change = Transaction::new_unchecked(database, TransactionBehavior::Immediate)?;
            let Some(found) = find(&change, &whose.account, whose.conversation)? else {
                return Ok(Labelled::Unknown);
            };
            let labelled = label(&change, found, labels)?;
            // Dropping the transaction undoes a change that is refused.
            if matches!(labelled, Labelled::Done(_)) {
                change.commit()?;
            }
            Ok(labelled)
        }))
    }
}

/// Returns the metadata of a conversation from its column.
pub(in crate::store) fn metadata(stored: Option<&str>) -> Map<String, Value> {
    stored
        .and_then(|stored| serde_json::from_str(stored).ok())
        .unwrap_or_default()
}

fn label(in_: &Connection, found: Found, labels: Labelling) -> rusqlite::Result<Labelled> {
    if let Some(name) = labels.name {
        let sql = "UPDATE conversation SET name = ?2 WHERE id = ?1";
        in_.execute(sql, params![found.id, name])?;
    }
    if let Some(change) = labels.metadata {
        let sql = "SELECT metadata FROM conversation WHERE id = ?1";
        let now: Option<String> = in_.query_row(sql, [found.id], |row| row.get(0))?;
        let metadata = change.applied(metadata(now.as_deref()));
        if metadata.len() > MOST_LABELS {
            return Ok(Labelled::TooMany);
        }
        let sql = "UPDATE conversation SET metadata = ?2 WHERE id = ?1";
        in_.execute(sql, params![found.id, Value::Object(metadata).to_string()])?;
    }
    if let Some(retain) = labels.retain {
        let sql = "UPDATE conversation SET retain = ?2 WHERE id = ?1";
        in_.execute(sql, params![found.id, retain])?;
    }
    found.conversation(in_).map(Labelled::Done)
}
