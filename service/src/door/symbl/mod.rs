// SPDX-License-Identifier: MPL-2.0

//! The Symbl Streaming API: the sockets of speakers and of subscribers.

pub(crate) mod annotations;
pub(crate) mod bounds;
pub(crate) mod client;
pub(crate) mod closing;
pub(crate) mod socket;
pub(crate) mod speaker;
pub(crate) mod subscriber;
pub(crate) mod trackers;
pub(crate) mod unsupported;
pub(crate) mod wire;
