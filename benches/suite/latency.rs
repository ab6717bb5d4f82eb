// SPDX-License-Identifier: MPL-2.0

//! How long it takes: a chunk from its last byte in the sink to the server, and a
//! result from the server to the bus.
//!
//! Each buffer is stamped where it comes to the sink; the server reads the stamp
//! of the last one in each frame once it has the whole frame. Results flow back
//! meanwhile, for a socket that only sends hides what Nagle's algorithm does.

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

/// 20 ms.
pub const BUFFER: usize = 640;
const SETTLE: Duration = Duration::from_secs(1);
/// For ten frames a second.
const LONG: Duration = Duration::from_secs(7);
/// For who says more in the same time.
const SHORT: Duration = Duration::from_secs(4);
const MANY: usize = 200;
/// Of each the p99 is that of two results: what the machine does beside is in it.
const RESULTS_RUNS: usize = 3;

/// With the name under which the server knows them, and the bytes of a buffer.
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

/// The rows of a spread: p50, p90, p99, max.
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

/// So many live sources, so many results a second to each.
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
