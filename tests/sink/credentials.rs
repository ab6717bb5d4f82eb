// SPDX-License-Identifier: MPL-2.0

//! Tokens that are generated, requested, renewed and shared: C3, C4, and need 16, that a long
//! stream outlives its tokens.

use crate::common::feed::{CAPS, Feed};
use crate::common::gate::Gate;
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{BOUND, Pipeline, bounded};
use crate::common::relay::Relay;
use crate::common::service::Service;
use gst::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use symbl_service::Auth;
use symbl_service::recognizer::scripted;

const APP: &str = "app-id=app app-secret=hush-hush-hush";

/// Starts a gate before a peer that listens.
fn gate() -> (Peer, Gate) {
    let peer = Peer::start(Script::listening());
    let gate = Gate::before(&peer.base_url());
    (peer, gate)
}

/// Starts a playing pipeline that has caps.
fn begin(base_url: &str, properties: &str) -> (Pipeline, Feed) {
    let (pipeline, feed) = Feed::pipeline(&format!("base-url={base_url} {properties}"));
    pipeline.play();
    assert!(feed.begin(CAPS));
    (pipeline, feed)
}

/// Returns the number of dials that the session has reported.
fn attempts(pipeline: &Pipeline) -> i32 {
    let states = pipeline.of_kind("state");
    let attempt = |s: &gst::Structure| s.get::<i32>("attempt").ok();
    states.iter().filter_map(attempt).max().unwrap_or(0)
}

/// Waits for the next ERROR. Returns it and its details.
fn error(pipeline: &mut Pipeline) -> (gst::glib::Error, gst::Structure) {
    let message = pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    (error.error(), error.details().expect("details").to_owned())
}

fn warnings(pipeline: &Pipeline) -> usize {
    let is_warning = |m: &&gst::Message| m.type_() == gst::MessageType::Warning;
    pipeline.messages.iter().filter(is_warning).count()
}

#[test]
fn c3_credentials_are_exchanged_for_a_token_before_the_first_dial() {
    let (peer, gate) = gate();
    let (mut pipeline, _feed) = begin(&gate.base_url(), APP);
    pipeline.wait_for_state("listening");
    let requests = gate.requests();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0]
            .head
            .starts_with("POST /oauth2/token:generate HTTP/1.1\r\n"),
        "{}",
        requests[0].head
    );
    let head = requests[0].head.to_lowercase();
    assert!(head.contains("\r\ncontent-type: application/json\r\n"));
    assert!(!head.contains("x-api-key"));
    let body = r#"{"type":"application","appId":"app","appSecret":"hush-hush-hush"}"#;
    assert_eq!(requests[0].body.to_string(), body);
    assert_eq!(gate.shown(), ["token-1"]);
    let request = peer.records()[0].request.clone().expect("a request");
    assert_eq!(request.header("X-API-KEY"), Some("token-1"));
}

#[test]
fn c3_a_token_is_kept_while_it_lives_and_renewed_before_the_dial_when_it_does_not() {
    for (lifetime, shown) in [
        (86_400.0, ["token-1", "token-1", "token-1"]),
        // A token that has expired when it comes.
        (0.0, ["token-1", "token-2", "token-3"]),
    ] {
        let peer = Peer::start(Script::listening());
        let relay = Relay::to(&peer.base_url());
        let gate = Gate::before(&relay.base_url());
        gate.lifetime(lifetime);
        let (mut pipeline, _feed) = begin(&gate.base_url(), APP);
        for _ in 0..2 {
            pipeline.wait_for_state("listening");
            relay.cut();
            pipeline.wait_for_state("reconnecting");
        }
        pipeline.wait_for_state("listening");
        assert_eq!(gate.shown(), shown, "{lifetime} s");
    }
}

#[test]
fn c4_a_refused_token_is_renewed_and_tried_once_more_in_the_same_dial() {
    let (peer, gate) = gate();
    gate.refuse("token-1");
    let (mut pipeline, _feed) = begin(&gate.base_url(), APP);
    pipeline.wait_for_state("listening");
    assert_eq!(gate.shown(), ["token-1", "token-2"]);
    assert_eq!(peer.records().len(), 1);
    // The session saw one dial and nothing else.
    assert_eq!((attempts(&pipeline), warnings(&pipeline)), (1, 0));
}

#[test]
fn c4_when_the_renewed_token_is_refused_too_the_session_fails_for_good() {
    let (_peer, gate) = gate();
    gate.refuse_all();
    let (mut pipeline, _feed) = begin(&gate.base_url(), &format!("{APP} on-fatal=error"));
    let (error, details) = error(&mut pipeline);
    assert!(error.matches(gst::ResourceError::NotAuthorized), "{error}");
    assert_eq!(details.get::<i32>("http-status"), Ok(401), "{details}");
    assert_eq!(details.get::<bool>("retryable"), Ok(false), "{details}");
    assert!(error.message().contains("app-id"), "{error}");
    // Another sink, which does dial again, has dialed twice meanwhile.
    let away = Peer::start(Script::http(503, &[], ""));
    let _other = begin(&away.base_url(), "reconnect-max-delay=1");
    assert!(away.wait_for(|records| records.len() > 2, BOUND));
    assert_eq!(gate.shown(), ["token-1", "token-2"]);
    assert_eq!(gate.requests().len(), 2);
}

#[test]
fn c4_a_sink_without_another_token_does_not_try_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "stale").expect("a file");
    for (properties, shown) in [
        ("access-token=stale".to_owned(), "stale"),
        (format!("access-token-file={}", file.display()), "stale"),
        (String::new(), "none"),
    ] {
        let (_peer, gate) = gate();
        gate.refuse_all();
        let (mut pipeline, _feed) = begin(&gate.base_url(), &properties);
        error(&mut pipeline);
        assert_eq!(gate.shown(), [shown], "{properties}");
    }
    // The service generates the same token again.
    let (_peer, gate) = gate();
    let same = r#"{"accessToken":"same","expiresIn":50}"#;
    gate.answer(200, same);
    gate.answer(200, same);
    gate.refuse("same");
    let (mut pipeline, _feed) = begin(&gate.base_url(), APP);
    error(&mut pipeline);
    assert_eq!(
        (gate.shown().as_slice(), gate.requests().len()),
        (&["same".to_owned()][..], 2)
    );
}

#[test]
fn c4_a_token_file_that_has_changed_is_a_renewal() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "old").expect("a file");
    let (_peer, gate) = gate();
    gate.refuse("old");
    let renewed = file.clone();
    gate.at_refusal(move || std::fs::write(&renewed, "new").expect("a file"));
    let properties = format!("access-token-file={}", file.display());
    let (mut pipeline, _feed) = begin(&gate.base_url(), &properties);
    pipeline.wait_for_state("listening");
    assert_eq!(gate.shown(), ["old", "new"]);
}

#[test]
fn need_16_a_stream_outlives_its_tokens_and_loses_no_word() {
    // A token that is known to have expired, and one that is revoked before it expires.
    for lifetime in [0.0, 86_400.0] {
        let service = Service::start();
        let relay = Relay::to(&service.url());
        let gate = Gate::before(&relay.base_url());
        gate.lifetime(lifetime);
        gate.refuse_again();
        let (mut pipeline, feed) = begin(&gate.base_url(), APP);
        let speech = scripted::speech(0..40, 16_000);
        let parts: Vec<&[i16]> = speech.chunks(speech.len() / 4).collect();
        for (n, part) in parts.iter().enumerate() {
            pipeline.wait_for_state("listening");
            feed.speak(part).expect("there is room");
            if n + 1 < parts.len() {
                relay.cut();
                pipeline.wait_for_state("reconnecting");
            }
        }
        assert!(feed.end());
        pipeline.wait_for_eos();
        let words: Vec<String> = pipeline.words().into_iter().map(|w| w.0).collect();
        let expected: Vec<String> = (0..40).map(|n| format!("w{n}")).collect();
        assert_eq!(words, expected, "{lifetime} s");
        assert_eq!(attempts(&pipeline), 1, "every dial succeeded");
    }
}

#[test]
fn need_16_a_service_that_generates_tokens_takes_them() {
    let service = Service::with(|config| {
        config.auth = Auth::App {
            id: "app".into(),
            secret: "hush-hush-hush".into(),
        };
    });
    let (mut pipeline, feed) = begin(&service.url(), APP);
    feed.speak(&scripted::speech(0..5, 16_000))
        .expect("there is room");
    assert!(feed.end());
    pipeline.wait_for_eos();
    assert_eq!(pipeline.words().len(), 5);
}

#[test]
fn need_16_sinks_with_the_same_credentials_share_one_request_and_one_token() {
    let (_peer, gate) = gate();
    gate.hold(true);
    let mut sinks: Vec<_> = (0..8).map(|_| begin(&gate.base_url(), APP)).collect();
    assert!(gate.wait_for(1, 0, BOUND));
    // A sink with other credentials does not get the token of these.
    let other = "app-id=app app-secret=another-secret";
    sinks.push(begin(&gate.base_url(), other));
    assert!(gate.wait_for(2, 0, BOUND));
    gate.hold(false);
    for (pipeline, _feed) in &mut sinks {
        pipeline.wait_for_state("listening");
    }
    assert_eq!(gate.requests().len(), 2);
    let shown = gate.shown();
    let mut shared: Vec<&String> = shown.iter().collect();
    shared.sort();
    shared.dedup();
    assert_eq!((shown.len(), shared.len()), (9, 2), "{shown:?}");
}

#[test]
fn need_16_a_sink_that_stops_does_not_cancel_the_request_of_the_others() {
    let (_peer, gate) = gate();
    gate.hold(true);
    let (first, _first_feed) = begin(&gate.base_url(), APP);
    assert!(gate.wait_for(1, 0, BOUND));
    let (mut second, _second_feed) = begin(&gate.base_url(), APP);
    first.stop();
    gate.hold(false);
    second.wait_for_state("listening");
    assert_eq!(gate.shown().len(), 1);
}

#[test]
fn need_16_a_token_endpoint_that_is_away_is_no_reason_to_give_up() {
    let (_peer, gate) = gate();
    gate.answer(503, "");
    gate.answer(500, "<title>Down for maintenance</title>");
    gate.answer(429, "");
    let (mut pipeline, _feed) = begin(
        &gate.base_url(),
        &format!("{APP} reconnect-max-delay=20 on-fatal=error"),
    );
    pipeline.wait_for_state("listening");
    assert_eq!((gate.requests().len(), warnings(&pipeline)), (4, 1));
    // A service that does not answer is waited for no longer than in any other dial.
    let (_peer, gate) = self::gate();
    gate.hold(true);
    let (mut pipeline, _feed) = begin(&gate.base_url(), &format!("{APP} connect-timeout=100"));
    pipeline.wait_for("the second dial", |message| {
        message
            .structure()
            .is_some_and(|s| s.get::<i32>("attempt") == Ok(2))
    });
}

#[test]
fn need_16_credentials_that_are_refused_fail_and_new_ones_revive() {
    for status in [400, 401, 403] {
        let (_peer, gate) = gate();
        let said = r#"{"message":"no application with hush-hush-hush"}"#;
        gate.answer(status, said);
        let properties = format!("{APP} on-fatal=warning");
        let (mut pipeline, _feed) = begin(&gate.base_url(), &properties);
        pipeline.wait_for_state("failed");
        let warning = pipeline.wait_for("a warning", |m| m.type_() == gst::MessageType::Warning);
        let gst::MessageView::Warning(warning) = warning.view() else {
            unreachable!()
        };
        let text = warning.error().to_string();
        for word in ["app-id", "app-secret", &status.to_string()] {
            assert!(text.contains(word), "{text}");
        }
        assert!(!text.contains("hush-hush"), "{text}");
        assert_eq!((gate.requests().len(), gate.shown().len()), (1, 0));
        pipeline.sink().set_property("app-secret", "rotated");
        pipeline.wait_for_state("listening");
        assert_eq!(gate.requests()[1].body["appSecret"], "rotated");
    }
}

#[test]
fn a_token_endpoint_that_answers_nonsense_is_an_error_that_shows_none_of_it() {
    for (status, body) in [
        (404, "not here"),
        (302, ""),
        (200, "<title>Welcome</title>"),
        (200, r#"{"accessToken":{"hidden":1}}"#),
        (200, r#"{"accessToken":"hid den"}"#),
        (200, r#"{"accessToken":"t","expiresIn":"hidden"}"#),
        (
            200,
            &format!(r#"{{"accessToken":"{}"}}"#, "hidden".repeat(20_000)),
        ),
    ] {
        let (_peer, gate) = gate();
        gate.answer(status, body);
        let (mut pipeline, _feed) = begin(&gate.base_url(), APP);
        let (error, details) = error(&mut pipeline);
        assert_eq!(details.get::<bool>("retryable"), Ok(false), "{details}");
        let text = error.to_string();
        assert!(text.contains("token") && !text.contains("hid"), "{text}");
        assert_eq!(gate.requests().len(), 1);
    }
}

/// Answers `request-token` with these tokens, one after the other, and then with NULL.
fn answering(pipeline: &Pipeline, answers: &[Option<&str>]) -> Arc<AtomicUsize> {
    let answers: Vec<Option<String>> = answers.iter().map(|a| a.map(str::to_owned)).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    pipeline.sink().connect("request-token", false, move |_| {
        let answer = answers.get(count.fetch_add(1, Ordering::SeqCst)).cloned();
        Some(answer.flatten().to_value())
    });
    asked
}

#[test]
fn need_16_the_application_is_asked_for_a_token_at_each_dial() {
    let peer = Peer::start(Script::listening());
    let relay = Relay::to(&peer.base_url());
    let gate = Gate::before(&relay.base_url());
    let properties = format!("base-url={} access-token=settled", gate.base_url());
    let (mut pipeline, feed) = Feed::pipeline(&properties);
    let asked = answering(
        &pipeline,
        &[Some("first"), Some(" second\n"), Some(""), None],
    );
    pipeline.play();
    assert!(feed.begin(CAPS));
    for _ in 0..3 {
        pipeline.wait_for_state("listening");
        relay.cut();
        pipeline.wait_for_state("reconnecting");
    }
    pipeline.wait_for_state("listening");
    // After an empty answer, and without an answer, the properties count.
    assert_eq!(gate.shown(), ["first", "second", "settled", "settled"]);
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[test]
fn c4_the_application_is_asked_once_more_when_its_token_is_refused() {
    for (answers, shown) in [
        (&[Some("old"), Some("new")][..], &["old", "new"][..]),
        (&[Some("old"), None], &["old", "settled"]),
    ] {
        let (_peer, gate) = gate();
        gate.refuse("old");
        let properties = format!("base-url={} access-token=settled", gate.base_url());
        let (mut pipeline, feed) = Feed::pipeline(&properties);
        answering(&pipeline, answers);
        pipeline.play();
        assert!(feed.begin(CAPS));
        pipeline.wait_for_state("listening");
        assert_eq!(gate.shown(), shown);
    }
    let (_peer, gate) = gate();
    gate.refuse("old");
    let (mut pipeline, _feed) = Feed::pipeline(&format!("base-url={}", gate.base_url()));
    let asked = answering(&pipeline, &[Some("old"), Some("old"), Some("new")]);
    pipeline.play();
    error(&mut pipeline);
    assert_eq!(gate.shown(), ["old"]);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn the_first_handler_that_has_a_token_counts() {
    let (_peer, gate) = gate();
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", gate.base_url()));
    answering(&pipeline, &[None]);
    answering(&pipeline, &[Some("second")]);
    let third = answering(&pipeline, &[Some("third")]);
    pipeline.play();
    assert!(feed.begin(CAPS));
    pipeline.wait_for_state("listening");
    assert_eq!(gate.shown(), ["second"]);
    assert_eq!(third.load(Ordering::SeqCst), 0);
}

#[test]
fn a_handler_may_call_back_into_the_element() {
    let (_peer, gate) = gate();
    let (mut pipeline, feed) = Feed::pipeline(&format!("base-url={}", gate.base_url()));
    pipeline.sink().connect("request-token", false, |values| {
        let sink: gst::Element = values[0].get().expect("the sink");
        let stats = sink.property::<gst::Structure>("stats");
        assert!(stats.has_field("audio-sent"));
        let id: Option<String> = sink.property("connection-id");
        assert!(id.is_some());
        sink.set_property("access-token", "given meanwhile");
        sink.set_property("access-token", "given-meanwhile");
        Some(None::<String>.to_value())
    });
    pipeline.play();
    assert!(feed.begin(CAPS));
    pipeline.wait_for_state("listening");
    assert_eq!(gate.shown(), ["given-meanwhile"]);
}

#[test]
fn a_handler_that_does_not_return_holds_up_neither_the_end_nor_a_stop() {
    let (_peer, gate) = gate();
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} connect-timeout=50 reconnect-max-delay=1 drain-timeout=300 on-fatal=warning",
        gate.base_url()
    ));
    let (asks, asked) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    pipeline.sink().connect("request-token", false, move |_| {
        asks.send(()).expect("a test");
        // This blocks until the test is over.
        let _ = held.lock().expect("no panic").recv();
        Some("late".to_value())
    });
    pipeline.play();
    assert!(feed.begin(CAPS));
    asked.recv_timeout(BOUND).expect("it is asked");
    // The dials go on without an answer, and ask no second time while one is missing.
    pipeline.wait_for("the third dial", |message| {
        message
            .structure()
            .is_some_and(|s| s.get::<i32>("attempt") == Ok(3))
    });
    assert!(asked.try_recv().is_err());
    feed.hush(200).expect("there is room");
    assert!(bounded("the end", || feed.end()));
    pipeline.wait_for_eos();
    pipeline.stop();
    assert!(gate.shown().is_empty());
    drop(release);
}
