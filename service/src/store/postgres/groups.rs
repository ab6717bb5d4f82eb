// SPDX-License-Identifier: MPL-2.0

//! Keeps groups of conversations in the database of the cluster.

use super::log::{get, text};
use super::text::put;
use super::{Store, StoreError};
use crate::clock::now;
use crate::ids::new_id;
use crate::store::Answer;
use crate::store::groups::{Group, GroupTerms, Groups, MOST_GROUPS};
use tokio_postgres::Row;

const COLUMNS: &str = "SELECT id, name, description, criteria FROM conversation_group";

fn group(row: &Row) -> Result<Group, StoreError> {
    Ok(Group {
        id: get(row, 0)?,
        terms: GroupTerms {
            name: text(row, 1)?,
            description: text(row, 2)?,
            criteria: text(row, 3)?,
        },
    })
}

/// Returns the texts of a group as they are stored.
fn stored(terms: &GroupTerms) -> [String; 3] {
    [&terms.name, &terms.description, &terms.criteria].map(|text| put(text))
}

impl Groups for Store {
    fn groups(&self, account: String) -> Answer<'_, Vec<Group>> {
        Box::pin(async move {
            let (readers, account) = (self.readers()?, put(&account));
            readers
                .look(|link| {
                    Box::pin(async move {
                        let sql = format!("{COLUMNS} WHERE account = $1 ORDER BY made");
                        let rows = link.query(&sql, &[&account]).await?;
                        rows.iter().map(group).collect()
                    })
                })
                .await
        })
    }

    fn group(&self, account: String, id: i64) -> Answer<'_, Option<Group>> {
        Box::pin(async move {
            let (readers, account) = (self.readers()?, put(&account));
            readers
                .look(|link| {
                    Box::pin(async move {
                        let sql = format!("{COLUMNS} WHERE id = $1 AND account = $2");
                        let row = link.query_opt(&sql, &[&id, &account]).await?;
                        row.as_ref().map(group).transpose()
                    })
                })
                .await
        })
    }

    fn create_groups(
        &self,
        account: String,
        groups: Vec<GroupTerms>,
    ) -> Answer<'_, Option<Vec<Group>>> {
        let account = put(&account);
        Box::pin(self.change(Option::is_some, move |link| {
            Box::pin(async move {
                // Two nodes must not each see one place that is left.
                let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
                link.query(lock, &[&account]).await?;
                let sql = "SELECT count(*) FROM conversation_group WHERE account = $1";
                let row = link.query_one(sql, &[&account]).await?;
                let kept = usize::try_from(get::<i64>(&row, 0)?).unwrap_or(usize::MAX);
                if kept.saturating_add(groups.len()) > MOST_GROUPS {
                    return Ok(None);
                }
                let mut made = Vec::with_capacity(groups.len());
                for terms in groups {
                    let (id, at) = (new_id(), now());
                    let [name, description, criteria] = stored(&terms);
                    let sql = "INSERT INTO conversation_group
                               (id, account, name, description, criteria, created, updated)
                               VALUES ($1, $2, $3, $4, $5, $6, $6)";
                    link.execute(sql, &[&id, &account, &name, &description, &criteria, &at])
                        .await?;
                    made.push(Group { id, terms });
                }
                Ok(Some(made))
            })
        }))
    }

    fn replace_group(&self, account: String, group: Group) -> Answer<'_, bool> {
        let account = put(&account);
        Box::pin(self.change(
            |_| true,
            move |link| {
                Box::pin(async move {
                    let sql = "UPDATE conversation_group SET name = $3, description = $4,
                           criteria = $5, updated = $6 WHERE id = $1 AND account = $2";
                    let [name, description, criteria] = stored(&group.terms);
                    let at = now();
                    let replaced = link
                        .execute(
                            sql,
                            &[&group.id, &account, &name, &description, &criteria, &at],
                        )
                        .await?;
                    Ok(replaced > 0)
                })
            },
        ))
    }

    fn delete_group(&self, account: String, id: i64) -> Answer<'_, bool> {
        let account = put(&account);
        Box::pin(self.change(
            |_| true,
            move |link| {
                Box::pin(async move {
                    let sql = "DELETE FROM conversation_group WHERE id = $1 AND account = $2";
                    Ok(link.execute(sql, &[&id, &account]).await? > 0)
                })
            },
        ))
    }
}
