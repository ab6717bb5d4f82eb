// SPDX-License-Identifier: MPL-2.0

//! Findings of the service, from the property that asks for them to the bus: entities, and
//! the trackers of the account.

use crate::common::pipeline::{Pipeline, buffer};
use crate::common::service::Service;
use std::sync::Arc;
use std::time::Duration;
use symbl_protocol::Tracker;
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use symbl_service::trackers::{MemoryTrackers, TrackerStore};

/// A recogniser that hears one sentence in any audio, a second after its beginning.
struct Parrot;

impl Recognizer for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Parrot))
    }
}

impl RecognizerStream for Parrot {
    fn push(&mut self, _: &[i16], _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let sentence = "sarah wants a refund of twenty dollars on friday";
        let words = sentence
            .split(' ')
            .zip(10u32..)
            .map(|(word, n)| RecognisedWord {
                text: word.to_owned(),
                start: n * Duration::from_millis(100),
                end: (n + 1) * Duration::from_millis(100),
                confidence: 1.0,
            });
        let words = words.collect();
        out.push(Recognition::bare(words));
        Ok(())
    }
}

/// Plays three seconds of audio through a sink with these properties.
fn spoken(service: &Service, properties: &str) -> Pipeline {
    let mut pipeline = Pipeline::appsrc(
        "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000",
        &format!("base-url={} sync=false {properties}", service.url()),
    );
    pipeline.play();
    for second in 0..3 {
        let data = vec![0; 32_000];
        let pts = second * 1_000_000_000;
        let buffer = buffer(data, Some(pts), Some(1_000_000_000));
        pipeline.src().push_buffer(buffer).unwrap();
    }
    pipeline.src().end_of_stream().unwrap();
    pipeline.wait_for_eos();
    pipeline
}

#[test]
fn entities_and_the_accounts_trackers_come_if_asked_for_at_the_time_of_their_message() {
    let mut id = String::new();
    let service = Service::with(|config| {
        config.recognizer = Arc::new(Parrot);
        let refunds = Tracker {
            name: "Refunds".to_owned(),
            vocabulary: vec!["refund".to_owned()],
        };
        let trackers = MemoryTrackers::default();
        id = trackers.create("", vec![refunds]).unwrap().remove(0).id;
        config.trackers = Some(Arc::new(trackers));
    });
    let silent = spoken(&service, "");
    assert_eq!(silent.of_kind("message").len(), 1);
    assert!(silent.of_kind("entity").is_empty() && silent.of_kind("tracker").is_empty());

    let asked = spoken(&service, "detect-entities=true enable-all-trackers=true");
    let found: Vec<_> = asked
        .of_kind("entity")
        .iter()
        .map(|entity| {
            assert_eq!(entity.get::<u64>("running-time"), Ok(1_000_000_000));
            let text = |field: &str| entity.get::<String>(field).unwrap();
            (text("type"), text("value"))
        })
        .collect();
    let expected = [
        ("person", "Sarah"),
        ("money", "twenty dollars"),
        ("date", "Friday"),
    ];
    assert_eq!(
        found,
        expected.map(|(kind, value)| (kind.to_owned(), value.to_owned()))
    );

    let trackers = asked.of_kind("tracker");
    assert_eq!(trackers.len(), 1);
    assert_eq!(trackers[0].get::<String>("id"), Ok(id));
    assert_eq!(trackers[0].get::<i32>("offset"), Ok(14));
}

#[test]
fn unsupported_requests_are_posted_and_the_rest_is_done() {
    let service = Service::with(|config| config.recognizer = Arc::new(Parrot));
    let extra = r#"start-request-extra="{\"config\":{\"mood\":true}}""#;
    let spoken = spoken(&service, &format!("{extra} detect-entities=true"));
    let raw = spoken.of_kind("raw");
    let [warning] = &raw[..] else {
        panic!("{raw:?}");
    };
    assert_eq!(warning.get::<&str>("type"), Ok("warning"));
    let json: &str = warning.get("json").expect("text");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(json["fields"], serde_json::json!(["config.mood"]));
    assert_eq!(spoken.of_kind("message").len(), 1);
    assert_eq!(spoken.of_kind("entity").len(), 3);
}

#[test]
fn sentiment_and_analytics_are_posted_if_they_are_asked_for() {
    let service = Service::with(|config| config.recognizer = Arc::new(Parrot));
    let asked = spoken(&service, "sentiment=true analytics=true speaker-name=Ada");
    assert!(asked.of_kind("raw").is_empty());
    let [message] = &asked.of_kind("message")[..] else {
        panic!("no message")
    };
    // "want" is a little positive.
    let sentiment = message.get::<f64>("sentiment").expect("a polarity");
    assert!((-1.0..=1.0).contains(&sentiment), "{sentiment}");
    let analytics = asked.of_kind("analytics");
    let analytics = analytics.last().expect("figures");
    // Nine words of 100 ms, a second after the beginning.
    assert_eq!(analytics.get::<u64>("talk-time"), Ok(900_000_000));
    assert_eq!(analytics.get::<u64>("silence"), Ok(1_000_000_000));
    assert_eq!(analytics.get::<u64>("overlap"), Ok(0));
    let json: &str = analytics.get("json").expect("text");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(json["members"][0]["name"], "Ada");
    assert_eq!(json["members"][0]["pace"]["wpm"], 600);

    let bare = spoken(&service, "");
    assert!(bare.of_kind("analytics").is_empty());
    assert!(bare.of_kind("message")[0].get::<f64>("sentiment").is_err());
}
