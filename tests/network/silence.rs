// SPDX-License-Identifier: MPL-2.0

//! Dials and connections without any answer from the network.

use crate::common::feed::MS;
use crate::common::pipeline::{Pipeline, counted, until};
use crate::hosts::case;
use crate::talk::{PATIENT, SHORT, SLACK, Talk};
use gst::prelude::*;
use std::time::{Duration, Instant};

/// How long `set_state(NULL)` may take, whatever the network does.
const STOP: Duration = Duration::from_millis(500);

fn assert_playing(pipeline: &Pipeline) {
    let (_, state, _) = pipeline.pipeline.state(gst::ClockTime::ZERO);
    assert_eq!(state, gst::State::Playing);
}

#[test]
fn a_dial_that_is_never_answered_ends_with_connect_timeout_and_words_come_when_it_is() {
    case(|hosts| {
        hosts.line.silence();
        let begin = Instant::now();
        let mut talk = Talk::begin(&hosts.url(), SHORT);
        assert_playing(&talk.pipeline);
        talk.say(10);
        talk.wait_for_reason("connecting", "connect-timeout");
        let waited = begin.elapsed();
        println!("gave up after {waited:?}");
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        assert!(waited < Duration::from_secs(1) + SLACK, "{waited:?}");
        // The next dial ends in the same way.
        talk.wait_for_reason("connecting", "connect-timeout");
        assert_playing(&talk.pipeline);
        hosts.line.heal();
        talk.pipeline.wait_for_state("listening");
        talk.say(10);
        talk.end(0..);
    });
}

#[test]
fn a_name_server_that_never_answers_is_waited_for_no_longer_than_connect_timeout() {
    case(|hosts| {
        let url = hosts.url_without_address();
        let mut talk = Talk::begin(&url, SHORT);
        talk.say(10);
        talk.wait_for_reason("connecting", "connect-timeout");
        assert_playing(&talk.pipeline);
        let stop = Talk::begin(&url, SHORT).pipeline.stop();
        assert!(stop < STOP, "{stop:?}");
        assert_eq!(hosts.url_by_name(), url);
        talk.pipeline.wait_for_state("listening");
        talk.end(0..);
    });
}

#[test]
fn a_stop_during_a_dial_that_is_never_answered_takes_no_time() {
    case(|hosts| {
        hosts.line.silence();
        for _ in 0..5 {
            let dials = hosts.line.up.lost();
            let mut talk = Talk::begin(&hosts.url(), "connect-timeout=60000");
            talk.say(10);
            until("a dial", || hosts.line.up.lost() > dials);
            let stop = talk.pipeline.stop();
            assert!(stop < STOP, "{stop:?}");
            assert_eq!(talk.pipeline.state(), "idle");
        }
    });
}

#[test]
fn a_stop_on_a_line_that_went_dead_takes_no_time() {
    case(|hosts| {
        let mut talk = Talk::begin(&hosts.url(), PATIENT);
        talk.pipeline.wait_for_state("listening");
        hosts.line.silence();
        // This is more than the system's buffers take, so that a message is stuck.
        talk.say(250);
        let waits = counted(&talk.pipeline.sink(), "audio-spooled");
        assert!(waits > 0, "all of it was taken");
        let stop = talk.pipeline.stop();
        assert!(stop < STOP, "{stop:?}");
    });
}

#[test]
fn an_end_of_stream_on_a_line_that_went_dead_comes_after_drain_timeout() {
    case(|hosts| {
        let properties = format!("{PATIENT} drain-timeout=1000");
        let mut talk = Talk::begin(&hosts.url(), &properties);
        talk.pipeline.wait_for_state("listening");
        talk.say(15);
        talk.wait_for_words(10);
        hosts.line.silence();
        talk.say(10);
        let drained = talk.drain();
        assert_eq!(drained.get::<bool>("complete"), Ok(false));
        let unconfirmed = drained.get::<u64>("unconfirmed").expect("a time");
        assert!(unconfirmed >= 10 * 200 * MS, "{unconfirmed}");
        assert_eq!(talk.pipeline.words().len(), 10);
    });
}
