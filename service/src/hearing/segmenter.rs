// SPDX-License-Identifier: MPL-2.0

//! Cuts audio into utterances, for engines that recognise whole utterances.
//!
//! [`Segmenter`] takes samples as they come, asks the [`VoiceDetector`] about each frame
//! and tells of speech in progress and of utterances that ended:
//!
//! ```
//! use symbl_service::segmenter::{Cut, Segmenter};
//!
//! let mut segmenter = Segmenter::new();
//! let mut ended = Vec::new();
//! segmenter.push(&[0; 16_000], |cut| {
//!     if let Cut::Ended(utterance) = cut {
//!         ended.push(utterance);
//!     }
//!     Ok::<(), std::convert::Infallible>(())
//! })?;
//! ended.extend(segmenter.finish());
//! assert!(ended.is_empty(), "silence is no speech");
//! # Ok::<(), std::convert::Infallible>(())
//! ```
//!
//! All decisions are made for frames that are counted from the first sample. So the same
//! audio gives the same utterances, however it was cut into calls. Utterances never
//! overlap, and none is longer than [`MAX_UTTERANCE`] frames. The constants were measured
//! with recorded prompts: a hangover of 300 to 600 ms costs no accuracy, and 200 ms cuts
//! words.

use crate::hearing::vad::{FRAME, VoiceDetector};
use std::collections::VecDeque;

/// Frames kept from before the speech was noticed: 304 ms.
const PRE_ROLL: usize = 19;
/// Speech starts when this many …
const START_VOICED: usize = 7;
/// … of this many frames in a row are voiced.
const START_WINDOW: usize = 10;
/// Speech ends after this many unvoiced frames in a row: 512 ms.
const HANGOVER: usize = 32;
/// From this length on (10 s) …
const LONG_UTTERANCE: usize = 625;
/// … a shorter pause will do: 208 ms.
const LONG_HANGOVER: usize = 13;
/// No utterance is longer: 25 s.
pub const MAX_UTTERANCE: usize = 1562;

/// A stretch of speech with a little of what surrounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utterance {
    /// First sample, counted from the start of the stream.
    pub start: u64,
    /// First sample of the frame in which a voice was first heard.
    pub onset: u64,
    /// The audio, without a gap from `start` on.
    pub samples: Vec<i16>,
    /// Says of each whole frame of it if there is a voice.
    pub voiced: Vec<bool>,
}

/// What [`Segmenter::push`] reports.
#[derive(Debug)]
pub enum Cut<'a> {
    /// The utterance in progress, reported once for each of its frames.
    Speech(&'a Utterance),
    /// The utterance is over.
    Ended(Utterance),
}

/// The segmenter of one stream.
pub struct Segmenter {
    /// Samples that do not fill a frame yet.
    rest: Vec<i16>,
    detector: VoiceDetector,
    cutter: Cutter,
}

impl std::fmt::Debug for Segmenter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cutter = &self.cutter;
        f.debug_struct("Segmenter")
            .field("cutter", cutter)
            .finish_non_exhaustive()
    }
}

impl Default for Segmenter {
    fn default() -> Self {
        Self::new()
    }
}

impl Segmenter {
    /// Returns a segmenter for a stream that has not begun.
    pub fn new() -> Self {
        Self {
            rest: Vec::with_capacity(FRAME),
            detector: VoiceDetector::new(),
            cutter: Cutter::default(),
        }
    }

    /// Takes the next 16 kHz mono samples, any number, and calls `tell` for each frame
    /// of speech and each end of an utterance, in the order of the audio.
    ///
    /// # Errors
    ///
    /// Returns the first error of `tell`. The rest of the samples is lost then, so the
    /// stream cannot go on.
    pub fn push<E>(
        &mut self,
        mut samples: &[i16],
        mut tell: impl FnMut(Cut<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.rest.is_empty() {
            let missing = (FRAME - self.rest.len()).min(samples.len());
            let (head, tail) = samples.split_at(missing);
            self.rest.extend_from_slice(head);
            samples = tail;
            if self.rest.len() < FRAME {
                return Ok(());
            }
            let frame = std::mem::take(&mut self.rest);
            self.frame(&frame, &mut tell)?;
        }
        let frames = samples.chunks_exact(FRAME);
        self.rest.extend_from_slice(frames.remainder());
        for frame in frames {
            self.frame(frame, &mut tell)?;
        }
        Ok(())
    }

    fn frame<E>(
        &mut self,
        frame: &[i16],
        tell: &mut impl FnMut(Cut<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let voiced = self.detector.is_voiced(frame);
        if let Some(utterance) = self.cutter.frame(frame, voiced) {
            tell(Cut::Ended(utterance))?;
        }
        match self.cutter.current() {
            Some(utterance) => tell(Cut::Speech(utterance)),
            None => Ok(()),
        }
    }

    /// Returns the utterance in progress, if there is one.
    pub fn current(&self) -> Option<&Utterance> {
        self.cutter.current()
    }

    /// Returns the first sample of the utterance in progress, or the first one that the next
    /// utterance may begin with. No utterance that is still to end begins before it.
    pub fn settled(&self) -> u64 {
        self.cutter.settled()
    }

    /// Ends the utterance in progress where it is, and returns it. What follows belongs to
    /// the next one.
    pub fn end(&mut self) -> Option<Utterance> {
        self.cutter.end()
    }

    /// Ends the utterance in progress behind its first `frames` frames, and returns these.
    /// The frames behind them are the utterance in progress from then on.
    ///
    /// Returns `None`, and changes nothing, if no utterance is in progress, if `frames` is 0
    /// or if the utterance has fewer frames.
    pub fn cut(&mut self, frames: usize) -> Option<Utterance> {
        self.cutter.cut(frames)
    }

    /// Ends the stream and returns the utterance in progress, if there is one.
    pub fn finish(&mut self) -> Option<Utterance> {
        let rest = std::mem::take(&mut self.rest);
        self.cutter.finish(&rest)
    }
}

/// Makes the decisions from frames and what the detector says about them.
#[derive(Debug, Default)]
struct Cutter {
    /// Frames seen so far.
    frames: u64,
    /// The newest audio outside of utterances, in whole frames.
    pre_roll: VecDeque<i16>,
    /// The decisions about those frames.
    pre_voiced: VecDeque<bool>,
    /// The newest decisions of the detector outside of utterances.
    window: VecDeque<bool>,
    current: Option<Utterance>,
    /// Unvoiced frames at the end of `current`.
    unvoiced: usize,
}

impl Cutter {
    /// Takes the next frame; returns the utterance that it ends.
    fn frame(&mut self, samples: &[i16], voiced: bool) -> Option<Utterance> {
        self.frames += 1;
        let Some(current) = &mut self.current else {
            self.listen(samples, voiced);
            return None;
        };
        current.samples.extend_from_slice(samples);
        current.voiced.push(voiced);
        self.unvoiced = if voiced { 0 } else { self.unvoiced + 1 };
        let length = current.samples.len() / FRAME;
        let hangover = if length >= LONG_UTTERANCE {
            LONG_HANGOVER
        } else {
            HANGOVER
        };
        if self.unvoiced >= hangover {
            self.unvoiced = 0;
            return self.current.take();
        }
        if length >= MAX_UTTERANCE {
            // The speech goes on, so the next utterance begins where this one is cut.
            let start = self.frames * FRAME as u64;
            return self.current.replace(Utterance {
                start,
                onset: start,
                samples: Vec::new(),
                voiced: Vec::new(),
            });
        }
        None
    }

    /// Returns the utterance in progress. Its samples only grow, except at a cut.
    fn current(&self) -> Option<&Utterance> {
        self.current.as_ref()
    }

    /// Returns the first sample of the utterance in progress, or the oldest one that the next
    /// utterance may begin with.
    fn settled(&self) -> u64 {
        let heard = self.frames * FRAME as u64;
        match &self.current {
            Some(current) => current.start,
            None => heard.saturating_sub(self.pre_roll.len() as u64),
        }
    }

    /// Ends the utterance in progress.
    fn end(&mut self) -> Option<Utterance> {
        self.unvoiced = 0;
        self.current.take()
    }

    /// Ends the utterance in progress behind its first `frames` frames.
    fn cut(&mut self, frames: usize) -> Option<Utterance> {
        let current = self.current.as_mut()?;
        if frames == 0 || frames > current.voiced.len() {
            return None;
        }
        let voiced = current.voiced.split_off(frames);
        let samples = current.samples.split_off(frames * FRAME);
        let start = current.start + (frames * FRAME) as u64;
        let first_voiced = voiced.iter().position(|voiced| *voiced).unwrap_or(0);
        let rest = Utterance {
            start,
            // A cut in the pre-roll leaves the onset where it is.
            onset: current.onset.max(start + (first_voiced * FRAME) as u64),
            samples,
            voiced,
        };
        self.unvoiced = self.unvoiced.min(rest.voiced.len());
        self.current.replace(rest)
    }

    /// Ends the stream with fewer samples than a frame, and with it the
    /// utterance in progress.
    fn finish(&mut self, rest: &[i16]) -> Option<Utterance> {
        let mut utterance = self.current.take()?;
        utterance.samples.extend_from_slice(rest);
        self.unvoiced = 0;
        (!utterance.samples.is_empty()).then_some(utterance)
    }

    fn listen(&mut self, samples: &[i16], voiced: bool) {
        if self.pre_roll.len() == (PRE_ROLL + START_WINDOW) * FRAME {
            self.pre_roll.drain(..FRAME);
            self.pre_voiced.pop_front();
        }
        self.pre_roll.extend(samples);
        self.pre_voiced.push_back(voiced);
        if self.window.len() == START_WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(voiced);
        if self.window.iter().filter(|voiced| **voiced).count() < START_VOICED {
            return;
        }
        let first_voiced = self.window.iter().position(|voiced| *voiced).unwrap_or(0);
        let speech = self.window.len() - first_voiced;
        let kept = self.pre_roll.len().min((PRE_ROLL + speech) * FRAME);
        let skipped = self.pre_roll.len() - kept;
        let end = self.frames * FRAME as u64;
        self.current = Some(Utterance {
            start: end - kept as u64,
            onset: end - (speech * FRAME) as u64,
            samples: self.pre_roll.drain(..).skip(skipped).collect(),
            voiced: self.pre_voiced.drain(..).skip(skipped / FRAME).collect(),
        });
        self.window.clear();
        self.unvoiced = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of (frames, voiced); every sample carries its frame's number.
    fn run(pattern: &[(usize, bool)]) -> Vec<Utterance> {
        let mut cutter = Cutter::default();
        let mut utterances = Vec::new();
        let mut number = 0i16;
        for &(frames, voiced) in pattern {
            for _ in 0..frames {
                utterances.extend(cutter.frame(&[number; FRAME], voiced));
                number = number.wrapping_add(1);
            }
        }
        utterances.extend(cutter.finish(&[]));
        utterances
    }

    fn first_frame(utterance: &Utterance) -> u64 {
        assert_eq!(
            utterance.samples[0] as u64,
            utterance.start / FRAME as u64,
            "start must be the place of the first sample"
        );
        utterance.start / FRAME as u64
    }

    #[test]
    fn no_utterance_begins_before_what_is_settled() {
        let runs = [
            (70, false),
            (40, true),
            (HANGOVER + 3, false),
            (9, true),
            (5, false),
            (LONG_UTTERANCE, true),
            (LONG_HANGOVER, false),
            (MAX_UTTERANCE + 20, true),
            (200, false),
        ];
        let mut cutter = Cutter::default();
        let mut settled = 0;
        let mut ended = 0;
        for voiced in runs
            .iter()
            .flat_map(|(frames, voiced)| vec![*voiced; *frames])
        {
            let utterance = cutter.frame(&[0; FRAME], voiced);
            ended += usize::from(utterance.is_some());
            for utterance in utterance.iter().chain(cutter.current()) {
                assert!(utterance.start >= settled, "{utterance:?}, {settled}");
            }
            assert!(cutter.settled() >= settled);
            settled = cutter.settled();
            if cutter.current().is_none() {
                let behind = cutter.frames * FRAME as u64 - settled;
                assert!(behind <= ((PRE_ROLL + START_WINDOW) * FRAME) as u64);
            }
        }
        assert_eq!(ended, 4);
    }

    #[test]
    fn silence_and_clicks_are_no_utterance() {
        assert_eq!(run(&[(500, false)]), []);
        assert_eq!(
            run(&[(50, false), (6, true), (50, false), (6, true), (50, false)]),
            []
        );
    }

    #[test]
    fn an_utterance_has_pre_roll_speech_and_hangover() {
        let utterances = run(&[(100, false), (40, true), (100, false)]);
        let [utterance] = utterances.as_slice() else {
            panic!("{} utterances", utterances.len());
        };
        assert_eq!(first_frame(utterance), 100 - PRE_ROLL as u64);
        assert_eq!(utterance.onset, 100 * FRAME as u64);
        assert_eq!(utterance.samples.len(), (PRE_ROLL + 40 + HANGOVER) * FRAME);
    }

    #[test]
    fn speech_from_the_first_sample_has_no_pre_roll() {
        let utterances = run(&[(40, true), (100, false)]);
        assert_eq!(utterances[0].start, 0);
        assert_eq!(utterances[0].onset, 0);
        assert_eq!(utterances[0].samples.len(), (40 + HANGOVER) * FRAME);
    }

    #[test]
    fn a_short_pause_does_not_end_an_utterance() {
        let pause = HANGOVER - 1;
        assert_eq!(
            run(&[(40, true), (pause, false), (40, true), (100, false)]).len(),
            1
        );
        let pause = HANGOVER;
        assert_eq!(
            run(&[(40, true), (pause, false), (40, true), (100, false)]).len(),
            2
        );
    }

    #[test]
    fn a_long_utterance_ends_at_a_shorter_pause() {
        let long = LONG_UTTERANCE;
        let pattern = [
            (long, true),
            (LONG_HANGOVER, false),
            (40, true),
            (100, false),
        ];
        assert_eq!(run(&pattern).len(), 2);
    }

    #[test]
    fn utterances_close_together_do_not_share_audio() {
        let utterances = run(&[(40, true), (HANGOVER + 5, false), (40, true), (100, false)]);
        let end = utterances[0].start + utterances[0].samples.len() as u64;
        assert_eq!(first_frame(&utterances[1]) * FRAME as u64, end);
    }

    #[test]
    fn endless_speech_is_cut_without_losing_a_sample() {
        let frames = 2 * MAX_UTTERANCE + 100;
        let utterances = run(&[(frames, true)]);
        assert_eq!(utterances.len(), 3);
        let mut next = 0;
        for utterance in &utterances {
            assert_eq!(utterance.start, next);
            assert!(utterance.samples.len() <= MAX_UTTERANCE * FRAME);
            next += utterance.samples.len() as u64;
        }
        assert_eq!(next, (frames * FRAME) as u64);
    }

    #[test]
    fn a_cut_keeps_the_frames_behind_it_as_the_utterance_in_progress() {
        let mut cutter = Cutter::default();
        let mut frame = |number: i16, voiced| cutter.frame(&[number; FRAME], voiced);
        for number in 0..100 {
            assert_eq!(
                frame(number, number >= 30 && !(60..65).contains(&number)),
                None
            );
        }
        let whole = cutter.current().cloned().unwrap();
        assert_eq!(first_frame(&whole), 30 - PRE_ROLL as u64);
        assert_eq!(cutter.cut(0), None);
        assert_eq!(cutter.cut(whole.voiced.len() + 1), None);
        assert_eq!(cutter.current(), Some(&whole));

        let head = cutter.cut(50).unwrap();
        let rest = cutter.current().cloned().unwrap();
        assert_eq!((head.start, head.onset), (whole.start, whole.onset));
        // Frame 61 has no voice, so the onset is that of frame 65.
        assert_eq!(first_frame(&rest), 61);
        assert_eq!(rest.onset, 65 * FRAME as u64);
        assert_eq!([head.samples, rest.samples].concat(), whole.samples);
        assert_eq!([head.voiced, rest.voiced].concat(), whole.voiced);

        // It goes on and ends like any other.
        let mut ended = Vec::new();
        for number in 100..140 {
            ended.extend(cutter.frame(&[number; FRAME], number < 105));
        }
        assert_eq!(ended.len(), 1);
        assert_eq!(first_frame(&ended[0]), 61);
        assert_eq!(ended[0].samples.len(), (105 - 61 + HANGOVER) * FRAME);
        assert_eq!(cutter.cut(1), None);
    }

    #[test]
    fn a_cut_in_the_pre_roll_leaves_the_onset_where_it_is() {
        let mut cutter = Cutter::default();
        for number in 0..60 {
            // A click in the pre-roll.
            cutter.frame(&[number; FRAME], number == 32 || number >= 40);
        }
        let onset = cutter.current().unwrap().onset;
        cutter.cut(5).unwrap();
        let rest = cutter.current().unwrap();
        assert_eq!(rest.onset, onset);
        assert!(rest.start < onset);
    }

    #[test]
    fn a_cut_in_a_pause_counts_only_the_pause_behind_it() {
        let mut cutter = Cutter::default();
        for _ in 0..40 {
            cutter.frame(&[1; FRAME], true);
        }
        for _ in 0..20 {
            cutter.frame(&[0; FRAME], false);
        }
        cutter.cut(55).unwrap();
        let rest = cutter.current().unwrap();
        assert_eq!(rest.voiced, [false; 5]);
        assert_eq!(rest.onset, rest.start);
        for _ in 5..HANGOVER - 1 {
            assert_eq!(cutter.frame(&[0; FRAME], false), None);
        }
        assert!(cutter.frame(&[0; FRAME], false).is_some());
        assert_eq!(cutter.current(), None);
    }

    #[test]
    fn a_cut_behind_all_frames_leaves_an_utterance_without_audio() {
        let mut cutter = Cutter::default();
        for _ in 0..40 {
            cutter.frame(&[1; FRAME], true);
        }
        assert_eq!(cutter.cut(40).unwrap().voiced.len(), 40);
        let rest = cutter.current().unwrap();
        assert_eq!(rest.start, 40 * FRAME as u64);
        assert!(rest.samples.is_empty());
        assert_eq!(cutter.finish(&[]), None);
    }

    #[test]
    fn the_end_of_the_stream_ends_the_utterance_with_its_last_samples() {
        let mut cutter = Cutter::default();
        for _ in 0..20 {
            assert_eq!(cutter.frame(&[1; FRAME], true), None);
        }
        let utterance = cutter.finish(&[2; 10]).unwrap();
        assert_eq!(utterance.samples.len(), 20 * FRAME + 10);
        assert_eq!(cutter.finish(&[]), None);
    }
}
