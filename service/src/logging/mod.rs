// SPDX-License-Identifier: MPL-2.0

//! The service's log, which must never delay or end the service.
//!
//! A line goes from the thread that logs it into a bounded queue, and a thread of the
//! log writes it to standard error. So a pipe without a reader, a full disk or a
//! closed terminal costs lines, and never a socket. Lines that find the queue full
//! are counted ([`Lost`], `/metrics`), and one line says how many there were once
//! there is room. Nothing else may write to standard output or standard error while
//! the service runs. The message of a panic goes through the log as well.
//!
//! A line about a client names it, whichever module logs it: `clients` adds the
//! address, the connection id and the conversation id from the client's span. It also
//! limits the lines that one socket and one network can cause.

mod budget;
mod clients;
mod json;
mod line;
mod writer;

use clients::Clients;
use line::LineFormat;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::mpsc;
use std::time::Duration;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};
use writer::Counting;

pub(crate) use clients::span;
pub use line::LogFormat;
pub use writer::Lost;

/// Maximum number of lines in the queue. A line has a few hundred bytes.
const QUEUE: usize = 4096;

/// The log of this process. [`ServiceLog::finish`] writes the lines that are still in the
/// queue.
#[derive(Debug)]
pub struct ServiceLog {
    writer: WorkerGuard,
    lost: Lost,
    filter: LogFilter,
}

/// Changes what a running log takes.
#[derive(Debug, Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Takes what passes this filter from now on.
    pub fn set(&self, filter: EnvFilter) {
        // Fails only if the log is gone.
        let _ = self.0.reload(filter);
    }
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the log of this process was set up already")]
pub struct ServiceLogError;

impl ServiceLog {
    /// Sends all events of this process that pass `filter` to `output`.
    ///
    /// # Errors
    ///
    /// Returns an error if the process already has a log.
    pub fn start(
        filter: EnvFilter,
        output: impl Write + Send + 'static,
        with_colours: bool,
        format: LogFormat,
    ) -> Result<Self, ServiceLogError> {
        let lost = Lost::default();
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUE)
            .lossy(true)
            .thread_name("symbl-log")
            .finish(Counting::new(output, lost.clone()));
        lost.count_in(writer.error_counter());
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(with_colours && format == LogFormat::Text)
            .event_format(LineFormat(format))
            // Otherwise the thread that logs would write the error to standard error.
            .log_internal_errors(false)
            .with_writer(writer);
        let (filter, handle) = reload::Layer::new(filter);
        tracing_subscriber::registry()
            .with(filter)
            .with(Clients::new(lost.clone()))
            .with(lines)
            .try_init()
            .map_err(|_| ServiceLogError)?;
        // At the level "trace", libraries write whole messages, with tokens and texts in them.
        log::set_max_level(log::LevelFilter::Debug);
        std::panic::set_hook(Box::new(log_panic));
        Ok(Self {
            writer: guard,
            lost,
            filter: LogFilter(handle),
        })
    }

    /// Returns the counts of lost lines, for [`crate::ServerConfig::lost_log_lines`].
    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// Returns what changes the filter.
    pub fn filter(&self) -> LogFilter {
        self.filter.clone()
    }

    /// Writes the lines in the queue, for `patience` at most. The output may be
    /// stuck, and the process must be able to end without a kill.
    pub fn finish(self, patience: Duration) {
        within(patience, move || drop(self.writer));
    }
}

/// Runs `work`, which may block forever, on a thread of its own, and waits for it for
/// `patience` at most.
pub fn within(patience: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::sync_channel::<()>(0);
    let spawned = std::thread::Builder::new()
        .name("symbl-write".to_owned())
        .spawn(move || {
            work();
            drop(done);
        });
    if spawned.is_ok() {
        // Returns an error in both cases: the sender was dropped, or the time is up.
        let _ = finished.recv_timeout(patience);
    }
}

/// Logs the message that the default hook would write to standard error.
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
