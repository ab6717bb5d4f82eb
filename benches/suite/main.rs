// SPDX-License-Identifier: MPL-2.0

//! `make bench`: measures what the element and the service cost, compared with the
//! peers and with a lower bound. `docs/performance.md` explains the results.
//!
//! ```text
//! suite                 all measurements
//! suite NAME…           the named measurements
//! ```
//!
//! The measured code runs in a process of its own, which is this program again, so
//! that the system counts only what belongs to it.

mod bare;
mod books;
mod child;
mod clock;
mod cut;
mod dead_link;
mod dialect;
mod feeder;
mod instructions;
mod latency;
mod latency_rtt;
mod line;
mod many;
mod memory;
mod real_time;
mod report;
mod run;
mod server;
mod service;
mod sessions;
mod speech;
mod stream;
mod subject;
mod text_pad;
mod text_pads;
mod throughput;
mod wav;

use report::Report;
use std::process::ExitCode;
use std::time::Instant;

/// The error of a measurement.
pub type Problem = Box<dyn std::error::Error>;

/// A measurement: its name, and the function that reports its figures.
type Bench = (&'static str, fn(&mut Report) -> Result<(), Problem>);

/// A role of a process: its name, and the function that runs it with its JSON
/// argument until its standard input is closed.
type Role = (&'static str, fn(&str) -> Result<(), Problem>);

/// The measurements in the order in which they run.
const BENCHES: &[Bench] = &[
    ("instructions", instructions::measure),
    ("real-time", real_time::measure),
    ("throughput", throughput::measure),
    ("latency", latency::measure),
    ("latency-rtt", latency_rtt::measure),
    ("results", latency::results),
    ("memory", memory::measure),
    ("many", many::measure),
    ("text-pads", text_pads::measure),
    ("cut", cut::measure),
    ("dead-link", dead_link::measure),
    ("service-speech", speech::measure),
    ("service-streams", service::streams),
    ("service-subscribers", service::subscribers),
    ("service-sessions", sessions::measure),
];

const ROLES: &[Role] = &[
    (server::ROLE, |what| {
        server::play(serde_json::from_str(what)?)
    }),
    (run::ROLE, |what| run::play(serde_json::from_str(what)?)),
    (latency_rtt::ROLE, |_| latency_rtt::play()),
    (speech::ROLE, |what| {
        speech::play(&serde_json::from_str(what)?)
    }),
    (service::ROLE, |what| {
        service::play(serde_json::from_str(what)?)
    }),
    (service::LOAD, |what| {
        service::load(serde_json::from_str(what)?)
    }),
    (sessions::LOAD, |what| {
        sessions::load(serde_json::from_str(what)?)
    }),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [role, name, what] if role == child::ROLE => play(name, what),
        names => measure(names),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("suite: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn play(name: &str, what: &str) -> Result<(), Problem> {
    let role = ROLES.iter().find(|(role, _)| *role == name);
    let (_, act) = role.ok_or_else(|| format!("there is no role {name}"))?;
    act(what)
}

fn measure(names: &[String]) -> Result<(), Problem> {
    // Cargo adds this argument for a benchmark.
    let names: Vec<&String> = names.iter().filter(|name| *name != "--bench").collect();
    let mut report = Report::default();
    let mut failed = Vec::new();
    for (name, run) in BENCHES {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let begin = Instant::now();
        if let Err(problem) = run(&mut report) {
            eprintln!("{name}: {problem}");
            failed.push(*name);
        }
        eprintln!("{name}: took {} s", begin.elapsed().as_secs());
    }
    eprintln!("{}", report.table());
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(format!("not measured: {}", failed.join(", ")).into()),
    }
}
