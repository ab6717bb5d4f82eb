// SPDX-License-Identifier: MPL-2.0

//! The code that the tests of the element share: the service in this process, pipelines, and
//! the messages that they post.
//!
//! Each wait is for an event, with a bound that only a failure reaches.

#![allow(dead_code, unused_imports)] // each test binary uses its part

pub mod cuts;
pub mod cutter;
pub mod dialogue;
pub mod feed;
pub mod gate;
pub mod pipeline;
pub mod plugin;
pub mod program;
pub mod proxy;
pub mod script;
pub mod tap;

pub use symbl_testkit::{peer, relay, service};
