// SPDX-License-Identifier: MPL-2.0

//! Measures hundreds of text pads in one process: each must go on by the clock, whatever
//! the service does, and cost little more than a sink; and how long a final takes to a pad.

use super::Problem;
use super::books::{self, Used};
use super::child::SOON;
use super::clock::Spread;
use super::dialect::CHUNK;
use super::report::{Report, Row, Target};
use super::run::{Audio, Done, Run};
use super::server::{self, Manner};
use super::subject::Subject;
use std::thread::sleep;
use std::time::Duration;

const BENCH: &str = "text-pads";
const MANY: usize = 500;
const SETTLE: Duration = Duration::from_secs(4);
const LONG: Duration = Duration::from_secs(12);
const SHORT: Duration = Duration::from_secs(6);
/// Window for the finals of one pad, and their number in a second.
const FINALS: Duration = Duration::from_secs(25);
const FINALS_PER_SECOND: u32 = 4;
/// Bound until all elements have stopped.
const STOP: Duration = Duration::from_secs(60);
/// Each text stands at its time, so that none moves the next one.
const LATENCY: &str = "latency=1000 late-text=keep";

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let silent = Manner::default();
    let floor = cpu(&run(Subject::Fakesink, &silent, false, MANY, SHORT)?, SHORT);
    let sinks = run(Subject::Symblsink, &silent, false, MANY, SHORT)?;
    let sink = cpu(&sinks, SHORT);
    let row = |subject: Subject, measure: &str, unit: &'static str, value: f64| {
        let measure = format!("{MANY} elements, live pipelines, 100 ms: {measure}");
        Row::new(BENCH, subject.name(), &measure, unit, &[value])
    };
    report.say(row(Subject::Fakesink, "CPU", "% of a core", floor));
    report.say(row(Subject::Symblsink, "CPU", "% of a core", sink));
    for (away, how) in [
        (false, "a silent service"),
        (true, "a service that refuses"),
    ] {
        let pads = run(Subject::Symbltranscriber, &silent, away, MANY, LONG)?;
        let name = Subject::Symbltranscriber;
        let behind = pads.done.behind.some()?;
        let looks = format!("{} looks, each before a pad moves", behind.count);
        for (what, value) in [("p50", behind.p50), ("p99", behind.p99)] {
            let measure = format!("{how}: behind the promise, {what}");
            report.say(row(name, &measure, "ms", value).note(looks.clone()));
        }
        let measure = format!("{how}: behind the promise, max");
        let most = row(name, &measure, "ms", behind.max).note(looks);
        report.say(most.target(Target::AtMost(100.0)));
        let pad = cpu(&pads, LONG);
        report.say(row(name, &format!("{how}: CPU"), "% of a core", pad));
        if !away {
            let measure = "CPU of an element by that of symblsink, pipelines included";
            report.say(row(name, measure, "×", pad / sink));
            let measure = "CPU of an element above fakesink by that of symblsink";
            report.say(row(name, measure, "×", (pad - floor) / (sink - floor)));
            let more = (pads.threads - sinks.threads) / MANY as f64;
            let measure = "threads of an element beyond those of symblsink";
            report.say(row(name, measure, "threads", more));
        }
    }
    finals(report)
}

/// Reports how long a final takes to the pad.
fn finals(report: &mut Report) -> Result<(), Problem> {
    let scripted = Manner {
        results: FINALS_PER_SECOND,
        all_final: true,
        ..Manner::default()
    };
    let pad = run(Subject::Symbltranscriber, &scripted, false, 1, FINALS)?;
    let spread: Spread = pad.done.finals.some()?;
    for (what, value) in [("p50", spread.p50), ("p99", spread.p99)] {
        let measure = format!("final at the socket → buffer on the text pad, {what}");
        let row = Row::new(
            BENCH,
            Subject::Symbltranscriber.name(),
            &measure,
            "ms",
            &[value],
        );
        report.say(row.note(format!("{} finals", spread.count)));
    }
    Ok(())
}

struct Ran {
    used: Used,
    threads: f64,
    done: Done,
}

/// Returns the processor time of a run in per cent of a core.
fn cpu(ran: &Ran, window: Duration) -> f64 {
    ran.used.cpu / window.as_secs_f64() * 100.0
}

/// Runs this many elements. With `away`, the service refuses all connections.
fn run(
    subject: Subject,
    manner: &Manner,
    away: bool,
    sinks: usize,
    window: Duration,
) -> Result<Ran, Problem> {
    let (mut server, address) = server::start(manner)?;
    if away {
        server.tell("cut")?;
    }
    let properties = match subject {
        Subject::Symbltranscriber => LATENCY.to_owned(),
        _ => String::new(),
    };
    let mut running = Run {
        sinks,
        properties,
        ..Run::new(subject, address, Audio::Live { bytes: CHUNK })
    }
    .start()?;
    if !away {
        running.ready(SOON)?;
    }
    sleep(SETTLE);
    running.child.tell("settled")?;
    let process = running.child.id();
    let before = books::used(process)?;
    sleep(window);
    let after = books::used(process)?;
    running.child.dismiss();
    Ok(Ran {
        used: after - before,
        threads: after.threads,
        done: running.done(STOP)?,
    })
}
