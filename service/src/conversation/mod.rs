// SPDX-License-Identifier: MPL-2.0

//! Who talks with whom, what was said, and who is told.

pub(crate) mod entry;
pub(crate) mod form;
pub(crate) mod hub;
pub(crate) mod log;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod participants;
pub(crate) mod running;
pub(crate) mod slot;
pub(crate) mod teller;
