// SPDX-License-Identifier: MPL-2.0

//! A name with two addresses, of which one is dead.

use crate::hosts::case;
use crate::talk::Talk;
use std::time::{Duration, Instant};

/// A quarter of this is far longer than the head start of an address on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures the time from NULL to a session.
fn time_to_listen(url: &str) -> Duration {
    let begin = Instant::now();
    let properties = format!("connect-timeout={}", PATIENCE.as_millis());
    let mut talk = Talk::begin(url, &properties);
    talk.pipeline.wait_for_state("listening");
    let taken = begin.elapsed();
    talk.say(10);
    talk.end(0..=0);
    taken
}

#[test]
fn a_dead_ipv6_beside_a_live_ipv4_costs_no_more_than_a_head_start() {
    case(|hosts| {
        let (alone, both) = (hosts.url(), hosts.url_by_name());
        let mut costs: Vec<Duration> = (0..3)
            .map(|_| {
                let alone = time_to_listen(&alone);
                let tried = hosts.line.up.tcp6();
                let both = time_to_listen(&both);
                assert!(hosts.line.up.tcp6() > tried, "the dead address comes first");
                println!("IPv4 alone {alone:?}, beside a dead IPv6 {both:?}");
                both.saturating_sub(alone)
            })
            .collect();
        costs.sort();
        assert!(costs[1] < PATIENCE / 4, "{costs:?}");
    });
}
