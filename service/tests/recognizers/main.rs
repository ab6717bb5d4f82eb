// SPDX-License-Identifier: MPL-2.0

//! The recognisers besides the neural one: PocketSphinx on recorded speech, programs of a
//! user, and what is around them; and how models are fetched.

#[path = "../common/mod.rs"]
mod common;

mod adapters;
mod closed_domain;
mod command;
mod model;
mod pocketsphinx;
