// SPDX-License-Identifier: MPL-2.0

//! A sink that gets speech, and the check of its results.

use crate::common::feed::{CAPS, Feed, MS};
use crate::common::pipeline::{Pipeline, bounded, counted, words_of};
use crate::hosts::Hosts;
use std::ops::RangeBounds;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted;

/// `ping-interval` and `pong-timeout` of [`SHORT`] together.
const DEADLINE: Duration = Duration::from_millis(500 + 1500);

/// Properties for a fast test.
pub const SHORT: &str =
    "ping-interval=500 pong-timeout=1500 connect-timeout=1000 reconnect-max-delay=300";

/// Properties for a test in which no connection is given up. The deadline is longer than TCP
/// needs to repeat lost packets.
pub const PATIENT: &str = "ping-interval=500 pong-timeout=30000";

/// Additional time for a busy machine.
pub const SLACK: Duration = Duration::from_secs(3);

/// A playing pipeline, and how many words it was given.
pub struct Talk {
    pub pipeline: Pipeline,
    feed: Feed,
    said: u16,
}

impl Talk {
    /// Starts a pipeline with a service at `url`. `properties` are the sink's.
    pub fn begin(url: &str, properties: &str) -> Self {
        let (pipeline, feed) = Feed::pipeline(&format!("base-url={url} {properties}"));
        pipeline.play();
        assert!(feed.begin(CAPS));
        Self {
            pipeline,
            feed,
            said: 0,
        }
    }

    /// Says words before and after `fault`. Asserts that the missing pong, and nothing else,
    /// shows the loss of the connection in time.
    pub fn interrupted(hosts: &Hosts, fault: impl FnOnce()) -> Self {
        let mut talk = Self::begin(&hosts.url(), SHORT);
        talk.pipeline.wait_for_state("listening");
        talk.say(25);
        talk.wait_for_words(10);
        let begin = Instant::now();
        fault();
        talk.say(15);
        talk.wait_for_reason("reconnecting", "pong-timeout");
        let found = begin.elapsed();
        println!("found after {found:?}");
        assert!(found < DEADLINE + SLACK, "found after {found:?}");
        talk
    }

    /// Says the next words, right after those before.
    pub fn say(&mut self, count: u16) {
        let speech = scripted::speech(self.said..self.said + count, 16_000);
        let pushed = bounded("the push of audio", || self.feed.speak(&speech));
        pushed.expect("there is room");
        self.said += count;
    }

    /// Waits until this many words are final.
    pub fn wait_for_words(&mut self, count: usize) {
        while self.pipeline.words().len() < count {
            self.pipeline.wait_for_kind("transcript");
        }
    }

    /// Waits for the next failure, and asserts that it leads to `state` for `reason`.
    pub fn wait_for_reason(&mut self, state: &str, reason: &str) {
        loop {
            let told = self.pipeline.wait_for_kind("state");
            if told.has_field("retry-in") {
                assert_eq!(told.get("state"), Ok(state));
                assert_eq!(told.get("reason"), Ok(reason));
                return;
            }
        }
    }

    /// Ends the stream, and returns `symbl/drained`.
    pub fn drain(&mut self) -> gst::Structure {
        assert!(bounded("the end of the stream", || self.feed.end()));
        self.pipeline.wait_for_eos();
        let drained = self.pipeline.of_kind("drained");
        drained.into_iter().next().expect("a last word")
    }

    /// Ends the stream. Asserts that every word came once, in order and in its place, in one
    /// conversation, after a number of rejoins within `expected`. A busy machine may miss a
    /// short deadline more often.
    pub fn end(mut self, expected: impl RangeBounds<u64>) {
        let drained = self.drain();
        self.assert_all_is_told("transcripts", &self.pipeline.words());
        let messages = self.pipeline.of_kind("message");
        self.assert_all_is_told("messages", &words_of(&messages));
        assert_eq!(self.pipeline.of_kind("gap").len(), 0);
        assert_eq!(drained.get::<bool>("complete"), Ok(true));
        let sink = self.pipeline.sink();
        let reconnects = counted(&sink, "reconnects");
        assert!(expected.contains(&reconnects), "{reconnects} reconnects");
        assert_eq!(self.events(), expected_events(reconnects));
        let audio = u64::from(self.said) * 200 * MS;
        assert_eq!(counted(&sink, "audio-sent"), audio);
    }

    fn assert_all_is_told(&self, what: &str, words: &[(String, u64)]) {
        let said: Vec<String> = (0..self.said).map(|n| format!("w{n}")).collect();
        let heard: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(heard, said, "{what}");
        for (n, (word, at)) in (0..).zip(words) {
            assert!(
                at.abs_diff(n * 200 * MS) <= 20 * MS,
                "{what}: {word} at {at}"
            );
        }
    }

    fn events(&self) -> Vec<String> {
        let sessions = self.pipeline.of_kind("session");
        sessions
            .iter()
            .map(|s| s.get("event").expect("an event"))
            .collect()
    }
}

fn expected_events(reconnects: u64) -> Vec<String> {
    let resumed = std::iter::repeat_n("resumed", reconnects as usize);
    let events = std::iter::once("created").chain(resumed);
    events.chain(["completed"]).map(str::to_owned).collect()
}
