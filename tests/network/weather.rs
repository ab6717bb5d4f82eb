// SPDX-License-Identifier: MPL-2.0

//! A line that is bad and does not break: TCP mends it, and nobody is to
//! notice but by the time it takes.

use crate::hosts::case;
use crate::line::Weather;
use crate::talk::Talk;
use std::time::Duration;

/// A line like a bad mobile one.
const BAD: Weather = Weather {
    silent: false,
    loss: 0.08,
    delay: Duration::from_millis(50),
    jitter: Duration::from_millis(50),
};

#[test]
fn loss_delay_and_jitter_lose_and_double_no_word_and_cost_no_reconnect() {
    case(|hosts| {
        hosts.line.set(BAD);
        // Longer than TCP needs for what is lost.
        let mut talk = Talk::begin(&hosts.url(), "ping-interval=500 pong-timeout=60000");
        talk.pipeline.wait_for_state("listening");
        talk.say(20);
        talk.wait_for_words(10);
        talk.say(10);
        talk.end(0);
        let lost = (hosts.line.up.lost(), hosts.line.down.lost());
        println!("packets lost: {lost:?}");
        assert!(lost.0 > 0, "the line was good");
    });
}

#[test]
fn a_silence_shorter_than_the_ping_deadline_costs_no_reconnect() {
    case(|hosts| {
        let mut talk = Talk::begin(&hosts.url(), "ping-interval=500 pong-timeout=60000");
        talk.pipeline.wait_for_state("listening");
        talk.say(15);
        talk.wait_for_words(10);
        hosts.line.silence();
        talk.say(15);
        let lost = hosts.line.up.lost();
        // Sent again and again, and ever more seldom.
        crate::common::pipeline::until("some tries of TCP", || hosts.line.up.lost() > lost + 3);
        hosts.line.heal();
        talk.say(10);
        talk.end(0);
    });
}
