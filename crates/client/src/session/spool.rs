// SPDX-License-Identifier: MPL-2.0

//! The audio that has yet to be sent, or may have to be sent again.
//!
//! Sent is not safe, finalised is safe: a chunk stays here until the service finalises it,
//! or until the bound is reached. At the bound, the audio that was sent longest ago goes
//! first. Only then is audio dropped that was never sent, which the application is told
//! of as a gap.

use super::Position;
use super::chunker::Chunk;
use super::planted::{Bug, planted};
use std::collections::VecDeque;
use std::ops::Range;

/// Chunks in the order of the audio, and their duration.
#[derive(Debug, Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    /// The sum of the chunks' durations, in nanoseconds.
    duration: u64,
}

impl Queue {
    fn push(&mut self, chunk: Chunk) {
        self.duration += chunk.end - chunk.start;
        self.chunks.push_back(chunk);
    }

    fn remove(&mut self, index: usize) -> Option<Chunk> {
        let chunk = self.chunks.remove(index)?;
        self.duration -= chunk.end - chunk.start;
        Some(chunk)
    }

    /// Returns how many chunks at the front belong to a packet whose beginning is not here.
    fn parts_of_before(&self) -> usize {
        self.chunks.iter().take_while(|c| !c.entry).count()
    }
}

/// The audio that is kept: first the audio that this generation sent, then the audio that
/// waits.
#[derive(Debug)]
pub struct Spool {
    /// Audio that this generation sent and that is not released.
    given: Queue,
    /// Audio that this generation has not sent yet.
    waiting: Queue,
    /// Bound of the audio that is kept, in nanoseconds.
    limit: u64,
    /// The service finalised all audio before this.
    acknowledged: Position,
    /// No replay needs audio before this.
    released: Position,
    /// All audio before this has been sent at least once.
    sent: Position,
    /// How much audio of the stream has been sent at least once, in nanoseconds. Audio that
    /// was dropped before it was ever sent does not count.
    placed: u64,
    /// Audible audio that was sent, dropped at the bound, and is not finalised yet. It is lost
    /// if the connection is lost before it is finalised.
    uncertain: VecDeque<Range<Position>>,
}

/// Longest rest of a chunk behind its last word, in nanoseconds. No word is that short, so
/// that such a rest is no loss.
const REMAINDER: u64 = 20_000_000;

/// Most spans of uncertain audio that are remembered. Beyond that the oldest are joined.
const MAX_UNCERTAIN: usize = 64;

/// Appends a span, or extends the last span if the new one continues it.
fn join(spans: &mut VecDeque<Range<Position>>, span: Range<Position>) {
    match spans.back_mut() {
        Some(last) if last.end == span.start => last.end = span.end,
        _ => spans.push_back(span),
    }
}

impl Spool {
    /// Returns a spool that keeps at most `limit` nanoseconds of audio.
    pub fn new(limit: u64) -> Self {
        Self {
            given: Queue::default(),
            waiting: Queue::default(),
            limit,
            acknowledged: 0,
            released: 0,
            sent: 0,
            placed: 0,
            uncertain: VecDeque::new(),
        }
    }

    /// Returns the bound of the audio that is kept, in nanoseconds.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the audio that is kept, in nanoseconds.
    pub fn held(&self) -> u64 {
        self.given.duration + self.waiting.duration
    }

    /// Returns the audio that waits to be sent by this generation, in nanoseconds.
    pub fn backlog(&self) -> u64 {
        self.waiting.duration
    }

    fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.given.chunks.iter().chain(&self.waiting.chunks)
    }

    /// Drops sent audio until `duration` more fits. Returns `false` if it does not fit because
    /// the audio that is left has not been sent. Any chunk fits into an empty spool.
    pub fn make_room(&mut self, duration: u64) -> bool {
        if planted(Bug::BoundIgnored) {
            return true;
        }
        while self.held() + duration > self.limit
            && let Some(chunk) = self.given.remove(0)
        {
            self.let_go(&chunk);
        }
        self.fits(duration)
    }

    /// Notes that `chunk` was sent, is not kept any more, and may not be finalised.
    fn let_go(&mut self, chunk: &Chunk) {
        let span = chunk.start.max(self.acknowledged)..chunk.end;
        if !chunk.audible || span.is_empty() {
            return;
        }
        join(&mut self.uncertain, span);
        if self.uncertain.len() > MAX_UNCERTAIN
            && let Some(oldest) = self.uncertain.pop_front()
            && let Some(next) = self.uncertain.front_mut()
        {
            next.start = oldest.start;
        }
    }

    /// Returns `true` if `duration` would fit if all sent audio were dropped.
    fn fits(&self, duration: u64) -> bool {
        self.is_drained() || self.backlog() + duration <= self.limit
    }

    /// Returns `true` if `duration` fits beside the audio that is kept. Of sent audio at most
    /// half of the bound counts, because more of it may be silence, which is never finalised.
    pub fn has_room(&self, duration: u64) -> bool {
        let sent = self.given.duration.min(self.limit / 2);
        self.is_drained() || self.backlog() + sent + duration <= self.limit
    }

    /// Drops the oldest packet of which this generation has sent nothing. Returns where it
    /// stood.
    pub fn drop_oldest_unsent(&mut self) -> Option<Range<Position>> {
        self.drop_packet(self.waiting.parts_of_before())
    }

    /// Drops the oldest packet that was never sent, not even by a start before. Returns
    /// where it stood.
    pub fn drop_oldest_never_sent(&mut self) -> Option<Range<Position>> {
        let never_sent = |chunk: &Chunk| chunk.entry && chunk.place.is_none();
        self.drop_packet(self.waiting.chunks.iter().position(never_sent)?)
    }

    /// Drops the packet whose first chunk waits at this place. Returns where it stood.
    fn drop_packet(&mut self, at: usize) -> Option<Range<Position>> {
        let first = self.waiting.remove(at)?;
        let mut end = first.end;
        while self.waiting.chunks.get(at).is_some_and(|c| !c.entry) {
            end = self.waiting.remove(at)?.end;
        }
        Some(first.start..end)
    }

    /// Returns how much of the stream's audio comes before the next chunk, in nanoseconds. A
    /// replayed chunk has the same value as when it was sent first.
    pub fn next_place(&self) -> u64 {
        match planted(Bug::PositionNotKept) {
            true => self.placed,
            false => self.peek().and_then(|c| c.place).unwrap_or(self.placed),
        }
    }

    /// Returns `true` if the next chunk has been sent before.
    pub fn replays(&self) -> bool {
        self.peek().is_some_and(|chunk| chunk.place.is_some())
    }

    /// Begins to count the stream's audio from zero. The spool must hold no audio that was
    /// sent before.
    pub fn begin_stream(&mut self) {
        debug_assert!(!self.replays());
        self.placed = 0;
    }

    /// Appends a chunk.
    pub fn push(&mut self, chunk: Chunk) {
        self.waiting.push(chunk);
    }

    /// Returns the next chunk to send.
    pub fn peek(&self) -> Option<&Chunk> {
        self.waiting.chunks.front()
    }

    /// Marks the chunk that [`Spool::peek`] returned as sent. Returns how much of it had never
    /// been sent before, and how much is a replay, in nanoseconds.
    pub fn advance(&mut self) -> (u64, u64) {
        let Some(mut chunk) = self.waiting.remove(0) else {
            return (0, 0);
        };
        if chunk.place.is_none() || planted(Bug::PositionNotKept) {
            chunk.place = Some(self.placed);
            self.placed += chunk.end - chunk.start;
        }
        let fresh = chunk.end.saturating_sub(chunk.start.max(self.sent));
        let replayed = chunk.end - chunk.start - fresh;
        self.sent = self.sent.max(chunk.end);
        self.given.push(chunk);
        if planted(Bug::SentAudioLetGo) {
            self.given.remove(0);
        }
        (fresh, replayed)
    }

    /// Takes the audio before `finalised` as finalised. The audio before `released` is dropped:
    /// its messages have come too.
    pub fn acknowledge(&mut self, finalised: Position, released: Position) {
        self.acknowledged = self.acknowledged.max(finalised);
        self.released = self.released.max(released);
        self.uncertain.retain_mut(|span| {
            span.start = span.start.max(finalised);
            !span.is_empty()
        });
        while let Some(parts) = self.released_parts()
            && parts <= self.given.chunks.len()
        {
            (0..parts).for_each(|_| drop(self.given.remove(0)));
        }
    }

    /// Returns how many chunks the oldest packet has, if all of it was released.
    fn released_parts(&self) -> Option<usize> {
        let first = self.chunks().next()?;
        let others = self.chunks().skip(1).take_while(|c| !c.entry);
        let (count, end) = others.fold((1, first.end), |(count, _), c| (count + 1, c.end));
        (first.start < self.released && end <= self.released).then_some(count)
    }

    /// Begins a generation, which sends all audio that is kept, some of it again. Returns the
    /// audio that was sent, is not kept and was never finalised.
    pub fn rewind(&mut self) -> Vec<Range<Position>> {
        if planted(Bug::ReplayFromTheSentMark) {
            return Vec::new();
        }
        let waiting = std::mem::replace(&mut self.waiting, std::mem::take(&mut self.given));
        waiting
            .chunks
            .into_iter()
            .for_each(|c| self.waiting.push(c));
        // The rest of a packet whose beginning was dropped is of no use.
        for _ in 0..self.waiting.parts_of_before() {
            if let Some(part) = self.waiting.remove(0) {
                self.let_go(&part);
            }
        }
        while let Some(parts) = self.released_parts() {
            (0..parts).for_each(|_| drop(self.waiting.remove(0)));
        }
        let uncertain = std::mem::take(&mut self.uncertain).into_iter();
        let counts = |s: &Range<Position>| s.end - s.start > REMAINDER || s.end > self.sent;
        uncertain.filter(counts).collect()
    }

    /// Returns the audible audio that was sent and not finalised.
    pub fn unheard(&self) -> impl Iterator<Item = Range<Position>> + use<> {
        let mut spans = self.uncertain.clone();
        for chunk in self.chunks().filter(|chunk| chunk.audible) {
            let span = chunk.start.max(self.acknowledged)..chunk.end.min(self.sent);
            if !span.is_empty() {
                join(&mut spans, span);
            }
        }
        spans.into_iter()
    }

    /// Drops all audio. Returns how much of it was never sent, in nanoseconds.
    pub fn clear(&mut self) -> u64 {
        let unsent = self.unsent_duration();
        self.uncertain.clear();
        self.given = Queue::default();
        self.waiting = Queue::default();
        unsent
    }

    /// Drops all audio except the rest of a packet whose beginning was sent: without it, the
    /// service could not decode the next packet. Returns how much was never sent, in
    /// nanoseconds.
    pub fn flush(&mut self) -> u64 {
        let rest = self.waiting.parts_of_before();
        let rest: Vec<_> = self.waiting.chunks.drain(..rest).collect();
        let unsent = self.clear();
        rest.into_iter().for_each(|part| self.waiting.push(part));
        unsent
    }

    /// Returns the position before which all audio is finalised.
    pub fn acknowledged(&self) -> Position {
        self.acknowledged
    }

    /// Returns the position before which all audio was sent at least once.
    pub fn sent(&self) -> Position {
        self.sent
    }

    /// Returns how much of the audio that is kept was never sent, in nanoseconds.
    pub fn unsent_duration(&self) -> u64 {
        let unsent = self.waiting.chunks.iter().rev();
        unsent
            .take_while(|c| c.end > self.sent)
            .map(|c| c.end - c.start.max(self.sent))
            .sum()
    }

    /// Returns how much audio the service has not finalised, in nanoseconds. Audio that was
    /// sent and dropped at the bound counts too.
    pub fn unacknowledged_duration(&self) -> u64 {
        let held = self
            .chunks()
            .map(|c| c.end.saturating_sub(c.start.max(self.acknowledged)));
        let let_go = self.uncertain.iter().map(|span| span.end - span.start);
        held.chain(let_go).sum()
    }

    /// Returns `true` if all audio that is kept was released.
    pub fn owes_nothing(&self) -> bool {
        let last = self.waiting.chunks.back().or(self.given.chunks.back());
        last.is_none_or(|last| last.end <= self.released)
    }

    /// Returns `true` if no audio waits to be sent.
    pub fn is_drained(&self) -> bool {
        self.waiting.chunks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::AudioFormat;
    use bytes::Bytes;
    use std::sync::Arc;
    use symbl_protocol::{Encoding, StreamFormat};

    const MS: u64 = 1_000_000;

    fn chunk(start_ms: u64, end_ms: u64) -> Chunk {
        let wire = StreamFormat::new(Encoding::Linear16, 16_000).unwrap();
        Chunk {
            data: Bytes::from_static(&[0; 2]),
            start: start_ms * MS,
            end: end_ms * MS,
            format: Arc::new(AudioFormat::new(wire)),
            entry: true,
            audible: true,
            loud: true,
            place: None,
        }
    }

    fn spool_of(count: u64) -> Spool {
        let mut spool = Spool::new(1000 * MS);
        for i in 0..count {
            spool.push(chunk(i * 100, (i + 1) * 100));
        }
        spool
    }

    #[test]
    fn sent_audio_stays_until_it_is_acknowledged() {
        let mut spool = spool_of(3);
        assert_eq!(spool.advance(), (100 * MS, 0));
        assert_eq!(spool.advance(), (100 * MS, 0));
        spool.acknowledge(150 * MS, 150 * MS);
        spool.rewind();
        assert_eq!(
            spool.peek().unwrap().start,
            100 * MS,
            "replay starts in the unfinalised chunk"
        );
        assert_eq!(spool.advance(), (0, 100 * MS));
        assert_eq!(spool.advance(), (100 * MS, 0));
        assert!(spool.is_drained());
    }

    #[test]
    fn at_the_bound_sent_audio_is_dropped_first() {
        let mut spool = spool_of(10);
        assert!(!spool.make_room(100 * MS), "nothing was sent: no room");
        spool.advance();
        assert!(spool.make_room(100 * MS));
        assert_eq!(spool.unsent_duration(), 900 * MS);
    }

    #[test]
    fn audio_that_was_dropped_before_it_was_finalised_is_reported_at_the_next_start() {
        let mut spool = spool_of(10);
        for _ in 0..5 {
            spool.advance();
        }
        assert!(spool.make_room(400 * MS));
        spool.acknowledge(150 * MS, 150 * MS);
        let lost = spool.rewind();
        assert_eq!((lost.len(), &lost[0]), (1, &(150 * MS..400 * MS)));
        assert_eq!(spool.rewind(), [], "once");
    }

    #[test]
    fn the_end_of_a_chunk_behind_its_last_word_is_no_loss() {
        let mut spool = spool_of(10);
        spool.advance();
        spool.advance();
        assert!(spool.make_room(200 * MS));
        spool.acknowledge(199 * MS, 199 * MS);
        assert_eq!(spool.rewind(), []);
    }

    #[test]
    fn silence_that_was_dropped_is_no_loss() {
        let mut spool = Spool::new(100 * MS);
        spool.push(Chunk {
            audible: false,
            ..chunk(0, 100)
        });
        spool.advance();
        assert!(spool.make_room(100 * MS));
        assert_eq!(spool.rewind(), []);
    }

    #[test]
    fn a_drop_returns_where_the_audio_stood() {
        let mut spool = spool_of(10);
        spool.advance();
        assert_eq!(spool.drop_oldest_unsent(), Some(100 * MS..200 * MS));
        assert_eq!(spool.peek().unwrap().start, 200 * MS);
    }

    /// Returns a spool with two packets. The first, up to 100 ms, is in two parts.
    fn spool_with_parts() -> Spool {
        let mut spool = Spool::new(1000 * MS);
        spool.push(chunk(0, 0));
        spool.push(Chunk {
            entry: false,
            ..chunk(0, 100)
        });
        spool.push(chunk(100, 200));
        spool
    }

    #[test]
    fn a_packet_in_parts_is_dropped_whole() {
        let mut spool = spool_with_parts();
        assert_eq!(spool.drop_oldest_unsent(), Some(0..100 * MS));
        assert_eq!(spool.peek().unwrap().start, 100 * MS);
    }

    #[test]
    fn a_packet_that_is_half_sent_is_not_dropped() {
        let mut spool = spool_with_parts();
        spool.advance();
        assert_eq!(spool.drop_oldest_unsent(), Some(100 * MS..200 * MS));
        assert!(!spool.peek().unwrap().entry);
        assert_eq!(spool.drop_oldest_unsent(), None);
    }

    #[test]
    fn a_packet_in_parts_is_kept_until_all_of_it_is_finalised() {
        for (acknowledged, kept) in [(0, 0), (50, 0), (100, 100)] {
            let mut spool = spool_with_parts();
            spool.rewind();
            spool.advance();
            spool.advance();
            spool.acknowledge(acknowledged * MS, acknowledged * MS);
            spool.rewind();
            let first = spool.peek().unwrap();
            assert_eq!((first.start, first.entry), (kept * MS, true));
        }
    }

    #[test]
    fn a_replay_never_begins_inside_a_packet() {
        let mut spool = spool_with_parts();
        spool.advance();
        spool.make_room(900 * MS); // lets go of the first part
        let lost = spool.rewind();
        assert_eq!(lost.first(), Some(&(0..100 * MS)), "the whole packet");
        assert_eq!(lost.len(), 1);
        assert_eq!(spool.peek().unwrap().start, 100 * MS);
    }

    #[test]
    fn durations_add_up() {
        let mut spool = spool_of(5);
        spool.advance();
        spool.advance();
        assert_eq!(
            (spool.sent(), spool.unsent_duration(), spool.backlog()),
            (200 * MS, 300 * MS, 300 * MS)
        );
        spool.rewind();
        assert_eq!(
            (spool.sent(), spool.unsent_duration(), spool.backlog()),
            (200 * MS, 300 * MS, 500 * MS)
        );
        spool.acknowledge(130 * MS, 130 * MS);
        assert_eq!(spool.unacknowledged_duration(), 370 * MS);
        assert_eq!(spool.clear(), 300 * MS);
    }
}
