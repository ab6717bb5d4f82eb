// SPDX-License-Identifier: MPL-2.0

//! The command as a process of its own.

use super::{Place, http};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The command with the scripted recogniser, killed when it is dropped.
pub struct Process {
    pub child: Child,
    pub address: SocketAddr,
}

impl Process {
    /// Starts the command after `change` has changed its options, and waits until it
    /// listens: on a free port, unless they say otherwise.
    pub fn start(change: impl FnOnce(&mut Command)) -> Self {
        Self::listening("127.0.0.1:0", change)
    }

    /// Starts the command on this address.
    pub fn listening(listen: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
        command
            .args(["--listen", listen, "--recognizer", "scripted"])
            .stdout(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().expect("started");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening on http://").expect(&line);
        // It may listen on a Unix socket, too.
        let address = address.trim_end().split(", ").next().expect("one");
        let address = address.parse().expect("an address");
        Self { child, address }
    }

    /// Kills the service with SIGKILL, so that it sends and writes nothing more.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("dead");
    }
}

impl Place for Process {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sets the directory with the data, and an application with the secret `hush`.
pub fn keep(command: &mut Command, data: &Path, application: &str) {
    command
        .args(["--log", "warn", "--data"])
        .arg(data)
        .env("SYMBL_APP_ID", application)
        .env("SYMBL_APP_SECRET", "hush");
}

/// Returns a token of an application.
pub async fn token(place: &impl Place, application: &str, secret: &str) -> String {
    let body = json!({"type": "application", "appId": application, "appSecret": secret});
    let path = "POST /oauth2/token:generate";
    let (_, answer) = http(place, path, &body.to_string()).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["accessToken"].as_str().expect("a token").to_owned()
}
