// SPDX-License-Identifier: MPL-2.0

//! Ids that the service gives to conversations, messages and what belongs to them.

/// Smallest id, so that all have sixteen digits.
const FIRST_ID: u128 = 1_000_000_000_000_000;

/// A random id of sixteen decimal digits.
pub(crate) fn new_id() -> i64 {
    let id = FIRST_ID + uuid::Uuid::new_v4().as_u128() % (9 * FIRST_ID);
    i64::try_from(id).unwrap_or(i64::MAX)
}
