// SPDX-License-Identifier: MPL-2.0

//! A word as an engine has recognised it.

use std::time::Duration;

/// One recognised word.
#[derive(Debug, Clone, PartialEq)]
pub struct RecognisedWord {
    /// The word as the engine wrote it. An engine that sets punctuation and case writes
    /// them here (`"fine."`, `"$5,"`), as the words on the wire have them. Other engines
    /// write bare words. It never contains a space.
    pub text: String,
    /// Start, from the first sample of the stream.
    pub start: Duration,
    /// End, never before `start`.
    pub end: Duration,
    /// How sure the engine is, 0.0–1.0.
    pub confidence: f64,
}
