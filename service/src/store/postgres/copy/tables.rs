// SPDX-License-Identifier: MPL-2.0

//! The tables whose rows are the same in both databases, or nearly so.

use super::super::labels::sought;
use super::super::link::Link;
use super::rows::{Rows, Told};
use super::{Failure, NOBODY};
use crate::clock::now;
use crate::store::sqlite::labels::metadata;
use rusqlite::{Connection, OptionalExtension, Row};

const SECOND: i64 = 1_000_000_000;

/// Adds a column with the text of a row.
fn text(rows: &mut Rows<'_, '_>, row: &Row<'_>, column: usize) -> Result<(), Failure> {
    rows.text_or_null(row.get_ref(column)?.as_str_or_null()?);
    Ok(())
}

/// Adds a column with the number of a row.
fn number(rows: &mut Rows<'_, '_>, row: &Row<'_>, column: usize) -> Result<(), Failure> {
    rows.number_or_null(row.get(column)?);
    Ok(())
}

/// Adds a column with the list of numbers of a row, which is JSON.
fn list(rows: &mut Rows<'_, '_>, row: &Row<'_>, column: usize) -> Result<(), Failure> {
    let numbers: Vec<i64> =
        serde_json::from_str(row.get_ref(column)?.as_str()?).unwrap_or_default();
    rows.list(&numbers);
    Ok(())
}

/// Fills a table with the rows of a query, for each of which `add` adds the columns. Returns
/// how many rows there are.
pub(super) async fn copy_rows(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
    name: &'static str,
    into: &str,
    sql: &str,
    mut add: impl FnMut(&mut Rows<'_, '_>, &Row<'_>) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut rows = Rows::begin(link, told, name, into).await?;
    let mut read = from.prepare(sql)?;
    let mut read = read.query([])?;
    while let Some(row) = read.next()? {
        add(&mut rows, row)?;
        rows.end_row().await?;
    }
    Ok(rows.finish().await?)
}

pub(super) async fn conversations(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<u64, Failure> {
    let sql = "SELECT value FROM meta WHERE key = 'alive'";
    let alive: Option<i64> = from.query_row(sql, [], |row| row.get(0)).optional()?;
    let alive = alive.unwrap_or_else(now);
    let into = "conversation (id, account, connection, session, name, created, zero, first,
        head, sequence, keep, ends, ended, metadata, labels, retain)";
    let sql = "SELECT id, account, connection, session, name, created, zero, first, head,
        sequence, keep, ends, ended, metadata, retain FROM conversation ORDER BY created, id";
    let copied = copy_rows(from, link, told, "conversations", into, sql, |rows, row| {
        number(rows, row, 0)?;
        for column in 1..5 {
            text(rows, row, column)?;
        }
        for column in 5..11 {
            number(rows, row, column)?;
        }
        // Whose speakers were there when the service ended: they may come back for as long as
        // they might have to that service.
        let (keep, ends): (i64, Option<i64>) = (row.get(10)?, row.get(11)?);
        let ended: Option<i64> = row.get(12)?;
        let back = alive.saturating_add(keep.saturating_mul(SECOND));
        rows.number_or_null(ends.or(ended.is_none().then_some(back)));
        rows.number_or_null(ended);
        let labels: Option<String> = row.get(13)?;
        match &labels {
            Some(labels) => {
                rows.raw(labels);
                rows.raw(&sought(&metadata(Some(labels))));
            }
            None => {
                rows.null();
                rows.null();
            }
        }
        number(rows, row, 14)?;
        Ok(())
    })
    .await?;
    // Speakers find a conversation that goes on by their connection id, the latest one of it.
    let rooms = format!(
        "INSERT INTO room SELECT DISTINCT ON (account, connection) account, connection, id,
         session, '{NOBODY}' FROM conversation WHERE ended IS NULL
         ORDER BY account, connection, created DESC, id"
    );
    link.batch(&rooms).await?;
    Ok(copied)
}

pub(super) async fn members(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<(), Failure> {
    let into = "member (conversation, id, user_id, name, here, node)";
    // With the very expression of the index `entry_presence`.
    let sql = "SELECT conversation, id, user_id, name, coalesce((SELECT e.kind = 'member'
        FROM entry e WHERE e.conversation = m.conversation AND e.kind IN ('member', 'left')
        AND coalesce(json_extract(e.body, '$.entry.member.id'),
                     json_extract(e.body, '$.entry.left.id')) = m.id
        ORDER BY e.seq DESC LIMIT 1), 0) FROM member m";
    copy_rows(from, link, told, "members", into, sql, |rows, row| {
        number(rows, row, 0)?;
        for column in 1..4 {
            text(rows, row, column)?;
        }
        rows.flag(row.get(4)?);
        rows.raw(NOBODY);
        Ok(())
    })
    .await?;
    Ok(())
}

pub(super) async fn streams(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<(), Failure> {
    let columns = "conversation, id, attempt, member, begun, said_until";
    let into = format!("stream ({columns})");
    copy_rows(
        from,
        link,
        told,
        "streams",
        &into,
        &format!("SELECT {columns} FROM stream"),
        |rows, row| {
            number(rows, row, 0)?;
            text(rows, row, 1)?;
            number(rows, row, 2)?;
            text(rows, row, 3)?;
            number(rows, row, 4)?;
            number(rows, row, 5)?;
            Ok(())
        },
    )
    .await?;
    Ok(())
}

pub(super) async fn topics(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<(), Failure> {
    let into = "topic (conversation, id, text, score, messages)";
    // Older releases have told other ids of messages than those of the rows.
    let sql = "SELECT conversation, id, text, score, (SELECT json_group_array(m.id)
        FROM json_each(t.messages) j CROSS JOIN message m INDEXED BY message_live
        ON m.conversation = t.conversation AND m.live = j.value) FROM topic t";
    copy_rows(from, link, told, "topics", into, sql, |rows, row| {
        number(rows, row, 0)?;
        number(rows, row, 1)?;
        text(rows, row, 2)?;
        rows.decimal(row.get(3)?);
        list(rows, row, 4)?;
        Ok(())
    })
    .await?;
    Ok(())
}

/// Copies the trackers and the entities that were found.
pub(super) async fn found(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<(), Failure> {
    let into = "tracker (id, conversation, name)";
    copy_rows(
        from,
        link,
        told,
        "trackers that were found",
        into,
        "SELECT id, conversation, name FROM tracker",
        |rows, row| {
            number(rows, row, 0)?;
            number(rows, row, 1)?;
            text(rows, row, 2)?;
            Ok(())
        },
    )
    .await?;
    let into = "tracker_match (tracker, message, value, place)";
    let sql = "SELECT tracker, message, value, offset FROM tracker_match ORDER BY rowid";
    copy_rows(
        from,
        link,
        told,
        "matches of trackers",
        into,
        sql,
        |rows, row| {
            number(rows, row, 0)?;
            number(rows, row, 1)?;
            text(rows, row, 2)?;
            number(rows, row, 3)?;
            Ok(())
        },
    )
    .await?;
    let into = "entity (id, message, type, value, text, place)";
    copy_rows(
        from,
        link,
        told,
        "entities",
        into,
        "SELECT id, message, type, value, text, offset FROM entity",
        |rows, row| {
            number(rows, row, 0)?;
            number(rows, row, 1)?;
            for column in 2..5 {
                text(rows, row, column)?;
            }
            number(rows, row, 5)?;
            Ok(())
        },
    )
    .await?;
    Ok(())
}

pub(super) async fn bookmarks(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<(), Failure> {
    let into = "bookmark (id, conversation, label, description, author, begins, duration,
        messages, created, updated)";
    let sql = "SELECT id, conversation, label, description, user, begin, duration, messages,
        created, updated FROM bookmark";
    copy_rows(from, link, told, "bookmarks", into, sql, |rows, row| {
        number(rows, row, 0)?;
        number(rows, row, 1)?;
        text(rows, row, 2)?;
        text(rows, row, 3)?;
        // JSON, in which no character is written in another way.
        rows.raw(row.get_ref(4)?.as_str()?);
        number(rows, row, 5)?;
        number(rows, row, 6)?;
        list(rows, row, 7)?;
        number(rows, row, 8)?;
        number(rows, row, 9)?;
        Ok(())
    })
    .await?;
    Ok(())
}

pub(super) async fn groups(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<u64, Failure> {
    let columns = "id, account, name, description, criteria, created, updated";
    let into = format!("conversation_group ({columns})");
    let sql = format!("SELECT {columns} FROM conversation_group ORDER BY created, rowid");
    copy_rows(from, link, told, "groups", &into, &sql, |rows, row| {
        number(rows, row, 0)?;
        for column in 1..5 {
            text(rows, row, column)?;
        }
        number(rows, row, 5)?;
        number(rows, row, 6)?;
        Ok(())
    })
    .await
}

pub(super) async fn kept_trackers(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<u64, Failure> {
    let into = "kept_tracker (id, account, name, vocabulary)";
    let sql = "SELECT id, account, name, vocabulary FROM kept_tracker ORDER BY made";
    copy_rows(
        from,
        link,
        told,
        "trackers of accounts",
        into,
        sql,
        |rows, row| {
            number(rows, row, 0)?;
            text(rows, row, 1)?;
            text(rows, row, 2)?;
            rows.raw(row.get_ref(3)?.as_str()?);
            Ok(())
        },
    )
    .await
}

pub(super) async fn jobs(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<u64, Failure> {
    let into = "job (id, account, conversation, status, request, result, zero, progress,
        attempt, created, updated, home)";
    let sql = "SELECT id, account, conversation, status, request, result, zero, progress,
        attempt, created, updated FROM job";
    copy_rows(from, link, told, "jobs", into, sql, |rows, row| {
        text(rows, row, 0)?;
        text(rows, row, 1)?;
        number(rows, row, 2)?;
        for column in 3..6 {
            text(rows, row, column)?;
        }
        for column in 6..11 {
            number(rows, row, column)?;
        }
        // Any node takes it over, as from one that is gone.
        rows.raw(NOBODY);
        Ok(())
    })
    .await
}

pub(super) async fn webhooks(
    from: &Connection,
    link: &mut Link,
    told: &mut Told<'_>,
) -> Result<(), Failure> {
    let columns = "id, job, url, body, attempts, due, error, created";
    let into = format!("webhook ({columns})");
    copy_rows(
        from,
        link,
        told,
        "webhooks",
        &into,
        &format!("SELECT {columns} FROM webhook"),
        |rows, row| {
            for column in 0..4 {
                text(rows, row, column)?;
            }
            number(rows, row, 4)?;
            number(rows, row, 5)?;
            text(rows, row, 6)?;
            number(rows, row, 7)?;
            Ok(())
        },
    )
    .await?;
    Ok(())
}

/// Copies the key that tokens are signed with, so that they stay good.
pub(super) async fn key(from: &Connection, link: &mut Link) -> Result<(), Failure> {
    let sql = "SELECT value FROM meta WHERE key = 'key'";
    let key: Option<Vec<u8>> = from.query_row(sql, [], |row| row.get(0)).optional()?;
    if let Some(key) = key {
        let sql = "INSERT INTO meta (key, bytes) VALUES ('key', $1)
                   ON CONFLICT (key) DO UPDATE SET bytes = excluded.bytes";
        link.execute(sql, &[&key]).await?;
    }
    Ok(())
}
