// SPDX-License-Identifier: MPL-2.0

//! Who comes to a conversation and who leaves it.

use super::entries::append;
use crate::conversation::entry::{Body, Entry, Speaker};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// Returns `true` if a speaker of the conversation has come and not left.
fn is_here(to: &Connection, conversation: i64, member: &str) -> rusqlite::Result<bool> {
    // With the very expression of the index `entry_presence`.
    let last: Option<String> = to
        .prepare_cached(
            "SELECT kind FROM entry WHERE conversation = ?1 AND kind IN ('member', 'left')
             AND coalesce(json_extract(body, '$.entry.member.id'),
                          json_extract(body, '$.entry.left.id')) = ?2
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![conversation, member], |row| row.get(0))
        .optional()?;
    Ok(last.as_deref() == Some("member"))
}

/// Appends that the speakers have left who are not `here` and have not left before.
pub(super) fn append_left(
    to: &Connection,
    conversation: i64,
    at: i64,
    here: &[String],
) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let mut entries = Vec::new();
    for speaker in members(to, conversation)? {
        if !here.contains(&speaker.id) && is_here(to, conversation, &speaker.id)? {
            entries.extend(append(to, conversation, at, Body::Left(speaker))?);
        }
    }
    Ok(entries)
}

/// Returns all speakers that the conversation has had.
pub(super) fn members(from: &Connection, conversation: i64) -> rusqlite::Result<Vec<Speaker>> {
    let mut rows =
        from.prepare_cached("SELECT id, user_id, name FROM member WHERE conversation = ?1")?;
    let rows = rows.query_map([conversation], |row| {
        Ok(Speaker {
            id: row.get(0)?,
            user_id: row.get(1)?,
            name: row.get(2)?,
        })
    })?;
    rows.collect()
}

/// Stores a speaker. Appends and returns an entry if the speaker is new, is back, or has a
/// new name.
pub(super) fn member(
    to: &Connection,
    conversation: i64,
    at: i64,
    speaker: &Speaker,
) -> rusqlite::Result<Option<Arc<Entry>>> {
    let changed = to
        .prepare_cached(
            "INSERT INTO member VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
             SET user_id = excluded.user_id, name = coalesce(excluded.name, name)
             WHERE user_id IS NOT excluded.user_id
             OR name IS NOT coalesce(excluded.name, name)",
        )?
        .execute(params![
            conversation,
            speaker.id,
            speaker.user_id,
            speaker.name
        ])?;
    match changed == 0 && is_here(to, conversation, &speaker.id)? {
        true => Ok(None),
        false => append(to, conversation, at, Body::Member(speaker.clone())),
    }
}
