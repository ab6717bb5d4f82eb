// SPDX-License-Identifier: MPL-2.0

//! Turns audio into entries of a conversation: decoding, recognition and analysis.

pub mod admission;
pub mod audio;
pub mod capacity;
pub(crate) mod draft;
pub(crate) mod engines;
pub mod masking;
pub(crate) mod order;
pub(crate) mod parked;
pub(crate) mod pool;
pub(crate) mod progress;
pub mod recognizer;
pub(crate) mod results;
pub mod segmenter;
pub(crate) mod stream;
pub mod vad;

/// What all streams share.
#[derive(Debug, Clone)]
pub(crate) struct Hearing {
    pub(crate) engines: engines::Engines,
    /// Lets streams in as long as the engines keep up.
    pub(crate) admission: admission::SharedAdmission,
    /// The threads that recognise.
    pub(crate) pool: pool::Pool,
}
