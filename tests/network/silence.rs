// SPDX-License-Identifier: MPL-2.0

//! Addresses of which nobody answers: a dial that nothing comes back from.

use crate::common::pipeline::{Pipeline, counted};
use crate::hosts::case;
use crate::talk::{SHORT, SLACK, Talk};
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
        // And again, for as long as it takes.
        talk.wait_for_reason("connecting", "connect-timeout");
        assert_playing(&talk.pipeline);
        hosts.line.heal();
        talk.pipeline.wait_for_state("listening");
        talk.say(10);
        talk.end(0);
    });
}

#[test]
fn a_stop_during_a_dial_that_is_never_answered_takes_no_time() {
    case(|hosts| {
        hosts.line.silence();
        let mut longest = Duration::ZERO;
        for n in 0..5 {
            let mut talk = Talk::begin(&hosts.url(), "connect-timeout=60000");
            talk.say(10);
            if n == 0 {
                // For certain while a packet is out that nobody answers.
                crate::common::pipeline::until("a SYN", || hosts.line.up.lost() > 0);
            }
            longest = longest.max(talk.pipeline.stop());
            assert_eq!(counted(&talk.pipeline.sink(), "audio-sent"), 0);
            talk.pipeline.collect();
            assert_eq!(talk.pipeline.state(), "idle");
        }
        println!("longest stop: {longest:?}");
        assert!(longest < STOP, "{longest:?}");
    });
}
