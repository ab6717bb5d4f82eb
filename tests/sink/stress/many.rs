// SPDX-License-Identifier: MPL-2.0

//! Many sinks in one process.

use super::child::{self, Held};
use crate::common::feed::{CAPS, Feed};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, bounded, counted, init, until};
use crate::common::service::Service;
use gst::glib;
use gst::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use symbl_service::recognizer::scripted;

const SINKS: u16 = 200;

/// Number of words that each sink gets. The first words are its own.
const WORDS: u16 = 4;

fn sinks(count: u16, url: &str) -> Vec<(Pipeline, Feed)> {
    let one = |_| {
        // On a busy machine, a service that hears so many at once says nothing for seconds.
        let (pipeline, feed) = Feed::pipeline(&format!("base-url={url} drain-timeout=90000"));
        pipeline.play();
        assert!(feed.begin(CAPS));
        (pipeline, feed)
    };
    (0..count).map(one).collect()
}

/// Reads and writes properties of all these sinks, all the time.
fn meddle(sinks: &[glib::WeakRef<gst::Element>], over: &AtomicBool) -> u64 {
    let mut rounds = 0;
    while !over.load(Ordering::Relaxed) {
        for sink in sinks.iter().filter_map(glib::WeakRef::upgrade) {
            sink.set_property("access-token", format!("token-{rounds}"));
            let _ = counted(&sink, "audio-sent");
            let _ = sink.property_value("state");
            let _ = sink.property::<Option<String>>("conversation-id");
        }
        rounds += 1;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    rounds
}

/// Asserts that all words of all sinks come, in a process without the services.
fn hear(urls: &str) {
    init();
    let (good, deaf) = urls.split_once(' ').expect("two addresses");
    // One sink is stuck, because its service takes nothing.
    let (stuck, stuck_feed) = Feed::pipeline(&format!(
        "base-url={deaf} leaky=oldest buffer-duration=1000"
    ));
    stuck.play();
    assert!(stuck_feed.begin(CAPS));
    stuck_feed.hush(300_000).expect("it flows");

    let mut few = sinks(5, good);
    until("some sinks run", || {
        few.iter().all(|(few, _)| few.state() == "listening")
    });
    let threads = Held::now().threads;
    few.extend(sinks(SINKS - 5, good));
    let over = AtomicBool::new(false);
    let elements: Vec<_> = few
        .iter()
        .map(|(pipeline, _)| pipeline.sink().downgrade())
        .collect();
    std::thread::scope(|scope| {
        let meddlers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| meddle(&elements, &over)))
            .collect();
        // One thread pushes into all sinks, and none of them may hold it up.
        let talks: Vec<Vec<i16>> = (0..SINKS)
            .map(|n| scripted::speech((0..WORDS).map(|word| n * WORDS + word), 16_000))
            .collect();
        for piece in 0..talks[0].len() / 3200 {
            for ((_, feed), talk) in few.iter().zip(&talks) {
                feed.speak(&talk[piece * 3200..(piece + 1) * 3200])
                    .expect("it flows");
            }
            stuck_feed.hush(200).expect("it flows");
        }
        for (pipeline, feed) in &mut few {
            assert!(feed.end());
            pipeline.wait_for_eos();
        }
        over.store(true, Ordering::Relaxed);
        let rounds: u64 = meddlers
            .into_iter()
            .map(|m| m.join().expect("no panic"))
            .sum();
        assert!(rounds > 10, "{rounds}");
    });
    // A sink has no thread of its own. The threads that the pools started end again.
    until("as many threads for all as for a few", || {
        Held::now().threads <= threads + 4
    });
    for ((pipeline, _), n) in few.iter().zip(0..) {
        let heard: Vec<String> = pipeline.words().into_iter().map(|word| word.0).collect();
        let said: Vec<String> = (0..WORDS)
            .map(|word| format!("w{}", n * WORDS + word))
            .collect();
        assert_eq!(heard, said, "sink {n}");
    }
    assert!(counted(&stuck.sink(), "audio-dropped") > 0, "it was stuck");
    assert_eq!(counted(&stuck.sink(), "transcripts"), 0);
}

#[test]
fn need_8_two_hundred_sinks_and_a_stuck_one_hear_all_their_words() {
    if let Some(urls) = child::argument() {
        return bounded("200 sinks", || hear(&urls));
    }
    let service = Service::start();
    let deaf = Peer::start(Script::not_reading());
    let name = "stress::many::need_8_two_hundred_sinks_and_a_stuck_one_hear_all_their_words";
    let urls = format!("{} {}", service.url(), deaf.base_url());
    print!("{}", child::run(name, &urls, &[]));
}
