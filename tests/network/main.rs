// SPDX-License-Identifier: MPL-2.0

//! Faults that no server can make, because they are the network's: silence,
//! loss, delay, a dead route, a cable pulled, a new address.
//!
//! Each test runs in a process of its own that has two hosts in it, the
//! client's and the service's, each with its own network: see `hosts`. Between
//! them is a line that the test holds in its hands: see `line`. Nothing of that
//! can be seen from outside, and nothing of it outlives the process.
//!
//! Where the system does not let a process have networks of its own, a test
//! says `skipped:` and why, and passes; with `SYMBL_REQUIRE_NETWORK=1` it fails.

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
