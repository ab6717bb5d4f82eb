// SPDX-License-Identifier: MPL-2.0

//! Records if writes succeed, as the writer has last seen it.

use super::lock;
use rusqlite::{Error, ErrorCode};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long a successful write shows that the next one would succeed.
const FRESH: Duration = Duration::from_millis(250);

/// The result of the last write.
#[derive(Debug, Default)]
pub(super) struct Health {
    last: Mutex<Last>,
    /// What is damaged. Nothing is written any more, because a write could make it worse.
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
    /// Records that a write is stored. Returns `true` if the one before it was not.
    pub(super) fn stored(&self, at: Instant) -> bool {
        let before = std::mem::replace(&mut *lock(&self.last), Last::Stored(at));
        matches!(before, Last::Failed)
    }

    /// Records that a write is not stored. Returns `true` if the one before it was.
    pub(super) fn failed(&self) -> bool {
        let before = std::mem::replace(&mut *lock(&self.last), Last::Failed);
        !matches!(before, Last::Failed)
    }

    /// Returns `true` if a write was stored just now.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        matches!(*lock(&self.last), Last::Stored(at) if now.saturating_duration_since(at) < FRESH)
    }

    /// Records that the database is damaged, until the service ends.
    pub(super) fn damaged(&self, reason: String) {
        // An operator has to know the first damage. Others may follow from it.
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

/// Returns `true` for errors that other writes of this kind would meet too: errors of the
/// database's files and tables, but not errors of a record.
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
