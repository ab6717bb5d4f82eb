// SPDX-License-Identifier: MPL-2.0

//! Measures how long a chunk takes from its last byte in the sink to the server, and
//! a result from the server to the bus.
//!
//! Each buffer gets a stamp when it comes to the sink. When the server has a whole
//! frame, it reads the stamp of the last buffer in it. Results flow back at the same
//! time, because a socket that only sends does not show the effect of Nagle's
//! algorithm.

use super::Problem;
use super::child::SOON;
use super::clock::Spread;
use super::dialect::CHUNK;
use super::report::{Report, Row, Target};
use super::run::{Audio, Done, Run};
use super::server::{self, Books, Manner};
use super::subject::{Subject, those_there};
use std::thread::sleep;
use std::time::Duration;

/// Bytes in 20 ms.
pub const BUFFER: usize = 640;
const SETTLE: Duration = Duration::from_secs(1);
/// Window for ten frames per second.
const LONG: Duration = Duration::from_secs(7);
/// Window for subjects with more frames per second.
const SHORT: Duration = Duration::from_secs(4);
const MANY: usize = 200;
/// Number of runs. The p99 of a run is that of two results, so it includes what else
/// the machine does.
const RESULTS_RUNS: usize = 3;

/// The subjects, with their names at the server and the bytes of a buffer.
pub const ALONE: &[(Subject, &str, usize)] = &[
    (Subject::Bare, "bare", BUFFER),
    (Subject::Bare, "bare, chunks", CHUNK),
    (Subject::Symblsink, "symblsink", BUFFER),
    (Subject::Speechmatics, "speechmatics", BUFFER),
    (Subject::Deepgram, "deepgram", BUFFER),
];

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    const BENCH: &str = "latency";
    for (subject, name, bytes) in ALONE.iter().copied() {
        if those_there(&[subject]).is_empty() {
            continue;
        }
        let window = match (subject, bytes) {
            (Subject::Symblsink, _) | (_, CHUNK) => LONG,
            _ => SHORT,
        };
        let latency = match run(subject, name, bytes, 1, 5, window) {
            Ok((latency, _)) => latency,
            Err(problem) => {
                report.left_out(BENCH, name, &problem);
                continue;
            }
        };
        let [p50, p90, p99, max] = rows(BENCH, name, "", latency);
        let own = subject == Subject::Symblsink;
        report.say(if own {
            p50.target(Target::AtMost(0.3))
        } else {
            p50
        });
        report.say(p90);
        report.say(if own {
            p99.target(Target::AtMost(2.0))
        } else {
            p99
        });
        report.say(max);
    }
    let (latency, _) = run(Subject::Symblsink, "symblsink", BUFFER, MANY, 5, SHORT)?;
    let with = format!(", {MANY} sinks in the process");
    let [p50, p90, p99, max] = rows(BENCH, "symblsink", &with, latency);
    [p50, p90, p99.target(Target::AtMost(20.0)), max]
        .into_iter()
        .for_each(|row| report.say(row));
    Ok(())
}

pub fn results(report: &mut Report) -> Result<(), Problem> {
    let spreads = (0..RESULTS_RUNS).map(|_| {
        let (_, done) = run(Subject::Symblsink, "symblsink", BUFFER, 1, 50, SHORT)?;
        done.results.some()
    });
    let spreads: Vec<Spread> = spreads.collect::<Result<_, Problem>>()?;
    let row = |what: &str, value: fn(&Spread) -> f64| {
        let measure = format!("result at the socket → message on the bus, {what}");
        let runs: Vec<f64> = spreads.iter().map(value).collect();
        Row::new("results", "symblsink", &measure, "ms", &runs)
    };
    report.say(row("p50", |spread| spread.p50));
    report.say(row("p99", |spread| spread.p99).target(Target::AtMost(1.0)));
    report.say(row("max", |spread| spread.max));
    Ok(())
}

/// Returns the rows of a distribution: p50, p90, p99, max.
pub fn rows(bench: &'static str, subject: &str, with: &str, spread: Spread) -> [Row; 4] {
    [
        ("p50", spread.p50),
        ("p90", spread.p90),
        ("p99", spread.p99),
        ("max", spread.max),
    ]
    .map(|(what, value)| {
        let measure = format!("chunk complete → parsed by the peer, {what}{with}");
        Row::new(bench, subject, &measure, "ms", &[value]).note(format!("{} chunks", spread.count))
    })
}

/// Measures this many live sources, with this many results per second for each.
fn run(
    subject: Subject,
    name: &str,
    bytes: usize,
    sinks: usize,
    results: u32,
    window: Duration,
) -> Result<(Spread, Done), Problem> {
    let (mut server, address) = server::start(&Manner {
        unit: BUFFER,
        results,
        ..Manner::default()
    })?;
    let mut running = Run {
        sinks,
        ..Run::new(subject, address, Audio::Live { bytes })
    }
    .start()?;
    running.ready(SOON)?;
    sleep(SETTLE);
    let _: Books = server.ask("take")?;
    sleep(window);
    let books: Books = server.ask("take")?;
    let done = running.eos(SOON)?;
    let heard = books.of(name)?;
    if heard.ragged > 0 {
        return Err(format!("{} frames that end within a buffer", heard.ragged).into());
    }
    Ok((heard.latency.some()?, done))
}
