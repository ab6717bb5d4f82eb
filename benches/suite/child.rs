// SPDX-License-Identifier: MPL-2.0

//! This program again, in a process of its own and in another role.

use super::Problem;
use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child as Process, ChildStdout, Command, Stdio};

/// In front of the name of a role.
pub const ROLE: &str = "--role";

/// A process that plays a role. It is killed when this is dropped.
pub struct Child {
    process: Process,
    said: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program as `role` with `arguments`.
    pub fn start(role: &str, arguments: &[String]) -> Result<Self, Problem> {
        Self::start_under(&[], role, arguments)
    }

    /// The same with a command in front, such as `perf stat`.
    pub fn start_under(
        command: &[String],
        role: &str,
        arguments: &[String],
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
            .args([ROLE, role])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = process
            .stdout
            .take()
            .ok_or("a child has no standard output")?;
        let said = BufReader::new(said).lines();
        Ok(Self { process, said })
    }

    /// The next line that it says.
    pub fn line(&mut self) -> Result<String, Problem> {
        match self.said.next() {
            Some(line) => Ok(line?),
            None => Err(format!("a child ended: {}", self.process.wait()?).into()),
        }
    }

    /// For the system's books about it.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Closes its standard input, which is how it is told to come to its end, and
    /// waits for that; what it still said.
    pub fn end(mut self) -> Result<Vec<String>, Problem> {
        drop(self.process.stdin.take());
        let said: Result<Vec<String>, _> = self.said.by_ref().collect();
        let status = self.process.wait()?;
        match status.success() {
            true => Ok(said?),
            false => Err(format!("a child failed: {status}").into()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Fails where it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a role: waits until the parent closes standard input, or is gone.
pub fn wait_for_the_end() {
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
}
