// SPDX-License-Identifier: MPL-2.0

//! The example of a media server: many streams in one process.

use super::{built, expected, talk, words};
use crate::common::service::Service;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The running program, and its output so far.
struct Server {
    process: Child,
    commands: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    printed: Vec<String>,
}

impl Server {
    fn start(service: &Service) -> Self {
        let mut process = Command::new("timeout")
            .arg("120")
            .arg(built("../examples/media-server"))
            .args(["--base-url", &service.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = process.stdin.take();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            commands,
            lines,
            printed: Vec::new(),
        }
    }

    fn command(&mut self, command: &str) {
        writeln!(self.commands.as_ref().unwrap(), "{command}").unwrap();
    }

    /// Reads until a line begins with `beginning`.
    fn wait_for(&mut self, beginning: &str) {
        loop {
            let Some(line) = self.lines.next() else {
                panic!("no {beginning}: {:#?}", self.printed);
            };
            self.printed.push(line.unwrap());
            if self.printed[self.printed.len() - 1].starts_with(beginning) {
                return;
            }
        }
    }

    /// Returns the lines about a stream, without its name.
    fn of(&self, stream: &str) -> Vec<&str> {
        let lines = self.printed.iter();
        lines
            .filter_map(|line| line.strip_prefix(stream)?.strip_prefix(' '))
            .collect()
    }

    /// Closes its input and waits for its end.
    fn close(&mut self) {
        drop(self.commands.take());
        for line in self.lines.by_ref() {
            self.printed.push(line.unwrap());
        }
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
fn streams_come_and_go_and_the_trouble_of_one_is_not_that_of_others() {
    // The first connection is refused for good.
    let service = Service::faulty("http=403");
    let (folder, short, _) = talk(10);
    let (_long_folder, long, _) = talk(150);
    let broken = folder.path().join("broken.wav");
    std::fs::write(&broken, "this is no sound").unwrap();
    let (short, long) = (short.display(), long.display());

    let mut server = Server::start(&service);
    server.command(&format!("add refused {short}"));
    server.wait_for("refused warning: ");
    server.command(&format!("add long {long}"));
    server.command(&format!("add short {short}"));
    server.command(&format!("add broken {}", broken.display()));
    server.wait_for("broken failed: ");
    server.wait_for("short ended, ");
    // When a stream has gone, its name is free again.
    server.command(&format!("add short {short}"));
    server.wait_for("short ended, ");
    server.command("remove long");
    server.wait_for("long ended, ");
    server.close();

    let all = "ended, all captions are there";
    let mut twice = expected(10);
    twice.extend(expected(10));
    assert_eq!(words(&server.of("short").join("\n")), twice);
    assert_eq!(server.of("short").iter().filter(|l| **l == all).count(), 2);
    let heard = words(&server.of("long").join("\n"));
    assert!((20..150).contains(&heard.len()), "{:#?}", server.printed);
    assert_eq!(heard, expected(150)[..heard.len()]);
    assert_eq!(server.of("long").last(), Some(&all));
    // The refused stream goes on to its end without captions.
    let refused = server.of("refused");
    assert_eq!(words(&refused.join("\n")), [""; 0]);
    assert_eq!(refused.last(), Some(&"ended, not all captions are there"));
}

#[test]
fn streams_that_run_at_the_close_end_with_their_captions() {
    let service = Service::start();
    let (_folder, sound, _) = talk(150);
    let mut server = Server::start(&service);
    for name in ["one", "two", "three"] {
        server.command(&format!("add {name} {}", sound.display()));
    }
    for _ in 0..3 {
        server.wait_for("one [");
    }
    server.close();
    for name in ["one", "two", "three"] {
        let lines = server.of(name);
        let heard = words(&lines.join("\n"));
        assert!(!heard.is_empty(), "{:#?}", server.printed);
        assert_eq!(heard, expected(150)[..heard.len()]);
        assert_eq!(lines.last(), Some(&"ended, all captions are there"));
    }
}

#[test]
fn a_stream_that_is_told_to_end_before_it_has_begun_ends() {
    let service = Service::start();
    let (_folder, sound, _) = talk(150);
    let mut server = Server::start(&service);
    server.command(&format!("add early {}\nremove early", sound.display()));
    server.close();
    let lines = server.of("early");
    assert!(lines[lines.len() - 1].starts_with("ended, "), "{lines:?}");
}
