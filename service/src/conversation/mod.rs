// SPDX-License-Identifier: MPL-2.0

//! Who talks with whom, what was said, and who is told.

pub(crate) mod hub;
pub(crate) mod room;
pub(crate) mod seat;
pub(crate) mod state;
