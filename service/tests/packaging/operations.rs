// SPDX-License-Identifier: MPL-2.0

//! Runs what docs/operations.md tells operators to do, in its order, and compares what comes
//! of it. Folder, ports, systemctl and journalctl are those of the test.

use super::*;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::time::{Duration, Instant};
use yaml_rust2::YamlLoader;

const DOCUMENT: &str = "docs/operations.md";
const MARK: &str = "<!-- run by service/tests/packaging/operations.rs -->";

/// Where the document says that the configuration is.
const WRITTEN: &str = "/etc/symbl-service/";

/// Returns the language and the text of each block that is run here.
fn blocks() -> Vec<(String, String)> {
    let text = text(DOCUMENT);
    let mut found = Vec::new();
    for part in text.split(MARK).skip(1) {
        let part = part.trim_start().strip_prefix("```").expect("a block");
        let (language, rest) = part.split_once('\n').expect("a language");
        let block = rest.split("\n```").next().expect("an end");
        found.push((language.to_owned(), block.to_owned()));
    }
    found
}

/// Returns `true` if the text is the expected one, where `…` stands for anything.
fn matches(expected: &str, text: &str) -> bool {
    let mut parts = expected.trim_end().split('…');
    let mut rest = match text
        .trim_end()
        .strip_prefix(parts.next().unwrap_or_default())
    {
        Some(rest) => rest,
        None => return false,
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The machine of the operator.
struct Machine {
    folder: tempfile::TempDir,
    ports: [u16; 2],
    service: Option<Child>,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = |_| {
            let open = TcpListener::bind("127.0.0.1:0").expect("a port");
            open.local_addr().expect("an address").port()
        };
        let machine = Self {
            folder,
            ports: [0, 1].map(free),
            service: None,
        };
        machine.program(
            "symbl-service",
            &format!(
                "exec '{}' --recognizer scripted \"$@\"",
                env!("CARGO_BIN_EXE_symbl-service")
            ),
        );
        machine.program("systemctl", "kill -HUP $(cat \"$MACHINE/pid\")");
        machine.program("journalctl", "grep SIGHUP \"$MACHINE/log\"");
        machine
    }

    fn program(&self, name: &str, text: &str) {
        let bin = self.folder.path().join("bin");
        fs::create_dir_all(&bin).expect("a folder");
        let file = bin.join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("room");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// Returns the text with the places of this machine.
    fn here(&self, text: &str) -> String {
        let folder = format!("{}/", self.folder.path().display());
        text.replace(WRITTEN, &folder)
            .replace(":8787", &format!(":{}", self.ports[0]))
            .replace(":8788", &format!(":{}", self.ports[1]))
    }

    fn bash(&self, command: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = self.folder.path().join("bin");
        let mut bash = Command::new("bash");
        bash.args(["-c", &self.here(command)])
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("MACHINE", self.folder.path())
            .env("NO_COLOR", "1")
            .env_remove("SYMBL_APP_ID")
            .env_remove("SYMBL_APP_SECRET");
        bash
    }

    /// Writes the file that a block is.
    fn write(&self, block: &str) {
        let (name, text) = block.split_once('\n').expect("a name");
        let name = name.strip_prefix("# ").expect("a comment with the name");
        fs::write(self.here(name), self.here(text)).expect("room");
    }

    /// Starts the service and returns what it says.
    fn start(&mut self, command: &str) -> String {
        let log = fs::File::create(self.folder.path().join("log")).expect("room");
        let mut bash = self.bash(&format!("exec {command}"));
        let mut child = bash
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("run");
        let pid = child.id().to_string();
        fs::write(self.folder.path().join("pid"), pid).expect("room");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        self.service = Some(child);
        line
    }

    /// Runs a command until it says what is expected, within a bound: a reload takes a while.
    fn run(&self, command: &str, expected: &str) {
        let expected = self.here(expected);
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let output = self.bash(command).output().expect("run");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            if matches(&expected, &said) {
                return;
            }
            let may_come = command.starts_with("journalctl") || command.starts_with("curl");
            assert!(
                may_come && Instant::now() < until,
                "{DOCUMENT}: {command}\nsays: {said}\nand not: {expected}"
            );
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(service) = &mut self.service {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}

#[test]
fn an_operator_who_copies_the_page_sees_what_it_shows() {
    let mut machine = Machine::new();
    let mut commands = 0;
    for (language, block) in blocks() {
        match language.as_str() {
            "toml" => machine.write(&block),
            "yaml" => {
                let parsed = YamlLoader::load_from_str(&block);
                parsed.unwrap_or_else(|error| panic!("{block}: {error}"));
            }
            "console" => {
                for example in block.strip_prefix("$ ").expect("a command").split("\n$ ") {
                    let (command, expected) = example.split_once('\n').unwrap_or((example, ""));
                    commands += 1;
                    let starts = command.starts_with("symbl-service --config");
                    match starts && machine.service.is_none() {
                        true => {
                            let said = machine.start(command);
                            let expected = machine.here(expected);
                            assert!(matches(&expected, &said), "{said} and not {expected}");
                        }
                        false => machine.run(command, expected),
                    }
                }
            }
            other => panic!("a block of {other}"),
        }
    }
    assert!(commands > 15, "{commands} commands");
}

#[test]
fn an_ellipsis_stands_for_anything() {
    assert!(matches("a…c", "a b c\n") && matches("…", "") && matches("a", "a\n"));
    assert!(!matches("a…c", "a b\n") && !matches("a", "ab") && !matches("b…", "ab"));
}
