// SPDX-License-Identifier: MPL-2.0

//! Measures what a stream costs in real time: CPU, system calls, context switches.
//!
//! All subjects run at the same time, each in its own process, so that anything else
//! the machine does affects all of them. The counts are those of a window after the
//! start and before the end. In real time, the cost is in wake-ups and not in bytes.

use super::books::{self, Counter, Syscalls, Used};
use super::dialect::CHUNK;
use super::report::{Report, Row, Target};
use super::run::{Audio, Run, Running};
use super::server::{self, Manner};
use super::subject::{Subject, those_there};
use super::wav::Wav;
use super::{Problem, child};
use std::thread::sleep;
use std::time::Duration;

const BENCH: &str = "real-time";
const ROUNDS: usize = 7;
/// Time before the window: start-up and connections.
const SETTLE: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(5);
/// Length of the whole file, in seconds.
const SECONDS: usize = 7;
/// Bytes in 20 ms.
const BUFFER: usize = 640;

const SUBJECTS: &[Subject] = &[
    Subject::Fakesink,
    Subject::Tcpclientsink,
    Subject::Bare,
    Subject::Symblsink,
    Subject::Speechmatics,
    Subject::Deepgram,
];

/// What a subject used in the window.
#[derive(Default)]
struct Cost {
    cpu: Vec<f64>,
    syscalls: Vec<f64>,
    switches: Vec<f64>,
}

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let wav = Wav::new(SECONDS)?;
    let subjects = those_there(SUBJECTS);
    let mut costs: Vec<Cost> = subjects.iter().map(|_| Cost::default()).collect();
    let counter = Counter::here();
    let beside = counter.filter(|counter| *counter == Counter::Perf);
    for _ in 0..ROUNDS {
        round(report, &wav, &subjects, beside, &mut costs)?;
    }
    match counter {
        Some(Counter::Perf) => {}
        // strace stops the process at each call, so the calls are counted in a round
        // of their own.
        Some(Counter::Strace) => {
            let mut apart: Vec<Cost> = subjects.iter().map(|_| Cost::default()).collect();
            round(report, &wav, &subjects, counter, &mut apart)?;
            for (cost, apart) in costs.iter_mut().zip(apart) {
                cost.syscalls = apart.syscalls;
            }
        }
        None => report.left_out(
            BENCH,
            "system calls",
            &"neither perf nor strace counts them here",
        ),
    }
    let floor = subjects
        .iter()
        .position(|subject| *subject == Subject::Fakesink);
    let floor = floor.and_then(|index| costs.get(index));
    let peer = subjects
        .iter()
        .position(|subject| *subject == Subject::Speechmatics);
    let peer = peer.and_then(|index| costs.get(index));
    let above = |values: &[f64], floor: Option<&Vec<f64>>| -> Vec<f64> {
        let floor = floor.cloned().unwrap_or_default();
        values
            .iter()
            .zip(floor)
            .map(|(value, floor)| value - floor)
            .collect()
    };
    let median = |values: &[f64]| Row::new(BENCH, "", "", "", values).value;
    for (subject, cost) in subjects.iter().zip(&costs) {
        let name = subject.name();
        let own = *subject == Subject::Symblsink;
        // The bare client has no pipeline below it.
        let whole = matches!(subject, Subject::Fakesink | Subject::Bare);
        let rows = [
            (
                "CPU per audio-minute",
                "ms",
                &cost.cpu,
                floor.map(|floor| &floor.cpu),
            ),
            (
                "system calls per second of audio",
                "calls/s",
                &cost.syscalls,
                floor.map(|floor| &floor.syscalls),
            ),
            (
                "context switches per second of audio",
                "switches/s",
                &cost.switches,
                floor.map(|floor| &floor.switches),
            ),
        ];
        for (index, (measure, unit, values, floor)) in rows.into_iter().enumerate() {
            if values.is_empty() {
                continue;
            }
            if whole {
                report.say(Row::new(BENCH, name, measure, unit, values));
                continue;
            }
            let values = above(values, floor);
            let mut row = Row::new(
                BENCH,
                name,
                &format!("{measure}, above fakesink"),
                unit,
                &values,
            );
            if own {
                let bound = match index {
                    0 => peer.map(|peer| median(&above(&peer.cpu, floor)) / 4.0),
                    1 => Some(40.0),
                    _ => Some(30.0),
                };
                if let Some(bound) = bound {
                    row = row.target(Target::AtMost(bound));
                }
                if index == 0 {
                    row = row.note("the target is a quarter of speechmatics in this run");
                }
            }
            if let (1, Some(counter)) = (index, counter) {
                row = row.note(counter.name());
            }
            report.say(row);
        }
    }
    Ok(())
}

/// Runs all subjects at once. A subject that fails is left out of this round.
fn round(
    report: &mut Report,
    wav: &Wav,
    subjects: &[Subject],
    counter: Option<Counter>,
    costs: &mut [Cost],
) -> Result<(), Problem> {
    let (mut server, address) = server::start(&Manner::default())?;
    let mut runs = Vec::new();
    for (subject, cost) in subjects.iter().zip(costs) {
        let bytes = match subject {
            Subject::Bare => CHUNK,
            _ => BUFFER,
        };
        let path = wav.path().to_owned();
        let audio = Audio::File {
            path,
            bytes,
            paced: true,
        };
        runs.push((Run::new(*subject, address, audio).start()?, cost));
    }
    let mut ready = Vec::new();
    for (mut run, cost) in runs {
        match run.ready(child::SOON) {
            Ok(_) => ready.push((run, cost)),
            Err(problem) => report.left_out(BENCH, run.subject.name(), &problem),
        }
    }
    sleep(SETTLE);
    let counters: Vec<_> = ready
        .iter()
        .map(|(run, _)| counter.map(|c| Syscalls::begin(c, run.child.id(), WINDOW)))
        .collect();
    let used = |runs: &[(Running, &mut Cost)]| -> Result<Vec<Used>, Problem> {
        let used = runs.iter().map(|(run, _)| books::used(run.child.id()));
        used.collect()
    };
    let before = used(&ready)?;
    sleep(WINDOW);
    let after = used(&ready)?;
    let seconds = WINDOW.as_secs_f64();
    let mut ended = Vec::new();
    let counted = counters.into_iter().zip(after.into_iter().zip(before));
    for ((run, cost), (counter, (after, before))) in ready.into_iter().zip(counted) {
        let subject = run.subject;
        match run.done(child::SOON) {
            Ok(_) => ended.push((subject, cost, after - before, counter)),
            Err(problem) => report.left_out(BENCH, subject.name(), &problem),
        }
    }
    let books: server::Books = server.ask("take")?;
    for (subject, cost, used, counter) in ended {
        let name = subject.name();
        let whole = match subject {
            Subject::Fakesink => Ok(()),
            _ => books.of(name).and_then(|heard| wav.compare(name, heard)),
        };
        if let Err(problem) = whole {
            report.left_out(BENCH, name, &problem);
            continue;
        }
        cost.cpu.push(used.cpu * 1e3 / seconds * 60.0);
        cost.switches.push(used.switches / seconds);
        match counter.map(|counter| counter.and_then(Syscalls::end)) {
            Some(Ok(calls)) => cost.syscalls.push(calls / seconds),
            None => {}
            Some(Err(problem)) => report.left_out(BENCH, name, &problem),
        }
    }
    Ok(())
}
