// SPDX-License-Identifier: MPL-2.0

//! Conversations: their sockets, their logs, and the order in which sockets are sent
//! entries.

pub(crate) mod attribution;
pub(crate) mod bus;
mod cluster;
pub(crate) mod drain;
pub(crate) mod entry;
pub(crate) mod form;
pub(crate) mod hub;
pub(crate) mod log;
#[cfg(test)]
pub(crate) mod memory;
mod others;
pub(crate) mod participants;
pub(crate) mod quota;
pub(crate) mod registry;
pub(crate) mod running;
pub(crate) mod seats;
pub(crate) mod session;
pub(crate) mod slot;
pub(crate) mod sockets;
pub(crate) mod tally;
pub(crate) mod teller;
