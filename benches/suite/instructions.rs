// SPDX-License-Identifier: MPL-2.0

//! Counts the user instructions of a stream at full speed, a figure that repeats.
//!
//! The result is the slope between a short and a longer file, so start-up is not in
//! it. Each count is the minimum of several runs, because a disturbance can only add
//! to it. Both files run at once, each with its own server, because instructions are
//! the same on a busy machine. `perf` counts them if the processor's counters are
//! available, else callgrind. callgrind runs one thread at a time, so it
//! overestimates the work of threads that wait for each other.

use super::Problem;
use super::books;
use super::report::{Report, Row, Target};
use super::run::{Audio, Run, both};
use super::server::{self, Books, Manner};
use super::subject::{Subject, those_there};
use super::wav::Wav;
use std::time::Duration;
use tempfile::NamedTempFile;

const BENCH: &str = "instructions";
const RUNS: usize = 2;
const SHORT: usize = 10;
const LONG: usize = 50;
/// A file whose sink has no room wakes and sleeps as the threads happen to run. Here
/// there is room for all of it.
const ROOM: &str = "buffer-duration=600000";
/// Far more time than it takes under callgrind.
const BOUND: Duration = Duration::from_secs(60);
const EVENT: &str = "instructions:u";

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let perf = books::perf_counts(EVENT);
    if !perf && !books::runs("valgrind") {
        let problem = "neither perf nor valgrind counts instructions here";
        report.left_out(BENCH, "all", &problem);
        return Ok(());
    }
    let (short, long) = (Wav::new(SHORT)?, Wav::new(LONG)?);
    let mut floor = 0.0;
    for (subject, bytes) in [
        (Subject::Fakesink, 640),
        (Subject::Bare, 3200),
        (Subject::Symblsink, 640),
        (Subject::Speechmatics, 640),
        (Subject::Deepgram, 640),
    ] {
        if those_there(&[subject]).is_empty() {
            continue;
        }
        let name = subject.name();
        if subject == Subject::Deepgram && !perf {
            eprintln!("{BENCH}: {name}: callgrind counts ten times of it, and never the same");
            continue;
        }
        let least = |wav: &Wav| -> Result<f64, String> {
            let mut least = f64::INFINITY;
            for _ in 0..RUNS {
                let counted = count(subject, bytes, wav, perf);
                least = least.min(counted.map_err(|problem| problem.to_string())?);
            }
            Ok(least)
        };
        let slope = match both(|| least(&long), || least(&short)) {
            (Ok(long), Ok(short)) => (long - short) * 60.0 / (LONG - SHORT) as f64 / 1e6,
            (Err(problem), _) | (_, Err(problem)) => {
                report.left_out(BENCH, name, &problem);
                continue;
            }
        };
        let measure = "user instructions per audio-minute";
        let row = |measure: &str, value: f64| {
            let by = if perf { "perf" } else { "callgrind" };
            let note = match subject {
                Subject::Symblsink => format!("{by}, {ROOM}"),
                _ => by.to_owned(),
            };
            Row::new(BENCH, name, measure, "M", &[value]).note(note)
        };
        report.say(match subject {
            Subject::Fakesink => {
                floor = slope;
                row(measure, slope)
            }
            Subject::Bare => row(&format!("{measure}, frames of {bytes} B"), slope),
            _ => {
                let row = row(&format!("{measure}, above fakesink"), slope - floor);
                match subject {
                    Subject::Symblsink => row.target(Target::AtMost(5.0)),
                    _ => row,
                }
            }
        });
    }
    Ok(())
}

/// Returns the instructions of one whole process.
fn count(subject: Subject, bytes: usize, wav: &Wav, perf: bool) -> Result<f64, Problem> {
    let (mut server, address) = server::start(&Manner::default())?;
    let out = NamedTempFile::new()?;
    let path = out.path().to_string_lossy();
    let command: Vec<String> = match perf {
        true => ["perf", "stat", "-x,", "-e", EVENT, "-o", &path]
            .map(str::to_owned)
            .into(),
        false => vec![
            "valgrind".to_owned(),
            "--tool=callgrind".to_owned(),
            "--fair-sched=yes".to_owned(),
            "--log-file=/dev/null".to_owned(),
            format!("--callgrind-out-file={path}"),
        ],
    };
    let audio = Audio::File {
        path: wav.path().to_owned(),
        bytes,
        paced: false,
    };
    let run = Run {
        properties: ROOM.to_owned(),
        ..Run::new(subject, address, audio)
    };
    run.start_under(&command)?.done(BOUND)?;
    let books: Books = server.ask("take")?;
    if subject != Subject::Fakesink {
        wav.compare(subject.name(), books.of(subject.name())?)?;
    }
    let said = std::fs::read_to_string(out.path())?;
    let figure = said.lines().find_map(|line| match perf {
        true => books::counted(line, EVENT),
        false => line.strip_prefix("totals: ")?.trim().parse().ok(),
    });
    figure.ok_or_else(|| "no instructions counted".into())
}
