// SPDX-License-Identifier: MPL-2.0

//! The service's log: what must not happen because of it.
//!
//! A line goes from the thread that writes it into a bounded queue, and from there a
//! thread of its own writes it to standard error. So a pipe that nobody reads, a full
//! disk or a terminal that was closed costs lines, and never a socket: lines that find
//! the queue full are counted ([`Lost`], `/metrics`), and one line says how many there
//! were as soon as there is room. Nothing else may write to standard output or standard
//! error while the service runs; the message of a panic goes through the log as well.
//!
//! Lines about a client name it, whoever writes them: `clients` adds the address, the
//! connection id and the conversation id of the client's span, and bounds how many
//! lines one socket and one address can cause.

mod budget;
mod clients;
mod line;
mod writer;

use clients::Clients;
use line::Line;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::mpsc;
use std::time::Duration;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use writer::Counting;

pub(crate) use clients::span;
pub use writer::Lost;

/// Lines that wait to be written. A line has a few hundred bytes.
const QUEUE: usize = 4096;

/// The log of this process. It writes what waits when it is finished.
#[derive(Debug)]
pub struct Log {
    writer: WorkerGuard,
    lost: Lost,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("the log of this process was set up already")]
pub struct LogError;

impl Log {
    /// Sends all events of this process that `filter` lets through to `output`.
    ///
    /// # Errors
    ///
    /// The process has a log already.
    pub fn start(
        filter: EnvFilter,
        output: impl Write + Send + 'static,
        with_colours: bool,
    ) -> Result<Self, LogError> {
        let lost = Lost::default();
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUE)
            .lossy(true)
            .thread_name("symbl-log")
            .finish(Counting::new(output, lost.clone()));
        lost.count_in(writer.error_counter());
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(with_colours)
            .event_format(Line)
            // It would be written to standard error by the thread that logs.
            .log_internal_errors(false)
            .with_writer(writer);
        tracing_subscriber::registry()
            .with(filter)
            .with(Clients::new(lost.clone()))
            .with(lines)
            .try_init()
            .map_err(|_| LogError)?;
        std::panic::set_hook(Box::new(log_panic));
        Ok(Self {
            writer: guard,
            lost,
        })
    }

    /// Returns the count of lines that were not written, for
    /// [`crate::ServerConfig::lost_log_lines`].
    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// Writes what waits, and gives up after `patience`: the output may be stuck, and
    /// no process may have to be killed for that.
    pub fn finish(self, patience: Duration) {
        within(patience, move || drop(self.writer));
    }
}

/// Does something that may block for ever on a thread of its own, and waits at most
/// `patience` for it.
pub fn within(patience: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::sync_channel::<()>(0);
    let spawned = std::thread::Builder::new()
        .name("symbl-write".to_owned())
        .spawn(move || {
            work();
            drop(done);
        });
    if spawned.is_ok() {
        // It ends by an error either way: the sender was dropped, or time is up.
        let _ = finished.recv_timeout(patience);
    }
}

/// Says in the log what the default hook would write to standard error.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let message = panic.payload_as_str().unwrap_or("no message");
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    tracing::error!(
        thread,
        place = place.unwrap_or_default(),
        message,
        "panicked"
    );
}
