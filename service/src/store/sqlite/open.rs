// SPDX-License-Identifier: MPL-2.0

//! Opens connections, and reads the key that tokens are signed with.

use super::{Store, StoreError, refused, schema};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const SECOND: i64 = 1_000_000_000;

/// How long the writer waits for another program that has locked the database.
pub(super) const WAIT_FOR_OTHERS: Duration = Duration::from_secs(15);

/// Opens a connection to a database that [`super::files::create`] has made.
pub(super) fn connect(file: &Path) -> Result<Connection, StoreError> {
    // The flags leave out CREATE: SQLite would create a file that other users can read.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(refused)?;
    match schema::prepare(&connection).map_err(refused)? {
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
    connection.busy_timeout(WAIT_FOR_OTHERS).map_err(refused)?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(super) fn reader(file: &Path) -> Result<Arc<Mutex<Connection>>, StoreError> {
    let connection = connect(file)?;
    let query_only = connection.pragma_update(None, "query_only", true);
    query_only.map_err(refused)?;
    Ok(Arc::new(Mutex::new(connection)))
}

impl Store {
    /// Returns the key that tokens are signed with, which is stored in the database.
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
}
