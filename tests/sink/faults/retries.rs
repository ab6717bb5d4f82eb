// SPDX-License-Identifier: MPL-2.0

//! When a lost service is dialed again, and how often.

use super::row::assert_all_said;
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::pipeline::{Pipeline, counted};
use crate::common::service::Service;
use symbl_service::recognizer::scripted;

/// Starts a playing pipeline and a service with these faults, and pushes ten words.
fn playing(script: &str, properties: &str) -> (Service, Pipeline, Feed) {
    let service = Service::faulty(script);
    let (pipeline, feed) = Feed::pipeline(&format!("base-url={} {properties}", service.url()));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..10, 16_000))
        .expect("there is room");
    (service, pipeline, feed)
}

fn end(pipeline: &mut Pipeline, feed: &Feed) {
    assert!(feed.end());
    pipeline.wait_for_eos();
}

/// Returns the waits before the dials, in milliseconds.
fn waits(pipeline: &Pipeline) -> Vec<u64> {
    let states = pipeline.of_kind("state");
    let waits = states.iter().filter_map(|s| s.get::<u64>("retry-in").ok());
    waits.map(|wait| wait / MS).collect()
}

/// Asserts that each wait is between half of its growing delay and all of it.
fn assert_growing(waits: &[u64], cap: u64) {
    let mut delay = 500;
    for (n, wait) in waits.iter().enumerate() {
        assert!(
            (delay / 2..=delay).contains(wait),
            "the {n}-th of {waits:?}"
        );
        delay = (2 * delay).min(cap);
    }
}

#[test]
fn c5_and_need_15_a_service_that_is_away_is_dialed_at_growing_intervals() {
    let script = "http=503 http=500 http=502 http=504 http=429 http=503";
    let (_service, mut pipeline, feed) = playing(script, "reconnect-max-delay=1000");
    end(&mut pipeline, &feed);
    let waits = waits(&pipeline);
    assert_eq!(waits.len(), 6);
    assert_growing(&waits, 1000);
    assert_all_said(&pipeline, 10);
}

#[test]
fn c34_after_a_reset_the_retries_grow_to_the_cap() {
    let script = "reset@1s reset reset reset reset";
    let (_service, mut pipeline, feed) = playing(script, "reconnect-max-delay=800");
    end(&mut pipeline, &feed);
    let waits = waits(&pipeline);
    assert_eq!(waits.len(), 5);
    assert_growing(&waits, 800);
    assert_all_said(&pipeline, 10);
}

#[test]
fn c5_and_need_15_the_wait_that_a_service_asks_for_is_kept() {
    let script = "http=503:1s http=429:2s";
    let (_service, mut pipeline, feed) = playing(script, "reconnect-max-delay=50");
    end(&mut pipeline, &feed);
    assert_eq!(waits(&pipeline), [1000, 2000]);
    assert_all_said(&pipeline, 10);
}

#[test]
fn need_1_and_need_15_twenty_drops_in_a_row_cost_no_word() {
    // There are fifty words, and a cut after each second at the latest.
    let script = "reset@500ms fin@1s close=1011@700ms reset@start ".repeat(5);
    let service = Service::faulty(&script);
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} reconnect-max-delay=20",
        service.url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    feed.speak(&scripted::speech(0..50, 16_000))
        .expect("there is room");
    end(&mut pipeline, &feed);
    assert_all_said(&pipeline, 50);
    assert_eq!(service.faults().connections(), 21);
    assert_eq!(counted(&pipeline.sink(), "reconnects"), 20);
    let sent = counted(&pipeline.sink(), "audio-sent");
    assert_eq!(sent, 10_000 * MS, "each moment once, replays apart");
}

#[test]
fn c40_a_service_that_refuses_for_ever_ends_in_an_error_when_the_time_is_up() {
    let service = Service::with(|config| {
        let refusal = "http=503".parse().expect("a fault");
        config.faults = symbl_service::fault::Faults::repeating([refusal]);
    });
    let (mut pipeline, feed) = Feed::pipeline(&format!(
        "base-url={} reconnect-max-delay=500 reconnect-timeout=3000",
        service.url()
    ));
    pipeline.play();
    assert!(feed.begin(CAPS));
    let error = pipeline.wait_for("an error", |m| m.type_() == gst::MessageType::Error);
    let gst::MessageView::Error(error) = error.view() else {
        unreachable!()
    };
    let details = error.details().expect("details");
    assert_eq!(details.get("http-status"), Ok(503), "{details}");
    assert_eq!(details.get("retryable"), Ok(false), "{details}");
    assert!(error.error().message().contains("3000 ms"));
    assert_eq!(pipeline.state(), "failed");
    // The outage lasts 3 s, and no wait is shorter than a quarter of a second.
    let dials = service.faults().connections();
    assert!((2..=13).contains(&dials), "{dials} dials");
    assert_eq!(waits(&pipeline).len(), dials - 1);
}

#[test]
fn need_14_an_open_socket_is_no_session() {
    let script = "no-answer@start no-answer@start no-answer@start";
    let properties = "reconnect-max-delay=1000 connect-timeout=1000";
    let (_service, mut pipeline, feed) = playing(script, properties);
    pipeline.wait_for_state("listening");
    // No upgrade counted as a success.
    assert_growing(&waits(&pipeline), 1000);
    let states = pipeline.of_kind("state");
    let last = states.last().expect("a change of state");
    assert!(last.get::<i32>("attempt").expect("a number") >= 4, "{last}");
    assert_eq!(counted(&pipeline.sink(), "reconnects"), 0);
    end(&mut pipeline, &feed);
    assert_all_said(&pipeline, 10);
}

#[test]
fn need_15_after_a_good_session_a_service_is_dialed_as_at_first() {
    // Attempts count from the last session, not from the beginning.
    let script = "http=503 http=503 reset@1s http=503 reset@1s";
    let (_service, mut pipeline, feed) = playing(script, "reconnect-max-delay=20");
    end(&mut pipeline, &feed);
    let states = pipeline.of_kind("state");
    let dials = states
        .iter()
        .filter(|s| s.get::<&str>("state") == Ok("starting"));
    let dials: Vec<i32> = dials.map(|s| s.get("attempt").expect("a number")).collect();
    assert_eq!(dials, [3, 2, 1]);
    assert_all_said(&pipeline, 10);
}
