// SPDX-License-Identifier: MPL-2.0

//! The code that the tests of several crates share, each part behind a feature.
//!
//! Each crate has this one as a dev-dependency and turns on the parts that its tests use.
//! Code that the tests of only one crate use stays with those tests. This crate must never
//! use the client's code, or a mistake there would cancel out.
//!
//! ```toml
//! [dev-dependencies]
//! symbl-testkit = { workspace = true, features = ["peer"] }
//! ```

#[cfg(feature = "service")]
pub mod client;
pub mod documented;
#[cfg(feature = "speech")]
pub mod engine;
#[cfg(feature = "model")]
pub mod model;
#[cfg(feature = "peer")]
pub mod peer;
#[cfg(feature = "service")]
pub mod postgres;
#[cfg(feature = "speech")]
pub mod programs;
#[cfg(feature = "service")]
pub mod redis;
#[cfg(feature = "relay")]
pub mod relay;
#[cfg(feature = "service")]
mod script;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "speech")]
pub mod speech;
