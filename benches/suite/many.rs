// SPDX-License-Identifier: MPL-2.0

//! Measures hundreds of sinks in one process: every chunk must be in time, nothing
//! may be dropped, and each further sink must cost no more than one does.
//!
//! There are two setups. In the first, two threads push buffers of 20 ms, as a media
//! server with a loop of its own does. In the second, there are live pipelines, each
//! with a thread and a source. Their buffers have 100 ms, because with 20 ms the
//! pipelines would be most of what is counted.

use super::Problem;
use super::books::{self, Used};
use super::child::SOON;
use super::dialect::CHUNK;
use super::latency;
use super::report::{Report, Row, Target};
use super::run::{Audio, Done, Run};
use super::server::{self, Books, Heard, Manner};
use super::subject::Subject;
use std::thread::sleep;
use std::time::Duration;

const BENCH: &str = "many";
const FEW: usize = 50;
const MANY: usize = 500;
const SETTLE: Duration = Duration::from_secs(3);
const SHORT: Duration = Duration::from_secs(4);
/// Bytes in 20 ms.
const BUFFER: usize = 640;
/// Length of the run with all sinks, unless [`MINUTES`] is set.
const USUAL: Duration = Duration::from_secs(12);
/// Environment variable with the length of that run, in minutes.
const MINUTES: &str = "SYMBL_BENCH_MINUTES";
/// Bound until the last result of each sink.
const DRAIN: Duration = Duration::from_secs(60);

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let minutes = std::env::var(MINUTES).ok();
    let minutes: Option<u64> = minutes.and_then(|minutes| minutes.parse().ok());
    let fed = Audio::Fed {
        bytes: BUFFER,
        burst: None,
    };
    let live = Audio::Live { bytes: CHUNK };
    let long = minutes.map_or(USUAL, |minutes| Duration::from_secs(minutes * 60));
    for (audio, bytes, how, window) in [
        (&fed, BUFFER, "pushed into, 20 ms", long),
        (&live, CHUNK, "live pipelines, 100 ms", SHORT),
    ] {
        let mut costs = Vec::new();
        for (subject, sinks, window) in [
            (Subject::Fakesink, FEW, SHORT),
            (Subject::Fakesink, MANY, SHORT),
            (Subject::Symblsink, FEW, SHORT),
            (Subject::Symblsink, MANY, window),
        ] {
            let ran = run(subject, audio, bytes, sinks, window)?;
            let cpu = ran.used.cpu / window.as_secs_f64() * 100.0;
            costs.push(cpu / sinks as f64);
            let row = |measure: &str, unit: &'static str, value: f64| {
                let measure = format!("{sinks} sinks, {how}: {measure}");
                Row::new(BENCH, subject.name(), &measure, unit, &[value])
            };
            report.say(row("CPU", "% of a core", cpu));
            let Some(heard) = ran.heard else { continue };
            let with = format!(", {sinks} sinks, {how}");
            let [p50, _, p99, max] = latency::rows(BENCH, subject.name(), &with, heard.latency);
            report.say(p50);
            report.say(p99.target(Target::AtMost(100.0)));
            report.say(max);
            let lost = ran.done.pushed.saturating_sub(heard.buffers);
            report.say(row("buffers lost", "buffers", lost as f64).target(Target::AtMost(0.0)));
            let gaps = ran.done.gaps as f64;
            report.say(row("gaps told", "gaps", gaps).target(Target::AtMost(0.0)));
            report.say(row("audio dropped", "s", ran.done.dropped).target(Target::AtMost(0.0)));
        }
        if let [few_floor, many_floor, few, many] = costs.as_slice() {
            let ratio = (many - many_floor) / (few - few_floor);
            let measure = format!("CPU per sink above fakesink, {MANY} by {FEW} sinks, {how}");
            let row = Row::new(BENCH, "symblsink", &measure, "×", &[ratio]);
            report.say(row.target(Target::AtMost(1.0)));
        }
    }
    Ok(())
}

struct Ran {
    used: Used,
    /// Counts of the whole run, with the latencies since the window began.
    heard: Option<Heard>,
    done: Done,
}

fn run(
    subject: Subject,
    audio: &Audio,
    bytes: usize,
    sinks: usize,
    window: Duration,
) -> Result<Ran, Problem> {
    let (mut server, address) = server::start(&Manner {
        unit: bytes,
        results: 1,
        ..Manner::default()
    })?;
    let mut running = Run {
        sinks,
        ..Run::new(subject, address, audio.clone())
    }
    .start()?;
    running.ready(SOON)?;
    sleep(SETTLE);
    // The first chunks waited for the connection.
    server.tell("settled")?;
    let process = running.child.id();
    let before = books::used(process)?;
    sleep(window);
    let used = books::used(process)? - before;
    let done = running.eos(DRAIN)?;
    let mut books: Books = server.ask("take")?;
    Ok(Ran {
        used,
        heard: books.heard.remove(subject.name()),
        done,
    })
}
