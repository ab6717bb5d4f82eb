// SPDX-License-Identifier: MPL-2.0

//! `@symblai/symbl-js` in Node.js.

use crate::app::{closed, contents, each, run, scripted, told, words};
use crate::node::node;
use crate::prompter::Prompter;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::recognizer::scripted;
use symbl_testkit::engine;
use symbl_testkit::relay::Relay;
use symbl_testkit::service::Service;
use tempfile::TempDir;

/// Sound files that go when it is dropped.
struct Sounds(TempDir);

impl Sounds {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn write(&self, name: &str, samples: &[i16]) -> PathBuf {
        let path = self.0.path().join(name);
        engine::write_wav(&path, samples);
        path
    }

    /// Writes a file with the words of these numbers and a pause.
    fn numbers(&self, name: &str, numbers: std::ops::Range<u16>) -> PathBuf {
        let mut samples = scripted::speech(numbers, 16_000);
        samples.extend(scripted::silence(Duration::from_millis(500), 16_000));
        self.write(name, &samples)
    }
}

/// Returns the messages that a stream's own handler was called with.
fn messages(seen: &Value) -> Vec<&Value> {
    let responses = told(seen, "onMessageResponse");
    responses.into_iter().flat_map(each).collect()
}

/// Returns what the SDK made of `samples` in one stream, or `None` where Node.js is absent.
fn stream(service: &Service, api: &str, samples: &[i16], patient: bool) -> Option<Value> {
    let sounds = Sounds::new();
    let sound = sounds.write("talk.wav", samples);
    let mut node = node("stream.js")?;
    node.args([api, &service.url()]).arg(sound);
    if patient {
        node.arg("patient");
    }
    Some(run(&mut node, |_| {}))
}

fn assert_each_word_came_once(seen: &Value) {
    assert_eq!(words(&contents(messages(seen))), scripted(0..25), "{seen}");
    let transcripts = told(seen, "onSpeechDetected");
    let finals = transcripts.iter().filter(|t| t["isFinal"] == true).count();
    assert_eq!((transcripts.len() - finals, finals), (25, 3), "{seen}");
    assert!(!seen["conversationId"].as_str().unwrap().is_empty());
}

#[test]
fn start_realtime_request_hears_the_last_word_and_stops() {
    let service = Service::with(closed);
    let samples = scripted::speech(0..25, 16_000);
    let Some(seen) = stream(&service, "startRealtimeRequest", &samples, false) else {
        return;
    };
    assert_each_word_came_once(&seen);
    let stopped = &seen["stopped"]["data"];
    assert_eq!(stopped["conversationId"], seen["conversationId"]);
}

#[test]
fn create_stream_hears_the_last_word_and_stops() {
    let service = Service::with(closed);
    let samples = scripted::speech(0..25, 16_000);
    let Some(seen) = stream(&service, "createStream", &samples, false) else {
        return;
    };
    assert_each_word_came_once(&seen);
}

#[test]
fn a_patient_client_hears_the_last_word_too() {
    let service = Service::with(closed);
    let samples = scripted::speech(0..25, 16_000);
    let Some(seen) = stream(&service, "startRealtimeRequest", &samples, true) else {
        return;
    };
    assert_each_word_came_once(&seen);
}

#[test]
fn all_handlers_are_called() {
    let service = Service::with(|config| {
        closed(config);
        config.recognizer = Arc::new(Prompter(&[
            "please send the report by friday",
            "when does the conference start",
            "you will now be placed into the conference",
            "the leader has left the conference",
        ]));
    });
    let silence = scripted::silence(Duration::from_secs(2), 16_000);
    let Some(seen) = stream(&service, "startRealtimeRequest", &silence, false) else {
        return;
    };
    let spoken = [
        "Please send the report by Friday.",
        "When does the conference start?",
        "You will now be placed into the conference.",
        "The leader has left the conference.",
    ];
    assert_eq!(contents(messages(&seen)), spoken, "{seen}");
    let started = told(&seen, "onRequestStart")[0];
    assert_eq!(started["data"]["conversationId"], seen["conversationId"]);
    let insights = told(&seen, "onInsightResponse");
    let insights: Vec<&Value> = insights.into_iter().flat_map(each).collect();
    let kinds: Vec<&Value> = insights.iter().map(|insight| &insight["type"]).collect();
    assert_eq!(kinds, ["action_item", "question"], "{seen}");
    assert_eq!(contents(insights), spoken[..2]);
    let tracker = told(&seen, "onTrackerResponse")[0];
    assert_eq!(tracker["trackers"][0]["name"], "Report", "{seen}");
    let topic = told(&seen, "onTopicResponse")[0];
    assert_eq!(topic[0]["phrases"], "conference", "{seen}");
    let completed = told(&seen, "onConversationCompleted")[0];
    let data = &completed["message"]["data"];
    assert_eq!(data["conversationId"], seen["conversationId"], "{seen}");
    let closed = told(&seen, "onClose")[0];
    assert_eq!(closed["code"], 1000, "{seen}");
    for handler in ["onStartedListening", "onRequestStop"] {
        assert!(!told(&seen, handler).is_empty(), "{handler}: {seen}");
    }
    let received: Vec<&Value> = told(&seen, "onDataReceived");
    let created = received
        .iter()
        .find(|data| data["message"]["type"] == "conversation_created");
    assert!(created.is_some(), "{seen}");
}

#[test]
fn speech_gives_messages_insights_and_trackers() {
    let Some(service) = engine::service() else {
        return;
    };
    let sentences = [
        "Please send the report by Friday.",
        "When does the meeting start?",
    ];
    let Some(samples) = engine::spoken(&sentences) else {
        return;
    };
    let Some(seen) = stream(&service, "startRealtimeRequest", &samples, false) else {
        return;
    };
    let heard = contents(messages(&seen));
    assert_eq!(heard.len(), 2, "{seen}");
    assert_eq!(heard[1], "When does the meeting start?");
    let insights = told(&seen, "onInsightResponse");
    let insights: Vec<&Value> = insights.into_iter().flat_map(each).collect();
    let kinds: Vec<&Value> = insights.iter().map(|insight| &insight["type"]).collect();
    assert_eq!(kinds, ["action_item", "question"], "{seen}");
    let due = insights[0]["dueBy"]["value"].as_str().expect("a date");
    assert!(
        due.ends_with("T00:00:00Z"),
        "the beginning of a Friday: {due}"
    );
    assert_eq!(contents(insights), heard);
    let tracker = told(&seen, "onTrackerResponse")[0];
    assert_eq!(tracker["trackers"][0]["name"], "Report", "{seen}");
}

#[test]
fn a_start_that_is_refused_is_told_and_may_be_tried_again() {
    let service = Service::with(closed);
    let Some(mut node) = node("refused.js") else {
        return;
    };
    let seen = run(node.arg(service.url()), |_| {});
    let refused = &seen["refused"]["message"];
    assert_eq!(refused["code"], "invalid_request", "{seen}");
    let details = refused["details"].as_str().expect("a text");
    assert!(details.contains("noConnectionTimeout"), "{details}");
    assert_eq!(conversations(&seen), [&seen["conversationId"]], "{seen}");
}

/// Returns the conversation ids of the `recognition_started` messages.
fn conversations(seen: &Value) -> Vec<&Value> {
    let starts = told(seen, "onRequestStart").into_iter();
    starts
        .map(|start| &start["data"]["conversationId"])
        .collect()
}

#[test]
fn a_pause_ends_nothing() {
    let service = Service::with(closed);
    let sounds = Sounds::new();
    let Some(mut node) = node("pause.js") else {
        return;
    };
    node.arg(service.url())
        .arg(sounds.numbers("first.wav", 0..10))
        .arg(sounds.numbers("second.wav", 10..20));
    let seen = run(&mut node, |_| {});
    assert_eq!(words(&contents(messages(&seen))), scripted(0..20), "{seen}");
    let id = &seen["conversationId"];
    assert_eq!(conversations(&seen), [id, id], "{seen}");
    assert_eq!(told(&seen, "onRequestStop").len(), 2, "{seen}");
    assert!(told(&seen, "onConversationCompleted").is_empty(), "{seen}");
}

#[test]
fn a_lost_connection_is_dialled_again_into_the_same_conversation() {
    let service = Service::with(closed);
    let relay = Relay::to(&service.url());
    let sounds = Sounds::new();
    let Some(mut node) = node("reconnect.js") else {
        return;
    };
    node.args([service.url(), relay.base_url()])
        .arg(sounds.numbers("first.wav", 0..10))
        .arg(sounds.numbers("second.wav", 10..20));
    let seen = run(&mut node, |what| {
        assert_eq!(what, "cut");
        relay.cut();
    });
    assert_eq!(relay.connections(), 2);
    assert_eq!(words(&contents(messages(&seen))), scripted(0..20), "{seen}");
    let id = &seen["conversationId"];
    assert_eq!(conversations(&seen), [id, id], "{seen}");
}

/// Asserts that a subscriber gets what a speaker says, to the end of the conversation.
fn assert_subscribers_hear(api: &str) {
    let service = Service::with(closed);
    let sounds = Sounds::new();
    let Some(mut node) = node("subscribe.js") else {
        return;
    };
    node.args([api, &service.url()])
        .arg(sounds.numbers("talk.wav", 0..10));
    let seen = run(&mut node, |_| {});
    let heard = told(&seen, "onMessage");
    let first = &heard[0]["message"];
    assert_eq!(first["type"], "subscription_started", "{seen}");
    assert_eq!(first["data"]["conversationId"], seen["conversationId"]);
    let responses = heard.iter().filter(|m| m["type"] == "message_response");
    let messages = responses.flat_map(|response| each(&response["messages"]));
    assert_eq!(words(&contents(messages)), scripted(0..10), "{seen}");
    let results = heard.iter().map(|m| &m["message"]);
    let results = results.filter(|m| m["type"] == "recognition_result");
    assert_eq!(results.count(), 11, "{seen}");
    let last = heard.last().unwrap();
    assert_eq!(last["message"]["type"], "conversation_completed", "{seen}");
    assert_eq!(told(&seen, "onSubscribe").len(), 1, "{seen}");
}

#[test]
fn subscribe_to_connection_hears_what_is_said() {
    assert_subscribers_hear("subscribeToConnection");
}

#[test]
fn subscribe_to_stream_hears_what_is_said() {
    assert_subscribers_hear("subscribeToStream");
}
