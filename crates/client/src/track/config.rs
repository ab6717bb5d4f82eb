// SPDX-License-Identifier: MPL-2.0

//! The settings of a track.

use super::{SECOND, TextUnit};
use crate::session::Time;

/// What happens to text that comes after the pad has covered its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LateText {
    /// It follows at once, in order, at a pace that captions can carry.
    #[default]
    Move,
    /// It keeps its true time. The only choice with which times may go back.
    Keep,
    /// It is left out.
    Drop,
}

/// The settings of a track. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackConfig {
    /// How long downstream waits for text.
    pub latency: u64,
    /// How much later than its sound a text is shown.
    pub lateness: u64,
    /// How much text one buffer holds.
    pub unit: TextUnit,
    /// What happens to late text.
    pub late: LateText,
    /// `true` if a word of an interim is told when its deadline comes, if it is settled.
    pub commits_interims: bool,
    /// Where audio is not live: how long after it was sent it counts as silent if no result
    /// has come.
    pub patience: Time,
}

impl Default for TrackConfig {
    fn default() -> Self {
        Self {
            latency: 8 * SECOND,
            lateness: 0,
            unit: TextUnit::Word,
            late: LateText::Move,
            commits_interims: false,
            patience: Time::from_secs(30),
        }
    }
}
