// SPDX-License-Identifier: MPL-2.0

//! A word as an engine has heard it: what recognition gives and analysis takes.

use std::time::Duration;

/// One recognised word.
#[derive(Debug, Clone, PartialEq)]
pub struct RecognisedWord {
    /// The word as spoken, without punctuation.
    pub text: String,
    /// Where it starts, from the first sample of the stream.
    pub start: Duration,
    /// Where it ends; never before `start`.
    pub end: Duration,
    /// 0.0–1.0; the engine's own idea of how sure it is.
    pub confidence: f64,
}
