// SPDX-License-Identifier: MPL-2.0

//! Output that never holds a program up: for standard output, standard error, a
//! pipe or a file.
//!
//! A pipe that nobody reads, a terminal after Ctrl-S and a network file system
//! that hangs block whoever writes. A program that listens to a socket must not be
//! blocked, or it loses its connection. So a thread writes, and takes items from a
//! queue: an [`Outlet`]. [`Notes`] are lines on standard error by the same means.
//!
//! The queue holds [`QUEUE_BYTES`]. What comes while it is full is dropped whole and
//! counted ([`Outlet::lost`]). An error of the output ends the writing; every later
//! call returns it.

use crate::visible;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// Most that waits to be written: the captions of hours.
pub const QUEUE_BYTES: usize = 1 << 20;
/// Longest that one flush waits. The next ones do not wait until all is written.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest that the end of a program waits for its last notes.
const LAST_NOTES: Duration = Duration::from_secs(1);

/// Hands items to a thread that writes them. What one call of `write` brings is one
/// item. Clones write to the same output.
#[derive(Debug, Clone)]
pub struct Outlet {
    shared: Arc<Shared>,
    /// Of all clones; the thread has none.
    _last: Arc<Last>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the thread is writing an item that is no longer in the queue.
    writing: bool,
    /// Whether a flush has waited in vain since all was written.
    behind: bool,
    lost: u64,
    failure: Option<io::Error>,
    /// Whether nothing will come any more.
    over: bool,
}

impl Outlet {
    /// Starts the thread, which opens its output first.
    ///
    /// # Errors
    ///
    /// If the system has no thread. An error of `open` comes from later calls.
    pub fn start<W: Write>(
        open: impl FnOnce() -> io::Result<W> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let outlet = Self {
            shared: Arc::clone(&shared),
            _last: Arc::new(Last(Arc::clone(&shared))),
        };
        let work = move || {
            let ended = open().and_then(|out| shared.work(out));
            let mut state = shared.state();
            state.failure = ended.err();
            state.writing = false;
            state.queue.clear();
            shared.changed.notify_all();
        };
        Builder::new().name("outlet".into()).spawn(work)?;
        Ok(outlet)
    }

    /// Starts an outlet to standard output.
    ///
    /// # Errors
    ///
    /// As [`Outlet::start`].
    pub fn stdout() -> io::Result<Self> {
        Self::start(|| Ok(io::stdout()))
    }

    /// Returns how many items were dropped because the queue was full.
    pub fn lost(&self) -> u64 {
        self.shared.state().lost
    }

    /// Waits until all is written, for `bound` at most. Returns how many items are
    /// not written yet.
    ///
    /// # Errors
    ///
    /// Why the output could not be opened or written.
    pub fn finish(&self, bound: Duration) -> io::Result<usize> {
        let until = Instant::now() + bound;
        let mut state = self.shared.state();
        loop {
            if let Some(failure) = &state.failure {
                return Err(same(failure));
            }
            let left = state.queue.len() + usize::from(state.writing);
            let patience = until.saturating_duration_since(Instant::now());
            if left == 0 || patience.is_zero() {
                return Ok(left);
            }
            let waited = self.shared.changed.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Write for Outlet {
    fn write(&mut self, item: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.state();
        if let Some(failure) = &state.failure {
            return Err(same(failure));
        }
        // One item may be larger than the queue.
        if !state.queue.is_empty() && state.bytes + item.len() > QUEUE_BYTES {
            state.lost += 1;
        } else {
            state.bytes += item.len();
            state.queue.push_back(item.to_vec());
            self.shared.changed.notify_all();
        }
        Ok(item.len())
    }

    /// Waits until all is written, but not for long, and not again before the output
    /// has caught up.
    fn flush(&mut self) -> io::Result<()> {
        let behind = self.shared.state().behind;
        let patience = if behind { Duration::ZERO } else { PATIENCE };
        if self.finish(patience)? > 0 {
            self.shared.state().behind = true;
        }
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, until nothing will.
    fn work(&self, mut out: impl Write) -> io::Result<()> {
        while let Some(item) = self.next() {
            // The lock is not held: this may take for ever.
            out.write_all(&item)?;
            out.flush()?;
        }
        Ok(())
    }

    fn next(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        state.writing = false;
        loop {
            if let Some(item) = state.queue.pop_front() {
                state.bytes -= item.len();
                state.writing = true;
                return Some(item);
            }
            state.behind = false;
            self.changed.notify_all();
            if state.over {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Ends the thread when it has written all.
#[derive(Debug)]
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.state().over = true;
        self.0.changed.notify_all();
    }
}

/// Returns an error that says the same.
fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Lines on standard error that begin with the name of the program. They never
/// hold it up nor end it: what cannot be written is dropped.
#[derive(Debug, Clone)]
pub struct Notes {
    program: String,
    /// Absent where the system has no thread.
    outlet: Option<Outlet>,
}

impl Notes {
    /// Starts the notes of `program`.
    pub fn new(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            outlet: Outlet::start(|| Ok(io::stderr())).ok(),
        }
    }

    /// Writes a note. Each of its lines is made [`visible`].
    pub fn tell(&self, note: &str) {
        let Some(mut outlet) = self.outlet.clone() else {
            return;
        };
        let lines: Vec<String> = note.lines().map(visible).collect();
        let note = format!("{}: {}\n", self.program, lines.join("\n"));
        // There is no other place to tell it.
        let _ = outlet
            .write_all(note.as_bytes())
            .and_then(|()| outlet.flush());
    }

    /// Waits for a moment until all is written. To be called before the program ends.
    pub fn finish(&self) {
        if let Some(outlet) = &self.outlet {
            let _ = outlet.finish(LAST_NOTES);
        }
    }
}
