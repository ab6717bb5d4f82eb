// SPDX-License-Identifier: MPL-2.0

//! Finds the conversations that have been over for longer than they are kept.

use super::Store;
use super::query::find;
use crate::store::retention::{Due, Retention, is_due};
use crate::store::{Answer, LONGEST_WAIT, Whose};
use rusqlite::params;
use std::time::Duration;

impl Retention for Store {
    fn due(&self, now: i64, keep: Option<Duration>, most: usize) -> Answer<'_, Vec<Due>> {
        Box::pin(self.look(LONGEST_WAIT, move |database| {
            let sql = "SELECT account, id, ended, retain FROM conversation
                       WHERE ended IS NOT NULL AND ended <= ?1 AND (?2 OR retain > 0)
                       ORDER BY ended";
            let mut statement = database.prepare_cached(sql)?;
            let mut rows = statement.query(params![now, keep.is_some()])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()?
                && due.len() < most
            {
                if is_due(row.get("ended")?, row.get("retain")?, keep, now) {
                    due.push(Due {
                        account: row.get("account")?,
                        conversation: row.get("id")?,
                    });
                }
            }
            Ok(due)
        }))
    }

    fn retain(&self, whose: Whose, keep: Option<Duration>) -> Answer<'_, bool> {
        Box::pin(self.alter(move |database| {
            if find(database, &whose.account, whose.conversation)?.is_none() {
                return Ok(false);
            }
            let seconds = keep.map(|keep| i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
            database.execute(
                "UPDATE conversation SET retain = ?2 WHERE id = ?1",
                params![whose.conversation, seconds],
            )?;
            Ok(true)
        }))
    }
}
