// SPDX-License-Identifier: MPL-2.0

//! Faults that only a network can cause: silence, loss, delay, a dead route, a pulled cable,
//! a new address.
//!
//! Each test runs in a process of its own with two hosts, the client's and the service's.
//! Each host has its own network: see `hosts`. The test controls the line between them: see
//! `line`. Other processes see nothing of this, and nothing of it outlives the process.
//!
//! If the system does not let a process have networks of its own, a test prints `skipped:`
//! with the reason, and passes. With `SYMBL_REQUIRE_NETWORK=1` it fails.

#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod hosts;
mod line;
mod talk;

mod addresses;
mod cable;
mod silence;
mod weather;
