// SPDX-License-Identifier: MPL-2.0

//! The command as a process of its own: what it logs and how much memory it takes.
//! Not part of `common` itself, because few tests use it.

use crate::common::Place;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// The command with the scripted recogniser, killed when it is dropped.
pub struct Service {
    child: Child,
    address: SocketAddr,
    log: Option<JoinHandle<String>>,
}

impl Service {
    pub fn start(options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
        command
            .args(["--listen", "127.0.0.1:0", "--recognizer", "scripted"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut log = child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            log.read_to_string(&mut text).expect("a log in UTF-8");
            text
        });
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening on http://").expect(&line);
        let address = address.trim_end().parse().expect("an address");
        Self {
            child,
            address,
            log: Some(log),
        }
    }

    /// Ends it, and gives its log.
    pub fn end(mut self) -> String {
        self.child.kill().expect("killed");
        self.child.wait().expect("dead");
        let log = self.log.take().expect("once");
        log.join().expect("read")
    }

    /// Returns the most memory that the service ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("Linux");
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|l| l.split_whitespace().next());
        kilobytes.expect("a line").parse::<u64>().expect("a number") * 1024
    }
}

impl Place for Service {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
