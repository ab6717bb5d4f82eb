// SPDX-License-Identifier: MPL-2.0

//! What a service finds when it comes back: the directory, its own key, and the
//! conversations that somebody may still come back to.

use super::{Record, Store, StoreError, now, schema, stamped};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

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

fn failed(path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    move |reason| StoreError::File {
        path: path.to_owned(),
        reason,
    }
}

/// Makes the directory, for its owner only, and takes it.
pub(super) fn lock(directory: &Path) -> Result<File, StoreError> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(failed(directory))?;
    let path = directory.join("lock");
    let file = private_file(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(directory.to_owned())),
        Err(TryLockError::Error(reason)) => Err(failed(&path)(reason)),
    }
}

fn private_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(failed(path))
}

/// A connection to a database that only its owner may read.
pub(super) fn private(file: &Path) -> Result<Connection, StoreError> {
    drop(private_file(file)?);
    let connection = Connection::open(file)?;
    match schema::prepare(&connection)? {
        None => Ok(connection),
        Some(found) => Err(StoreError::Version {
            file: file.to_owned(),
            found,
            known: schema::VERSION,
        }),
    }
}

impl Store {
    /// The key that tokens are signed with: as old as the database.
    pub(crate) fn key(&self) -> Result<Vec<u8>, StoreError> {
        self.with(|connection| {
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
