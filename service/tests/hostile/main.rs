// SPDX-License-Identifier: MPL-2.0

//! What strangers may send: everything gets a clear refusal, takes a bounded
//! amount of memory and reaches no other client.

#[path = "../common/mod.rs"]
mod common;

mod connections;
mod messages;
mod raw;
mod strings;
