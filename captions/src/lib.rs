// SPDX-License-Identifier: MPL-2.0

//! Writes what was said as text, JSON Lines, SRT or WebVTT.
//!
//! ```
//! use std::time::Duration;
//! use symbl_captions::{Format, Utterance, CaptionWriter};
//!
//! let mut file = Vec::new();
//! let mut writer = CaptionWriter::new(&mut file, Format::Srt)?;
//! writer.utterance(&Utterance {
//!     text: "Hello world.",
//!     start: Some(Duration::from_millis(1230)),
//!     end: Some(Duration::from_millis(2070)),
//!     ..Utterance::default()
//! })?;
//! assert_eq!(
//!     String::from_utf8_lossy(&file),
//!     "1\n00:00:01,230 --> 00:00:02,230\nHello world.\n\n"
//! );
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The input may come from any source: the bus of a pipeline, a socket, a file. This
//! crate knows neither GStreamer nor a protocol, and [`CaptionWriter`] opens no file and
//! reads no clock. A writer's output only grows, by one whole item at a time. So a
//! file can be read while it grows, and it is whole if the program dies. An output
//! may block its writer for as long as it likes; [`Outlet`] keeps that away from the
//! program.
//!
//! Sources: WebVTT, W3C Candidate Recommendation 2019, sections 4.1 and 5 (what a cue
//! may contain, escapes, order); SubRip as VLC and GStreamer's `subparse` read it.
//! The size of a cue is that of broadcasters' timed text guides.

mod cues;
mod cutter;
mod jsonl;
mod layout;
mod markdown;
mod order;
mod outlet;
mod text;
mod timed;
mod visible;
mod writer;

pub use cues::{Cue, Cues, HURRIED, LATEST, LINE_COLUMNS, LINES, LONGEST, SHORTEST};
pub use cutter::{Cutter, Late};
pub use layout::Shape;
pub use markdown::markdown;
pub use outlet::{Notes, Outlet, QUEUE_BYTES};
pub use visible::{json as visible_json, visible};
pub use writer::{CaptionWriter, Format, UnknownFormat};

use std::time::Duration;

/// One utterance, interim or final.
///
/// Times count from the same zero in everything that one [`CaptionWriter`] gets: the start
/// of the recording or of the conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Utterance<'a> {
    /// The whole text, as it came. [`visible`] decides which of it is shown.
    pub text: &'a str,
    /// `true` for a final; `false` for an interim, which a later utterance replaces.
    pub is_final: bool,
    /// The speaker's name, for display.
    pub speaker: Option<&'a str>,
    /// Start of the utterance. If unknown, the utterance follows the one before it.
    pub start: Option<Duration>,
    /// End of the utterance. If unknown, it lasts as long as reading it aloud takes.
    pub end: Option<Duration>,
    /// The words and their times, if known. Their spelling may differ from `text`,
    /// which is the text that is shown.
    pub words: &'a [TimedWord],
    /// When the utterance began, as RFC 3339.
    pub utc: Option<&'a str>,
    /// When the application heard the utterance, by a monotonic clock of its own. Two
    /// of these show how long a pause was, so that the first caption after a long
    /// pause is written at once. Without them, it waits for the utterance that
    /// follows.
    pub heard_at: Option<Duration>,
}

impl Default for Utterance<'_> {
    /// Returns an empty final.
    fn default() -> Self {
        Self {
            text: "",
            is_final: true,
            speaker: None,
            start: None,
            end: None,
            words: &[],
            utc: None,
            heard_at: None,
        }
    }
}

/// A word with its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedWord {
    /// The word as the engine recognised it.
    pub text: String,
    /// Start, on the timeline of [`Utterance`].
    pub start: Duration,
    /// End, on the same timeline. A word that ends before its start has no length.
    pub end: Duration,
}

/// One finding: an insight, a tracker, a topic or an entity. Text and JSON Lines show
/// findings; captions do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// `question`, `action_item`, `follow_up`, `tracker`, `topic`, `entity` or
    /// another kind.
    pub kind: &'a str,
    /// The tracker's name.
    pub name: Option<&'a str>,
    /// The sentence, phrase or value that was found.
    pub text: &'a str,
    /// The assignee: the person responsible.
    pub assignee: Option<&'a str>,
    /// The due date, in the words of the service.
    pub due: Option<&'a str>,
}
