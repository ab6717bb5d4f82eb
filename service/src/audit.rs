// SPDX-License-Identifier: MPL-2.0

//! The audit log: who read, exported, changed or deleted what, one JSON object a line. It has
//! no texts and no tokens.
//!
//! Like the log of the service it must never delay a request: a line goes into a bounded
//! queue, and a thread of its own appends it to the file. A line that is lost is counted, and
//! the next one says how many were.

use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Most lines that wait for the file. A line has a few hundred bytes.
const QUEUE: usize = 4096;

/// The audit log, or none.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    lines: SyncSender<Vec<u8>>,
    /// Lines that found the queue full, or that the file did not take.
    lost: Arc<AtomicU64>,
    /// Set to open the file anew before the next line.
    reopen: Arc<AtomicBool>,
}

/// The file of the audit log cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--audit-log {path}: {reason}; name a file in a directory that the service may write")]
pub struct AuditError {
    path: PathBuf,
    reason: std::io::Error,
}

/// The thread that writes. It ends, when all lines are written, after the last [`Audit`] has
/// been dropped.
#[derive(Debug)]
pub struct AuditThread(JoinHandle<()>);

impl AuditThread {
    /// Waits until all lines are written.
    pub fn finish(self) {
        // A panic of that thread was logged.
        let _ = self.0.join();
    }
}

/// What a line says, beside the time.
#[derive(Debug, Serialize)]
pub(crate) struct Event<'a> {
    pub(crate) account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<IpAddr>,
    /// `http`, `sessions`, `subscribe`, or `retention` for the service itself.
    pub(crate) door: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) method: &'a str,
    /// `read`, `list`, `search`, `export`, `change`, `rename`, `share` or `deletion`.
    pub(crate) what: &'static str,
    /// The id in the path: of a conversation, or for `subscribe` the connection id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conversation: Option<String>,
    /// The status of the answer.
    pub(crate) status: u16,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    event: Event<'a>,
    /// How many lines before this one are missing.
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // So it is called by serde.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Audit {
    /// Opens the file to append to it, for its owner only if it is new.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or the system gives no thread.
    pub fn open(path: &Path) -> Result<(Self, AuditThread), AuditError> {
        let failed = |reason| AuditError {
            path: path.to_owned(),
            reason,
        };
        let file = append_to(path).map_err(failed)?;
        let (lines, waiting) = sync_channel(QUEUE);
        let (lost, reopen) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let writer = Writer {
            path: path.to_owned(),
            file,
            lost: Arc::clone(&lost),
            reopen: Arc::clone(&reopen),
        };
        let thread = std::thread::Builder::new()
            .name("symbl-audit".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(failed)?;
        let shared = Shared {
            lines,
            lost,
            reopen,
        };
        Ok((Self(Some(Arc::new(shared))), AuditThread(thread)))
    }

    /// Returns `true` if there is an audit log.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Opens the file anew before the next line, because it was moved away.
    pub fn reopen(&self) {
        if let Some(shared) = &self.0 {
            shared.reopen.store(true, Ordering::Release);
        }
    }

    /// Puts a line into the queue.
    pub(crate) fn write(&self, event: Event<'_>) {
        let Some(shared) = &self.0 else {
            return;
        };
        let lost = shared.lost.swap(0, Ordering::AcqRel);
        let time = OffsetDateTime::now_utc()
            .format(&Rfc3339)
            .unwrap_or_default();
        let line = Line { time, event, lost };
        let Ok(mut line) = serde_json::to_vec(&line) else {
            return;
        };
        line.push(b'\n');
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            shared.lines.try_send(line)
        {
            shared.lost.fetch_add(lost + 1, Ordering::AcqRel);
        }
    }
}

fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// The state of the thread that writes.
struct Writer {
    path: PathBuf,
    file: File,
    lost: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
}

impl Writer {
    fn run(mut self, waiting: &Receiver<Vec<u8>>) {
        let mut is_failing = false;
        for line in waiting {
            if self.reopen.swap(false, Ordering::AcqRel) {
                match append_to(&self.path) {
                    Ok(file) => self.file = file,
                    Err(error) => {
                        tracing::error!(%error, "the audit log cannot be opened anew; it goes into the old file")
                    }
                }
            }
            // One call for each line, so that two services may append to one file.
            let written = self.file.write_all(&line);
            if let Err(error) = &written {
                self.lost.fetch_add(1, Ordering::AcqRel);
                if !is_failing {
                    tracing::error!(%error, "lines of the audit log are lost");
                }
            }
            is_failing = written.is_err();
        }
    }
}
