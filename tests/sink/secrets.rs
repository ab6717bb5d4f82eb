// SPDX-License-Identifier: MPL-2.0

//! The access token shows nowhere: not in the log at its highest level, not in the output of
//! `gst-launch-1.0 -v -m`, not in a graph of the pipeline, not in the list of processes.
//!
//! Each run is one of GStreamer's own tool with the library of this build, and criticals are
//! fatal.

use crate::common::feed::CAPS;
use crate::common::gate::Gate;
use crate::common::peer::{Message, Peer, Script};
use crate::common::pipeline::{Pipeline, until};
use crate::common::plugin;
use crate::common::service::Service;
use gst::prelude::*;
use std::path::Path;
use std::process::ExitStatus;
use symbl_service::Auth;

/// The token. It has characters that a URL has to escape.
const TOKEN: &str = "Se+cr/et=7f3a9c2e1b";
/// The part of the token that every encoding keeps.
const TRACE: &str = "7f3a9c2e1b";

/// How the token is given.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Given {
    Environment,
    File,
    Property,
    /// The sink gets app credentials in place of a token.
    Credentials,
}

/// The visible traces of a run.
struct Seen {
    status: ExitStatus,
    command_line: String,
    /// Standard output and error.
    printed: String,
    log: String,
    graphs: String,
}

impl Seen {
    fn everything(&self) -> [(&str, &str); 4] {
        [
            ("the command line", &self.command_line),
            ("the output", &self.printed),
            ("the log", &self.log),
            ("the graphs", &self.graphs),
        ]
    }
}

/// Plays half a second of sound through the sink, with all output switched on.
fn run(url: &str, given: Given, properties: &str) -> Seen {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("token"), format!("{TOKEN}\n")).expect("a file");
    let mut line = format!(
        "-v -m audiotestsrc num-buffers=10 samplesperbuffer=800 ! {CAPS} ! \
         symblsink sync=false drain-timeout=300 base-url={url} {properties}"
    );
    let mut command = plugin::command("gst-launch-1.0");
    match given {
        Given::Environment => {
            command.env("SYMBL_ACCESS_TOKEN", TOKEN);
        }
        Given::File => line += &format!(" access-token-file={}", path("token").display()),
        Given::Credentials => {
            command.env("SYMBL_APP_ID", "app");
            command.env("SYMBL_APP_SECRET", TOKEN);
        }
        Given::Property => line += &format!(" access-token={TOKEN}"),
    }
    let log = path("log");
    let output = path("output");
    let file = std::fs::File::create(&output).expect("a file");
    let mut child = command
        .args(line.split_whitespace())
        .env("GST_DEBUG", "9")
        .env("GST_DEBUG_FILE", &log)
        .env("GST_DEBUG_NO_COLOR", "1")
        .env("GST_DEBUG_DUMP_DOT_DIR", folder.path())
        .env("G_DEBUG", "fatal-criticals")
        .env("G_MESSAGES_DEBUG", "all")
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "1")
        .stdout(file.try_clone().expect("a file"))
        .stderr(file)
        .spawn()
        .expect("gst-launch-1.0");
    // The file is empty while the program is being loaded.
    let process = format!("/proc/{}/cmdline", child.id());
    until("a command line", || {
        !text_of(Path::new(&process)).is_empty()
    });
    let command_line = text_of(Path::new(&process));
    let status = child.wait().expect("it ends");
    let graphs = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "dot"))
        .map(|path| text_of(&path))
        .collect();
    Seen {
        status,
        command_line,
        printed: text_of(&output),
        log: text_of(&log),
        graphs,
    }
}

fn text_of(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asserts that the run could have shown the token and did not.
fn shows_nothing(seen: &Seen, case: &str) {
    assert!(seen.log.contains("symblsink"), "{case}: there is no log");
    assert!(seen.graphs.contains("GstSymblSink"), "{case}: no graph");
    assert!(
        seen.printed.contains("symblsink0"),
        "{case}: {}",
        seen.printed
    );
    for (what, text) in seen.everything() {
        let line = text.lines().find(|line| line.contains(TRACE));
        assert_eq!(line, None, "{case}: {what}");
    }
    for word in ["panicked", "CRITICAL"] {
        assert!(!seen.printed.contains(word), "{case}: {}", seen.printed);
    }
}

#[test]
fn a_token_that_works_is_not_shown() {
    let peer = Peer::start(Script::listening());
    let mut dials = 0;
    for given in [Given::Environment, Given::File] {
        for query in ["", "token-in-query=true"] {
            let seen = run(&peer.base_url(), given, query);
            let case = format!("{given:?} {query}");
            assert!(seen.status.success(), "{case}: {}", seen.printed);
            assert!(seen.printed.contains("symbl/drained"), "{case}");
            shows_nothing(&seen, &case);
            // The run had the token.
            let records = peer.records();
            let request = records[dials].request.as_ref().expect("a request");
            dials += 1;
            let in_header = request.header("X-API-KEY") == Some(TOKEN);
            let in_query = request.path.contains(TRACE);
            assert_eq!((in_header, in_query), (query.is_empty(), !query.is_empty()));
        }
    }
}

#[test]
fn a_token_that_is_refused_is_not_shown() {
    let service = Service::with(|config| {
        config.auth = Auth::App {
            id: "app".into(),
            secret: "secret".into(),
        };
    });
    for given in [Given::Environment, Given::File] {
        for query in ["", "token-in-query=true"] {
            let seen = run(&service.url(), given, query);
            let case = format!("{given:?} {query}");
            assert_eq!(seen.status.code(), Some(1), "{case}: {}", seen.printed);
            assert!(seen.printed.contains("401"), "{case}: {}", seen.printed);
            shows_nothing(&seen, &case);
        }
    }
}

#[test]
fn a_token_that_the_other_side_sends_back_is_not_shown() {
    let redirect = format!("https://login.example/?access_token={TOKEN}");
    let echo = format!(r#"{{"message":"the token {TOKEN} is not valid"}}"#);
    let escaped = "Se%2Bcr%2Fet%3D7f3a9c2e1b is not valid";
    for (name, script) in [
        (
            "redirect",
            Script::http(302, &[("Location", &redirect)], ""),
        ),
        ("message", Script::http(401, &[], &echo)),
        ("page", Script::http(500, &[], escaped)),
        ("no http", Script::answer(format!("{TOKEN}\r\n"))),
        (
            "close reason",
            Script::listening().replying_to_start(vec![Message::Close(Some(
                tokio_tungstenite::tungstenite::protocol::CloseFrame {
                    code: 1008.into(),
                    reason: format!("bad token {TOKEN}").into(),
                },
            ))]),
        ),
        (
            "error",
            Script::say(vec![Message::text(format!(
                r#"{{"type":"error","message":"bad token","details":"{TOKEN}"}}"#
            ))]),
        ),
    ] {
        let peer = Peer::start(script);
        let seen = run(&peer.base_url(), Given::Environment, "token-in-query=true");
        assert!(seen.status.code().is_some(), "{name}: {}", seen.printed);
        shows_nothing(&seen, name);
    }
}

#[test]
fn neither_an_app_secret_nor_the_token_generated_for_it_is_shown() {
    let peer = Peer::start(Script::listening());
    let echo = format!(r#"{{"message":"no application has the secret {TOKEN}"}}"#);
    let token = format!(r#"{{"accessToken":"{TOKEN}","expiresIn":100}}"#);
    let broken = format!(r#"{{"accessToken":"{TOKEN}","expiresIn":"{TOKEN}"}}"#);
    for (status, body, works) in [
        (200, &token, true),
        (401, &echo, false),
        (500, &echo, true),
        (200, &broken, false),
    ] {
        let gate = Gate::before(&peer.base_url());
        gate.answer(status, body);
        let seen = run(&gate.base_url(), Given::Credentials, "drain-timeout=3000");
        let case = format!("{status} {body}");
        assert_eq!(seen.status.success(), works, "{case}: {}", seen.printed);
        shows_nothing(&seen, &case);
        // The run had the secret.
        assert_eq!(gate.requests()[0].body["appSecret"], TOKEN);
    }
}

#[test]
fn the_error_for_a_service_that_is_away_does_not_show_the_token() {
    let peer = Peer::start(Script::never_accepts());
    let seen = run(
        &peer.base_url(),
        Given::Environment,
        "token-in-query=true connect-timeout=50",
    );
    // No session took any audio, which is an error.
    assert!(!seen.status.success(), "{}", seen.printed);
    shows_nothing(&seen, "away");
}

#[test]
fn a_token_on_the_command_line_is_shown_by_the_command_line_alone() {
    let peer = Peer::start(Script::listening());
    let seen = run(&peer.base_url(), Given::Property, "token-in-query=true");
    assert!(seen.status.success(), "{}", seen.printed);
    // This is why the manual recommends the environment or a file.
    assert!(seen.command_line.contains(TRACE));
    // Only GStreamer's parser may log the line, which it parses.
    let parser = ["GST_PIPELINE", " gstparse.c:", " types.h:", " grammar."];
    let line = |line: &&str| line.contains(TRACE) && !parser.iter().any(|by| line.contains(by));
    assert_eq!(seen.log.lines().find(line), None);
    assert!(!seen.printed.contains(TRACE), "{}", seen.printed);
    assert!(!seen.graphs.contains(TRACE));
}

#[test]
fn a_token_cannot_be_read_back_or_drawn() {
    let peer = Peer::start(Script::listening());
    let pipeline = Pipeline::appsrc(
        CAPS,
        &format!("base-url={} access-token={TOKEN}", peer.base_url()),
    );
    pipeline.play();
    let sink = pipeline.sink();
    let spec = sink.find_property("access-token").expect("a property");
    assert!(!spec.flags().contains(gst::glib::ParamFlags::READABLE));
    let graph = pipeline
        .pipeline
        .debug_to_dot_data(gst::DebugGraphDetails::all());
    assert!(graph.contains("GstSymblSink") && !graph.contains(TRACE));
    for spec in sink.list_properties().iter() {
        if spec.flags().contains(gst::glib::ParamFlags::READABLE) {
            let value = sink.property_value(spec.name());
            let text = format!("{value:?}");
            assert!(!text.contains(TRACE), "{}", spec.name());
        }
    }
}
