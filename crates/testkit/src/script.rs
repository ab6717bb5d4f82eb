// SPDX-License-Identifier: MPL-2.0

//! A server of the test's own that a script starts and ends. The script does each line that it
//! reads, and says it when it is done. It ends when standard input does: also if the test is
//! killed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// A script that runs.
#[derive(Debug)]
pub(crate) struct Script {
    name: &'static str,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    // Not waited for: it removes files when its standard input ends with this.
    _child: Child,
}

impl Script {
    /// Starts a script with these arguments and waits until it says `started`. `name` is what
    /// the server is called.
    pub(crate) fn start<S: AsRef<OsStr>>(
        name: &'static str,
        script: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", script, name])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let script = Self {
            name,
            pipes: Mutex::new((input, output)),
            _child: child,
        };
        script.expect("started");
        script
    }

    /// Gives the script a line and waits until that is done.
    pub(crate) fn tell(&self, line: &str) {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.0, "{line}").expect("the script runs");
        drop(pipes);
        self.expect(line);
    }

    fn expect(&self, line: &str) {
        let mut said = String::new();
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        pipes.1.read_line(&mut said).expect("the script runs");
        assert_eq!(said.trim_end(), line, "{} does not start", self.name);
    }
}
