// SPDX-License-Identifier: MPL-2.0

//! Starts and stops, many times.

use super::child::{self, Held};
use crate::common::feed::{CAPS, Feed};
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, bounded, init, until};
use crate::common::service::Service;
use gst::glib;
use gst::prelude::*;
use std::net::TcpListener;
use std::sync::Mutex;

const CYCLES: usize = 2000;
const THREADS: usize = 4;

/// Takes a pipeline from NULL to PLAYING and back, with a little audio in between.
fn cycle(number: usize, pipeline: &Pipeline, feed: &Feed) {
    pipeline.play();
    feed.pad.set_active(true).expect("a source pad");
    assert!(feed.begin(CAPS));
    feed.hush(20 * (number % 4)).expect("it flows");
    // The stop comes in different phases: before or after the dial, the start, the first audio.
    std::thread::sleep(std::time::Duration::from_millis(number as u64 % 7));
    pipeline.stop();
    feed.pad.set_active(false).expect("a source pad");
    let bus = pipeline.pipeline.bus().expect("a bus");
    while bus.pop().is_some() {}
}

/// Runs this many cycles in several threads. Each pipeline lives for a few cycles.
fn cycles(count: usize, urls: &[&str], made: &Mutex<Vec<glib::WeakRef<gst::Element>>>) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for round in 0..count / THREADS / 5 {
                    let url = urls[(thread + round) % urls.len()];
                    let (pipeline, feed) = Feed::pipeline(&format!(
                        "base-url={url} leaky=oldest buffer-duration=1000 connection-id=c{thread}"
                    ));
                    made.lock()
                        .expect("a list")
                        .push(pipeline.sink().downgrade());
                    for number in 0..5 {
                        cycle(round + number, &pipeline, &feed);
                    }
                }
            });
        }
    });
}

/// Asserts that the resources of this process do not grow.
fn measure(urls: &str) {
    init();
    let urls: Vec<&str> = urls.split(' ').collect();
    let made = Mutex::default();
    let begun = Held::now();
    cycles(CYCLES / 4, &urls, &made);
    // The last close handshakes take a moment.
    let settled = |what: &str, limit: Held| {
        until(what, || {
            let held = Held::now();
            held.close_wait == 0
                && held.threads <= limit.threads
                && held.descriptors <= limit.descriptors
        });
        Held::now()
    };
    let room = Held {
        threads: begun.threads + 8,
        descriptors: begun.descriptors + 12,
        ..begun
    };
    let warm = settled("at rest after the warm-up", room);
    cycles(CYCLES, &urls, &made);
    let end = settled("as few threads and descriptors as before", warm);
    eprintln!("before {begun:?}, warm {warm:?}, after {end:?}");
    let bound = warm.memory + warm.memory / 4;
    assert!(end.memory <= bound, "memory grows: {warm:?}, {end:?}");
    until("all elements are gone", || {
        let made = made.lock().expect("a list");
        made.iter()
            .all(|sink: &glib::WeakRef<gst::Element>| sink.upgrade().is_none())
    });
}

#[test]
fn need_17_thousands_of_starts_and_stops_leave_nothing_behind() {
    if let Some(urls) = child::argument() {
        return bounded("2,500 starts and stops", || measure(&urls));
    }
    let service = Service::start();
    let hangs = Peer::start(Script::upgrade_only());
    let silent = Peer::start(Script::black_hole());
    let busy = Peer::start(Script::http(503, &[], ""));
    // No server listens on a port that was just closed.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let refuses = format!("http://{}", closed.local_addr().expect("it is bound"));
    drop(closed);
    let urls = [
        service.url(),
        refuses,
        hangs.base_url(),
        service.url(),
        silent.base_url(),
        busy.base_url(),
    ];
    let name = "stress::cycles::need_17_thousands_of_starts_and_stops_leave_nothing_behind";
    let said = child::run(name, &urls.join(" "), &[]);
    print!("{said}");
}
