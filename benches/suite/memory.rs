// SPDX-License-Identifier: MPL-2.0

//! Measures the memory and the threads of one more sink in a process.
//!
//! The result is the slope between few and many sinks, so that what a process needs
//! once is not in it. Both processes run at once, because no time is measured.

use super::Problem;
use super::books;
use super::child::SOON;
use super::dialect::CHUNK;
use super::latency::BUFFER;
use super::report::{Report, Row, Target};
use super::run::{Audio, Run, both};
use super::server::{self, Manner};
use super::subject::{Subject, those_there};
use std::thread::sleep;
use std::time::Duration;

const BENCH: &str = "memory";
const FEW: usize = 20;
const MANY: usize = 120;
const SETTLE: Duration = Duration::from_secs(5);
/// Number of chunks that make 60 s. More would be dropped, which is not measured
/// here.
const HELD: usize = 600;
/// Size of these chunks, in KiB.
const SPOOL: f64 = (CHUNK * HELD) as f64 / 1024.0;

/// The memory of a process in KiB, its threads, and its peak in MiB.
#[derive(Clone, Copy)]
struct Size {
    private: f64,
    anonymous: f64,
    threads: f64,
    peak: f64,
}

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let live = Audio::Live { bytes: BUFFER };
    let mut floor = None;
    for subject in those_there(&[
        Subject::Fakesink,
        Subject::Symblsink,
        Subject::Speechmatics,
        Subject::Deepgram,
    ]) {
        let size = match slope(subject, &live, false) {
            Ok(size) => size,
            Err(problem) => {
                report.left_out(BENCH, subject.name(), &problem);
                continue;
            }
        };
        let below = *floor.get_or_insert(size);
        let name = subject.name();
        let own = subject == Subject::Symblsink;
        let above = match subject {
            Subject::Fakesink => "",
            _ => ", above fakesink",
        };
        let of = |value: fn(Size) -> f64| match subject {
            Subject::Fakesink => value(size),
            _ => value(size) - value(below),
        };
        let measure = format!("memory per further live pipeline, streaming{above}");
        let row = Row::new(BENCH, name, &measure, "KiB", &[of(|size| size.private)]).note(format!(
            "of it {:.0} KiB anonymous",
            of(|size| size.anonymous)
        ));
        report.say(if own {
            row.target(Target::AtMost(150.0))
        } else {
            row
        });
        let measure = format!("threads per further live pipeline{above}");
        let row = Row::new(BENCH, name, &measure, "threads", &[of(|size| size.threads)]);
        report.say(if own {
            row.target(Target::AtMost(0.0))
        } else {
            row
        });
        let measure = format!("peak memory of the process, {MANY} live pipelines");
        report.say(Row::new(BENCH, name, &measure, "MiB", &[size.peak]));
    }
    let fed = Audio::Fed {
        bytes: BUFFER,
        burst: None,
    };
    let held = Audio::Fed {
        bytes: CHUNK,
        burst: Some(HELD),
    };
    let below = slope(Subject::Fakesink, &fed, false)?.private;
    report.say(Row::new(
        BENCH,
        "fakesink",
        "memory per further sink pushed into, streaming",
        "KiB",
        &[below],
    ));
    for (audio, away, measure, target) in [
        (&fed, false, "streaming", 150.0),
        (&held, true, "holding 60 s", SPOOL + 150.0),
    ] {
        let size = slope(Subject::Symblsink, audio, away)?.private - below;
        let measure = format!("memory per further sink pushed into, {measure}, above fakesink");
        let row = Row::new(BENCH, "symblsink", &measure, "KiB", &[size]);
        report.say(row.target(Target::AtMost(target)));
    }
    Ok(())
}

/// Returns the size per sink. The peak is that of the process with many sinks. With
/// `away`, the server refuses all connections.
fn slope(subject: Subject, audio: &Audio, away: bool) -> Result<Size, Problem> {
    let size = |sinks| size(subject, audio, sinks, away).map_err(|problem| problem.to_string());
    let (few, many) = both(|| size(FEW), || size(MANY));
    let (few, many) = (few?, many?);
    let per = |few: f64, many: f64| (many - few) / (MANY - FEW) as f64;
    Ok(Size {
        private: per(few.private, many.private),
        anonymous: per(few.anonymous, many.anonymous),
        threads: per(few.threads, many.threads),
        peak: many.peak,
    })
}

fn size(subject: Subject, audio: &Audio, sinks: usize, away: bool) -> Result<Size, Problem> {
    let (mut server, address) = server::start(&Manner {
        results: 1,
        ..Manner::default()
    })?;
    if away {
        server.tell("cut")?;
    }
    let run = Run {
        sinks,
        ..Run::new(subject, address, audio.clone())
    };
    let mut running = run.start()?;
    running.ready(SOON)?;
    sleep(SETTLE);
    let process = running.child.id();
    let (private, anonymous) = books::memory(process)?;
    Ok(Size {
        private,
        anonymous,
        threads: books::used(process)?.threads,
        peak: books::peak(process)?,
    })
}
