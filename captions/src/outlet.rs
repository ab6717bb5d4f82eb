// SPDX-License-Identifier: MPL-2.0

//! Writes to an output without ever blocking the program: standard output, standard
//! error, a pipe or a file.
//!
//! A pipe without a reader, a terminal after Ctrl-S and a network file system that
//! hangs block their writer. A program that listens to a socket must not block, or it
//! loses its connection. So an [`Outlet`] puts items in a queue, and a thread writes
//! them. [`Notes`] writes lines to standard error in the same way.
//!
//! The queue holds [`QUEUE_BYTES`]. An item that comes while it is full is dropped
//! whole and counted ([`Outlet::lost`]). An error of the output ends the writing, and
//! every later call returns it.

use crate::visible;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// Maximum number of bytes in the queue. That is hours of captions.
pub const QUEUE_BYTES: usize = 1 << 20;
/// Maximum time that one flush waits. Later flushes do not wait until the queue was
/// empty once.
const PATIENCE: Duration = Duration::from_millis(500);
/// Maximum time that the end of a program waits for its last notes.
const LAST_NOTES: Duration = Duration::from_secs(1);

/// Hands items to a thread that writes them. One call of `write` is one item. Clones
/// write to the same output.
#[derive(Debug, Clone)]
pub struct Outlet {
    shared: Arc<Shared>,
    /// Ends the thread when the last clone is dropped. The thread itself holds none.
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
    /// `true` while the thread writes an item that is no longer in the queue.
    writing: bool,
    /// `true` if a flush has timed out since the queue was last empty.
    behind: bool,
    lost: u64,
    failure: Option<io::Error>,
    /// `true` if no more items will come.
    over: bool,
}

impl Outlet {
    /// Starts the thread, which opens its output first.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no thread. An error of `open` is returned
    /// by later calls.
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

    /// Starts an outlet that writes to standard output.
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

    /// Waits until everything is written, for `bound` at most. Returns how many items
    /// are not written yet.
    ///
    /// # Errors
    ///
    /// Returns the error that opening or writing the output failed with.
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
        // A single item may be larger than the queue, so an empty queue takes any.
        if !state.queue.is_empty() && state.bytes + item.len() > QUEUE_BYTES {
            state.lost += 1;
        } else {
            state.bytes += item.len();
            state.queue.push_back(item.to_vec());
            self.shared.changed.notify_all();
        }
        Ok(item.len())
    }

    /// Waits until everything is written, for 500 ms at most. After a timeout
    /// it does not wait again until the queue was empty once.
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

    /// Writes items until the outlet is dropped.
    fn work(&self, mut out: impl Write) -> io::Result<()> {
        while let Some(item) = self.next() {
            // The lock is not held here, because this may block forever.
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

/// Ends the thread, once the queue is empty, when it is dropped.
#[derive(Debug)]
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.state().over = true;
        self.0.changed.notify_all();
    }
}

/// Returns a copy of `error`.
fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Lines on standard error that begin with the name of the program. They never block
/// or end the program: a line that cannot be written is dropped.
#[derive(Debug, Clone)]
pub struct Notes {
    program: String,
    /// `None` if the system had no thread.
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

    /// Writes a note. Each of its lines goes through [`visible`].
    pub fn tell(&self, note: &str) {
        let Some(mut outlet) = self.outlet.clone() else {
            return;
        };
        let lines: Vec<String> = note.lines().map(visible).collect();
        let note = format!("{}: {}\n", self.program, lines.join("\n"));
        // An error of standard error cannot be reported anywhere.
        let _ = outlet
            .write_all(note.as_bytes())
            .and_then(|()| outlet.flush());
    }

    /// Waits up to a second until everything is written. Call it before the
    /// program ends.
    pub fn finish(&self) {
        if let Some(outlet) = &self.outlet {
            let _ = outlet.finish(LAST_NOTES);
        }
    }
}
