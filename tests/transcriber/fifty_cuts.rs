// SPDX-License-Identifier: MPL-2.0

//! Ten minutes of speech over fifty cuts have the same pad, and the same bus, as without a
//! cut. See the test of the same name for `symblsink`.

use crate::common::cuts::{CUTS, PATIENCE, assert_same, fifty_cuts, play_over, seeds};
use crate::common::cutter::Cutter;
use crate::common::feed::MS;
use crate::common::pipeline::{Pipeline, counted, until};
use crate::common::script::{Choice, Talk};
use crate::common::service::Service;
use crate::scene::{QUICK, Scene};
use crate::track::Checked;

const MILLIS: u64 = 600_000;

/// Returns the words of all messages. Their places are those of their finals, which may come
/// after them behind a cut.
fn texts(pipeline: &Pipeline) -> Vec<String> {
    let messages = pipeline.of_kind("message");
    let words = messages.iter().flat_map(|message| {
        let text: &str = message.get("text").expect("a text");
        let words = text
            .split_whitespace()
            .map(|word| word.trim_end_matches('.').to_lowercase());
        words.collect::<Vec<_>>()
    });
    words.collect()
}

/// Plays a talk without a cut, and with fifty. Returns the pads.
fn plain_and_cut(seed: u64, live: bool) -> (Checked, Checked) {
    let what = format!("seed {seed}, live: {live}");
    println!("{what}"); // for a failure that does not name it
    let mut random = fastrand::Rng::with_seed(seed);
    let talk = Talk::new(seed, MILLIS, 1, Choice::Few);
    let service = Service::start();
    let scene = |properties: &str| match live {
        // The clock goes as fast as results come, so that a cut takes less than this.
        true => Scene::live(&format!("latency=60000 {QUICK} {properties}")),
        false => Scene::new(properties),
    };

    // As fast as the service answers.
    let mut plain = scene(&format!("base-url={}", service.url()));
    plain.begin();
    let cutter = Cutter::to(&service.url());
    let clock = plain.clock.clone();
    let both = (&mut plain.pipeline, &plain.feed);
    play_over(
        Vec::new(),
        &talk,
        &cutter,
        &mut random,
        both,
        &[20],
        |feed, piece| {
            crate::scene::speak(feed, piece, clock.as_ref());
        },
    );
    plain.end();
    plain.pipeline.collect();

    let mut cut = scene(&format!("base-url={} {PATIENCE}", cutter.base_url()));
    cut.begin();
    let cuts = fifty_cuts(&mut random, MILLIS);
    let clock = cut.clock.clone();
    let both = (&mut cut.pipeline, &cut.feed);
    play_over(
        cuts,
        &talk,
        &cutter,
        &mut random,
        both,
        &[0, 0, 5, 20],
        |feed, piece| {
            crate::scene::speak(feed, piece, clock.as_ref());
        },
    );
    cut.end();
    cut.pipeline.collect();

    // The bus is the same.
    assert_same(&what, &cut.pipeline.words(), &plain.pipeline.words());
    let (told, expected) = (texts(&cut.pipeline), texts(&plain.pipeline));
    assert_eq!(told, expected, "{what}, messages");
    // The pad has the words of the talk, at their times.
    let (plain_pad, cut_pad) = (plain.tape.check(), cut.tape.check());
    assert_same(
        &format!("{what}, uncut pad"),
        &plain_pad.said(),
        &talk.words,
    );
    assert_same(&format!("{what}, pad"), &cut_pad.said(), &plain_pad.said());
    assert_eq!(cutter.cuts() as u64, CUTS, "{what}");
    let element = cut.element();
    assert!(counted(&element, "reconnects") >= CUTS * 9 / 10, "{what}");
    for scene in [&plain, &cut] {
        let element = scene.element();
        until("all words are counted", || {
            counted(&element, "words-pushed") == talk.words.len() as u64
        });
        assert_eq!(counted(&element, "words-moved"), 0, "{what}");
        assert_eq!(counted(&element, "words-dropped"), 0, "{what}");
    }
    (plain_pad, cut_pad)
}

#[test]
fn fifty_cuts_leave_the_pad_of_a_live_talk_as_it_is() {
    for seed in seeds(&[1]) {
        let (plain, cut) = plain_and_cut(seed, true);
        assert_eq!((plain.covered, cut.covered), (MILLIS * MS, MILLIS * MS));
    }
}

#[test]
fn fifty_cuts_leave_the_pad_of_a_file_as_it_is() {
    for seed in seeds(&[2]) {
        let (plain, cut) = plain_and_cut(seed, false);
        assert_eq!((plain.covered, cut.covered), (MILLIS * MS, MILLIS * MS));
    }
}
