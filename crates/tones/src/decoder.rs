// SPDX-License-Identifier: MPL-2.0

//! Turns samples into words and their edges.
//!
//! A window slides over the audio in hops of 5 ms. Hops that read as the same word are
//! joined to a run, and a run of 100 ms is a word. The edges of a word are where its
//! softest tone falls to half its level, interpolated between hops. That is accurate to a
//! millisecond or two, next to silence and next to another word.

use crate::SAMPLE_RATE;
use crate::sound::{HOP, Spectrum, WINDOW, measure};
use std::collections::VecDeque;
use std::time::Duration;

/// Least part of a word that counts as the word, in hops: 100 ms less the error of an
/// edge. If a word is cut into two exact halves, it is better to report it twice than
/// never.
const COUNTS: f64 = 19.6;

/// Another word must sound for this many hops to end the word before it. The mixture at
/// the boundary of two words may read as a third word for a shorter time.
const TAKES_OVER: u64 = 6;

/// A word may be disturbed for this many hops (60 ms) and is still one word.
const BRIDGES: u64 = 12;

/// Number of spectra that are kept to find edges in: 400 ms.
const HISTORY: usize = 80;

/// Most samples that are kept beside those of a window.
const AT_ONCE: usize = 4096;

/// What a [`Decoder`] finds in the audio. Times count from its beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// Enough of a word to know it.
    Word {
        /// The number that was spoken.
        code: u16,
        /// Where it begins.
        start: Duration,
    },
    /// The last word is over.
    EndOfWord {
        /// Where it ends.
        end: Duration,
    },
    /// No word for as long as ends an utterance.
    Quiet,
}

/// Consecutive hops that read as one word. Positions are in hops.
#[derive(Debug, Clone, Copy)]
struct Run {
    code: u16,
    first: u64,
    last: u64,
    peak: f32,
    counted: bool,
}

impl Run {
    fn new(code: u16, at: u64, level: f32) -> Self {
        Self {
            code,
            first: at,
            last: at,
            peak: level,
            counted: false,
        }
    }

    fn extend(&mut self, at: u64, level: f32) {
        self.last = at;
        self.peak = self.peak.max(level);
    }
}

/// Recognises the words in one stream of audio, mono at [`SAMPLE_RATE`].
#[derive(Debug)]
pub struct Decoder {
    /// An utterance ends when no word has come for this long.
    pause: Duration,
    /// Samples that windows to come still need.
    samples: Vec<i16>,
    /// Samples taken from the stream.
    length: u64,
    /// The next hop; its window is centred on sample `hop`·[`HOP`].
    hop: u64,
    /// The newest spectra; the last belongs to `hop` − 1.
    history: VecDeque<Spectrum>,
    current: Option<Run>,
    rival: Option<Run>,
    /// End of the last word while the utterance is open.
    last_end: Option<f64>,
    /// No edge lies before this.
    edge: f64,
}

impl Decoder {
    /// Begins a stream. An utterance ends when no word has come for the time of `pause`.
    pub fn new(pause: Duration) -> Self {
        Self {
            pause,
            // The first window is centred on the first sample.
            samples: vec![0; WINDOW / 2],
            length: 0,
            hop: 0,
            history: VecDeque::with_capacity(HISTORY),
            current: None,
            rival: None,
            last_end: None,
            edge: 0.0,
        }
    }

    /// Takes the next samples, and adds what is known by them to `heard`.
    pub fn push(&mut self, samples: &[i16], heard: &mut Vec<Event>) {
        self.length += samples.len() as u64;
        for samples in samples.chunks(AT_ONCE) {
            self.listen(samples, heard);
        }
    }

    /// Ends the audio, and with it the word in progress.
    pub fn finish(&mut self, heard: &mut Vec<Event>) {
        let quiet = WINDOW + (BRIDGES as usize + 2) * HOP;
        self.listen(&vec![0; quiet], heard);
        self.end_current(heard);
    }

    fn listen(&mut self, samples: &[i16], heard: &mut Vec<Event>) {
        self.samples.extend_from_slice(samples);
        let mut taken = 0;
        while let Some(window) = self.samples.get(taken..).and_then(<[i16]>::first_chunk) {
            let spectrum = measure(window);
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(spectrum);
            taken += HOP;
            self.hop += 1;
            self.judge(self.hop - 1, &spectrum, heard);
        }
        self.samples.drain(..taken);
    }

    fn judge(&mut self, at: u64, spectrum: &Spectrum, heard: &mut Vec<Event>) {
        if let Some(code) = spectrum.code() {
            let level = spectrum.level(code);
            match &mut self.current {
                Some(run) if run.code == code => {
                    run.extend(at, level);
                    self.rival = None;
                }
                Some(_) => self.contend(code, at, level, heard),
                None => self.current = Some(Run::new(code, at, level)),
            }
        }
        if self.current.is_some_and(|run| at > run.last + BRIDGES) {
            self.end_current(heard);
            self.current = self.rival.take();
        }
        self.count(at, heard);
        self.quiet(at, heard);
    }

    /// Takes a hop in which another word sounds than the current one.
    fn contend(&mut self, code: u16, at: u64, level: f32, heard: &mut Vec<Event>) {
        let rival = match &mut self.rival {
            Some(run) if run.code == code => {
                run.extend(at, level);
                *run
            }
            other => *other.insert(Run::new(code, at, level)),
        };
        if rival.last - rival.first + 1 >= TAKES_OVER {
            self.end_current(heard);
            self.current = self.rival.take();
        }
    }

    /// Reports the current word as soon as enough of it has come.
    fn count(&mut self, at: u64, heard: &mut Vec<Event>) {
        let Some(run) = self.current else { return };
        if run.counted || run.last != at || self.level(run.code, at) < run.peak / 2.0 {
            return;
        }
        let start = self.start_of(&run);
        if at as f64 - start >= COUNTS {
            self.tell(run, start, heard);
        }
    }

    fn tell(&mut self, run: Run, start: f64, heard: &mut Vec<Event>) {
        self.current = Some(Run {
            counted: true,
            ..run
        });
        self.edge = start;
        heard.push(Event::Word {
            code: run.code,
            start: self.time(start),
        });
    }

    fn end_current(&mut self, heard: &mut Vec<Event>) {
        let Some(run) = self.current.take() else {
            return;
        };
        let end = self.end_of(&run);
        if !run.counted {
            // With the part between the last whole hop and the edge, it may be enough.
            let start = self.start_of(&run);
            if end - start < COUNTS {
                return;
            }
            self.tell(run, start, heard);
            self.current = None;
        }
        self.edge = self.edge.max(end);
        self.last_end = Some(self.edge);
        heard.push(Event::EndOfWord {
            end: self.time(self.edge),
        });
    }

    fn quiet(&mut self, at: u64, heard: &mut Vec<Event>) {
        let Some(end) = self.last_end else { return };
        let limit = end + hops(self.pause);
        let undecided = self
            .current
            .is_some_and(|run| run.counted || (run.first as f64) < limit);
        if at as f64 >= limit && !undecided {
            self.last_end = None;
            heard.push(Event::Quiet);
        }
    }

    fn level(&self, code: u16, at: u64) -> f32 {
        let oldest = self.hop - self.history.len() as u64;
        at.checked_sub(oldest)
            .and_then(|i| self.history.get(i as usize))
            .map_or(0.0, |spectrum| spectrum.level(code))
    }

    /// Returns where the level of a run rises through half its peak.
    fn start_of(&self, run: &Run) -> f64 {
        let half = run.peak / 2.0;
        let mut at = run.first;
        while at < run.last && self.level(run.code, at) < half {
            at += 1;
        }
        loop {
            let Some(before) = at.checked_sub(1) else {
                return self.edge.max(0.0);
            };
            let (low, high) = (self.level(run.code, before), self.level(run.code, at));
            if low < half || (before as f64) < self.edge {
                return (before as f64 + crossing(low, high, half)).max(self.edge);
            }
            at = before;
        }
    }

    /// Returns where the level of a run falls through half its peak.
    fn end_of(&self, run: &Run) -> f64 {
        let half = run.peak / 2.0;
        let mut at = run.last;
        while at > run.first && self.level(run.code, at) < half {
            at -= 1;
        }
        while at + 1 < self.hop {
            let (high, low) = (self.level(run.code, at), self.level(run.code, at + 1));
            if low < half {
                return at as f64 + 1.0 - crossing(low, high, half);
            }
            at += 1;
        }
        at as f64
    }

    /// Returns the time before which no word begins that is still to come. The start of a word
    /// is looked for in the history, and never before the last edge.
    pub fn settled(&self) -> Duration {
        let oldest = self.hop.saturating_sub(HISTORY as u64 + 1);
        self.time(self.edge.max(oldest as f64))
    }

    /// Returns the time of a position in hops, at most the length of the stream.
    fn time(&self, hops: f64) -> Duration {
        let samples = (hops * HOP as f64).round().max(0.0) as u64;
        let nanos = samples.min(self.length) * 1_000_000_000 / u64::from(SAMPLE_RATE);
        Duration::from_nanos(nanos)
    }
}

fn hops(length: Duration) -> f64 {
    length.as_secs_f64() * f64::from(SAMPLE_RATE) / HOP as f64
}

/// Returns how far the value `at` is on the way from `low` to `high`, 0–1.
fn crossing(low: f32, high: f32, at: f32) -> f64 {
    if high > low {
        f64::from((at - low) / (high - low)).clamp(0.0, 1.0)
    } else {
        0.5
    }
}
