// SPDX-License-Identifier: MPL-2.0

//! The page that the service serves: its files over HTTP, what its scripts decide (by
//! node's own test runner), and all of it in a headless Chromium.
//!
//! `js/page.mjs` drives the browser over a pipe. While it does, it asks this side to let a
//! speaker say something, to cut connections or to restart the service (`Stage`).

mod browser;
mod files;
mod stage;
mod unit;

#[path = "../common/mod.rs"]
mod common;
