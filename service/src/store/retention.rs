// SPDX-License-Identifier: MPL-2.0

//! How long conversations are kept: which ones are due, and for how long one of them is kept
//! whatever the service keeps.

use crate::store::{Answer, Whose};
use std::time::Duration;

/// A conversation whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) account: String,
    pub(crate) conversation: i64,
}

/// Knows which conversations have been over for longer than they are kept.
pub(crate) trait Retention: Send + Sync + std::fmt::Debug {
    /// Returns conversations that are due at `now`, nanoseconds since the Unix epoch: those
    /// that have been over the longest, `most` of them at most. `keep` is for how long the
    /// service keeps a conversation that has no time of its own; `None` for ever.
    fn due(&self, now: i64, keep: Option<Duration>, most: usize) -> Answer<'_, Vec<Due>>;

    /// Keeps a conversation for this long after its end, whatever the service keeps; zero for
    /// ever. `None` takes that back. Returns `false` if it is not known.
    fn retain(&self, whose: Whose, keep: Option<Duration>) -> Answer<'_, bool>;
}

/// Returns `true` if a conversation that was over at `ended` is due at `now`. Both are
/// nanoseconds since the Unix epoch. `own` is the time of its own, in seconds.
pub(crate) fn is_due(ended: i64, own: Option<i64>, keep: Option<Duration>, now: i64) -> bool {
    let nanos = match (own, keep) {
        (Some(0), _) | (None, None) => return false,
        (Some(seconds), _) => seconds.saturating_mul(1_000_000_000),
        (None, Some(keep)) => i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX),
    };
    ended.saturating_add(nanos) <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_its_own_counts_before_that_of_the_service() {
        const S: i64 = 1_000_000_000;
        let keep = Some(Duration::from_secs(10));
        for (own, keep, now, due) in [
            (None, None, i64::MAX, false),
            (None, keep, 109 * S, false),
            (None, keep, 110 * S, true),
            (Some(0), keep, i64::MAX, false),
            (Some(5), keep, 104 * S, false),
            (Some(5), keep, 105 * S, true),
            (Some(5), None, 105 * S, true),
            (Some(20), keep, 119 * S, false),
            (Some(i64::MAX), keep, i64::MAX - 1, false),
            // A clock that was set back deletes nothing.
            (None, keep, 50 * S, false),
        ] {
            assert_eq!(
                is_due(100 * S, own, keep, now),
                due,
                "{own:?} {keep:?} {now}"
            );
        }
    }
}
