// SPDX-License-Identifier: MPL-2.0

//! The audio of a stream that its process may still need.
//!
//! Positions are samples from the beginning of the stream. Audio is kept until it is
//! *settled*, that is, until a result for audio behind it has come. So it can be given to
//! another process again. Of audio that was given and has no result, at most [`KEPT`] is
//! kept. Pure.

use crate::hearing::vad::{FRAME, VoiceDetector};
use std::collections::VecDeque;
use std::ops::Range;

/// Most samples that are kept of audio that was given and is not settled: 60 s.
const KEPT: usize = 960_000;

/// Voiced frames that may be noises: 100 ms.
const STRAY: usize = 1600 / FRAME;

/// The audio, and where the process stands in it.
pub(super) struct Backlog {
    samples: VecDeque<i16>,
    /// Position of the first sample kept.
    base: u64,
    /// Position of the next sample to be given.
    next: u64,
    /// The audio before this position is settled.
    settled: u64,
    detector: VoiceDetector,
    /// Samples that do not fill a frame of the detector yet.
    rest: Vec<i16>,
    /// Positions of the voiced frames that are not settled.
    voiced: VecDeque<u64>,
    /// The part with speech of the audio that was dropped before it was settled.
    lost: Option<Range<u64>>,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self {
            samples: VecDeque::new(),
            base: 0,
            next: 0,
            settled: 0,
            detector: VoiceDetector::new(),
            rest: Vec::with_capacity(FRAME),
            voiced: VecDeque::new(),
            lost: None,
        }
    }

    /// Returns the position of the end of the audio.
    pub(super) fn end(&self) -> u64 {
        self.base + self.samples.len() as u64
    }

    /// Returns the number of samples that wait to be given.
    pub(super) fn waiting(&self) -> u64 {
        self.end() - self.next
    }

    /// Returns the position of the next sample to be given.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Returns the position up to which the audio is settled.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Returns `true` if there is hardly any speech in the audio that is not settled.
    pub(super) fn is_quiet(&self) -> bool {
        self.voiced.len() <= STRAY
    }

    /// Takes audio and returns the number of samples in voiced frames that it completes.
    pub(super) fn push(&mut self, samples: &[i16]) -> usize {
        let mut voiced = 0;
        let mut start = self.end() - self.rest.len() as u64;
        self.samples.extend(samples);
        for sample in samples {
            self.rest.push(*sample);
            if self.rest.len() == FRAME {
                if self.detector.is_voiced(&self.rest) {
                    self.voiced.push_back(start);
                    voiced += FRAME;
                }
                self.rest.clear();
                start += FRAME as u64;
            }
        }
        voiced
    }

    /// Returns the bytes of the next samples to be given, at most `most`. They are empty
    /// if no samples wait.
    pub(super) fn chunk(&self, most: usize) -> Vec<u8> {
        let from = usize::try_from(self.next - self.base).unwrap_or(usize::MAX);
        let samples = self.samples.iter().skip(from).take(most);
        samples.flat_map(|sample| sample.to_le_bytes()).collect()
    }

    /// Records that this number of samples was given.
    pub(super) fn given(&mut self, samples: usize) {
        self.next = (self.next + samples as u64).min(self.end());
        let old = usize::try_from(self.next - self.base).unwrap_or(usize::MAX);
        if let Some(surplus) = old.checked_sub(KEPT) {
            self.base += surplus as u64;
            self.samples.drain(..surplus.min(self.samples.len()));
            while let Some(frame) = pop_before(&mut self.voiced, self.base) {
                let end = frame + FRAME as u64;
                let start = self.lost.as_ref().map_or(frame, |lost| lost.start);
                self.lost = Some(start..end);
            }
        }
    }

    /// Settles the audio before `to`, as far as it was given. Returns `true` if some of
    /// it was not settled before.
    pub(super) fn settle(&mut self, to: u64) -> bool {
        let to = to.min(self.next);
        if to <= self.settled {
            return false;
        }
        self.settled = to;
        let old = usize::try_from(to.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.samples.drain(..old.min(self.samples.len()));
        self.base = self.base.max(to);
        while pop_before(&mut self.voiced, to).is_some() {}
        if self.lost.as_ref().is_some_and(|lost| lost.end <= to) {
            self.lost = None;
        }
        true
    }

    /// Goes back to the beginning of what is kept, so that it is given again. Returns
    /// that position.
    pub(super) fn rewind(&mut self) -> u64 {
        self.next = self.base;
        self.base
    }

    /// Takes the part with speech that was dropped and cannot be given again, if there is
    /// one.
    pub(super) fn take_lost(&mut self) -> Option<Range<u64>> {
        self.lost.take()
    }
}

fn pop_before(frames: &mut VecDeque<u64>, position: u64) -> Option<u64> {
    match frames.front() {
        Some(frame) if *frame < position => frames.pop_front(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_settled_is_given_again() {
        let mut backlog = Backlog::new();
        backlog.push(&[1, 2, 3, 4, 5]);
        assert_eq!(backlog.chunk(2), [1, 0, 2, 0]);
        backlog.given(4);
        assert!(backlog.settle(3));
        assert!(!backlog.settle(3), "known");
        assert_eq!(backlog.chunk(9), [5, 0]);
        assert_eq!(backlog.rewind(), 3);
        assert_eq!(backlog.chunk(9), [4, 0, 5, 0]);
    }

    #[test]
    fn speech_that_was_let_go_is_told_unless_it_is_settled_after_all() {
        let lose = || {
            let mut backlog = Backlog::new();
            backlog.push(&vec![0; KEPT + 1000]);
            backlog.voiced.extend([0, 256, 512]);
            backlog.given(KEPT + 300);
            backlog
        };
        let mut lost = lose();
        assert_eq!(lost.take_lost(), Some(0..512));
        assert_eq!(lost.take_lost(), None, "told once");
        let mut settled = lose();
        settled.settle(600);
        assert_eq!(settled.take_lost(), None);
    }

    #[test]
    fn what_was_not_given_is_never_settled() {
        let mut backlog = Backlog::new();
        backlog.push(&[1, 2, 3]);
        backlog.given(1);
        backlog.settle(1000);
        assert_eq!((backlog.settled(), backlog.waiting()), (1, 2));
    }

    #[test]
    fn given_audio_is_kept_within_the_bound_and_what_waits_always() {
        let mut backlog = Backlog::new();
        backlog.push(&vec![0; KEPT + 1000]);
        assert_eq!(backlog.rewind(), 0);
        backlog.given(KEPT + 300);
        assert_eq!(backlog.rewind(), 300);
        assert_eq!(backlog.waiting(), KEPT as u64 + 700);
        assert_eq!(backlog.take_lost(), None, "silence is no loss");
    }
}
