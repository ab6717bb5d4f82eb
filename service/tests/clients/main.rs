// SPDX-License-Identifier: MPL-2.0

//! The official clients of the Streaming API, unmodified, with `symbl-service`.
//! docs/clients.md says how each is pointed at it.
//!
//! Each is installed from its registry, in the version that is pinned here, once
//! for each build folder. The applications around them are in `js` and `python`;
//! each prints what its client told it as JSON, which a test compares with what
//! was said.

mod app;
mod documented;
mod elements;
mod node;
mod python;
mod symbl_js;
mod web_sdk;

#[path = "../common/prompter.rs"]
mod prompter;
