// SPDX-License-Identifier: MPL-2.0

//! The webhooks of jobs as rows.

use super::StoreError;
use super::link::Link;
use super::log::{get, text, text_or_none};
use super::text::put;
use crate::store::jobs::{Hook, NewHook};
use tokio_postgres::Row;
use uuid::Uuid;

/// Most webhooks that are read at once.
const MOST_DUE: i64 = 32;

pub(super) const HOOK: &str = "w.id, w.job, w.url, w.body, w.attempts, w.due, w.error";

/// No webhook of the same job comes before it.
const IN_TURN: &str = "w.due IS NOT NULL AND NOT EXISTS (SELECT 1 FROM webhook e
    WHERE e.job = w.job AND e.due IS NOT NULL AND e.created < w.created)";

pub(super) fn hook(row: &Row) -> Result<Hook, StoreError> {
    let attempts: i64 = get(row, 4)?;
    Ok(Hook {
        id: text(row, 0)?,
        job: text(row, 1)?,
        url: text(row, 2)?,
        body: text(row, 3)?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        due: get(row, 5)?,
        error: text_or_none(row, 6)?,
    })
}

/// Keeps a webhook that is due at once.
pub(super) async fn tell(
    link: &mut Link,
    job: &str,
    hook: &NewHook,
    now: i64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO webhook (id, job, url, body, due, created)
               VALUES ($1, $2, $3, $4, $5, $5)";
    let id = Uuid::new_v4().to_string();
    let (url, body) = (put(&hook.url), put(&hook.body));
    link.execute(sql, &[&id, &job, &url, &body, &now])
        .await
        .map(drop)
}

/// Takes the webhooks that are due. Returns them, and when the next one is.
pub(super) async fn take_due(
    link: &mut Link,
    node: &str,
    now: i64,
    mut busy: Vec<String>,
) -> Result<(Vec<Hook>, Option<i64>), StoreError> {
    let free = "(w.node IS NULL OR w.node = $1 OR NOT symbl_lives_1(w.node)) AND w.id <> ALL($2)";
    let sql = format!(
        "UPDATE webhook w SET node = $1 WHERE w.id IN (SELECT w.id FROM webhook w
             WHERE {IN_TURN} AND {free} AND w.due <= $3 ORDER BY w.due, w.created LIMIT $4
             FOR UPDATE SKIP LOCKED) RETURNING {HOOK}"
    );
    let rows = link.query(&sql, &[&node, &busy, &now, &MOST_DUE]).await?;
    let due = rows.iter().map(hook).collect::<Result<Vec<Hook>, _>>()?;
    busy.extend(due.iter().map(|hook| hook.id.clone()));
    let sql = format!("SELECT min(w.due) FROM webhook w WHERE {IN_TURN} AND {free}");
    let row = link.query_one(&sql, &[&node, &busy]).await?;
    Ok((due, get(&row, 0)?))
}
