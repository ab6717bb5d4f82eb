// SPDX-License-Identifier: MPL-2.0

//! The Async API.

#[path = "../common/mod.rs"]
mod common;

mod cancelled;
mod channels;
mod documented;
mod fetch;
mod latency;
mod private;
mod process;
mod restart;
