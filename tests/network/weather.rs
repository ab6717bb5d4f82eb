// SPDX-License-Identifier: MPL-2.0

//! A line that is bad and does not break. TCP repairs it, and only the delay may show.

use crate::hosts::case;
use crate::line::Weather;
use crate::talk::{PATIENT, Talk};
use std::thread::sleep;
use std::time::Duration;

#[test]
fn loss_delay_and_jitter_lose_and_double_no_word_and_cost_no_reconnect() {
    case(|hosts| {
        hosts.line.set(Weather {
            silent: false,
            loss: 0.08,
            delay: Duration::from_millis(100),
            jitter: Duration::from_millis(50),
        });
        let mut talk = Talk::begin(&hosts.url(), PATIENT);
        talk.pipeline.wait_for_state("listening");
        talk.say(20);
        talk.wait_for_words(10);
        talk.say(10);
        talk.end(0..=0);
        let lost = (hosts.line.up.lost(), hosts.line.down.lost());
        println!("packets lost: {lost:?}");
        assert!(lost.0 > 0, "the line was good");
    });
}

#[test]
fn a_silence_shorter_than_the_ping_deadline_costs_no_reconnect() {
    case(|hosts| {
        let mut talk = Talk::begin(&hosts.url(), PATIENT);
        talk.pipeline.wait_for_state("listening");
        talk.say(15);
        talk.wait_for_words(10);
        hosts.line.silence();
        talk.say(15);
        // The fault lasts for several pings.
        sleep(Duration::from_secs(2));
        hosts.line.heal();
        talk.say(10);
        talk.end(0..=0);
        assert!(hosts.line.up.lost() > 0, "nobody spoke");
    });
}
