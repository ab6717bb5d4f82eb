// SPDX-License-Identifier: MPL-2.0

//! Tests the program against `symbl-service`.

use crate::run::Tap;
use serde_json::{Value, json};
use std::time::Duration;
use symbl_service::Server;
use symbl_service::recognizer::scripted::{silence, speech};
use symbl_testkit::client::{Client, linear16, server, start_request};
use tokio::runtime::Runtime;

/// A service on threads of its own, so that a test may block.
struct Service {
    runtime: Runtime,
    server: Server,
}

impl Service {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(server());
        Self { runtime, server }
    }

    fn tap(&self, arguments: &[&str]) -> Tap {
        Tap::start(&format!("http://{}", self.server.local_addr()), arguments)
    }

    /// Starts a speaker in the conversation that the program listens to.
    fn speaker(&self, name: &str) -> Client {
        let mut request = start_request();
        request["noConnectionTimeout"] = 1800.into();
        request["speaker"] = json!({"userId": name, "name": name});
        let client = Client::started(&self.server, "call%2F17", &request);
        self.runtime.block_on(client).0
    }

    /// Says these words, and waits for their message.
    fn say(&self, speaker: &mut Client, words: std::ops::Range<u16>) {
        let mut samples = speech(words, 16_000);
        samples.extend(silence(Duration::from_millis(600), 16_000));
        self.runtime.block_on(async {
            speaker.send_audio(&linear16(&samples)).await;
            speaker.until("message_response").await;
        });
    }

    /// Stops the speaker.
    fn stop(&self, mut speaker: Client) {
        self.runtime.block_on(async {
            speaker.stop().await;
            speaker.rest().await;
        });
    }
}

/// Returns the speaker and the text of each line of the program's output.
fn said(out: &str) -> Vec<(String, String)> {
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines = lines.filter(|line: &Value| line["type"] == "transcript");
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .map(|line| (text(&line, "speaker"), text(&line, "text").to_lowercase()))
        .collect()
}

#[test]
fn two_speakers_are_written_down_to_the_end_of_their_conversation() {
    let service = Service::start();
    // The conversation has not begun yet.
    let mut tap = service.tap(&["--format", "jsonl", "--wait", "600"]);
    let mut ada = service.speaker("Ada");
    tap.says("listening");
    service.say(&mut ada, 0..5);
    let mut bob = service.speaker("Bob");
    service.say(&mut bob, 100..103);
    service.stop(ada);
    service.stop(bob);
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    let expected = [("Ada", "w0 w1 w2 w3 w4."), ("Bob", "w100 w101 w102.")];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(said(&out), expected);
}

#[test]
fn it_stays_while_a_speaker_loses_its_connection_and_comes_back() {
    let service = Service::start();
    let mut ada = service.speaker("Ada");
    let mut tap = service.tap(&["--format", "srt"]);
    tap.says("listening");
    service.say(&mut ada, 0..5);
    drop(ada);
    let mut ada = service.speaker("Ada");
    service.say(&mut ada, 5..10);
    service.stop(ada);
    let (status, out, err) = tap.end();
    assert!(status.success(), "{status}: {err}");
    let captions = subtp::srt::SubRip::parse(&out).unwrap().subtitles;
    let texts: Vec<String> = captions
        .iter()
        .map(|c| c.text.join(" ").to_lowercase())
        .collect();
    assert_eq!(texts, ["ada: w0 w1 w2 w3 w4.", "w5 w6 w7 w8 w9."]);
    assert_eq!(err, "");
}
