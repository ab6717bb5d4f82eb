// SPDX-License-Identifier: MPL-2.0

//! A run: one subject with its audio, in a process of its own.
//!
//! The process reads `eos` from standard input, which ends the audio, and `settled`, from
//! which on text pads are measured. When standard
//! input is closed, it stops everything. It writes [`Word`]s to standard output.

use super::child::{Child, SOON};
use super::clock::Spread;
use super::server::Address;
use super::subject::Subject;
use super::{Problem, bare, stream};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const ROLE: &str = "run";

/// The parameters of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub subject: Subject,
    pub server: Address,
    pub audio: Audio,
    /// Number of sinks that run at once.
    pub sinks: usize,
    /// Further properties of our elements.
    pub properties: String,
}

/// The source of the audio: 16 kHz, S16LE, mono.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Audio {
    /// A file, up to its end.
    File {
        path: PathBuf,
        /// Bytes in a buffer; for the bare client, in a frame.
        bytes: usize,
        /// `true` for real time, `false` for as fast as the subject takes it.
        paced: bool,
    },
    /// A live source per sink, with stamps and buffers of this many bytes.
    Live { bytes: usize },
    /// Two threads that push into all sinks, with stamps.
    Fed {
        bytes: usize,
        /// Push this many buffers at once without waiting, and no more.
        burst: Option<usize>,
    },
}

/// What a run reports.
#[derive(Debug, Serialize, Deserialize)]
pub enum Word {
    /// All sinks have received their first buffers. For symblsink: all sinks are in
    /// the state `listening`, again after each time that none was.
    Ready {
        at: u64,
    },
    Done(Done),
}

/// The result of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// Seconds from the start of the audio to its end.
    pub wall: f64,
    /// CPU time in that time, in seconds.
    pub cpu: f64,
    /// Number of stamped buffers that were pushed.
    pub pushed: u64,
    /// Delay from a result at the server to its message on the bus.
    pub results: Spread,
    /// Duration of the change to NULL, in seconds.
    pub null: f64,
    /// Dropped audio in the sinks' `stats`, in seconds.
    pub dropped: f64,
    pub gaps: u64,
    /// Number of `symbl/state` messages that report a lost connection.
    pub lost: u64,
    /// How far text pads were behind their promise.
    pub behind: Spread,
    /// Delay from a final at the server to its buffer on the text pad.
    pub finals: Spread,
}

/// Runs two functions at once, neither of which is timed.
pub fn both<T: Send>(one: impl FnOnce() -> T + Send, other: impl FnOnce() -> T) -> (T, T) {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        match one.join() {
            Ok(one) => (one, other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

pub fn play(run: Run) -> Result<(), Problem> {
    match run.subject {
        Subject::Bare => bare::play(&run),
        _ => stream::play(&run),
    }
}

impl Run {
    /// Creates a run with one sink.
    pub fn new(subject: Subject, server: Address, audio: Audio) -> Self {
        Self {
            subject,
            server,
            audio,
            sinks: 1,
            properties: String::new(),
        }
    }

    /// Starts the run.
    pub fn start(&self) -> Result<Running, Problem> {
        self.start_under(&[])
    }

    /// Starts the run under another command.
    pub fn start_under(&self, command: &[String]) -> Result<Running, Problem> {
        let mut before = self.subject.environment(self.server);
        before.extend_from_slice(command);
        let child = Child::start_under(&before, ROLE, self)?;
        Ok(Running {
            child,
            subject: self.subject,
        })
    }
}

/// A run in progress.
pub struct Running {
    pub child: Child,
    pub subject: Subject,
}

impl Running {
    /// Waits until the run is ready, and returns when that was, on the common clock.
    pub fn ready(&mut self, bound: Duration) -> Result<u64, Problem> {
        match self.child.answer(bound).map_err(|error| self.of(error))? {
            Word::Ready { at } => Ok(at),
            Word::Done(_) => Err(self.of("it ended before it was ready".into())),
        }
    }

    /// Waits until the run has ended.
    pub fn done(self, bound: Duration) -> Result<Done, Problem> {
        let end = Instant::now() + bound;
        let (mut child, subject) = (self.child, self.subject.name());
        let done = loop {
            let left = end.saturating_duration_since(Instant::now());
            match child
                .answer(left)
                .map_err(|error| format!("{subject}: {error}"))?
            {
                Word::Ready { .. } => {}
                Word::Done(done) => break done,
            }
        };
        child
            .wait(SOON)
            .map_err(|error| format!("{subject}: {error}"))?;
        Ok(done)
    }

    /// Ends the audio, and waits for the rest.
    pub fn eos(mut self, bound: Duration) -> Result<Done, Problem> {
        self.child.tell("eos")?;
        self.done(bound)
    }

    fn of(&self, error: Problem) -> Problem {
        format!("{}: {error}", self.subject.name()).into()
    }
}
