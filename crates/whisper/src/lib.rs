// SPDX-License-Identifier: MPL-2.0

//! Recognises speech with Whisper models on the CPU, in plain Rust.

pub mod align;
pub mod boost;
pub mod file;
pub mod known;
pub mod token;
