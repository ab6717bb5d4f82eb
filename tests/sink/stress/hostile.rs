// SPDX-License-Identifier: MPL-2.0

//! Ten honest sinks beside hostile clients of the same service.
//!
//! The service is a process of its own, whose log goes into a pipe that is never read. The
//! honest sinks speak in real time: first alone, then beside the clients of [`clients`]. Each
//! has to get every word of its own, in order and without a gap.
//!
//! `make stress` runs this for minutes and prints the figures. It then also bounds the delay
//! of finals to twice the delay without hostile clients. In a run of some seconds, among
//! other tests, a ratio of two delays says nothing.

mod clients;

use crate::common::feed::{CAPS, Feed};
use crate::common::pipeline::{Pipeline, bounded};
use crate::common::program::Program;
use crate::examples::built;
use std::process::Stdio;
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::{self, VOCABULARY};

/// Number of honest sinks.
const HONEST: u16 = 10;

/// Words of an utterance. A pause of half a second follows each.
const WORDS: u16 = 8;
const PAUSE_MS: usize = 500;

/// Audio that each sink gets at a time, in milliseconds.
const TICK_MS: usize = 20;

/// Most memory of the service, in KiB. It is a quarter of what 40 of these clients took before
/// waiting conversations were bounded by their bytes.
const MOST_MEMORY: usize = 512 * 1024;

/// Most threads of the service: two for each stream that may be open, and some more.
const MOST_THREADS: usize = 400;

/// Longest wait until each hostile client has done something.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns how long the hostile clients run, and `true` if that is long enough to compare
/// delays.
fn length() -> (Duration, bool) {
    let minutes = std::env::var("SYMBL_STRESS_MINUTES").ok();
    match minutes.map(|minutes| minutes.parse::<f64>()) {
        Some(Ok(minutes)) => (Duration::from_secs_f64(minutes * 60.0), true),
        Some(Err(error)) => panic!("SYMBL_STRESS_MINUTES: {error}"),
        None => (Duration::from_secs(8), false),
    }
}

/// An honest sink, and its audio.
struct Honest {
    pipeline: Pipeline,
    feed: Feed,
    number: u16,
    /// Number of words in the audio so far.
    words: u16,
    /// Audio that is not pushed yet.
    rest: std::vec::IntoIter<i16>,
}

impl Honest {
    fn new(number: u16, url: &str) -> Self {
        let (pipeline, feed) = Feed::pipeline(&format!("base-url={url}"));
        pipeline.play();
        assert!(feed.begin(CAPS));
        Self {
            pipeline,
            feed,
            number,
            words: 0,
            rest: Vec::new().into_iter(),
        }
    }

    /// Returns the number of a word. No two sinks say the same word at a time.
    fn word(&self, n: u16) -> u16 {
        (self.number * (VOCABULARY / HONEST)).wrapping_add(n) % VOCABULARY
    }

    /// Pushes the next piece of audio.
    fn speak(&mut self) {
        if self.rest.len() == 0 {
            let words = (self.words..self.words + WORDS).map(|n| self.word(n));
            let mut audio = scripted::speech(words, 16_000);
            audio.extend(vec![0; PAUSE_MS * 16]);
            self.words += WORDS;
            self.rest = audio.into_iter();
        }
        let piece: Vec<i16> = self.rest.by_ref().take(TICK_MS * 16).collect();
        self.feed.speak(&piece).expect("it flows");
        self.pipeline.collect();
    }

    /// Pushes the rest, waits for the end, and checks that every word came.
    fn end(&mut self) {
        let rest: Vec<i16> = self.rest.by_ref().collect();
        self.feed.speak(&rest).expect("it flows");
        assert!(self.feed.end());
        self.pipeline.wait_for_eos();
        let heard = self.pipeline.words().into_iter().map(|word| word.0);
        let heard: Vec<String> = heard.collect();
        let said = (0..self.words).map(|n| format!("w{}", self.word(n)));
        let said: Vec<String> = said.collect();
        assert_eq!(heard, said, "sink {}", self.number);
        assert!(self.pipeline.of_kind("gap").is_empty());
    }

    /// Returns the delays of the finals of audio between `from` and `to`, in nanoseconds.
    fn delays(&self, from: Duration, to: Duration) -> Vec<u64> {
        let times = |s: &gst::Structure| (s.get("running-time"), s.get("delay"));
        let finals = self.pipeline.finals();
        let told = finals.iter().map(|s| match times(s) {
            (Ok(at), Ok(delay)) => (Duration::from_nanos(at), delay),
            _ => panic!("no times in {s}"),
        });
        told.filter(|(at, _)| (from..to).contains(at))
            .map(|(_, delay)| delay)
            .collect()
    }
}

/// Lets all sinks speak in real time while `goes_on` returns `true` for the time since `begin`.
/// Returns the most memory and threads that the service had.
fn speak(
    sinks: &mut [Honest],
    service: &Program,
    begin: Instant,
    goes_on: impl Fn(Duration) -> bool,
) -> (usize, usize) {
    let tick = Duration::from_millis(TICK_MS as u64);
    let mut said = begin.elapsed();
    let mut most = (0, 0);
    while goes_on(said) {
        for sink in &mut *sinks {
            sink.speak();
        }
        most = (most.0.max(service.memory()), most.1.max(service.threads()));
        said += tick;
        // The audio is live: it comes by the clock, and late audio comes all at once.
        std::thread::sleep(said.saturating_sub(begin.elapsed()));
    }
    most
}

/// Returns the 95th percentile in milliseconds.
fn p95(mut delays: Vec<u64>) -> f64 {
    delays.sort_unstable();
    let place = delays.len() * 95 / 100;
    delays
        .get(place)
        .map_or(f64::NAN, |delay| *delay as f64 / 1e6)
}

#[test]
fn honest_sinks_lose_nothing_beside_hostile_clients() {
    bounded_by_length(|hostile, compared| {
        let data = tempfile::tempdir().expect("a folder");
        let folder = data.path().to_str().expect("a path");
        let arguments = ["--log", "debug", "--data", folder];
        // The log is never read.
        let log = Stdio::piped();
        let mut service = Program::start(built("../symbl-service"), "127.0.0.1:0", &arguments, log);
        let mut sinks: Vec<Honest> = (0..HONEST).map(|n| Honest::new(n, service.url())).collect();
        for sink in &mut sinks {
            sink.pipeline.wait_for_state("listening");
        }
        let alone = (hostile / 4).max(Duration::from_secs(4));
        let begin = Instant::now();
        let (usual_memory, usual_threads) = speak(&mut sinks, &service, begin, |said| said < alone);
        let clients = clients::Clients::start(&service.address(), compared);
        // The clients need a moment to get busy.
        let from = begin.elapsed();
        let (memory, threads) = speak(&mut sinks, &service, begin, |said| {
            // On a busy machine some clients need longer to do anything at all.
            said < from + hostile || (said < from + PATIENCE && !clients.are_all_busy())
        });
        let did = clients.stop();
        for sink in &mut sinks {
            sink.end();
        }
        assert!(
            service.ends(Duration::from_secs(60)),
            "SIGTERM ends the service"
        );

        let all = |from, to| {
            p95(sinks
                .iter()
                .flat_map(|sink| sink.delays(from, to))
                .collect())
        };
        let (before, beside) = (all(Duration::ZERO, alone), all(from, from + hostile));
        let words: u32 = sinks.iter().map(|sink| u32::from(sink.words)).sum();
        println!("{did}");
        println!(
            "{words} words of {HONEST} honest sinks, none lost; p95 of finals {beside:.0} ms, \
             alone {before:.0} ms; service: memory {} MiB, alone {} MiB; \
             threads {threads}, alone {usual_threads}",
            memory / 1024,
            usual_memory / 1024
        );
        did.assert_all();
        assert!(memory <= MOST_MEMORY, "{memory} KiB");
        assert!(threads <= MOST_THREADS, "{threads} threads");
        assert!(
            !compared || beside <= 2.0 * before,
            "{beside} ms, not {before} ms"
        );
    });
}

/// Calls `run` with the length of the run. A short run must end within the bound of all tests.
fn bounded_by_length(run: impl FnOnce(Duration, bool)) {
    let (hostile, compared) = length();
    match compared {
        true => run(hostile, true),
        false => bounded("hostile clients", || run(hostile, false)),
    }
}
