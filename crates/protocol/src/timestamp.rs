// SPDX-License-Identifier: MPL-2.0

//! Converts wall-clock times to and from RFC 3339. We write UTC with milliseconds.
//!
//! It must never read a clock. The form is that of a trace of the original service.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Parses an RFC 3339 time into nanoseconds since the Unix epoch. Returns `None` also
/// for times before 1677 or after 2262, which 64 bits cannot hold.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let instant = OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?;
    i64::try_from(instant.unix_timestamp_nanos()).ok()
}

/// Formats nanoseconds since the Unix epoch as RFC 3339 in UTC with milliseconds, for
/// example `2022-10-05T19:47:01.463Z`. Smaller parts are cut off, not rounded.
pub fn format_rfc3339(unix_nanos: i64) -> String {
    // 64 bits of nanoseconds reach from 1677 to 2262. `time` accepts all of these
    // years.
    let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_nanos))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        instant.year(),
        u8::from(instant.month()),
        instant.day(),
        instant.hour(),
        instant.minute(),
        instant.second(),
        instant.millisecond(),
    )
}
