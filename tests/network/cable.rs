// SPDX-License-Identifier: MPL-2.0

//! The line breaks in mid-stream, and neither side is notified.

use crate::hosts::case;
use crate::line::SILENCE;
use crate::talk::Talk;

#[test]
fn a_cable_pulled_from_this_host_and_plugged_in_again_loses_and_doubles_no_word() {
    case(|hosts| {
        let mut talk = Talk::interrupted(hosts, || hosts.set_device("down"));
        // Without a route, the dials fail at once.
        talk.wait_for_reason("reconnecting", "tcp");
        talk.say(5);
        hosts.set_device("up");
        talk.pipeline.wait_for_state("listening");
        talk.say(10);
        talk.end(1..);
    });
}

#[test]
fn a_cable_pulled_further_off_and_plugged_in_again_loses_and_doubles_no_word() {
    case(|hosts| {
        let mut talk = Talk::interrupted(hosts, || hosts.line.silence());
        // This host does not notice it, so that the dials hang.
        talk.wait_for_reason("reconnecting", "connect-timeout");
        talk.say(5);
        hosts.line.heal();
        talk.pipeline.wait_for_state("listening");
        talk.say(10);
        talk.end(1..);
    });
}

#[test]
fn a_connection_that_was_given_up_sends_no_more_packets() {
    case(|hosts| {
        let mut talk = Talk::interrupted(hosts, || hosts.line.silence());
        hosts.line.up.talkers();
        // In this time TCP would send unacknowledged data again.
        for _ in 0..3 {
            talk.wait_for_reason("reconnecting", "connect-timeout");
        }
        let talkers = hosts.line.up.talkers();
        assert!(talkers.is_empty(), "audio that is sent again later");
        hosts.line.heal();
        talk.pipeline.wait_for_state("listening");
        talk.say(10);
        talk.wait_for_words(40);
        assert_eq!(hosts.line.up.talkers().len(), 1, "the new one");
        talk.end(1..);
    });
}

#[test]
fn a_line_that_is_dead_in_one_direction_only_is_as_good_as_none() {
    case(|hosts| {
        // The sink's audio still arrives at the service.
        let mut talk = Talk::interrupted(hosts, || hosts.line.down.set(SILENCE));
        talk.wait_for_reason("reconnecting", "connect-timeout");
        talk.say(5);
        hosts.line.heal();
        talk.pipeline.wait_for_state("listening");
        talk.say(10);
        talk.end(1..);
    });
}

#[test]
fn a_new_address_in_mid_stream_is_rejoined_from_and_loses_and_doubles_no_word() {
    case(|hosts| {
        let mut talk = Talk::interrupted(hosts, || hosts.move_client());
        talk.pipeline.wait_for_state("listening");
        talk.say(10);
        talk.end(1..);
    });
}
