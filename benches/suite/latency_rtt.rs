// SPDX-License-Identifier: MPL-2.0

//! Measures the same latency over a line with a round trip of 40 ms. Then the line
//! goes silent, and it measures how long the pipelines take to stop.
//!
//! All subjects share the line at the same time. A sender that waits for the
//! acknowledgement of earlier data takes up to a round trip longer.

use super::Problem;
use super::child::{self, Child, SOON};
use super::clock::Spread;
use super::latency::{self, ALONE, BUFFER};
use super::line::{self, Line};
use super::report::{Report, Row, Target};
use super::run::{Audio, Run};
use super::server::{self, Books, Manner};
use super::subject::Subject;
use serde::{Deserialize, Serialize};
use std::thread::sleep;
use std::time::{Duration, Instant};

const BENCH: &str = "latency-rtt";
pub const ROLE: &str = "hosts";
const ONE_WAY: Duration = Duration::from_millis(20);
const SETTLE: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(8);
/// Longer than the audio that fills the sockets.
const SILENCE: Duration = Duration::from_secs(10);
/// A process that has not stopped by then is killed.
const BOUND: Duration = Duration::from_secs(5);
/// Bound for the whole measurement.
const ALL: Duration = Duration::from_secs(90);

/// The result of a process with its own network.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    subject: Subject,
    /// The name at the server.
    name: String,
    latency: Spread,
    /// Seconds of the change to NULL; `None` if it took longer than [`BOUND`].
    null: Option<f64>,
}

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let hosts = Child::start_under(&line::alone(), ROLE, &());
    let measured: Vec<Measured> = match hosts.and_then(|mut hosts| hosts.answer(ALL)) {
        Ok(measured) => measured,
        Err(problem) => {
            report.left_out(BENCH, "all", &problem);
            return Ok(());
        }
    };
    for Measured {
        subject,
        name,
        latency,
        ..
    } in &measured
    {
        let [p50, p90, p99, max] = latency::rows(BENCH, name, ", round trip 40 ms", *latency);
        report.say(p50);
        report.say(match subject {
            Subject::Symblsink => p90.target(Target::AtMost(21.0)),
            Subject::Bare => p90.note("what the line itself takes, and it is 20 ms long"),
            _ => p90,
        });
        report.say(p99);
        report.say(max);
    }
    let stops = measured
        .iter()
        .filter(|measured| measured.subject != Subject::Bare);
    for Measured { subject, null, .. } in stops {
        let seconds = null.unwrap_or(BOUND.as_secs_f64());
        let measure = "the line is silent: change to NULL";
        let row = Row::new(BENCH, subject.name(), measure, "s", &[seconds]);
        let row = match null {
            Some(_) => row,
            None => row.note("still hanging then, and killed"),
        };
        report.say(match subject {
            Subject::Symblsink => row.target(Target::AtMost(0.5)),
            _ => row,
        });
    }
    Ok(())
}

/// Runs the measurement in a process with its own network.
pub fn play() -> Result<(), Problem> {
    let manner = Manner {
        host: line::SERVER.into(),
        unit: BUFFER,
        results: 5,
        ..Manner::default()
    };
    let serve = move || server::start(&manner).map_err(|problem| problem.to_string());
    let (line, (mut server, address)) = Line::new(ONE_WAY, serve)?;
    let mut runs = Vec::new();
    for (subject, name, bytes) in ALONE.iter().copied() {
        if subject.is_there() {
            let run = Run::new(subject, address, Audio::Live { bytes });
            runs.push((run.start()?, name));
        }
    }
    for (run, _) in &mut runs {
        run.ready(SOON)?;
    }
    sleep(SETTLE);
    let _: Books = server.ask("take")?;
    sleep(WINDOW);
    let books: Books = server.ask("take")?;
    line.silence();
    sleep(SILENCE);
    for (run, _) in &mut runs {
        run.child.dismiss();
    }
    let asked = Instant::now();
    let mut measured = Vec::new();
    for (run, name) in runs {
        let subject = run.subject;
        let null = match subject {
            // The bare client has no pipeline, and waits for an answer that cannot
            // come.
            Subject::Bare => None,
            _ => run
                .done(BOUND.saturating_sub(asked.elapsed()))
                .ok()
                .map(|done| done.null),
        };
        measured.push(Measured {
            subject,
            name: name.to_owned(),
            latency: books.of(name)?.latency.some()?,
            null,
        });
    }
    child::say(&measured)
}
