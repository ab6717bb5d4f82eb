// SPDX-License-Identifier: MPL-2.0

//! Reads conversations and their members, and lists those of an account.

use super::filter::{Condition, Given};
use super::link::Link;
use super::listing::{Keys, Listed, Make};
use super::log::{get, text, text_or_none};
use super::records::{END, NAME, START};
use super::text::put;
use crate::store::sqlite::labels::metadata;
use crate::store::sqlite::query::{days, person};
use crate::store::{List, Sort, StoreError};
use serde_json::{Value, json};
use std::collections::HashMap;
use symbl_protocol::timestamp::format_rfc3339;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Reads the members of each of these conversations.
pub(super) async fn members_of(
    link: &mut Link,
    ids: &[i64],
) -> Result<HashMap<i64, Vec<Value>>, StoreError> {
    let sql = "SELECT conversation, id, name, user_id FROM member WHERE conversation = ANY($1)
               ORDER BY name NULLS FIRST, id";
    let mut members: HashMap<i64, Vec<Value>> = HashMap::new();
    for row in link.query(sql, &[&ids]).await? {
        let (id, name) = (text(&row, 1)?, text_or_none(&row, 2)?);
        let email = text_or_none(&row, 3)?;
        let email = ("email", email.as_deref());
        let person = person(Some(&id), name.as_deref(), email);
        members.entry(get(&row, 0)?).or_default().push(person);
    }
    Ok(members)
}

/// Reads conversations with these ids.
pub(super) async fn conversations(
    link: &mut Link,
    ids: Vec<i64>,
) -> Result<HashMap<i64, Value>, StoreError> {
    let sql = format!(
        "SELECT id, {NAME}, {START}, {END}, session, ended IS NULL, metadata, retain
         FROM conversation c
         WHERE id = ANY($1)"
    );
    let mut members = members_of(link, &ids).await?;
    let rows = link.query(&sql, &[&ids]).await?;
    let one = |row: &Row| {
        let id: i64 = get(row, 0)?;
        let is_active: bool = get(row, 5)?;
        let metadata_of = get::<Option<String>>(row, 6)?;
        let mut conversation = json!({
            "id": id.to_string(),
            "type": "meeting",
            "name": text(row, 1)?,
            "startTime": format_rfc3339(get(row, 2)?),
            "endTime": format_rfc3339(get(row, 3)?),
            "members": members.remove(&id).unwrap_or_default(),
            "metadata": metadata(metadata_of.as_deref()),
            "x_sessionId": text(row, 4)?,
            "x_status": if is_active { "active" } else { "over" },
        });
        if let Some(seconds) = get::<Option<i64>>(row, 7)? {
            conversation["x_retainDays"] = days(seconds);
        }
        Ok((id, conversation))
    };
    rows.iter().map(one).collect()
}

/// Lists conversations of an account.
pub(super) async fn list(
    link: &mut Link,
    account: &str,
    list: &List,
) -> Result<Listed, StoreError> {
    let order = if list.descending { "DESC" } else { "ASC" };
    let sort = list.sort.iter().map(|sort| {
        let column = match sort {
            Sort::Created => "created",
            Sort::Start => START,
            Sort::End => END,
            Sort::Name => NAME,
        };
        format!("{column} {order}, ")
    });
    let sort: String = sort.collect();
    let condition = Condition::of(&list.filter, 5);
    let filter = match condition.text.as_str() {
        "" => String::new(),
        condition => format!("AND ({condition})"),
    };
    let sql = format!(
        "SELECT id FROM conversation c WHERE account = $1 AND created >= $2 AND created < $3
         {filter} ORDER BY {sort} id LIMIT $4 OFFSET $5"
    );
    let account = put(account);
    let (limit, offset) = (i64::from(list.limit), i64::from(list.offset));
    let mut values: Vec<&(dyn ToSql + Sync)> =
        vec![&account, &list.from, &list.to, &limit, &offset];
    for value in &condition.values {
        values.push(match value {
            Given::Text(text) => text,
            Given::Number(number) => number,
        });
    }
    let rows = link.query(&sql, &values).await?;
    let keys = rows.iter().map(|row| get(row, 0));
    let keys: Vec<i64> = keys.collect::<Result<_, _>>()?;
    let make: Make = Box::new(|link, ids| Box::pin(conversations(link, ids)));
    let rows = Keys::new(keys, make);
    Ok(Listed::new("{\"conversations\":[", "]}", rows))
}
