// SPDX-License-Identifier: MPL-2.0

//! Measures a cut of all connections of a process and an outage of a few seconds: how
//! soon all sinks listen again, how the dials are spread, and what is lost.

use super::Problem;
use super::child::SOON;
use super::clock;
use super::report::{Report, Row, Target};
use super::run::{Audio, Run};
use super::server::{self, Books, Manner};
use super::subject::Subject;
use std::thread::sleep;
use std::time::Duration;

const BENCH: &str = "cut";
const SINKS: usize = 500;
/// Bytes in 20 ms.
const BUFFER: usize = 640;
const SETTLE: Duration = Duration::from_secs(3);
const AWAY: Duration = Duration::from_secs(3);
/// Long enough, because a backlog is sent at twice real time.
const DRAIN: Duration = Duration::from_secs(60);
/// Length of a slot, in nanoseconds.
const SLOT: u64 = 100_000_000;

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let (mut server, address) = server::start(&Manner {
        unit: BUFFER,
        results: 1,
        ..Manner::default()
    })?;
    let audio = Audio::Fed {
        bytes: BUFFER,
        burst: None,
    };
    let mut running = Run {
        sinks: SINKS,
        ..Run::new(Subject::Symblsink, address, audio)
    }
    .start()?;
    running.ready(SOON)?;
    sleep(SETTLE);
    let cut = clock::now();
    server.tell("cut")?;
    sleep(AWAY);
    server.tell("heal")?;
    let healed = clock::now();
    let again = running.ready(DRAIN)?;
    sleep(SETTLE);
    let done = running.eos(DRAIN)?;
    let books: Books = server.ask("take")?;
    let heard = books.of("symblsink")?;
    let dials: Vec<u64> = books
        .dials
        .iter()
        .copied()
        .filter(|at| *at >= cut)
        .collect();
    let row = |measure: &str, unit: &'static str, value: f64| {
        Row::new(
            BENCH,
            "symblsink",
            &format!("{SINKS} sinks: {measure}"),
            unit,
            &[value],
        )
    };
    let seconds = again.saturating_sub(healed) as f64 / 1e9;
    let back = "all listen again after the service's return";
    report.say(row(back, "s", seconds).target(Target::AtMost(10.0)));
    report.say(row("dials from the cut on", "dials", dials.len() as f64));
    report.say(row("most dials in 100 ms", "dials", most(&dials) as f64));
    let per = dials.len() as f64 / SINKS as f64;
    report.say(row("dials per sink until it listens again", "dials", per));
    let lost = done.pushed.saturating_sub(heard.buffers);
    report.say(row("buffers lost", "buffers", lost as f64).target(Target::AtMost(0.0)));
    report.say(row("gaps told", "gaps", done.gaps as f64).target(Target::AtMost(0.0)));
    report.say(row("buffers sent again", "buffers", heard.again as f64));
    report.say(row("connections lost", "connections", done.lost as f64));
    Ok(())
}

/// Returns the largest number of dials within any slot.
fn most(dials: &[u64]) -> usize {
    let within = |begin: &u64| {
        let end = begin + SLOT;
        dials
            .iter()
            .filter(|at| (*begin..end).contains(*at))
            .count()
    };
    dials.iter().map(within).max().unwrap_or(0)
}
