// SPDX-License-Identifier: MPL-2.0

//! `symbl-service` as users run it: a process of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running process. It is killed when this is dropped.
pub struct Program {
    child: Child,
    url: String,
}

impl Program {
    /// Starts `program` with the scripted recogniser and these further arguments, and
    /// returns when it listens on `listen`. Its log goes where `log` says.
    pub fn start(program: PathBuf, listen: &str, arguments: &[&str], log: Stdio) -> Self {
        let arguments = [&["--recognizer", "scripted"], arguments].concat();
        Self::start_plain(program, listen, &arguments, log)
    }

    /// Starts the same with the recogniser that `arguments` name.
    pub fn start_plain(program: PathBuf, listen: &str, arguments: &[&str], log: Stdio) -> Self {
        let mut child = Command::new(program)
            .args(["--listen", listen])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("symbl-service starts");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let url = line.trim_end().strip_prefix("listening on ").expect(&line);
        Self {
            url: url.to_owned(),
            child,
        }
    }

    /// Returns the value for the property `base-url`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns host and port.
    pub fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Returns the process's resident memory in KiB; 0 once it is gone.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let size = line.and_then(|line| line.split_whitespace().nth(1));
        size.and_then(|size| size.parse().ok()).unwrap_or(0)
    }

    /// Returns how many threads the process has; 0 once it is gone.
    pub fn threads(&self) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        tasks.map_or(0, Iterator::count)
    }

    /// Sends SIGTERM, and returns `true` if the process has ended with status 0 within
    /// `bound`.
    pub fn ends(&mut self, bound: Duration) -> bool {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill").success());
        let end = Instant::now() + bound;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // SIGKILL
        let _ = self.child.wait();
    }
}
