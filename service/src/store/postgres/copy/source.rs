// SPDX-License-Identifier: MPL-2.0

//! The directory that is copied.

use super::MoveError;
use crate::store::StoreError;
use crate::store::sqlite::{FILE, files, schema};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The database of a directory that no service can use until this is dropped.
pub(super) struct Source {
    pub(super) database: Connection,
    pub(super) file: PathBuf,
    _lock: File,
}

/// Opens the database of a directory, to be read as it is now.
pub(super) fn open(directory: &Path) -> Result<Source, MoveError> {
    let file = directory.join(FILE);
    if !file.is_file() {
        return Err(MoveError::Nothing(file));
    }
    let lock = files::lock(directory).map_err(|error| match error {
        StoreError::InUse(directory) => MoveError::InUse(directory),
        other => other.into(),
    })?;
    let unreadable = |reason: rusqlite::Error| MoveError::Read {
        file: file.clone(),
        reason: reason.to_string(),
    };
    // A service that was killed has left a log beside the file, which only a connection that
    // may write can read.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(&file, flags).map_err(unreadable)?;
    let read = || {
        database.pragma_update(None, "query_only", true)?;
        // One moment for all reads, whatever other programs do.
        database.execute_batch("BEGIN")?;
        database.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
    };
    let found = read().map_err(unreadable)?;
    if found != schema::VERSION {
        let known = schema::VERSION;
        return Err(match found < known {
            true => MoveError::Old { file, found, known },
            false => StoreError::Version { file, found, known }.into(),
        });
    }
    Ok(Source {
        database,
        file,
        _lock: lock,
    })
}

/// Returns how many jobs have an uploaded recording and have not ended.
pub(super) fn unfinished_uploads(from: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT request FROM job WHERE status IN ('scheduled', 'in_progress')";
    let mut rows = from.prepare(sql)?;
    let mut rows = rows.query([])?;
    let mut number = 0;
    while let Some(row) = rows.next()? {
        let request: Value = serde_json::from_str(row.get_ref(0)?.as_str()?).unwrap_or_default();
        number += u64::from(request["kind"] == "upload");
    }
    Ok(number)
}
