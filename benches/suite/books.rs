// SPDX-License-Identifier: MPL-2.0

//! Reads the system's counters for a process: CPU, context switches, memory, threads,
//! system calls, instructions.
//!
//! They are read at the beginning and at the end of a window, so that the start of
//! the process is not included.

use super::Problem;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// CPU time in seconds.
    pub cpu: f64,
    /// Number of context switches.
    pub switches: f64,
    /// Number of threads.
    pub threads: f64,
}

impl std::ops::Sub for Used {
    type Output = Self;
    fn sub(self, before: Self) -> Self {
        Self {
            cpu: self.cpu - before.cpu,
            switches: self.switches - before.switches,
            threads: self.threads - before.threads,
        }
    }
}

/// Returns the sum over all running threads. A thread that ends takes its counts with
/// it.
pub fn used(process: u32) -> Result<Used, Problem> {
    let mut used = Used::default();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        let ran = fs::read_to_string(thread.join("schedstat"))?;
        let ran: f64 = ran.split(' ').next().unwrap_or_default().parse()?;
        used.cpu += ran / 1e9;
        let status = fs::read_to_string(thread.join("status"))?;
        used.switches += field(&status, "voluntary_ctxt_switches:")
            + field(&status, "nonvoluntary_ctxt_switches:");
        used.threads += 1.0;
    }
    Ok(used)
}

/// Returns the private memory of a process and the anonymous part of it, in KiB.
pub fn memory(process: u32) -> Result<(f64, f64), Problem> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let private = field(&rollup, "Private_Clean:") + field(&rollup, "Private_Dirty:");
    Ok((private, field(&rollup, "Anonymous:")))
}

/// Returns the resident memory of a process, in MB.
pub fn resident(process: u32) -> Result<f64, Problem> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    Ok(field(&status, "VmRSS:") * 1.024e-3)
}

/// Returns the peak memory of a process, in MiB.
pub fn peak(process: u32) -> Result<f64, Problem> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    Ok(field(&status, "VmHWM:") / 1024.0)
}

/// Returns the number after this name, or 0 if the name is missing.
fn field(text: &str, name: &str) -> f64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|value| value.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

/// Returns `true` if this program is installed.
pub fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Returns `true` if `perf stat` can count this event here.
pub fn perf_counts(event: &str) -> bool {
    let stat = Command::new("perf")
        .args(["stat", "-x,", "-e", event, "true"])
        .output();
    stat.is_ok_and(|stat| {
        let said = String::from_utf8_lossy(&stat.stderr);
        stat.status.success() && said.lines().any(|line| counted(line, event).is_some())
    })
}

/// Returns the number for this event from a line of `perf stat -x,`.
pub fn counted(line: &str, event: &str) -> Option<f64> {
    let fields: Vec<&str> = line.split(',').collect();
    let (value, name) = (fields.first()?, fields.get(2)?);
    let same = *name == event || name.strip_suffix(":u") == event.strip_suffix(":u");
    same.then(|| value.parse().ok()).flatten()
}

const SYSCALLS: &str = "raw_syscalls:sys_enter";

/// The tool that counts system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    Perf,
    /// Stops the process at each system call.
    Strace,
}

impl Counter {
    /// Returns the better one of the tools that are available here.
    pub fn here() -> Option<Self> {
        if perf_counts(SYSCALLS) {
            return Some(Self::Perf);
        }
        let strace = Command::new("strace").args(["-c", "true"]).output();
        let counts = strace.is_ok_and(|strace| strace.status.success());
        counts.then_some(Self::Strace)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf",
            Self::Strace => "strace",
        }
    }
}

/// Counts the system calls of a process in a window.
pub struct Syscalls {
    process: Child,
    counter: Counter,
}

impl Syscalls {
    /// Starts to count.
    pub fn begin(counter: Counter, process: u32, window: Duration) -> Result<Self, Problem> {
        let process = process.to_string();
        let seconds = window.as_secs().to_string();
        let mut command;
        match counter {
            Counter::Perf => {
                command = Command::new("perf");
                command.args(["stat", "-x,", "-e", SYSCALLS, "-p", &process]);
                command.args(["--", "sleep", &seconds]);
            }
            Counter::Strace => {
                command = Command::new("timeout");
                command.args(["--signal=INT", &seconds]);
                command.args(["strace", "-f", "-c", "-p", &process]);
            }
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self { process, counter })
    }

    /// Waits for the end of the window, and returns the number of system calls.
    pub fn end(self) -> Result<f64, Problem> {
        let output = self.process.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let total = |line: &str| {
            // The columns are: % time, seconds, µs per call, calls.
            let line = line.trim().strip_suffix("total")?;
            line.split_whitespace().nth(3)?.parse().ok()
        };
        let count = said.lines().find_map(|line| match self.counter {
            Counter::Perf => counted(line, SYSCALLS),
            Counter::Strace => total(line),
        });
        count.ok_or_else(|| format!("no system calls counted: {}", said.trim()).into())
    }
}
