// SPDX-License-Identifier: MPL-2.0

//! From audio to what was said: decoding, recognition, and what is found in it.

pub mod admission;
pub mod audio;
pub(crate) mod draft;
pub(crate) mod parked;
pub mod recognizer;
pub(crate) mod stream;
pub(crate) mod voice;
