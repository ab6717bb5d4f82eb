// SPDX-License-Identifier: MPL-2.0

//! Ten minutes of speech over fifty cuts have the same transcript as without a cut.
//!
//! The cuts are drawn from seeds. `SYMBL_CUTS_SEED` adds a seed. A failure names its seed.

use crate::common::cuts::{
    CUTS, PATIENCE, TOLERANCE, assert_same, fifty_cuts, message_words, play_over, seeds,
};
use crate::common::cutter::{Cut, Cutter, Fault, Side};
use crate::common::feed::{CAPS, Feed, MS};
use crate::common::pipeline::{Pipeline, counted, until};
use crate::common::script::{Choice, Said, Talk};
use crate::common::service::Service;

const MINUTES: u64 = 10;
const MILLIS: u64 = MINUTES * 60_000;

/// All results of a talk.
struct Heard {
    words: Vec<Said>,
    /// The words of the messages.
    messages: Vec<Said>,
    pipeline: Pipeline,
}

impl Heard {
    fn of(pipeline: Pipeline) -> Self {
        Self {
            words: pipeline.words(),
            messages: message_words(&pipeline),
            pipeline,
        }
    }

    fn counted(&self, name: &str) -> u64 {
        counted(&self.pipeline.sink(), name)
    }
}

/// Starts a sink with these properties. Returns it and its feed.
fn begin(properties: &str) -> (Pipeline, Feed) {
    let (pipeline, feed) = Feed::pipeline(properties);
    pipeline.play();
    assert!(feed.begin(CAPS));
    (pipeline, feed)
}

fn finish(mut pipeline: Pipeline, feed: &Feed) -> Heard {
    assert!(feed.end());
    pipeline.wait_for_eos();
    Heard::of(pipeline)
}

/// Returns the place in the talk of each loss of a session: the start of the last final.
fn places_of_loss(pipeline: &Pipeline) -> Vec<u64> {
    let mut last = 0;
    let mut places = Vec::new();
    for message in &pipeline.messages {
        let Some(s) = message.structure() else {
            continue;
        };
        match s.name().as_str() {
            "symbl/transcript" if s.get("is-final") == Ok(true) => {
                last = s.get("running-time").expect("a place");
            }
            "symbl/state" if s.get("previous") == Ok("listening") => places.push(last),
            _ => {}
        }
    }
    places
}

#[test]
fn fifty_cuts_in_ten_minutes_leave_the_transcript_as_it_is() {
    let service = Service::start();
    for seed in seeds(&[1]) {
        let what = format!("seed {seed}");
        println!("{what}"); // for a failure that does not name it
        let mut random = fastrand::Rng::with_seed(seed);
        let talk = Talk::new(seed, MILLIS, 1, Choice::Few);
        let (pipeline, feed) = begin(&format!("base-url={}", service.url()));
        feed.speak(&talk.samples).expect("there is room");
        let plain = finish(pipeline, &feed);
        assert_same(&format!("{what}, uncut"), &plain.words, &talk.words);

        let cutter = Cutter::to(&service.url());
        let (mut pipeline, feed) = begin(&format!("base-url={} {PATIENCE}", cutter.base_url()));
        let cuts = fifty_cuts(&mut random, MILLIS);
        let both = (&mut pipeline, &feed);
        play_over(
            cuts,
            &talk,
            &cutter,
            &mut random,
            both,
            &[0, 0, 5, 20],
            |feed, piece| {
                feed.speak(piece).expect("it flows");
            },
        );
        let cut = finish(pipeline, &feed);
        assert_same(&what, &cut.words, &plain.words);
        assert_same(&format!("{what}, messages"), &cut.messages, &plain.messages);

        // All cuts hit running sessions, and they spread over the whole talk.
        assert_eq!(cutter.cuts() as u64, CUTS, "{what}");
        assert!(cut.counted("reconnects") >= CUTS * 9 / 10, "{what}");
        let places = places_of_loss(&cut.pipeline);
        for minute in 0..MINUTES {
            let cuts = places
                .iter()
                .filter(|at| *at / (60_000 * MS) == minute)
                .count();
            assert!(cuts >= 2, "{what}: {cuts} in minute {minute}: {places:?}");
        }
        // No audio was lost, and there is one conversation.
        assert_eq!(cut.counted("audio-sent"), MILLIS * MS, "{what}");
        assert_eq!(cut.counted("audio-dropped"), 0, "{what}");
        assert_eq!(cut.pipeline.of_kind("gap").len(), 0, "{what}");
        let drained = cut.pipeline.of_kind("drained");
        assert_eq!(drained[0].get("complete"), Ok(true), "{what}");
        let sessions = cut.pipeline.of_kind("session");
        let split = sessions.iter().filter(|s| s.get("event") == Ok("split"));
        assert_eq!(split.count(), 0, "{what}");
    }
}

/// Bound of the spool in the second test, in milliseconds.
const BUFFER: u64 = 4000;

/// A stretch of audio that was reported as lost, in nanoseconds of running time.
type Gap = std::ops::Range<u64>;

/// Returns the gaps in the order of the audio, and asserts that no two of them overlap.
fn gaps(what: &str, pipeline: &Pipeline) -> Vec<Gap> {
    let gaps = pipeline.of_kind("gap").into_iter().map(|s| {
        let start: u64 = s.get("running-time").expect("a place");
        let duration: u64 = s.get("duration").expect("a duration");
        start..start + duration
    });
    let mut gaps: Vec<Gap> = gaps.collect();
    gaps.sort_by_key(|gap| gap.start);
    let apart = gaps.windows(2).all(|two| two[0].end <= two[1].start);
    assert!(apart, "{what}: some of {gaps:?} overlap");
    gaps
}

/// Returns how much of a word lies in gaps, in nanoseconds.
fn lost_of(word: &Said, gaps: &[Gap]) -> u64 {
    let (start, end) = (word.1, word.1 + WORD);
    let inside = gaps
        .iter()
        .map(|gap| gap.end.min(end).saturating_sub(gap.start.max(start)));
    inside.sum()
}

/// Duration of a word, in nanoseconds.
const WORD: u64 = 200 * MS;

/// Returns the end of the last final, in nanoseconds.
fn heard_until(pipeline: &Pipeline) -> u64 {
    let finals = pipeline.messages.iter().rev().filter_map(|message| {
        let s = message
            .structure()
            .filter(|s| s.name() == "symbl/transcript")?;
        let start: u64 = s.get("running-time").ok()?;
        let is_final = s.get("is-final") == Ok(true);
        is_final.then(|| start + s.get::<u64>("duration").unwrap_or(0))
    });
    finals.take(1).sum()
}

/// Plays `talk` with outages during which more audio comes than the spool keeps. Returns the
/// results, and how much audio was beyond the bound, in milliseconds.
fn play_with_outages(talk: &Talk, random: &mut fastrand::Rng) -> (Heard, u64) {
    let service = Service::start();
    let cutter = Cutter::to(&service.url());
    // Words and chunks share a grid, so that no word is half in a gap.
    let (mut pipeline, feed) = begin(&format!(
        "base-url={} reconnect-max-delay=20 leaky=oldest buffer-duration={BUFFER} \
         chunk-duration=200",
        cutter.base_url()
    ));
    let sink = pipeline.sink();
    let mut at = 0;
    // Pushes this many words, and returns their end in milliseconds.
    let mut speak = |words: usize| {
        let end = (at + words * 3200).min(talk.samples.len());
        feed.speak(&talk.samples[at..end]).expect("it flows");
        at = end;
        at as u64 / 16
    };
    let (mut excess, mut begun) = (0, 0);
    while begun < talk.millis() {
        pipeline.wait_for_state("listening");
        for _ in 0..random.u8(2..6) {
            let end = speak(random.usize(1..=10));
            until("all is sent", || counted(&sink, "audio-spooled") == 0);
            let over = begun * MS..end.saturating_sub(1000) * MS;
            let over = talk.last_end(over).unwrap_or(0);
            while heard_until(&pipeline) + TOLERANCE < over {
                pipeline.wait_for_kind("transcript");
            }
        }
        cutter.down(true);
        cutter.arm(Cut {
            side: Side::Client,
            after: 0,
            fault: Fault::Reset,
            refusals: Vec::new(),
        });
        // The cut comes at the next byte.
        let end = speak(1);
        pipeline.wait_for_state("reconnecting");
        begun = speak(random.usize(10..=75));
        excess += (begun - end).saturating_sub(BUFFER);
        cutter.down(false);
    }
    (finish(pipeline, &feed), excess)
}

#[test]
fn outages_beyond_the_buffer_lose_only_the_words_in_the_gaps() {
    for seed in seeds(&[1, 2]) {
        let what = format!("seed {seed}");
        println!("{what}"); // for a failure that does not name it
        let mut random = fastrand::Rng::with_seed(seed);
        let talk = Talk::new(seed, 180_000, 200, Choice::Distinct);
        let (heard, excess) = play_with_outages(&talk, &mut random);
        let gaps = gaps(&what, &heard.pipeline);
        // A machine that stops in the middle of a chunk moves the grid.
        let half = |word: &Said| (TOLERANCE..WORD - TOLERANCE).contains(&lost_of(word, &gaps));
        let halves: Vec<&Said> = talk.words.iter().filter(|word| half(word)).collect();
        let is_half = |at: u64| halves.iter().any(|word| at.abs_diff(word.1) < WORD);
        let mut left = talk.words.clone();
        left.retain(|word| lost_of(word, &gaps) < TOLERANCE && !is_half(word.1));
        let mut words = heard.words.clone();
        words.retain(|word| !is_half(word.1));
        assert_same(&what, &words, &left);
        assert!(halves.len() < 10, "{what}: {halves:?}");

        // Much audio was lost, but no more than had to be.
        let lost = gaps.iter().map(|gap| gap.end - gap.start).sum::<u64>() / MS;
        assert!(
            excess > 20_000 && lost >= excess,
            "{what}: {lost} ms of {excess}"
        );
        assert!(lost < 2 * excess, "{what}: {lost} ms of {excess}");
        assert!(
            words.len() > talk.words.len() / 4,
            "{what}: {} words",
            words.len()
        );
    }
}
