// SPDX-License-Identifier: MPL-2.0

//! The webhooks of jobs as rows.

use super::StoreError;
use super::link::{Link, Parameters};
use super::log::{get, text, text_or_none};
use super::text::put;
use crate::store::jobs::{Hook, NewHook, Room};
use tokio_postgres::Row;
use uuid::Uuid;

/// The columns of a webhook `w`.
pub(super) const HOOK: &str = "w.id, w.job, w.url, w.body, w.attempts, w.due, w.error,
    (SELECT j.account FROM job j WHERE j.id = w.job)";

/// The host of [`Receiver`].
const HOST: &str = "lower(coalesce(substring(w.url FROM '^[^:]*://[^/?#]*'), ''))";

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
        account: text(row, 7)?,
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

/// Takes webhooks that are due and for which there is room. Returns them, and when the next one
/// is for which there may be room.
pub(super) async fn take_due(
    link: &mut Link,
    node: &str,
    now: i64,
    mut busy: Vec<String>,
    room: &Room,
) -> Result<(Vec<Hook>, Option<i64>), StoreError> {
    let accounts: Vec<String> = room.full.iter().map(|one| put(&one.account)).collect();
    let hosts: Vec<String> = room.full.iter().map(|one| put(&one.host)).collect();
    let full_accounts: Vec<String> = room.full_accounts.iter().map(|one| put(one)).collect();
    let number = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let most = number(room.most);
    let each = number(room.most_of_receiver);
    let of_account = number(room.most_of_account);
    let free = "(w.node IS NULL OR w.node = $1 OR NOT symbl_lives_1(w.node)) AND w.id <> ALL($2)";
    let fits = format!(
        "j.account <> ALL($3) AND NOT EXISTS (SELECT 1 FROM unnest($4::text[], $5::text[])
         AS f(account, host) WHERE f.account = j.account AND f.host = {HOST})"
    );
    // A receiver has its first ones only, so that those of others are among the first of all.
    let sql = format!(
        "UPDATE webhook w SET node = $1 WHERE w.id IN (SELECT w.id FROM webhook w WHERE w.id IN (
             SELECT id FROM (SELECT id, due, created, row_number() OVER (PARTITION BY account
                     ORDER BY due, created) AS of_account FROM (
                 SELECT w.id, w.due, w.created, j.account, row_number() OVER (
                     PARTITION BY j.account, {HOST} ORDER BY w.due, w.created) AS of_receiver
                 FROM webhook w JOIN job j ON j.id = w.job
                 WHERE {IN_TURN} AND {free} AND {fits} AND w.due <= $6) each
             WHERE of_receiver <= $7) all_due
             WHERE of_account <= $8 ORDER BY due, created LIMIT $9)
         AND {free} FOR UPDATE SKIP LOCKED) RETURNING {HOOK}"
    );
    let with: Parameters<'_> = &[
        &node,
        &busy,
        &full_accounts,
        &accounts,
        &hosts,
        &now,
        &each,
        &of_account,
        &most,
    ];
    let rows = link.query(&sql, with).await?;
    let mut due = rows.iter().map(hook).collect::<Result<Vec<Hook>, _>>()?;
    due.sort_by_key(|hook| hook.due);
    busy.extend(due.iter().map(|hook| put(&hook.id)));
    let sql = format!(
        "SELECT min(w.due) FROM webhook w JOIN job j ON j.id = w.job
         WHERE {IN_TURN} AND {free} AND {fits}"
    );
    let with: Parameters<'_> = &[&node, &busy, &full_accounts, &accounts, &hosts];
    let row = link.query_one(&sql, with).await?;
    Ok((due, get(&row, 0)?))
}
