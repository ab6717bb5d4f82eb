// SPDX-License-Identifier: MPL-2.0

//! Keeps groups of conversations in the database.

use super::{Store, now};
use crate::ids::new_id;
use crate::store::groups::{Group, GroupTerms, Groups, MOST_GROUPS};
use crate::store::{Answer, LONGEST_WAIT};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

const COLUMNS: &str = "SELECT id, name, description, criteria FROM conversation_group";

fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        id: row.get(0)?,
        terms: GroupTerms {
            name: row.get(1)?,
            description: row.get(2)?,
            criteria: row.get(3)?,
        },
    })
}

fn all(from: &Connection, account: &str) -> rusqlite::Result<Vec<Group>> {
    let sql = format!("{COLUMNS} WHERE account = ?1 ORDER BY created, rowid");
    let mut rows = from.prepare_cached(&sql)?;
    let rows = rows.query_map([account], group)?;
    rows.collect()
}

impl Groups for Store {
    fn groups(&self, account: String) -> Answer<'_, Vec<Group>> {
        Box::pin(self.look(LONGEST_WAIT, move |database| all(database, &account)))
    }

    fn group(&self, account: String, id: i64) -> Answer<'_, Option<Group>> {
        Box::pin(self.look(LONGEST_WAIT, move |database| {
            let sql = format!("{COLUMNS} WHERE id = ?1 AND account = ?2");
            database
                .prepare_cached(&sql)?
                .query_row(params![id, account], group)
                .optional()
        }))
    }

    fn create_groups(
        &self,
        account: String,
        groups: Vec<GroupTerms>,
    ) -> Answer<'_, Option<Vec<Group>>> {
        Box::pin(self.alter(move |database| {
            // An immediate transaction: one that has read before it writes would fail
            // instead of waiting for other writers.
            let change = Transaction::new_unchecked(database, TransactionBehavior::Immediate)?;
            let sql = "SELECT count(*) FROM conversation_group WHERE account = ?1";
            let kept: u32 = change.query_row(sql, [&account], |row| row.get(0))?;
            if kept as usize + groups.len() > MOST_GROUPS {
                return Ok(None);
            }
            let mut made = Vec::with_capacity(groups.len());
            for terms in groups {
                let (id, at) = (new_id(), now());
                change
                    .prepare_cached(
                        "INSERT INTO conversation_group
                         (id, account, name, description, criteria, created, updated)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                    )?
                    .execute(params![
                        id,
                        account,
                        terms.name,
                        terms.description,
                        terms.criteria,
                        at
                    ])?;
                made.push(Group { id, terms });
            }
            change.commit()?;
            Ok(Some(made))
        }))
    }

    fn replace_group(&self, account: String, group: Group) -> Answer<'_, bool> {
        Box::pin(self.alter(move |database| {
            let Group { id, terms } = group;
            let replaced = database.execute(
                "UPDATE conversation_group SET name = ?3, description = ?4, criteria = ?5,
                 updated = ?6 WHERE id = ?1 AND account = ?2",
                params![
                    id,
                    account,
                    terms.name,
                    terms.description,
                    terms.criteria,
                    now()
                ],
            )?;
            Ok(replaced > 0)
        }))
    }

    fn delete_group(&self, account: String, id: i64) -> Answer<'_, bool> {
        Box::pin(self.alter(move |database| {
            let sql = "DELETE FROM conversation_group WHERE id = ?1 AND account = ?2";
            Ok(database.execute(sql, params![id, account])? > 0)
        }))
    }
}
