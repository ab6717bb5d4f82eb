// SPDX-License-Identifier: MPL-2.0

//! Reads the answers of the Conversation API from the database.
//!
//! Facts: Symbl Conversation API reference. Ids are numbers in strings. `timeOffset` counts
//! from the first sentence and not from the first audio. `/trackers-detected` is a bare
//! array. Only the list of conversations has pages. As an extension, a client may ask for a
//! part of the messages.

use super::entries::append_late;
use super::filter::Condition;
use super::labels::metadata;
use super::listing::{Keys, Listed};
use crate::conversation::entry::{Body, Entry, Speaker};
use crate::store::{Change, List, Sort};
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbl_protocol::timestamp::format_rfc3339;

/// In seconds.
const DAY: i64 = 24 * 60 * 60;

/// Number of messages that one step of a deletion deletes.
const DELETED_AT_ONCE: i64 = 200;

/// A conversation of the account that asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) id: i64,
    /// Start of the first sentence.
    pub(super) first: i64,
    pub(super) is_over: bool,
    /// Entries that were written later are left out. Nanoseconds since the Unix epoch.
    pub(super) until: i64,
}

pub(super) type Answer = rusqlite::Result<Value>;

/// Returns a person with the members that are known. Most of the API calls the `userId` of
/// the sockets `email`.
pub(in crate::store) fn person(
    id: Option<&str>,
    name: Option<&str>,
    address: (&str, Option<&str>),
) -> Value {
    let mut members = Map::new();
    for (key, value) in [("id", id), ("name", name), address] {
        if let Some(value) = value {
            members.insert(key.into(), value.into());
        }
    }
    Value::Object(members)
}

/// Returns seconds with at most two decimals, and a whole number without decimals.
fn hundredths(nanos: i64) -> Value {
    let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
    let rounded = time.saturating_add(Duration::from_millis(5)).as_millis() / 10;
    match u64::try_from(rounded / 100) {
        Ok(whole) if rounded.is_multiple_of(100) => whole.into(),
        _ => (rounded as f64 / 100.0).into(),
    }
}

/// Returns the four members with the times of an item.
pub(in crate::store) fn span(zero: i64, start: i64, stop: i64) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("startTime".into(), format_rfc3339(start).into());
    members.insert("endTime".into(), format_rfc3339(stop).into());
    members.insert("timeOffset".into(), hundredths(start.saturating_sub(zero)));
    members.insert("duration".into(), hundredths(stop.saturating_sub(start)));
    members
}

pub(super) fn all(
    from: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    make: impl FnMut(&Row<'_>) -> Answer,
) -> Answer {
    let mut rows = from.prepare_cached(sql)?;
    let rows = rows.query_map(parameters, make)?;
    rows.collect::<Result<Vec<_>, _>>().map(Value::from)
}

/// Finds the conversation with this id, if it is the account's.
pub(super) fn find(from: &Connection, account: &str, id: i64) -> rusqlite::Result<Option<Found>> {
    from.prepare_cached("SELECT id, first, ended FROM conversation WHERE id = ?1 AND account = ?2")?
        .query_row(params![id, account], |row| {
            Ok(Found {
                id: row.get(0)?,
                first: row.get::<_, Option<i64>>(1)?.unwrap_or(0),
                is_over: row.get::<_, Option<i64>>(2)?.is_some(),
                until: i64::MAX,
            })
        })
        .optional()
}

/// SQL for the start, the end and the name of a conversation.
pub(super) const START: &str = "coalesce(zero, created)";
///
/// The conversation of a job ends with what was said last, not when the job was done.
pub(super) const END: &str = "coalesce(CASE WHEN EXISTS (SELECT 1 FROM job
    WHERE job.id = c.connection) THEN NULL ELSE ended END, (SELECT max(stop) FROM message
    WHERE conversation = c.id), zero, created)";
pub(super) const NAME: &str = "coalesce(name, 'Conversation ' || id)";

fn conversations() -> String {
    format!(
        "SELECT id, {NAME}, {START}, {END}, session, ended, metadata, retain FROM conversation c"
    )
}

fn conversation(from: &Connection, row: &Row<'_>) -> Answer {
    let id: i64 = row.get(0)?;
    let stored: Option<String> = row.get(6)?;
    let mut members = json!({
        "id": id.to_string(),
        "type": "meeting",
        "name": row.get::<_, String>(1)?,
        "startTime": format_rfc3339(row.get(2)?),
        "endTime": format_rfc3339(row.get(3)?),
        "members": members_of(from, id)?,
        "metadata": metadata(stored.as_deref()),
        "x_sessionId": row.get::<_, String>(4)?,
        "x_status": match row.get::<_, Option<i64>>(5)? {
            None => "active",
            Some(_) => "over",
        },
    });
    if let Some(seconds) = row.get::<_, Option<i64>>(7)? {
        members["x_retainDays"] = days(seconds);
    }
    Ok(members)
}

/// Returns seconds as days, without decimals where they are whole.
pub(in crate::store) fn days(seconds: i64) -> Value {
    match seconds % DAY {
        0 => (seconds / DAY).into(),
        _ => (seconds as f64 / DAY as f64).into(),
    }
}

/// Lists conversations of an account.
pub(super) fn list(from: &Connection, account: &str, list: &List) -> rusqlite::Result<Listed> {
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
    let condition = Condition::of(&list.filter);
    let filter = match condition.text.as_str() {
        "" => String::new(),
        condition => format!("AND ({condition})"),
    };
    let sql = format!(
        "SELECT id FROM conversation c WHERE account = ? AND created >= ? AND created < ? {filter}
         ORDER BY {sort} id LIMIT ? OFFSET ?"
    );
    let number = |number: u32| SqlValue::Integer(number.into());
    let parameters = [
        SqlValue::Text(account.to_owned()),
        SqlValue::Integer(list.from),
        SqlValue::Integer(list.to),
    ];
    let parameters = parameters
        .into_iter()
        .chain(condition.values)
        .chain([number(list.limit), number(list.offset)]);
    let keys = keys(from, &sql, params_from_iter(parameters))?;
    let rows = Keys::new(keys, |from, id| {
        let sql = format!("{} WHERE id = ?1", conversations());
        from.prepare_cached(&sql)?
            .query_row([id], |row| conversation(from, row))
            .optional()
    });
    Ok(Listed::new("{\"conversations\":[", "]}", rows))
}

/// Reads the first column of all rows, which takes eight bytes for each row.
pub(super) fn keys(
    from: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<i64>> {
    let mut rows = from.prepare_cached(sql)?;
    let rows = rows.query_map(parameters, |row| row.get(0))?;
    rows.collect()
}

fn members_of(from: &Connection, id: i64) -> Answer {
    let sql = "SELECT id, name, user_id FROM member WHERE conversation = ?1 ORDER BY name, id";
    all(from, sql, [id], |row| {
        let (id, name, email): (String, Option<String>, Option<String>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(person(
            Some(&id),
            name.as_deref(),
            ("email", email.as_deref()),
        ))
    })
}

impl Found {
    pub(super) fn conversation(self, from: &Connection) -> Answer {
        let sql = format!("{} WHERE id = ?1", conversations());
        from.prepare_cached(&sql)?
            .query_row([self.id], |row| conversation(from, row))
    }

    /// Returns the title of the conversation, if it has one, and when it began.
    pub(super) fn title(self, from: &Connection) -> rusqlite::Result<(Option<String>, i64)> {
        let sql = format!("SELECT name, {START} FROM conversation WHERE id = ?1");
        from.prepare_cached(&sql)?
            .query_row([self.id], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    pub(super) fn members(self, from: &Connection) -> Answer {
        Ok(json!({ "members": members_of(from, self.id)? }))
    }

    /// Gives a member another name or address. Returns the entry, or `None` if there is no such
    /// member.
    pub(super) fn rename(
        self,
        in_: &Connection,
        member: &str,
        change: &Change,
    ) -> rusqlite::Result<Option<Arc<Entry>>> {
        let in_ = in_.unchecked_transaction()?;
        let renamed = in_
            .prepare_cached(
                "UPDATE member SET name = coalesce(?3, name), user_id = coalesce(?4, user_id)
                 WHERE conversation = ?1 AND id = ?2 RETURNING id, user_id, name",
            )?
            .query_row(params![self.id, member, change.name, change.email], |row| {
                Ok(Speaker {
                    id: row.get(0)?,
                    user_id: row.get(1)?,
                    name: row.get(2)?,
                })
            })
            .optional()?;
        let Some(speaker) = renamed else {
            return Ok(None);
        };
        let entry = append_late(&in_, self.id, super::now(), Body::Renamed(speaker))?;
        in_.commit()?;
        Ok(entry)
    }

    /// Deletes a part of the conversation, so that other jobs are written in between.
    /// Returns `true` when nothing is left of it.
    pub(super) fn delete_some(self, in_: &Connection) -> rusqlite::Result<bool> {
        super::purge::note(in_)?;
        let messages = in_
            .prepare_cached(
                "DELETE FROM message WHERE id IN
                 (SELECT id FROM message WHERE conversation = ?1 LIMIT ?2)",
            )?
            .execute([self.id, DELETED_AT_ONCE])?;
        let entries = in_
            .prepare_cached(
                "DELETE FROM entry WHERE rowid IN
                 (SELECT rowid FROM entry WHERE conversation = ?1 LIMIT ?2)",
            )?
            .execute([self.id, DELETED_AT_ONCE])?;
        if messages + entries > 0 {
            return Ok(false);
        }
        in_.execute("DELETE FROM conversation WHERE id = ?1", [self.id])?;
        Ok(true)
    }
}
