// SPDX-License-Identifier: MPL-2.0

//! Starts this program again, in a process of its own and with another role.
//!
//! A parent sends lines to its child's standard input, and closes it when the child
//! has to end. A child answers with lines on standard output. Every wait for a child
//! has a bound, and a child is killed when its parent drops it.

use super::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// The option before the name of a role.
pub const ROLE: &str = "--role";

/// Bound for a wait that should be short.
pub const SOON: Duration = Duration::from_secs(20);

/// A process with a role. It is killed when this is dropped.
pub struct Child {
    process: Process,
    hears: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Child {
    /// Starts this program as `role`, with one argument: `what`, as JSON.
    pub fn start(role: &str, what: &impl Serialize) -> Result<Self, Problem> {
        Self::start_under(&[], role, what)
    }

    /// Starts this program as `role`, run by a command such as `perf stat`.
    pub fn start_under(
        command: &[String],
        role: &str,
        what: &impl Serialize,
    ) -> Result<Self, Problem> {
        let this = std::env::current_exe()?;
        let mut start = match command {
            [] => Command::new(this),
            [program, before @ ..] => {
                let mut start = Command::new(program);
                start.args(before).arg(this);
                start
            }
        };
        let mut process = start
            .args([ROLE, role, &serde_json::to_string(what)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = process.stdout.take();
        let out = out.ok_or("a child has no standard output")?;
        let hears = process.stdin.take();
        let (say, said) = channel();
        // This thread ends with the child.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let Ok(line) = line else { return };
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            process,
            hears,
            said,
        })
    }

    /// Waits for the child's next line.
    pub fn answer<T: DeserializeOwned>(&mut self, bound: Duration) -> Result<T, Problem> {
        match self.said.recv_timeout(bound) {
            Ok(line) => {
                serde_json::from_str(&line).map_err(|error| format!("{error}: {line}").into())
            }
            Err(RecvTimeoutError::Timeout) => Err(format!("no word within {bound:?}").into()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("a child ended: {}", self.process.wait()?).into())
            }
        }
    }

    /// Sends a line to the child.
    pub fn tell(&mut self, line: &str) -> Result<(), Problem> {
        let hears = self.hears.as_mut().ok_or("a child hears no more")?;
        Ok(writeln!(hears, "{line}")?)
    }

    /// Sends a line to the child, and waits for its answer.
    pub fn ask<T: DeserializeOwned>(&mut self, line: &str) -> Result<T, Problem> {
        self.tell(line)?;
        self.answer(SOON)
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Closes the child's standard input, which tells it to end.
    pub fn dismiss(&mut self) {
        drop(self.hears.take());
    }

    /// Waits for the end of the child.
    pub fn wait(mut self, bound: Duration) -> Result<(), Problem> {
        self.dismiss();
        loop {
            match self.said.recv_timeout(bound) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Err("a child does not end".into()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.process.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("a child failed: {status}").into()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Fails if the child has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a line to the parent. For a process with a role.
pub fn say(what: &impl Serialize) -> Result<(), Problem> {
    let line = serde_json::to_string(what)?;
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

/// Passes every line of the parent to `hear`, and then `None` for the end. For a
/// process with a role.
pub fn listen(mut hear: impl FnMut(Option<String>) + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            hear(Some(line));
        }
        hear(None);
    });
}
