// SPDX-License-Identifier: MPL-2.0

//! Removes the last traces of deleted words from the file.
//!
//! `secure_delete` overwrites what is deleted, but not the copies that SQLite left in the
//! unused parts of pages when it moved rows between them. Only `VACUUM` removes those,
//! because it writes the database anew. The index of words is built anew before that. A small
//! database is written anew before a deletion is answered. A large one waits until no speaker
//! is active, and stops when words come.

use super::search;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Largest database that is written anew while words may have to wait, in bytes.
const SMALL: i64 = 32 << 20;

/// Number of instructions of SQLite's machine between two looks for waiting jobs.
const INSTRUCTIONS: std::ffi::c_int = 100;

/// Shortest and longest time between an attempt that was stopped and the next one. It
/// doubles each time.
const SHORTEST_BREAK: Duration = Duration::from_secs(10);
const LONGEST_BREAK: Duration = Duration::from_secs(600);

/// Records in the database that something was deleted. So a service that ends before the
/// traces are gone removes them after its next start.
pub(super) fn note(in_: &Connection) -> rusqlite::Result<()> {
    in_.execute("INSERT OR REPLACE INTO meta VALUES ('purge', 1)", params![])
        .map(|_| ())
}

fn is_due(in_: &Connection) -> rusqlite::Result<bool> {
    let noted = in_.query_row("SELECT 1 FROM meta WHERE key = 'purge'", [], |_| Ok(()));
    Ok(noted.optional()?.is_some())
}

/// The state of a purge, which the store and its writer share.
#[derive(Debug)]
pub(super) struct Purge {
    /// Largest database that is written anew while words may have to wait, in bytes.
    small: i64,
    /// Number of waiting jobs for which a purge stops.
    pub(super) waiting: AtomicUsize,
    running: AtomicBool,
}

impl Default for Purge {
    fn default() -> Self {
        Self::new(SMALL)
    }
}

impl Purge {
    pub(super) fn new(small: i64) -> Self {
        Self {
            small,
            waiting: AtomicUsize::new(0),
            running: AtomicBool::new(false),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }
}

/// When the next attempt is due.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    next: Option<Instant>,
    pause: Duration,
}

impl Attempts {
    pub(super) fn is_time(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    fn gave_way(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(SHORTEST_BREAK, LONGEST_BREAK);
        self.next = Some(now + self.pause);
    }
}

/// Writes the database anew if something was deleted. A large one is only written anew
/// with `at_rest`. Returns `true` if nothing is left to do. Then the write-ahead log has to
/// be emptied.
pub(super) fn purge(
    connection: &mut Connection,
    purge: &Arc<Purge>,
    attempts: &mut Attempts,
    at_rest: bool,
) -> rusqlite::Result<bool> {
    if !is_due(connection)? {
        return Ok(true);
    }
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let is_small = connection.query_row(sql, [], |row| row.get::<_, i64>(0))? <= purge.small;
    let is_time = match at_rest {
        true => attempts.is_time(Instant::now()),
        false => is_small,
    };
    if !is_time {
        return Ok(false);
    }
    if !is_small {
        // A large new database must not be held in memory.
        connection.pragma_update(None, "temp_store", "FILE")?;
        let shared = Arc::clone(purge);
        let gives_way = move || shared.waiting.load(Ordering::Acquire) > 0;
        connection.progress_handler(INSTRUCTIONS, Some(gives_way))?;
    }
    purge.running.store(true, Ordering::Release);
    let done = connection.execute_batch(&format!("{}; VACUUM", search::REBUILD));
    purge.running.store(false, Ordering::Release);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    match done {
        Ok(()) => {
            *attempts = Attempts::default();
            connection.execute("DELETE FROM meta WHERE key = 'purge'", [])?;
            Ok(true)
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            attempts.gave_way(Instant::now());
            Ok(false)
        }
        Err(error) => {
            attempts.gave_way(Instant::now());
            Err(error)
        }
    }
}
