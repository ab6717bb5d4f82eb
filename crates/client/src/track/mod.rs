// SPDX-License-Identifier: MPL-2.0

//! The text of a conversation on a track that never stalls what plays beside it.
//!
//! A [`Track`] takes the events of a [`Session`](crate::session::Session) and the events of
//! the stream (segments, tags, its end), and says what goes on a text pad: text at its
//! running time, gaps where nothing is said, and the stream's own events between them, at
//! the audio where they came. It never waits and reads no clock, like the session.
//!
//! Its promises:
//!
//! - The pad goes on without holes: each text or gap begins where the one before ended.
//!   Only [`LateText::Keep`] goes back.
//! - While live audio plays, the pad covers all running time up to one tick behind its
//!   deadline, whatever the service and the network do. The deadline is the running time
//!   that downstream presents now: see [`Track::set_latency`].
//! - A gap never covers audio of which a final is still owed before the deadline.
//! - An event of the stream comes after the text of the audio before it and before the text
//!   of the audio behind it, unless the deadline comes first.
//! - The words of each final are told once, or counted as dropped.
//!
//! Order is by place in the audio ([`Position`]), which never repeats. Running time says when
//! a text is shown.
//!
//! Facts: GStreamer design documents "gap events" and "sparse streams"; EIA-608 for the pace
//! of late text.

mod config;
mod cover;
mod output;
mod poll;
mod text;
mod words;

use crate::session::event::PlacedWord;
use crate::session::planted::{Bug, planted};
use crate::session::{Event, EventKind, Placement, Position, Time};
use cover::Cover;
use std::collections::VecDeque;
use text::{Reader, Room};
use words::Piece;

pub use config::{LateText, TrackConfig};
pub use output::{Moment, Now, Output, Text, TrackStats};
pub use symbl_captions::Shape;
pub use text::TextUnit;

const SECOND: u64 = 1_000_000_000;
/// How far the pad is ahead of the deadline, and the longest time between two looks at the
/// clock, in nanoseconds.
pub const TICK: u64 = SECOND / 10;
/// Longest gap, in nanoseconds. Some muxers free the picture only up to the start of the
/// newest gap.
pub const LONGEST_GAP: u64 = SECOND / 4;
/// The first gap of a segment, in nanoseconds, which lets a muxer write its header.
const FIRST_GAP: u64 = SECOND / 1000;
/// Pace of late text in characters per second: above it EIA-608 loses letters.
const PACE: u64 = 30;
/// Longest time that the late text which waits may take at that pace, in nanoseconds.
/// Beyond it the oldest text is dropped, so that the lag never grows.
const LONGEST_BACKLOG: u64 = 30 * SECOND;
/// Most texts that wait.
const MOST_TEXTS: usize = 10_000;

/// An item of the track that comes from the service.
#[derive(Debug)]
enum Item {
    Text {
        piece: Piece,
        speaker: Option<String>,
    },
    /// The final is complete.
    Final { at: Position },
}

impl Item {
    fn middle(&self) -> Position {
        match self {
            Self::Text { piece, .. } => piece.middle(),
            Self::Final { at } => *at,
        }
    }
}

/// An event of the stream that waits for the text before it.
#[derive(Debug)]
struct Mark<M> {
    at: Moment,
    kind: MarkKind,
    mark: M,
}

#[derive(Debug, Clone, Copy)]
enum MarkKind {
    Plain,
    /// A segment that starts at this running time, in nanoseconds.
    Segment {
        starts: u64,
    },
    /// The end of the stream.
    End,
}

/// A text track. The module [`crate::track`] describes it.
#[derive(Debug)]
pub struct Track<M> {
    config: TrackConfig,
    /// The deadline is this far behind the running time, in nanoseconds. `None` if audio is
    /// not live.
    behind: Option<u64>,
    /// The running time up to which the pad is covered, from the first segment on.
    cursor: Option<u64>,
    /// What audio is settled.
    cover: Cover,
    items: VecDeque<Item>,
    marks: VecDeque<Mark<M>>,
    /// The running time up to which the pad had to be covered whatever came, in nanoseconds.
    passed: u64,
    /// Makes texts of finals and interims.
    reader: Reader,
    /// A segment has begun, and nothing has been put on the pad since.
    begins: bool,
    speaker: Option<String>,
    /// A speaker was told since the start.
    knows_speaker: bool,
    /// The last text was late.
    is_late: bool,
    /// What the application is to be told of late text.
    late: Option<u64>,
    stats: TrackStats,
}

impl<M> Track<M> {
    /// Returns an empty track.
    pub fn new(config: TrackConfig) -> Self {
        Self {
            config,
            behind: None,
            cursor: None,
            cover: Cover::default(),
            items: VecDeque::new(),
            marks: VecDeque::new(),
            reader: Reader::new(&config, 0),
            passed: 0,
            begins: false,
            speaker: None,
            knows_speaker: false,
            is_late: false,
            late: None,
            stats: TrackStats::default(),
        }
    }

    /// Returns what the track has done.
    pub fn stats(&self) -> TrackStats {
        self.stats
    }

    /// Sets how late live audio arrives by itself, in nanoseconds, or `None` for audio that is
    /// not live. The deadline of a text is its running time plus this, the latency and the
    /// lateness.
    pub fn set_latency(&mut self, upstream: Option<u64>) {
        let own = match () {
            () if planted(Bug::GapOverOwedText) => 0,
            () if planted(Bug::LatenessAddedTwice) => {
                self.config.latency + 2 * self.config.lateness
            }
            () => self.config.latency.saturating_add(self.config.lateness),
        };
        self.behind = upstream.map(|upstream| upstream.saturating_add(own));
    }

    /// Takes an event of the session. Events that have no text are ignored.
    pub fn take(&mut self, event: &Event, now: Now) {
        let Some(place) = &event.placement else {
            return;
        };
        match &event.kind {
            EventKind::Transcript {
                text,
                is_final,
                speaker,
                words,
                stable_words,
                ..
            } => {
                let name = speaker.as_ref().and_then(|speaker| speaker.name.clone());
                if *is_final {
                    self.say(text, words, name, place, now);
                } else if self.config.commits_interims {
                    self.reader.interim(words, *stable_words, name);
                }
            }
            EventKind::Heard => {
                if let Some(at) = self.end_of(place) {
                    self.cover.settle(at, now.time);
                }
            }
            EventKind::Gap { .. } => {
                if let Some(until) = self.end_of(place) {
                    self.cover.lose(place.from, until, now.time);
                }
            }
            _ => {}
        }
    }

    /// Returns the end of a placement.
    fn end_of(&self, place: &Placement) -> Option<Moment> {
        let start = place.running_time?;
        // A placement over a flush has the time of its start only, which is another time.
        let running_time = match place.from < self.cover.floor() {
            true => self.cover.settled().unwrap_or_default(),
            false => start.saturating_add(place.duration.unwrap_or_default()),
        };
        Some(Moment {
            position: place.until,
            running_time,
        })
    }

    /// Takes a final.
    fn say(
        &mut self,
        text: &str,
        words: &[PlacedWord],
        speaker: Option<String>,
        place: &Placement,
        now: Now,
    ) {
        if place.until <= self.cover.floor() {
            return; // of audio before a flush
        }
        if let (Some(now), Some(start), Some(_)) =
            (now.running_time, place.running_time, self.behind)
        {
            self.stats.delay_max = self.stats.delay_max.max(now.saturating_sub(start));
        }
        let room = self.room();
        let pieces = self.reader.final_text(text, words, place, room);
        let said = !pieces.is_empty();
        for piece in pieces {
            self.push(Item::Text {
                piece,
                speaker: speaker.clone(),
            });
        }
        if said || self.reader.has_committed() {
            let at = place.until.saturating_sub(1);
            self.push(Item::Final { at });
        }
        self.reader.begin_utterance(place.until);
        if let Some(at) = self.end_of(place) {
            self.cover.settle(at, now.time);
        }
        self.shorten_backlog();
    }

    /// Returns where cues have room: behind the texts that wait.
    fn room(&self) -> Room {
        let waiting = self.items.iter().rev().find_map(|item| match item {
            Item::Text { piece, .. } => piece.end(),
            Item::Final { .. } => None,
        });
        Room {
            free: self.cursor.max(waiting).unwrap_or_default(),
            passed: self.passed,
        }
    }

    fn push(&mut self, item: Item) {
        if self.items.len() == MOST_TEXTS {
            self.drop_oldest();
        }
        self.items.push_back(item);
    }

    fn drop_oldest(&mut self) {
        if let Some(Item::Text { piece, .. }) = self.items.pop_front() {
            self.stats.words_dropped += piece.words();
        }
    }

    /// Drops the oldest of the late texts, as long as they would take too long to show.
    fn shorten_backlog(&mut self) {
        let Some(cursor) = self.cursor.filter(|_| self.config.late == LateText::Move) else {
            return;
        };
        let is_late = |item: &&Item| match item {
            Item::Text { piece, .. } => piece.is_late(cursor),
            Item::Final { .. } => true,
        };
        let show = |item: &Item| match item {
            Item::Text { piece, .. } => piece.show_time(),
            Item::Final { .. } => 0,
        };
        let mut backlog: u64 = self.items.iter().take_while(is_late).map(show).sum();
        if backlog <= LONGEST_BACKLOG {
            return;
        }
        while backlog > LONGEST_BACKLOG {
            let oldest = self.items.front().map_or(0, show);
            self.drop_oldest();
            backlog = backlog.saturating_sub(oldest);
        }
        self.reader.restart_cues(cursor.saturating_add(backlog));
    }

    /// Takes an event of the stream that came behind the audio before `at`.
    pub fn mark(&mut self, at: Moment, mark: M) {
        self.marks.push_back(Mark {
            at,
            kind: MarkKind::Plain,
            mark,
        });
    }

    /// Takes a segment that came behind the audio before `at`. The pad is covered from its
    /// start on, the running time `starts` in nanoseconds, unless it is covered already.
    pub fn segment(&mut self, at: Moment, starts: u64, mark: M) {
        self.reader.begin_at(starts);
        let kind = MarkKind::Segment { starts };
        self.marks.push_back(Mark { at, kind, mark });
    }

    /// Takes the end of the stream, when no result can come any more. The pad is covered up
    /// to there, and then no further until a segment begins.
    pub fn end(&mut self, at: Moment, mark: M) {
        self.cover.settle(at, Time::MAX);
        self.marks.push_back(Mark {
            at,
            kind: MarkKind::End,
            mark,
        });
    }

    /// Notes that nothing more can come for the audio before `at`.
    pub fn settle(&mut self, at: Moment, now: Time) {
        self.cover.settle(at, now);
    }

    /// Returns `true` if the track needs to know what was sent: see [`Track::sent`].
    pub fn asks_what_was_sent(&self) -> bool {
        self.behind.is_none() && self.cursor.is_some()
    }

    /// Notes that the audio up to `at` has been sent. For audio that is not live.
    pub fn sent(&mut self, at: Moment, now: Time) {
        self.cover.sent(at, now);
    }

    /// Drops all text of the audio before `position`, and all that waits. Returns the events
    /// that waited.
    pub fn flush(&mut self, position: Position) -> Vec<M> {
        self.items.clear();
        self.cursor = None;
        self.cover.flush(position);
        self.reader = Reader::new(&self.config, position);
        self.passed = 0;
        self.is_late = false;
        self.late = None;
        self.marks.drain(..).map(|mark| mark.mark).collect()
    }
}

#[cfg(test)]
mod tests;
