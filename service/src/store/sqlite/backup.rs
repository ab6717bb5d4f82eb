// SPDX-License-Identifier: MPL-2.0

//! Copies a database while a service uses it, and makes a directory of such a copy.
//!
//! Both must run in a process of their own: a process that closes a file which SQLite has open
//! loses SQLite's locks on it (see `files`). `VACUUM INTO` reads in one transaction, so the
//! copy is the database of one moment, with what is in the write-ahead log. Writers do not
//! wait for it. What was deleted is not in the copy.

use super::files::{self, lock};
use super::{FILE, schema};
use crate::store::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a backup waits for a lock that another program has.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Conversations.
    pub conversations: u64,
    /// Messages.
    pub messages: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is no database.
    #[error("{0} does not exist: name the directory that the service has as its --data")]
    Nothing(PathBuf),
    /// The file is there already.
    #[error("{0} exists: name a new file, or remove this one")]
    Exists(PathBuf),
    /// Something is in the directory already.
    #[error("{0} is not empty: name a new directory, or remove what is in it")]
    NotEmpty(PathBuf),
    /// A service may be using it.
    #[error(
        "{0} has a write-ahead log beside it, so it is no backup but the database of a service: \
         make a backup of its directory (symbl-service backup), and restore that"
    )]
    InUse(PathBuf),
    /// It is no database of this service, or a damaged one.
    #[error("{path} cannot be used: {reason}; take another backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// It was made by a newer release.
    #[error(
        "{path} is of version {found}, and this release knows {known} at most: install the \
         release that made it, or a newer one"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest one that this release knows.
        known: i64,
    },
    /// The system or the database refuses it.
    #[error("{path}: {reason}")]
    Failed {
        /// What is read or written.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Failed {
            path: "the directory".into(),
            reason: error.to_string(),
        }
    }
}

fn failed<E: ToString>(path: &Path) -> impl Fn(E) -> CopyError {
    move |reason| CopyError::Failed {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Writes a copy of the database in `directory` into a new file. A service may be using the
/// database, in another process.
///
/// # Errors
///
/// There is no database, the file exists, or one of them cannot be used.
pub fn backup(directory: &Path, file: &Path) -> Result<Copied, CopyError> {
    let database = directory.join(FILE);
    if !database.is_file() {
        return Err(CopyError::Nothing(database));
    }
    if file.symlink_metadata().is_ok() {
        return Err(CopyError::Exists(file.to_owned()));
    }
    let part = beside(file);
    let _held = begin(&part)?;
    let copied = copy(&database, &part).and_then(|()| check(&part));
    let copied = copied.and_then(|copied| {
        put(&part, file)?;
        Ok(copied)
    });
    if copied.is_err() {
        // The error says why there is no copy.
        let _ = std::fs::remove_file(&part);
    }
    copied
}

/// Opens an unfinished file for its owner only, whatever the umask is, and empties it if a
/// backup that was killed has left it. Returns the lock on it.
fn begin(part: &Path) -> Result<File, CopyError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(part)
        .map_err(failed(part))?;
    if file.try_lock().is_err() {
        return Err(failed(part)("another backup writes it at this moment"));
    }
    file.set_len(0).map_err(failed(part))?;
    Ok(file)
}

fn copy(database: &Path, part: &Path) -> Result<(), CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).map_err(failed(database))?;
    connection
        .busy_timeout(PATIENCE)
        .map_err(failed(database))?;
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(unreadable(database))?;
    known(database, version)?;
    // A large copy must not be made in memory.
    let temporary = connection.pragma_update(None, "temp_store", "FILE");
    temporary.map_err(failed(database))?;
    let into = part
        .to_str()
        .ok_or_else(|| failed(part)("the name is no UTF-8"))?;
    connection
        .execute("VACUUM INTO ?1", [into])
        .map_err(failed(part))?;
    Ok(())
}

/// Makes a directory for a service of a copy that [`backup`] has written.
///
/// # Errors
///
/// The copy is damaged, or of a newer release, or the directory is not empty.
pub fn restore(file: &Path, directory: &Path) -> Result<Copied, CopyError> {
    if !file.is_file() {
        return Err(CopyError::Nothing(file.to_owned()));
    }
    if let Ok(mut entries) = directory.read_dir()
        && entries.next().is_some()
    {
        return Err(CopyError::NotEmpty(directory.to_owned()));
    }
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    if Path::new(&log).metadata().is_ok_and(|log| log.len() > 0) {
        return Err(CopyError::InUse(file.to_owned()));
    }
    check(file)?;
    let _lock = lock(directory)?;
    let database = directory.join(FILE);
    let part = beside(&database);
    let mut from = File::open(file).map_err(failed(file))?;
    let to = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part);
    let mut to = to.map_err(failed(&part))?;
    std::io::copy(&mut from, &mut to).map_err(failed(&part))?;
    drop((from, to));
    // The disk may have failed since the first look.
    let copied = check(&part)?;
    put(&part, &database)?;
    Ok(copied)
}

/// Returns the name of an unfinished file.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Gives a whole file its name, once it is on the disk.
fn put(part: &Path, file: &Path) -> Result<(), CopyError> {
    let whole = File::open(part).and_then(|file| file.sync_all());
    whole.map_err(failed(part))?;
    std::fs::rename(part, file).map_err(failed(file))?;
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(parent.unwrap_or(Path::new(".")));
    // Some file systems cannot do that for a directory.
    let _ = directory.and_then(|directory| directory.sync_all());
    Ok(())
}

fn known(path: &Path, version: i64) -> Result<(), CopyError> {
    match version {
        1..=schema::VERSION => Ok(()),
        0 => Err(CopyError::Damaged {
            path: path.to_owned(),
            reason: "it is no database of symbl-service".to_owned(),
        }),
        found => Err(CopyError::Version {
            path: path.to_owned(),
            found,
            known: schema::VERSION,
        }),
    }
}

fn unreadable(path: &Path) -> impl Fn(rusqlite::Error) -> CopyError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => CopyError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        },
        _ => failed(path)(error),
    }
}

/// Checks a copy as a whole, and returns what is in it.
fn check(file: &Path) -> Result<Copied, CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(failed(file))?;
    let failed = unreadable(file);
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    known(file, version.map_err(&failed)?)?;
    let sound: String = connection
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .map_err(&failed)?;
    if sound != "ok" {
        return Err(CopyError::Damaged {
            path: file.to_owned(),
            reason: sound,
        });
    }
    let count = |table: &str| -> Result<u64, CopyError> {
        let sql = format!("SELECT count(*) FROM {table}");
        let count = connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        count
            .map(|count| u64::try_from(count).unwrap_or(0))
            .map_err(&failed)
    };
    let copied = Copied {
        conversations: count("conversation")?,
        messages: count("message")?,
        bytes: file.metadata().map_err(files::failed(file))?.len(),
    };
    Ok(copied)
}
