// SPDX-License-Identifier: MPL-2.0

//! What was said, as text, JSON lines, SRT or WebVTT.
//!
//! ```
//! use std::time::Duration;
//! use symbl_captions::{Format, Said, Writer};
//!
//! let mut file = Vec::new();
//! let mut writer = Writer::new(&mut file, Format::Srt)?;
//! writer.said(&Said {
//!     text: "Hello world.",
//!     start: Some(Duration::from_millis(1230)),
//!     end: Some(Duration::from_millis(2070)),
//!     ..Said::default()
//! })?;
//! assert_eq!(
//!     String::from_utf8_lossy(&file),
//!     "1\n00:00:01,230 --> 00:00:02,230\nHello world.\n\n"
//! );
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Whoever has transcripts can use it, from the bus of a pipeline or from a
//! socket: it knows neither GStreamer nor a protocol. [`Writer`] opens no file and asks
//! no clock; what holds up whoever writes to it is no concern of its own, but of
//! [`Outlet`]. What it writes is only ever added to, one whole item at a time, so
//! that a file can be read while it grows and is whole when the writer dies.
//!
//! Facts: WebVTT, W3C Candidate Recommendation 2019, sections 4.1 and 5 (what a
//! cue may hold, escapes, order); SubRip as VLC and GStreamer's `subparse` read
//! it. The size of a cue is that of the timed text guides of broadcasters.

mod cues;
mod jsonl;
mod order;
mod outlet;
mod text;
mod timed;
mod visible;
mod writer;

pub use cues::{Cue, Cues, HURRIED, LATEST, LINE_COLUMNS, LINES, LONGEST, SHORTEST};
pub use outlet::{Notes, Outlet, QUEUE_BYTES};
pub use visible::visible;
pub use writer::{Format, UnknownFormat, Writer};

use std::time::Duration;

/// Something that was said.
///
/// Times count from the same zero for all that one [`Writer`] gets: the start of
/// the recording, or of the conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said<'a> {
    /// All of it, as it came: [`visible`] decides what of it is shown.
    pub text: &'a str,
    /// Whether it is the last word; otherwise the same will be said anew.
    pub is_final: bool,
    /// Who said it, to be shown.
    pub speaker: Option<&'a str>,
    /// Where it begins; unknown: after what was said before.
    pub start: Option<Duration>,
    /// Where it ends; unknown: as long after its start as reading it aloud takes.
    pub end: Option<Duration>,
    /// Its words and their times, if they are known. They may be spelt otherwise than in
    /// `text`, which is what is shown.
    pub words: &'a [Word],
    /// When it began, RFC 3339.
    pub utc: Option<&'a str>,
    /// When the application heard it, by a monotonic clock of its own. After a pause it
    /// tells that captions may be as much further on; without it, those of the first
    /// sentence after a long pause come with those of the second.
    pub heard_at: Option<Duration>,
}

impl Default for Said<'_> {
    /// Nothing, as a final.
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
pub struct Word {
    /// As it was recognised.
    pub text: String,
    /// From the zero of [`Said`].
    pub start: Duration,
    /// Not before `start`; a word that ends earlier has no length.
    pub end: Duration,
}

/// Something that was found in what was said. Text and JSON lines show it,
/// captions do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// `question`, `action_item`, `follow_up`, `tracker`, `topic`, `entity` or another word.
    pub kind: &'a str,
    /// Of the tracker.
    pub name: Option<&'a str>,
    /// The sentence, phrase or value.
    pub text: &'a str,
    /// Who is to act.
    pub assignee: Option<&'a str>,
    /// By when, in the words of who found it.
    pub due: Option<&'a str>,
}
