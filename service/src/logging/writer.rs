// SPDX-License-Identifier: MPL-2.0

//! The log's output, and the count of lines that do not reach it.

use std::io::{Result, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tracing_appender::non_blocking::ErrorCounter;

/// Counts the lines that were not written.
#[derive(Debug, Clone, Default)]
pub struct Lost(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Lines that found the queue full.
    queue: OnceLock<ErrorCounter>,
    /// Lines that the output did not take.
    output: AtomicU64,
    /// Lines above the budget of their socket or network.
    suppressed: AtomicU64,
}

impl Lost {
    pub(super) fn count_in(&self, queue: ErrorCounter) {
        // Set only once, when the log starts.
        let _ = self.0.queue.set(queue);
    }

    pub(super) fn suppress(&self) {
        self.0.suppressed.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many lines were dropped because the output failed or was too slow.
    pub fn dropped(&self) -> u64 {
        let queue = self.0.queue.get();
        let queue = queue.map_or(0, ErrorCounter::dropped_lines) as u64;
        queue.saturating_add(self.0.output.load(Ordering::Relaxed))
    }

    /// Returns how many lines were suppressed because their socket or network had
    /// caused too many.
    pub fn suppressed(&self) -> u64 {
        self.0.suppressed.load(Ordering::Relaxed)
    }
}

/// Writes lines. After a loss, it first writes a line with the number of lost ones.
pub(super) struct Counting<W> {
    output: W,
    lost: Lost,
    told: u64,
}

impl<W: Write> Counting<W> {
    pub(super) fn new(output: W, lost: Lost) -> Self {
        Self {
            output,
            lost,
            told: 0,
        }
    }

    fn tell(&mut self) -> Result<()> {
        let dropped = self.lost.dropped();
        if dropped > self.told {
            let lines = dropped - self.told;
            let now = time::OffsetDateTime::now_utc();
            let now = now.format(&time::format_description::well_known::Rfc3339);
            writeln!(
                self.output,
                "{}  WARN symbl_service::logging: lines of the log were dropped, because they were \
                 not read or not written as fast as they came lines={lines}",
                now.unwrap_or_default()
            )?;
            self.told = dropped;
        }
        Ok(())
    }
}

impl<W: Write> Write for Counting<W> {
    /// Takes one line. If the output fails, the line is counted and dropped, because
    /// the thread of the queue could not handle an error.
    fn write(&mut self, line: &[u8]) -> Result<usize> {
        let written = self.tell().and_then(|()| self.output.write_all(line));
        if written.is_err() {
            self.lost.0.output.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> Result<()> {
        // An error here would be reported by `write` too.
        let _ = self.output.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    /// Takes lines until it is full.
    #[derive(Default)]
    struct Disk {
        is_full: bool,
        text: String,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            if self.is_full {
                return Err(Error::from(ErrorKind::StorageFull));
            }
            self.text += std::str::from_utf8(bytes).expect("UTF-8");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lost_lines_are_reported_once_when_there_is_room_again() {
        let lost = Lost::default();
        let mut log = Counting::new(Disk::default(), lost.clone());
        log.write_all(b"first\n").expect("never an error");
        log.output.is_full = true;
        for _ in 0..3 {
            log.write_all(b"lost\n").expect("never an error");
        }
        assert_eq!(lost.dropped(), 3);
        log.output.is_full = false;
        log.write_all(b"second\n").expect("never an error");
        log.write_all(b"third\n").expect("never an error");
        let lines: Vec<&str> = log.output.text.lines().collect();
        let [first, told, second, third] = lines[..] else {
            panic!("{lines:?}");
        };
        assert_eq!([first, second, third], ["first", "second", "third"]);
        assert!(told.ends_with("lines=3"), "{told}");
        assert!(told.contains(" WARN symbl_service::logging: "), "{told}");
    }
}
