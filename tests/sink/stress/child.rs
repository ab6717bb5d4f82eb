// SPDX-License-Identifier: MPL-2.0

//! A test in a process of its own, and the resources of that process.

use std::fs::{read_dir, read_link, read_to_string};
use std::process::Command;

/// The variable that is set in the child. It has the argument from the parent.
const VARIABLE: &str = "SYMBL_TEST_CHILD";

/// Returns the argument from the parent, in the child.
pub fn argument() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// Runs the test of this name alone in a process of its own, with this argument. A failure
/// has the output of the process as its text. Returns its standard error.
pub fn run(test: &str, argument: &str, environment: &[(&str, &str)]) -> String {
    let this = std::env::current_exe().expect("this test");
    let output = Command::new(this)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, argument)
        .envs(environment.iter().copied())
        .output()
        .expect("this test, again");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("1 passed"), "no test {test}: {said}");
    complained
}

/// The resources of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub threads: usize,
    pub descriptors: usize,
    /// Resident memory in KiB.
    pub memory: usize,
    /// Sockets that only the peer has closed.
    pub close_wait: usize,
}

impl Held {
    /// Returns the present resources of this process.
    pub fn now() -> Self {
        Self {
            threads: entries("/proc/self/task"),
            descriptors: entries("/proc/self/fd"),
            memory: memory(),
            close_wait: close_wait(),
        }
    }
}

fn entries(folder: &str) -> usize {
    read_dir(folder).expect("a folder of the kernel").count()
}

fn memory() -> usize {
    let status = read_to_string("/proc/self/status").expect("a file of the kernel");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    size.and_then(|size| size.parse().ok()).expect("a size")
}

/// Counts the sockets of this process that are in CLOSE_WAIT, state 08.
fn close_wait() -> usize {
    let own: Vec<String> = read_dir("/proc/self/fd")
        .expect("a folder of the kernel")
        .filter_map(|entry| read_link(entry.ok()?.path()).ok())
        .filter_map(|to| {
            let inode = to.to_str()?.strip_prefix("socket:[")?;
            inode.strip_suffix(']').map(str::to_owned)
        })
        .collect();
    let table = read_to_string("/proc/self/net/tcp").expect("a file of the kernel");
    let waits = table.lines().skip(1).filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(3) == Some(&"08") && fields.get(9).is_some_and(|i| own.iter().any(|o| o == i))
    });
    waits.count()
}
