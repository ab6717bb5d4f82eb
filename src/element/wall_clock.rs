// SPDX-License-Identifier: MPL-2.0

//! Turns running time into wall-clock time.

use gst::prelude::*;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many times the wall clock and the pipeline's clock are read together, to take the
/// closest pair.
const READINGS: usize = 3;

/// Returns the wall-clock time, in nanoseconds since the Unix epoch.
fn now() -> Option<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}

/// Returns the wall-clock time at which a running time is due, or was, in an element's
/// pipeline. Both are in nanoseconds.
pub(super) fn utc(element: &impl IsA<gst::Element>, running_time: Option<u64>) -> Option<i64> {
    let running_time = gst::ClockTime::from_nseconds(running_time?);
    let Some((base_time, clock)) = element.base_time().zip(element.clock()) else {
        return now();
    };
    let due = base_time.saturating_add(running_time);
    // Another thread may run between the two readings, so that the closest pair counts.
    let pairs = (0..READINGS).filter_map(|_| {
        let before = now()?;
        let shown = i64::try_from(clock.time().nseconds()).ok()?;
        let took = now()?.checked_sub(before)?;
        Some((took.unsigned_abs(), before.checked_add(took / 2)?, shown))
    });
    let (_, wall, shown) = pairs.min_by_key(|(took, _, _)| *took)?;
    let due = i64::try_from(due.nseconds()).ok()?;
    wall.checked_add(due.checked_sub(shown)?)
}
