// SPDX-License-Identifier: MPL-2.0

//! Whether what is said now is stored, as the writer has last seen it.

use super::lock;
use rusqlite::{Error, ErrorCode};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// For how long a success answers for the next one.
const FRESH: Duration = Duration::from_millis(250);

/// What the last write came to.
#[derive(Debug, Default)]
pub(super) struct Health {
    last: Mutex<Last>,
    /// What is damaged. Nothing is written any more: what is readable may get worse by it.
    damage: OnceLock<String>,
}

#[derive(Debug, Default)]
enum Last {
    /// Nothing was written yet.
    #[default]
    Nothing,
    Stored(Instant),
    Failed,
}

impl Health {
    /// Notes that a write is stored; returns `true` if the one before it was not.
    pub(super) fn stored(&self, at: Instant) -> bool {
        let before = std::mem::replace(&mut *lock(&self.last), Last::Stored(at));
        matches!(before, Last::Failed)
    }

    /// Notes that a write is not stored; returns `true` if the one before it was.
    pub(super) fn failed(&self) -> bool {
        let before = std::mem::replace(&mut *lock(&self.last), Last::Failed);
        !matches!(before, Last::Failed)
    }

    /// Returns `true` if something was stored just now.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        matches!(*lock(&self.last), Last::Stored(at) if now.saturating_duration_since(at) < FRESH)
    }

    /// Notes that the database is damaged, for as long as the service runs.
    pub(super) fn damaged(&self, reason: String) {
        // The first damage is what an operator has to know.
        let _ = self.damage.set(reason);
    }

    /// Returns what is damaged.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Returns `true` if the last write was not stored.
    pub(super) fn is_failing(&self) -> bool {
        matches!(*lock(&self.last), Last::Failed)
    }
}

/// Returns `true` for errors that would meet any other write of its kind too: of the files
/// below the database, and of its tables. What a record is to blame for is none.
pub(super) fn is_of_storage(error: &Error) -> bool {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::ConstraintViolation
            | ErrorCode::OperationInterrupted
            | ErrorCode::ParameterOutOfRange
            | ErrorCode::TooBig
            | ErrorCode::TypeMismatch,
        )
        | None => false,
        // `no such table` has no code of its own.
        Some(_) => true,
    }
}

/// Returns `true` for errors that say that the database is damaged.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_fresh_for_a_while_and_a_failure_stays_until_the_next_success() {
        let health = Health::default();
        let now = Instant::now();
        assert!(!health.is_fresh(now) && !health.is_failing());
        assert!(!health.stored(now));
        assert!(health.is_fresh(now) && !health.is_fresh(now + FRESH));
        assert!(health.failed() && !health.failed());
        assert!(health.is_failing() && !health.is_fresh(now));
        assert!(health.stored(now) && !health.stored(now));
        assert!(!health.is_failing());
    }
}
