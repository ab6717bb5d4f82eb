// SPDX-License-Identifier: MPL-2.0

//! What goes into a track beside the session's events, and what comes out of it.

use crate::session::{Position, Time};

/// A place in the audio and its running time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The place in the audio.
    pub position: Position,
    /// Its running time in nanoseconds.
    pub running_time: u64,
}

/// What the clocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time.
    pub time: Time,
    /// The running time of the pipeline in nanoseconds; `None` unless it plays.
    pub running_time: Option<u64>,
}

/// A piece of text for the pad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text: no control characters but line breaks between the lines of a cue, and
    /// never blank.
    pub text: String,
    /// Running time of the start, in nanoseconds.
    pub start: u64,
    /// Duration in nanoseconds; never 0.
    pub duration: u64,
    /// `true` if it came too late for its time.
    pub moved: bool,
}

/// What goes on the pad next. `M` is an event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<M> {
    /// Text.
    Text(Text),
    /// Nothing is said for `duration` from the running time `start`, in nanoseconds.
    Gap {
        /// Start.
        start: u64,
        /// Duration, never 0.
        duration: u64,
    },
    /// An event of the stream.
    Mark(M),
    /// The text of a final is complete.
    Final,
    /// The text that follows is by another speaker, whose name may be unknown.
    Speaker(Option<String>),
    /// Text is late for the first time since text was last in time. For the application.
    Late {
        /// By how many nanoseconds.
        by: u64,
    },
}

/// What a track has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackStats {
    /// Words in texts for the pad.
    pub words_pushed: u64,
    /// Those that were too late for their time.
    pub words_moved: u64,
    /// Words that were too late and left out.
    pub words_dropped: u64,
    /// Words that were told before their final.
    pub words_committed: u64,
    /// Gaps.
    pub gaps_pushed: u64,
    /// The most by which a text was late, in nanoseconds.
    pub lateness_max: u64,
    /// The longest time from the start of live speech to its final, in nanoseconds.
    pub delay_max: u64,
}
