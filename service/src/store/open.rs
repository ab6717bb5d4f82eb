// SPDX-License-Identifier: MPL-2.0

//! Opens connections, and reads what a service finds when it comes back: its own key,
//! and the conversations that somebody may still come back to.

use super::{Record, Store, StoreError, now, schema, stamped};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: i64 = 1_000_000_000;

/// A conversation that is not over.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) id: i64,
    pub(crate) account: String,
    pub(crate) connection_id: String,
    pub(crate) zero: Option<i64>,
    pub(crate) sequence: i64,
    /// Seconds.
    pub(crate) keep: i64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) ends: i64,
    /// When something of it was written last, likewise.
    pub(crate) latest: Option<i64>,
    pub(crate) members: Vec<OpenMember>,
}

/// Somebody who spoke in it.
#[derive(Debug)]
pub(crate) struct OpenMember {
    pub(crate) id: String,
    pub(crate) user_id: Option<String>,
    pub(crate) name: Option<String>,
}

/// How long the writer waits for another program that has locked the database.
pub(super) const WAIT_FOR_OTHERS: Duration = Duration::from_secs(15);

/// Opens a connection to a database that [`super::place::create`] has made.
pub(super) fn connect(file: &Path) -> Result<Connection, StoreError> {
    // It is not made here, since SQLite would let others read it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    match schema::prepare(&connection)? {
        None => Ok(connection),
        Some(found) => Err(StoreError::Version {
            file: file.to_owned(),
            found,
            known: schema::VERSION,
        }),
    }
}

/// Opens the connection of the thread that writes.
pub(super) fn writer(file: &Path) -> Result<Connection, StoreError> {
    let connection = connect(file)?;
    connection.busy_timeout(WAIT_FOR_OTHERS)?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(super) fn reader(file: &Path) -> Result<Arc<Mutex<Connection>>, StoreError> {
    let connection = connect(file)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(Arc::new(Mutex::new(connection)))
}

impl Store {
    /// The key that tokens are signed with: as old as the database.
    pub(crate) fn key(&self) -> Result<Vec<u8>, StoreError> {
        self.change(|connection| {
            let known = connection
                .query_row("SELECT value FROM meta WHERE key = 'key'", [], |row| {
                    row.get(0)
                })
                .optional()?;
            if let Some(key) = known {
                return Ok(key);
            }
            let key = [
                uuid::Uuid::new_v4().into_bytes(),
                uuid::Uuid::new_v4().into_bytes(),
            ]
            .concat();
            connection.execute("INSERT INTO meta VALUES ('key', ?1)", params![key])?;
            Ok(key)
        })
    }

    /// The conversations that are not over. Where speakers were connected when
    /// the service ended, their time runs from its last sign of life.
    pub(crate) fn still_open(&self) -> Result<Vec<Open>, StoreError> {
        let (open, over) = self.with(|connection| {
            let alive: Option<i64> = connection
                .query_row("SELECT value FROM meta WHERE key = 'alive'", [], |row| {
                    row.get(0)
                })
                .optional()?;
            let alive = alive.unwrap_or_else(now);
            let mut rows = connection.prepare(
                "SELECT id, account, connection, zero, sequence, keep, ends,
                 (SELECT max(stored) FROM message WHERE conversation = c.id)
                 FROM conversation c WHERE ended IS NULL ORDER BY created",
            )?;
            let rows = rows.query_map([], |row| {
                let keep: i64 = row.get(5)?;
                let ends: Option<i64> = row.get(6)?;
                Ok(Open {
                    id: row.get(0)?,
                    account: row.get(1)?,
                    connection_id: row.get(2)?,
                    zero: row.get(3)?,
                    sequence: row.get(4)?,
                    keep,
                    ends: ends.unwrap_or(alive.saturating_add(keep.saturating_mul(SECOND))),
                    latest: row.get(7)?,
                    members: members(connection, row.get(0)?)?,
                })
            })?;
            let rows: Vec<Open> = rows.collect::<Result<_, _>>()?;
            let latest = rows.iter().filter_map(|open| open.latest).max();
            stamped(latest.unwrap_or(0));
            let now = now();
            Ok(rows.into_iter().partition(|open| open.ends > now))
        })?;
        let over: Vec<Open> = over;
        let over = over.into_iter().map(|over| Record::Finished {
            conversation: over.id,
            at: over.ends,
        });
        self.write(over.collect())?;
        Ok(open)
    }
}

fn members(connection: &Connection, conversation: i64) -> rusqlite::Result<Vec<OpenMember>> {
    let mut rows = connection
        .prepare_cached("SELECT id, user_id, name FROM member WHERE conversation = ?1")?;
    let rows = rows.query_map([conversation], |row| {
        Ok(OpenMember {
            id: row.get(0)?,
            user_id: row.get(1)?,
            name: row.get(2)?,
        })
    })?;
    rows.collect()
}
