// SPDX-License-Identifier: MPL-2.0

//! One start of a session with the service, and its clock.
//!
//! The service counts audio from zero after each `start_request`. What it was
//! given need not be contiguous (audio may have been dropped or flushed), so
//! the way back from its time to a position goes through a list of spans.

use super::Position;
use super::chunker::Chunk;

/// Spans remembered; older ones lie behind every result that can still come.
const MAX_SPANS: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Span {
    /// The service's time at which the span begins, in nanoseconds.
    service: u64,
    /// The position that it begins at.
    position: Position,
}

/// A start of the session and the audio that went into it.
#[derive(Debug, Default)]
pub struct Generation {
    /// Counts the starts of this session from 1; 0 before the first.
    pub number: u64,
    spans: Vec<Span>,
    /// How much audio the service has been given, in nanoseconds.
    given: u64,
    /// Position after the last chunk given.
    end: Position,
}

impl Generation {
    /// The start after this one.
    pub fn next(&self) -> Self {
        Self::numbered(self.number + 1)
    }

    /// The start with this number.
    pub(super) fn numbered(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// The service is given `chunk`.
    pub fn give(&mut self, chunk: &Chunk) {
        if self.spans.is_empty() || chunk.start != self.end {
            if self.spans.len() >= MAX_SPANS {
                self.spans.remove(0);
            }
            self.spans.push(Span {
                service: self.given,
                position: chunk.start,
            });
        }
        self.given += chunk.end - chunk.start;
        self.end = chunk.end;
    }

    /// Whether any audio was given.
    pub fn has_audio(&self) -> bool {
        !self.spans.is_empty()
    }

    /// Position of the first audio given.
    pub fn start(&self) -> Position {
        self.spans.first().map_or(0, |span| span.position)
    }

    /// Position after the last audio given.
    pub fn end(&self) -> Position {
        self.end
    }

    /// The position of the service's time `nanos`. Never past what was given:
    /// a recogniser may round, but cannot hear the future.
    pub fn position(&self, nanos: u64) -> Option<Position> {
        let after = self.spans.partition_point(|s| s.service <= nanos);
        let span = self.spans.get(after.checked_sub(1)?)?;
        Some((span.position + (nanos - span.service)).min(self.end))
    }

    /// The position at which audio that lasts until the service's time `nanos` ends.
    pub fn end_position(&self, nanos: u64) -> Option<Position> {
        let after = self.spans.partition_point(|s| s.service < nanos).max(1);
        let span = self.spans.get(after - 1)?;
        Some((span.position + nanos.saturating_sub(span.service)).min(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Encoding, StreamFormat};
    use crate::session::AudioFormat;
    use bytes::Bytes;
    use std::sync::Arc;

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
        assert_eq!(generation.end_position(1000), Some(1000));
        assert_eq!(generation.position(1500), Some(4500));
    }
}
