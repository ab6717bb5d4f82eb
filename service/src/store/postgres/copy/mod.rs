// SPDX-License-Identifier: MPL-2.0

//! Moves what one service has kept with `--data` into the database of a cluster.
//!
//! All rows go in by `COPY`, in one transaction: a copy that ends early, for whatever
//! reason, leaves the database as empty as it was. The directory is read in one transaction
//! too, and is locked against services for as long. It is left as it is.

mod log;
mod rows;
mod source;
mod tables;

use super::link::{Address, Link};
use super::log::{bury, get};
use super::schema;
use crate::store::StoreError;
use rows::Told;
use rusqlite::Connection;
use rusqlite::types::FromSqlError;
use std::path::{Path, PathBuf};

/// What stands for the node of rows that were copied. No node has this id.
const NOBODY: &str = "copied";

/// How much was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Conversations.
    pub conversations: u64,
    /// Entries of their logs.
    pub entries: u64,
    /// Messages.
    pub messages: u64,
    /// Jobs of the Async API.
    pub jobs: u64,
    /// Trackers of accounts.
    pub trackers: u64,
    /// Groups of conversations.
    pub groups: u64,
}

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// There is no database.
    #[error("{0} does not exist: name the directory that the service has as its --data")]
    Nothing(PathBuf),
    /// A service uses the directory.
    #[error("{0} is in use by a service: stop it first, so that nothing is said meanwhile")]
    InUse(PathBuf),
    /// An older release made it.
    #[error(
        "{file} is of version {found}, not {known}: start this release once with its directory as \
         --data, which brings it to that version, stop it, and copy again"
    )]
    Old {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The one that can be copied.
        known: i64,
    },
    /// Recordings would be lost.
    #[error(
        "{0} jobs with an uploaded recording have not ended, and recordings are not copied: \
         start the service again until they have, or let them fail with --fail-uploads"
    )]
    Uploads(u64),
    /// Something is in the database already.
    #[error(
        "{0} is not empty: name an empty one (createdb); what is in it is not mixed with the copy"
    )]
    NotEmpty(String),
    /// Nodes use the database.
    #[error("{0} is in use by {1} nodes: stop them first, and start them after the copy")]
    Nodes(String, i64),
    /// The directory cannot be read.
    #[error("{file} cannot be read: {reason}; nothing was copied")]
    Read {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The database of the cluster refuses.
    #[error("{0}; nothing was copied")]
    Refused(#[from] StoreError),
    /// The system gives no thread or socket.
    #[error("{0}; nothing was copied")]
    System(#[from] std::io::Error),
}

/// An error while rows are copied.
#[derive(Debug)]
enum Failure {
    Source(rusqlite::Error),
    Target(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Source(error)
    }
}

impl From<FromSqlError> for Failure {
    fn from(error: FromSqlError) -> Self {
        Self::Source(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Target(error)
    }
}

impl Failure {
    fn of(self, file: &Path) -> MoveError {
        match self {
            Self::Target(error) => error.into(),
            Self::Source(reason) => MoveError::Read {
                file: file.to_owned(),
                reason: reason.to_string(),
            },
        }
    }
}

/// Copies all that a service has kept in `directory` into the empty database at `url`. Jobs
/// with an uploaded recording that have not ended are a reason not to, unless they may fail
/// (`fail_uploads`). `tell` is told how far it is.
///
/// # Errors
///
/// The directory or the database is in use or cannot be used, or the database is not empty.
/// Then nothing is copied.
pub fn copy(
    directory: &Path,
    url: &str,
    fail_uploads: bool,
    tell: &mut dyn FnMut(&str),
) -> Result<Moved, MoveError> {
    let source = source::open(directory)?;
    let address = Address::parse(url)?;
    let uploads = source::unfinished_uploads(&source.database);
    let uploads = uploads.map_err(|error| Failure::from(error).of(&source.file))?;
    if uploads > 0 && !fail_uploads {
        return Err(MoveError::Uploads(uploads));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let mut link = address.connect(&handle).await?;
        schema::prepare(&mut link, address.place()).await?;
        let mut told = Told::new(tell);
        // Until the commit no node can start on this database, and none runs.
        link.batch(
            "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '10min';
             SET lock_timeout = '10s'; BEGIN",
        )
        .await?;
        let lock = format!("SELECT pg_advisory_xact_lock({})", schema::LOCK);
        link.batch(&lock).await?;
        check_empty(&mut link, address.place()).await?;
        let moved = all(&source.database, &mut link, &mut told).await;
        let moved = moved.map_err(|failure| failure.of(&source.file))?;
        link.batch("ANALYZE; COMMIT").await?;
        Ok(moved)
    })
}

/// Refuses a database that nodes use, or that has something in it.
async fn check_empty(link: &mut Link, place: &str) -> Result<(), MoveError> {
    bury(link).await?;
    let row = link.query_one("SELECT count(*) FROM node WHERE NOT gone", &[]);
    let nodes: i64 = get(&row.await?, 0)?;
    if nodes > 0 {
        return Err(MoveError::Nodes(place.to_owned(), nodes));
    }
    let tables = ["conversation", "kept_tracker", "conversation_group", "job"];
    for table in tables {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table})");
        let row = link.query_one(&sql, &[]).await?;
        if get(&row, 0)? {
            return Err(MoveError::NotEmpty(place.to_owned()));
        }
    }
    // What is left of conversations that never began.
    link.batch("DELETE FROM seat; DELETE FROM room").await?;
    Ok(())
}

async fn all(from: &Connection, link: &mut Link, told: &mut Told<'_>) -> Result<Moved, Failure> {
    let conversations = tables::conversations(from, link, told).await?;
    tables::members(from, link, told).await?;
    tables::streams(from, link, told).await?;
    let entries = log::entries(from, link, told).await?;
    let messages = log::messages(from, link, told).await?;
    log::insights(from, link, told).await?;
    tables::topics(from, link, told).await?;
    tables::found(from, link, told).await?;
    tables::bookmarks(from, link, told).await?;
    let groups = tables::groups(from, link, told).await?;
    let trackers = tables::kept_trackers(from, link, told).await?;
    let jobs = tables::jobs(from, link, told).await?;
    tables::webhooks(from, link, told).await?;
    tables::key(from, link).await?;
    Ok(Moved {
        conversations,
        entries,
        messages,
        jobs,
        trackers,
        groups,
    })
}
