// SPDX-License-Identifier: MPL-2.0

//! One start of a session with the service, and the clock of that start.
//!
//! The service counts audio from zero after each `start_request`. The audio that it was
//! given need not be contiguous, because audio may have been dropped or flushed. So a list
//! of spans turns the service's times into positions.

use super::chunker::Chunk;
use super::{Position, Time};
use std::collections::VecDeque;
use std::ops::Range;
use symbl_protocol::StreamPlace;
use symbl_protocol::response::AudioPlace;

/// How far a service's times may be off the edge of a hole, in nanoseconds. It is shorter
/// than a packet of audio, because a lone packet may be all that is left of a word.
const ROUNDING: u64 = 5_000_000;

/// Returns `start` and `end` of a word, moved to the edge of a hole if they are over it by
/// no more than the rounding of a service's times. `after` returns the first edge after a
/// time, `before` the last one before it.
pub(super) fn off_the_edges(
    start: u64,
    end: u64,
    after: impl FnOnce(u64) -> Option<u64>,
    before: impl FnOnce(u64) -> Option<u64>,
) -> (u64, u64) {
    let starts_behind = after(start).filter(|edge| edge - start <= ROUNDING && *edge < end);
    let start = starts_behind.unwrap_or(start);
    let ends_before = before(end).filter(|edge| end - edge <= ROUNDING && *edge > start);
    (start, ends_before.unwrap_or(end))
}

/// Most spans that are remembered. If there is a hole before each packet, these are
/// minutes of audio. Every result that can still come is about later audio.
const MAX_SPANS: usize = 16_384;

#[derive(Debug, Clone, Copy)]
struct Span {
    /// The service's time at which the span begins, in nanoseconds.
    service: u64,
    /// The position at which the span begins.
    position: Position,
}

/// A start of the session, and the audio that it was given.
#[derive(Debug, Default, Clone)]
pub struct Generation {
    /// The number of the start, from 1; 0 before the first.
    pub number: u64,
    /// The time of the start request.
    pub asked: Option<Time>,
    /// The time at which the service was given the first audio.
    pub began: Option<Time>,
    spans: VecDeque<Span>,
    /// How much audio the service was given, in nanoseconds.
    given: u64,
    /// Position after the last chunk given.
    end: Position,
    /// What the service was told of the stream, if it announced itself.
    stream: Option<StreamStart>,
}

/// Where a start begins in its stream.
#[derive(Debug, Clone)]
struct StreamStart {
    /// The tag of the stream, by which the service names it.
    tag: String,
    /// How much of the stream's audio comes before this start, in nanoseconds.
    position: u64,
}

impl Generation {
    /// Returns the start after this one.
    pub fn next(&self) -> Self {
        Self::numbered(self.number + 1)
    }

    /// Returns the start with this number.
    pub(super) fn numbered(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Notes what the start request says of the stream.
    pub(super) fn tell(&mut self, place: Option<&StreamPlace>) {
        self.stream = place.map(|place| StreamStart {
            tag: StreamPlace::tag(&place.id),
            position: place.position,
        });
    }

    /// Returns `true` if the service was told of the stream.
    pub(super) fn is_told(&self) -> bool {
        self.stream.is_some()
    }

    /// Returns `true` if this start is one of the stream with this tag.
    pub(super) fn is_of(&self, tag: &str) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.tag == tag)
    }

    /// Returns the positions of a part of the stream, if this start was given its beginning.
    pub(super) fn place(&self, place: &AudioPlace) -> Option<Range<Position>> {
        let stream = self.stream.as_ref();
        let stream = stream.filter(|stream| stream.tag == place.stream)?;
        let start = place.from.checked_sub(stream.position)?;
        let end = place.until.checked_sub(stream.position)?;
        self.heard(start, end).filter(|_| start < self.given)
    }

    /// Returns the part of the stream at these times of the service, if it is behind all audio
    /// that this start was given, and the service was told of the stream.
    pub(super) fn behind(&self, start: u64, end: u64) -> Option<AudioPlace> {
        let stream = self.stream.as_ref().filter(|_| start >= self.given)?;
        Some(AudioPlace {
            stream: stream.tag.clone(),
            from: stream.position.saturating_add(start),
            until: stream.position.saturating_add(end.max(start)),
        })
    }

    /// Notes that the service is given `chunk`.
    pub fn give(&mut self, chunk: &Chunk) {
        if self.spans.is_empty() || chunk.start != self.end {
            if self.spans.len() >= MAX_SPANS {
                self.spans.pop_front();
            }
            self.spans.push_back(Span {
                service: self.given,
                position: chunk.start,
            });
        }
        self.given += chunk.end - chunk.start;
        self.end = chunk.end;
    }

    /// Returns `true` if the service was given any audio.
    pub fn has_audio(&self) -> bool {
        !self.spans.is_empty()
    }

    /// Returns how much audio the service was given, in nanoseconds.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// Returns the position of the first audio given.
    pub fn start(&self) -> Position {
        self.spans.front().map_or(0, |span| span.position)
    }

    /// Returns the position after the last audio given.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Returns the position of the service's time `nanos`. It is never past the audio that was
    /// given: a recogniser may round, but cannot hear the future.
    pub fn position(&self, nanos: u64) -> Option<Position> {
        Some(self.extrapolate(nanos)?.min(self.end))
    }

    /// Returns the position of the service's time `nanos`, as if audio had gone on after the
    /// last that was given.
    pub fn extrapolate(&self, nanos: u64) -> Option<Position> {
        let after = self.spans.partition_point(|s| s.service <= nanos);
        let span = self.spans.get(after.checked_sub(1)?)?;
        Some(span.position.saturating_add(nanos - span.service))
    }

    /// Returns the positions of a word that the service heard from `start` to `end` in its
    /// time, kept off the edges of holes. They are never past the audio that was given.
    pub fn heard(&self, start: u64, end: u64) -> Option<Range<Position>> {
        let span = self.extrapolate_span(start, end)?;
        Some(span.start.min(self.end)..span.end.min(self.end))
    }

    /// Returns the same as [`Generation::heard`], as if audio had gone on after the last that
    /// was given.
    pub fn extrapolate_span(&self, start: u64, end: u64) -> Option<Range<Position>> {
        let edge = |n: usize| self.spans.get(n).map(|span| span.service);
        let (start, end) = off_the_edges(
            start,
            end,
            |place| edge(self.spans.partition_point(|s| s.service <= place)),
            |place| {
                edge(
                    self.spans
                        .partition_point(|s| s.service < place)
                        .checked_sub(1)?,
                )
            },
        );
        let position = self.extrapolate(start)?;
        Some(position..self.extrapolate_end(end)?.max(position))
    }

    /// Returns the service's time of a position that it was given.
    pub fn time_of(&self, position: Position) -> Option<u64> {
        // A replay never goes back within a generation: positions only grow.
        let after = self.spans.partition_point(|s| s.position <= position);
        let span = self.spans.get(after.checked_sub(1)?)?;
        Some(span.service + (position - span.position))
    }

    /// Returns the position at which audio ends that lasts until the service's time `nanos`,
    /// as if audio had gone on after the last that was given.
    fn extrapolate_end(&self, nanos: u64) -> Option<Position> {
        let after = self.spans.partition_point(|s| s.service < nanos).max(1);
        let span = self.spans.get(after - 1)?;
        Some(
            span.position
                .saturating_add(nanos.saturating_sub(span.service)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::AudioFormat;
    use bytes::Bytes;
    use std::sync::Arc;
    use symbl_protocol::{Encoding, StreamFormat};

    fn give(generation: &mut Generation, start: Position, end: Position) {
        let wire = StreamFormat::new(Encoding::Linear16, 16_000).unwrap();
        generation.give(&Chunk {
            data: Bytes::new(),
            start,
            end,
            format: Arc::new(AudioFormat::new(wire)),
            entry: true,
            audible: true,
            loud: true,
            place: None,
        });
    }

    #[test]
    fn service_time_starts_at_the_first_audio_given() {
        let mut generation = Generation::default().next();
        assert_eq!(generation.position(0), None);
        give(&mut generation, 5000, 6000);
        assert_eq!(generation.position(0), Some(5000));
        assert_eq!(generation.position(400), Some(5400));
        assert_eq!(generation.position(99_999), Some(6000));
    }

    #[test]
    fn dropped_audio_does_not_count_for_the_service() {
        let mut generation = Generation::default().next();
        give(&mut generation, 0, 1000);
        give(&mut generation, 4000, 5000);
        assert_eq!(generation.position(999), Some(999));
        assert_eq!(generation.position(1000), Some(4000));
        assert_eq!(generation.extrapolate_end(1000), Some(1000));
        assert_eq!(generation.position(1500), Some(4500));
    }

    #[test]
    fn rounding_moves_no_word_over_dropped_audio() {
        const S: u64 = 1_000_000_000;
        let mut generation = Generation::default().next();
        give(&mut generation, 0, S);
        give(&mut generation, 4 * S, 5 * S);
        let (before, behind) = (S / 2..S, 4 * S..4 * S + S / 2);
        assert_eq!(generation.heard(S - 1, S + S / 2), Some(behind));
        assert_eq!(generation.heard(S / 2, S + 1), Some(before));
        let over = generation.heard(S / 2, S + S / 2);
        assert_eq!(over, Some(S / 2..4 * S + S / 2));
        assert_eq!(generation.time_of(4 * S + 7), Some(S + 7));
        assert_eq!(generation.extrapolate(3 * S), Some(6 * S));
    }
}
