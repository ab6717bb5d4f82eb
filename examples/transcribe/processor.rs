// SPDX-License-Identifier: MPL-2.0

//! Reads how much processor time a process has used.

use std::io;

/// The unit of processor times in `/proc`: Linux counts them in hundredths of a second,
/// whatever the frequency of its timer is.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process, by its files in `/proc`.
pub struct Processor {
    stat: String,
}

impl Processor {
    /// Finds the process with this id.
    pub fn of(pid: u32) -> io::Result<Self> {
        let process = Self {
            stat: format!("/proc/{pid}/stat"),
        };
        process.seconds()?;
        Ok(process)
    }

    /// Returns the time that all threads of the process have used, in its own code and
    /// in the system's.
    pub fn seconds(&self) -> io::Result<f64> {
        let failed = |why: String| io::Error::other(format!("cannot read {}: {why}", self.stat));
        let text =
            std::fs::read_to_string(&self.stat).map_err(|error| failed(error.to_string()))?;
        ticks(&text)
            .map(|ticks| ticks as f64 / TICKS_PER_SECOND)
            .ok_or_else(|| failed("it has another form than proc(5) describes".to_owned()))
    }
}

/// Returns the sum of the fields `utime` and `stime`. The name of the program, before
/// them, may contain spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    // `state` is field 3, `utime` and `stime` are 14 and 15.
    let mut fields = fields.split_ascii_whitespace().skip(14 - 3);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}
