// SPDX-License-Identifier: MPL-2.0

//! A sink and a scripted peer. The test between them plays the sink's upstream, and lets the
//! peer send messages.

use super::feed::{CAPS, Feed};
use super::peer::{Message, Peer, Record, Script};
use super::pipeline::{BOUND, Pipeline};

pub struct Dialogue {
    pub pipeline: Pipeline,
    pub feed: Feed,
    pub peer: Peer,
    pings: u64,
}

impl Dialogue {
    /// Starts a playing pipeline that has caps (16 kHz) and no audio yet.
    pub fn begin(script: Script, properties: &str) -> Self {
        let peer = Peer::start(script);
        let (pipeline, feed) =
            Feed::pipeline(&format!("base-url={} {properties}", peer.base_url()));
        pipeline.play();
        assert!(feed.begin(CAPS));
        Self::between(pipeline, feed, peer)
    }

    /// Returns the dialogue of a pipeline with its peer.
    pub fn between(pipeline: Pipeline, feed: Feed, peer: Peer) -> Self {
        Self {
            pipeline,
            feed,
            peer,
            pings: 0,
        }
    }

    /// Starts a dialogue, and sends `millis` of silence to a peer that listens.
    pub fn listening(millis: usize) -> Self {
        let mut dialogue = Self::begin(Script::listening(), "");
        dialogue.pipeline.wait_for_state("listening");
        dialogue.feed.hush(millis).expect("there is room");
        dialogue.wait(|record| record.audio().len() == millis * 32);
        dialogue
    }

    /// Returns the record of the newest connection.
    pub fn record(&self) -> Record {
        self.peer.records().pop().expect("a connection")
    }

    /// Waits until `reached` returns `true` for the record of the newest connection.
    pub fn wait(&self, reached: impl Fn(&Record) -> bool) {
        let newest = |records: &[Record]| records.last().is_some_and(&reached);
        assert!(
            self.peer.wait_for(newest, BOUND),
            "not within {BOUND:?}; heard {} messages: {:?}",
            self.record().frames.len(),
            self.record().texts()
        );
    }

    /// Sends a message from the peer on the newest connection.
    pub fn say(&self, message: Message) {
        self.peer.say(self.peer.records().len() - 1, message);
    }

    /// Sends a text from the peer.
    pub fn say_text(&self, text: &str) {
        self.say(Message::text(text));
    }

    /// Waits until the sink has handled all messages and audio from before, and has answered
    /// them if it does. It answers a ping after that.
    pub fn settle(&mut self) {
        self.pings += 1;
        let ping = format!("ping {}", self.pings);
        self.say(Message::Ping(ping.clone().into()));
        self.wait(|record| record.frames.contains(&Message::Pong(ping.clone().into())));
        self.pipeline.collect();
    }

    /// Asserts that the pipeline goes on, and that no error and no warning was posted.
    pub fn assert_untroubled(&self) {
        for message in &self.pipeline.messages {
            match message.view() {
                gst::MessageView::Error(error) => panic!("{}", error.error()),
                gst::MessageView::Warning(warning) => panic!("{}", warning.error()),
                _ => {}
            }
        }
        assert_eq!(self.pipeline.state(), "listening");
    }
}

/// Returns a final with words and their times in milliseconds of the service's audio.
pub fn final_result(words: &[(&str, u64, u64)]) -> String {
    let time = |millis: u64| {
        serde_json::json!({
            "seconds": (millis / 1000).to_string(),
            "nanos": (millis % 1000 * 1_000_000).to_string(),
        })
    };
    let text: Vec<&str> = words.iter().map(|(word, ..)| *word).collect();
    let words: Vec<_> = words
        .iter()
        .map(|(word, start, end)| {
            serde_json::json!({"word": word, "startTime": time(*start), "endTime": time(*end)})
        })
        .collect();
    result(&text.join(" "), &words, true)
}

/// Returns an interim.
pub fn interim_result(text: &str) -> String {
    result(text, &[], false)
}

fn result(text: &str, words: &[serde_json::Value], is_final: bool) -> String {
    serde_json::json!({
        "type": "message",
        "message": {
            "type": "recognition_result",
            "isFinal": is_final,
            "payload": {"raw": {"alternatives":
                [{"words": words, "transcript": text, "confidence": 0.9}]}},
            "punctuated": {"transcript": text},
        },
    })
    .to_string()
}

/// Returns a `message_response` with messages of these ids and texts.
pub fn message_response(messages: &[(&str, &str)]) -> String {
    let messages: Vec<_> = messages
        .iter()
        .map(|(id, text)| {
            serde_json::json!({
                "id": id,
                "payload": {"content": text, "contentType": "text/plain"},
                "metadata": {"originalContent": text, "words": "[]"},
                "dismissed": false,
            })
        })
        .collect();
    serde_json::json!({
        "type": "message_response", "messages": messages, "sequenceNumber": 0,
    })
    .to_string()
}
