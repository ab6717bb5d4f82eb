// SPDX-License-Identifier: MPL-2.0

//! The streaming door and the service behind it: sessions, subscribers, refusals, restarts
//! and faults, with the scripted recogniser.

#[path = "../common/mod.rs"]
mod common;

mod admission;
mod drain;
mod failures;
mod farewell;
mod fault;
mod handshake;
mod interims;
mod log;
mod metrics;
mod progress;
mod refusals;
mod replays;
mod restart;
mod rooms;
mod session;
mod subscribe;
#[cfg(feature = "otlp")]
mod traces;
