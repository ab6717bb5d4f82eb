// SPDX-License-Identifier: MPL-2.0

//! What the tests of the service share: a raw client, a server with the scripted
//! recogniser, and recognisers for what that one cannot say.

// Each test binary uses a part of this.
#![allow(dead_code, unused_imports)]

pub mod annotated;
pub mod chatty;
pub mod child;
pub mod dear;
pub mod flac;
pub mod jobs;
pub mod process;
pub mod promise;
pub mod prompter;
pub mod secrets;
pub mod shape;
pub mod sqlite;

pub use symbl_testkit::client::*;
