// SPDX-License-Identifier: MPL-2.0

//! A run: one subject with its audio, in a process of its own.
//!
//! What it is told on standard input: `eos` (the audio ends here). When that is
//! closed, everything is stopped. What it says: [`Word`]s.

use super::child::{Child, SOON};
use super::clock::Spread;
use super::server::Address;
use super::subject::Subject;
use super::{Problem, bare, stream};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const ROLE: &str = "run";

/// What is to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub subject: Subject,
    pub server: Address,
    pub audio: Audio,
    /// How many at once.
    pub sinks: usize,
    /// Further properties of symblsink.
    pub properties: String,
}

/// Where the audio comes from: 16 kHz, S16LE, mono.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Audio {
    /// A file to its end.
    File {
        path: PathBuf,
        /// Bytes of a buffer; of a frame, for the bare client.
        bytes: usize,
        /// In real time, or as fast as it is taken.
        paced: bool,
    },
    /// A live source per sink, with stamps. Bytes of a buffer.
    Live { bytes: usize },
    /// Pushed into all sinks by two threads, with stamps.
    Fed {
        bytes: usize,
        /// So many buffers at once, without any wait, and no more.
        burst: Option<usize>,
    },
}

/// What a run says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Word {
    /// All sinks are there, and the first buffers have come to them. For symblsink:
    /// all are in the state `listening`, again after each time that none was.
    Ready {
        at: u64,
    },
    Done(Done),
}

/// How it was.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// Seconds from the start of the audio to its end.
    pub wall: f64,
    /// Seconds of CPU in that time.
    pub cpu: f64,
    /// Stamped buffers that were pushed.
    pub pushed: u64,
    /// From a result at the server to its message on the bus.
    pub results: Spread,
    /// Seconds that the change to NULL took.
    pub null: f64,
    /// From the sinks' `stats`, in seconds.
    pub dropped: f64,
    pub gaps: u64,
    /// `symbl/state` messages that a connection was lost.
    pub lost: u64,
}

/// Does two things at once, of which neither is timed.
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
    /// Of one sink.
    pub fn new(subject: Subject, server: Address, audio: Audio) -> Self {
        Self {
            subject,
            server,
            audio,
            sinks: 1,
            properties: String::new(),
        }
    }

    /// Starts it.
    pub fn start(&self) -> Result<Running, Problem> {
        self.start_under(&[])
    }

    /// Starts it with a command in front.
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

/// A run that goes on.
pub struct Running {
    pub child: Child,
    pub subject: Subject,
}

impl Running {
    /// Waits until it is ready; when that was, on the common clock.
    pub fn ready(&mut self, bound: Duration) -> Result<u64, Problem> {
        match self.child.answer(bound).map_err(|error| self.of(error))? {
            Word::Ready { at } => Ok(at),
            Word::Done(_) => Err(self.of("it ended before it was ready".into())),
        }
    }

    /// Waits until it has come to its end.
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
