// SPDX-License-Identifier: MPL-2.0

//! One stream of audio: utterances, looks, finals.
//!
//! The stream cuts its audio into utterances where it is called, which costs next to
//! nothing, and has the workers decode them. At a short pause (256 ms) it has the
//! utterance decoded on suspicion and takes no more audio into account until it knows the
//! result: if the sentence is closed, the utterance ends there; if not, the result is kept
//! in case nothing more is said. If the client asked for a greatest delay of its finals, an
//! utterance that reaches this length is decoded in the same way; the words that are
//! complete are given out, and it goes on behind them. So it depends on the samples alone where an utterance
//! ends and what its final says, and never on how fast a worker was.

use super::ENGINE;
use super::workers::{Filler, Slot, Taken, Workers, slot};
use super::{Shared, queue::Ticket};
use crate::hearing::recognizer::bell::Bell;
use crate::hearing::recognizer::{
    RecognisedWord, Recognition, RecognizerError, RecognizerStream, SAMPLE_RATE, StreamOptions,
    Worked, time_of,
};
use crate::hearing::segmenter::{Cut, Segmenter, Utterance};
use crate::hearing::vad::FRAME;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use symbl_whisper::{Draft, Look, Looks, Request, TimedWord, Transcript};

/// Audio from one look to the next.
const LOOK: usize = SAMPLE_RATE as usize / 2;
/// Frames without a voice after which an utterance is decoded on suspicion: 256 ms.
const PAUSE: usize = 16;
/// A final is wanted so long after its pause.
const FINAL_WITHIN: Duration = Duration::from_millis(300);
/// Words that end closer to the end of the audio are not given out while the utterance goes
/// on, because they may not be complete: 0.5 s at least, 1.5 s at most.
const UNSURE: (usize, usize) = (SAMPLE_RATE as usize / 2, SAMPLE_RATE as usize * 3 / 2);
/// The last word before a cut, heard again, begins less than this before or behind where it
/// was: 0.4 s.
const NEAR: usize = SAMPLE_RATE as usize * 2 / 5;
/// Frames by which the end of a word is often off: 80 ms.
const OFF: usize = 5;
/// Audio after which an utterance of which no word could be given out is decoded again.
const AGAIN: usize = SAMPLE_RATE as usize / FRAME * FRAME;
/// Audio before a cut that is decoded once more with what follows: 2 s at most. Without it
/// the model leaves out words at the start of what it hears.
const CONTEXT: usize = 2 * SAMPLE_RATE as usize;
/// Audio that waits while an utterance is decoded; with more of it no more is taken: 2 s.
const BACKLOG: usize = 2 * SAMPLE_RATE as usize;

/// Why an utterance is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It is over.
    Over,
    /// There is a short pause, which may be its end.
    Pause,
    /// It goes on, and the client waits for its first words.
    Delay,
}

/// A final that a worker makes, and since when it is awaited.
struct Awaited {
    slot: Slot<(Transcript, Worked)>,
    ticket: Ticket,
    /// When the end of its audio would have come in real time.
    since: Instant,
    why: Why,
    /// Where the utterance starts, and how long it is.
    start: u64,
    samples: usize,
}

/// A look that a worker takes, or waits to take.
struct Looking {
    slot: Slot<(Look, Draft)>,
    ticket: Ticket,
    due: Instant,
    /// Where its utterance starts.
    start: u64,
}

/// What comes before an utterance that was cut off from another one.
#[derive(Default)]
struct Context {
    /// The audio before the cut, in whole frames, and where a voice is in it.
    samples: Vec<i16>,
    voiced: Vec<bool>,
    /// The last word before the cut, in samples of this audio.
    last: Option<TimedWord>,
}

impl Context {
    /// Returns the end of the part that was cut off, from the start of one of its `words` on.
    fn of(head: &Utterance, words: &[TimedWord]) -> Self {
        let length = head.samples.len();
        let first = words.iter().find(|word| word.start + CONTEXT >= length);
        let Some(first) = first.or(words.last()) else {
            return Self::default();
        };
        let from = first.start.max(length.saturating_sub(CONTEXT)) / FRAME;
        let last = words.last().map(|word| TimedWord {
            start: word.start.saturating_sub(from * FRAME),
            end: word.end.saturating_sub(from * FRAME),
            ..word.clone()
        });
        Self {
            samples: head
                .samples
                .get(from * FRAME..)
                .unwrap_or_default()
                .to_vec(),
            voiced: head.voiced.get(from..).unwrap_or_default().to_vec(),
            last,
        }
    }

    /// Removes the words before the cut from a transcript of this audio and the utterance,
    /// and gives the others times from the start of the utterance on.
    fn remove(&self, words: &mut Vec<TimedWord>) {
        let cut = self.samples.len();
        if cut == 0 {
            return;
        }
        // The model's times are a little off, so the word itself tells better where it was.
        let again = self.last.as_ref().and_then(|last| {
            let near = last.start.saturating_sub(NEAR)..cut.max(last.start) + NEAR;
            let is_again = |word: &TimedWord| {
                bare(&word.text) == bare(&last.text) && near.contains(&word.start)
            };
            let heard = words.iter().enumerate().filter(|(_, word)| is_again(word));
            let nearest = heard.min_by_key(|(_, word)| word.start.abs_diff(last.start));
            nearest.map(|(at, _)| at)
        });
        let before = again.map_or_else(
            || {
                let is_before = |word: &&TimedWord| word.start.midpoint(word.end) < cut;
                words.iter().take_while(is_before).count()
            },
            |again| again + 1,
        );
        words.drain(..before);
        for word in words {
            word.start = word.start.saturating_sub(cut);
            word.end = word.end.saturating_sub(cut).max(word.start + 1);
        }
    }
}

/// Returns a word without marks and in lower case.
fn bare(word: &str) -> String {
    word.trim_matches(|letter: char| !letter.is_alphanumeric())
        .to_lowercase()
}

/// When the audio of a stream comes in real time. That of a file is ahead of its time.
#[derive(Debug, Default)]
struct Clock {
    /// When all audio that was given would have come.
    end: Option<Instant>,
}

impl Clock {
    /// Takes down that so many samples came now.
    fn push(&mut self, samples: usize, now: Instant) {
        let begin = self.end.map_or(now, |end| end.max(now));
        self.end = Some(begin + time_of(samples as u64));
    }

    /// Returns when the audio up to `left` samples before the end would have come.
    fn time_of(&self, left: usize) -> Instant {
        let end = self.end.unwrap_or_else(Instant::now);
        end.checked_sub(time_of(left as u64)).unwrap_or(end)
    }
}

/// What is known of the utterance in progress.
#[derive(Default)]
struct Following {
    /// Samples of the utterance at the last look.
    looked: usize,
    /// What the looks agree on. Locked by the worker that takes one, for as long as that
    /// takes; there is one at a time.
    looks: Arc<Mutex<Looks>>,
    /// Tokens of the last look.
    draft: Draft,
    /// The words that were given out last, and how many were stable.
    told: (Vec<RecognisedWord>, usize),
    /// What comes before it, if it was cut off from another one.
    context: Context,
    /// Words that were heard in the utterance before it was cut off from another one. They
    /// count if it is too short, alone, for the model to recognise any.
    left: Vec<TimedWord>,
    /// Samples of the utterance at which it is decoded if it goes on, at the least.
    again: usize,
    /// What the utterance says if no more is said, with its length in voiced frames.
    suspected: Option<(usize, Transcript)>,
}

/// A stream of the engine.
pub(super) struct WhisperStream {
    shared: Arc<Shared>,
    request: Arc<Request>,
    interim: bool,
    is_bulk: bool,
    /// Samples of an utterance in progress at which its first words are given out.
    greatest: Option<usize>,
    segmenter: Segmenter,
    bell: Arc<Bell>,
    clock: Clock,
    /// Audio behind the place up to which utterances were cut.
    backlog: VecDeque<i16>,
    following: Following,
    awaited: Option<Awaited>,
    /// Of the newest decoding and of the newest final.
    worked: Option<Worked>,
    /// Samples that the stream was given.
    pushed: u64,
    looking: Option<Looking>,
    is_finished: bool,
}

impl WhisperStream {
    pub(super) fn open(shared: Arc<Shared>, request: Request, options: &StreamOptions) -> Self {
        let samples = |delay: Duration| delay.as_millis() as usize * SAMPLE_RATE as usize / 1_000;
        Self {
            shared,
            request: Arc::new(request),
            interim: options.interim,
            is_bulk: options.bulk,
            greatest: options.max_final_delay.map(samples),
            segmenter: Segmenter::new(),
            bell: Arc::default(),
            clock: Clock::default(),
            backlog: VecDeque::new(),
            following: Following::default(),
            awaited: None,
            worked: None,
            pushed: 0,
            looking: None,
            is_finished: false,
        }
    }

    fn workers(&self) -> &Workers {
        match self.is_bulk {
            true => &self.shared.bulk,
            false => &self.shared.workers,
        }
    }

    /// Returns why a result will never come.
    fn lost(&self) -> RecognizerError {
        let reason = match self.workers().is_closed() {
            true => {
                "the engine was closed, because the service ends; send the audio again \
                     when it is back"
            }
            false => "an utterance could not be decoded; see the log of the service",
        };
        RecognizerError::Failed {
            engine: ENGINE,
            reason: reason.to_owned(),
        }
    }

    /// Goes on as far as results and audio allow.
    fn go_on(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        loop {
            self.take_look(out)?;
            if let Some(awaited) = self.awaited.take() {
                match awaited.slot.take() {
                    Taken::Nothing => {
                        self.awaited = Some(awaited);
                        return Ok(());
                    }
                    Taken::Lost => return Err(self.lost()),
                    Taken::Result((transcript, worked)) => {
                        self.worked = Some(worked);
                        self.decoded(awaited, transcript, out);
                    }
                }
                continue;
            }
            if self.shared.config.every_look && self.looking.is_some() {
                return Ok(());
            }
            if self.backlog.len() < FRAME {
                break;
            }
            let frame: Vec<i16> = self.backlog.drain(..FRAME).collect();
            self.frame(&frame, out);
        }
        Ok(())
    }

    /// Takes the next frame into account.
    fn frame(&mut self, frame: &[i16], out: &mut Vec<Recognition>) {
        let mut ended = None;
        let pushed = self.segmenter.push(frame, |cut| {
            if let Cut::Ended(utterance) = cut {
                ended = Some(utterance);
            }
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(()) = pushed;
        if let Some(utterance) = ended {
            self.ended(&utterance, out);
        }
        let Some(utterance) = self.segmenter.current() else {
            return;
        };
        let unvoiced = utterance
            .voiced
            .iter()
            .rev()
            .take_while(|voiced| !**voiced)
            .count();
        let length = utterance.samples.len();
        // In a pause it is known soon if the utterance is over.
        let is_late = unvoiced < PAUSE
            && self
                .greatest
                .is_some_and(|greatest| length >= greatest.max(self.following.again));
        if unvoiced == PAUSE || is_late {
            let why = if is_late { Why::Delay } else { Why::Pause };
            let job = self.final_of(utterance, why);
            self.awaited = Some(job);
            self.drop_look();
        } else if self.interim && length >= self.following.looked + LOOK {
            self.look();
        }
    }

    /// Handles the end of an utterance: gives out its final, or queues it to be decoded.
    fn ended(&mut self, utterance: &Utterance, out: &mut Vec<Recognition>) {
        let voiced = voiced_until(&utterance.voiced);
        match self.following.suspected.take() {
            // Nothing was said since.
            Some((suspected, transcript)) if suspected == voiced => {
                self.conclude(utterance.start, utterance.samples.len(), transcript, out);
            }
            _ => {
                self.awaited = Some(self.final_of(utterance, Why::Over));
                self.drop_look();
            }
        }
    }

    /// Lets go of a look that no worker has begun: the final is better.
    fn drop_look(&mut self) {
        if let Some(looking) = &self.looking
            && self.workers().take_back(looking.ticket)
        {
            self.looking = None;
        }
    }

    /// Queues an utterance to be decoded, up to [`PAUSE`] behind its last voiced frame.
    fn final_of(&self, utterance: &Utterance, why: Why) -> Awaited {
        let frames = (voiced_until(&utterance.voiced) + PAUSE).min(utterance.voiced.len());
        let length = match frames == utterance.voiced.len() {
            // The last samples of a stream may be less than a frame.
            true => utterance.samples.len(),
            false => frames * FRAME,
        };
        let context = &self.following.context;
        let samples = [
            floats(&context.samples),
            floats(&utterance.samples[..length]),
        ]
        .concat();
        let voiced = [&context.voiced[..], &utterance.voiced[..frames]].concat();
        let (slot, filler): (_, Filler<(Transcript, Worked)>) = slot(&self.bell);
        let (shared, request) = (Arc::clone(&self.shared), Arc::clone(&self.request));
        // Looks do not see what comes before.
        let draft = match context.samples.is_empty() {
            true => self.following.draft.clone(),
            false => Draft::default(),
        };
        let since = self.clock.time_of(self.backlog.len());
        let queued = Instant::now();
        let interim = self.interim;
        let ticket = self.workers().final_by(
            since + FINAL_WITHIN,
            Box::new(move || {
                let begun = Instant::now();
                let transcript = shared.effort.finals(interim, || {
                    shared.model.transcribe(&samples, &voiced, &request, &draft)
                });
                let worked = Worked {
                    queued,
                    begun,
                    done: Instant::now(),
                    heard: Duration::ZERO,
                };
                filler.fill((transcript, worked));
            }),
        );
        Awaited {
            slot,
            ticket,
            since,
            why,
            start: utterance.start,
            samples: utterance.samples.len(),
        }
    }

    /// Handles the transcript of an utterance.
    fn decoded(
        &mut self,
        awaited: Awaited,
        mut transcript: Transcript,
        out: &mut Vec<Recognition>,
    ) {
        self.following.context.remove(&mut transcript.words);
        if transcript.words.is_empty() {
            transcript.words.clone_from(&self.following.left);
        }
        if awaited.why == Why::Over {
            self.conclude(awaited.start, awaited.samples, transcript, out);
        } else if awaited.why == Why::Delay {
            self.give_out(&awaited, transcript, out);
        } else if self.shared.config.early_finals && is_closed(&transcript) {
            self.segmenter.end();
            self.conclude(awaited.start, awaited.samples, transcript, out);
        } else if let Some(utterance) = self.segmenter.current() {
            let voiced = voiced_until(&utterance.voiced);
            self.following.suspected = Some((voiced, transcript));
        }
    }

    /// Gives out the complete words of an utterance that goes on, and cuts it behind them.
    fn give_out(
        &mut self,
        awaited: &Awaited,
        mut transcript: Transcript,
        out: &mut Vec<Recognition>,
    ) {
        let current = self.segmenter.current();
        let place = current.and_then(|current| place_of_cut(&transcript.words, &current.samples));
        let place = place.and_then(|(words, frames)| {
            let head = self.segmenter.cut(frames)?;
            Some((words, frames, head))
        });
        let Some((words, frames, head)) = place else {
            self.following.again = awaited.samples + AGAIN;
            return;
        };
        let cut = frames * FRAME;
        let mut left = transcript.words.split_off(words);
        for word in &mut left {
            word.start = word.start.saturating_sub(cut);
            word.end = word.end.saturating_sub(cut).max(word.start + 1);
        }
        if let Some(last) = transcript.words.last_mut() {
            last.end = last.end.min(cut);
        }
        let context = Context::of(&head, &transcript.words);
        self.conclude(awaited.start, cut, transcript, out);
        self.following.context = context;
        self.following.left = left;
    }

    /// Gives out the final of an utterance that is over, or of the part that was cut off.
    fn conclude(
        &mut self,
        start: u64,
        samples: usize,
        transcript: Transcript,
        out: &mut Vec<Recognition>,
    ) {
        self.following = Following::default();
        self.looking = None;
        if let Some(worked) = &mut self.worked {
            worked.heard = time_of(self.pushed - self.backlog.len() as u64);
        }
        self.shared.effort.heard(self.interim, samples);
        let words: Vec<RecognisedWord> = transcript
            .words
            .iter()
            .map(|word| recognised(start, word))
            .collect();
        if !words.is_empty() {
            out.push(Recognition::Final {
                words,
                punctuated: true,
            });
        }
    }

    /// Queues a look at the utterance so far, unless one is being taken.
    fn look(&mut self) {
        let Some(utterance) = self.segmenter.current() else {
            return;
        };
        let (start, length) = (utterance.start, utterance.samples.len());
        self.following.looked = length;
        let mut due = self.clock.time_of(self.backlog.len());
        if let Some(looking) = &self.looking {
            // One that has waited so long sees what was said since, at its place in the
            // queue. One that is being taken is enough.
            if !self.workers().take_back(looking.ticket) {
                return;
            }
            due = looking.due;
        }
        let (slot, filler): (_, Filler<(Look, Draft)>) = slot(&self.bell);
        let (shared, request) = (Arc::clone(&self.shared), Arc::clone(&self.request));
        let samples = floats(&utterance.samples);
        let voiced = utterance.voiced.clone();
        let looks = Arc::clone(&self.following.looks);
        let ticket = self.workers().look(
            due,
            Box::new(move || {
                let mut looks = looks.lock().unwrap_or_else(PoisonError::into_inner);
                let look = shared
                    .effort
                    .looks(|| looks.look(&shared.model, &samples, &voiced, &request));
                filler.fill((look, looks.draft()));
            }),
        );
        self.looking = Some(Looking {
            slot,
            ticket,
            due,
            start,
        });
    }

    /// Gives out what a look saw, if it is there and says something new.
    fn take_look(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let Some(looking) = &self.looking else {
            return Ok(());
        };
        let (look, draft) = match looking.slot.take() {
            Taken::Nothing => return Ok(()),
            Taken::Lost => return Err(self.lost()),
            Taken::Result(result) => result,
        };
        let start = looking.start;
        self.looking = None;
        self.following.draft = draft;
        // At its greatest length an utterance is cut off, and the next one begins at once.
        // A look that was begun before that is none at the next one.
        let current = self.segmenter.current();
        if current.is_none_or(|utterance| utterance.start != start) {
            return Ok(());
        }
        let words: Vec<_> = look
            .words
            .iter()
            .map(|word| recognised(start, word))
            .collect();
        let told = (words, look.stable);
        let texts = |(words, stable): &(Vec<RecognisedWord>, usize)| {
            let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
            (texts, *stable)
        };
        if told.0.is_empty() || texts(&told) == texts(&self.following.told) {
            return Ok(());
        }
        out.push(Recognition::Interim {
            words: told.0.clone(),
            stable: told.1,
        });
        self.following.told = told;
        Ok(())
    }
}

/// A client that has gone needs nothing of what waits.
impl Drop for WhisperStream {
    fn drop(&mut self) {
        self.drop_look();
        if let Some(awaited) = &self.awaited {
            self.workers().take_back(awaited.ticket);
        }
    }
}

impl RecognizerStream for WhisperStream {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.clock.push(samples.len(), Instant::now());
        self.pushed += samples.len() as u64;
        self.backlog.extend(samples);
        self.go_on(out)
    }

    /// Returns where the earliest utterance begins that has no final yet. The words of an
    /// utterance never begin before it.
    fn settled(&self) -> Option<Duration> {
        let next = self.segmenter.settled();
        let awaited = self.awaited.as_ref().map(|awaited| awaited.start);
        Some(time_of(awaited.map_or(next, |awaited| awaited.min(next))))
    }

    fn behind(&self) -> Duration {
        self.awaited
            .as_ref()
            .map_or(Duration::ZERO, |awaited| awaited.since.elapsed())
    }

    /// Returns when the newest utterance was decoded. In a pause that may have been before it was
    /// known to be a final.
    fn worked(&self) -> Option<Worked> {
        self.worked
    }

    fn wake_with(&mut self, waker: Waker) {
        self.bell.set(waker);
    }

    fn is_ready(&self) -> bool {
        self.backlog.len() < BACKLOG
    }

    fn poll(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.go_on(out)
    }

    fn poll_finish(&mut self, out: &mut Vec<Recognition>) -> Result<Poll<()>, RecognizerError> {
        loop {
            self.go_on(out)?;
            let looks = self.shared.config.every_look && self.looking.is_some();
            if self.awaited.is_some() || looks || self.backlog.len() >= FRAME {
                return Ok(Poll::Pending);
            }
            if self.is_finished {
                return Ok(Poll::Ready(()));
            }
            self.is_finished = true;
            let rest: Vec<i16> = self.backlog.drain(..).collect();
            let Ok(()) = self
                .segmenter
                .push(&rest, |_| Ok::<(), std::convert::Infallible>(()));
            if let Some(utterance) = self.segmenter.finish() {
                self.ended(&utterance, out);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        while self.poll_finish(out)?.is_pending() {
            self.bell.wait();
        }
        Ok(())
    }
}

/// Returns after how many words of an utterance in progress it is cut, and behind how many
/// frames of its `samples`; `None` if no word is complete.
///
/// No word is taken for complete that ends in the last third of the audio, or 1.5 s: so what
/// is left is long enough to be recognised if no more is said. The place is the last end of a
/// sentence in the second half, so that the next sentence is decoded as a whole. If there is
/// none, it is the quietest place between two words in the second third.
fn place_of_cut(words: &[TimedWord], samples: &[i16]) -> Option<(usize, usize)> {
    let length = samples.len();
    let unsure = (length / 3).clamp(UNSURE.0, UNSURE.1);
    let is_complete = |word: &&TimedWord| word.end + unsure <= length;
    let complete = words.iter().take_while(is_complete).count();
    let last = complete.checked_sub(1)?;
    let sentence = (0..complete)
        .rev()
        .find(|at| ends_sentence(&words[*at].text) && words[*at].end * 2 >= length);
    let places = match sentence {
        Some(at) => at..=at,
        None => {
            let first = words.iter().position(|word| word.end * 3 >= length);
            first.unwrap_or(last).min(last)..=last
        }
    };
    let places = places.filter_map(|at| {
        let (word, next) = (&words[at], words.get(at + 1));
        // The model's times are a little off, so the quietest frame near them is the place.
        let first = (word.end / FRAME).saturating_sub(OFF);
        let first = first.max(word.start / FRAME + 1);
        let until = next.map_or(word.end, |next| next.start.max(word.end)) / FRAME + OFF;
        let until = until.min(length / FRAME);
        let (energy, frame) = (first..=until).map(|at| (energy(samples, at), at)).min()?;
        Some((energy, at + 1, frame))
    });
    let (_, count, frame) = places.min()?;
    Some((count, frame))
}

/// Returns the energy of the two frames around the end of the first `frames`.
fn energy(samples: &[i16], frames: usize) -> u64 {
    let around = frames.saturating_sub(1) * FRAME..((frames + 1) * FRAME).min(samples.len());
    let around = samples.get(around).unwrap_or_default();
    let sum: u64 = around
        .iter()
        .map(|sample| u64::from(sample.unsigned_abs()).pow(2))
        .sum();
    sum / around.len().max(1) as u64
}

/// Returns how many frames there are up to the last one with a voice.
fn voiced_until(voiced: &[bool]) -> usize {
    voiced
        .iter()
        .rposition(|voiced| *voiced)
        .map_or(0, |last| last + 1)
}

/// Returns `true` if a transcript ends with the end of a sentence.
fn is_closed(transcript: &Transcript) -> bool {
    let last = transcript.words.last();
    last.is_some_and(|word| ends_sentence(&word.text))
}

/// Returns `true` if a word is the last one of a sentence.
fn ends_sentence(word: &str) -> bool {
    let text = word.trim_end_matches(['"', '”', '’', '\'']);
    text.ends_with(['.', '?', '!']) && !text.ends_with("...")
}

/// Returns samples as the model takes them.
fn floats(samples: &[i16]) -> Vec<f32> {
    samples
        .iter()
        .map(|sample| f32::from(*sample) / 32_768.0)
        .collect()
}

/// Returns a word of an utterance that starts at a sample of the stream.
fn recognised(start: u64, word: &TimedWord) -> RecognisedWord {
    let at = |sample: usize| time_of(start + sample as u64);
    RecognisedWord {
        text: word.text.clone(),
        start: at(word.start),
        end: at(word.end),
        confidence: f64::from(word.confidence),
    }
}

#[cfg(test)]
mod tests;
