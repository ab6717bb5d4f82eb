// SPDX-License-Identifier: MPL-2.0

//! The promise of a live pad: it is covered up to `latency` behind the clock, whatever the
//! service and the network do. These tests run in real time.

use crate::common::cutter::{Cut, Cutter, Fault, Side};
use crate::common::feed::MS;
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::counted;
use crate::common::service::Service;
use crate::scene::Scene;
use crate::tape::{Entry, Item};
use crate::track::check;
use gst::prelude::*;
use symbl_service::recognizer::scripted;

/// How far the pad may be behind its promise, in nanoseconds.
const TOLERANCE: u64 = 100 * MS;

/// Returns by how much the pad was behind `latency` at most, in nanoseconds. At the moment
/// before something comes, the pad is covered up to its start.
fn most_behind(entries: &[Entry], latency: u64) -> u64 {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let mut most = 0;
    for entry in entries {
        let start = match &entry.item {
            Item::Buffer(buffer) => buffer.pts(),
            Item::Event(event) => match event.view() {
                gst::EventView::Gap(gap) => Some(gap.get().0),
                gst::EventView::Segment(new) => {
                    segment = new.segment().downcast_ref().expect("times").clone();
                    None
                }
                _ => None,
            },
        };
        let covered = start.and_then(|start| segment.to_running_time(start));
        if let (Some(covered), Some(now)) = (covered, entry.running_time) {
            let promised = now.saturating_sub(latency);
            most = most.max(promised.saturating_sub(covered.nseconds()));
        }
    }
    most
}

/// Plays ten seconds of live silence. Returns what came on the pad meanwhile.
fn ten_seconds(properties: &str) -> Vec<Entry> {
    let scene = Scene::in_real_time(&format!("latency=1000 {properties}"));
    scene.begin();
    scene.speak_in_time(&vec![0; 160_000]);
    scene.tape.entries()
}

#[test]
fn the_pad_goes_on_by_the_clock_if_the_service_says_nothing() {
    let scripts = [
        ("a service that hears", Script::listening()),
        ("one that never starts", Script::upgrade_only()),
        ("one that never answers", Script::black_hole()),
        ("one that is not there", Script::never_accepts()),
        ("one that refuses", Script::http(503, &[], "")),
    ];
    let runs: Vec<_> = scripts
        .into_iter()
        .map(|(what, script)| {
            std::thread::spawn(move || {
                let peer = Peer::start(script);
                (what, ten_seconds(&format!("base-url={}", peer.base_url())))
            })
        })
        .collect();
    for run in runs {
        let (what, entries) = run.join().expect("no panic");
        let pad = check(&entries);
        assert_eq!(pad.words.len(), 0);
        assert!(pad.covered >= 8900 * MS, "{what}: {}", pad.covered);
        let behind = most_behind(&entries, 1000 * MS);
        assert!(behind <= TOLERANCE, "{what}: {behind} ns behind");
        // It does not run ahead of what may still be said, by more than two ticks.
        assert!(pad.covered <= 9300 * MS, "{what}: {}", pad.covered);
    }
}

/// Speaks utterances of three words for twelve seconds, in real time. Returns the scene and
/// the starts of the words.
fn utterances(scene: &Scene, cut: impl Fn()) {
    for n in 0..12u16 {
        if n == 4 {
            cut();
        }
        let mut second = scripted::speech(n * 3..n * 3 + 3, 16_000);
        second.resize(16_000, 0);
        scene.speak_in_time(&second);
    }
}

#[test]
fn a_cut_that_is_shorter_than_the_latency_leaves_the_pad_as_it_is() {
    let service = Service::start();
    let properties = "latency=4000 reconnect-max-delay=20";
    let plain = Scene::in_real_time(&format!("base-url={} {properties}", service.url()));
    let cutter = Cutter::to(&service.url());
    let cut = Scene::in_real_time(&format!("base-url={} {properties}", cutter.base_url()));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            plain.begin();
            utterances(&plain, || {});
            plain.end();
        });
        threads.spawn(|| {
            cut.begin();
            utterances(&cut, || {
                cutter.down(true);
                cutter.arm(Cut {
                    side: Side::Client,
                    after: 0,
                    fault: Fault::Reset,
                    refusals: Vec::new(),
                });
                let cutter = &cutter;
                let clock = cut.pipeline.pipeline.clock().expect("it plays");
                let back = clock.time() + gst::ClockTime::from_seconds(2);
                threads.spawn(move || {
                    let _ = clock.new_single_shot_id(back).wait();
                    cutter.down(false);
                });
            });
            cut.end();
        });
    });
    let (plain_pad, cut_pad) = (plain.tape.check(), cut.tape.check());
    assert_eq!(plain_pad.words.len(), 36);
    let starts = |pad: &crate::track::Checked| pad.said();
    crate::common::cuts::assert_same("the pad", &starts(&cut_pad), &starts(&plain_pad));
    for (scene, cuts) in [(&plain, 0), (&cut, 1)] {
        let element = scene.element();
        assert_eq!(counted(&element, "words-moved"), 0);
        assert_eq!(counted(&element, "reconnects"), cuts);
        let behind = most_behind(&scene.tape.entries(), 4000 * MS);
        assert!(behind <= TOLERANCE, "{behind} ns behind");
    }
    assert!(cutter.refused() > 0, "it was down for a while");
}
