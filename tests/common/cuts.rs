// SPDX-License-Identifier: MPL-2.0

//! Fifty cuts, drawn from a seed, and the talk that goes on over them.

use super::cutter::{Cut, Cutter, Fault, Refusal, Side};
use super::feed::{Feed, MS};
use super::pipeline::Pipeline;
use super::script::{Said, Talk};

/// Number of cuts.
pub const CUTS: u64 = 50;

/// How far a word may be from its place, in nanoseconds.
pub const TOLERANCE: u64 = 20 * MS;

/// Properties with which half-open connections are noticed soon and lost ones dialed again at
/// once.
pub const PATIENCE: &str = "ping-interval=100 pong-timeout=400 connect-timeout=2000 \
                            reconnect-max-delay=20";

/// Returns the seeds of a test, and the one of the environment.
pub fn seeds(fixed: &[u64]) -> Vec<u64> {
    let own = std::env::var("SYMBL_CUTS_SEED").ok();
    let own = own.map(|seed| seed.parse().expect("SYMBL_CUTS_SEED is a number"));
    fixed.iter().copied().chain(own).collect()
}

/// Asserts that the same words came in the same order at the same times.
pub fn assert_same(what: &str, heard: &[Said], said: &[Said]) {
    for (n, (heard, said)) in heard.iter().zip(said).enumerate() {
        assert!(
            heard.0 == said.0 && heard.1.abs_diff(said.1) <= TOLERANCE,
            "{what}: number {n} is {heard:?}, and {said:?} was expected"
        );
    }
    assert_eq!(heard.len(), said.len(), "{what}");
}

/// Returns the words of the messages. They are compared word by word: the service chooses
/// where a message ends, and the choice depends on the beginning of a replay.
pub fn message_words(pipeline: &Pipeline) -> Vec<Said> {
    let messages = pipeline.of_kind("message");
    let words = messages.iter().flat_map(|s| {
        let words: &str = s.get("words").unwrap_or("[]");
        let words: Vec<serde_json::Value> = serde_json::from_str(words).expect("JSON");
        words.into_iter().map(|word| {
            let text = word["word"].as_str().expect("a word").to_lowercase();
            let text = text.trim_end_matches('.').to_owned();
            (text, word["running-time"].as_u64().expect("a place"))
        })
    });
    words.collect()
}

/// Counts the words of the finals that a pipeline posts.
#[derive(Default)]
struct Listener {
    words: usize,
}

impl Listener {
    /// Waits until this many words have come.
    fn wait_for(&mut self, words: usize, pipeline: &mut Pipeline) {
        while self.words < words {
            let heard = pipeline.wait_for_kind("transcript");
            if heard.get("is-final") == Ok(true) {
                let text: &str = heard.get("text").expect("a text");
                self.words += text.split_whitespace().count();
            }
        }
    }
}

/// Returns one fault for each cut: all kinds, shuffled.
fn all_faults(random: &mut fastrand::Rng) -> Vec<Fault> {
    let codes = [1000, 1001, 1011, 1012, 1013, 4000].map(Some);
    let codes = codes.into_iter().chain([None]).map(Fault::Close);
    let mut faults: Vec<_> = codes.chain(codes_again()).collect();
    faults.extend([Fault::Reset; 20]);
    faults.extend([Fault::Fin; 11]);
    faults.extend([Fault::HalfOpen; 5]);
    random.shuffle(&mut faults);
    faults
}

/// Returns the close codes that are most frequent at a restart of a service and behind a
/// proxy.
fn codes_again() -> impl Iterator<Item = Fault> {
    [1001, 1001, 1011, 1011, 1012, 1012, 1013]
        .map(|code| Fault::Close(Some(code)))
        .into_iter()
}

fn any_refusal(random: &mut fastrand::Rng) -> Refusal {
    let statuses = [408, 429, 500, 502, 503, 504];
    match random.u8(..3) {
        0 => Refusal::Reset,
        1 => Refusal::Http(*random.choice(&statuses).expect("some")),
        _ => Refusal::After(random.u64(..2000)),
    }
}

/// Draws the place of a cut: in the middle of audio, of a result or of a start.
fn any_cut(fault: Fault, random: &mut fastrand::Rng) -> Cut {
    let (side, after) = match random.u8(..3) {
        0 => (Side::Service, random.u64(..2000)),
        _ => (Side::Client, random.u64(..60_000)),
    };
    Cut {
        side,
        after,
        fault,
        refusals: (0..random.u8(..3)).map(|_| any_refusal(random)).collect(),
    }
}

/// Draws the cuts and their places in milliseconds, one in each stretch of a talk of
/// `millis`.
pub fn fifty_cuts(random: &mut fastrand::Rng, millis: u64) -> Vec<(u64, Cut)> {
    let mut faults = all_faults(random);
    let stretch = millis / CUTS;
    let mut cuts: Vec<_> = (0..CUTS)
        .map(|n| {
            let fault = faults.pop().expect("as many as cuts");
            (
                n * stretch + random.u64(..stretch - 4000),
                any_cut(fault, random),
            )
        })
        .collect();
    // At the end of the talk only the client is certain to send enough bytes for a cut.
    cuts[49].1.side = Side::Client;
    cuts[25].1.refusals.push(Refusal::Silence);
    cuts
}

/// Plays `talk` in pieces of random length, each when most of the audio before it is final,
/// so that the cuts spread over the whole talk. `owed` has the numbers of words that
/// may be owed then, of which one is drawn. `speak` pushes a piece.
pub fn play_over(
    cuts: Vec<(u64, Cut)>,
    talk: &Talk,
    cutter: &Cutter,
    random: &mut fastrand::Rng,
    (pipeline, feed): (&mut Pipeline, &Feed),
    owed: &[usize],
    speak: impl Fn(&Feed, &[i16]),
) {
    let mut listener = Listener::default();
    let mut cuts = cuts.into_iter().peekable();
    let mut at = 0;
    while at < talk.samples.len() {
        while let Some((_, cut)) = cuts.next_if(|(place, _)| *place <= at as u64 / 16) {
            cutter.arm(cut);
        }
        let next = cuts.peek().map_or(talk.millis(), |(place, _)| *place) as usize * 16;
        let length = (random.usize(500..8000) * 16).min(next - at);
        speak(feed, &talk.samples[at..at + length]);
        at += length;
        let over = talk.over((at as u64 / 16).saturating_sub(1000) * MS);
        let behind = *random.choice(owed).expect("some");
        listener.wait_for(over.saturating_sub(behind), pipeline);
    }
}
