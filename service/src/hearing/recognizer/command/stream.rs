// SPDX-License-Identifier: MPL-2.0

//! One stream of audio, over all processes that recognise it.
//!
//! A process counts its audio from zero, and the stream counts from its first sample. The
//! difference is the position at which the process was started. Audio for which a result
//! came before a process died is settled and is not given to the next one, so no word
//! comes twice.

use super::backlog::Backlog;
use super::pace::ProcessPace;
use super::process::{Ended, Event, Process, duration};
use super::{ENGINE, Shared, failed, unavailable};
use crate::hearing::parked;
use crate::hearing::recognizer::bell::Bell;
use crate::hearing::recognizer::{
    RecognisedWord, Recognition, RecognizerError, RecognizerStream, SAMPLE_RATE, StreamOptions,
};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use symbl_protocol::recognizer::{LineError, OutputLine};

/// Samples that are given at a time: 100 ms.
const CHUNK: usize = 1600;

/// Samples that may wait while the stream takes more: 2 s.
const MOST_WAITING: u64 = 32_000;

pub(super) struct CommandStream {
    shared: Arc<Shared>,
    options: StreamOptions,
    /// Wakes the stream from the threads of its processes.
    bell: Arc<Bell>,
    backlog: Backlog,
    pace: ProcessPace,
    process: Option<Process>,
    /// Position at which the process was started.
    offset: u64,
    /// Position up to which any process has taken the audio.
    furthest: u64,
    /// Position up to which this process has taken the audio.
    taken: u64,
    /// When the next process is due.
    due: Instant,
    delays: ExponentialBackoff,
    deaths: u32,
    /// Number of lines of this process that could not be read.
    bad: u64,
    /// When the last result is due, once the audio is over.
    finish_by: Option<Instant>,
}

impl CommandStream {
    pub(super) fn open(
        shared: Arc<Shared>,
        options: StreamOptions,
    ) -> Result<Self, RecognizerError> {
        let bell = Arc::default();
        let process = shared.start(&options, &bell).map_err(|error| {
            let hint = "Start the command by hand to see what is wrong";
            unavailable(&shared.program, &error.to_string(), hint)
        })?;
        let now = Instant::now();
        Ok(Self {
            delays: delays(&shared),
            shared,
            options,
            bell,
            backlog: Backlog::new(),
            pace: ProcessPace::new(now),
            process: Some(process),
            offset: 0,
            furthest: 0,
            taken: 0,
            due: now,
            deaths: 0,
            bad: 0,
            finish_by: None,
        })
    }

    /// Exchanges audio and results with the process and checks it, without waiting.
    fn turn(&mut self, now: Instant, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.attend(now, out)?;
        self.check(now, out)
    }

    /// Replaces a process that has ended, gives it audio, and takes its results.
    fn attend(&mut self, now: Instant, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        if self.process.is_none() && now >= self.due {
            self.restart(now, out)?;
        }
        self.give();
        while let Some(event) = self.process.as_mut().and_then(Process::event) {
            self.event(event, out);
            self.give();
        }
        Ok(())
    }

    fn give(&mut self) {
        let Some(process) = &self.process else { return };
        while self.backlog.waiting() > 0 {
            let chunk = self.backlog.chunk(CHUNK);
            let samples = chunk.len() / 2;
            if !process.give(chunk) {
                return;
            }
            self.backlog.given(samples);
        }
    }

    /// Checks that the process is alive and fast enough.
    fn check(&mut self, now: Instant, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let limits = &self.shared.limits;
        self.pace.tick(now, self.backlog.end() > self.taken);
        let behind = self.pace.behind();
        if behind > limits.behind {
            return Err(RecognizerError::Behind {
                engine: ENGINE,
                behind,
            });
        }
        let hangs = self.pace.hangs(now, limits);
        let ended = match &mut self.process {
            None => return Ok(()),
            Some(process) => process.ended(now).or_else(|| {
                hangs.map(|how| Ended {
                    success: false,
                    how,
                })
            }),
        };
        match ended {
            Some(ended) => self.died(&ended.how, now, out),
            None => Ok(()),
        }
    }

    fn died(
        &mut self,
        how: &str,
        now: Instant,
        out: &mut Vec<Recognition>,
    ) -> Result<(), RecognizerError> {
        // Dropping the process kills it.
        self.process = None;
        self.deaths += 1;
        let connection = &self.options.connection;
        tracing::warn!(
            connection,
            how,
            deaths = self.deaths,
            "recogniser process ended"
        );
        if self.deaths > self.shared.limits.deaths {
            let times = self.deaths;
            return Err(failed(format!(
                "its process ended {times} times in a row: {how}"
            )));
        }
        self.due = now
            + self
                .delays
                .next()
                .unwrap_or(self.shared.limits.longest_delay);
        self.offset = self.backlog.rewind();
        self.taken = self.offset;
        out.extend(self.backlog.take_lost().map(|lost| Recognition::Gap {
            start: duration(lost.start),
            end: duration(lost.end),
        }));
        Ok(())
    }

    fn restart(&mut self, now: Instant, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.bad = 0;
        match self.shared.start(&self.options, &self.bell) {
            Ok(process) => {
                self.shared.restarts.fetch_add(1, Ordering::Relaxed);
                let again = duration(self.furthest.saturating_sub(self.offset));
                tracing::info!(
                    connection = self.options.connection,
                    ?again,
                    "recogniser restarted"
                );
                self.process = Some(process);
                self.pace.answered(now);
                Ok(())
            }
            Err(error) => self.died(&error.to_string(), now, out),
        }
    }

    fn event(&mut self, event: Event, out: &mut Vec<Recognition>) {
        match event {
            Event::Taken(samples) => {
                self.taken += samples as u64;
                let new = self.taken.saturating_sub(self.furthest);
                self.furthest = self.furthest.max(self.taken);
                self.pace.taken(duration(new));
            }
            Event::Line(Ok(line)) => {
                self.pace.answered(Instant::now());
                self.line(line, out);
            }
            Event::Line(Err(error)) => self.skip(&error),
            Event::Silent | Event::Exited { .. } => {}
        }
    }

    fn skip(&mut self, error: &LineError) {
        self.bad += 1;
        let (connection, skipped) = (&self.options.connection, self.bad);
        if skipped == 1 {
            tracing::warn!(connection, %error, "a line of the recogniser is skipped, as others may be");
        } else {
            tracing::debug!(connection, %error, skipped, "a line of the recogniser is skipped");
        }
    }

    fn line(&mut self, line: OutputLine, out: &mut Vec<Recognition>) {
        let zero = duration(self.offset);
        match line {
            OutputLine::Partial {
                text,
                words,
                stable,
                start,
            } => {
                let words = match words.is_empty() {
                    true => self.untimed(&text, start.map(|start| zero + start)),
                    false => self.placed(words, zero),
                };
                if self.options.interim && !words.is_empty() {
                    let stable = stable.min(words.len());
                    out.push(Recognition::Interim { words, stable });
                }
            }
            OutputLine::Final {
                words,
                punctuated,
                end,
            } => {
                let words = self.placed(words, zero);
                self.settle(zero + end);
                if !words.is_empty() {
                    out.push(Recognition::Final { words, punctuated });
                }
            }
            OutputLine::Progress { end } => self.settle(zero + end),
            OutputLine::Unknown => {}
        }
    }

    /// Returns the words of a text without times. All of them start and end where the
    /// utterance starts.
    fn untimed(&self, text: &str, start: Option<Duration>) -> Vec<RecognisedWord> {
        let start = start.unwrap_or(duration(self.backlog.settled()));
        let start = start.min(duration(self.backlog.next()));
        let word = |text: &str| RecognisedWord {
            text: text.to_owned(),
            start,
            end: start,
            confidence: 1.0,
        };
        text.split_whitespace().map(word).collect()
    }

    /// Returns the words with times of the stream, without words whose audio is settled. A
    /// word that begins in settled audio and is mostly behind it begins at its end.
    fn placed(&self, words: Vec<RecognisedWord>, zero: Duration) -> Vec<RecognisedWord> {
        let settled = duration(self.backlog.settled());
        // No word can end after the audio that the process was given.
        let given = duration(self.backlog.next());
        words
            .into_iter()
            .map(|word| RecognisedWord {
                start: (zero + word.start).min(given),
                end: (zero + word.end).min(given),
                ..word
            })
            .filter(|word| word.start + (word.end - word.start) / 2 >= settled)
            .map(|word| RecognisedWord {
                start: word.start.max(settled),
                ..word
            })
            .collect()
    }

    fn settle(&mut self, to: Duration) {
        let samples = to.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000;
        if self
            .backlog
            .settle(u64::try_from(samples).unwrap_or(u64::MAX))
        {
            self.deaths = 0;
            self.delays = delays(&self.shared);
        }
    }

    /// Returns `true` if no result is missing after this end of the process.
    fn is_done(&self, ended: &Ended) -> bool {
        let all = self.backlog.waiting() == 0;
        all && (ended.success || self.backlog.settled() == self.backlog.end())
    }
}

fn delays(shared: &Shared) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(shared.limits.first_delay)
        .with_max_delay(shared.limits.longest_delay)
        .without_max_times()
        .with_jitter()
        .build()
}

impl RecognizerStream for CommandStream {
    fn behind(&self) -> Duration {
        self.pace.behind()
    }

    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.turn(Instant::now(), out)?;
        let voiced = self.backlog.push(samples);
        self.pace.spoken(duration(voiced as u64));
        self.give();
        Ok(())
    }

    /// Returns the end of the audio for which the command has given all results. It cannot
    /// tell before the first result.
    fn settled(&self) -> Option<Duration> {
        let settled = self.backlog.settled();
        (settled > 0).then(|| duration(settled))
    }

    /// Returns `Some(false)` while there is speech without a result. Otherwise the command may
    /// still owe the final of an interim, which it does not tell.
    fn is_resting(&self, _: Duration) -> Option<bool> {
        (!self.backlog.is_quiet()).then_some(false)
    }

    fn wake_with(&mut self, waker: Waker) {
        self.bell.set(waker);
    }

    /// Returns `false` while too much audio waits. The client's socket is not read then.
    fn is_ready(&self) -> bool {
        self.backlog.waiting() <= MOST_WAITING
    }

    fn poll_by(&self) -> Option<Instant> {
        let waits = self.backlog.end() > self.taken;
        let times = match &self.process {
            // Without a process, none can hang.
            None => [self.finish_by, Some(self.due), None],
            Some(process) => [
                self.finish_by,
                self.pace.due(&self.shared.limits, waits),
                process.ends_by(),
            ],
        };
        times.into_iter().flatten().min()
    }

    fn poll(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.turn(Instant::now(), out)
    }

    fn poll_finish(&mut self, out: &mut Vec<Recognition>) -> Result<Poll<()>, RecognizerError> {
        let now = Instant::now();
        let bound = self.shared.limits.finish;
        if now >= *self.finish_by.get_or_insert(now + bound) {
            self.process = None;
            return Err(failed(format!(
                "it did not end within {bound:?} after the audio"
            )));
        }
        self.attend(now, out)?;
        if self.backlog.waiting() == 0
            && let Some(process) = &mut self.process
        {
            process.finish();
            if let Some(ended) = process.ended(now) {
                if self.is_done(&ended) {
                    self.process = None;
                    return Ok(Poll::Ready(()));
                }
                self.died(&ended.how, now, out)?;
            }
        }
        self.check(now, out)?;
        Ok(Poll::Pending)
    }

    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.wake_with(parked::waker());
        while self.poll_finish(out)?.is_pending() {
            parked::until(self.poll_by());
        }
        Ok(())
    }
}
