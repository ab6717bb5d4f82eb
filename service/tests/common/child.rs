// SPDX-License-Identifier: MPL-2.0

//! The command as a process of its own: what it logs and how much memory it takes.

use crate::common::Place;
use crate::common::process::Process;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Stdio;
use std::thread::JoinHandle;

/// The command with the scripted recogniser, killed when it is dropped.
pub struct Service {
    process: Process,
    log: JoinHandle<String>,
}

impl Service {
    pub fn start(options: &[&str]) -> Self {
        let mut process = Process::start(|command| {
            command.args(options).stderr(Stdio::piped());
        });
        let mut log = process.child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            log.read_to_string(&mut text).expect("a log in UTF-8");
            text
        });
        Self { process, log }
    }

    /// Ends it, and gives its log.
    pub fn end(self) -> String {
        self.process.kill();
        self.log.join().expect("read")
    }

    /// Returns the most memory that the service ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.child.id());
        let status = std::fs::read_to_string(path).expect("Linux");
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|l| l.split_whitespace().next());
        kilobytes.expect("a line").parse::<u64>().expect("a number") * 1024
    }
}

impl Place for Service {
    fn address(&self) -> SocketAddr {
        self.process.address
    }
}
