// SPDX-License-Identifier: MPL-2.0

//! Creates the files of a database, and checks that they are still in their place.
//!
//! POSIX locks belong to the process. SQLite loses its own lock on a file as soon as the
//! process closes another descriptor of that file
//! (<https://sqlite.org/howtocorrupt.html>, 2.2). So this module must not open the
//! database, its WAL or its index while a connection is open. It asks the system about
//! their names instead.

use super::StoreError;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What SQLite appends to the name of a database for the names of its WAL and its index.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

pub(super) fn failed(path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    move |reason| StoreError::File {
        path: path.to_owned(),
        reason,
    }
}

/// Creates the directory, for its owner only, and locks it for this service.
pub(in crate::store) fn lock(directory: &Path) -> Result<File, StoreError> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(failed(directory))?;
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(directory.to_owned())),
        Err(TryLockError::Error(reason)) => Err(failed(&path)(reason)),
    }
}

/// Creates the file, for its owner only, unless it exists. An existing file is not opened.
/// Must be called before the first connection to it.
pub(super) fn create(file: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(file);
    match made {
        Ok(_) => Ok(()),
        Err(reason) if reason.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(reason) => Err(failed(file)(reason)),
    }
}

/// The files that the connections of this process have open.
#[derive(Debug)]
pub(super) struct OpenFiles {
    files: Vec<(PathBuf, (u64, u64))>,
    /// The database. Unlike its WAL, it is never empty while SQLite has it open.
    database: PathBuf,
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl OpenFiles {
    /// Records the files of this database. The connections must be open already.
    pub(super) fn of(database: &Path) -> Result<Self, StoreError> {
        let metadata = database.metadata().map_err(failed(database))?;
        let mut files = vec![(database.to_owned(), identity(&metadata))];
        for companion in COMPANIONS {
            let mut name = database.as_os_str().to_owned();
            name.push(companion);
            let path = PathBuf::from(name);
            if let Ok(metadata) = path.metadata() {
                files.push((path, identity(&metadata)));
            }
        }
        Ok(Self {
            files,
            database: database.to_owned(),
        })
    }

    /// Checks that the names still lead to the open files. A deleted file can be written
    /// without an error, and is gone when the process ends. What is added to an emptied
    /// file is lost too.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (path, known) in &self.files {
            match path.metadata() {
                Ok(metadata) if identity(&metadata) == *known => {
                    if metadata.len() == 0 && *path == self.database {
                        return Err(StoreError::Emptied(path.clone()));
                    }
                }
                Ok(_) => return Err(StoreError::Replaced(path.clone())),
                Err(reason) if reason.kind() == ErrorKind::NotFound => {
                    return Err(StoreError::Deleted(path.clone()));
                }
                Err(reason) => return Err(failed(path)(reason)),
            }
        }
        Ok(())
    }
}
