// SPDX-License-Identifier: MPL-2.0

//! `symbltranscriber` in real pipelines, over real sockets: what comes out of its text pad,
//! and when.
//!
//! The clock of most pipelines is one that the test moves, so that a word is late or in time
//! on every machine alike. Every recording of a pad is checked with [`track::check`].

#[path = "../common/mod.rs"]
mod common;

mod player;
mod scene;
mod tape;
mod track;

mod begin;
mod blocked;
mod ending;
mod fatal;
mod fifty_cuts;
mod flushing;
mod interims;
mod properties;
mod punctual;
mod scenarios;
mod segments;
mod states;
mod texts;
mod words;
